/**
 * One nonce, from its first attempt to its end: every write it ever makes goes
 * through one queue and takes a number of its own, so that whoever reads the
 * record back knows which attempt landed. The rules are election.md's, "A
 * leader"; the decisions are in `lease.ts`.
 */
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Semaphore from "effect/Semaphore"
import type { LossReason } from "../../ElectionError.ts"
import type { KVStore } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import type { Metadata } from "../../ServiceInstance.ts"
import { answeredWithin, isConflict } from "../retry.ts"
import { wholeMillis } from "../time.ts"
import { ElapsedTime } from "./elapsed.ts"
import { deadline, landed, type Lease, type ReadBack, sortOut } from "./lease.ts"
import { electedRevisionOf, encode, fromRead, keyOf, type Seen, type StoredRecord } from "./record.ts"

/** An attempt is cut off after half a `renewInterval`, and after this at most: several must fit before the deadline. */
const longestAttempt = 1000

/** A failed attempt is followed by the next within half a second. */
const shortestPause = 100
const longestPause = 500

/** The clocks are sampled at least this often, so that a suspended machine is noticed. */
const longestTick = 1000

export interface TermTimings {
  /** Milliseconds, all three. */
  readonly leaseDuration: number
  readonly renewDeadline: number
  readonly renewInterval: number
}

export interface TenureOptions {
  readonly store: KVStore["Service"]
  readonly clock: Clock.Clock
  readonly election: string
  readonly candidateId: string
  readonly nonce: string
  readonly times: TermTimings
  readonly metadata: Metadata
}

/** How often a campaign that was interrupted looks again whether its last attempt has landed. */
const settleLooks = 3

/** Conditions that did not hold, and answers that did not come: what to do is decided by reading back. */
const decidedByReading = new Set(["RevisionMismatch", "KeyAlreadyExists", "OutcomeUnknown"])

/** The store will take this write neither now nor later, and has not taken it. */
const isRefusal = (error: KVStoreError): boolean => !error.isRetryable && error.reason._tag !== "OutcomeUnknown"

const pause = Effect.flatMap(
  Random.nextIntBetween(shortestPause, longestPause),
  (millis) => Effect.sleep(Duration.millis(millis))
)

/** `standing`: no attempt is known to have landed. */
type Phase = "standing" | "leading" | "releasing" | "ended"

export class Tenure {
  readonly options: TenureOptions
  readonly key: string
  readonly lost = Deferred.makeUnsafe<LossReason>()
  metadata: Metadata
  term = 0
  electedAt: DateTime.Utc = DateTime.makeUnsafe(0)
  /** The revision of the write that won: the fencing token's. */
  electedRevision: number | undefined

  private readonly elapsed: ElapsedTime
  private readonly one = Semaphore.makeUnsafe(1)
  private phase: Phase = "standing"
  private attempts = 0
  /** When each attempt that may still land was sent. */
  private readonly sent = new Map<number, number>()
  private lease: Lease | undefined
  /** What the last attempt to win was conditioned on. */
  private stoodOn: number | "nothing" = "nothing"

  constructor(options: TenureOptions) {
    this.options = options
    this.key = keyOf(options.election)
    this.metadata = options.metadata
    this.elapsed = new ElapsedTime(options.clock)
  }

  // ------------------------------------------------------------ attempts

  private get cutOff(): Duration.Duration {
    return Duration.millis(Math.min(longestAttempt, this.options.times.renewInterval / 2))
  }

  /** No request is waited for longer than an attempt. */
  bounded<A>(operation: string, effect: Effect.Effect<A, KVStoreError>): Effect.Effect<A, KVStoreError> {
    const { bucket } = this.options.store.config
    const kind = operation === "put" ? "write" : "read"
    return answeredWithin(effect, this.cutOff, { bucket, operation, key: this.key, kind })
  }

  /** The key, from the stream's leader. */
  readonly look: Effect.Effect<Seen, KVStoreError> = Effect.suspend(() =>
    Effect.map(this.bounded("get", this.options.store.get(this.key)), fromRead)
  )

  private recordOf(attempt: number, vacant: boolean): StoredRecord {
    const { candidateId, nonce, times } = this.options
    return {
      candidateId,
      nonce,
      term: this.term,
      attempt,
      leaseMillis: times.leaseDuration,
      electedAt: this.electedAt,
      ...(this.electedRevision === undefined ? {} : { electedRevision: this.electedRevision }),
      vacant,
      metadata: this.metadata
    }
  }

