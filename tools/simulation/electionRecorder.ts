/** Records what happens in the scenario of elections, for its checks. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { Leadership } from "../../src/Election.ts"
import type { Facts, Simulation } from "../../src/testing/Simulation.ts"
import type { Call, Candidate, ElectionHistory, HealthCheck, Life, Line, Work } from "./electionHistory.ts"

export type Recorded = Pick<
  ElectionHistory,
  "calls" | "candidates" | "end" | "healthChecks" | "lines" | "lives" | "works"
>

/** The bounds of the interval between two readings of `isValid`: milliseconds on the machine's clock. */
const shortestReading = 200
const longestReading = 2000

interface Running {
  readonly call: Call
  readonly leadership: Leadership
  readonly since: number
  readonly validAt: Array<number>
  until: number | undefined
  ended: Work["ended"]
}

const wasInterrupted = (cause: Cause.Cause<unknown>): boolean =>
  cause.reasons[0] === undefined || Cause.isInterruptReason(cause.reasons[0])

export type Recorder = ReturnType<typeof recorderOf>

type Source = Pick<Simulation["Service"], "note" | "now">

/** Runs the work of a term, and records it until the finalizers of its scope have run. */
const recordWork = <A, E, R>(
  { note, now }: Source,
  running: Running,
  manner: string,
  work: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R | Scope.Scope> =>
  Effect.gen(function*() {
    const { call: { candidate: { election, life } }, leadership } = running
    yield* note(life.node, `runs the work of "${election}" in term ${leadership.term}, which ends ${manner}`)
    const read = Effect.gen(function*() {
      const at = yield* now
      if (yield* leadership.isValid) running.validAt.push(at)
    })
    const readings = yield* Effect.forkDetach(
      Effect.forever(
        Effect.andThen(read, Effect.flatMap(Random.nextIntBetween(shortestReading, longestReading), Effect.sleep))
      )
    )
    // The first finalizer of the scope runs last.
    yield* Effect.addFinalizer(() =>
      Effect.gen(function*() {
        yield* Fiber.interrupt(readings)
        running.until = yield* now
        yield* note(life.node, `the work of "${election}" has stopped (${running.ended})`)
      })
    )
    return yield* Effect.onExit(work, (exit) =>
      Effect.sync(() => {
        running.ended = Exit.isFailure(exit) && wasInterrupted(exit.cause) ? "interrupted" : "itself"
      }))
  })

export const recorderOf = (source: Source) => {
  const { note, now } = source
  const lives: Array<Life> = []
  const candidates: Array<Candidate> = []
  const calls: Array<Call> = []
  const healthChecks: Array<HealthCheck> = []
  const lines: Array<Line> = []
  const works: Array<Running> = []
  const set = (act: (at: number) => void) => Effect.map(now, act)

  const workOf = ({ call, ended, leadership, since, until, validAt }: Running, crashes: Facts["crashes"]): Work => {
    const { candidate } = call
    const { election, life: { node } } = candidate
    const crashed = until === undefined ? crashes.find((one) => one.node === node && one.at >= since)?.at : undefined
    return {
      candidate,
      call,
      ended: until === undefined ? undefined : ended,
      election,
      node,
      candidateId: leadership.candidateId,
      token: leadership.token,
      since,
      toldToStop: undefined,
      until: until ?? crashed,
      validAt
    }
  }

  return {
    life: (node: string): Effect.Effect<Life> =>
      Effect.map(now, (from) => {
        const life: Life = { node, number: lives.length, from, closing: undefined, until: undefined }
        lives.push(life)
        return life
      }),
    closing: (life: Life) =>
      set((at) => {
        life.closing = at
      }),
    ended: (life: Life) =>
      set((at) => {
        life.until = at
      }),
    candidate: (candidate: Candidate): void => void candidates.push(candidate),
    call: (candidate: Candidate): Effect.Effect<Call> =>
      Effect.map(now, (from) => {
        const call: Call = { candidate, from, until: undefined, outcome: undefined }
        calls.push(call)
        return call
      }),
    called: (call: Call, outcome: NonNullable<Call["outcome"]>) =>
      set((at) => {
        call.until = at
        call.outcome = outcome
      }),
    work: <A, E, R>(call: Call, leadership: Leadership, manner: string, work: Effect.Effect<A, E, R>) =>
      Effect.flatMap(now, (since) => {
        const running: Running = { call, leadership, since, validAt: [], until: undefined, ended: undefined }
        works.push(running)
        return recordWork(source, running, manner, work)
      }),
    healthCheck: (
      call: Call,
      isInterruptible: boolean,
      check: (check: HealthCheck) => Effect.Effect<boolean>
    ): Effect.Effect<boolean> =>
      Effect.flatMap(now, (from) => {
        const one: HealthCheck = { call, from, until: undefined, isInterruptible, answer: undefined }
        healthChecks.push(one)
        return Effect.ensuring(
          check(one),
          set((at) => {
            one.until = at
          })
        )
      }),
    line: (life: Life, { election, kind }: Pick<Line, "election" | "kind">): void =>
      void lines.push({ at: Effect.runSync(now), life, election, kind }),
    note,
    recorded: (crashes: Facts["crashes"]): Effect.Effect<Recorded> =>
      Effect.map(now, (end) => {
        for (const life of lives) {
          life.until ??= crashes.find((one) => one.node === life.node && one.at >= life.from)?.at
        }
        return {
          lives,
          candidates,
          calls,
          healthChecks,
          lines,
          works: works.map((running) => workOf(running, crashes)),
          end
        }
      })
  }
}
