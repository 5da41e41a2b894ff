/**
 * Guarantees that the test suites of other clients check, and that no other test of this folder shows. The list of those
 * tests is in docs/kvstore.md.
 */
import { assert, layer } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { eventually } from "../../tools/eventually.ts"
import { bytes, textOf } from "../../tools/values.ts"
import { Raw } from "../support/natsClient.ts"
import { freshName, numbers, reasonOf, record } from "../support/suite.ts"
import { layerWorld, nameOf, worlds } from "../support/worlds.ts"
import { shown } from "./suite/fixture.ts"

const until = eventually(false)

const seconds = 1_000_000_000

const open = (options: Partial<KVStore.BucketOptions> = {}) => NatsKVStore.make({ bucket: freshName(), ...options })

const api = (request: string, body: object) =>
  Effect.flatMap(Raw, ({ connection }) =>
    Effect.promise(async () => {
      const answer = (await connection.request(`$JS.API.${request}`, JSON.stringify(body), { timeout: 5000 })).json<{
        readonly error?: { readonly description: string }
        readonly config?: Readonly<Record<string, unknown>>
        readonly state?: { readonly messages: number; readonly consumer_count: number }
      }>()
      if (answer.error !== undefined) throw new Error(answer.error.description)
      return answer
    }))

const infoOf = (stream: string) => api(`STREAM.INFO.${stream}`, {})

const createStream = (name: string, settings: object) => api(`STREAM.CREATE.${name}`, { name, ...settings })

/** The subjects and the texts of all messages of a subject from now on, and the last `Nats-Subject` of each. */
const messagesOf = (subject: string) =>
  Effect.flatMap(Raw, ({ connection }) =>
    Effect.gen(function*() {
      const messages: Array<readonly [subject: string, text: string, of: string]> = []
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          connection.subscribe(subject, {
            callback: (_error, message) => {
              messages.push([message.subject, message.string(), message.headers?.last("Nats-Subject") ?? ""])
            }
          })
        ),
        (subscription) => Effect.sync(() => subscription.unsubscribe())
      )
      yield* Effect.promise(() => connection.flush())
      return messages
    }))

