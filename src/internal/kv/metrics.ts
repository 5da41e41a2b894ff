/**
 * Metrics and spans of a store. An update of a metric costs less than a
 * microsecond; a span costs several. Spans are created only if the fiber has a
 * tracer other than the default one, which discards them.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { monotonicMillis } from "../time.ts"

/** How an operation ended. `miss`: a `get` found no value, or a `delete` or `purge` found another revision. */
export type OperationOutcome = "success" | "miss" | "error"

interface Observed<A, E> {
  readonly operation: string
  readonly key: string | undefined
  readonly run: Effect.Effect<A, E>
  readonly outcomeOf: (exit: Exit.Exit<A, E>) => OperationOutcome
}

/** From 0.1 ms, faster than any server, to 13 s, doubling. */
const durationBoundaries = Metric.exponentialBoundaries({ start: 0.1, factor: 2, count: 18 })

/** From 1 ms to 2 min, doubling. */
const lagBoundaries = Metric.exponentialBoundaries({ start: 1, factor: 2, count: 18 })

const outcomes: ReadonlyArray<OperationOutcome> = ["success", "miss", "error"]

/** A successful purge has the metric name `kv.purge`, without the outcome. */
const counterName = (operation: string, outcome: OperationOutcome): string =>
  operation === "purge" && outcome === "success" ? "kv.purge" : `kv.${operation}.${outcome}`

const defaultTracer = Context.get(Context.empty(), Tracer.Tracer)

const millis = { unit: "milliseconds" }

/** The metrics of one operation on one bucket. */
const metersOf = (bucket: string, operation: string) => {
  const attributes = { bucket }
  const counters = outcomes.map((outcome) =>
    [
      outcome,
      Metric.counter(counterName(operation, outcome), {
        attributes,
        incremental: true,
        description: `Number of ${operation} operations with the outcome ${outcome}`
      })
    ] as const
  )
  const duration = Metric.histogram("kv.duration", {
    description: "Duration of an operation, in milliseconds",
    attributes: { bucket, operation, ...millis },
    boundaries: durationBoundaries
  })
  return { counters: new Map(counters), duration }
}

/** Counts, times and traces the operations of a store. */
export const observer = (bucket: string) => {
  const meters = new Map<string, ReturnType<typeof metersOf>>()
  const metersFor = (operation: string) => {
    const known = meters.get(operation)
    if (known !== undefined) return known
    const made = metersOf(bucket, operation)
    meters.set(operation, made)
    return made
  }

  return <A, E>({ key, operation, outcomeOf, run }: Observed<A, E>): Effect.Effect<A, E> => {
    const { counters, duration } = metersFor(operation)
    return Effect.withFiber((fiber) => {
      const { context } = fiber
      const clock = Context.get(context, Clock.Clock)
      const began = monotonicMillis(clock)
      const counted = Effect.onExit(run, (exit) => {
        counters.get(outcomeOf(exit))!.updateUnsafe(1, context)
        duration.updateUnsafe(monotonicMillis(clock) - began, context)
        return Effect.void
      })
      if (Context.get(context, Tracer.Tracer) === defaultTracer) return counted
      return Effect.useSpan(
        `kv.${operation}`,
        { attributes: { "kv.bucket": bucket, ...(key === undefined ? {} : { "kv.key": key }) } },
        (span) =>
          Effect.onExit(
            Effect.withParentSpan(counted, span),
            (exit) => Effect.sync(() => span.attribute("kv.outcome", outcomeOf(exit)))
          )
      )
    })
  }
}

/** Counts the replaced consumers of watches and listings, by cause. */
export const watchRestarted = (bucket: string) => (cause: string): Effect.Effect<void> =>
  Metric.update(
    Metric.counter("kv.watch.restarts", {
      description: "Number of times that a watch needed a new consumer on the server",
      attributes: { bucket, cause },
      incremental: true
    }),
    1
  )

/** Records the age of an event, by the store's clock, when a watch emits it. */
export const watchLag = (bucket: string, clock: Clock.Clock) => {
  const lag = Metric.histogram("kv.watch.lag", {
    description: "Time from a write to its event in a watch, in milliseconds by the store's clock",
    attributes: { bucket, ...millis },
    boundaries: lagBoundaries
  })
  return (created: number, context: Context.Context<never>): void =>
    lag.updateUnsafe(Math.max(0, clock.currentTimeMillisUnsafe() - created), context)
}

const active = Metric.gauge("kv.buckets.active", { description: "Number of open stores in this process" })

/** Counts a store until its scope closes. */
export const countActive: Effect.Effect<void, never, Scope.Scope> = Effect.acquireRelease(
  Metric.modify(active, 1),
  () => Metric.modify(active, -1)
)

/** Counts a failure to connect when a `NatsClient` is created. Failed reconnects are not counted. */
export const connectFailed: Effect.Effect<void> = Metric.update(
  Metric.counter("kv.connect.error", { description: "Number of failed connection attempts", incremental: true }),
  1
)
