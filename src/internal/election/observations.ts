/**
 * What this process has seen of every election in a bucket: one watch, however
 * many elections run on it, and an observation of each that outlives a
 * reconnect, so that a second look does not reset the time (docs/protocols/election.md, E6 and E7).
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KVEvent, KVStore } from "../../KVStore.ts"
import { forkReported } from "../fibers.ts"
import { backoff } from "../retry.ts"
import { monotonicMillis } from "../time.ts"
import { isSame, nextObservation, type Observation } from "./challenger.ts"
import { absent, electionOf, fromEntry, keyPrefix, type Seen } from "./record.ts"

/** After a failure the watch is opened again after these, with jitter. */
const shortestPause = Duration.millis(250)
const longestPause = Duration.seconds(5)

export class Observations {
  private readonly store: KVStore["Service"]
  private readonly clock: Clock.Clock
  private readonly byElection = new Map<string, Observation>()
  private readonly waiting = new Map<string, Set<() => void>>()
  /** Open while the watch has given all there is: what it has not given then is not there. */
  private readonly complete = Latch.makeUnsafe(false)
  /** The watch that `complete` speaks of: one that has ended may still be closing when the next has begun. */
  private current: object | undefined

  constructor(store: KVStore["Service"], clock: Clock.Clock) {
    this.store = store
    this.clock = clock
  }

  /** Undefined: this process has not looked yet. */
  observation(election: string): Observation | undefined {
    return this.byElection.get(election) ?? (this.complete.isOpen() ? this.see(election, absent) : undefined)
  }

  /** Milliseconds for which exactly this record has been observed, 0 for another one. */
  observedFor(election: string, seen: Seen): number {
    const known = this.byElection.get(election)
    return known !== undefined && isSame(known.seen, seen) ? monotonicMillis(this.clock) - known.since : 0
  }

  /** Waits until what is seen is no older than the watch. */
  get upToDate(): Effect.Effect<void> {
    return this.complete.await
  }

  /** Something was seen, by the watch or by a read. */
  see(election: string, seen: Seen): Observation {
    const known = this.byElection.get(election)
    const observation = nextObservation(known, seen, monotonicMillis(this.clock))
    if (observation !== known) {
      this.byElection.set(election, observation)
      // A copy: who is woken may wait again at once.
      for (const wake of Array.from(this.waiting.get(election) ?? [])) wake()
    }
    return observation
  }

  /** Waits until what is seen is no longer this. */
  changed(election: string, known: Observation | undefined): Effect.Effect<void> {
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

  /** Follows the bucket for as long as somebody needs it. */
  readonly follow: Effect.Effect<void, never, Scope.Scope> = Effect.suspend(() => {
    this.complete.closeUnsafe()
    const watch = Effect.suspend(() => {
      const inSnapshot = new Set<string>()
      this.current = inSnapshot
      this.complete.closeUnsafe()
      const onEvent = (event: KVEvent) => {
        switch (event._tag) {
          case "Put": {
            const election = electionOf(event.entry.key)
            if (!this.complete.isOpen()) inSnapshot.add(election)
            this.see(election, fromEntry(event.entry))
            return
          }
          case "Removed":
            this.see(electionOf(event.key), absent)
            return
          case "Ready":
            // What was known, or is waited for, and is in no snapshot, is not there.
            for (const election of new Set([...this.byElection.keys(), ...this.waiting.keys()])) {
              if (!this.complete.isOpen() && !inSnapshot.has(election)) this.see(election, absent)
            }
            this.complete.openUnsafe()
        }
      }
      return Stream.runForEach(this.store.watch(`${keyPrefix}.>`), (event) => Effect.sync(() => onEvent(event))).pipe(
        Effect.ensuring(Effect.sync(() => {
          if (this.current === inSnapshot) this.complete.closeUnsafe()
        }))
      )
    })
    return forkReported(
      "the elections' watch",
      watch.pipe(
        Effect.tapError((error) => Effect.logWarning("the elections' watch failed, it is opened again", error.message)),
        Effect.retry(backoff(shortestPause, longestPause))
      )
    )
  })
}
