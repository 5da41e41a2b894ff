/**
 * The observations of all elections in a bucket, by one watch. The observation of an election survives a reconnect,
 * so that observing the same record again does not restart the wait (docs/protocols/election.md, E6 and E7).
 */
import type * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KVEvent, KVStore } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import { forkReported } from "../fibers.ts"
import { annotate, causeOf, Repeated, Undecodables } from "../logs.ts"
import { backoff, isClosed, isRefusal } from "../retry.ts"
import { monotonicMillis } from "../time.ts"
import { isForgettable, isSame, nextObservation, type Observation } from "./challenger.ts"
import {
  absent,
  electionOf,
  fromEntry,
  isStepDownKey,
  keyOf,
  keyPrefix,
  type Seen,
  stepDownElectionOf,
  stepDownPrefix,
  type Vacant
} from "./record.ts"
import { StepDownRequests } from "./stepDownRequests.ts"

/** The backoff before a failed watch is reopened. It has jitter. */
const shortestPause = Duration.millis(250)
const longestPause = Duration.seconds(5)

export class Observations {
  private readonly store: KVStore["Service"]
  private readonly clock: Clock.Clock
  private readonly byElection = new Map<string, Observation>()
  private readonly waiting = new Map<string, Set<() => void>>()
  /** Open once the snapshot of the watch is complete: from then on, a key that was not delivered is absent. */
  private readonly complete = Latch.makeUnsafe(false)
  /** Fails when the connection of the store is closed: then nothing is observed any more. */
  private readonly closed = Deferred.makeUnsafe<never, KVStoreError>()
  /** Fails when the store refuses the watch. Replaced when a watch has a snapshot again. */
  private refusal = Deferred.makeUnsafe<never, KVStoreError>()
  private readonly undecodables = new Undecodables()
  /** The requests that leaders hand over. */
  readonly requests = new StepDownRequests()
  /** The watch that may close `complete`: a former watch may still be closing after the next watch has begun. */
  private current: object | undefined

  constructor(store: KVStore["Service"], clock: Clock.Clock) {
    this.store = store
    this.clock = clock
  }

  /** Undefined if the key was neither read nor delivered, and the snapshot of the watch is not complete. */
  observation(election: string): Observation | undefined {
    return this.byElection.get(election) ?? (this.complete.isOpen() ? this.see(election, absent) : undefined)
  }

  /** The milliseconds for which exactly this record has been observed. 0 for any other record. */
  observedFor(election: string, seen: Seen): number {
    const known = this.byElection.get(election)
    return known !== undefined && isSame(known.seen, seen) ? monotonicMillis(this.clock) - known.since : 0
  }

  /** Waits until the snapshot of the watch is complete. Fails if the connection is closed, or the watch refused. */
  get upToDate(): Effect.Effect<void, KVStoreError> {
    return Effect.raceFirst(this.complete.await, Effect.raceFirst(Deferred.await(this.closed), this.refused))
  }

  /** Whether the store has refused the watch since its last snapshot: candidates must read. */
  get isRefused(): boolean {
    return Deferred.isDoneUnsafe(this.refusal)
  }

  /** Fails when the store refuses the watch. */
  get refused(): Effect.Effect<never, KVStoreError> {
    return Deferred.await(this.refusal)
  }

  /** Ends the streams of observers, and wakes the candidates, which read more often from now on. */
  private refuse(error: KVStoreError): void {
    if (this.isRefused) return
    Deferred.doneUnsafe(this.refusal, Effect.fail(error))
    for (const waiting of Array.from(this.waiting.values())) for (const wake of Array.from(waiting)) wake()
  }

  private allow(): void {
    if (this.isRefused) this.refusal = Deferred.makeUnsafe()
  }

  /** Takes in the state of a key, from the watch or from a read. */
  see(election: string, seen: Seen): Observation {
    const known = this.byElection.get(election)
    const observation = nextObservation(known, seen, monotonicMillis(this.clock))
    if (observation !== known) {
      this.byElection.set(election, observation)
      // A copy, because a waiter may register again as soon as it is woken.
      for (const wake of Array.from(this.waiting.get(election) ?? [])) wake()
    }
    return observation
  }

  /** The elections that were observed vacant, with their records. */
  get vacant(): ReadonlyMap<string, Vacant> {
    const found = new Map<string, Vacant>()
    for (const [election, { seen }] of this.byElection) if (seen._tag === "Vacant") found.set(election, seen)
    return found
  }

