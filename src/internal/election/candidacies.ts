/**
 * The campaigns and leaderships of this process as others see them: the status, the log
 * lines and the metrics of their terms. Nothing here decides who leads.
 */
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { CandidateStatus, ElectionStatus } from "../../Election.ts"
import type { LossReason } from "../../ElectionError.ts"
import { KVStoreReason } from "../../KVStoreError.ts"
import {
  electionCampaignFailures,
  electionHealthChecks,
  electionIsLeader,
  electionLastRenewal,
  electionLosses,
  electionOverruns,
  electionRenewalDuration,
  electionRenewals,
  electionTerms,
  electionWorkFailures
} from "../../Metrics.ts"
import { forkReported } from "../fibers.ts"
import { forget, type Series, series, update } from "../metrics.ts"
import { type OpenSpan, start } from "../spans.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import type { Tenure } from "./tenure.ts"

const losses: { readonly [Reason in LossReason]: string } = {
  resigned: "it resigned",
  expired: "no renewal was stored within renewDeadline",
  superseded: "another candidate has written the record",
  removed: "the record was removed"
}

/** The gauges of a candidate. */
interface Gauges {
  readonly isLeader: Series
  readonly lastRenewal: Series
}

interface Names {
  readonly election: string
  readonly candidateId: string
}

/** One campaign, and the term that it has won. */
export class Candidacy {
  private readonly names: Names
  private readonly gauges: Gauges
  private state: CandidateStatus["state"] = "Campaigning"
  private since: DateTime.Utc
  private lastRenewal: DateTime.Utc | undefined
  /** The term that was won, until its end is reported. */
  private open: { readonly tenure: Tenure; readonly term: number; readonly span: OpenSpan } | undefined

  constructor(names: Names, gauges: Gauges, since: DateTime.Utc) {
    this.names = names
    this.gauges = gauges
    this.since = since
  }

  private enter(state: CandidateStatus["state"]): Effect.Effect<void> {
    return Effect.map(DateTime.now, (now) => {
      this.state = state
      this.since = now
    })
  }

  /** Call after the win, and after each renewal that was stored. */
  readonly renewed: Effect.Effect<void> = Effect.suspend(() =>
    Effect.flatMap(DateTime.now, (now) => {
      this.lastRenewal = now
      return this.gauges.lastRenewal.setNow
    })
  )

  /** Reports the beginning of a term, and follows it until the scope closes. */
  elected(tenure: Tenure, term: number): Effect.Effect<void, never, Scope.Scope> {
    const { candidateId, election } = this.names
    const { isLeader } = this.gauges
    const attributes = { "election.name": election, "election.candidate": candidateId, "election.term": term }
    const opened = Effect.map(start("election.term", attributes), (span) => {
      this.open = { tenure, term, span }
    })
    const released = Effect.andThen(isLeader.set(0), this.enter("Releasing"))
    return Effect.all([
      opened,
      this.enter("Leading"),
      isLeader.set(1),
      update(electionTerms, { election }),
      Effect.logInfo(`elected leader of "${election}" in term ${term}`),
      forkReported("Election", `the status of "${election}"`, Effect.andThen(tenure.released, released)),
      forkReported("Election", `the end of a term of "${election}"`, Effect.andThen(tenure.lost, this.ended))
    ], { discard: true })
  }

  /** Reports the end of the term once: its scope can close before the fiber of `elected` has seen it. */
  readonly ended: Effect.Effect<void> = Effect.suspend(() => {
    const { election } = this.names
    const reason = this.open?.tenure.lossReason
    if (this.open === undefined || reason === undefined) return Effect.void
    const { span, tenure, term } = this.open
    this.open = undefined
    const counted = Effect.andThen(update(electionLosses, { election, reason }), span.end({ "election.loss": reason }))
    if (reason === "resigned") return counted
    const line = tenure.hasExpiredInRelease
      ? `could not hand over the leadership of "${election}" ${
        tenure.hasStoppedTooLate ? "because its work did not stop within stopTimeout" : "before renewDeadline"
      }: another candidate wins when its lease has ended`
      : `lost the leadership of "${election}" in term ${term}: ${losses[reason]}`
    return Effect.andThen(counted, Effect.logWarning(line))
  })

  status(tenure: Tenure): CandidateStatus {
    const { untilLeaseEnds, wasHandedOver } = tenure
    const left = wasHandedOver ? 0 : untilLeaseEnds
    return {
      ...this.names,
      state: wasHandedOver ? "Releasing" : this.state,
      since: this.since,
      lastRenewal: Option.fromUndefinedOr(this.lastRenewal),
      leaseEndsIn: left > 0 ? Option.some(wholeMillis(left)) : Option.none()
    }
  }
}

/** Starts the counters of an election at 0: rates and increases do not see the first event of a series that begins with it. */
const startCounters = (election: string): Effect.Effect<void> =>
  Effect.andThen(
    Effect.forEach(Object.keys(losses), (reason) => update(electionLosses, { election, reason }, 0), { discard: true }),
    Effect.andThen(update(electionTerms, { election }, 0), update(electionOverruns, { election }, 0))
  )

