/**
 * Finds a bug in a service that looks right, on simulated machines: `node simulation.ts`. No server is needed.
 *
 * The first version runs until an order is paid twice under a plan of faults. That plan is shrunk and reported. The
 * second version passes the same plans.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Duration, Effect, Result } from "effect"
import { Scenario } from "effect-aegis/testing"
import { claimThenPay, lookThenPay } from "./simulation/payouts.ts"
import { scenario } from "./simulation/scenario.ts"

const runs = 150

const program = Effect.gen(function*() {
  yield* Console.log(`lookThenPay: up to ${runs} runs of a fleet with faults; the first failure is shrunk\n`)
  const found = yield* Effect.result(Scenario.check(scenario(lookThenPay), { runs }))
  yield* Console.log(
    Result.isFailure(found) ? `${found.failure.message}\n` : `no violation in ${found.success.runs} runs\n`
  )
  const { lasted, runs: passed } = yield* Scenario.check(scenario(claimThenPay), { runs })
  yield* Console.log(
    `claimThenPay: ${passed} runs, ${Duration.format(lasted)} of simulated time, and no order was paid twice`
  )
})

program.pipe(NodeRuntime.runMain)
