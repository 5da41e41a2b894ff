/** Elections and the registry read their records from the leader of the bucket's stream, in every operation. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"
import { freshName } from "../support/suite.ts"

/** A store in memory, and the options of every `get` and `history` so far. */
const recording = Effect.gen(function*() {
  const store = yield* KVStore.makeMemory({ bucket: freshName() })
  const reads: Array<KVStore.ReadOptions | undefined> = []
  const noted = (options: KVStore.ReadOptions | undefined) => {
    reads.push(options)
    return options
  }
  return {
    reads,
    store: KVStore.KVStore.of({
      ...store,
      get: (key, options) => store.get(key, noted(options)),
      history: (key, options) => store.history(key, noted(options))
    })
  }
})

const areDeciding = (reads: ReadonlyArray<KVStore.ReadOptions | undefined>) => {
  assert.isAbove(reads.length, 0)
  assert.deepStrictEqual([...reads], reads.map(() => ({ fromLeader: true })))
}

describe("every read of a record asks the leader", () => {
  it.effect("in elections", () =>
    Effect.gen(function*() {
      const { reads, store } = yield* recording
      const election = yield* Election.make().pipe(Effect.provideService(KVStore.KVStore, store))
      yield* Effect.scoped(Effect.gen(function*() {
        yield* election.campaign("jobs", { candidateId: "one" })
        yield* TestClock.adjust("1 minute")
        const before = reads.length
        yield* election.leader("jobs")
        assert.isAbove(reads.length, before)
      }))
      areDeciding(reads)
    }))

  it.effect("in the registry", () =>
    Effect.gen(function*() {
      const { reads, store } = yield* recording
      const registry = yield* Registry.make().pipe(Effect.provideService(KVStore.KVStore, store))
      const instance = { serviceName: "orders", instanceId: "one", version: "1.0.0" }
      for (
        const operation of [
          registry.heartbeat(instance),
          registry.get("orders", "one"),
          registry.deregister({ serviceName: "orders", instanceId: "one" }),
          Effect.scoped(registry.register(instance))
        ]
      ) {
        const before = reads.length
        yield* operation
        assert.isAbove(reads.length, before)
      }
      areDeciding(reads)
    }))
})
