/**
 * The running term of one nonce: its state, clocks and requests. All writes pass through one queue and are numbered,
 * so that a record that is read back shows which attempt landed (docs/protocols/election.md, E3). The decisions are
 * in `term.ts`.
 */
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Semaphore from "effect/Semaphore"
import type { LossReason } from "../../ElectionError.ts"
import type { KVStore } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import { electionRenewalDuration, electionRenewals } from "../../Metrics.ts"
import type { Metadata } from "../../ServiceInstance.ts"
import { causeOf, Repeated } from "../logs.ts"
import { update } from "../metrics.ts"
import { answeredWithin, isConflict, isRefusal } from "../retry.ts"
import { wholeMillis } from "../time.ts"
import { ElapsedTime } from "./elapsed.ts"
import { encode, fromRead, type Held, keyOf, releasing, type Seen } from "./record.ts"
import { attemptTimeout, patience, pauseBounds } from "./requests.ts"
import * as Term from "./term.ts"

/** In milliseconds. The clocks are sampled at least this often, to notice that the machine was suspended. */
export const longestTick = 1000

export interface TermTimings {
  /** All three are in milliseconds. */
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
  /** In milliseconds. How long renewals continue while the work stops (E23). */
  readonly stopTimeout: number
  /** Runs after each renewal that was stored. */
  readonly renewed: Effect.Effect<void>
}

/** How often an interrupted campaign repeats the read that resolves its last attempt, and the pause, in milliseconds. */
const settleLooks = 3
const settlePause = 100

/** Why a leader leaves its term by itself. A term that was lost counts as resigned. */
export type Leaving = "resigned" | "unhealthy" | "steppedDown"

/** Whether a failed write is known not to be stored. A conflict can be the answer to a write that was sent twice. */
const isUnwritten = (error: KVStoreError): boolean => error.reason._tag !== "OutcomeUnknown" && !isConflict(error)

/** `unknown`: the outcome must be read from the key. */
export type Attempted = "won" | "unknown"

export class Tenure {
  readonly options: TenureOptions

  private readonly key: string
  private readonly elapsed: ElapsedTime
  /** Runs one write at a time, together with the read that follows a conflict. */
  private readonly queue = Semaphore.makeUnsafe(1)
  private readonly ended = Deferred.makeUnsafe<LossReason>()
  /** The failed renewals. */
  private readonly failures = new Repeated()
  /** Whether the vacant record was stored. */
  wasHandedOver = false
  leaving: Leaving = "resigned"
  /** Whether the term has expired after the candidate had begun to hand over. */
  hasExpiredInRelease = false
  /** Whether the work of the term has been told to stop, and has not stopped. */
  isStopping = false
  /** Whether the term has expired because its work did not stop within `stopTimeout`. */
  hasStoppedTooLate = false
  /** Open once the candidate does not lead any more, although its term may not have ended. */
  private readonly releasing = Latch.makeUnsafe(false)
  private state: Term.Term = Term.watching
  /** The metadata in each attempt. */
  private metadata: Metadata
  /** The metadata of the last attempt that was answered as stored. */
  private storedMetadata: Metadata

  constructor(options: TenureOptions) {
    this.options = options
    this.key = keyOf(options.election)
    this.metadata = options.metadata
    this.storedMetadata = options.metadata
    this.elapsed = new ElapsedTime(options.clock)
  }

  // ------------------------------------------------------------ the state

  /** Waits for the end of the term and returns the reason. */
  get lost(): Effect.Effect<LossReason> {
    return Deferred.await(this.ended)
  }

  /** Waits until the candidate does not lead any more. */
  get released(): Effect.Effect<void> {
    return this.releasing.await
  }

  /** Why the term has ended. Undefined until then. */
  get lossReason(): LossReason | undefined {
    return this.state._tag === "Ended" ? this.state.reason : undefined
  }

  /** Why the candidate does not lead any more. Undefined while it leads. During a release the term has not ended. */
  get endReason(): LossReason | undefined {
    return this.state._tag === "Releasing" ? "resigned" : this.lossReason
  }

  /** Whether an attempt is known to have won. Stays true after the term has ended. */
  get hasWon(): boolean {
    return Term.holdingOf(this.state) !== undefined
  }

  /** Whether leadership can still be announced. */
  get canAnnounce(): boolean {
    return this.step(Term.canAnnounce(this.state, this.elapsed.sample(), this.options.times.renewDeadline))
  }

  /** Announces leadership. False if it is too late. */
  announce(): boolean {
    return this.step(Term.announce(this.state, this.elapsed.sample(), this.options.times.renewDeadline))
  }

  /** Whether the candidate has won, and the time for the announcement has passed without one. */
  get couldNotAnnounce(): boolean {
    return Term.couldNotAnnounce(this.state, this.elapsed.sample(), this.options.times.renewDeadline)
  }

