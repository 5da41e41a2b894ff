/**
 * Who leads, as others see it: nobody once a record has stood still for its
 * lease (docs/protocols/election.md, E24).
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
import { electedRevisionOf, fromRead, type Held, keyOf } from "./record.ts"

/** Milliseconds that are left of a record's lease: at none of them another may lead. */
const left = (store: KVStore["Service"], observations: Observations, election: string, seen: Held): number =>
  remainingLease(seen, store.clock.currentTimeMillisUnsafe(), observations.observedFor(election, seen))

const toLeader = (election: string, seen: Held, epoch: number): LeaderRecord =>
  new LeaderRecord({
    election,
    candidateId: seen.record.candidateId,
    term: seen.record.term,
    token: new FencingToken({ epoch, revision: electedRevisionOf(seen) }),
    electedAt: seen.record.electedAt,
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
    const seen = fromRead(yield* store.get(keyOf(election)))
    if (seen._tag !== "Held") return Option.none()
    const epoch = yield* epochOf(store)
    // Reading the epoch takes its time: the lease may have ended meanwhile.
    return left(store, observations, election, seen) > 0 ? Option.some(toLeader(election, seen, epoch)) : Option.none()
  })

/** The leader now, then every change; a renewal is none. */
export const observe = (
  store: KVStore["Service"],
  observations: Observations,
  election: string
): Stream.Stream<Option.Option<LeaderRecord>, KVStoreError> =>
  // What was seen before the watch was opened may be long past.
  Stream.suspend(() => Stream.fromPull(Effect.as(observations.upToDate, nextChange(store, observations, election))))

/** Waits until the leader is another than was given last. */
const nextChange = (
  store: KVStore["Service"],
  observations: Observations,
  election: string
): Effect.Effect<readonly [Option.Option<LeaderRecord>], KVStoreError> => {
  let given: Option.Option<LeaderRecord> | undefined
  let known: { readonly epoch: number; readonly nonce: string } | undefined

  /** The epoch is asked for once a term: a bucket that was recreated has other terms. */
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
      const changed = observations.changed(election, observation)
      yield* remaining > 0 ? Effect.raceFirst(changed, Effect.sleep(wholeMillis(remaining))) : changed
    }
  })
}
