/**
 * The suite of `KVStore` against real servers of both lines, and tests of what only a server has: consumers, existing
 * buckets, and other clients.
 */
import { assert, layer } from "@effect/vitest"
import { headers } from "@nats-io/transport-node"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { layerNats } from "../../src/Buckets.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import { eventually } from "../../tools/eventually.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { layerNatsServer, type NatsServer } from "../../tools/natsServer/server.ts"
import { bytes } from "../../tools/values.ts"
import { layerClient, layerLegacyClient, layerRaw, Raw } from "../support/natsClient.ts"
import { destroyBucket, freshName, openBucket, record } from "../support/suite.ts"
import { reasonOf } from "../support/suite.ts"
import { read, shown } from "./suite/fixture.ts"
import { suite } from "./suite/index.ts"

const onRealTime = { excludeTestServices: true, timeout: "30 seconds" } as const

const until = eventually(false)

/** A JetStream manager on another connection than the store's. */
const manager = Effect.map(Raw, ({ manager }) => manager)

/** The NATS client library under the store. */
interface Connection {
  readonly name: string
  readonly layer: Layer.Layer<NatsClient.NatsClient, KVStore.KVStoreError, NatsServer>
}

const ours: Connection = { name: "", layer: layerClient }
const legacy: Connection = { name: ", legacy", layer: layerLegacyClient }

const layerLine = (line: Line, connection: Connection) =>
  layerNats.pipe(
    Layer.provideMerge(Layer.merge(connection.layer, layerRaw)),
    Layer.provideMerge(layerNatsServer(line))
  )

const consumers = (bucket: string) =>
  Effect.flatMap(
    manager,
    ({ streams }) => Effect.promise(async () => (await streams.info(`KV_${bucket}`)).state.consumer_count)
  )

/** Waits less than the 10 s after which the server itself removes an unused consumer. */
const noConsumerOf = (bucket: string) => until(consumers(bucket), (count) => count === 0, Duration.seconds(3))

