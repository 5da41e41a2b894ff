/**
 * What watches do after a long time: they report removals without a message within a minute, and they continue although
 * their reader or their bucket rests for longer than the server keeps a consumer without pulls. All cases wait at the
 * same time.
 */
import { assert, describe, it } from "@effect/vitest"
import { headers } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { eventually } from "../../tools/eventually.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { bytes } from "../../tools/values.ts"
import { Raw } from "../support/natsClient.ts"
import { freshName, record } from "../support/suite.ts"
import { layerWorld, nameOf, type World, worlds } from "../support/worlds.ts"
import { shown } from "./suite/fixture.ts"
import { connected, fill, keysOf, type Open, restartsOf } from "./watches/fixture.ts"

const until = eventually(false)

const patience = Duration.seconds(70)

interface Removal {
  readonly what: string
  /** Whether only servers from 2.11 on have it. */
  readonly isNew: boolean
  /** Settings of the stream, which another client creates. */
  readonly settings: object
  /** Puts and removes the key "gone". */
  readonly remove: (bucket: string) => Effect.Effect<unknown, never, Raw>
  readonly reason: "expire" | "purge"
}

const request = (subject: string, body: string, list: ReadonlyArray<readonly [string, string]> = []) =>
  Effect.flatMap(Raw, ({ connection }) => {
    const all = headers()
    for (const [name, value] of list) all.append(name, value)
    return Effect.promise(() => connection.request(subject, body, { headers: all, timeout: 5000 }))
  })

const put = (bucket: string, list: ReadonlyArray<readonly [string, string]> = []) =>
  request(`$KV.${bucket}.gone`, "1", list)

const removals: ReadonlyArray<Removal> = [
  {
    what: "STREAM.PURGE of its subject",
    isNew: false,
    settings: {},
    remove: (bucket) =>
      Effect.andThen(
        put(bucket),
        request(`$JS.API.STREAM.PURGE.KV_${bucket}`, JSON.stringify({ filter: `$KV.${bucket}.gone` }))
      ),
    reason: "purge"
  },
  {
    what: "STREAM.PURGE of the whole stream",
    isNew: false,
    settings: {},
    remove: (bucket) => Effect.andThen(put(bucket), request(`$JS.API.STREAM.PURGE.KV_${bucket}`, "{}")),
    reason: "purge"
  },
  {
    what: "a message with Nats-Rollup: all",
    isNew: false,
    settings: {},
    remove: (bucket) => Effect.andThen(put(bucket), request(`$KV.${bucket}.other`, "1", [["Nats-Rollup", "all"]])),
    reason: "purge"
  },
  {
    what: "its Nats-TTL",
    isNew: true,
    settings: { allow_msg_ttl: true },
    remove: (bucket) => put(bucket, [["Nats-TTL", "1s"]]),
    reason: "purge"
  },
  {
    what: "the maximum age of the stream",
    isNew: false,
    settings: { max_age: 1_000_000_000, duplicate_window: 1_000_000_000 },
    remove: (bucket) => put(bucket),
    reason: "expire"
  }
]

const createStream = (bucket: string, settings: object) =>
  request(
    `$JS.API.STREAM.CREATE.KV_${bucket}`,
    JSON.stringify({
      name: `KV_${bucket}`,
      subjects: [`$KV.${bucket}.>`],
      max_msgs_per_subject: 1,
      max_consumers: -1,
      storage: "memory",
      discard: "new",
      allow_direct: true,
      allow_rollup_hdrs: true,
      ...settings
    })
  )

const reports = Effect.fnUntraced(function*({ client, line }: World, { reason, remove, settings, what }: Removal) {
  const bucket = freshName()
  yield* createStream(bucket, settings)
  const store = yield* Effect.map(
    Layer.build(NatsKVStore.layer({ bucket, onMismatch: "accept" })),
    Context.get(KVStore.KVStore)
  )
  yield* store.put("before", bytes("1"))
  const watch = yield* record(store.watch())
  yield* until(Effect.sync(() => watch.events.length), (count) => count >= 2)
  yield* remove(bucket)
  const events = () => watch.events.map(shown)
  const where = `${line} ${client}, ${what}`
  yield* until(Effect.sync(events), (all) => all.includes(`${reason} gone`), patience).pipe(
    Effect.catchCause(() => Effect.die(new Error(`${where}: ${events().join(", ")}`)))
  )
  assert.deepStrictEqual(events().filter((event) => event.includes("gone")), ["gone=1", `${reason} gone`], where)
})

