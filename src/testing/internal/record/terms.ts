/**
 * Records the history of elections: terms and their work, losses of leadership, and writes to guarded resources.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { InvalidConfig } from "../../../AegisError.ts"
import type { Leadership } from "../../../Election.ts"
import { type FencingToken, Order } from "../../../FencingToken.ts"
import { flag, optional, read, text, withDefault } from "../../../internal/options.ts"
import type { Disruption, GuardedWrite, LeaderHistory, Term } from "../../Checks.ts"
import type { TermLoss } from "../../History.ts"
import type { Facts, Simulation } from "../../Simulation.ts"

/** The bounds of the interval between two readings of `isValid`: milliseconds on the machine's clock. */
const shortestReading = 200
const longestReading = 2000

/** The time of the first crash of a node at or after `since`, which ends its terms and lifetimes. */
export const endedBy = (crashes: Facts["crashes"], node: string, since: number): number | undefined =>
  crashes.find((crash) => crash.node === node && crash.at >= since)?.at

/** One term that is being recorded. */
class Running {
  toldToStop: number | undefined
  until: number | undefined
  readonly validAt: Array<number> = []
  readonly node: string
  readonly since: number
  readonly leadership: Leadership

  constructor(node: string, since: number, leadership: Leadership) {
    this.node = node
    this.since = since
    this.leadership = leadership
  }

  term(crashes: Facts["crashes"]): Term {
    const { node, since, toldToStop, validAt } = this
    const { candidateId, election, token } = this.leadership
    const until = this.until ?? endedBy(crashes, node, since)
    return { election, node, candidateId, token, since, toldToStop, until, validAt }
  }
}

type TermSource = Pick<Simulation["Service"], "facts" | "note" | "now">

/**
 * Runs the work of a term and records readings of `isValid`, the begin of an interruption, and the end. `onLoss`
 * receives the loss of leadership when it is reported, which may be after the end of the work.
 */
const recorded = <A, E, R>(
  { note, now }: TermSource,
  term: Running,
  work: Effect.Effect<A, E, R>,
  onLoss: (loss: TermLoss) => void
): Effect.Effect<A, E, R> => {
  const { leadership, node } = term
  const { election } = leadership
  const read = Effect.gen(function*() {
    const at = yield* now
    if (yield* leadership.isValid) term.validAt.push(at)
  })
  const readings = Effect.forever(
    Effect.andThen(read, Effect.flatMap(Random.nextIntBetween(shortestReading, longestReading), Effect.sleep))
  )
  const ended = Effect.gen(function*() {
    yield* read
    term.until = yield* now
    yield* note(node, `the work of "${election}" has stopped`)
  })
  const loss = Effect.gen(function*() {
    const reason = yield* leadership.lost
    onLoss({ election, node, reason, at: yield* now })
    yield* note(node, `has lost leadership of "${election}": ${reason}`)
  })
  // Of its own fiber, the work has its own end, also if it fails while it stops.
  const run = Effect.uninterruptibleMask((restore) =>
    Effect.gen(function*() {
      const running = yield* Effect.forkChild(restore(work))
      const beside = yield* Effect.forkChild(restore(readings))
      const awaited = yield* Effect.exit(restore(Fiber.await(running)))
      if (Exit.isFailure(awaited)) term.toldToStop = yield* now
      yield* Effect.andThen(Fiber.interrupt(beside), Fiber.interrupt(running))
      return yield* yield* Fiber.await(running)
    })
  )
  return Effect.andThen(Effect.forkDetach(loss), Effect.ensuring(run, ended))
}

const writeSettings = { fence: withDefault(flag, true), what: optional(text) }

/** Simulates guarded resources and records the writes of leaders to them. */
const resources = (now: TermSource["now"]) => {
  const written: Array<GuardedWrite> = []
  const highest = new Map<string, FencingToken>()
  const write = (
    node: string,
    resource: string,
    token: FencingToken,
    options?: { readonly fence?: boolean | undefined; readonly what?: string | undefined }
  ): Effect.Effect<boolean, InvalidConfig> => {
    const asked = read("options", options, writeSettings)
    if (Result.isFailure(asked)) return Effect.fail(asked.failure)
    const { fence, what } = asked.success
    return Effect.map(now, (at) => {
      const known = highest.get(resource)
      const accepted = !fence || known === undefined || Order(token, known) >= 0
      if (accepted) highest.set(resource, token)
      written.push({ resource, node, token, at, accepted, what })
      return accepted
    })
  }
  return { write, writes: Effect.sync((): ReadonlyArray<GuardedWrite> => [...written]) }
}

export const make = (source: TermSource) => {
  const { facts, note, now } = source
  const terms: Array<Running> = []
  const losses: Array<TermLoss> = []

  const term = <A, E, R>(node: string, leadership: Leadership, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(now, (since) => {
      const { election, term: number, token } = leadership
      const running = new Running(node, since, leadership)
      terms.push(running)
      return Effect.andThen(
        note(node, `leads "${election}" in term ${number}, token ${token.epoch}-${token.revision}`),
        recorded(source, running, work, (loss) => losses.push(loss))
      )
    })

  const leaders = Effect.gen(function*() {
    const { crashes, stops, disruptions } = yield* facts
    const all = terms.map((running) => running.term(crashes))
    return { terms: all, stops, disruptions, end: yield* now } satisfies LeaderHistory & {
      readonly disruptions: ReadonlyArray<Disruption>
    }
  })

  return {
    ...resources(now),
    term,
    leaders,
    losses: Effect.sync((): ReadonlyArray<TermLoss> => [...losses])
  }
}
