/**
 * Metrics and spans of a store. An update of a metric costs less than a microsecond.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"
import * as Metrics from "../../Metrics.ts"
import { update } from "../metrics.ts"
import { isTraced, traced } from "../spans.ts"
import { monotonicMillis } from "../time.ts"

/**
 * How an operation ended. `miss`: a `get` found no value, or a `delete` or `purge` found another revision. `conflict`: the
 * condition of a `put` did not hold, which is part of every compare-and-set.
 */
export type OperationOutcome = "success" | "miss" | "conflict" | "error"

interface Observed<A, E> {
  readonly operation: string
  readonly key: string | undefined
  readonly run: Effect.Effect<A, E>
  readonly outcomeOf: (exit: Exit.Exit<A, E>) => OperationOutcome
}

const outcomes: ReadonlyArray<OperationOutcome> = ["success", "miss", "conflict", "error"]

/** The metrics of one operation on one bucket. */
const metersOf = (bucket: string, operation: string) => ({
  counters: new Map(
    outcomes.map((outcome) =>
      [outcome, Metric.withAttributes(Metrics.kvOperations, { bucket, operation, outcome })] as const
    )
  ),
  duration: Metric.withAttributes(Metrics.kvOperationDuration, { bucket, operation })
})

/** Milliseconds in a second: metrics of times are in seconds. */
const perSecond = 1000

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
    return Effect.withFiber(({ context }) => {
      const clock = Context.get(context, Clock.Clock)
      const began = monotonicMillis(clock)
      const counted = Effect.onExit(run, (exit) => {
        counters.get(outcomeOf(exit))!.updateUnsafe(1, context)
        duration.updateUnsafe((monotonicMillis(clock) - began) / perSecond, context)
        return Effect.void
      })
      // Asked here, so that an operation without a tracer costs nothing more.
      if (!isTraced(context)) return counted
      const attributes = () => ({ "kv.bucket": bucket, ...(key === undefined ? {} : { "kv.key": key }) })
      return traced(
        `kv.${operation}`,
        attributes,
        (exit: Exit.Exit<A, E>) => ({ "kv.outcome": outcomeOf(exit) })
      )(counted)
    })
  }
}

/** Counts the replaced consumers of watches and listings, by cause. */
export const watchRestarted = (bucket: string) => (cause: string): Effect.Effect<void> =>
  update(Metrics.kvWatchRestarts, { bucket, cause })

/** Records the age of an event, by the store's clock, when a watch emits it. */
export const watchLag = (bucket: string, clock: Clock.Clock) => {
  const lag = Metric.withAttributes(Metrics.kvWatchLag, { bucket })
  return (created: number, context: Context.Context<never>): void =>
    lag.updateUnsafe(Math.max(0, clock.currentTimeMillisUnsafe() - created) / perSecond, context)
}

/** Counts a store until its scope closes. */
export const countActive: Effect.Effect<void, never, Scope.Scope> = Effect.acquireRelease(
  Metric.modify(Metrics.kvOpenStores, 1),
  () => Metric.modify(Metrics.kvOpenStores, -1)
)
