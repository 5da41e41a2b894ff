/**
 * Scenarios: a failing plan is found, shrunk, reported and replayed. The service with the bug is in
 * `examples/simulation`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { claimThenPay, lookThenPay } from "../../examples/simulation/payouts.ts"
import { scenario } from "../../examples/simulation/scenario.ts"
import * as KVStore from "../../src/KVStore.ts"
import type * as Checks from "../../src/testing/Checks.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as Scenario from "../../src/testing/Scenario.ts"
import * as Simulation from "../../src/testing/Simulation.ts"

const textsOf = ({ violations }: Scenario.ScenarioFailed) =>
  violations.map((one) => typeof one === "string" ? one : one.message)

const isFailed = (error: unknown): Scenario.ScenarioFailed => {
  assert.instanceOf(error, Scenario.ScenarioFailed)
  return error as Scenario.ScenarioFailed
}

/** Connects to the store with one write, and then waits. */
const greet = (node: Simulation.SimulatedNode) =>
  KVStore.KVStore.use((store) => store.put(node.id, new Uint8Array(1))).pipe(
    Effect.provide(node.layer),
    Effect.ignore,
    Effect.andThen(Effect.never)
  )

/** A scenario with one idle machine and the given check for violations. */
const idle = (violations: Scenario.Setup["violations"], more: Partial<Scenario.Scenario> = {}): Scenario.Scenario => ({
  nodes: ["a"],
  duration: "1 minute",
  settleTime: "1 second",
  setup: Effect.succeed({ process: greet, violations }),
  ...more
})

const crashes = Effect.map(
  Effect.flatMap(Simulation.Simulation, ({ facts }) => facts),
  (facts) => facts.crashes.length
)

/** A scenario that fails if there are more than `most` crashes. */
const crashesAtMost = (most: number, kinds?: Scenario.Scenario["faults"]): Scenario.Scenario => ({
  ...idle(Effect.succeed([])),
  faults: kinds,
  setup: Effect.map(Simulation.Simulation, (simulation) => ({
    process: greet,
    violations: Effect.map(
      Effect.provideService(crashes, Simulation.Simulation, simulation),
      (count) => count > most ? [`${count} crashes`] : []
    )
  }))
})

