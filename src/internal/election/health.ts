/**
 * The health of a candidate: its check runs once per `renewInterval`, also while the candidate waits, so that no attempt to
 * win waits for an answer (docs/protocols/election.md, E22).
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Latch from "effect/Latch"
import * as Scope from "effect/Scope"
import { electionHealthChecks, electionIsHealthy } from "../../Metrics.ts"
import { forkReported } from "../fibers.ts"
import { type Answer, causeOf, makeHealthCheck, outcomeOf } from "../healthCheck.ts"
import { annotate } from "../logs.ts"
import { type Series, series, update } from "../metrics.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import type { Candidate } from "./campaign.ts"

export interface Health {
  /** Waits for the first answer. */
  readonly answered: Effect.Effect<void>
  /** Whether the last answer was true. */
  readonly isHealthy: () => boolean
  /** Waits until an answer is true. */
  readonly recovered: Effect.Effect<void>
  /** Waits until `healthFailures` checks in a row have failed. */
  readonly hasFailed: Effect.Effect<void>
  /** Ends the checks. */
  readonly end: Effect.Effect<void>
}

/** The health of a candidate without a check. */
const always: Health = {
  answered: Effect.void,
  isHealthy: () => true,
  recovered: Effect.void,
  hasFailed: Effect.never,
  end: Effect.void
}

type Checked = Pick<Candidate, "candidateId" | "election" | "healthFailures">

/** The answers of the checks so far. */
class Answers {
  private readonly candidate: Checked
  private readonly gauge: Series
  private failures = 0
  readonly answered = Latch.makeUnsafe(false)
  /** Open while the last answer is true. */
  readonly healthy = Latch.makeUnsafe(false)
  /** Open from the `healthFailures`th failure in a row until the next success. */
  readonly failed = Latch.makeUnsafe(false)

  constructor(candidate: Checked, gauge: Series) {
    this.candidate = candidate
    this.gauge = gauge
  }

  take(answer: Answer): Effect.Effect<void> {
    const failures = answer._tag === "Healthy" ? 0 : this.failures + 1
    // Reported first: a leader that resigns ends its checks.
    return Effect.andThen(this.report(answer), Effect.sync(() => this.become(failures)))
  }

  private report(answer: Answer): Effect.Effect<void> {
    const { candidateId, election } = this.candidate
    const name = `the candidate ${candidateId} for "${election}"`
    const wasHealthy = this.failures === 0
    const isHealthy = answer._tag === "Healthy"
    const line = isHealthy
      ? Effect.logInfo(`${name} is healthy again`)
      : Effect.logWarning(`${name} is unhealthy: its health check ${answer.why}`, ...causeOf(answer))
    return Effect.all([
      this.gauge.set(isHealthy ? 1 : 0),
      update(electionHealthChecks, { election, outcome: outcomeOf(answer) }),
      isHealthy === wasHealthy ? Effect.void : line
    ], { discard: true })
  }

  private become(failures: number): void {
    this.failures = failures
    if (failures === 0) {
      this.healthy.openUnsafe()
      this.failed.closeUnsafe()
    } else {
      this.healthy.closeUnsafe()
      if (failures >= this.candidate.healthFailures) this.failed.openUnsafe()
    }
    this.answered.openUnsafe()
  }
}

const startCounters = (election: string) =>
  Effect.forEach(
    ["healthy", "unhealthy", "timedOut", "failed"],
    (outcome) => update(electionHealthChecks, { election, outcome }, 0),
    { discard: true }
  )

/** Runs the checks of a candidate until the scope closes, or until `end`. */
export const makeHealth = (candidate: Candidate): Effect.Effect<Health, never, Scope.Scope> => {
  const { candidateId, election, healthCheck, times } = candidate
  if (healthCheck === undefined) return Effect.succeed(always)
  return Effect.gen(function*() {
    const own = yield* Scope.fork(yield* Effect.scope)
    return yield* Scope.provide(
      Effect.gen(function*() {
        const gauge = yield* series(electionIsHealthy, { election, candidate: candidateId })
        yield* startCounters(election)
        const answers = new Answers(candidate, gauge)
        const ask = yield* makeHealthCheck(healthCheck)
        const asking = Effect.clockWith((clock) =>
          Effect.gen(function*() {
            const next = monotonicMillis(clock) + times.renewInterval
            yield* answers.take(yield* ask)
            yield* Effect.sleep(wholeMillis(next - monotonicMillis(clock)))
          })
        )
        yield* forkReported("Election", `the health check of a candidate for "${election}"`, Effect.forever(asking))
        const health: Health = {
          answered: answers.answered.await,
          isHealthy: () => answers.healthy.isOpen(),
          recovered: answers.healthy.await,
          hasFailed: answers.failed.await,
          end: Effect.suspend(() => Scope.close(own, Exit.void))
        }
        return health
      }),
      own
    )
  }).pipe(annotate("Election", { election, candidateId }))
}
