/**
 * The settings of a bucket's stream change while a store is open. The tests run on the simulated servers and on real
 * ones. Another client makes the changes: `NatsKVStore` changes settings only when it opens a bucket.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as configuration from "../../../src/internal/kv/config.ts"
import { subjectPrefix } from "../../../src/internal/kv/headers.ts"
import { settingsFor, streamName } from "../../../src/internal/nats/bucket/streamConfig.ts"
import * as jetstream from "../../../src/internal/nats/jetstream/api.ts"
import { requesterOf } from "../../../src/internal/nats/service.ts"
import * as KVStore from "../../../src/KVStore.ts"
import * as NatsClient from "../../../src/NatsClient.ts"
import * as NatsKVStore from "../../../src/NatsKVStore.ts"
import { eventually } from "../../../tools/eventually.ts"
import { bytes, textOf } from "../../../tools/values.ts"
import { freshName, numbers, reasonOf, record } from "../../support/suite.ts"

export interface World {
  /** Whether the server is of the line 2.10. */
  readonly isOld: boolean
  /** Removes all consumers of the bucket, so that every watch resumes. */
  readonly dropConsumers: (bucket: string) => Effect.Effect<void>
}

export type Test = (
  title: string,
  body: (world: World) => Effect.Effect<void, unknown, NatsClient.NatsClient | Scope.Scope>
) => void

const until = eventually(false)

const { whenKey } = KVStore.KVOptions

/** The requests of another client. */
export const api = Effect.map(
  NatsClient.NatsClient,
  (client) => jetstream.make(requesterOf(client) ?? assert.fail("the client has no requester"))
)

/** Changes settings of a bucket's stream, as an operator does. */
export const change = (bucket: string, settings: Partial<jetstream.StreamSettings>) =>
  Effect.flatMap(api, (js) => js.updateStream(streamName(bucket), settings, 5000))

const values = (entries: ReadonlyArray<KVStore.KVEntry>) => entries.map(({ key, value }) => `${key}=${textOf(value)}`)

const textAt = (store: KVStore.KVStore["Service"], key: string, options?: KVStore.ReadOptions) =>
  Effect.map(store.get(key, options), Option.match({ onNone: () => "", onSome: ({ value }) => textOf(value) }))

/** Every read of the keys `a` and `b`. */
const readEverywhere = Effect.fnUntraced(function*(store: KVStore.KVStore["Service"]) {
  assert.strictEqual(yield* textAt(store, "a"), "1")
  assert.strictEqual(yield* textAt(store, "a", { fromLeader: true }), "1")
  assert.strictEqual(yield* textAt(store, "none"), "")
  assert.deepStrictEqual(values(yield* store.entries()), ["a=1", "b=2"])
  assert.deepStrictEqual(yield* store.keys(), ["a", "b"])
  assert.deepStrictEqual(values([...(yield* store.getMany(["a", "none", "b"])).values()]), ["a=1", "b=2"])
  assert.strictEqual((yield* store.history("a")).length, 1)
})

/** Direct access, history size and value size. */
const reading = (test: Test) => {
  test("every read succeeds at once when direct access is turned off, and when it is turned on again", () =>
    Effect.gen(function*() {
      for (const first of ["get", "getMany", "entries", "keys"] as const) {
        const store = yield* NatsKVStore.make({ bucket: freshName() })
        const { bucket } = store.config
        yield* store.put("a", bytes("1"))
        yield* store.put("b", bytes("2"))
        yield* readEverywhere(store)
        yield* change(bucket, { allow_direct: false })
        // Each kind of read notices the change without the others.
        const count = {
          get: Effect.map(store.get("a"), Option.toArray),
          getMany: Effect.map(store.getMany(["a"]), (found) => [...found.keys()]),
          entries: store.entries("a"),
          keys: store.keys("a")
        }
        assert.strictEqual((yield* count[first]).length, 1, first)
        yield* readEverywhere(store)
        yield* change(bucket, { allow_direct: true })
        yield* readEverywhere(store)
        yield* store.status
        yield* readEverywhere(store)
      }
    }))

  test("history follows the history size of the bucket", () =>
    Effect.gen(function*() {
      const store = yield* NatsKVStore.make({ bucket: freshName() })
      const { bucket } = store.config
      const kept = Effect.map(store.history("a"), (events) =>
        events.map((event) => event._tag === "Put" ? textOf(event.entry.value) : event._tag))
      yield* change(bucket, { max_msgs_per_subject: 3 })
      yield* store.status
      yield* Effect.forEach(["1", "2", "3", "4"], (value) =>
        store.put("a", bytes(value)))
      assert.deepStrictEqual(yield* kept, ["4", "3", "2"])
      assert.deepStrictEqual(
        (yield* store.history("a", { fromLeader: true })).length,
        3
      )
      yield* change(bucket, { max_msgs_per_subject: 1 })
      yield* store.status
      assert.deepStrictEqual(yield* kept, ["4"])
    }))

  test("a value over the present limit of the bucket fails with ValueTooLarge, which has that limit", () =>
    Effect.gen(function*() {
      const store = yield* NatsKVStore.make({ bucket: freshName() })
      yield* change(store.config.bucket, { max_msg_size: 1000 })
      for (const [key, options] of [["a", undefined], ["b", KVStore.KVOptions.createOnly]] as const) {
        const { limit = 0, size } = yield* reasonOf(store.put(key, new Uint8Array(2000), options), "ValueTooLarge")
        assert.strictEqual(size, 2000)
        // The limit includes the headers, which a write without a condition does not have.
        assert.strictEqual(limit, options === undefined ? 1000 : 1000 - "NATS/1.0\r\n\r\n".length - sizeOfCondition)
        yield* reasonOf(store.put(key, new Uint8Array(limit + 1), options), "ValueTooLarge")
        yield* store.put(key, new Uint8Array(limit), options)
      }
      yield* change(store.config.bucket, { max_msg_size: -1 })
      yield* store.put("a", new Uint8Array(2000))
    }))
}

