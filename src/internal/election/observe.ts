/**
 * `leader` and `observe`: the leader as observers see it. A record whose lease has ended counts as no leader
 * (docs/protocols/election.md, E24).
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { FencingToken } from "../../FencingToken.ts"
import type { KVStore } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import { LeaderRecord } from "../../LeaderRecord.ts"
import { wholeMillis } from "../time.ts"
import { remainingLease } from "./challenger.ts"
import type { Observations } from "./observations.ts"
import { electedRevisionOf, fromRead, type Held, keyOf, releasing } from "./record.ts"

/** The remaining milliseconds of the lease in a record. At 0 another candidate can lead. */
const left = (store: KVStore["Service"], observations: Observations, election: string, seen: Held): number =>
  remainingLease(seen, store.clock.currentTimeMillisUnsafe(), observations.observedFor(election, seen))

const toLeader = (election: string, seen: Held, epoch: number): LeaderRecord =>
  new LeaderRecord({
    election,
    candidateId: seen.record.candidateId,
    term: seen.record.term,
    token: new FencingToken({ epoch, revision: electedRevisionOf(seen) }),
    electedAt: seen.record.electedAt,
    state: seen.record.state === releasing ? "Releasing" : "Leading",
    metadata: seen.record.metadata
  })

const epochOf = (store: KVStore["Service"]): Effect.Effect<number, KVStoreError> =>
  Effect.map(store.status, (status) => Math.floor(status.created.epochMilliseconds))

export const leader = (
  store: KVStore["Service"],
  observations: Observations,
  election: string
): Effect.Effect<Option.Option<LeaderRecord>, KVStoreError> =>
  Effect.gen(function*() {
    const seen = fromRead(yield* store.get(keyOf(election), { fromLeader: true }))
    if (seen._tag !== "Held") return Option.none()
    const epoch = yield* epochOf(store)
    // The lease may have ended while the epoch was read.
    return left(store, observations, election, seen) > 0 ? Option.some(toLeader(election, seen, epoch)) : Option.none()
  })

/** Emits the current leader, then each change. Renewals emit nothing. */
export const observe = (
  store: KVStore["Service"],
  observations: Observations,
  election: string
): Stream.Stream<Option.Option<LeaderRecord>, KVStoreError> =>
  // Observations made before the watch was open may be outdated.
  Stream.suspend(() => Stream.fromPull(Effect.as(observations.upToDate, nextChange(store, observations, election))))

/** Waits until the leader differs from the leader that was emitted last. */
const nextChange = (
  store: KVStore["Service"],
  observations: Observations,
  election: string
): Effect.Effect<readonly [Option.Option<LeaderRecord>], KVStoreError> => {
  let given: Option.Option<LeaderRecord> | undefined
  let known: { readonly epoch: number; readonly nonce: string } | undefined

  /** Reads the epoch once per term: a recreated bucket starts a new term. */
  const currentEpoch = (nonce: string) =>
    known?.nonce === nonce
      ? Effect.succeed(known.epoch)
      : Effect.tap(epochOf(store), (epoch) =>
        Effect.sync(() => {
          known = { epoch, nonce }
        }))

  return Effect.gen(function*() {
    while (true) {
      const observation = observations.observation(election)
      const seen = observation?.seen
      let remaining = 0
      let current = Option.none<LeaderRecord>()
      if (seen?._tag === "Held") {
        const epoch = yield* currentEpoch(seen.record.nonce)
        remaining = left(store, observations, election, seen)
        if (remaining > 0) current = Option.some(toLeader(election, seen, epoch))
      }
      if (observation !== undefined && (given === undefined || !Equal.equals(given, current))) {
        given = current
        return [current]
      }
      const changed = Effect.raceFirst(observations.changed(election, observation), observations.refused)
      yield* remaining > 0 ? Effect.raceFirst(changed, Effect.sleep(wholeMillis(remaining))) : changed
    }
  })
}
