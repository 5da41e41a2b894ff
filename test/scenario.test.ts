/** Scenarios: what fails is found, made small, told, and found again. The service with the bug is the example's. */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { claimThenPay, lookThenPay } from "../examples/simulation/payouts.ts"
import { scenario } from "../examples/simulation/scenario.ts"
import * as KVStore from "../src/KVStore.ts"
import type * as Checks from "../src/testing/Checks.ts"
import * as Faults from "../src/testing/Faults.ts"
import * as Scenario from "../src/testing/Scenario.ts"
import * as Simulation from "../src/testing/Simulation.ts"

const textsOf = ({ violations }: Scenario.ScenarioFailed) =>
  violations.map((one) => typeof one === "string" ? one : one.message)

const isFailed = (error: unknown): Scenario.ScenarioFailed => {
  assert.instanceOf(error, Scenario.ScenarioFailed)
  return error as Scenario.ScenarioFailed
}

/** Does no more than to show that it is there. */
const greet = (node: Simulation.SimulatedNode) =>
  KVStore.KVStore.use((store) => store.put(node.id, new Uint8Array(1))).pipe(
    Effect.provide(node.layer),
    Effect.ignore,
    Effect.andThen(Effect.never)
  )

/** One machine on which nothing happens, and a verdict on what the plan did to it. */
const idle = (verdict: Scenario.Parts["verdict"], more: Partial<Scenario.Scenario> = {}): Scenario.Scenario => ({
  nodes: ["a"],
  lasting: "1 minute",
  settling: "1 second",
  parts: Effect.succeed({ process: greet, verdict }),
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
    process: greet,
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
        const [violation] = textsOf(failed)
        assert.match(violation!, /^order \d+ was paid twice$/)
        assert.isAtMost(failed.plan.faults.length, 2)
        const order = /\d+/.exec(violation!)![0]
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
              return greet(node)
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

  it.effect("starts again after a crash what had ended before it", () =>
    Effect.gen(function*() {
      let starts = 0
      const short: Scenario.Scenario = {
        ...idle(Effect.succeed([])),
        parts: Effect.succeed({
          process: (node) => Effect.andThen(Effect.sync(() => starts++), Effect.timeoutOption(greet(node), "1 second")),
          verdict: Effect.succeed([])
        })
      }
      yield* Scenario.verify(short, { seed: 1, faults: [{ _tag: "Crash", at: 5000, node: "a", for: 500 }] })
      assert.strictEqual(starts, 2)
    }))

  it.effect("fails where a run comes to no end, with the faults that it takes", () =>
    Effect.gen(function*() {
      let starts = 0
      const spinning: Scenario.Scenario = {
        ...idle(Effect.succeed([])),
        faults: ["Crash"],
        parts: Effect.sync(() => {
          starts = 0
          return {
            process: (node) => Effect.suspend(() => ++starts === 1 ? greet(node) : Effect.forever(Effect.yieldNow)),
            verdict: Effect.succeed([])
          }
        })
      }
      const failed = isFailed(yield* Effect.flip(Scenario.check(spinning, { runs: 50, mostShrinks: 3 })))
      assert.include(textsOf(failed).join(), "a loop that never sleeps")
      assert.isAbove(failed.plan.faults.length, 0)
      assert.include(failed.timeline, "crashes")
    }), 60_000)

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
      assert.include(textsOf(failed).join("\n"), "out of paper")
      assert.deepStrictEqual(failed.plan.faults, [])
    }))

  it("a fault is told in a line", () => {
    const cut: Faults.Fault = { _tag: "Cut", at: 1500, node: "a", for: 2000, direction: "both" }
    assert.strictEqual(Faults.format(cut).replaceAll(/ +/g, " "), "at 1.5 s Cut a for 2 s direction both")
    const frozen: Faults.Fault = { _tag: "ServerFreeze", at: 1, for: 20 }
    assert.strictEqual(Faults.format(frozen).replaceAll(/ +/g, " "), "at 0.001 s ServerFreeze the server for 0.02 s")
  })

  it.effect("that waits for the real world, or strikes a bucket that is not there, passes nothing", () =>
    Effect.gen(function*() {
      const outside: Scenario.Scenario = {
        ...idle(Effect.succeed([])),
        parts: Effect.succeed({
          process: () => Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
          verdict: Effect.succeed([])
        })
      }
      const waiting = isFailed(yield* Effect.flip(Scenario.check(outside, { runs: 1 })))
      assert.include(textsOf(waiting).join(), "does it wait for the real world")
      const misspelt = idle(Effect.succeed([]), { buckets: ["simulaton"] })
      const failed = isFailed(yield* Effect.flip(Scenario.check(misspelt, { runs: 1 })))
      assert.include(textsOf(failed).join(), "never a bucket \"simulaton\" for faults to strike: there were simulation")
    }))

  it.effect("strikes every bucket that there is where none is named", () =>
    Effect.gen(function*() {
      const struck = idle(Effect.succeed([]), { faults: ["LoseStream"] })
      const run = yield* Scenario.verify(struck, {
        seed: 1,
        faults: [{ _tag: "LoseStream", at: 5000, bucket: "*" }]
      })
      assert.deepStrictEqual(run.facts.losses.map(({ bucket, how }) => `${bucket} ${how}`), ["simulation lost"])
    }))

  it.effect("passes a replay of what has been mended, and refuses one of something else", () =>
    Effect.gen(function*() {
      const failing = isFailed(yield* Effect.flip(Scenario.check(crashesAtMost(1), { runs: 300 })))
      const { runs } = yield* Scenario.check(crashesAtMost(100), { replay: failing.replay! })
      assert.strictEqual(runs, 1)
      const refused = yield* Effect.flip(Scenario.check(crashesAtMost(1), { replay: "oh" }))
      assert.include(refused.message, "replay: expected what a failure of this scenario told")
    }))

  it.effect("that cannot be had is refused, by what is wrong with it", () =>
    Effect.gen(function*() {
      const rows: ReadonlyArray<readonly [Partial<Scenario.Scenario>, string]> = [
        [{ nodes: [] }, "nodes: expected at least one id, got none"],
        [{ nodes: ["a b"] }, "letters, digits, _ and -, and none of store, test; got \"a b\""],
        [{ nodes: ["store"] }, "got \"store\""],
        [{ nodes: ["a", "a"] }, "nodes: expected each id once, got \"a\" twice"],
        [{ buckets: [] }, "buckets: expected at least one bucket, or \"*\" for all, got none"],
        [{ buckets: ["no pe"] }, "got \"no pe\""],
        [{ faults: [["LoseStream", []]] }, "faults, LoseStream: expected at least one bucket"],
        [{ faults: ["Crush" as "Crash"] }, "faults: expected some of Crash, Pause"],
        [{ lasting: "-3 seconds" }, "lasting: expected a time from 0 such as \"2 minutes\", got -3 seconds"],
        [{ settling: "soon" as "1 second" }, "settling: expected a time"],
        [{ drift: 1.5 }, "drift: expected a share from 0 to below 1, got 1.5"],
        [{ mostFaults: -1 }, "mostFaults: expected a whole number from 0, got -1"]
      ]
      for (const [wrong, problem] of rows) {
        const error = yield* Effect.flip(Scenario.check(idle(Effect.succeed([]), wrong), { runs: 1 }))
        assert.instanceOf(error, Simulation.InvalidSimulation)
        assert.include(error.message, problem)
      }
      const none = yield* Effect.flip(Scenario.check(idle(Effect.succeed([])), { runs: 0 }))
      assert.include(none.message, "runs: expected a whole number from 1, got 0")
      const stranger: Faults.Plan = { seed: 1, faults: [{ _tag: "Disconnect", at: 0, node: "z" }] }
      const unknown = yield* Effect.flip(Scenario.verify(idle(Effect.succeed([])), stranger))
      assert.include(unknown.message, "plan: Disconnect strikes \"z\", and there are a")
    }))

  it.effect("may last for hours, and have no faults at all", () =>
    Effect.gen(function*() {
      const { faults, lasted } = yield* Scenario.check(
        idle(Effect.succeed([]), { lasting: "5 hours", faults: [] }),
        { runs: 1 }
      )
      assert.isAbove(Duration.toHours(lasted), 5)
      assert.strictEqual(faults.get("crash"), undefined)
    }))

  it.effect("tells the first violation of each kind, the clocks, and no more of its timeline than can be read", () =>
    Effect.gen(function*() {
      const rule = (message: string): Checks.Violation => ({ rule: "tokens grow", message, history: [`  ${message}`] })
      const many = idle(Effect.succeed([rule("first"), rule("second"), rule("third")]), { lasting: "1 hour" })
      const failed = isFailed(yield* Effect.flip(Scenario.verify(many, { seed: 3, faults: [] })))
      assert.include(failed.message, "tokens grow: first\n    first\n  (and 2 more of this kind)\n")
      assert.notInclude(failed.message, "second")
      assert.match(failed.message, /clocks: a [+-]\d+\.\d+ h x[01]\.\d{3}/)
      assert.notInclude(failed.message, "with fewer it did not fail")
      assert.isBelow(failed.message.split("\n").length, 80)
      assert.notInclude(Object.keys(failed), "timeline")
    }))
})
