/**
 * Log lines of operation. Each line is one sentence, annotated with its module and its
 * subject.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { KVStoreError } from "../KVStoreError.ts"
import { reasonOf, shortened } from "./texts.ts"
import { monotonicMillis } from "./time.ts"

/** The subject of a line. A field that is undefined is left out. */
export interface Subject {
  readonly bucket?: string | undefined
  readonly service?: string | undefined
  readonly instanceId?: string | undefined
  readonly election?: string | undefined
  readonly candidateId?: string | undefined
  readonly term?: number | undefined
}

/** The modules of the log lines. */
export type ModuleName = "Aegis" | "Election" | "KVStore" | "NatsClient" | "Registry"

/** Annotates the lines of an effect with the module and the subject. */
export const annotate = (module: ModuleName, subject: Subject = {}) => {
  const annotations = Object.fromEntries(
    Object.entries({ module, ...subject }).filter(([, value]) => value !== undefined)
  )
  return <A, E, R>(lines: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => Effect.annotateLogs(lines, annotations)
}

/** A failure that repeats for the same reason is logged this often. */
const quietFor = Duration.toMillis(Duration.minutes(1))

/** Different reasons that are remembered. Otherwise reasons that contain a time would accumulate. */
const mostReasons = 16

/** Logs a failure that repeats: once per reason and minute. */
export class Repeated {
  private loggedAt: Map<string, number> | undefined

  /** Runs `line`, unless a line for this reason is less than a minute old. */
  log(reason: string, line: Effect.Effect<void>): Effect.Effect<void> {
    return Effect.clockWith((clock: Clock.Clock) => {
      const now = monotonicMillis(clock)
      const loggedAt = this.loggedAt ??= new Map()
      const last = loggedAt.get(reason)
      if (last !== undefined && now - last < quietFor) return Effect.void
      if (loggedAt.size >= mostReasons) loggedAt.clear()
      loggedAt.set(reason, now)
      return line
    })
  }

  /** The failure has ended: its next occurrence is logged at once. Runs `line` if the failure was logged. */
  ended(line: Effect.Effect<void> = Effect.void): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.loggedAt === undefined) return Effect.void
      this.loggedAt = undefined
      return line
    })
  }
}

/** The reason of a failure that is retried, for a line: without the advice to try again, which is for callers. */
export const causeOf = (error: { readonly _tag: string; readonly message: string }): string =>
  error instanceof KVStoreError && error.reason._tag === "Unavailable"
    ? `the store cannot be reached (${error.reason.problem})`
    : error.message

/** Records that are remembered as logged. */
const mostRecords = 1000

/** Logs records that do not decode: once per record and revision, and at most 1,000 records. */
export class Undecodables {
  private readonly revisions = new Map<string, number>()
  private isFull = false

  log(key: string, revision: number, cause: unknown): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.revisions.get(key) === revision || this.isFull) return Effect.void
      if (this.revisions.size >= mostRecords && !this.revisions.has(key)) {
        this.isFull = true
        return Effect.logWarning(`more than ${mostRecords} records do not decode: further ones are not logged`)
      }
      this.revisions.set(key, revision)
      return Effect.logWarning(
        `the record ${shortened(key)} does not decode (revision ${revision}): ${reasonOf(cause)}`
      )
    })
  }
}
