/**
 * A process in a copy of the sources: plays a scenario for as many plans as it is told, until one shows something that
 * must not be. A plan that fails is not made smaller: whoever wants to see more than the rule plays it again.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Scenario from "../../src/testing/Scenario.ts"
import { scenarios } from "./scenarios.ts"

export interface Request {
  readonly scenario: string
  /** What the plans are made from. */
  readonly seed: number
  readonly runs: number
  /** The only one of them that is run: from 1. Default: all, until one shows something. */
  readonly only?: number
}

export type Answer =
  | { readonly _tag: "Passed" }
  | { readonly _tag: "Violated"; readonly run: number; readonly rule: string; readonly message: string }
  /** Nothing that a fleet did: the scenario cannot be run. */
  | { readonly _tag: "Unplayable"; readonly problem: string }

/** As many faults as a plan may have, which is a scenario's default: who looks for a bug has no use for quiet days. */
const mostFaults = 12

const firstLine = (text: string): string => text.split("\n", 1)[0]!

const answer = ({ only, runs, scenario, seed }: Request): Effect.Effect<Answer> =>
  Effect.gen(function*() {
    const chosen = scenarios[scenario]
    if (chosen === undefined) return { _tag: "Unplayable" as const, problem: `there is no scenario "${scenario}"` }
    const plans = yield* Arbitrary.sampleEffect(Scenario.plans(chosen), {
      seed,
      count: runs,
      size: chosen.maxFaults ?? mostFaults
    })
    for (const [index, plan] of plans.entries()) {
      if (only !== undefined && index + 1 !== only) continue
      const outcome = yield* Effect.result(Scenario.verify(chosen, plan))
      if (Result.isSuccess(outcome)) continue
      const { failure } = outcome
      if (failure._tag === "InvalidConfig") return { _tag: "Unplayable" as const, problem: failure.message }
      const rule = firstLine(failure.message)
      return { _tag: "Violated" as const, run: index + 1, rule, message: failure.message }
    }
    return { _tag: "Passed" as const }
  }).pipe(Effect.catchCause((cause) => Effect.succeed({ _tag: "Unplayable" as const, problem: String(cause) })))

process.on("message", (request) => {
  void Effect.runPromise(answer(request as Request)).then((answered) => process.send!(answered))
})
