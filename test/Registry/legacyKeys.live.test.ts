/** A registry on a bucket that AegisSDK for Python has created, beside its processes, on real servers. */
import { assert, describe, it } from "@effect/vitest"
import { jetstreamManager, type StreamConfig } from "@nats-io/jetstream"
import { connect, headers } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import * as Aegis from "../../src/Aegis.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Registry from "../../src/Registry.ts"
import { eventually } from "../../tools/eventually.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { legacyFields, legacyKey } from "../support/legacyRecord.ts"
import { logged, numbers, record } from "../support/suite.ts"
import { contains } from "./suite/fixture.ts"

const until = eventually(false)
const bucket = "service_registry"
const stream = `KV_${bucket}`
const subject = (key: string) => `$KV.${bucket}.${key}`
const second = 1_000_000_000

/** The stream as AegisSDK creates it: with a history, and with an age at which its processes vanish. */
const created = (line: Line): Partial<StreamConfig> & { readonly name: string } => ({
  name: stream,
  subjects: [subject(">")],
  retention: "limits",
  storage: "file",
  discard: "new",
  num_replicas: 1,
  max_msgs_per_subject: 10,
  max_age: 60 * second,
  max_msg_size: 1024 * 1024,
  allow_direct: true,
  allow_rollup_hdrs: true,
  deny_delete: true,
  deny_purge: false,
  // It sets this afterwards, and does without it on a server before 2.11.
  ...line === "2.10" ? {} : { allow_msg_ttl: true }
})

/** A server with a bucket of AegisSDK, and what a process of it does there. */
const openTheirs = Effect.fnUntraced(function*(line: Line) {
  const { url } = yield* startNatsServer({ line })
  const connection = yield* Effect.acquireRelease(
    Effect.promise(() => connect({ servers: url })),
    (connection) => Effect.promise(() => connection.close())
  )
  const manager = yield* Effect.promise(() => jetstreamManager(connection))
  yield* Effect.promise(() => manager.streams.add(created(line)))
  const put = (serviceName: string, instanceId: string, fields: object = {}) =>
    Effect.promise(() =>
      connection.request(
        subject(legacyKey(serviceName, instanceId)),
        JSON.stringify(legacyFields(serviceName, instanceId, fields))
      )
    )
  const remove = (serviceName: string, instanceId: string) =>
    Effect.promise(() => {
      const list = headers()
      list.set("KV-Operation", "DEL")
      return connection.request(subject(legacyKey(serviceName, instanceId)), "", { headers: list, timeout: 5000 })
    })
  /** Sends heartbeats until it is killed. */
  const run = (serviceName: string, instanceId: string, fields: object = {}) =>
    Effect.gen(function*() {
      yield* put(serviceName, instanceId, fields)
      const beats = Effect.repeat(put(serviceName, instanceId, fields), Schedule.spaced("300 millis"))
      const fiber = yield* Effect.forkScoped(beats)
      return { kill: Fiber.interrupt(fiber) }
    })
  const config = Effect.map(Effect.promise(() => manager.streams.info(stream)), (info) => info.config)
  const lastOf = (key: string) =>
    Effect.map(
      Effect.promise(() => manager.streams.getMessage(stream, { last_by_subj: subject(key) })),
      (message) => message?.header.get("KV-Operation")
    )
  return { url, put, remove, run, config, lastOf }
})

const shown = (event: Registry.RegistryEvent): string =>
  event._tag === "Ready"
    ? "ready"
    : `${event._tag} ${event.instance.instanceId} ${event._tag === "Down" ? event.reason : event.instance.version}`

/** A registry with its own connection, which changes nothing of the bucket. */
const openRegistry = (url: string, options: Registry.Options) =>
  Layer.build(
    Registry.layer({ readLegacyKeys: true, ...options }).pipe(
      Layer.provide(NatsKVStore.layer({ bucket, create: false, onMismatch: "accept" })),
      Layer.provide(NatsClient.layer({ servers: url })),
      Layer.fresh
    )
  ).pipe(Effect.map(Context.get(Registry.Registry)))

const brisk = { maxAge: "2 seconds", heartbeat: "300 millis" } as const

