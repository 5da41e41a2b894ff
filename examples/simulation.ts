/**
 * Finds a bug in a service that looks right: `npm run example:simulation`.
 *
 * The first version is run until a plan of faults pays an order twice; that plan is
 * shrunk and reported. The second version succeeds with the same plans.
 */
import { Scenario } from "effect-aegis/testing"
import * as Console from "effect/Console"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { claimThenPay, lookThenPay } from "./simulation/payouts.ts"
import { scenario } from "./simulation/scenario.ts"

const runs = 150

const program = Effect.gen(function*() {
  const found = yield* Effect.result(Scenario.check(scenario(lookThenPay), { runs }))
  yield* Console.log(
    Result.isFailure(found)
      ? `lookThenPay\n\n${found.failure.message}`
      : `lookThenPay: nothing found in ${found.success.runs} runs`
  )
  const { lasted, runs: passed } = yield* Scenario.check(scenario(claimThenPay), { runs })
  yield* Console.log(
    `claimThenPay: ${passed} runs, ${Duration.format(lasted)} of fleets in all, and no order was paid twice`
  )
})

await Effect.runPromise(program)
