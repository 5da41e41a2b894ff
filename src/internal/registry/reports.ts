/**
 * What a view reports of its changes: the gauge of instances, and the log line of expired
 * instances.
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { registryInstances } from "../../Metrics.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import { Held } from "../metrics.ts"

/** A line names at most this many instances. */
const mostNamed = 10

/** Names instances of one service, as `orders/a, orders/b`. */
const namesOfSome = (labels: ReadonlyArray<string>): string =>
  labels.length > mostNamed
    ? `${labels.slice(0, mostNamed).join(", ")} and ${labels.length - mostNamed} more`
    : labels.join(", ")

/** Logs the instances that a timer found expired at once: one line, also if a whole service has ended. */
export const logExpired = (expired: ReadonlyArray<ServiceInstance>): Effect.Effect<void> =>
  Effect.forEach(
    Map.groupBy(expired, ({ serviceName }) => serviceName).values(),
    (instances) => {
      const labels = instances.map(({ instanceId, serviceName }) => `${serviceName}/${instanceId}`)
      return Effect.logInfo(`expired: no heartbeat of ${namesOfSome(labels)} for longer than maxAge`)
    },
    { discard: true }
  )

type Counted = Pick<ServiceInstance, "serviceName" | "status">

/** The numbers of instances by service and status, as a gauge. A series without instances is removed. */
export class InstanceCounts {
  private readonly bucket: string
  private readonly context: Context.Context<never>
  private readonly counts = new Map<string, { readonly series: Held; count: number }>()

  private constructor(bucket: string, context: Context.Context<never>) {
    this.bucket = bucket
    this.context = context
  }

  private seriesOf({ serviceName: service, status }: Counted): Held {
    return new Held(registryInstances, { bucket: this.bucket, service, status }, this.context)
  }

  private add(counted: Counted, by: 1 | -1): void {
    const key = `${counted.serviceName} ${counted.status}`
    const known = this.counts.get(key) ?? { series: this.seriesOf(counted), count: 0 }
    known.count += by
    this.counts.set(key, known)
    if (known.count > 0) return known.series.set(known.count)
    this.counts.delete(key)
    known.series.remove()
  }

  /** An instance has appeared (no `before`), has changed, or has gone (no `after`). */
  change(before: Counted | undefined, after: Counted | undefined): Effect.Effect<void> {
    return Effect.sync(() => {
      if (before?.serviceName === after?.serviceName && before?.status === after?.status) return
      if (before !== undefined) this.add(before, -1)
      if (after !== undefined) this.add(after, 1)
    })
  }

  private readonly removeAll = Effect.sync(() => {
    for (const { series } of this.counts.values()) series.remove()
  })

  /** Counts the instances of a bucket until the scope closes. */
  static make(bucket: string): Effect.Effect<InstanceCounts, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.map(Effect.context<never>(), (context) => new InstanceCounts(bucket, context)),
      (counts) => counts.removeAll
    )
  }
}