  /** Forgets the elections without a record and without a leader that may be valid, and returns their names. */
  forget(isInUse: (election: string) => boolean): ReadonlyArray<string> {
    const now = monotonicMillis(this.clock)
    const forgotten: Array<string> = []
    for (const [election, observation] of this.byElection) {
      if (isForgettable(observation, now) && !this.waiting.has(election) && !isInUse(election)) forgotten.push(election)
    }
    for (const election of forgotten) this.byElection.delete(election)
    return forgotten
  }

  /** Takes in the state of a key, and logs a record that cannot be decoded. */
  seen(election: string, seen: Seen): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.see(election, seen)
      if (seen._tag !== "Undecodable") return Effect.void
      const { cause, revision } = seen
      const { bucket } = this.store.config
      return annotate("Election", { bucket, election })(this.undecodables.log(keyOf(election), revision, cause))
    })
  }

  /**
   * Waits until the observation differs from `known`, or until the store refuses the watch. Fails if the connection of
   * the store is closed.
   */
  changed(election: string, known: Observation | undefined): Effect.Effect<void, KVStoreError> {
    return Effect.raceFirst(this.differs(election, known), Deferred.await(this.closed))
  }

  private differs(election: string, known: Observation | undefined): Effect.Effect<void> {
    return Effect.callback<void>((resume) => {
      if (this.byElection.get(election) !== known) return resume(Effect.void)
      const waiting = this.waiting.get(election) ?? new Set()
      this.waiting.set(election, waiting)
      const forget = () => {
        waiting.delete(wake)
        if (waiting.size === 0 && this.waiting.get(election) === waiting) this.waiting.delete(election)
      }
      const wake = () => {
        forget()
        resume(Effect.void)
      }
      waiting.add(wake)
      return Effect.sync(forget)
    })
  }

  /** Follows the bucket until the scope is closed. */
  readonly follow: Effect.Effect<void, never, Scope.Scope> = Effect.suspend(() => {
    this.complete.closeUnsafe()
    // The right may be back since the last watch.
    this.allow()
    const watch = Effect.suspend(() => {
      const inSnapshot = new Set<string>()
      this.current = inSnapshot
      this.complete.closeUnsafe()
      const onEvent = (event: KVEvent) => {
        switch (event._tag) {
          case "Put": {
            const { key, value } = event.entry
            if (isStepDownKey(key)) return Effect.sync(() => this.requests.see(stepDownElectionOf(key), value))
            const election = electionOf(key)
            if (!this.complete.isOpen()) inSnapshot.add(election)
            return this.seen(election, fromEntry(event.entry))
          }
          case "Removed":
            if (isStepDownKey(event.key)) {
              return Effect.sync(() => this.requests.see(stepDownElectionOf(event.key), undefined))
            }
            return this.seen(electionOf(event.key), absent)
          case "Ready":
            // An election that is known or waited for, but missing from the snapshot, is absent.
            for (const election of new Set([...this.byElection.keys(), ...this.waiting.keys()])) {
              if (!this.complete.isOpen() && !inSnapshot.has(election)) this.see(election, absent)
            }
            this.allow()
            this.complete.openUnsafe()
        }
        return Effect.void
      }
      return Stream.runForEach(
        this.store.watch([`${keyPrefix}.>`, `${stepDownPrefix}.>`]),
        (event) => Effect.suspend(() => onEvent(event))
      )
        .pipe(
          Effect.ensuring(Effect.sync(() => {
            if (this.current === inSnapshot) this.complete.closeUnsafe()
          }))
        )
    })
    const failures = new Repeated()
    return forkReported(
      "Election",
      "the watch of elections",
      watch.pipe(
        Effect.tapError((error) => {
          if (isClosed(error)) return Effect.void
          if (isRefusal(error)) this.refuse(error)
          return failures.log(
            error.reason._tag,
            annotate("Election", { bucket: this.store.config.bucket })(
              Effect.logWarning(`the watch of elections failed and is reopened: ${causeOf(error)}`)
            )
          )
        }),
        Effect.retry({ while: (error) => !isClosed(error), schedule: backoff(shortestPause, longestPause) }),
        Effect.catch((error) => Deferred.fail(this.closed, error))
      )
    )
  })
}