const reportsOn = (world: World) => {
  const possible = removals.filter(({ isNew }) => world.line !== "2.10" || !isNew)
  return Effect.forEach(possible, (removal) => reports(world, removal), { concurrency: "unbounded", discard: true })
    .pipe(
      Effect.scoped,
      Effect.provide(layerWorld(world))
    )
}

/** Longer than the server keeps a consumer that is not in use, 10 s. */
const readerRests = Duration.seconds(15)
const bucketRests = Duration.seconds(12)

/** A reader that stops after the first event. Returns the store. */
const stoppedReader = Effect.fnUntraced(
  function*(open: Open, historySize: number) {
    const store = yield* open({ bucket: freshName(), storage: "memory", historySize })
    const keys = keysOf(12)
    yield* fill(store, keys)
    const picture = new Map<string, number>()
    const isReady = yield* Deferred.make<void>()
    const fiber = yield* store.watch().pipe(
      Stream.runForEach((event) => {
        if (event._tag === "Ready") return Deferred.succeed(isReady, undefined)
        if (event._tag === "Put") picture.set(event.entry.key, event.entry.value[0]!)
        if (event._tag === "Removed") picture.delete(event.key)
        return picture.size === 1 ? Effect.sleep(readerRests) : Effect.void
      }),
      Effect.forkScoped
    )
    yield* Effect.sleep(Duration.times(readerRests, 0.5))
    // The reader has not read more than a part of the keys: some changes concern keys that it has, others do not.
    const expected = new Map(keys.map((key, n) => [key, n % 256]))
    for (const key of [keys[0]!, keys[3]!, keys[100]!, keys.at(-1)!, "new"]) {
      yield* store.put(key, new Uint8Array([77]))
      expected.set(key, 77)
    }
    for (const key of [keys[1]!, keys[101]!]) {
      yield* store.delete(key)
      expected.delete(key)
    }
    yield* Deferred.await(isReady)
    yield* until(Effect.sync(() => picture.get("new")), (value) => value === 77)
    assert.deepStrictEqual([...picture].toSorted(), [...expected].toSorted())
    yield* Fiber.interrupt(fiber)
    return store
  }
)

/** A watch of a bucket that does not change. */
const idleWatch = Effect.fnUntraced(function*(open: Open) {
  const store = yield* open({ bucket: freshName(), storage: "memory" })
  const { events } = yield* record(store.watch())
  yield* until(Effect.sync(() => events.length), (count) => count === 1)
  yield* Effect.sleep(bucketRests)
  yield* store.put("a", new Uint8Array(1))
  yield* until(Effect.sync(() => events.length), (count) => count === 2, Duration.millis(500))
  return store
})

/** Watches that rest. They restart only in a bucket with history. */
const restsOn = Effect.fnUntraced(function*(world: World) {
  const { url } = yield* startNatsServer({ line: world.line })
  const { open } = yield* connected(world, url)
  const [once, often, idle] = yield* Effect.all([
    stoppedReader(open, 1),
    stoppedReader(open, 3),
    idleWatch(open)
  ], { concurrency: "unbounded" })
  assert.deepStrictEqual([yield* restartsOf(once), yield* restartsOf(idle)], [[], []])
  // In the snapshot of a bucket with history the server cannot be shown that the consumer is in use.
  assert.deepStrictEqual(yield* restartsOf(often), ["silence"])
}, Effect.scoped)

describe.concurrent("watches", () => {
  for (const world of worlds) {
    it.live(
      `${nameOf(world)}: report a key that was removed by ${removals.map(({ what }) => what).join(", or ")}`,
      () => reportsOn(world),
      90_000
    )

    it.live(
      `${nameOf(world)}: continue with every change after a long rest of the reader or the bucket`,
      () => restsOn(world),
      60_000
    )
  }
})