  /** Whether the term was lost before it was announced, or before its first renewal landed. */
  get ledInVain(): boolean {
    return !this.hasExpiredInRelease && Term.wasInVain(this.state)
  }

  /**
   * Milliseconds until another candidate may lead. 0 or less if the lease has ended, if another candidate has won, or if
   * no attempt of this one has won.
   */
  get untilOthersLead(): number {
    return this.lossReason === "superseded" ? Math.min(0, this.untilLeaseEnds) : this.untilLeaseEnds
  }

  /** Milliseconds until the lease ends. 0 or less if it has ended, or if no attempt has won. */
  get untilLeaseEnds(): number {
    return Term.untilLeaseEnds(this.state, this.elapsed.sample(), this.options.times.leaseDuration)
  }

  /** Whether this candidate leads, by the clocks of this host. */
  readonly isValid: Effect.Effect<boolean> = Effect.sync(() => this.state._tag === "Leading" && this.tick() > 0)

  /**
   * The only place where the state changes. It also ends terms that were not announced, and campaigns that were given
   * up.
   */
  private become(next: Term.Term): void {
    if (this.state._tag === "Releasing" && next._tag === "Ended") {
      this.hasExpiredInRelease = next.reason === "expired"
      this.hasStoppedTooLate = this.isStopping && this.elapsed.sample() >= this.state.stopBy
    }
    this.state = next
    if (next._tag === "Releasing" || next._tag === "Ended") this.releasing.openUnsafe()
    if (next._tag === "Ended") Deferred.doneUnsafe(this.ended, Effect.succeed(next.reason))
  }

  private step<Answer>([next, answer]: Term.Step<Answer>): Answer {
    this.become(next)
    return answer
  }

  /** The remaining milliseconds until the deadline. At 0 leadership has ended. */
  private tick(): number {
    return this.step(Term.tick(this.state, this.elapsed.sample(), this.options.times.renewDeadline))
  }

  // ------------------------------------------------------------ requests

  private answered<A>(
    operation: string,
    millis: number,
    effect: Effect.Effect<A, KVStoreError>
  ): Effect.Effect<A, KVStoreError> {
    const { bucket } = this.options.store.config
    const kind = operation === "put" ? "write" : "read"
    return answeredWithin(effect, Duration.millis(millis), { bucket, operation, key: this.key, kind })
  }

  /** Limits the time of a request to the time of an attempt. */
  bounded<A>(operation: string, effect: Effect.Effect<A, KVStoreError>): Effect.Effect<A, KVStoreError> {
    return this.answered(operation, attemptTimeout(this.options.times), effect)
  }

  /** Reads the key from the stream's leader. */
  private lookWithin(millis: number): Effect.Effect<Seen, KVStoreError> {
    return Effect.suspend(() =>
      Effect.map(this.answered("get", millis, this.options.store.get(this.key, { fromLeader: true })), fromRead)
    )
  }

  /** Reads the key, for the time of an attempt. */
  get look(): Effect.Effect<Seen, KVStoreError> {
    return this.lookWithin(attemptTimeout(this.options.times))
  }

  /** Reads the key, and waits longer for the answer. */
  get patientLook(): Effect.Effect<Seen, KVStoreError> {
    return this.lookWithin(patience(this.options.times))
  }

  /** The random pause after a failed attempt (E13). */
  readonly pause: Effect.Effect<void> = Effect.suspend(() => {
    const [shortest, longest] = pauseBounds(this.options.times)
    return Effect.flatMap(Random.nextBetween(shortest, longest), (millis) => Effect.sleep(wholeMillis(millis)))
  })

  private send(write: Term.Write): Effect.Effect<void, KVStoreError> {
    const { candidateId, store, times } = this.options
    const { metadata } = this
    const { attempt, electedAt, electedRevision, on, term, vacant } = write
    const record = encode({
      candidateId,
      nonce: this.options.nonce,
      term,
      attempt,
      leaseMillis: times.leaseDuration,
      electedAt,
      ...(electedRevision === undefined ? {} : { electedRevision }),
      vacant,
      ...(this.state._tag === "Releasing" && !vacant ? { state: releasing } : {}),
      // Without metadata a hand-over fits, also if the limit of the bucket was lowered (E4).
      metadata: vacant ? {} : metadata
    })
    const put = store.put(this.key, record, on === "nothing" ? { createOnly: true } : { revision: on })
    return this.bounded("put", put).pipe(
      Effect.map((revision) => {
        this.storedMetadata = metadata
        this.become(Term.landed(this.state, write, revision))
      }),
      Effect.tapError((error) =>
        Effect.sync(() => {
          if (isUnwritten(error)) this.become(Term.refused(this.state, write))
        })
      )
    )
  }

  // ------------------------------------------------------------ winning

