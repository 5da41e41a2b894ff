/**
 * What a fleet did, recorded for the checkers: terms of leadership and their
 * work, writes to a guarded resource, registrations, and what others saw of them.
 * What the simulation knows by itself (who was stopped, who crashed, what the
 * store took) is put to it at the end.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { Leadership, LossReason } from "../Election.ts"
import { Order } from "../FencingToken.ts"
import type { FencingToken } from "../FencingToken.ts"
import type { Facts } from "../internal/simulation/models.ts"
import type {
  GuardedWrite,
  LeaderHistory,
  Life,
  Look,
  RosterHistory,
  Term,
  Trouble
} from "../internal/testing/checksModels.ts"
import type { Registration } from "../Registry.ts"
import { Simulation } from "./Simulation.ts"

type Writable<A> = { -readonly [Key in keyof A]: A[Key] }

/** How often a term's `isValid` is read while its work runs: milliseconds of its machine's. */
const shortestReading = 100
const longestReading = 1000

/**
 * Leadership that was lost, and why its leader was told so: milliseconds of true
 * time.
 *
 * @category models
 * @since 0.1.0
 */
export interface TermLoss {
  readonly election: string
  readonly node: string
  readonly reason: LossReason
  readonly at: number
}

/**
 * Records of one run.
 *
 * @category models
 * @since 0.1.0
 */
