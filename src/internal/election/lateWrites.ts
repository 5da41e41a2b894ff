/**
 * Hands back writes that land after their term has ended: their record would keep other candidates waiting for its
 * lease, although nobody leads (docs/protocols/election.md, E28).
 */
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import { forkReported } from "../fibers.ts"
import { wholeMillis } from "../time.ts"
import type { Observations } from "./observations.ts"
import type { Tenure } from "./tenure.ts"

/** Waits until the outcome of each attempt is known, and makes a record that has landed late vacant, once. */
const settle = (observations: Observations, tenure: Tenure): Effect.Effect<void> =>
  Effect.gen(function*() {
    const { election, times } = tenure.options
    while (true) {
      const observation = observations.observation(election)
      const seen = observation?.seen
      const late = seen === undefined ? "possible" : tenure.lateWrite(seen)
      if (late === "impossible") return
      if (late === "landed" && seen?._tag === "Held") {
        yield* Effect.logWarning(
          `a write for the leadership of "${election}" in term ${seen.record.term} was stored after its time had ended: ` +
            "it is handed back"
        )
        return yield* tenure.handBack(seen)
      }
      // In case the watch is silent without failing, as in a campaign (E6).
      const again = Effect.flatMap(Effect.sleep(wholeMillis(times.leaseDuration)), () => Effect.option(tenure.look))
      const read = yield* Effect.raceFirst(Effect.as(observations.changed(election, observation), undefined), again)
      if (read?._tag === "Some") observations.see(election, read.value)
    }
  }).pipe(
    Effect.catch((error) =>
      Effect.logWarning(
        `a late write for the leadership of "${tenure.options.election}" was not handed back: ${error.message}`
      )
    )
  )

/** The tenures of a service that have ended before the outcome of each attempt was known. */
export class LateWrites {
  private readonly followed: Effect.Effect<Observations, never, Scope.Scope>
  private readonly scope: Scope.Scope
  /** The number of tenures that are watched, by election. */
  private readonly open = new Map<string, number>()

  /** `scope` is that of the service: the outcome can become known after the campaign has ended. */
  constructor(followed: Effect.Effect<Observations, never, Scope.Scope>, scope: Scope.Scope) {
    this.followed = followed
    this.scope = scope
  }

  /** Whether an attempt of this service for the election may still land. */
  isOpen(election: string): boolean {
    return this.open.has(election)
  }

  private count(election: string, by: 1 | -1): void {
    const count = (this.open.get(election) ?? 0) + by
    if (count === 0) this.open.delete(election)
    else this.open.set(election, count)
  }

  /** Call after the work has stopped and the leadership was released. */
  watch(tenure: Tenure): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!tenure.mayLandLate) return Effect.void
      const { election } = tenure.options
      this.count(election, 1)
      const settled = Effect.scoped(Effect.flatMap(this.followed, (observations) => settle(observations, tenure))).pipe(
        Effect.ensuring(Effect.sync(() => this.count(election, -1)))
      )
      return Effect.asVoid(
        Effect.provideService(
          forkReported("Election", `late writes of "${election}"`, settled),
          Scope.Scope,
          this.scope
        )
      )
    })
  }
}
