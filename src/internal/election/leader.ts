/**
 * Who leads, as others see it: nobody once a record has stood still for its
 * lease.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { FencingToken } from "../../FencingToken.ts"
import type { KVStore } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import { LeaderRecord } from "../../LeaderRecord.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import type { Board } from "./board.ts"
import { electedRevisionOf, fromRead, keyOf, type Seen } from "./record.ts"

type Held = Extract<Seen, { readonly _tag: "Held" }>

/** By the store's own time, milliseconds that are left of a record's lease. */
const leftByStore = (store: KVStore["Service"], seen: Held): number =>
  seen.created.epochMilliseconds + seen.record.leaseMillis - store.clock.currentTimeMillisUnsafe()

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
  election: string
): Effect.Effect<Option.Option<LeaderRecord>, KVStoreError> =>
  Effect.gen(function*() {
    const seen = fromRead(yield* store.get(keyOf(election)))
    if (seen._tag !== "Held" || leftByStore(store, seen) < 0) return Option.none()
    return Option.some(toLeader(election, seen, yield* epochOf(store)))
  })

/** The leader now, then every change; a renewal is none. */
export const observe = (
  store: KVStore["Service"],
  clock: Clock.Clock,
  board: Board,
  election: string
): Stream.Stream<Option.Option<LeaderRecord>, KVStoreError> =>
  // What was seen before the watch was opened may be long past.
  Stream.suspend(() => Stream.fromPull(Effect.as(board.upToDate, nextChange(store, clock, board, election))))

/** Waits until the leader is another than was given last. */
const nextChange = (
  store: KVStore["Service"],
  clock: Clock.Clock,
  board: Board,
  election: string
): Effect.Effect<readonly [Option.Option<LeaderRecord>], KVStoreError> => {
  let given: Option.Option<LeaderRecord> | undefined
  let epoch: { readonly value: number; readonly nonce: string } | undefined

  /** The epoch is asked for once a term: a bucket made anew has other terms. */
  const currentEpoch = (nonce: string) =>
    epoch?.nonce === nonce
      ? Effect.succeed(epoch.value)
      : Effect.tap(epochOf(store), (value) =>
        Effect.sync(() => {
          epoch = { value, nonce }
        }))

  return Effect.gen(function*() {
    while (true) {
      const observation = board.observation(election)
      const seen = observation?.seen
      let left = Number.POSITIVE_INFINITY
      let current = Option.none<LeaderRecord>()
      if (observation !== undefined && seen?._tag === "Held") {
        left = Math.min(
          observation.since + seen.record.leaseMillis - monotonicMillis(clock),
          leftByStore(store, seen) + 1
        )
        if (left > 0) current = Option.some(toLeader(election, seen, yield* currentEpoch(seen.record.nonce)))
      }
      if (observation !== undefined && (given === undefined || !Equal.equals(given, current))) {
        given = current
        return [current]
      }
      const changed = board.changed(election, observation)
      yield* left > 0 && Number.isFinite(left)
        ? Effect.raceFirst(changed, Effect.sleep(wholeMillis(left)))
        : changed
    }
  })
}
