/**
 * The rights in `docs/operations/rights/`: with exactly these, each role does its part, and nothing else. The table of
 * `docs/operations/rights.md` lists the same operations.
 */
import { assert, describe, it } from "@effect/vitest"
import { connect, headers } from "@nats-io/transport-node"
import { Election, KVStore, NatsClient, NatsKVStore, Registry } from "effect-aegis"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Fs from "node:fs"
import { eventually } from "../../tools/eventually.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { bytes, textOf } from "../../tools/values.ts"
import { jumpingClock } from "../support/jumpingClock.ts"
import { legacyFields } from "../support/legacyRecord.ts"
import { logged } from "../support/suite.ts"

const folder = new URL("../../docs/operations/rights/", import.meta.url)

const roles = Fs.readdirSync(folder).map((file) => file.replace(".conf", ""))

const documentation = Fs.readFileSync(new URL("../rights.md", folder), "utf8")

/** The operations that a role may do, in the table of the documentation. */
const table = new Map(
  documentation.split("\n").flatMap((row) => {
    const [, role, may, also] = /^\| \[(\w+)\]\S* \| (.*) \| (.*?) ?\|$/.exec(row) ?? []
    const list = (cell = "") => cell.split(", ").filter((operation) => operation !== "")
    return role === undefined ? [] : [[role, { may: list(may), also: list(also) }] as const]
  })
)

/** The operations of a service that a role may do. */
const allowed = <A>(role: string, line: Line, operations: Operations<A>): ReadonlyArray<string> => {
  const { also, may } = table.get(role)!
  return [...may, ...line === "2.10" ? also : []].filter((operation) => operation in operations).toSorted()
}

const rightsOf = (role: string) => Fs.readFileSync(new URL(`${role}.conf`, folder), "utf8")

const userOf = (role: string, rights = rightsOf(role)) =>
  `{ user: ${role}, password: ${role}, permissions: {\n${rights}\n} }`

/** The rights of the role `registrant` or `cleanup`, with those that the documentation adds for `readLegacyKeys`. */
const withLegacy = (role: string) => {
  const [, subjects = ""] = /^The rights for `readLegacyKeys`:\n\n```text\n(.*?)```/ms.exec(documentation) ?? []
  const rights = rightsOf(role).replace("publish: [", `publish: [\n${subjects}`)
  return userOf(`legacy-${role}`, rights.replaceAll(`_INBOX_${role}`, `_INBOX_legacy-${role}`))
}

const users = [...roles.map((role) => userOf(role)), withLegacy("registrant"), withLegacy("cleanup")]
const config = `authorization { users: [ { user: all, password: all }\n${users.join("\n")} ] }`

const clientOf = (servers: string, role: string) =>
  NatsClient.layer({ servers, user: role, password: Redacted.make(role), inboxPrefix: `_INBOX_${role}` })

/** A connection of a role without this library. */
const connection = (servers: string, role: string) =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ servers, user: role, pass: role, inboxPrefix: `_INBOX_${role}` })),
    (connection) => Effect.promise(() => connection.close())
  )

/** Operations of a service by name. `jump` puts the clock ahead by two hours. */
interface Operations<A> {
  readonly [operation: string]: (
    service: A,
    jump: Effect.Effect<void>
  ) => Effect.Effect<unknown, { readonly message: string }>
}

type Store = KVStore.KVStore["Service"]

/** The store itself, as a layer on it. */
const layerStore = Layer.effect(KVStore.KVStore, KVStore.KVStore)

const { atRevision, createOnly, updateOnly } = KVStore.KVOptions

const onStore: Operations<Store> = {
  "get": (store) => store.get("a"),
  "get with fromLeader": (store) => store.get("a", { fromLeader: true }),
  "get with revision": (store) => store.get("a", { revision: 1 }),
  "getMany": (store) => store.getMany(["a", "b"]),
  "keys": (store) => store.keys(),
  "keys with a filter": (store) => store.keys("a.*"),
  "entries": (store) => store.entries(),
  "stream": (store) => Stream.runDrain(store.stream()),
  "history": (store) => store.history("a"),
  "watch": (store) => Stream.runDrain(Stream.take(store.watch(), 1)),
  "status": (store) => store.status,
  "put": (store) => store.put("a", bytes("2")),
  "put with createOnly": (store) => Effect.andThen(store.delete("c"), store.put("c", bytes("2"), createOnly)),
  "put with updateOnly": (store) => store.put("a", bytes("2"), updateOnly),
  "put with revision": (store) =>
    Effect.flatMap(store.put("d", bytes("2")), (revision) => store.put("d", bytes("3"), atRevision(revision))),
  "delete": (store) => store.delete("b"),
  "purge": (store) => store.purge("b"),
  "clear": (store) => Effect.andThen(store.put("z", bytes("1")), KVStore.clear(store, "z")),
  // The clock stays ahead, so this operation is the last one.
  "purgeTombstones": (store, jump) => Effect.andThen(jump, store.purgeTombstones())
}

