/** Scenarios: what fails is found, made small, told, and found again. The service with the bug is the example's. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { claimThenPay, lookThenPay } from "../examples/simulation/payouts.ts"
import { scenario } from "../examples/simulation/scenario.ts"
import * as Faults from "../src/testing/Faults.ts"
import * as Scenario from "../src/testing/Scenario.ts"
import * as Simulation from "../src/testing/Simulation.ts"

const isFailed = (error: unknown): Scenario.ScenarioFailed => {
  assert.instanceOf(error, Scenario.ScenarioFailed)
  return error as Scenario.ScenarioFailed
}

/** One machine on which nothing happens, and a verdict on what the plan did to it. */
const idle = (verdict: Scenario.Parts["verdict"], more: Partial<Scenario.Scenario> = {}): Scenario.Scenario => ({
  nodes: ["a"],
  lasting: "1 minute",
  settling: "1 second",
  parts: Effect.succeed({ process: () => Effect.never, verdict }),
  ...more
})

const crashes = Effect.map(
  Effect.flatMap(Simulation.Simulation, ({ facts }) => facts),
  (facts) => facts.crashes.length
)

/** Fails where a machine has crashed at least so often. */
const crashesAtMost = (most: number, kinds?: Scenario.Scenario["faults"]): Scenario.Scenario => ({
  ...idle(Effect.succeed([])),
  faults: kinds,
  parts: Effect.map(Simulation.Simulation, (simulation) => ({
    process: () => Effect.never,
    verdict: Effect.map(
      Effect.provideService(crashes, Simulation.Simulation, simulation),
      (count) => count > most ? [`${count} crashes`] : []
    )
  }))
})

describe("a scenario", () => {
  it.effect(
    "finds the bug in a service that looks right, and tells it with a few faults and a timeline",
    () =>
      Effect.gen(function*() {
        const failed = isFailed(yield* Effect.flip(Scenario.check(scenario(lookThenPay), { runs: 200 })))
        assert.match(failed.violations[0]!, /^order \d+ was paid twice$/)
        assert.isAtMost(failed.plan.faults.length, 2)
        const order = /\d+/.exec(failed.violations[0]!)![0]
        assert.strictEqual(failed.timeline.match(new RegExp(`pays order ${order}\\n`, "g"))?.length, 2)
        assert.include(failed.message, `seed ${failed.plan.seed}, with these faults`)
        assert.include(failed.message, Faults.format(failed.plan.faults[0]!))
      }),
    120_000
  )

  it.effect("finds nothing in the service without the bug", () =>
    Effect.gen(function*() {
      const { faults, runs } = yield* Scenario.check(scenario(claimThenPay), { runs: 40 })
      assert.strictEqual(runs, 40)
      assert.isAbove(faults.get("crash") ?? 0, 0)
    }), 120_000)

  const plans = { plan: Scenario.plans(scenario(claimThenPay)) }
  it.effect.prop(
    "is a property, too: no plan of faults makes it pay twice",
    plans,
    ({ plan }) => Scenario.verify(scenario(claimThenPay), plan),
    { arbitrary: { runs: 20 } }
  )

  it.effect("leaves out of a plan all that the failure does not need", () =>
    Effect.gen(function*() {
      const failed = isFailed(yield* Effect.flip(Scenario.check(crashesAtMost(1), { runs: 300 })))
      assert.deepStrictEqual(failed.plan.faults.map(({ _tag }) => _tag), ["Crash", "Crash"])
      assert.deepStrictEqual(failed.violations, ["2 crashes"])
    }))

  it.effect("fails again, and at once, by what a failure told to replay", () =>
    Effect.gen(function*() {
      const first = isFailed(yield* Effect.flip(Scenario.check(crashesAtMost(1), { runs: 300, seed: 7 })))
      const { replay } = first
      assert.isDefined(replay)
      const again = isFailed(yield* Effect.flip(Scenario.check(crashesAtMost(1), { replay: replay! })))
      assert.deepStrictEqual(again.plan, first.plan)
      assert.strictEqual(again.timeline, first.timeline)
    }))

  it.effect("has only the faults that it asks for, in the buckets that they are asked for", () =>
    Effect.gen(function*() {
      const seen: Array<Faults.Fault> = []
      const asked = idle(Effect.succeed([]), {
        buckets: ["x", "y"],
        faults: ["Pause", ["LoseStream", ["y"]]],
        lasting: "10 seconds"
      })
      const spying = Scenario.plans(asked)
      yield* Effect.gen(function*() {
        const { checkEffect } = yield* Effect.promise(() => import("effect/Arbitrary"))
        yield* checkEffect(spying, ({ faults }) => {
          seen.push(...faults)
          return Effect.succeed(true)
        }, { runs: 50 })
      })
      assert.deepStrictEqual([...new Set(seen.map(({ _tag }) => _tag))].toSorted(), ["LoseStream", "Pause"])
      assert.isTrue(seen.every((fault) => !("bucket" in fault) || fault.bucket === "y"))
      assert.isTrue(seen.every((fault) => fault.at <= 10_000))
    }))

  it.effect("starts a process again after a crash, as often as it crashes", () =>
    Effect.gen(function*() {
      const starts: Array<string> = []
      const counted: Scenario.Scenario = {
        ...idle(Effect.succeed([])),
        parts: Effect.succeed({
          process: (node) =>
            Effect.suspend(() => {
              starts.push(node.id)
              return Effect.never
            }),
          verdict: Effect.succeed([])
        })
      }
      const faults: ReadonlyArray<Faults.Fault> = [
        { _tag: "Crash", at: 1000, node: "a", for: 500 },
        { _tag: "Crash", at: 5000, node: "a", for: 500 }
      ]
      yield* Scenario.verify(counted, { seed: 1, faults })
      assert.deepStrictEqual(starts, ["a", "a", "a"])
    }))

  it.effect("fails where a process fails, with why", () =>
    Effect.gen(function*() {
      const failing: Scenario.Scenario = {
        ...idle(Effect.succeed([])),
        parts: Effect.succeed({
          process: () => Effect.andThen(Effect.sleep("3 seconds"), Effect.fail(new Error("out of paper"))),
          verdict: Effect.succeed([])
        })
      }
      const failed = isFailed(yield* Effect.flip(Scenario.check(failing, { runs: 1 })))
      assert.include(failed.violations.join("\n"), "out of paper")
      assert.deepStrictEqual(failed.plan.faults, [])
    }))

  it("a fault is told in a line", () => {
    const cut: Faults.Fault = { _tag: "Cut", at: 1500, node: "a", for: 2000, direction: "both" }
    assert.strictEqual(Faults.format(cut).replaceAll(/ +/g, " "), "at 1.5 s Cut a for 2 s direction both")
    const frozen: Faults.Fault = { _tag: "ServerFreeze", at: 1, for: 20 }
    assert.strictEqual(Faults.format(frozen).replaceAll(/ +/g, " "), "at 0.001 s ServerFreeze the server for 0.02 s")
  })
})
