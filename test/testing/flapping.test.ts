/** The faults of links and stores that fail again and again: their times, their bounds, their text, and shrinking. */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as KVStore from "../../src/KVStore.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import { longest, shrunk } from "../support/shrinking.ts"

const link: Faults.Fault = { _tag: "FlappingLink", at: 1500, node: "a", for: 5000, down: 1000, up: 500 }
const store: Faults.Fault = { _tag: "FlappingStore", at: 1500, bucket: "simulation", for: 4000, down: 1000, up: 500 }

/** Injects faults into a simulation whose machine has created the bucket, and returns its disruptions. */
const disruptionsOf = (...faults: ReadonlyArray<Faults.Fault>) =>
  Effect.map(
    Simulation.run(Effect.gen(function*() {
      const { bucket, facts, node, now, pauseServer } = yield* Simulation.Simulation
      const a = yield* node("a")
      yield* a.run(Effect.provide(KVStore.KVStore.use((store) => store.put("k", new Uint8Array(1))), a.layer))
      const begin = yield* now
      yield* Faults.injectAll(faults, { node: () => a, bucket, pauseServer })
      const ended = (yield* now) - begin
      const { disruptions } = yield* facts
      return {
        ended,
        disruptions: disruptions.map(({ from, node, until }) => ({
          node,
          from: Math.round(from - begin),
          until: Math.round(until - begin)
        }))
      }
    })),
    ({ value }) => value
  )

describe("a flapping link", () => {
  it.effect("is cut for `down` every `down + up`, and the last cut ends with the fault", () =>
    Effect.gen(function*() {
      const { disruptions, ended } = yield* disruptionsOf(link)
      assert.closeTo(ended, 6500, 1)
      assert.deepStrictEqual(disruptions, [
        { node: "a", from: 1500, until: 2500 },
        { node: "a", from: 3000, until: 4000 },
        { node: "a", from: 4500, until: 5500 },
        { node: "a", from: 6000, until: 6500 }
      ])
    }))
})

describe("a flapping store", () => {
  it.effect("has no leader for `down` every `down + up`", () =>
    Effect.gen(function*() {
      const { disruptions, ended } = yield* disruptionsOf(store)
      assert.closeTo(ended, 5500, 1)
      assert.deepStrictEqual(disruptions, [
        { node: undefined, from: 1500, until: 2500 },
        { node: undefined, from: 3000, until: 4000 },
        { node: undefined, from: 4500, until: 5500 }
      ])
    }))
})

describe("flapping faults", () => {
  it("are printed with their times, and survive encoding", () => {
    assert.strictEqual(Faults.format(link), "at 1.5 s        FlappingLink   a  for 5 s  down 1 s  up 0.5 s")
    assert.strictEqual(Faults.format(store), "at 1.5 s        FlappingStore  simulation  for 4 s  down 1 s  up 0.5 s")
    const plan: Faults.Plan = { seed: 7, faults: [link, store] }
    assert.deepStrictEqual(Faults.decode(Faults.encode(plan)), Option.some(plan))
    const never = { seed: 7, faults: [{ ...link, down: 0 }] } as Faults.Plan
    assert.deepStrictEqual(Faults.decode(Faults.encode(never)), Option.none())
  })

  it.effect("are generated among the survivable faults, within their bounds, and also longer than 30 s", () =>
    Effect.gen(function*() {
      const plans = yield* Arbitrary.sampleEffect(
        Faults.plans({ nodes: ["a"], buckets: ["x"], duration: "1 minute" }),
        { seed: 1, count: 400, size: Faults.defaultMaxFaults }
      )
      const flapping = plans.flatMap(({ faults }) =>
        faults.flatMap((fault) => fault._tag === "FlappingLink" || fault._tag === "FlappingStore" ? [fault] : [])
      )
      assert.deepStrictEqual([...new Set(flapping.map(({ _tag }) => _tag))].toSorted(), [
        "FlappingLink",
        "FlappingStore"
      ])
      assert.isTrue(flapping.some((fault) => fault.for > 30_000))
      for (const { down, for: lasts, up } of flapping) {
        assert.isAtMost(lasts, 60_000)
        assert.isAtLeast(Math.min(down, up), 200)
        assert.isAtMost(Math.max(down, up), 10_000)
      }
    }))

  it.effect("are shrunk to the shortest that fails", () =>
    Effect.gen(function*() {
      const [fault, ...more] = yield* shrunk("FlappingLink")
      assert.deepStrictEqual(more, [])
      assert.strictEqual(fault?._tag, "FlappingLink")
      if (fault?._tag !== "FlappingLink") return
      assert.isBelow(fault.for, longest + 1000)
      assert.isBelow(fault.up, 1000)
    }))
})
