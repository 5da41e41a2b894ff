/**
 * Forgets elections, and removes the records of those that had no leader for a long time: names of jobs and orders are
 * used once (docs/protocols/election.md, E29).
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import type { KVStore } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import { annotate, causeOf, Repeated } from "../logs.ts"
import { isClosed, isConflict } from "../retry.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import type { CampaignServices } from "./campaign.ts"
import type { Observations } from "./observations.ts"
import { fromRead, keyOf, stepDownKeyOf, termKeyOf, type Vacant } from "./record.ts"

/** In milliseconds. Runs are a 24th of `removeVacantAfter` apart, this at most. */
const longestInterval = Duration.toMillis(Duration.hours(1))

/** In milliseconds. The time in which a run waits for the watch of a service without a candidate. */
const longestWait = Duration.toMillis(Duration.seconds(10))

/** The pause between two removals: about 80 requests per second. */
const pause = Effect.sleep(Duration.millis(50))

export interface Upkeep {
  readonly services: CampaignServices
  readonly followed: Effect.Effect<Observations, never, Scope.Scope>
  readonly removeVacantAfter: Duration.Duration
}

/** Removes a key if it still has the value that was read. */
const removeRead = (store: KVStore["Service"], key: string) =>
  Effect.flatMap(
    store.get(key, { fromLeader: true }),
    Option.match({ onNone: () => Effect.void, onSome: ({ revision }) => store.delete(key, { revision }) })
  )

/**
 * Removes the record of an election if it is still the one that was observed. The order matters: `term` is read before
 * the record, so a leader that wins later has not written the `term` that is removed; and a request to resign is for a
 * leader before the removal.
 */
const remove = (
  { candidacies, store }: CampaignServices,
  election: string,
  observed: Vacant
): Effect.Effect<boolean, KVStoreError> =>
  Effect.gen(function*() {
    const term = yield* store.get(termKeyOf(election), { fromLeader: true })
    const seen = fromRead(yield* store.get(keyOf(election), { fromLeader: true }))
    if (seen._tag !== "Vacant" || seen.revision !== observed.revision || candidacies.standsFor(election)) return false
    if (Option.isSome(term)) yield* store.delete(termKeyOf(election), { revision: term.value.revision })
    yield* store.delete(keyOf(election), { revision: seen.revision })
    yield* removeRead(store, stepDownKeyOf(election))
    return true
  }).pipe(Effect.catchIf(isConflict, () => Effect.succeed(false)))

/** The revisions that the user of the connection may not remove, by election. */
type Denied = Map<string, number>

/** The vacant records that are old enough, by the store's clock, in random order. */
const expired = (
  { candidacies, observations, store }: CampaignServices,
  removeVacantAfter: Duration.Duration,
  denied: Denied
): Effect.Effect<ReadonlyArray<readonly [election: string, observed: Vacant]>> =>
  Effect.suspend(() => {
    const before = store.clock.currentTimeMillisUnsafe() - Duration.toMillis(removeVacantAfter)
    const { vacant } = observations
    for (const election of denied.keys()) if (!vacant.has(election)) denied.delete(election)
    return Random.shuffle(
      Array.from(vacant).filter(([election, { created, revision }]) =>
        created.epochMilliseconds <= before && denied.get(election) !== revision && !candidacies.standsFor(election)
      )
    )
  })

/** Whether a record was observed last. Another process may have removed it, or a candidate has won. */
const isObserved = ({ observations }: CampaignServices, election: string, { revision }: Vacant): boolean => {
  const seen = observations.observation(election)?.seen
  return seen?._tag === "Vacant" && seen.revision === revision
}

const removeExpired = Effect.fnUntraced(function*(
  services: CampaignServices,
  removeVacantAfter: Duration.Duration,
  denied: Denied
) {
  let removed = 0
  const report = Effect.suspend(() =>
    removed === 0 ? Effect.void : Effect.logInfo(
      `removed the records of ${removed} elections without a leader for ${Duration.format(removeVacantAfter)}`
    )
  )
  const removeNext = ([election, observed]: readonly [string, Vacant]) =>
    Effect.suspend(() => {
      if (!isObserved(services, election, observed)) return Effect.void
      const removal = Effect.map(remove(services, election, observed), (isRemoved) => {
        if (isRemoved) removed++
      }).pipe(Effect.catchIf(({ reason }) => reason._tag === "PermissionDenied", (error) => {
        denied.set(election, observed.revision)
        return Effect.logDebug(`the record of "${election}" is left to other processes: ${causeOf(error)}`)
      }))
      return Effect.andThen(removal, pause)
    })
  const all = yield* expired(services, removeVacantAfter, denied)
  yield* Effect.ensuring(Effect.forEach(all, removeNext, { discard: true }), report)
})

/** What a service remembers between runs. */
interface Memory {
  readonly failures: Repeated
  readonly denied: Denied
}

/** Removes records, if this service has candidates, and forgets elections. */
const run = (
  { followed, removeVacantAfter, services }: Upkeep,
  { denied, failures }: Memory
): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { candidacies, clock, lateWrites, observations, sittingOut } = services
    if (candidacies.haveBegun) {
      yield* Effect.gen(function*() {
        const { upToDate } = yield* followed
        const isCurrent = yield* Effect.timeoutOption(upToDate, Duration.millis(longestWait))
        if (Option.isSome(isCurrent)) yield* removeExpired(services, removeVacantAfter, denied)
      }).pipe(
        Effect.scoped,
        Effect.catch((error) =>
          // A closed connection is reported by the candidates.
          isClosed(error) ? Effect.never : failures.log(
            error.reason._tag,
            Effect.logWarning(`the records of elections without a leader could not be removed: ${causeOf(error)}`)
          )
        )
      )
    }
    const now = monotonicMillis(clock)
    const inUse = candidacies.inUse(now)
    sittingOut.forget(now)
    yield* candidacies.forget(observations.forget((election) => inUse.has(election) || lateWrites.isOpen(election)))
  })

/** Runs at random times, so that the processes of a fleet share the work. */
export const upkeep = (options: Upkeep): Effect.Effect<never> =>
  Effect.suspend(() => {
    const memory: Memory = { failures: new Repeated(), denied: new Map() }
    const interval = Math.min(Duration.toMillis(options.removeVacantAfter) / 24, longestInterval)
    return Random.nextBetween(0.5, 1.5).pipe(
      Effect.flatMap((factor) => Effect.sleep(wholeMillis(factor * interval))),
      Effect.andThen(run(options, memory)),
      Effect.forever
    )
  }).pipe(annotate("Election", { bucket: options.services.store.config.bucket }))
