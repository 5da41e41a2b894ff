import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as KVStore from "../../../../src/KVStore.ts"
import type * as Linearizability from "../../../../src/testing/Linearizability.ts"
import { check, format, type Operation, recorder } from "../../../../src/testing/Linearizability.ts"
import { bytes } from "../../../../tools/values.ts"
import { makeChance, refused, strict, unknown } from "../../../support/histories.ts"

const { atRevision, createOnly, updateOnly } = KVStore.KVOptions

const memory = Effect.map(Layer.build(KVStore.layerMemory({ bucket: "recorded" })), Context.get(KVStore.KVStore))

describe("a recorder", () => {
  const makeRecorder = () => {
    const history: Array<Operation> = []
    const log: Array<readonly [Operation, number]> = []
    let time = 0
    const recorded = (process: string) =>
      recorder({ process, history, now: () => ++time, log: (...entry) => log.push(entry) })
    return { history, log, recorded }
  }

  it.effect("with invalid options returns a store whose recorded operations fail with InvalidConfig", () =>
    Effect.gen(function*() {
      const right = { process: "a", history: [], now: () => 0 }
      const rows: ReadonlyArray<readonly [unknown, string]> = [
        [{ ...right, process: "" }, "process: expected a text that is not empty, got an empty string"],
        [{ ...right, now: 7 }, "now: expected a function, got a number"],
        [{ ...right, history: {} }, "history: expected a list of operations, got an object"],
        [{ ...right, log: "file" }, "log: expected a function, got a plain string"],
        [{ ...right, encode: null }, "encode: expected a function, got null"],
        [{ ...right, clock: 1 }, "options: no option \"clock\": the options are process, now, history, log, encode"],
        [null, "options: expected an object with process"]
      ]
      const store = yield* memory
      for (const [options, problem] of rows) {
        const recorded = recorder(options as Linearizability.RecorderOptions)(store)
        const error = yield* Effect.flip(recorded.put("key", bytes("a")))
        assert.strictEqual(error.reason._tag, "InvalidConfig")
        assert.include(error.message, problem)
        for (const refused of [recorded.get("key"), recorded.delete("key"), recorded.purge("key")]) {
          assert.strictEqual((yield* Effect.flip(refused)).reason._tag, "InvalidConfig")
        }
      }
      assert.isTrue(Option.isNone(yield* store.get("key")))
    }))

  it.effect("records the input and the outcome of each operation in order", () =>
    Effect.gen(function*() {
      const { history, recorded } = makeRecorder()
      const store = recorded("p")(yield* memory)
      assert.isTrue(Option.isNone(yield* store.get("key")))
      const revision = yield* store.put("key", bytes("a"), createOnly)
      yield* Effect.flip(store.put("key", bytes("b"), createOnly))
      yield* Effect.flip(store.put("", bytes("b")))
      yield* store.get("key")
      yield* store.delete("key", { revision })
      yield* store.purge("key")
      yield* Effect.flip(store.put("key", new Uint8Array([255, 0]), updateOnly))
      yield* Effect.flip(store.put("key", bytes("hex:00"), updateOnly))
      const told = history.map(({ input, key, outcome }) => [key, input, outcome])
      assert.deepStrictEqual<unknown>(told, [
        ["key", { _tag: "Get" }, { _tag: "None" }],
        ["key", { _tag: "Put", value: "a", options: createOnly }, { _tag: "Written", revision }],
        ["key", { _tag: "Put", value: "b", options: createOnly }, refused("KeyAlreadyExists")],
        ["", { _tag: "Put", value: "b", options: undefined }, { _tag: "Failed" }],
        ["key", { _tag: "Get" }, { _tag: "Found", value: "a", revision }],
        ["key", { _tag: "Remove", operation: "delete", revision }, { _tag: "Removed" }],
        ["key", { _tag: "Remove", operation: "purge", revision: undefined }, { _tag: "Removed" }],
        ["key", { _tag: "Put", value: "hex:ff00", options: updateOnly }, refused("KeyNotFound")],
        ["key", { _tag: "Put", value: "hex:6865783a3030", options: updateOnly }, refused("KeyNotFound")]
      ])
      assert.deepStrictEqual(
        history.map(({ invoked, returned }) => [invoked, returned]),
        history.map((_, index) => [2 * index + 1, 2 * index + 2])
      )
      assert.strictEqual(check(history)._tag, "Linearizable")
    }))

  it.effect("records an operation when it begins, and an interrupted write as Unknown", () =>
    Effect.gen(function*() {
      const { history, log, recorded } = makeRecorder()
      const begun = yield* Deferred.make<void>()
      const store = recorded("p")({
        ...(yield* memory),
        put: () => Effect.andThen(Deferred.succeed(begun, undefined), Effect.never)
      })
      const fiber = yield* Effect.forkChild(store.put("key", bytes("a")))
      yield* Deferred.await(begun)
      assert.deepStrictEqual(history.map(({ outcome, returned }) => [outcome, returned]), [[unknown, undefined]])
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual(history.map(({ outcome, returned }) => [outcome, returned]), [[unknown, 2]])
      assert.deepStrictEqual(log, [[{ ...history[0]!, returned: undefined }, 0], [history[0]!, 0]])
    }))

  it.effect("records a linearizable history of concurrent operations on the memory backend", () =>
    Effect.gen(function*() {
      const { history, recorded } = makeRecorder()
      const store = yield* memory
      const work = (process: number) =>
        Effect.gen(function*() {
          const mine = recorded(`p${process}`)(store)
          const chance = makeChance(process)
          let seen = 0
          for (let n = 0; n < 200; n++) {
            const key = `k${chance.below(3)}`
            yield* chance.pick([
              Effect.map(mine.get(key), (entry) => {
                seen = Option.match(entry, { onNone: () => 0, onSome: ({ revision }) => revision })
              }),
              mine.put(
                key,
                bytes(`${process} ${n}`),
                chance.pick([undefined, createOnly, updateOnly, atRevision(seen)])
              ),
              mine.delete(key, { revision: chance.is(0.5) ? seen : undefined })
            ]).pipe(Effect.ignore, Effect.andThen(Effect.yieldNow))
          }
        })
      yield* Effect.forEach(Array.from({ length: 8 }, (_, process) => process), work, { concurrency: 8, discard: true })
      const verdict = check(history, strict)
      assert.deepStrictEqual(verdict, { _tag: "Linearizable", keys: 3, operations: 1600 }, format(verdict))
    }))
})