type Registries = Registry.Registry["Service"]

const instance = { serviceName: "orders", instanceId: "orders-9", version: "1.0.0" }

const onRegistry: Operations<Registries> = {
  "list": (registry) => registry.list("orders"),
  "listAll": (registry) => registry.listAll(),
  "get": (registry) => registry.get("orders", "orders-1"),
  "watch": (registry) => Stream.runDrain(Stream.take(registry.watch(), 1)),
  "register": (registry) => Effect.scoped(registry.register({ serviceName: "orders", version: "1.0.0" })),
  "register of another service": (registry) =>
    Effect.scoped(registry.register({ serviceName: "prices", version: "1.0.0" })),
  "heartbeat": (registry) => registry.heartbeat(instance),
  "deregister": (registry) =>
    Effect.andThen(
      registry.heartbeat(instance),
      registry.deregister({ serviceName: "orders", instanceId: "orders-9" })
    ),
  cleanup: (registry, jump) =>
    Effect.flatMap(
      Effect.andThen(jump, registry.cleanup({ maxAge: "1 hour" })),
      (report) =>
        report.failed.length === 0 && report.removed.length > 0
          ? Effect.void
          : Effect.fail({ message: JSON.stringify(report) })
    )
}

type Elections = Election.Election["Service"]

const onElection: Operations<Elections> = {
  "campaign": (election) => Effect.scoped(election.campaign("scheduler", { candidateId: "one" })),
  // A candidate without the right goes on, and logs why it does not win.
  "campaign in another election": (election) => {
    const log = logged()
    return Effect.scoped(election.campaign("payments", { candidateId: "one" })).pipe(
      Effect.timeoutOrElse({
        duration: "1 second",
        orElse: () => Effect.fail({ message: log.troubles().join() })
      }),
      Effect.provide(log.layer)
    )
  },
  "stepDown": (election) =>
    Effect.scoped(
      Effect.andThen(election.campaign("scheduler", { candidateId: "two" }), election.stepDown("scheduler"))
    ),
  "leader": (election) => election.leader("scheduler"),
  "observe": (election) => Stream.runDrain(Stream.take(election.observe("scheduler"), 1))
}

/** Runs each operation, and returns those that succeed. A refused one names the denied subject. */
const possible = <A>(service: A, operations: Operations<A>, jump: Effect.Effect<void> = Effect.void) =>
  Effect.filter(Object.keys(operations), (operation) =>
    operations[operation]!(service, jump).pipe(
      Effect.timeoutOrElse({ duration: "5 seconds", orElse: () => Effect.fail({ message: "no answer" }) }),
      Effect.match({
        onSuccess: () => true,
        onFailure: ({ message }) => {
          assert.match(message, /permission.*\$(?:KV|JS)\./s, `${operation}: ${message}`)
          return false
        }
      })
    ))

const serve = Effect.fnUntraced(function*(line: Line) {
  const { url } = yield* startNatsServer({ line, config })
  const build = <A, E>(role: string, layer: Layer.Layer<A, E, NatsClient.NatsClient>) =>
    Layer.build(Layer.provide(layer, clientOf(url, role)))
  const storeOf = (role: string, options: KVStore.BucketOptions) =>
    Effect.map(build(role, NatsKVStore.layer(options)), Context.get(KVStore.KVStore))
  /** Builds a service on an existing bucket, with a clock that can jump. */
  const serviceOf = Effect.fnUntraced(function*<I, S, E>(
    role: string,
    bucket: string,
    service: Context.Service<I, S>,
    layer: Layer.Layer<I, E, KVStore.KVStore>
  ) {
    const { jump, jumping } = jumpingClock(yield* Clock.Clock)
    const store = NatsKVStore.layer({ bucket, create: false, onMismatch: "accept" })
    const context = yield* Effect.provideService(build(role, Layer.provide(layer, store)), Clock.Clock, jumping)
    return { service: Context.get(context, service), jump }
  })
  return { url, storeOf, serviceOf }
})

