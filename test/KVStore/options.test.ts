/** Everything in the modules of the store that takes options refuses invalid ones, without a request to the backend. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import { inspect } from "node:util"
import type { Backend } from "../../src/internal/kv/backend.ts"
import * as config from "../../src/internal/kv/config.ts"
import { make as makeStore } from "../../src/internal/kv/store.ts"
import type { NatsPort } from "../../src/internal/nats/port.ts"
import * as client from "../../src/internal/nats/service.ts"
import * as KVStore from "../../src/KVStore.ts"
import { NatsClient } from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { bytes, untyped } from "../../tools/values.ts"
import { bare, nothingInIt, refusesAll, type Taker } from "../support/wrongOptions.ts"

type Store = KVStore.KVStore["Service"]

interface Asked {
  count: number
}

/** A store over a backend that fails every request and counts them. */
const countingStore = Effect.fnUntraced(function*(asked: Asked) {
  const ask = Effect.suspend(() => {
    asked.count++
    return Effect.die("the backend was called")
  })
  const backend: Backend = {
    config: yield* config.make({ bucket: "orders" }),
    clock: yield* Clock.Clock,
    last: () => ask,
    append: () => ask,
    history: () => ask,
    lastOfEach: () => ask,
    lastOf: () => ask,
    streamOfEach: () => Stream.fromEffect(ask),
    follow: () => Stream.fromEffect(ask),
    at: () => ask,
    removeUpTo: () => ask,
    status: ask,
    reachability: Stream.fromEffect(ask),
    valueLimit: () => 1
  }
  return KVStore.KVStore.of(makeStore(backend))
})

/** A client without a connection that counts the messages it should send. */
const countingClient = (asked: Asked) => {
  const port: NatsPort = {
    isConnected: () => true,
    isClosed: () => false,
    outage: () => undefined,
    server: () => ({ version: "2.15.0", maxPayload: 1_000_000, jetstream: true, cluster: undefined }),
    inbox: () => "_INBOX.x",
    publish: () => void asked.count++,
    subscribe: () => () => undefined,
    onLink: () => () => undefined,
    ping: () => undefined,
    release: () => undefined
  }
  return Layer.effect(NatsClient, client.make({}, port))
}

const revision: Pick<Taker, "right"> = { right: { revision: 1 } }

const leader: Pick<Taker, "right" | "takes"> = { right: { fromLeader: true }, takes: { fromLeader: [false] } }

const onTyped = (store: Store): ReadonlyArray<Taker> => {
  const counts = KVStore.typed(store, Schema.Int)
  return [
    { name: "get of a typed view", run: (options) => counts.get("a", options), ...leader },
    { name: "put of a typed view", run: (options) => counts.put("a", 1, options), ...revision, knows: conditions },
    { name: "delete of a typed view", run: (options) => counts.delete("a", options), ...revision },
    { name: "watch of a typed view", run: (options) => Stream.runDrain(counts.watch("a", options)), ...updates },
    { name: "getUnexpired of a typed view", run: (options) => counts.getUnexpired("a", options), ...age }
  ]
}

const updates: Pick<Taker, "right"> = { right: { from: "updates" } }

const age: Pick<Taker, "right" | "needs" | "takes"> = {
  right: { maxAge: "1 minute" },
  needs: ["maxAge"],
  // A number is milliseconds, a bigint nanoseconds: any positive duration is valid.
  takes: { maxAge: [1.5, 2n] }
}

const conditions = ["createOnly", "updateOnly", "revision", "whenKey"]