const sizeOfCondition = "Nats-Expected-Last-Subject-Sequence: 0\r\n".length

/** Age and subjects. */
const others = (test: Test) => {
  test("a watch reports silent removals as expired once the bucket has got an age limit", ({ dropConsumers }) =>
    Effect.gen(function*() {
      const store = yield* NatsKVStore.make({ bucket: freshName(), storage: "memory" })
      const { bucket } = store.config
      yield* store.put("a", bytes("1"))
      const { all } = yield* record(store.watch())
      yield* until(all, (events) => events.length === 2)
      yield* change(bucket, { max_age: 300_000_000, duplicate_window: 200_000_000 })
      yield* store.status
      yield* until(store.get("a"), Option.isNone)
      yield* dropConsumers(bucket)
      const events = yield* until(all, (events) => events.length >= 3)
      assert.deepInclude(events[2], { _tag: "Removed", key: "a", reason: "expire" })
    }))

  test("a write fails with ConfigMismatch while the bucket has other subjects, and succeeds after that", () =>
    Effect.gen(function*() {
      const store = yield* NatsKVStore.make({ bucket: freshName() })
      const { bucket } = store.config
      const subjects = [`${subjectPrefix(bucket)}>`]
      yield* store.put("a", bytes("1"))
      yield* change(bucket, { subjects: ["elsewhere.>"] })
      const { differences } = yield* reasonOf(store.put("a", bytes("2")), "ConfigMismatch")
      assert.deepStrictEqual(differences, [{ setting: "subjects", expected: subjects[0]!, actual: "elsewhere.>" }])
      yield* reasonOf(store.delete("a"), "ConfigMismatch")
      yield* change(bucket, { subjects })
      yield* store.put("a", bytes("3"))
      assert.strictEqual(yield* textAt(store, "a"), "3")
    }))

  test("a write that another stream has stored fails with ConfigMismatch, which names that stream", () =>
    Effect.gen(function*() {
      const store = yield* NatsKVStore.make({ bucket: freshName() })
      const { bucket } = store.config
      const js = yield* api
      yield* change(bucket, { subjects: ["elsewhere.two.>"] })
      const thief = yield* configuration.make({ bucket: `${bucket}_thief` })
      yield* js.createStream({ ...settingsFor(thief, 1), subjects: [`${subjectPrefix(bucket)}>`] }, 5000)
      const { differences } = yield* reasonOf(store.put("a", bytes("1")), "ConfigMismatch")
      assert.include(differences[0]!.actual, streamName(thief.bucket))
      assert.strictEqual(yield* textAt(store, "a"), "")
    }))
}

/** Conditions on another key, by the version of the stream's server. */
const guarding = (test: Test) => {
  test("whenKey is refused before 2.11, also if a client has stored a later version as metadata", ({ isOld }) =>
    Effect.gen(function*() {
      const bucket = freshName()
      const js = yield* api
      const settings = {
        ...settingsFor(yield* configuration.make({ bucket }), 1_000_000),
        metadata: { "_nats.ver": "2.15.1", "_nats.level": "5", "_nats.req.level": "0", owner: "orders" }
      }
      yield* js.createStream(settings, 5000)
      const store = yield* NatsKVStore.make({ bucket })
      if (!isOld) return void (yield* store.put("a", bytes("1"), whenKey("guard", 0)))
      for (const n of [0, 1]) {
        const { problem } = yield* reasonOf(store.put("a", bytes("1"), whenKey("guard", n)), "InvalidConfig")
        assert.match(problem, /whenKey.*2\.11/)
      }
      assert.strictEqual(yield* textAt(store, "a"), "")
    }))

  test("guardedWrites is refused at opening before 2.11, without creating the bucket", ({ isOld }) =>
    Effect.gen(function*() {
      const bucket = freshName()
      const guarded = NatsKVStore.make({ bucket, guardedWrites: true })
      if (!isOld) return void (yield* (yield* guarded).put("a", bytes("1"), whenKey("b", 0)))
      const { problem } = yield* reasonOf(guarded, "InvalidConfig")
      assert.match(problem, /guardedWrites.*2\.11.*2\.10/)
      yield* reasonOf(NatsKVStore.make({ bucket, create: false }), "BucketNotFound")
      yield* NatsKVStore.make({ bucket })
      yield* reasonOf(guarded, "InvalidConfig")
    }))
}

export const changes = (test: Test): void => {
  reading(test)
  others(test)
  guarding(test)
}

/**
 * Writes and reads own values, and returns the number of outdated reads. A write without an answer is repeated: a stream
 * that gets replicas has no leader for a while.
 */
export const outdatedReads = (
  store: KVStore.KVStore["Service"],
  count: number,
  options?: KVStore.ReadOptions
): Effect.Effect<number, KVStore.KVStoreError> =>
  Effect.map(
    Effect.forEach(numbers(count), (n) =>
      store.put("own", bytes(`${n}`)).pipe(
        Effect.retry({ times: 20 }),
        Effect.andThen(textAt(store, "own", options)),
        Effect.map((text) => text !== `${n}`)
      )),
    (outdated) => outdated.filter((is) => is).length
  )
