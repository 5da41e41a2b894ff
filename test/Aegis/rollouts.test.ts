/** Rollouts over buckets in memory, which also compare `replicas`. */
import { assert, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { layerMemory } from "../../src/Buckets.ts"
import { names, rollouts, start } from "./rollouts/suite.ts"

layer(layerMemory, { excludeTestServices: true })("rollouts in memory", (it) => {
  rollouts((title, body) => it.effect(title, () => Effect.scoped(body())))

  it.effect("replicas change: every process starts, and logs the difference", () =>
    Effect.gen(function*() {
      const { election, registry } = names()
      const at = (replicas: number) =>
        start({ registry: { bucket: registry }, election: { bucket: election }, replicas })
      const differing = (bucket: string, actual: number, expected: number) =>
        `Warn the bucket "${bucket}" differs from the options and is used as it is (replicas is ${actual}, not ${expected}): ` +
        `set onMismatch: "update" (AEGIS_ON_MISMATCH=update) to change it`
      assert.deepStrictEqual(yield* at(1), [])
      for (const replicas of [3, 5, 3]) {
        const lines = yield* at(replicas)
        assert.deepStrictEqual(
          lines.toSorted(),
          [differing(registry, 1, replicas), differing(election, 1, replicas)].toSorted()
        )
      }
      assert.deepStrictEqual(yield* at(1), [])
    }))
})
