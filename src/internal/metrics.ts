/**
 * Updates of the metrics in `Metrics`.
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import type * as Scope from "effect/Scope"

type Attributes = { readonly [name: string]: string }

/** Adds to a counter, or records a value in a histogram. */
export const update = (
  metric: Metric.Counter<number> | Metric.Histogram<number>,
  attributes: Attributes,
  by = 1
): Effect.Effect<void> => Metric.update(Metric.withAttributes<number, unknown>(metric, attributes), by)

/** Adds to a series of a gauge. A series of 0 is removed. Not an effect, so that it cannot be interrupted halfway. */
export const addUnsafe = (
  metric: Metric.Gauge<number>,
  attributes: Attributes,
  by: 1 | -1,
  context: Context.Context<never>
): void => {
  const own = Metric.withAttributes(metric, attributes)
  own.modifyUnsafe(by, context)
  if (own.valueUnsafe(context).value === 0) Metric.removeUnsafe(own, context)
}
/** Removes the series of a subject that is forgotten. */
export const forget = (
  metric: Metric.Counter<number> | Metric.Histogram<number>,
  attributes: Attributes
): Effect.Effect<void> => Metric.remove(Metric.withAttributes<number, unknown>(metric, attributes))

/** A series of a gauge. */
export interface Series {
  readonly set: (value: number) => Effect.Effect<void>
  /** Sets the time now, in seconds since 1970. */
  readonly setNow: Effect.Effect<void>
}

/** A series of a gauge until the scope closes. */
export const series = (
  metric: Metric.Gauge<number>,
  attributes: Attributes
): Effect.Effect<Series, never, Scope.Scope> => {
  const own = Metric.withAttributes(metric, attributes)
  const set = (value: number) => Metric.update(own, value)
  return Effect.acquireRelease(
    Effect.succeed({
      set,
      get setNow() {
        return Effect.flatMap(Clock.currentTimeMillis, (millis) => set(millis / 1000))
      }
    }),
    () => Metric.remove(own)
  )
}
