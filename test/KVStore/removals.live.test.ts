/**
 * Removals without a message, by other clients and by age: a connected watch reports them within a minute. All cases
 * wait at the same time.
 */
import { assert, describe, it } from "@effect/vitest"
import { headers } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { eventually } from "../../tools/eventually.ts"
import { lines } from "../../tools/natsServer/binaries.ts"
import { layerNatsServer } from "../../tools/natsServer/server.ts"
import { bytes } from "../../tools/values.ts"
import { layerClient, layerLegacyClient, layerRaw, Raw } from "../support/natsClient.ts"
import { freshName, record } from "../support/suite.ts"
import { shown } from "./suite/fixture.ts"

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

const clients = { current: layerClient, legacy: layerLegacyClient }

const worlds = [...lines.map((line) => ({ line, client: "current" }) as const), {
  line: "2.15",
  client: "legacy"
}] as const

type World = (typeof worlds)[number]

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

const onWorld = (world: World) => {
  const { client, line } = world
  const shared = Layer.merge(clients[client], layerRaw).pipe(Layer.provideMerge(layerNatsServer(line)))
  const possible = removals.filter(({ isNew }) => line !== "2.10" || !isNew)
  return Effect.forEach(possible, (removal) => reports(world, removal), { concurrency: "unbounded", discard: true })
    .pipe(
      Effect.scoped,
      Effect.provide(shared)
    )
}

describe("a connected watch, on 2.10, on 2.15, and on 2.15 through the legacy client,", () => {
  it.live(
    `reports a key that was removed by ${removals.map(({ what }) => what).join(", or ")}`,
    () => Effect.forEach(worlds, onWorld, { concurrency: "unbounded", discard: true }),
    90_000
  )
})