describe.concurrent("rights", () => {
  it("the table has each role", () => {
    assert.deepStrictEqual([...table.keys()].toSorted(), roles.toSorted())
  })

  for (const line of lines) {
    const test = (title: string, body: () => Effect.Effect<void, unknown, Scope.Scope>) =>
      it.live(`${line}: ${title}`, body)

    test("an opener creates and changes the bucket settings, and a reader, a writer and an opener use it", () =>
      Effect.gen(function*() {
        const { serviceOf, storeOf } = yield* serve(line)
        yield* storeOf("opener", { bucket: "settings" })
        yield* storeOf("opener", { bucket: "settings", historySize: 3, onMismatch: "update" })
        const all = yield* storeOf("all", { bucket: "settings", historySize: 3 })
        yield* all.put("a", bytes("1"))
        for (const role of ["reader", "writer", "opener"]) {
          yield* all.delete("t")
          const { jump, service } = yield* serviceOf(role, "settings", KVStore.KVStore, layerStore)
          assert.deepStrictEqual(
            (yield* possible(service, onStore, jump)).toSorted(),
            allowed(role, line, onStore),
            role
          )
          const other = yield* Effect.flip(storeOf(role, { bucket: "prices" }))
          assert.strictEqual(other.reason._tag, "PermissionDenied", role)
        }
      }))

    for (const readLegacyKeys of [false, true]) {
      test(`the roles of a registry use the bucket service_registry, with readLegacyKeys ${readLegacyKeys}`, () =>
        Effect.gen(function*() {
          const { serviceOf, storeOf } = yield* serve(line)
          yield* storeOf("all", { bucket: "service_registry" })
          const registryOf = (role: string) =>
            serviceOf(role, "service_registry", Registry.Registry, Registry.layer({ readLegacyKeys }))
          const owner = yield* registryOf("all")
          for (const role of ["observer", "registrant", "cleanup", "fleet"]) {
            for (const serviceName of ["orders", "prices"]) {
              yield* owner.service.heartbeat({ serviceName, instanceId: `${serviceName}-1`, version: "1.0.0" })
            }
            const { jump, service } = yield* registryOf(role)
            assert.deepStrictEqual(
              (yield* possible(service, onRegistry, jump)).toSorted(),
              allowed(role, line, onRegistry).filter((operation) =>
                !(readLegacyKeys && role === "registrant" && operation === "list")
              ),
              role
            )
          }
        }))
    }

    test("a registrant and a cleanup need more rights for the records of AegisSDK", () =>
      Effect.gen(function*() {
        const { serviceOf, storeOf } = yield* serve(line)
        const store = yield* storeOf("all", { bucket: "service_registry" })
        const put = store.put(
          "service-instances__orders__orders-9",
          bytes(JSON.stringify(legacyFields("orders", "orders-9")))
        )
        const registryOf = (role: string) =>
          serviceOf(role, "service_registry", Registry.Registry, Registry.layer({ readLegacyKeys: true }))

        yield* put
        const waiting = (registry: Registries) =>
          Effect.scoped(registry.register(instance)).pipe(
            Effect.flip,
            Effect.map(({ message }) => message),
            Effect.timeoutOption("1 second")
          )
        const [denied, waits] = yield* Effect.forEach(["registrant", "legacy-registrant"], (role) =>
          Effect.flatMap(registryOf(role), ({ service }) => waiting(service)))
        assert.match(Option.getOrThrow(denied!), /permission.*CONSUMER\.CREATE.*service-instances__orders__orders-9/s)
        assert.isTrue(Option.isNone(waits!))
        const { service: registrant } = yield* registryOf("legacy-registrant")
        assert.isTrue(yield* registrant.deregister(instance))

        yield* put
        for (const [role, removed, failed] of [["cleanup", 0, 1], ["legacy-cleanup", 1, 0]] as const) {
          const { jump, service } = yield* registryOf(role)
          yield* jump
          const report = yield* service.cleanup({ maxAge: "1 hour" })
          assert.deepStrictEqual([report.removed.length, report.failed.length], [removed, failed], role)
        }
      }))

    test("a candidate takes part in its election in the bucket service_election", () =>
      Effect.gen(function*() {
        const { serviceOf, storeOf } = yield* serve(line)
        yield* storeOf("all", { bucket: "service_election" })
        for (const role of ["candidate", "fleet"]) {
          const { service } = yield* serviceOf(role, "service_election", Election.Election, Election.layer())
          assert.deepStrictEqual(
            (yield* possible(service, onElection)).toSorted(),
            allowed(role, line, onElection),
            role
          )
        }
      }))

    test("tenants cannot share a bucket: with the right for one key, a client can remove all others", () =>
      Effect.gen(function*() {
        const { storeOf, url } = yield* serve(line)
        const store = yield* storeOf("all", { bucket: "service_registry" })
        yield* store.put("service-instances.prices.prices-1", bytes("of another tenant"))
        const tenant = yield* connection(url, "registrant")
        const rollup = headers()
        rollup.set("Nats-Rollup", "all")
        const subject = "$KV.service_registry.service-instances.orders.orders-1"
        yield* Effect.promise(() => tenant.request(subject, "1", { headers: rollup, timeout: 5000 }))
        assert.deepStrictEqual(yield* store.keys(), ["service-instances.orders.orders-1"])
      }))

    test("rights to publish do not limit where a server sends an answer: a reader can overwrite a value with one", () =>
      Effect.gen(function*() {
        const { storeOf, url } = yield* serve(line)
        const store = yield* storeOf("all", { bucket: "settings" })
        yield* store.put("a", bytes("1"))
        const reader = yield* connection(url, "reader")
        reader.publish("$JS.API.STREAM.INFO.KV_settings", "", { reply: "$KV.settings.a" })
        yield* eventually(false)(
          Effect.map(store.get("a"), (found) => textOf(Option.getOrThrow(found).value)),
          (text) => text.includes("stream_info_response")
        )
      }))
  }
})
