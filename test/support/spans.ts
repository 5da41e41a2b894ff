/** Collects the spans of a program. */
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"

/** Runs the program with a tracer that keeps all spans, and returns them in the order of their starts. */
export const collectSpans = <A, E, R>(program: Effect.Effect<A, E, R>): Effect.Effect<Array<Tracer.Span>, E, R> => {
  const spans: Array<Tracer.Span> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return Effect.as(Effect.withTracer(program, tracer), spans)
}
