/**
 * Buckets that other clients create with their defaults: with which advice they are refused, that they are used with their
 * own limits, and that a lost one is recreated with all its settings.
 */
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Struct from "effect/Struct"
import * as Election from "../../src/Election.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Registry from "../../src/Registry.ts"
import { Raw } from "../support/natsClient.ts"
import { freshName, reasonOf } from "../support/suite.ts"
import { layerWorld, nameOf, worlds } from "../support/worlds.ts"

const mebibyte = 1024 * 1024

const minutes = 60_000_000_000

/** The settings of a bucket by clients of the Go library, such as the command `nats`. */
const ofGo = {
  retention: "limits",
  max_consumers: -1,
  max_msgs: -1,
  max_bytes: -1,
  max_age: 0,
  max_msgs_per_subject: 1,
  max_msg_size: -1,
  discard: "new",
  storage: "file",
  num_replicas: 1,
  duplicate_window: 2 * minutes,
  deny_delete: true,
  allow_rollup_hdrs: true,
  allow_direct: true
}

/** The settings of buckets by their clients. */
const bodies: ReadonlyArray<readonly [client: string, settings: object]> = [
  ["nats.go, nats.py and the command nats", ofGo],
  ["@nats-io/kv", {
    retention: "limits",
    max_msgs_per_subject: 1,
    max_msg_size: -1,
    storage: "file",
    discard: "new",
    allow_direct: true,
    num_replicas: 1,
    allow_rollup_hdrs: true
  }],
  ["a client with every option", {
    ...ofGo,
    description: "prices of all shops",
    metadata: { owner: "shop" },
    compression: "s2",
    republish: { src: "$KV.>", dest: "copies.>" },
    max_bytes: 50 * mebibyte
  }],
  ["nats.go with a TTL and a history", { ...ofGo, max_age: 10 * minutes, max_msgs_per_subject: 5, storage: "memory" }]
]

const api = (request: string, body: object | string) =>
  Effect.flatMap(Raw, ({ connection }) =>
    Effect.promise(async () => {
      const text = typeof body === "string" ? body : JSON.stringify(body)
      const answer = (await connection.request(`$JS.API.${request}`, text, { timeout: 5000 })).json<{
        readonly error?: { readonly description: string }
        readonly config?: Readonly<Record<string, unknown>>
      }>()
      if (answer.error !== undefined) throw new Error(answer.error.description)
      return answer
    }))

const create = (bucket: string, settings: object) =>
  api(`STREAM.CREATE.KV_${bucket}`, { name: `KV_${bucket}`, subjects: [`$KV.${bucket}.>`], ...settings })

const configOf = (bucket: string) =>
  Effect.map(api(`STREAM.INFO.KV_${bucket}`, ""), ({ config }) => {
    return Struct.omit(config!, ["first_seq"])
  })

const open = (options: KVStore.BucketOptions) =>
  Effect.map(Layer.build(NatsKVStore.layer(options)), Context.get(KVStore.KVStore))

