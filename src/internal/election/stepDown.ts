/**
 * Asks the leader of an election to hand over, from any process, and honours such requests in the leader
 * (docs/protocols/election.md, E30).
 */
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { StepDownTimeout } from "../../ElectionError.ts"
import type { KVStore } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import { makeNonce, ProcessName } from "../identity.ts"
import { annotate, causeOf, Repeated } from "../logs.ts"
import { answeredWithin, conflictPause, isConflict, isRefusal } from "../retry.ts"
import { quoted } from "../texts.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import { type Observation, standing } from "./challenger.ts"
import type { Observations } from "./observations.ts"
import { encode as encodeRecord, fromRead, keyOf, leaseFor, type Seen, stepDownKeyOf } from "./record.ts"
import { encode, type StepDownRequest } from "./stepDownRequests.ts"
import type { Tenure } from "./tenure.ts"

// -----------------------------------------------------------------------------
// the leader
// -----------------------------------------------------------------------------

/** Reads the request about once per lease, in case the watch is silent without failing. */
const readRequests = (observations: Observations, tenure: Tenure): Effect.Effect<never> =>
  Effect.gen(function*() {
    const { candidateId, election, store, times } = tenure.options
    const failures = new Repeated()
    const read = Effect.matchEffect(store.get(stepDownKeyOf(election), { fromLeader: true }), {
      onFailure: (error) =>
        // The renewals report that the store is away.
        isRefusal(error)
          ? failures.log(
            error.reason._tag,
            annotate("Election", { election, candidateId })(
              Effect.logWarning(`requests to step down from "${election}" cannot be read: ${causeOf(error)}`)
            )
          )
          : Effect.void,
      onSuccess: (entry) => Effect.sync(() => observations.requests.see(election, Option.getOrUndefined(entry)?.value))
    })
    while (true) {
      const factor = yield* Random.nextBetween(0.8, 1.2)
      yield* Effect.sleep(wholeMillis(factor * times.leaseDuration))
      yield* read
    }
  })

/** Waits until this leader is asked to hand over. */
export const askedToStepDown = (observations: Observations, tenure: Tenure): Effect.Effect<StepDownRequest> => {
  const { election, nonce } = tenure.options
  return Effect.raceFirst(observations.requests.requested(election, nonce), readRequests(observations, tenure))
}

// -----------------------------------------------------------------------------
// the process that asks
// -----------------------------------------------------------------------------

interface Asking {
  readonly store: KVStore["Service"]
  readonly clock: Clock.Clock
  readonly observations: Observations
  readonly election: string
  readonly by: string
}

/** A shorter `timeout` limits the wait for the hand-over, and not the requests. */
const shortestRequest = Duration.seconds(1)

/** In milliseconds. The longest default of `timeout`. */
const longestDefault = Duration.toMillis(Duration.minutes(1))

const read = ({ election, observations, store }: Asking): Effect.Effect<Observation, KVStoreError> =>
  Effect.flatMap(store.get(keyOf(election), { fromLeader: true }), (entry) => {
    const seen = fromRead(entry)
    return Effect.map(observations.seen(election, seen), () => observations.see(election, seen))
  })

/** A record of a leader: of one that is known by its nonce, or of one that cannot be decoded. */
type Holder = Extract<Seen, { readonly _tag: "Held" | "Undecodable" }>

const isHolder = (seen: Seen): seen is Holder => seen._tag === "Held" || seen._tag === "Undecodable"

/** Whether the leader that was asked still leads. Another one is not asked. */
const stillLeads = (asked: Holder, seen: Seen): boolean =>
  asked._tag === "Held"
    ? seen._tag === "Held" && seen.record.nonce === asked.record.nonce
    : seen._tag === "Undecodable" && seen.revision === asked.revision

/** When this process has observed the record unchanged for the whole lease, in monotonic milliseconds. */
const endOfLease = (observation: Observation): number =>
  standing(observation, { leaseDuration: 0, renewInterval: 0, priority: 0 }).at