export interface History {
  /**
   * The work of a term, recorded: when it began, when it was told to stop, when it
   * had stopped; and `isValid` is read beside it again and again.
   */
  readonly term: <A, E, R>(
    node: string,
    leadership: Leadership,
    work: Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E, R>
  /**
   * A write to a resource; whether it was taken. One with a fence remembers the highest token that it has seen, and
   * refuses a lower one. One without takes everything: there a leader must know by itself that it leads.
   */
  readonly write: (
    node: string,
    resource: string,
    token: FencingToken,
    options?: { readonly fence?: boolean | undefined; readonly what?: string | undefined }
  ) => Effect.Effect<boolean>
  /** A registration, recorded until its scope closes. */
  readonly registered: <E, R>(
    node: string,
    instance: string,
    register: Effect.Effect<Registration, E, R>
  ) => Effect.Effect<Registration, E, R | Scope.Scope>
  /**
   * An instance that somebody deregisters by hand: where that succeeds with true, the life that runs then is over.
   */
  readonly deregistered: <E, R>(
    instance: string,
    deregister: Effect.Effect<boolean, E, R>
  ) => Effect.Effect<boolean, E, R>
  /** What a reader was told of a service: `service/id` each. */
  readonly look: <E, R>(
    node: string,
    service: string,
    read: Effect.Effect<ReadonlyArray<string>, E, R>
  ) => Effect.Effect<ReadonlyArray<string>, E, R>
  /** Why leadership was lost, for those terms that ended so. */
  readonly losses: Effect.Effect<ReadonlyArray<TermLoss>>
  /** For `Checks.atMostOneLeader`, and for `Checks.somebodyLeads`. */
  readonly leaders: Effect.Effect<LeaderHistory & { readonly troubles: ReadonlyArray<Trouble> }>
  /** For `Checks.noStaleWrite`. */
  readonly writes: Effect.Effect<ReadonlyArray<GuardedWrite>>
  /** For `Checks.rosterIsTrue`: of the registry in this bucket. */
  readonly roster: (bucket: string) => Effect.Effect<RosterHistory>
}

const keyPrefix = "service-instances."

const instanceOf = (key: string): string => key.slice(keyPrefix.length).replace(".", "/")

const removals = { delete: "deregistered", purge: "swept", expire: "expired" } as const

/** A process that crashed took with it what it had not ended. */
const endedBy = (crashes: Facts["crashes"], node: string, since: number): number | undefined =>
  crashes.find((crash) => crash.node === node && crash.at >= since)?.at

/** The registry's records, as its bucket took them. */
const rosterOf = (facts: Facts, bucket: string): Pick<RosterHistory, "beats" | "removals"> => {
  const ofBucket = facts.stored.filter((one) => one.bucket === bucket && one.key.startsWith(keyPrefix))
  const known = new Set(ofBucket.map(({ key }) => instanceOf(key)))
  return {
    beats: ofBucket.flatMap(({ at, key, operation }) => operation === "put" ? [{ instance: instanceOf(key), at }] : []),
    removals: [
      ...ofBucket.flatMap(({ at, key, operation }) =>
        operation === "put" ? [] : [{ instance: instanceOf(key), at, how: removals[operation] }]
      ),
      ...facts.losses.filter((loss) => loss.bucket === bucket).flatMap(({ at }) =>
        [...known].map((instance) => ({ instance, at, how: "lost" as const }))
      )
    ]
  }
}

/**
 * An empty history of the simulation that it is made in.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<History, never, Simulation> = Effect.map(Simulation, (simulation) => {
  const terms: Array<Writable<Term> & { readonly validAt: Array<number> }> = []
  const writes: Array<GuardedWrite> = []
  const lives: Array<Writable<Life>> = []
  const looks: Array<Look> = []
  const losses: Array<TermLoss> = []
  const highest = new Map<string, FencingToken>()
  const { facts, note, now } = simulation

  const record = <A, E, R>(
    term: (typeof terms)[number],
    leadership: Leadership,
    work: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> => {
    const read = Effect.gen(function*() {
      const at = yield* now
      if (yield* leadership.isValid) term.validAt.push(at)
    })
    const told = Effect.map(now, (at) => {
      term.toldToStop = at
    })
    const readings = Effect.forever(
      Effect.andThen(read, Effect.flatMap(Random.nextIntBetween(shortestReading, longestReading), Effect.sleep))
    )
    const ended = Effect.gen(function*() {
      yield* read
      term.until = yield* now
      yield* note(term.node, `the work of "${term.election}" has stopped`)
    })
    const loss = Effect.gen(function*() {
      const reason = yield* leadership.lost
      losses.push({ election: term.election, node: term.node, reason, at: yield* now })
      yield* note(term.node, `has lost "${term.election}": ${reason}`)
    })
    // Interrupted at the same time as the work, and done at once.
    const beside = Effect.onInterrupt(readings, () => told)
    return Effect.andThen(Effect.forkDetach(loss), Effect.ensuring(Effect.raceFirst(work, beside), ended))
  }

  return {
    term: (node, leadership, work) =>
      Effect.flatMap(now, (since) => {
        const { candidateId, election, token } = leadership
        const term = { election, node, candidateId, token, since, toldToStop: undefined, until: undefined, validAt: [] }
        terms.push(term)
        return Effect.andThen(
          note(node, `leads "${election}" in term ${leadership.term}, token ${token.epoch}-${token.revision}`),
          record(term, leadership, work)
        )
      }),
    write: (node, resource, token, { fence = true, what } = {}) =>
      Effect.map(now, (at) => {
        const known = highest.get(resource)
        const accepted = !fence || known === undefined || Order(token, known) >= 0
        if (accepted) highest.set(resource, token)
        writes.push({ resource, node, token, at, accepted, what })
        return accepted
      }),
    registered: (node, instance, register) =>
      Effect.gen(function*() {
        const registering = yield* now
        const life: Writable<Life> = {
          instance,
          node,
          registering,
          from: Number.POSITIVE_INFINITY,
          until: undefined,
          ended: undefined
        }
        lives.push(life)
        const close = (ended: Life["ended"]) =>
          Effect.map(now, (at) => {
            if (life.until !== undefined) return
            life.until = at
            life.from = Math.min(life.from, at)
            life.ended = ended
          })
        // Registered after it, so that it is closed before it.
        const registration = yield* Effect.onError(register, () => close("deregistered"))
        life.from = yield* now
        yield* Effect.addFinalizer(() => close("deregistered"))
        yield* Effect.forkScoped(Effect.andThen(registration.lost, close(undefined)))
        return registration
      }),
    deregistered: (instance, deregister) =>
      Effect.tap(deregister, (isGone) =>
        Effect.zipWith(now, facts, (at, { crashes }) => {
          const life = lives.findLast((one) => one.instance === instance && one.until === undefined && one.from <= at)
          // What a crashed process left is no life.
          const isLiving = life !== undefined && endedBy(crashes, life.node, life.registering!) === undefined
          if (!isGone || !isLiving) return
          life.until = at
          life.from = Math.min(life.from, at)
          life.ended = "deregistered"
        })),
    look: (node, service, read) =>
      Effect.gen(function*() {
        const from = yield* now
        const instances = yield* read
        looks.push({ node, from, until: yield* now, service, instances, how: "list" })
        return instances
      }),
    losses: Effect.sync(() => [...losses]),
    leaders: Effect.gen(function*() {
      const { crashes, stops, troubles } = yield* facts
      return {
        terms: terms.map((term) => ({ ...term, until: term.until ?? endedBy(crashes, term.node, term.since) })),
        stops,
        troubles,
        end: yield* now
      }
    }),
    writes: Effect.sync(() => [...writes]),
    roster: (bucket) =>
      Effect.gen(function*() {
        const known = yield* facts
        const end = yield* now
        return {
          ...rosterOf(known, bucket),
          lives: lives.map((life) => {
            const crashed = life.until === undefined ? endedBy(known.crashes, life.node, life.registering!) : undefined
            const until = life.until ?? crashed
            return {
              ...life,
              from: Math.min(life.from, until ?? end),
              until,
              ended: crashed === undefined ? life.ended : "crashed" as const
            }
          }),
          troubles: known.troubles,
          looks,
          end
        }
      })
  }
})
