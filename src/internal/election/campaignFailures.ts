/**
 * The failures of a campaign. Only those that cannot pass end it; all others are retried, logged and counted
 * (docs/protocols/election.md, E10).
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { KVStoreError } from "../../KVStoreError.ts"
import { electionCampaignFailures } from "../../Metrics.ts"
import { causeOf, Repeated } from "../logs.ts"
import { update } from "../metrics.ts"
import { conflictPause, isClosed, isRefusal } from "../retry.ts"
import { wholeMillis } from "../time.ts"
import { attemptTimeout } from "./requests.ts"
import type { TermTimings } from "./tenure.ts"

/** In milliseconds: the first pause after a refusal. */
const shortestPause = 100

/** In milliseconds: the longest pause while the election is free, or while the store does not answer. */
const shortPause = 500

export class CampaignFailures {
  private readonly election: string
  private readonly times: TermTimings
  private readonly reads = new Repeated()
  private readonly writes = new Repeated()
  private readonly roundTrips = new Repeated()
  private readonly unannounced = new Repeated()
  /** Answers in a row that came too late for an attempt. One alone can follow a pause of the server. */
  private slowAnswers = 0
  /** Refusals in a row. */
  private refusals = 0
  /** Whether a request of this campaign was answered: before, a missing bucket ends it. */
  private hasReached = false
  private wasRefused = false
  /** Whether the last read has failed. */
  isFailing = false

  constructor(election: string, times: TermTimings) {
    this.election = election
    this.times = times
  }

  /** Whether no later attempt of this campaign can succeed. */
  isFinal(error: KVStoreError): boolean {
    return isClosed(error) || (error.reason._tag === "BucketNotFound" && !this.hasReached)
  }

  /** A read was answered. `took` is in milliseconds. */
  answered(took: number): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { wasRefused } = this
      this.hasReached = true
      this.isFailing = false
      this.wasRefused = false
      if (wasRefused) this.refusals = 0
      // After an outage, the connection reports that it is back.
      const again = Effect.logInfo(`the candidate for "${this.election}" may read its record again`)
      const ended = this.reads.ended(wasRefused ? again : Effect.void)
      const limit = attemptTimeout(this.times)
      this.slowAnswers = took <= limit ? 0 : this.slowAnswers + 1
      return this.slowAnswers < 2
        ? ended
        : Effect.andThen(ended, this.roundTrips.log("round trip", this.tooSlow(took, limit)))
    })
  }

  private tooSlow(took: number, limit: number): Effect.Effect<void> {
    return Effect.logWarning(
      `the store answered the candidate for "${this.election}" after ${Duration.format(wholeMillis(took))}, and its ` +
        `attempts are given up after ${
          Duration.format(wholeMillis(limit))
        } (half of renewInterval, 1s at most): with a ` +
        "round trip of that time it cannot lead. Use a longer renewInterval"
    )
  }

  /** A candidate has won and does not lead, because of a failure or of what has happened to its record. */
  couldNotLead(
    failure: KVStoreError | undefined,
    what: string | undefined,
    line: Effect.Effect<void>
  ): Effect.Effect<void> {
    const { election } = this
    const reason = failure?.reason._tag
    const counted = reason === undefined ? Effect.void : update(electionCampaignFailures, { election, reason })
    return Effect.andThen(counted, this.unannounced.log(`${what} ${reason}`, line))
  }

  /** An attempt has won: the line of the term says so. */
  get succeeded(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.refusals = 0
      return this.writes.ended()
    })
  }

  /**
   * Logs and counts a failure, and returns the pause after it. The pauses after refusals grow up to a lease. `isFree`:
   * nobody leads, so the election must not wait for that long.
   */
  failed(error: KVStoreError, isFree: boolean): Effect.Effect<Effect.Effect<void>> {
    return Effect.gen({ self: this }, function*() {
      const { election, times } = this
      this.isFailing = true
      const reason = error.reason._tag
      const isRead = error.operation !== "put"
      if (isRead) this.wasRefused = isRefusal(error)
      const what = isRead
        ? `a read of the candidate for "${election}"`
        : `an attempt of the candidate for "${election}"`
      yield* update(electionCampaignFailures, { election, reason })
      yield* (isRead ? this.reads : this.writes).log(
        reason,
        Effect.logWarning(`${what} failed and is retried: ${causeOf(error)}`)
      )
      if (!isRefusal(error)) return conflictPause
      const longest = isFree ? Math.min(shortPause, times.leaseDuration) : times.leaseDuration
      const pause = Math.min(longest, shortestPause * 2 ** Math.min(this.refusals++, 30))
      const jitter = yield* Random.nextBetween(0.5, 1)
      return Effect.sleep(wholeMillis(pause * jitter))
    })
  }
}