for (const world of worlds) {
  layer(layerWorld(world), { excludeTestServices: true, timeout: "30 seconds" })(
    `${nameOf(world)}: a bucket, as other clients test theirs`,
    (it) => {
      it.effect("is a stream with the settings that all clients use", () =>
        Effect.gen(function*() {
          for (
            const [streamMaxAge, age, window] of [[undefined, 0, 120], ["1 hour", 3600, 120], [
              "5 seconds",
              5,
              5
            ]] as const
          ) {
            const store = yield* open({
              description: "prices",
              metadata: { owner: "shop" },
              maxValueSize: 128,
              historySize: 10,
              maxBytes: 1024,
              streamMaxAge
            })
            const { bucket } = store.config
            const config = (yield* infoOf(`KV_${bucket}`)).config!
            assert.deepInclude(config, {
              name: `KV_${bucket}`,
              description: "prices",
              subjects: [`$KV.${bucket}.>`],
              retention: "limits",
              max_msgs: -1,
              max_bytes: 1024,
              max_age: age * seconds,
              max_msgs_per_subject: 10,
              discard: "new",
              storage: "file",
              num_replicas: 1,
              duplicate_window: window * seconds,
              deny_delete: true,
              deny_purge: false,
              allow_rollup_hdrs: true,
              allow_direct: true
            })
            assert.deepInclude(config["metadata"], { owner: "shop" })
          }
        }))

      it.effect("is refused if its stream has other subjects", () =>
        Effect.gen(function*() {
          const bucket = freshName()
          yield* createStream(`KV_${bucket}`, { subjects: [`elsewhere.${bucket}`] })
          for (const onMismatch of ["fail", "update", "accept"] as const) {
            const { differences } = yield* reasonOf(open({ bucket, onMismatch }), "ConfigMismatch")
            assert.deepStrictEqual(differences, [
              { setting: "subjects", expected: `$KV.${bucket}.>`, actual: `elsewhere.${bucket}` }
            ])
          }
        }))

      it.effect("is not created by an update if create is false", () =>
        Effect.gen(function*() {
          const missing = open({ create: false, onMismatch: "update", description: "prices" })
          yield* reasonOf(missing, "BucketNotFound")
        }))

      it.effect("has the values that another stream republishes into it", () =>
        Effect.gen(function*() {
          const store = yield* open()
          const { bucket } = store.config
          yield* createStream(`source-${bucket}`, {
            subjects: [`${bucket}.>`],
            republish: { src: ">", dest: `$KV.${bucket}.>` }
          })
          const { connection } = yield* Raw
          yield* Effect.promise(() => connection.request(`${bucket}.tomato`, "red", { timeout: 5000 }))
          yield* store.put("potato", bytes("brown"))
          const key = `${bucket}.tomato`
          yield* until(store.keys(), (keys) => keys.length === 2)
          assert.deepStrictEqual(Option.map(yield* store.get(key), ({ value }) => textOf(value)), Option.some("red"))
          assert.deepStrictEqual((yield* store.history(key)).map(shown), [`${key}=red`])
          const entries = yield* store.entries()
          assert.deepStrictEqual(entries.map(({ key, value }) => `${key}=${textOf(value)}`).toSorted(), [
            `${key}=red`,
            "potato=brown"
          ])
        }))

      it.effect("that republishes its messages does so with those of this library", () =>
        Effect.gen(function*() {
          const bucket = freshName()
          yield* createStream(`KV_${bucket}`, {
            subjects: [`$KV.${bucket}.>`],
            max_msgs_per_subject: 1,
            allow_rollup_hdrs: true,
            republish: { src: ">", dest: `copies.${bucket}.>` }
          })
          const store = yield* open({ bucket, onMismatch: "accept" })
          const copies = yield* messagesOf(`copies.${bucket}.>`)
          yield* store.put("a", bytes("1"))
          yield* until(Effect.sync(() => copies.length), (count) => count > 0)
          assert.deepStrictEqual(copies, [[`copies.${bucket}.$KV.${bucket}.a`, "1", `$KV.${bucket}.a`]])
        }))

      it.effect("whose stream is purged during listings and watches lets them end", () =>
        Effect.gen(function*() {
          const store = yield* open({ storage: "memory" })
          const keys = numbers(1500).map((n) => `k.${n}`)
          const snapshot = Stream.takeUntil(store.watch(), ({ _tag }) => _tag === "Ready")
          for (
            const [what, read] of [
              ["keys", store.keys()],
              ["entries", store.entries("k.*")],
              ["stream", Stream.runCollect(store.stream())],
              ["watch", Stream.runCollect(snapshot)]
            ] as const
          ) {
            yield* Effect.forEach(keys, (key) => store.put(key, bytes("1")), { concurrency: 256 })
            const reading = yield* Effect.forkChild(read as Effect.Effect<ReadonlyArray<unknown>, KVStore.KVStoreError>)
            yield* Effect.yieldNow
            yield* api(`STREAM.PURGE.KV_${store.config.bucket}`, {})
            const listed = yield* Fiber.join(reading)
            assert.isAtMost(listed.length, keys.length + 1, what)
            assert.deepStrictEqual(yield* store.keys(), [], what)
          }
        }))

      it.effect("lets a watch whose reader has stopped end at once, and it leaves no consumer", () =>
        Effect.gen(function*() {
          const store = yield* open({ storage: "memory" })
          const { events, fiber } = yield* record(
            Stream.tap(store.watch(), ({ _tag }) => _tag === "Ready" ? Effect.void : Effect.never)
          )
          yield* until(Effect.sync(() => events.length), (count) => count === 1)
          yield* Effect.forEach(numbers(1000), (n) => store.put(`k.${n}`, bytes("1")), { concurrency: 256 })
          const ended = yield* Effect.timeoutOption(
            Effect.andThen(Fiber.interrupt(fiber), Fiber.await(fiber)),
            "2 seconds"
          )
          assert.isTrue(Option.exists(ended, Exit.hasInterrupts))
          const consumers = Effect.map(infoOf(`KV_${store.config.bucket}`), ({ state }) => state!.consumer_count)
          yield* until(consumers, (count) => count === 0, Duration.seconds(3))
        }))

      it.effect("has watches whose filter is in the subject of a request, so that permissions can limit them", () =>
        Effect.gen(function*() {
          const store = yield* open()
          const { bucket } = store.config
          const requests = yield* messagesOf(`$JS.API.CONSUMER.CREATE.KV_${bucket}.>`)
          yield* Stream.runHead(store.watch("a.>"))
          yield* until(Effect.sync(() => requests.length), (count) => count > 0)
          const [subject] = requests[0]!
          assert.match(subject, /\.CREATE\.KV_[^.]+\.[^.]+\.\$KV\.[^.]+\.a\.>$/)
        }))

      if (world.line === "2.10") return

      it.effect("with expiryMarkers lets a watch from updates report that a value from before has expired", () =>
        Effect.gen(function*() {
          const store = yield* open({ historySize: 5, streamMaxAge: "200 millis", expiryMarkers: "1 second" })
          yield* store.put("a", bytes("1"))
          const first = Stream.take(store.watch(undefined, { from: "updates" }), 2)
          assert.deepStrictEqual((yield* Stream.runCollect(first)).map(shown), ["ready", "expire a"])
        }))
    }
  )
}