describe("a scenario", () => {
  it.effect(
    "finds a bug that needs faults, and reports it with at most two faults and a timeline",
    () =>
      Effect.gen(function*() {
        const failed = isFailed(yield* Effect.flip(Scenario.check(scenario(lookThenPay), { runs: 200, seed: 1 })))
        const [violation] = textsOf(failed)
        assert.match(violation!, /^order \d+ was paid twice$/)
        assert.isAtMost(failed.plan.faults.length, 2)
        const order = /\d+/.exec(violation!)![0]
        assert.isAtLeast(failed.timeline.match(new RegExp(`pays order ${order}\\n`, "g"))?.length ?? 0, 2)
        assert.include(failed.message, `seed ${failed.plan.seed}, with these faults`)
        assert.include(failed.message, Faults.format(failed.plan.faults[0]!))
      }),
    120_000
  )

  it.effect("finds no violation in the service without the bug", () =>
    Effect.gen(function*() {
      const { faults, runs } = yield* Scenario.check(scenario(claimThenPay), { runs: 40 })
      assert.strictEqual(runs, 40)
      assert.isAbove(faults.get("crash") ?? 0, 0)
    }), 120_000)

  const plans = { plan: Scenario.plans(scenario(claimThenPay)) }
  it.effect.prop(
    "can be checked as a property: no plan of faults makes the service pay twice",
    plans,
    ({ plan }) => Scenario.verify(scenario(claimThenPay), plan),
    { arbitrary: { runs: 20 } }
  )

  it.effect("shrinks a failing plan to the faults that it needs", () =>
    Effect.gen(function*() {
      const failed = isFailed(yield* Effect.flip(Scenario.check(crashesAtMost(1), { runs: 300 })))
      assert.deepStrictEqual(failed.plan.faults.map(({ _tag }) => _tag), ["Crash", "Crash"])
      assert.deepStrictEqual(failed.violations, ["2 crashes"])
    }))

  it.effect("fails again with the replay of a failure", () =>
    Effect.gen(function*() {
      const first = isFailed(yield* Effect.flip(Scenario.check(crashesAtMost(1), { runs: 300, seed: 7 })))
      const again = isFailed(yield* Effect.flip(Scenario.check(crashesAtMost(1), { replay: first.replay })))
      assert.deepStrictEqual(again.plan, first.plan)
      assert.strictEqual(again.timeline, first.timeline)
      assert.include(first.message, `\nreplay: ${first.replay}\n`)
      assert.deepStrictEqual(JSON.parse(first.replay), first.plan)
    }))

  it.effect("generates only the configured faults, in the configured buckets", () =>
    Effect.gen(function*() {
      const seen: Array<Faults.Fault> = []
      const asked = idle(Effect.succeed([]), {
        buckets: ["x", "y"],
        faults: ["Pause", ["LoseStream", ["y"]]],
        duration: "10 seconds"
      })
      const spying = Scenario.plans(asked)
      yield* Arbitrary.checkEffect(spying, ({ faults }) => {
        seen.push(...faults)
        return Effect.succeed(true)
      }, { runs: 50 })
      assert.deepStrictEqual([...new Set(seen.map(({ _tag }) => _tag))].toSorted(), ["LoseStream", "Pause"])
      assert.isTrue(seen.every((fault) => !("bucket" in fault) || fault.bucket === "y"))
      assert.isTrue(seen.every((fault) => fault.at <= 10_000))
    }))

  it.effect("restarts a process after each crash", () =>
    Effect.gen(function*() {
      const starts: Array<string> = []
      const counted: Scenario.Scenario = {
        ...idle(Effect.succeed([])),
        setup: Effect.succeed({
          process: (node) =>
            Effect.suspend(() => {
              starts.push(node.id)
              return greet(node)
            }),
          violations: Effect.succeed([])
        })
      }
      const faults: ReadonlyArray<Faults.Fault> = [
        { _tag: "Crash", at: 1000, node: "a", for: 500 },
        { _tag: "Crash", at: 5000, node: "a", for: 500 }
      ]
      yield* Scenario.verify(counted, { seed: 1, faults })
      assert.deepStrictEqual(starts, ["a", "a", "a"])
    }))

  it.effect("restarts a process after a crash even if it had ended before", () =>
    Effect.gen(function*() {
      let starts = 0
      const short: Scenario.Scenario = {
        ...idle(Effect.succeed([])),
        setup: Effect.succeed({
          process: (node) => Effect.andThen(Effect.sync(() => starts++), Effect.timeoutOption(greet(node), "1 second")),
          violations: Effect.succeed([])
        })
      }
      yield* Scenario.verify(short, { seed: 1, faults: [{ _tag: "Crash", at: 5000, node: "a", for: 500 }] })
      assert.strictEqual(starts, 2)
    }))

  it.effect("fails if a run does not end, with the faults that cause it", () =>
    Effect.gen(function*() {
      let starts = 0
      const spinning: Scenario.Scenario = {
        ...idle(Effect.succeed([])),
        faults: ["Crash"],
        setup: Effect.sync(() => {
          starts = 0
          return {
            process: (node) => Effect.suspend(() => ++starts === 1 ? greet(node) : Effect.forever(Effect.yieldNow)),
            violations: Effect.succeed([])
          }
        })
      }
      const failed = isFailed(yield* Effect.flip(Scenario.check(spinning, { runs: 50, maxShrinks: 3 })))
      assert.include(textsOf(failed).join(), "a loop runs without advancing simulated time")
      assert.isAbove(failed.plan.faults.length, 0)
      assert.include(failed.timeline, "crashes")
    }), 60_000)

  it.effect("fails if a process fails, with the reason", () =>
    Effect.gen(function*() {
      const failing: Scenario.Scenario = {
        ...idle(Effect.succeed([])),
        setup: Effect.succeed({
          process: () => Effect.andThen(Effect.sleep("3 seconds"), Effect.fail(new Error("out of paper"))),
          violations: Effect.succeed([])
        })
      }
      const failed = isFailed(yield* Effect.flip(Scenario.check(failing, { runs: 1 })))
      assert.include(textsOf(failed).join("\n"), "out of paper")
      assert.deepStrictEqual(failed.plan.faults, [])
    }))

  it("formats a fault as one line", () => {
    const cut: Faults.Fault = { _tag: "Cut", at: 1500, node: "a", for: 2000, direction: "both" }
    assert.strictEqual(Faults.format(cut).replaceAll(/ +/g, " "), "at 1.5 s Cut a for 2 s direction both")
    const paused: Faults.Fault = { _tag: "PauseServer", at: 1, for: 20 }
    assert.strictEqual(Faults.format(paused).replaceAll(/ +/g, " "), "at 0.001 s PauseServer the server for 0.02 s")
  })

  it("encodes a plan as text and decodes it", () => {
    const plan: Faults.Plan = { seed: 7, faults: [{ _tag: "Pause", at: 1500, node: "a", for: 20 }] }
    assert.deepStrictEqual(Faults.decode(Faults.encode(plan)), Option.some(plan))
    for (const text of ["", "{}", "null", "{\"seed\":1,\"faults\":[{\"_tag\":\"Meteor\",\"at\":0}]}"]) {
      assert.deepStrictEqual(Faults.decode(text), Option.none())
    }
  })

  it.effect("fails if a process waits for real I/O, or if a fault targets a bucket that never exists", () =>
    Effect.gen(function*() {
      const outside: Scenario.Scenario = {
        ...idle(Effect.succeed([])),
        setup: Effect.succeed({
          process: () => Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
          violations: Effect.succeed([])
        })
      }
      const waiting = isFailed(yield* Effect.flip(Scenario.check(outside, { runs: 1 })))
      assert.include(textsOf(waiting).join(), "waits for real I/O")
      const misspelt = idle(Effect.succeed([]), { buckets: ["simulaton"] })
      const failed = isFailed(yield* Effect.flip(Scenario.check(misspelt, { runs: 1 })))
      assert.include(
        textsOf(failed).join(),
        "faults target the bucket \"simulaton\", which was never created: the run had the buckets simulation"
      )
    }))

  it.effect("injects a fault into every bucket with \"*\"", () =>
    Effect.gen(function*() {
      const aimed = idle(Effect.succeed([]), { faults: ["LoseStream"] })
      const run = yield* Scenario.verify(aimed, {
        seed: 1,
        faults: [{ _tag: "LoseStream", at: 5000, bucket: "*" }]
      })
      assert.deepStrictEqual(run.facts.losses.map(({ bucket, how }) => `${bucket} ${how}`), ["simulation lost"])
    }))

  it.effect("passes a replay after the bug is fixed, and refuses an invalid replay", () =>
    Effect.gen(function*() {
      const failing = isFailed(yield* Effect.flip(Scenario.check(crashesAtMost(1), { runs: 300 })))
      const { runs } = yield* Scenario.check(crashesAtMost(100), { replay: failing.replay })
      assert.strictEqual(runs, 1)
      const { faults, seed } = failing.plan
      const wrong = [
        "oh",
        "",
        "[0,\"1\",68,3,[1],\"ReturnedFalse\"]",
        JSON.stringify({ faults }),
        JSON.stringify({ seed: "x", faults }),
        JSON.stringify({ seed, faults: [{ ...faults[0], for: -1 }] })
      ]
      for (const replay of wrong) {
        const refused = yield* Effect.flip(Scenario.check(crashesAtMost(1), { replay }))
        assert.instanceOf(refused, Simulation.InvalidConfig)
        assert.include(refused.message, "replay: expected the text after \"replay: \" in a failure of this scenario")
      }
    }))

  it.effect("reports the stack trace of an error", () =>
    Effect.gen(function*() {
      const failing: Scenario.Scenario = {
        ...idle(Effect.succeed([])),
        setup: Effect.succeed({ process: () => Effect.sync(() => assert.fail("here")), violations: Effect.succeed([]) })
      }
      const failed = isFailed(yield* Effect.flip(Scenario.check(failing, { runs: 1, maxShrinks: 0 })))
      assert.match(textsOf(failed).join(), /here[^]*Scenario\.test\.ts:\d+/)
    }))

  it.effect("refuses an invalid option of a scenario, and names it", () =>
    Effect.gen(function*() {
      const rows: ReadonlyArray<readonly [wrong: object, problem: string]> = [
        [{ nodes: [] }, "nodes: expected a list with at least one id, got an empty list"],
        [{ nodes: "a" }, "nodes: expected a list with at least one id, got a plain string"],
        [{ nodes: ["a b"] }, "nodes[0]: expected an id of letters, digits, _ and -"],
        [{ nodes: ["a", "store"] }, "nodes[1]: expected an id"],
        [{ nodes: ["a", "a"] }, "nodes: expected each id only once, got \"a\" twice"],
        [{ nodes: ["a", 1] }, "nodes[1]: expected an id of letters, digits, _ and -, and neither \"store\""],
        [{ buckets: [] }, "buckets: expected a list with at least one bucket, got an empty list"],
        [{ buckets: ["no pe"] }, "buckets[0]: expected a bucket's name, \"*\" for all or \"#1\" for the second"],
        [{ faults: "Crash" }, "faults: expected a list of kinds, got a plain string"],
        [{ faults: ["Crush"] }, "faults[0]: expected one of Crash, Pause"],
        [{ faults: [["LoseStream", []]] }, "faults[0][1]: expected a list with at least one bucket"],
        [
          { faults: ["Crash", ["Pause", ["x"]]] },
          "faults[1]: expected a pair of one of NoStoreLeader, FlappingStore"
        ],
        [{ faults: [["LoseStream"]] }, "faults[0][1]: expected a list with at least one bucket, got undefined"],
        [{ duration: "-3 seconds" }, "duration: expected a time from 0 to 1d, got -3s"],
        [
          { duration: Number.NaN },
          "duration: expected a time such as \"5 seconds\", or a number of milliseconds, got NaN"
        ],
        [{ duration: "2 days" }, "duration: expected a time from 0 to 1d, got 2d"],
        [{ settleTime: "soon" }, "settleTime: expected a time such as \"5 seconds\""],
        [{ warmUp: { days: 1, dais: 2 } }, "warmUp: expected a time such as \"5 seconds\""],
        [{ offset: Number.POSITIVE_INFINITY }, "offset: expected a time from 0"],
        [{ drift: 1.5 }, "drift: expected a number from 0 to below 1, got 1.5"],
        [{ drift: Number.NaN }, "drift: expected a number from 0 to below 1, got NaN"],
        [{ maxFaults: -1 }, "maxFaults: expected a whole number from 0, got -1"],
        [{ maxFaults: "3" }, "maxFaults: expected a whole number from 0"],
        [{ simulation: { limit: Number.NaN } }, "simulation.limit: expected a time such as \"5 seconds\""],
        [{ simulation: { server: "2.9" } }, "simulation.server: expected \"2.10\" or \"2.15\", got \"2.9\""],
        [{ simulation: { seed: 1 } }, "no option \"simulation.seed\": the options are simulation.server"],
        [{ simulation: { bucket: { bucket: "x", replicas: 9 } } }, "replicas"],
        [{ simulation: null }, "simulation: expected an object"],
        [{ setup: () => Effect.never }, "setup: expected an Effect, got a function"],
        [{ lasting: "1 minute" }, "scenario: no option \"lasting\": the options are nodes, warmUp, duration"]
      ]
      for (const [wrong, problem] of rows) {
        const asked: Scenario.Scenario = { ...idle(Effect.succeed([])), ...wrong }
        const error = yield* Effect.flip(Scenario.check(asked, { runs: 1 }))
        assert.instanceOf(error, Scenario.InvalidConfig)
        assert.include(error.message, problem)
        const verified = yield* Effect.flip(Scenario.verify(asked, { seed: 0, faults: [] }))
        assert.include(verified.message, problem)
      }
      const none = yield* Effect.flip(Scenario.check(null as unknown as Scenario.Scenario))
      assert.include(none.message, "scenario: expected an object with nodes, warmUp")
    }))

  it.effect("refuses an invalid option of a check, and names it", () =>
    Effect.gen(function*() {
      const rows: ReadonlyArray<readonly [wrong: unknown, problem: string]> = [
        [{ runs: 0 }, "runs: expected a whole number from 1, got 0"],
        [{ runs: "5" }, "runs: expected a whole number from 1, got \"5\""],
        [{ maxShrinks: -1 }, "maxShrinks: expected a whole number from 0, got -1"],
        [{ maxShrinks: Number.NaN }, "maxShrinks: expected a whole number from 0, got NaN"],
        [{ seed: 1.5 }, "seed: expected a whole number, got 1.5"],
        [{ replay: 7 }, "replay: expected the text after"],
        [{ run: 1 }, "options: no option \"run\": the options are runs, seed, replay, maxShrinks"],
        [null, "options: expected an object with runs"]
      ]
      for (const [wrong, problem] of rows) {
        const error = yield* Effect.flip(Scenario.check(idle(Effect.succeed([])), wrong as Scenario.CheckOptions))
        assert.instanceOf(error, Scenario.InvalidConfig)
        assert.include(error.message, problem)
      }
      const plan: Faults.Plan = { seed: 1, faults: [] }
      const run = (options: unknown) =>
        Effect.map(
          Effect.flip(Scenario.run(idle(Effect.succeed([])), plan, options as { readonly timeline: boolean })),
          ({ message }) => message
        )
      assert.include(yield* run({ timeline: "yes" }), "timeline: expected true or false, got \"yes\"")
      assert.include(yield* run({ time: true }), "options: no option \"time\": the options are timeline")
      assert.include(yield* run(null), "options: expected an object with timeline")
    }))

  it.effect("refuses an invalid plan, and names the problem", () =>
    Effect.gen(function*() {
      const rows: ReadonlyArray<readonly [faults: ReadonlyArray<object>, problem: string]> = [
        [[{ _tag: "Disconnect", at: 0, node: "z" }], "plan: Disconnect: expected one of the nodes a, got \"z\""],
        [[{ _tag: "Pause", at: Number.POSITIVE_INFINITY, node: "a", for: 1 }], "[\"faults\"][0][\"at\"]"],
        [[{ _tag: "Pause", at: 1.5, node: "a", for: 1 }], "[\"faults\"][0][\"at\"]"],
        [[{ _tag: "Pause", at: 0, node: "a", for: -1 }], "[\"faults\"][0][\"for\"]"],
        [[{ _tag: "Pause", at: 0, for: 1 }], "[\"faults\"][0][\"node\"]"],
        [[{ _tag: "Lag", at: 0, bucket: "simulation", by: -5 }], "[\"faults\"][0][\"by\"]"],
        [[{ _tag: "RollBack", at: 0, bucket: "simulation", messages: Number.NaN }], "[\"faults\"][0][\"messages\"]"],
        [[{ _tag: "Cut", at: 0, node: "a", for: 1, direction: "up" }], "[\"faults\"][0][\"direction\"]"],
        [
          [{ _tag: "Lag", at: 0, bucket: "#x", by: 5 }],
          "plan: Lag: expected a bucket's name, \"*\" for all or \"#1\" for the second, got \"#x\""
        ],
        [[{ _tag: "Meteor", at: 0 }], "[\"faults\"][0]"]
      ]
      for (const [faults, problem] of rows) {
        const plan = { seed: 1, faults } as unknown as Faults.Plan
        const error = yield* Effect.flip(Scenario.verify(idle(Effect.succeed([])), plan))
        assert.instanceOf(error, Simulation.InvalidConfig)
        assert.include(error.message, problem)
        assert.match(error.message, /: plan: [^\n]+$/)
      }
      const longer: Faults.Plan = { seed: 1, faults: [{ _tag: "Pause", at: 0, node: "a", for: 120_000 }] }
      yield* Scenario.verify(idle(Effect.succeed([])), longer)
    }))

  it.effect("throws invalid options of plans when a plan is sampled, not when the plans are created", () =>
    Effect.gen(function*() {
      const asked: Faults.PlanOptions = { nodes: ["a"], buckets: ["*"], duration: "1 minute" }
      const rows: ReadonlyArray<readonly [wrong: unknown, problem: string]> = [
        [{ ...asked, nodes: [] }, "nodes: expected a list with at least one id, got an empty list"],
        [{ ...asked, nodes: [""] }, "nodes[0]: expected an id of letters"],
        [{ ...asked, buckets: "*" }, "buckets: expected a list with at least one bucket, got a plain string"],
        [{ ...asked, duration: -1 }, "duration: expected a time from 0"],
        [{ ...asked, duration: Number.NaN }, "duration: expected a time such as"],
        [{ ...asked, kinds: ["Meteor"] }, "kinds[0]: expected one of Crash"],
        [{ ...asked, maxFaults: -1 }, "maxFaults: expected a whole number from 0, got -1"],
        [{ ...asked, mostFaults: 3 }, "options: no option \"mostFaults\": the options are nodes, buckets"],
        [{ nodes: ["a"], buckets: ["*"] }, "duration: expected a time such as"],
        [null, "options: expected an object with nodes"]
      ]
      for (const [wrong, problem] of rows) {
        const plans = Faults.plans(wrong as Faults.PlanOptions)
        const drawn = yield* Effect.exit(Arbitrary.sampleEffect(plans, { count: 1 }))
        const error = Exit.isFailure(drawn) ? Cause.squash(drawn.cause) : undefined
        assert.instanceOf(error, Faults.InvalidConfig)
        assert.include((error as Faults.InvalidConfig).message, problem)
      }
    }))

  it.effect("injects no fault of a list that contains an invalid one", () =>
    Effect.gen(function*() {
      const { value } = yield* Simulation.run(Effect.gen(function*() {
        const { bucket, facts, node, pauseServer } = yield* Simulation.Simulation
        const a = yield* node("a")
        const faults = [{ _tag: "Crash", at: 0, node: "a", for: 1 }, { _tag: "Meteor", at: 0 }] as unknown
        const error = yield* Effect.flip(
          Faults.injectAll(faults as ReadonlyArray<Faults.Fault>, { node: () => a, bucket, pauseServer })
        )
        return { error, crashes: (yield* facts).crashes }
      }))
      assert.instanceOf(value.error, Faults.InvalidConfig)
      assert.include(value.error.message, "faults: ")
      assert.deepStrictEqual(value.crashes, [])
    }))

  it.effect("may take hours of simulated time, and have no faults", () =>
    Effect.gen(function*() {
      const { faults, lasted } = yield* Scenario.check(
        idle(Effect.succeed([]), { duration: "5 hours", faults: [] }),
        { runs: 1 }
      )
      assert.isAbove(Duration.toHours(lasted), 5)
      assert.strictEqual(faults.get("crash"), undefined)
    }))

  it.effect("reports the first violation of each rule, the clocks, and an excerpt of the timeline", () =>
    Effect.gen(function*() {
      const rule = (message: string): Checks.Violation => ({
        rule: "tokens grow",
        at: 0,
        message,
        history: [`  ${message}`]
      })
      const many = idle(Effect.succeed([rule("first"), rule("second"), rule("third")]), { duration: "1 hour" })
      const failed = isFailed(yield* Effect.flip(Scenario.verify(many, { seed: 3, faults: [] })))
      assert.include(failed.message, "tokens grow: first\n    first\n  (and 2 more of this kind)\n")
      assert.notInclude(failed.message, "second")
      assert.match(failed.message, /clocks: a [+-]\d+\.\d+ h x[01]\.\d{3}/)
      assert.notInclude(failed.message, "no smaller plan failed")
      assert.isBelow(failed.message.split("\n").length, 80)
      assert.notInclude(Object.keys(failed), "timeline")
    }))

  it.effect("reports the timeline after the first fault and around the first violation, however far apart", () =>
    Effect.gen(function*() {
      const violation: Checks.Violation = { rule: "tokens grow", at: 95_500, message: "here", history: [] }
      const talkative: Scenario.Scenario = {
        ...idle(Effect.succeed([violation]), { warmUp: "10 seconds", duration: "2 minutes" }),
        setup: Effect.map(Simulation.Simulation, ({ note }) => ({
          process: (node) =>
            Effect.andThen(
              Effect.forkChild(greet(node)),
              Effect.forever(Effect.andThen(Effect.sleep("1 second"), note("a", "continues")))
            ),
          violations: Effect.succeed([violation])
        }))
      }
      const plan: Faults.Plan = { seed: 3, faults: [{ _tag: "StepClock", at: 20_000, node: "a", by: 5 }] }
      const { message } = isFailed(yield* Effect.flip(Scenario.verify(talkative, plan)))
      assert.include(message, "with these faults, times counted from 10 s:\n  at 20 s")
      const times = message.split("\n").flatMap((line) => {
        const at = /^ *([\d.]+) s {2}/.exec(line)?.[1]
        return at === undefined ? [] : [Number(at)]
      })
      assert.isAtLeast(times[0]!, 29)
      assert.isBelow(times[0]!, 30.1)
      assert.isTrue(times.some((at) => at > 94 && at <= 95.5), "the lines before the violation")
      assert.isTrue(times.some((at) => at > 96 && at < 98), "the lines after the violation")
      assert.isBelow(times.at(-1)!, 115)
      assert.match(message, /\n {2}\.\.\.\n/)
    }))

  const excerpt = (faultAt: number, at: number | undefined, process: Scenario.Setup["process"] = greet) => {
    const violations = at === undefined ? [] : [{ rule: "tokens grow", at, message: "here", history: [] } as const]
    const told: Scenario.Scenario = {
      ...idle(Effect.succeed(violations)),
      setup: Effect.map(Simulation.Simulation, ({ note }) => ({
        process: (node) =>
          Effect.andThen(
            Effect.forkChild(Effect.forever(Effect.andThen(Effect.sleep("400 millis"), note("a", "continues")))),
            process(node)
          ),
        violations: Effect.succeed(violations)
      }))
    }
    const plan: Faults.Plan = { seed: 3, faults: [{ _tag: "StepClock", at: faultAt, node: "a", by: 5 }] }
    return Effect.map(Effect.flip(Scenario.verify(told, plan)), (error) => {
      const lines = isFailed(error).message.split("\n").map((line) => /^ *([\d.]+) s {2}/.exec(line)?.[1])
      return lines.filter((time) => time !== undefined).map(Number)
    })
  }

  it.effect("reports 20 lines from the first fault on, and 25 lines before and 15 after a violation", () =>
    Effect.gen(function*() {
      // One line every 0.4 s by the clock of the machine.
      const times = yield* excerpt(2000, 40_000)
      assert.strictEqual(times.length, 60)
      assert.isAtLeast(times[0]!, 1)
      assert.isBelow(times[19]!, 12)
      assert.deepStrictEqual([times.filter((at) => at > 12 && at <= 40).length, times.filter((at) => at > 40).length], [
        25,
        15
      ])
      const near = yield* excerpt(2000, 12_000)
      assert.isTrue(near.length === 60 && near.filter((at) => at > 12).length > 15)
    }))

  it.effect("reports the timeline around a violation before the first fault, and before a failure of the run", () =>
    Effect.gen(function*() {
      const early = yield* excerpt(55_000, 3000)
      assert.isTrue(early.some((at) => at >= 2 && at <= 3))
      const failing = yield* excerpt(
        2000,
        undefined,
        (node) => Effect.andThen(greet(node).pipe(Effect.timeoutOption("59 seconds")), Effect.fail("no"))
      )
      assert.isAbove(failing.at(-1)!, 50)
    }))

  it.effect("assigns all lines of a multi-line note to the time of its first line", () =>
    Effect.gen(function*() {
      const logging = (node: Simulation.SimulatedNode) =>
        Effect.andThen(Effect.logError("first line\nsecond line"), greet(node))
      const times = yield* excerpt(50_000, 52_000, logging)
      assert.isAtLeast(times[0]!, 49)
    }))

  it.effect("reports that no smaller plan failed only if shrinking has tried all of them", () =>
    Effect.gen(function*() {
      const found = (maxShrinks: number) =>
        Effect.map(Effect.flip(Scenario.check(crashesAtMost(1), { runs: 300, maxShrinks })), isFailed)
      assert.notInclude((yield* found(0)).message, "no smaller plan failed")
      assert.include((yield* found(500)).message, "no smaller plan failed")
    }))
})