const onServers = (line: Line, connection: Connection): void =>
  layer(layerLine(line, connection), onRealTime)(`${line}${connection.name}: a bucket on a server`, (it) => {
    it.effect("a watch has one consumer, and deletes it when it ends", () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const { bucket } = store.config
        yield* store.put("a", bytes("1"))
        const { events } = yield* record(Stream.take(store.watch(), 3))
        yield* until(Effect.sync(() => events.length), (length) => length === 2)
        assert.strictEqual(yield* consumers(bucket), 1)
        yield* store.put("a", bytes("2"))
        yield* until(Effect.sync(() => events.length), (length) => length === 3)
        yield* noConsumerOf(bucket)
      }))

    it.effect("an interrupted watch leaves no consumer", () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const { bucket } = store.config
        const watches = yield* Effect.forEach([1, 2, 3], () => record(store.watch()))
        yield* until(consumers(bucket), (count) => count === 3)
        yield* Effect.forEach(watches, ({ fiber }) => Fiber.interrupt(fiber))
        yield* noConsumerOf(bucket)
      }))

    it.effect("a watch that is interrupted before Ready leaves no consumer", () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const { bucket } = store.config
        const watches = yield* Effect.forEach([0, 1, 2, 3, 4, 5, 6, 7], () => record(store.watch()))
        for (const { fiber } of watches) {
          yield* Effect.yieldNow
          yield* Fiber.interrupt(fiber)
        }
        yield* store.put("a", bytes("1"))
        yield* noConsumerOf(bucket)
      }))

    it.effect("listings and histories leave no consumer", () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 3 })
        yield* store.put("a", bytes("1"))
        yield* store.put("a", bytes("2"))
        const listing = Effect.all([store.keys(), store.entries("a"), store.history("a")])
        yield* Effect.forEach(Array.from({ length: 30 }), () => listing, { concurrency: 10 })
        yield* noConsumerOf(store.config.bucket)
      }))

    it.effect("a new bucket starts above every revision that this process has seen in a bucket of that name", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        const { streams } = yield* manager
        // As if the host's clock had been one hour ahead when the bucket was created.
        const first_seq = ((yield* Clock.currentTimeMillis) + 3_600_000) * 1000
        // On 2.10 the placeholder message that is written and purged at opening takes the first revision.
        const taken = line === "2.10" ? 1 : 0
        yield* Effect.promise(() =>
          streams.add({ name: `KV_${bucket}`, subjects: [`$KV.${bucket}.>`], max_msgs_per_subject: 1, first_seq })
        )
        const ahead = yield* openBucket({ bucket, onMismatch: "accept" })
        const last = yield* ahead.put("a", bytes("1"))
        assert.strictEqual(last, first_seq + taken)
        yield* destroyBucket(bucket)
        const recreated = yield* openBucket({ bucket })
        assert.strictEqual(yield* recreated.put("a", bytes("1")), last + 1 + taken)
      }))

    it.effect("a bucket that another client created without direct access can be read and written", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        const { streams } = yield* manager
        const { connection } = yield* Raw
        yield* Effect.promise(() =>
          streams.add({
            name: `KV_${bucket}`,
            subjects: [`$KV.${bucket}.>`],
            max_msgs_per_subject: 5,
            allow_rollup_hdrs: true
          })
        )
        const send = (key: string, value: string, operation?: string) =>
          Effect.promise(() => {
            const list = headers()
            if (operation !== undefined) list.set("KV-Operation", operation)
            return connection.request(`$KV.${bucket}.${key}`, value, { timeout: 2000, headers: list })
          })
        const store = yield* openBucket({ bucket, create: false, onMismatch: "accept" })
        yield* send("a", "theirs")
        yield* send("b", "theirs")
        yield* send("b", "", "DEL")
        assert.deepStrictEqual(yield* read(store, "a"), Option.some("theirs"))
        assert.isTrue(Option.isNone(yield* store.get("b")))
        assert.deepStrictEqual((yield* store.history("b")).map(shown), ["delete b", "b=theirs"])
        // Revisions start at 1 in a bucket that another client created.
        assert.strictEqual(yield* store.put("a", bytes("ours"), KVStore.KVOptions.atRevision(1)), 4)
        yield* store.purge("b")
        const direct = yield* Effect.promise(() =>
          streams.getMessage(`KV_${bucket}`, { last_by_subj: `$KV.${bucket}.b` })
        )
        assert.deepStrictEqual([direct?.header.get("KV-Operation"), direct?.header.get("Nats-Rollup")], [
          "PURGE",
          "sub"
        ])
        const ours = yield* Effect.promise(() =>
          streams.getMessage(`KV_${bucket}`, { last_by_subj: `$KV.${bucket}.a` })
        )
        assert.strictEqual(ours?.string(), "ours")
      }))

    it.effect("a bucket with no_ack is refused for every onMismatch", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        const { streams } = yield* manager
        yield* Effect.promise(() =>
          streams.add({
            name: `KV_${bucket}`,
            subjects: [`$KV.${bucket}.>`],
            max_msgs_per_subject: 1,
            allow_rollup_hdrs: true,
            no_ack: true
          })
        )
        for (const onMismatch of ["fail", "update", "accept"] as const) {
          const { differences } = yield* reasonOf(openBucket({ bucket, onMismatch }), "ConfigMismatch")
          assert.deepStrictEqual(differences, [{ setting: "no_ack", expected: "false", actual: "true" }])
        }
      }))

    it.effect("a value larger than the server's max_payload fails with ValueTooLarge, and nothing is written", () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ maxValueSize: 4 * 1024 * 1024 })
        const large = new Uint8Array(1024 * 1024 + 1)
        for (const [key, options] of [["b", undefined], ["c", KVStore.KVOptions.createOnly]] as const) {
          const reason = yield* reasonOf(store.put("a", large, options), "ValueTooLarge")
          assert.strictEqual(reason.size, large.length)
          assert.isBelow(reason.limit!, large.length)
          yield* store.put(key, new Uint8Array(reason.limit!), options)
        }
        assert.isTrue(Option.isNone(yield* store.get("a")))
      }))

    it.effect("a value larger than the limit of an accepted bucket fails with ValueTooLarge", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        yield* openBucket({ bucket, maxValueSize: 100 })
        const store = yield* openBucket({ bucket, onMismatch: "accept" })
        const reason = yield* reasonOf(store.put("a", new Uint8Array(10_000)), "ValueTooLarge")
        assert.strictEqual(reason.size, 10_000)
        assert.isTrue(Option.isNone(yield* store.get("a")))
      }))

    it.effect("more replicas than servers fail with Rejected, which has the text of the server", () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(openBucket({ replicas: 3 }))
        assert.deepStrictEqual([error.reason._tag, error.operation, error.isRetryable], ["Rejected", "open", false])
        assert.match(error.message, /replicas/)
      }))
  })

const lineups: ReadonlyArray<readonly [Line, Connection]> = [
  ...lines.map((line) => [line, ours] as const),
  ["2.15", legacy]
]

for (const [line, connection] of lineups) {
  const buckets = layerLine(line, connection)
  const name = `KVStore on a server of the line ${line}${connection.name}`
  suite(name, { kind: "nats", virtual: false, markers: line !== "2.10", buckets })
  onServers(line, connection)
}