const request = (
  { by, election, store }: Asking,
  nonce: string,
  limit: Duration.Duration
): Effect.Effect<void, KVStoreError> => {
  const key = stepDownKeyOf(election)
  const { bucket } = store.config
  return Effect.flatMap(DateTime.now, (requestedAt) => store.put(key, encode({ nonce, requestedAt, by })))
    .pipe(
      (put) => answeredWithin(put, limit, { bucket, operation: "put", key, kind: "write" }),
      Effect.asVoid,
      // It may have been stored: the leader shows it.
      Effect.catchIf((error) => error.reason._tag === "OutcomeUnknown", () => Effect.void)
    )
}

/** Makes the record of a leader that has not renewed for its whole lease vacant. False after a conflict. */
const vacate = ({ by, election, store }: Asking, { seen, term }: Observation & { readonly seen: Holder }) =>
  Effect.gen(function*() {
    const nonce = yield* makeNonce
    const now = yield* DateTime.now
    const record = seen._tag === "Held"
      ? { ...seen.record, electedRevision: seen.record.electedRevision ?? seen.revision }
      : { term, leaseMillis: leaseFor(seen.leaseMillis ?? 1), electedAt: now }
    const vacant = encodeRecord({ ...record, candidateId: by, nonce, attempt: 1, vacant: true, metadata: {} })
    yield* store.put(keyOf(election), vacant, { revision: seen.revision })
    const who = seen._tag === "Held" ? `its leader ${quoted(seen.record.candidateId)}` : "its leader"
    yield* Effect.logWarning(
      `freed "${election}": ${who} has not renewed for its whole lease, and its work may still run`
    )
    return true
  }).pipe(Effect.catchIf(
    (error) => isConflict(error) || error.reason._tag === "OutcomeUnknown",
    () => Effect.as(conflictPause, false)
  ))

/** Waits until the leader that was asked does not lead any more. */
const awaitHandOver = (asking: Asking, asked: Holder): Effect.Effect<void, KVStoreError> =>
  Effect.gen(function*() {
    const { clock, election, observations } = asking
    while (true) {
      const observation = observations.observation(election) ?? (yield* read(asking))
      const { seen } = observation
      if (!isHolder(seen) || !stillLeads(asked, seen)) return
      const left = endOfLease(observation) - monotonicMillis(clock)
      if (left <= 0) {
        if (yield* vacate(asking, { ...observation, seen })) return
        yield* read(asking)
        continue
      }
      const again = Effect.sleep(wholeMillis(Math.min(left, longestDefault / 12)))
      const woken = yield* Effect.raceFirst(
        Effect.as(observations.changed(election, observation), true),
        Effect.as(again, false)
      )
      // In case the watch is silent without failing.
      if (!woken) yield* read(asking)
    }
  })

/** Asks exactly the current leader to hand over. False if nobody leads. */
export const stepDown = (
  { clock, followed, store }: {
    readonly store: KVStore["Service"]
    readonly clock: Clock.Clock
    readonly followed: Effect.Effect<Observations, never, Scope.Scope>
  },
  election: string,
  timeout: Duration.Duration | undefined
): Effect.Effect<boolean, KVStoreError | StepDownTimeout> =>
  Effect.scoped(Effect.gen(function*() {
    const observations = yield* followed
    const asking: Asking = { store, clock, observations, election, by: yield* ProcessName }
    const { bucket } = store.config
    const requestLimit = Duration.max(timeout ?? Duration.millis(longestDefault), shortestRequest)
    const observation = yield* answeredWithin(read(asking), requestLimit, {
      bucket,
      operation: "get",
      key: keyOf(election),
      kind: "read"
    })
    const { seen } = observation
    if (!isHolder(seen)) return false
    const lease = endOfLease(observation) - observation.since
    const limit = timeout ?? wholeMillis(Math.min(2 * lease, longestDefault))
    if (seen._tag === "Held") yield* request(asking, seen.record.nonce, requestLimit)
    const handedOver = yield* Effect.timeoutOption(Effect.result(awaitHandOver(asking, seen)), limit)
    if (Option.isSome(handedOver)) return yield* Effect.as(Effect.fromResult(handedOver.value), true)
    const since = observations.observation(election)?.since ?? observation.since
    return yield* new StepDownTimeout({
      candidateId: seen._tag === "Held" ? seen.record.candidateId : undefined,
      timeoutMillis: Duration.toMillis(limit),
      unchangedMillis: Math.max(0, Math.round(monotonicMillis(clock) - since))
    })
  }))