const onStore = (store: Store): ReadonlyArray<Taker> => {
  const put = (options: never) => store.put("a", bytes("1"), options)
  const watch = (options: never) => Stream.runDrain(store.watch("a", options))
  return [
    { name: "put, createOnly", run: put, right: { createOnly: true }, knows: conditions },
    { name: "put, updateOnly", run: put, right: { updateOnly: true }, knows: conditions },
    { name: "put, revision", run: put, ...revision, knows: conditions },
    { name: "put, whenKey", run: put, right: { whenKey: { key: "b", revision: 1 } }, knows: conditions },
    {
      name: "whenKey of a put",
      prefix: "whenKey.",
      run: (whenKey) => store.put("a", bytes("1"), { whenKey }),
      right: { key: "b", revision: 1 },
      takes: { key: ["wrong"] }
    },
    { name: "get", run: (options) => store.get("a", options), ...leader },
    { name: "history", run: (options) => store.history("a", options), ...leader },
    { name: "delete", run: (options) => store.delete("a", options), ...revision },
    { name: "purge", run: (options) => store.purge("a", options), ...revision },
    { name: "watch", run: watch, ...updates },
    { name: "watch, from a revision", run: watch, right: { from: { revision: 1 } }, knows: ["from"] },
    {
      name: "getUnexpired",
      run: (options) => KVStore.getUnexpired(store, "a", options),
      ...age
    },
    { name: "getUnexpired, data-last", run: (options) => KVStore.getUnexpired("a", options)(store), ...age }
  ]
}

const bucket: Pick<Taker, "right" | "needs" | "takes"> = {
  right: {
    bucket: "orders",
    historySize: 1,
    maxValueSize: 1,
    streamMaxAge: "1 minute",
    expiryMarkers: "1 minute",
    maxBytes: 1,
    storage: "file",
    replicas: 1,
    description: "orders",
    metadata: { owner: "shop" },
    guardedWrites: true,
    onMismatch: "fail",
    create: true,
    timeout: "1 second"
  },
  needs: ["bucket"],
  takes: {
    bucket: ["wrong"],
    create: [false],
    description: ["wrong"],
    guardedWrites: [false],
    metadata: [nothingInIt, bare],
    timeout: [1.5]
  }
}

const refusesEach = Effect.fnUntraced(function*(
  takers: (asked: Asked) => Effect.Effect<ReadonlyArray<Taker>, KVStore.KVStoreError>
) {
  const asked = { count: 0 }
  for (const taker of yield* takers(asked)) yield* refusesAll(taker)
  assert.strictEqual(asked.count, 0)
})

describe("invalid options", () => {
  it.live("of a store's operations are refused by name, without a request", () =>
    refusesEach((asked) => Effect.map(countingStore(asked), onStore)))

  it.live("of a typed view's operations are refused by name, without a request", () =>
    refusesEach((asked) => Effect.map(countingStore(asked), onTyped)))

  it.live("of a bucket in memory are refused by name", () =>
    refusesEach(() =>
      Effect.succeed([
        { name: "makeMemory", run: (options) => KVStore.makeMemory(options), ...bucket },
        { name: "layerMemory", run: (options) => Layer.build(KVStore.layerMemory(options)), ...bucket }
      ])
    ))

  it.live("of a bucket on a server are refused by name, without a request", () =>
    refusesEach((asked) =>
      Effect.succeed([
        {
          name: "NatsKVStore.make",
          run: (options) => Effect.provide(NatsKVStore.make(options), countingClient(asked)),
          ...bucket
        },
        {
          name: "NatsKVStore.layer",
          run: (options) => Layer.build(Layer.provide(NatsKVStore.layer(options), countingClient(asked))),
          ...bucket
        }
      ])
    ))
})

describe("the error for an invalid bucket name", () => {
  it.effect("has the expected form and the given name", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.scoped(Layer.build(KVStore.layerMemory({ bucket: "a.b" }))))
      assert.strictEqual(
        error.message,
        `configure in bucket "a.b": the configuration is not valid: ` +
          `bucket: expected 1 to 200 letters, digits, _ and -, got "a.b"`
      )
    }))
})

describe("an invalid duration that Effect reads as zero", () => {
  const times = [{ seconds: Number.NaN }, { seconds: "5" }, { seconds: undefined }, { secs: 5 }, [Number.NaN, 0]]

  for (const timeout of times) {
    it.effect(`${inspect(timeout)} is refused`, () =>
      Effect.gen(function*() {
        const { message } = yield* Effect.flip(KVStore.makeMemory({ bucket: "orders", timeout: untyped(timeout) }))
        assert.include(message, `timeout: expected a time such as "5 seconds", or a number of milliseconds, got a`)
      }))
  }
})
