/**
 * A process in a copy of the sources. It runs the plans of a request until one has a violation. A failing plan is not
 * shrunk: the name of the violated rule is enough, and the plan can be run again.
 */
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Scenario from "../../src/testing/Scenario.ts"
import { scenarios } from "./scenarios.ts"

export interface Request {
  readonly scenario: string
  /** The seed of the plans. */
  readonly seed: number
  readonly runs: number
  /** The number of the only plan to run, from 1. Default: all plans, until one has a violation. */
  readonly only?: number
}

export type Answer =
  | { readonly _tag: "Passed" }
  | { readonly _tag: "Violated"; readonly run: number; readonly rule: string; readonly message: string }
  /** The scenario cannot be run, which says nothing about the mutant. */
  | { readonly _tag: "Unplayable"; readonly problem: string }

/** The default of `Scenario.maxFaults`. All plans have the full size, as plans with few faults detect few bugs. */
const mostFaults = 12

const firstLine = (text: string): string => text.split("\n", 1)[0]!

const answer = ({ only, runs, scenario, seed }: Request): Effect.Effect<Answer> =>
  Effect.gen(function*() {
    const chosen = scenarios[scenario]
    if (chosen === undefined) return { _tag: "Unplayable" as const, problem: `unknown scenario "${scenario}"` }
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
