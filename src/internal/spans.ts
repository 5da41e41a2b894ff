/**
 * Spans. They are created only if the fiber has a tracer other than the default one, which
 * discards them: a span costs several microseconds.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Tracer from "effect/Tracer"

type Attributes = { readonly [name: string]: unknown }

const defaultTracer = Context.get(Context.empty(), Tracer.Tracer)

/** Whether the fiber has a tracer that keeps spans. */
export const isTraced = (context: Context.Context<never>): boolean =>
  Context.get(context, Tracer.Tracer) !== defaultTracer

/** Runs an effect in a span. `attributesOf` adds attributes when the effect has ended. Nothing is computed without a tracer. */
export const traced = <A, E>(
  name: string,
  attributes: () => Attributes,
  attributesOf?: (exit: Exit.Exit<A, E>) => Attributes
) =>
<R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) => {
    if (!isTraced(fiber.context)) return effect
    return Effect.useSpan(name, { attributes: attributes() }, (span) => {
      const spanned = Effect.withParentSpan(effect, span)
      if (attributesOf === undefined) return spanned
      return Effect.onExit(spanned, (exit) => Effect.sync(() => annotate(span, attributesOf(exit))))
    })
  })

const annotate = (span: Tracer.Span, attributes: Attributes): void => {
  for (const [name, value] of Object.entries(attributes)) span.attribute(name, value)
}

/** A span that another fiber can end. */
export interface OpenSpan {
  readonly end: (attributes: Attributes) => Effect.Effect<void>
}

const untraced: OpenSpan = { end: () => Effect.void }

/** Starts a span that lasts until `end` is called. */
export const start = (name: string, attributes: Attributes): Effect.Effect<OpenSpan> =>
  Effect.withFiber((fiber) =>
    isTraced(fiber.context)
      ? Effect.map(Effect.makeSpan(name, { attributes }), (span) => ({
        end: (last) =>
          Effect.map(Clock.currentTimeNanos, (now) => {
            annotate(span, last)
            span.end(now, Exit.void)
          })
      }))
      : Effect.succeed(untraced)
  )

/** Runs a background effect without a parent span: it outlives the span in which it was forked. */
export const withoutParentSpan = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.withFiber((fiber) =>
    // A context of its own would stay in memory as long as the effect runs.
    Context.getOrUndefined(fiber.context, Tracer.ParentSpan) === undefined ? effect : Effect.updateContext(
      effect,
      (context: Context.Context<R>) => Context.omit(Tracer.ParentSpan)(context) as Context.Context<R>
    )
  )
