/**
 * How long a former leader sits out: candidates with a larger `priority` value win first
 * (docs/protocols/election.md, E21).
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { monotonicMillis } from "../time.ts"
import type { Candidate } from "./campaign.ts"
import { largestPriority, leaseStep } from "./challenger.ts"
import type { Leaving, Tenure, TermTimings } from "./tenure.ts"

/** Others notice a hand-over later than the former leader, and they may lose an attempt. */
const margin = 2

/** The end of a term. */
interface Left {
  readonly why: Leaving
  /** The highest priority value of the candidates that this process knows of in the election. */
  readonly highest: number
  /** The milliseconds until the lease ends, if the record is still that of the former leader. */
  readonly leaseLeft: number | undefined
  readonly times: TermTimings
}

/** The milliseconds for which a former leader sits out. */
export const sittingOut = ({ highest, leaseLeft, times, why }: Left): number => {
  const steps = margin + (why === "resigned" ? highest : largestPriority)
  return leaseLeft === undefined
    ? steps * times.renewInterval
    : Math.max(0, leaseLeft) + steps * leaseStep(times.leaseDuration)
}

/** A leader that has left, with a hand-over that was not stored: others wait for the end of its lease. */
const leavesRecord = ({ hasExpiredInRelease, lossReason, wasHandedOver }: Tenure): boolean =>
  !wasHandedOver && (lossReason === undefined || lossReason === "resigned" || hasExpiredInRelease)

/**
 * The least time for a candidate that won and did not get to lead, in milliseconds. If it is only a little too slow, it
 * would otherwise win again and again, and nobody would lead.
 */
const inVain = ({ leaseDuration, renewInterval }: TermTimings, tenure: Tenure): number => {
  if (tenure.couldNotAnnounce) return 2 * leaseDuration
  return tenure.ledInVain ? leaseDuration + margin * renewInterval : 0
}

type Seat = Pick<Candidate, "candidateId" | "election">

const seatOf = ({ candidateId, election }: Seat): string => `${election} ${candidateId}`

/** The former leaders of one service. */
export class SittingOut {
  private readonly clock: Clock.Clock
  /** `canEnd`: the candidate has resigned, and nothing is against another term. */
  private readonly seats = new Map<string, { readonly until: number; readonly canEnd: boolean }>()

  constructor(clock: Clock.Clock) {
    this.clock = clock
  }

  /** Until when a candidate sits out, in monotonic milliseconds. */
  until(seat: Seat): number {
    return this.seats.get(seatOf(seat))?.until ?? 0
  }

  /** Forgets the candidates whose time is over. */
  forget(now: number): void {
    for (const [seat, { until }] of this.seats) if (until <= now) this.seats.delete(seat)
  }

  /** The candidate has left its term. Called again after the hand-over, from which the time counts then. */
  begin(candidate: Candidate, tenure: Tenure, highest: number): Effect.Effect<void> {
    return Effect.sync(() => {
      const now = monotonicMillis(this.clock)
      this.forget(now)
      if (!tenure.hasWon) return
      const { times } = candidate
      const { leaving: why } = tenure
      const leaseLeft = leavesRecord(tenure) ? tenure.untilLeaseEnds : undefined
      const least = inVain(times, tenure)
      const until = now + Math.max(least, sittingOut({ why, highest, leaseLeft, times }))
      this.seats.set(seatOf(candidate), { until, canEnd: why === "resigned" && least === 0 })
    })
  }

  /** Ends the wait of a candidate that has resigned. */
  readonly end = (seat: Seat): Effect.Effect<void> =>
    Effect.sync(() => {
      if (this.seats.get(seatOf(seat))?.canEnd === true) this.seats.delete(seatOf(seat))
    })
}
