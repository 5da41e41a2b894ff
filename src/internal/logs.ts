/**
 * Log lines of operation. Each line is one sentence, annotated with its module and its
 * subject.
 */
import * as Effect from "effect/Effect"

/** The subject of a line. A field that is undefined is left out. */
export interface Subject {
  readonly bucket?: string | undefined
  readonly service?: string | undefined
  readonly instanceId?: string | undefined
  readonly election?: string | undefined
  readonly candidateId?: string | undefined
  readonly term?: number | undefined
}

/** Annotates the lines of an effect with the module and the subject. */
export const annotate = (module: string, subject: Subject = {}) => {
  const annotations = Object.fromEntries(
    Object.entries({ module, ...subject }).filter(([, value]) => value !== undefined)
  )
  return <A, E, R>(lines: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => Effect.annotateLogs(lines, annotations)
}
