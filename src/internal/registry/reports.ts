/**
 * What a view reports of its changes: the gauge of instances, and the log line of expired
 * instances.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import { registryInstances } from "../../Metrics.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"

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
  private readonly counts = new Map<
    string,
    { readonly series: ReturnType<InstanceCounts["seriesOf"]>; count: number }
  >()

  private constructor(bucket: string) {
    this.bucket = bucket
  }

  private seriesOf({ serviceName: service, status }: Counted) {
    return Metric.withAttributes(registryInstances, { bucket: this.bucket, service, status })
  }

  private add(counted: Counted, by: 1 | -1): Effect.Effect<void> {
    const key = `${counted.serviceName} ${counted.status}`
    const known = this.counts.get(key) ?? { series: this.seriesOf(counted), count: 0 }
    known.count += by
    this.counts.set(key, known)
    if (known.count > 0) return Metric.update(known.series, known.count)
    this.counts.delete(key)
    return Effect.asVoid(Metric.remove(known.series))
  }

  /** An instance has appeared (no `before`), has changed, or has gone (no `after`). */
  change(before: Counted | undefined, after: Counted | undefined): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (before?.serviceName === after?.serviceName && before?.status === after?.status) return Effect.void
      const left = before === undefined ? Effect.void : this.add(before, -1)
      return after === undefined ? left : Effect.andThen(left, this.add(after, 1))
    })
  }

  private readonly removeAll = Effect.suspend(() =>
    Effect.forEach(this.counts.values(), ({ series }) => Metric.remove(series), { discard: true })
  )

  /** Counts the instances of a bucket until the scope closes. */
  static make(bucket: string): Effect.Effect<InstanceCounts, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.sync(() => new InstanceCounts(bucket)),
      (counts) => counts.removeAll
    )
  }
}