for (const world of worlds) {
  layer(layerWorld(world), { excludeTestServices: true, timeout: "30 seconds" })(
    `${nameOf(world)}: a bucket of another client`,
    (it) => {
      for (const [client, settings] of bodies) {
        it.effect(`(${client}) is accepted, used with its limits, and recreated with all its settings`, () =>
          Effect.gen(function*() {
            const bucket = freshName()
            yield* create(bucket, settings)
            const before = yield* configOf(bucket)
            const refused = yield* Effect.flip(open({ bucket }))
            assert.strictEqual(refused.reason._tag, "ConfigMismatch")
            assert.include(refused.message, "maxValueSize is unlimited, not 1048576")
            assert.match(refused.message, /set onMismatch: ("update" or )?"accept"/)

            const store = yield* open({ bucket, onMismatch: "accept" })
            assert.isUndefined(store.config.maxValueSize)
            yield* store.put("large", new Uint8Array(mebibyte))
            const { limit } = yield* reasonOf(store.put("large", new Uint8Array(mebibyte + 1)), "ValueTooLarge")
            assert.strictEqual(limit, mebibyte)
            assert.deepStrictEqual(yield* configOf(bucket), before)

            yield* api(`STREAM.DELETE.KV_${bucket}`, "")
            yield* store.put("a", new Uint8Array(1))
            assert.deepStrictEqual(yield* configOf(bucket), before)
            assert.deepStrictEqual(yield* store.keys(), ["a"])
          }))
      }

      it.effect("that has the default settings of its client opens with maxValueSize: \"unlimited\"", () =>
        Effect.gen(function*() {
          const bucket = freshName()
          yield* create(bucket, ofGo)
          const store = yield* open({ bucket, maxValueSize: "unlimited" })
          yield* store.put("large", new Uint8Array(mebibyte))
          const own = yield* open({ bucket: freshName(), maxValueSize: "unlimited" })
          yield* own.put("large", new Uint8Array(mebibyte))
          assert.strictEqual((yield* configOf(own.config.bucket))["max_msg_size"], -1)
        }))

      it.effect("takes values of exactly its own limit", () =>
        Effect.gen(function*() {
          const bucket = freshName()
          yield* create(bucket, { ...ofGo, max_msg_size: 1000 })
          const store = yield* open({ bucket, onMismatch: "accept" })
          assert.strictEqual(store.config.maxValueSize, 1000)
          yield* store.put("a", new Uint8Array(1000))
          assert.include(yield* reasonOf(store.put("a", new Uint8Array(1001)), "ValueTooLarge"), {
            size: 1001,
            limit: 1000
          })
        }))

      it.effect("whose settings were changed while it was open is recreated with the changed ones", () =>
        Effect.gen(function*() {
          const bucket = freshName()
          const store = yield* open({ bucket, historySize: 2, description: "prices", metadata: { owner: "shop" } })
          yield* api(`STREAM.UPDATE.KV_${bucket}`, { ...yield* configOf(bucket), description: "all prices" })
          yield* store.status
          const before = yield* configOf(bucket)
          assert.deepInclude(before, { description: "all prices", max_msgs_per_subject: 2 })
          yield* api(`STREAM.DELETE.KV_${bucket}`, "")
          yield* store.put("a", new Uint8Array(1))
          assert.deepStrictEqual(yield* configOf(bucket), before)
        }))

      it.effect("that is a mirror, or has sources, is refused, and no advice is given that cannot help", () =>
        Effect.gen(function*() {
          const [origin, mirror, copies] = [freshName(), freshName(), freshName()]
          yield* create(origin, ofGo)
          const ofMirror = Struct.omit(ofGo, ["allow_rollup_hdrs"])
          yield* api(`STREAM.CREATE.KV_${mirror}`, {
            ...ofMirror,
            name: `KV_${mirror}`,
            mirror: { name: `KV_${origin}` }
          })
          yield* create(copies, { ...ofGo, sources: [{ name: `KV_${origin}` }] })
          for (const bucket of [mirror, copies]) {
            for (const onMismatch of ["fail", "update", "accept"] as const) {
              const error = yield* Effect.flip(open({ bucket, onMismatch }))
              assert.strictEqual(error.reason._tag, "ConfigMismatch")
              assert.include(error.message, `mirror and sources is a copy of KV_${origin}, not none`)
              assert.include(error.message, "no option can accept that")
              assert.notInclude(error.message, "onMismatch")
            }
          }
        }))

      const losing: ReadonlyArray<readonly [what: string, settings: object, says: string]> = [
        ["removes old values when it is full", { discard: "old", max_bytes: 100_000 }, "discard"],
        ["keeps only some messages", { max_msgs: 3 }, "max_msgs is 3, not unlimited"],
        ["keeps only the newest messages", { discard: "old", max_msgs: 3 }, "max_msgs is 3, not unlimited"]
      ]
      for (const [what, settings, says] of losing) {
        it.effect(`that ${what} is refused, unless it is accepted or updated`, () =>
          Effect.gen(function*() {
            const bucket = freshName()
            const options = { bucket, maxValueSize: "unlimited", maxBytes: 100_000 } as const
            yield* create(bucket, { ...ofGo, max_bytes: 100_000, ...settings })
            const error = yield* Effect.flip(open(options))
            assert.strictEqual(error.reason._tag, "ConfigMismatch")
            assert.include(error.message, says)
            const accepted = yield* open({ ...options, onMismatch: "accept" })
            const isLossy = Reflect.get(settings, "discard") === "old"
            assert.strictEqual(accepted.config.discard, isLossy ? "old" : "new")
            if (isLossy) {
              const on = Layer.succeed(KVStore.KVStore, accepted)
              const elections = yield* Effect.flip(Layer.build(Layer.provide(Election.layer(), on)))
              const registries = yield* Effect.flip(Layer.build(Layer.provide(Registry.layer(), on)))
              for (const { message } of [elections, registries]) assert.include(message, "discard")
            }
            yield* open({ ...options, onMismatch: "update" })
            assert.deepInclude(yield* configOf(bucket), { discard: "new", max_msgs: -1 })
            yield* open(options)
          }))
      }

      const unusable: ReadonlyArray<readonly [what: string, settings: object, says: string]> = [
        ["keeps values only for consumers", { retention: "interest" }, "retention is interest, not limits"],
        ["is a queue", { retention: "workqueue" }, "retention is workqueue, not limits"],
        [
          "stores values under other keys",
          { subject_transform: { src: "$KV.>", dest: "$KV.x.>" } },
          "subject_transform is one, not none"
        ],
        ["cannot replace values", { discard_new_per_subject: true }, "discard_new_per_subject is true, not false"]
      ]
      for (const [what, settings, says] of unusable) {
        it.effect(`that ${what} is always refused`, () =>
          Effect.gen(function*() {
            const bucket = freshName()
            yield* create(bucket, { ...ofGo, ...settings })
            for (const onMismatch of ["fail", "update", "accept"] as const) {
              const error = yield* Effect.flip(open({ bucket, onMismatch }))
              assert.strictEqual(error.reason._tag, "ConfigMismatch")
              assert.include(error.message, says)
              assert.include(error.message, "no option can accept that")
            }
          }))
      }

      if (world.line === "2.15") {
        it.effect("that acknowledges writes before they are stored is always refused", () =>
          Effect.gen(function*() {
            const bucket = freshName()
            yield* create(bucket, { ...ofGo, persist_mode: "async" })
            assert.strictEqual((yield* configOf(bucket)).persist_mode, "async")
            for (const onMismatch of ["fail", "update", "accept"] as const) {
              const { differences } = yield* reasonOf(open({ bucket, onMismatch }), "ConfigMismatch")
              assert.deepStrictEqual(differences, [{
                setting: "persist_mode",
                expected: "default",
                actual: "async (a crash of the server loses acknowledged writes)"
              }])
            }
          }))
      }

      it.effect("keeps its description and metadata, which onMismatch update sets", () =>
        Effect.gen(function*() {
          const bucket = freshName()
          yield* open({ bucket, description: "prices", metadata: { owner: "shop", team: "a" } })
          yield* open({ bucket, description: "other", metadata: { team: "b" } })
          const labels = Effect.map(configOf(bucket), ({ description, metadata }) => {
            const { owner, team } = { ...metadata as Readonly<Record<string, string>> }
            return { description, owner, team }
          })
          assert.deepStrictEqual(yield* labels, { description: "prices", owner: "shop", team: "a" })
          yield* open({ bucket, onMismatch: "update", description: "other", metadata: { team: "b" } })
          assert.deepStrictEqual(yield* labels, { description: "other", owner: "shop", team: "b" })
        }))
    }
  )
}