/** Removes the series of an election. Those of its candidates are removed with them. */
const removeCounters = (election: string): Effect.Effect<void> =>
  Effect.all([
    ...Object.keys(losses).map((reason) => forget(electionLosses, { election, reason })),
    ...["success", "conflict", "error"].map((outcome) => forget(electionRenewals, { election, outcome })),
    forget(electionTerms, { election }),
    forget(electionRenewalDuration, { election }),
    forget(electionOverruns, { election }),
    forget(electionWorkFailures, { election }),
    ...KVStoreReason.members.map((reason) =>
      forget(electionCampaignFailures, { election, reason: reason.fields._tag.schema.literal })
    ),
    ...["healthy", "unhealthy", "timedOut", "failed"].map((outcome) =>
      forget(electionHealthChecks, { election, outcome })
    )
  ], { discard: true })

/**
 * In milliseconds, in addition to its lease: an attempt without an answer can land after its campaign has ended, and a
 * singleton campaigns again after a pause of up to 1.2 minutes.
 */
const usedFor = 120_000

/** A campaign, and the term that it has won. */
interface Entry {
  readonly tenure: Tenure
  readonly election: string
  readonly priority: number
  /** Whether the service runs the work of the term, and can end it. */
  readonly runsWork: boolean
}

export class Candidacies {
  private readonly all = new Map<Candidacy, Entry>()
  /** Until when an election counts as in use after its last campaign, in monotonic milliseconds. */
  private readonly usedUntil = new Map<string, number>()
  /** The elections that have counters. */
  private readonly counted = new Set<string>()

  /** Whether a candidate of this service has ever campaigned. */
  haveBegun = false

  /** Whether a candidate of this service campaigns or leads. */
  standsFor(election: string): boolean {
    return Array.from(this.all.values()).some((one) => one.election === election)
  }

  /** The elections of candidates, also of those that have ended a moment ago. */
  inUse(now: number): ReadonlySet<string> {
    for (const [election, until] of this.usedUntil) if (until <= now) this.usedUntil.delete(election)
    return new Set([...this.usedUntil.keys(), ...Array.from(this.all.values(), (one) => one.election)])
  }

  /** Removes the counters of elections that are forgotten. */
  readonly forget = (elections: ReadonlyArray<string>): Effect.Effect<void> =>
    Effect.forEach(
      elections.filter((election) => this.counted.delete(election)),
      removeCounters,
      { discard: true }
    )

  /** Adds a campaign, with the tenure that `makeTenure` returns, until the scope closes. */
  readonly add = Effect.fnUntraced({ self: this }, function*(
    { candidateId, election, priority }: Names & { readonly priority: number },
    runsWork: boolean,
    makeTenure: (candidacy: Candidacy) => Tenure
  ): Effect.fn.Return<{ readonly candidacy: Candidacy; readonly tenure: Tenure }, never, Scope.Scope> {
    const attributes = { election, candidate: candidateId }
    const isLeader = yield* series(electionIsLeader, attributes)
    const lastRenewal = yield* series(electionLastRenewal, attributes)
    yield* isLeader.set(0)
    this.haveBegun = true
    this.counted.add(election)
    yield* startCounters(election)
    const candidacy = new Candidacy({ election, candidateId }, { isLeader, lastRenewal }, yield* DateTime.now)
    const tenure = makeTenure(candidacy)
    yield* Effect.acquireRelease(
      Effect.sync(() => this.all.set(candidacy, { tenure, election, priority, runsWork })),
      () =>
        Effect.sync(() => {
          this.all.delete(candidacy)
          const { clock, times } = tenure.options
          this.usedUntil.set(election, monotonicMillis(clock) + times.leaseDuration + usedFor)
        })
    )
    return { candidacy, tenure }
  })

  /** Waits until the terms whose work the service runs have ended: each ends, also if its work does not stop. */
  readonly workHasEnded: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(
      Array.from(this.all.values()).filter(({ runsWork }) => runsWork),
      ({ tenure }) => tenure.lost,
      { concurrency: "unbounded", discard: true }
    )
  )

  /** The highest priority value of the campaigns and leaderships in an election. 0 without any. */
  highestPriority(election: string): number {
    return Math.max(0, ...Array.from(this.all.values(), (one) => one.election === election ? one.priority : 0))
  }

  readonly candidates: Effect.Effect<ReadonlyArray<CandidateStatus>> = Effect.sync(() =>
    Array.from(this.all, ([candidacy, { tenure }]) => candidacy.status(tenure))
  )

  /** The part of this service in an election: that of the candidate which comes first in `order`. */
  status(election: string): Effect.Effect<ElectionStatus> {
    return Effect.map(this.candidates, (all) => {
      const own = all.filter((one) => one.election === election)
      const first = order.map((state) => own.find((one) => one.state === state)).find((one) => one !== undefined)
      return first ?? notCampaigning(election)
    })
  }
}

const order: ReadonlyArray<CandidateStatus["state"]> = ["Leading", "Releasing", "Campaigning"]

const notCampaigning = (election: string): ElectionStatus => ({ election, state: "NotCampaigning" })
