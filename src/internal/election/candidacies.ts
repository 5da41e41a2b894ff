/**
 * The campaigns and leaderships of this process, for `Election.status`.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { CandidateStatus } from "../../Election.ts"
import type { Tenure } from "./tenure.ts"

/** One campaign, and the leadership that it has won. */
export interface Candidacy {
  readonly election: string
  readonly candidateId: string
  state: CandidateStatus["state"]
  since: DateTime.Utc
  lastRenewal: DateTime.Utc | undefined
  tenure: Tenure | undefined
}

/** Changes the state of a candidacy, with the time of this host. */
export const enter = (candidacy: Candidacy, state: Candidacy["state"]): Effect.Effect<void> =>
  Effect.map(DateTime.now, (now) => {
    candidacy.state = state
    candidacy.since = now
  })

export class Candidacies {
  private readonly all = new Set<Candidacy>()

  /** Adds a campaign until the scope closes. */
  add(election: string, candidateId: string): Effect.Effect<Candidacy, never, Scope.Scope> {
    return Effect.acquireRelease(
      Effect.map(DateTime.now, (since) => {
        const candidacy: Candidacy = {
          election,
          candidateId,
          state: "Campaigning",
          since,
          lastRenewal: undefined,
          tenure: undefined
        }
        this.all.add(candidacy)
        return candidacy
      }),
      (candidacy) => Effect.sync(() => this.all.delete(candidacy))
    )
  }

  readonly status: Effect.Effect<ReadonlyArray<CandidateStatus>> = Effect.sync(() =>
    Array.from(this.all, ({ candidateId, election, lastRenewal, since, state, tenure }) => {
      const left = tenure === undefined ? 0 : tenure.untilLeaseEnds
      return {
        election,
        candidateId,
        state,
        since,
        lastRenewal: Option.fromUndefinedOr(lastRenewal),
        leaseEndsIn: left > 0 ? Option.some(Duration.millis(left)) : Option.none()
      }
    })
  )
}
