/**
 * Log lines of operation. Each line is one sentence, with its module and what it is
 * about as annotations.
 */
import * as Effect from "effect/Effect"

/** What a line is about. A field that is undefined is left out. */
export interface Subject {
  readonly bucket?: string | undefined
  readonly service?: string | undefined
  readonly instanceId?: string | undefined
  readonly election?: string | undefined
  readonly candidateId?: string | undefined
  readonly term?: number | undefined
}

/** Adds the module and what a line is about to the lines of an effect. */
export const annotate = (module: string, subject: Subject = {}) => {
  const annotations = Object.fromEntries(
    Object.entries({ module, ...subject }).filter(([, value]) => value !== undefined)
  )
  return <A, E, R>(lines: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => Effect.annotateLogs(lines, annotations)
}