for (const line of lines) {
  describe(`a bucket of AegisSDK, ${line}`, { concurrent: true }, () => {
    it.live("is listed, watched and cleaned up beside the instances of this library, and keeps its settings", () =>
      Effect.gen(function*() {
        const { config, lastOf, put, remove, run, url } = yield* openTheirs(line)
        const before = yield* config
        const py = yield* run("orders", "py", { version: "0.1.0" })
        yield* run("mail", "py")
        yield* put("orders", "leaver", { version: "0.2.0" })
        yield* put("orders", "one", { version: "0.3.0" })
        const [registry, observer] = [yield* openRegistry(url, brisk), yield* openRegistry(url, brisk)]
        const { all, events } = yield* record(Stream.map(observer.watch("orders"), shown))
        yield* until(all, contains("ready"))

        const names = Effect.map(
          observer.listAll(),
          (found) =>
            Array.from(found, ([service, of]) => [service, ...of.map(({ instanceId }) => instanceId)]).toSorted()
        )
        assert.deepStrictEqual(yield* names, [["mail", "py"], ["orders", "leaver", "one", "py"]])
        yield* registry.register({ serviceName: "orders", instanceId: "one", version: "1.0.0" }, {
          onDuplicate: "replace"
        })
        yield* registry.register({ serviceName: "orders", instanceId: "two", version: "1.0.0" })
        yield* remove("orders", "leaver")
        yield* until(all, contains("Down leaver deregistered"))
        yield* Effect.sleep("3 seconds")
        assert.deepStrictEqual(yield* names, [["mail", "py"], ["orders", "one", "py", "two"]])
        yield* py.kill
        yield* until(all, contains("Down py expired"))
        assert.deepStrictEqual(events.slice(4), [
          "Changed one 1.0.0",
          "Up two 1.0.0",
          "Down leaver deregistered",
          "Down py expired"
        ])
        assert.deepStrictEqual(events.slice(0, 4).toSorted(), [
          "Up leaver 0.2.0",
          "Up one 0.3.0",
          "Up py 0.1.0",
          "ready"
        ])
        assert.strictEqual(Option.getOrThrow(yield* observer.get("orders", "one")).version, "1.0.0")

        const { removed } = yield* observer.cleanup()
        assert.deepStrictEqual(removed.map(({ instance }) => instance).toSorted(), ["orders/one", "orders/py"])
        assert.strictEqual(yield* lastOf(legacyKey("orders", "py")), "PURGE")
        assert.deepStrictEqual(yield* names, [["mail", "py"], ["orders", "one", "two"]])
        assert.deepStrictEqual(yield* config, before)
      }).pipe(Effect.scoped, Effect.provide(logged().layer)))

    it.live("refuses a registration beside a live process, and both records are deregistered by the names", () =>
      Effect.gen(function*() {
        const { lastOf, run, url } = yield* openTheirs(line)
        const { kill } = yield* run("orders", "one")
        const registry = yield* openRegistry(url, brisk)
        const one = { serviceName: "orders", instanceId: "one", version: "1.0.0" }
        for (const onDuplicate of ["fail", "wait"] as const) {
          const { reason } = yield* Effect.flip(registry.register(one, { onDuplicate }))
          assert.strictEqual(reason._tag, "DuplicateInstance")
        }
        yield* kill
        const [took] = yield* Effect.timed(registry.register(one))
        assert.isAbove(Duration.toMillis(took), 1000)
        const { lost } = yield* registry.register({ ...one, instanceId: "two" })
        yield* run("orders", "two")
        assert.isTrue(yield* registry.deregister({ serviceName: "orders", instanceId: "two" }))
        assert.strictEqual((yield* lost).reason._tag, "Deregistered")
        assert.strictEqual(yield* lastOf("service-instances.orders.two"), "DEL")
      }).pipe(Effect.scoped, Effect.provide(logged().layer)))

    it.live("is used as it is by Aegis with onMismatch accept, and gets a longer age without it", () =>
      Effect.gen(function*() {
        const { config, put, url } = yield* openTheirs(line)
        const before = yield* config
        const list = (options: Aegis.Options) =>
          Effect.gen(function*() {
            yield* put("orders", "py")
            const registry = yield* Registry.Registry
            yield* registry.register({ serviceName: "orders", instanceId: "one", version: "1.0.0" })
            return (yield* registry.list("orders")).map(({ instanceId }) => instanceId)
          }).pipe(
            Effect.scoped,
            Effect.provide(Aegis.layerNats({ servers: url, registry: { readLegacyKeys: true }, ...options }))
          )
        assert.deepStrictEqual(yield* list({ onMismatch: "accept" }), ["one", "py"])
        assert.deepStrictEqual(yield* config, before)
        assert.deepStrictEqual(yield* list({}), ["one", "py"])
        assert.strictEqual((yield* config).max_age, 300 * second)
      }).pipe(Effect.scoped, Effect.provide(logged().layer)))

    it.live("with 200 instances is listed completely while they send heartbeats", () =>
      Effect.gen(function*() {
        const { put, url } = yield* openTheirs(line)
        const all = Effect.forEach(numbers(200), (index) => put("orders", `i${index}`), { concurrency: 50 })
        yield* all
        const registry = yield* openRegistry(url, {})
        const beats = yield* Effect.forkScoped(Effect.forever(all))
        const listed = Effect.map(registry.list("orders"), ({ length }) => length)
        assert.deepStrictEqual(yield* Effect.forEach(numbers(10), () => listed), numbers(10).map(() => 200))
        yield* Fiber.interrupt(beats)
      }).pipe(Effect.scoped, Effect.provide(logged().layer)))
  })
}