  /** One write with a number of its own; when it was sent is noted before it is. */
  private attempt(on: number | "nothing", vacant: boolean): Effect.Effect<void, KVStoreError> {
    return Effect.suspend(() => {
      const attempt = ++this.attempts
      const record = encode(this.recordOf(attempt, vacant))
      this.sent.set(attempt, this.elapsed.sample())
      const write = this.options.store.put(this.key, record, on === "nothing" ? { createOnly: true } : { revision: on })
      return Effect.map(this.bounded("put", write), (revision) => this.adopt(revision, attempt))
    })
  }

  private adopt(revision: number, attempt: number): void {
    this.lease = landed(this.lease, revision, this.sent.get(attempt))
    // In the same step: what has won is handed back by whoever gives up now.
    if (this.phase === "standing") {
      this.phase = "leading"
      this.electedRevision = revision
    }
    // Of several on one revision at most one lands, and what came before it cannot land any more.
    for (const earlier of this.sent.keys()) if (earlier <= attempt) this.sent.delete(earlier)
  }

  // ------------------------------------------------------------ winning

  /** Stands once. True: it won. False: it is not known to have won, look at the key. */
  stand(on: number | "nothing", term: number): Effect.Effect<boolean, KVStoreError> {
    return this.one.withPermits(1)(
      Effect.gen({ self: this }, function*() {
        this.term = term
        this.electedAt = yield* DateTime.now
        this.stoodOn = on
        yield* this.attempt(on, false)
        return true
      }).pipe(Effect.catchIf(
        (error) => decidedByReading.has(error.reason._tag) || error.isRetryable,
        () => Effect.succeed(false)
      ))
    )
  }

  /** A record that bears our nonce means that an attempt of ours has won, whatever was answered. */
  claim(seen: Seen): boolean {
    if (seen._tag !== "Held" || seen.record.nonce !== this.options.nonce) return false
    this.adopt(seen.revision, seen.record.attempt)
    this.term = seen.record.term
    this.electedAt = seen.record.electedAt
    this.electedRevision = electedRevisionOf(seen)
    return true
  }

  /** What a record that was read back after winning means. */
  meaningOf(seen: Seen): ReadBack {
    return sortOut(this.options.nonce, this.lease!, seen)
  }

  // ------------------------------------------------------------ leading

  /** Milliseconds that are left of leadership by this host's own clocks. */
  private left(): number {
    if (this.lease === undefined || this.phase === "ended") return 0
    return deadline(this.lease, this.options.times.renewDeadline) - this.elapsed.sample()
  }

  /** Milliseconds until others may lead. */
  get untilLeaseEnds(): number {
    return this.lease === undefined ? 0 : this.lease.sentAt + this.options.times.leaseDuration - this.elapsed.sample()
  }