  /** Sends one attempt to win. `unknown` after a conflict, which decides nothing (E10). */
  stand(on: number | "nothing", term: number): Effect.Effect<Attempted, KVStoreError> {
    return this.queue.withPermits(1)(
      Effect.gen({ self: this }, function*() {
        const bid = { on, term, electedAt: yield* DateTime.now }
        const write = this.step(Term.stand(this.state, bid, this.elapsed.sample()))
        if (write._tag === "Nothing") return "unknown" as const
        yield* this.send(write)
        return "won" as const
      }).pipe(Effect.catchIf(isConflict, () => Effect.succeed("unknown" as const)))
    )
  }

  /**
   * Evaluates an observed record. A held record with our nonce means that an attempt has won, whatever the answer
   * was.
   */
  claim(seen: Seen): Attempted {
    this.step(Term.readBack(this.state, this.options.nonce, seen))
    return this.state._tag === "Leading" ? "won" : "unknown"
  }

  /** Whether leadership can be announced, by the record that was read after the win. */
  confirm(seen: Seen): Term.Confirmation {
    return this.step(Term.confirm(this.state, this.options.nonce, seen))
  }

  // ------------------------------------------------------------ leading

  /** Ends leadership at the deadline, independent of answers from the store. */
  readonly watchDeadline: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    while (true) {
      const left = this.tick()
      if (left === 0) return
      yield* Effect.sleep(wholeMillis(Math.min(left, longestTick)))
    }
  })

  /** Renews every `renewInterval`, and retries a failed renewal after a pause. */
  readonly renewals: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    const { renewInterval } = this.options.times
    let next = this.elapsed.sample() + renewInterval
    while (this.state._tag !== "Ended") {
      yield* Effect.sleep(wholeMillis(next - this.elapsed.sample()))
      next = this.elapsed.sample() + renewInterval
      while ((yield* this.renew) === "retry") yield* this.pause
    }
  })

  private readonly renew: Effect.Effect<"settled" | "retry"> = Effect.suspend(() =>
    this.queue.withPermits(1)(Effect.suspend(() => {
      const write = this.step(Term.renew(this.state, this.elapsed.sample(), this.options.times.renewDeadline))
      if (write._tag === "Nothing") return Effect.succeed("settled")
      return Effect.matchEffect(Effect.timed(this.send(write)), {
        onFailure: (error) =>
          Effect.andThen(
            this.renewed(isConflict(error) ? "conflict" : "error"),
            isConflict(error) ? this.readBack : this.missed(error)
          ),
        onSuccess: ([took]) =>
          Effect.as(Effect.andThen(this.failures.ended(this.reportKept), this.renewedAfter(took)), "settled" as const)
      })
    }))
  )

  private renewed(outcome: "success" | "conflict" | "error"): Effect.Effect<void> {
    return update(electionRenewals, { election: this.options.election, outcome })
  }

  private renewedAfter(took: Duration.Duration): Effect.Effect<void> {
    const { election } = this.options
    return this.renewed("success").pipe(
      Effect.andThen(update(electionRenewalDuration, { election }, Duration.toSeconds(took))),
      Effect.andThen(this.options.renewed)
    )
  }

  private readonly reportKept = Effect.suspend(() =>
    Effect.logInfo(`kept the leadership of "${this.options.election}": renewals are stored again`)
  )

  private missed(error: KVStoreError): Effect.Effect<"retry"> {
    // Metadata of a proclamation without an answer is too large: the next renewal must not fail for it, too (E18).
    if (error.reason._tag === "ValueTooLarge") this.metadata = this.storedMetadata
    const line = Effect.logWarning(`a renewal of "${this.options.election}" failed and is retried: ${causeOf(error)}`)
    return Effect.as(this.failures.log(error.reason._tag, line), "retry")
  }

  /** Resolves the attempts by reading the key after a conflict. */
  private readonly readBack: Effect.Effect<"settled" | "retry"> = Effect.suspend(() =>
    Effect.matchEffect(this.look, {
      onFailure: (error) => this.missed(error),
      onSuccess: (seen) =>
        Effect.suspend(() => {
          const hadEnded = this.lossReason !== undefined
          const answer = this.step(Term.readBack(this.state, this.options.nonce, seen))
          // Our vacant record has landed without an answer.
          return Effect.as(!hadEnded && this.lossReason === "resigned" ? this.handedOver : Effect.void, answer)
        })
    })
  )

  /** Writes new metadata. After a conflict it retries until an attempt has landed or leadership has ended (E18). */
  proclaim(metadata: Metadata): Effect.Effect<"landed" | "over", KVStoreError> {
    const attempt: Effect.Effect<"landed" | "over", KVStoreError> = Effect.suspend(() => {
      const write = this.step(Term.proclaim(this.state, this.elapsed.sample(), this.options.times.renewDeadline))
      if (write._tag === "Nothing") return Effect.succeed("over")
      this.metadata = metadata
      return Effect.catchIf(
        Effect.as(this.send(write), "landed" as const),
        isConflict,
        () =>
          Effect.flatMap(this.readBack, (read) => read === "settled" ? attempt : Effect.andThen(this.pause, attempt))
      )
    })
    return this.queue.withPermits(1)(Effect.suspend(() => {
      const before = this.metadata
      return Effect.tapError(attempt, (error) =>
        Effect.sync(() => {
          // Renewals with the refused metadata would be refused too, until leadership expires.
          if (isRefusal(error)) this.metadata = before
        }))
    }))
  }

  // ------------------------------------------------------------ releasing

  /** From here on `isValid` is false (E19). The work may still be stopping, and renewals continue. */
  beginRelease(why: Leaving = "resigned"): void {
    if (why !== "resigned") this.leaving = why
    this.become(Term.release(this.state, this.elapsed.sample() + this.options.stopTimeout))
  }

  /**
   * Hands leadership over: writes the vacant record by compare-and-set until it has landed or the term has ended, at
   * the deadline at the latest, unless the store refuses it for good (E20).
   */
  readonly release: Effect.Effect<void> = Effect.suspend(() => {
    this.beginRelease()
    return Effect.andThen(
      this.settle,
      Effect.suspend(() => this.state._tag === "Releasing" ? this.handOver : Effect.void)
    )
  })

  /** The vacant record was stored. */
  private readonly handedOver: Effect.Effect<void> = Effect.suspend(() => {
    this.wasHandedOver = true
    // The line of a winner that did not lead says that it hands over.
    if (!Term.hasLed(this.state)) return Effect.void
    return Effect.logInfo(`handed over the leadership of "${this.options.election}"`)
  })

  private readonly handOver: Effect.Effect<void> = Effect.suspend(() => this.queue.withPermits(1)(this.vacate))

  private readonly vacate: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    let conflicts = 0
    while (true) {
      const write = this.step(Term.vacate(this.state, this.elapsed.sample(), this.options.times.renewDeadline))
      if (write._tag === "Nothing") return
      const outcome = yield* Effect.matchEffect(this.send(write), {
        onFailure: (error) =>
          isConflict(error)
            ? Effect.succeed("conflict")
            : isRefusal(error)
            ? Effect.as(this.giveUp(error.message), "refused")
            : Effect.succeed("unanswered"),
        onSuccess: () => Effect.as(this.handedOver, "landed")
      })
      // A late renewal of our own is adopted, and the vacant record is written on its revision. Another candidate's
      // record is kept.
      if (outcome === "conflict" && ((yield* this.readBack) === "retry" || ++conflicts > 1)) yield* this.pause
      if (outcome === "unanswered") yield* this.pause
    }
  })

  /** Ends the term without a hand-over, or the campaign without its outcome. `why` is the reason in the log. */
  giveUp(why: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { election } = this.options
      const { _tag: before } = this.state
      this.become(Term.giveUp(this.state))
      switch (before) {
        case "Withdrawing":
          return Effect.logWarning(
            `the outcome of an attempt to win "${election}" is unknown (${why}): if it has won, other candidates wait until ` +
              "its lease has ended"
          )
        case "Releasing":
          return Effect.logWarning(
            `could not hand over the leadership of "${election}" (${why}): another candidate wins when its lease has ended`
          )
        default:
          return Effect.void
      }
    })
  }

  // ------------------------------------------------------------ after the end

  /** Whether the outcome of an attempt was left open. */
  get mayLandLate(): boolean {
    return Term.mayLandLate(this.state)
  }

  /** Whether an attempt that was not answered has landed, or can still land, by the state of the key. */
  lateWrite(seen: Seen): Term.LateWrite {
    return Term.lateWrite(this.state, this.options.nonce, seen)
  }

  /** Makes the record of a late write vacant, by one compare-and-set (E28). */
  handBack(seen: Held): Effect.Effect<void, KVStoreError> {
    return this.queue.withPermits(1)(Effect.suspend(() => {
      const write = this.step(Term.handBack(this.state, seen, this.elapsed.sample()))
      return write._tag === "Nothing" ? Effect.void : this.send(write)
    }))
  }

  /** Finds out whether an attempt of an interrupted campaign has won. */
  private readonly settle: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    for (let looks = 0; this.state._tag === "Withdrawing"; looks++) {
      if (looks > settleLooks) return yield* this.giveUp("no answer")
      if (looks > 0) yield* Effect.sleep(Duration.millis(settlePause))
      const seen = yield* Effect.option(this.look)
      if (Option.isSome(seen)) this.step(Term.readBack(this.state, this.options.nonce, seen.value))
    }
  })
}
