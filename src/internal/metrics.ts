/**
 * Updates of the metrics in `Metrics`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
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

/** Chooses the published value among those of the holders. */
type Choose = (...values: ReadonlyArray<number>) => number

/** The values of the holders of each series: by registry, then by the gauge and its attributes. */
const heldValues = /* @__PURE__ */ new WeakMap<Metric.MetricRegistry, Map<string, Map<object, number>>>()

/**
 * A value in a series of a gauge. Others of this process can hold the same series: two candidates can have one name. The
 * series has the value that `choose` returns, and ends with its last holder.
 */
export class Held {
  private readonly own: Metric.Gauge<number>
  private readonly context: Context.Context<never>
  private readonly choose: Choose
  private readonly key: string
  /** Not this object: a simulated process that crashes releases nothing, and its context would be kept. */
  private readonly holder = {}

  constructor(
    metric: Metric.Gauge<number>,
    attributes: Attributes,
    context: Context.Context<never>,
    choose: Choose = Math.max
  ) {
    this.own = Metric.withAttributes(metric, attributes)
    this.context = context
    this.choose = choose
    const all = { ...Context.get(context, Metric.CurrentMetricAttributes), ...attributes }
    this.key = JSON.stringify([metric.id, Object.entries(all).toSorted(([a], [b]) => a < b ? -1 : 1)])
  }

  private get all(): Map<string, Map<object, number>> {
    const registry = Context.get(this.context, Metric.MetricRegistry)
    const known = heldValues.get(registry) ?? new Map<string, Map<object, number>>()
    heldValues.set(registry, known)
    return known
  }

  set(value: number): void {
    const { all, key } = this
    const values = all.get(key) ?? new Map<object, number>()
    all.set(key, values.set(this.holder, value))
    this.publish(values)
  }

  remove(): void {
    const { all, key } = this
    const values = all.get(key)
    if (values?.delete(this.holder) !== true) return
    if (values.size > 0) return this.publish(values)
    all.delete(key)
    Metric.removeUnsafe(this.own, this.context)
  }

  private publish(values: ReadonlyMap<object, number>): void {
    this.own.updateUnsafe(this.choose(...values.values()), this.context)
  }
}

/** A series of a gauge. */
export interface Series {
  readonly set: (value: number) => Effect.Effect<void>
  /** Sets the time now, in seconds since 1970. */
  readonly setNow: Effect.Effect<void>
}

/** A series of a gauge until the scope closes. With other holders it has the largest value, unless `choose` is given. */
export const series = (
  metric: Metric.Gauge<number>,
  attributes: Attributes,
  choose?: Choose
): Effect.Effect<Series, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.map(Effect.context<never>(), (context) => new Held(metric, attributes, context, choose)),
      (held) => Effect.sync(() => held.remove())
    ),
    (held) => {
      const set = (value: number) => Effect.sync(() => held.set(value))
      return {
        set,
        get setNow() {
          return Effect.flatMap(Clock.currentTimeMillis, (millis) => set(millis / 1000))
        }
      }
    }
  )