  end(reason: LossReason): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.phase === "ended") return Effect.void
      this.phase = "ended"
      return Effect.asVoid(Deferred.succeed(this.lost, reason))
    })
  }

  readonly isValid: Effect.Effect<boolean> = Effect.suspend(() => {
    if (this.phase !== "leading") return Effect.succeed(false)
    return this.left() > 0 ? Effect.succeed(true) : Effect.as(this.end("expired"), false)
  })

  /** Ends leadership at the deadline, whatever the store does or does not answer. */
  readonly watchDeadline: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    while (this.phase !== "ended") {
      const left = this.left()
      if (left <= 0) return yield* this.end("expired")
      yield* Effect.sleep(wholeMillis(Math.min(left, longestTick)))
    }
  })

  /** Every `renewInterval`, and again within half a second where it failed. */
  readonly renewals: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    const { renewInterval } = this.options.times
    let next = this.elapsed.sample() + renewInterval
    while (this.phase !== "ended") {
      yield* Effect.sleep(wholeMillis(next - this.elapsed.sample()))
      next = this.elapsed.sample() + renewInterval
      while (!(yield* this.renew)) yield* pause
    }
  })

  /** True: there is nothing to try again. */
  private readonly renew: Effect.Effect<boolean> = Effect.suspend(() =>
    this.one.withPermits(1)(Effect.suspend(() => {
      if (this.phase !== "leading" && this.phase !== "releasing") return Effect.succeed(true)
      return Effect.catch(Effect.as(this.attempt(this.lease!.revision, false), true), (error) =>
        isConflict(error) ? this.readBack : this.missed(error))
    }))
  )

  private missed(error: KVStoreError): Effect.Effect<boolean> {
    return Effect.as(Effect.logDebug(`a renewal of "${this.options.election}" failed: ${error.message}`), false)
  }

  /** Sorts out a lost compare-and-set. True: it has landed after all, or it is over. */
  private readonly readBack: Effect.Effect<boolean> = Effect.suspend(() =>
    Effect.matchEffect(this.look, {
      onFailure: (error) => this.missed(error),
      onSuccess: (seen) => {
        const decision = this.meaningOf(seen)
        switch (decision._tag) {
          case "Adopt": {
            // The revision that was known: nobody wrote, not every conflict means that.
            const hasLanded = decision.revision !== this.lease!.revision
            this.adopt(decision.revision, decision.attempt)
            return Effect.succeed(hasLanded)
          }
          case "ReadAgain":
            return Effect.succeed(false)
          case "Over":
            return Effect.as(this.end(decision.reason), true)
        }
      }
    })
  )

  /** Writes new metadata, and goes on until an attempt with it has landed. False: leadership is over. */
  proclaim(metadata: Metadata): Effect.Effect<boolean, KVStoreError> {
    const attempt: Effect.Effect<boolean, KVStoreError> = Effect.suspend(() => {
      if (this.phase !== "leading") return Effect.succeed(false)
      this.metadata = metadata
      return Effect.catchIf(
        Effect.as(this.attempt(this.lease!.revision, false), true),
        isConflict,
        () => Effect.flatMap(this.readBack, (sorted) => sorted ? attempt : Effect.andThen(pause, attempt))
      )
    })
    return this.one.withPermits(1)(Effect.suspend(() => {
      const before = this.metadata
      return Effect.tapError(attempt, (error) =>
        Effect.sync(() => {
          // Renewals with it would be refused as well, until leadership has expired.
          if (isRefusal(error)) this.metadata = before
        }))
    }))
  }

  // ------------------------------------------------------------ releasing

  /** From here on `isValid` is false for good; the work may still be stopping, and renewals go on. */
  beginRelease(): void {
    if (this.phase === "leading") this.phase = "releasing"
  }

  /** Hands over what is held: `vacant` by compare-and-set, until it is sent or the deadline passes. */
  readonly release: Effect.Effect<void> = Effect.suspend(() => {
    if (this.phase === "ended") return Effect.void
    if (this.phase === "standing") return this.settle
    this.beginRelease()
    return this.one.withPermits(1)(this.vacate)
  })

  private readonly vacate: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    let conflicts = 0
    // A campaign that is given up may only now have learnt that it has won.
    this.beginRelease()
    while (this.phase !== "ended") {
      if (this.left() <= 0) return yield* this.end("expired")
      const outcome = yield* Effect.match(this.attempt(this.lease!.revision, true), {
        onFailure: (error) => isConflict(error) ? "conflict" : "unanswered",
        onSuccess: () => "landed"
      })
      if (outcome === "landed") return yield* this.end("resigned")
      // Our own late renewal is adopted, and the release tried once more; anything else is left alone.
      if (outcome === "conflict" && (!(yield* this.readBack) || ++conflicts > 1)) yield* pause
      if (outcome === "unanswered") yield* pause
    }
  })

  /** A campaign that ends with an attempt outstanding: what it has won after all is handed back. */
  private readonly settle: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    for (let looks = 0; this.sent.size > 0; looks++) {
      if (looks > settleLooks) {
        yield* Effect.logWarning(
          `an attempt on "${this.options.election}" was not resolved: if it lands, its lease runs out`
        )
        break
      }
      if (looks > 0) yield* Effect.sleep(Duration.millis(shortestPause))
      const seen = yield* Effect.option(this.look)
      if (Option.isNone(seen)) continue
      if (this.claim(seen.value)) return yield* this.one.withPermits(1)(this.vacate)
      // Somebody else wrote: no attempt of ours can land any more.
      if (this.stoodOn !== (seen.value._tag === "Absent" ? "nothing" : seen.value.revision)) break
    }
    yield* this.end("resigned")
  })
}
