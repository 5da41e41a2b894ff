/**
 * Observers on real servers: a frozen server, a server that is away, and a blocked event loop, each for three times
 * maxAge, announce no instance Down.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Aegis from "../../src/Aegis.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Registry from "../../src/Registry.ts"
import { eventually } from "../../tools/eventually.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { openOnCluster } from "../../tools/natsServer/cluster.ts"
import { type NatsServer, startNatsServer } from "../../tools/natsServer/server.ts"
import { loseBucket } from "../../tools/watchFaults/raw.ts"
import { logged, numbers } from "../support/suite.ts"

const until = eventually(false)
const count = 20
const maxAge = 3000

/** Blocks the event loop of this process, with its owners and its observer. */
const block = (millis: number) =>
  Effect.sync(() => {
    const end = performance.now() + millis
    while (performance.now() < end);
  })

const away = Effect.sleep(3 * maxAge)

const frozen = ({ pause, resume }: NatsServer) => Effect.andThen(pause, Effect.andThen(away, resume))
const restarted = ({ kill, restart }: NatsServer) => Effect.andThen(kill, Effect.andThen(away, restart))
const restartedOften = ({ kill, restart }: NatsServer) =>
  kill.pipe(
    Effect.andThen(Effect.sleep("1 second")),
    Effect.andThen(restart),
    Effect.andThen(Effect.sleep("4 seconds")),
    Effect.repeat({ times: 2 })
  )

/** An owner with all instances, and an observer that has received them: each with its own connection. */
const fleet = Effect.fnUntraced(function*(options: Parameters<typeof Aegis.layerNats>[0]) {
  const build = Layer.build(Layer.fresh(Aegis.layerNats({ ...options, registry: { maxAge, heartbeat: "700 millis" } })))
  const owner = yield* Effect.provide(Registry.Registry, yield* build)
  const observer = yield* Effect.provide(Registry.Registry, yield* build)
  const events: Array<string> = []
  yield* Effect.forkScoped(Stream.runForEach(observer.watch("orders"), (event) =>
    Effect.sync(() => {
      events.push(event._tag === "Ready" ? "Ready" : `${event._tag} ${event.instance.instanceId}`)
    })))
  for (const index of numbers(count)) {
    yield* owner.register({ serviceName: "orders", instanceId: `i${index}`, version: "1.0.0" })
  }
  yield* until(Effect.sync(() => events.length), (length) => length === count + 1)
  return { events, observer }
})

const announcesNobody = (
  what: string,
  line: Line,
  disrupt: (server: NatsServer) => Effect.Effect<unknown, unknown>
) =>
  it.live(`${line}: no instance is announced Down ${what}`, () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line })
      const { events, observer } = yield* fleet({ servers: server.url })
      yield* disrupt(server)
      // Longer than it takes until somebody is judged again.
      yield* Effect.sleep(2 * maxAge)
      assert.deepStrictEqual(events.slice(count + 1), [])
      assert.strictEqual((yield* observer.list("orders")).length, count)
    }).pipe(Effect.scoped, Effect.provide(logged().layer)), 60_000)

describe("an observer", { concurrent: true }, () => {
  for (const line of lines) announcesNobody("while the server is frozen", line, frozen)
  announcesNobody("while the server is away", "2.15", restarted)
  announcesNobody("while the server is restarted, three times within 1 s", "2.15", restartedOften)

  it.live("2.15: lists all instances while the bucket is deleted", () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line: "2.15" })
      const context = yield* Layer.build(Layer.fresh(Aegis.layerNats({
        servers: server.url,
        registry: { maxAge, heartbeat: "700 millis" }
      })))
      const registry = yield* Effect.provide(Registry.Registry, context)
      yield* Effect.forEach(
        numbers(100),
        (index) => registry.register({ serviceName: "orders", instanceId: `i${index}`, version: "1.0.0" }),
        { concurrency: 16 }
      )
      const listed = Effect.map(registry.list("orders"), ({ length }) => length)
      yield* until(listed, (length) => length === 100)
      // The view of the lists has read its snapshot.
      yield* Effect.sleep("500 millis")
      yield* Effect.asVoid(loseBucket(server.url, "service_registry"))
      const lengths = yield* Effect.forEach(numbers(60), () => Effect.delay(Effect.exit(listed), "25 millis"))
      const answers = lengths.flatMap((exit) => Exit.isSuccess(exit) ? [exit.value] : [])
      assert.isAbove(answers.length, 50)
      assert.deepStrictEqual(answers.filter((length) => length !== 100), [])
    }).pipe(Effect.scoped, Effect.provide(logged().layer)), 60_000)
})

describe("an observer of a replicated bucket", () => {
  it.live(
    "2.15: announces no instance Down while its servers have no space, and the bucket no leader",
    () =>
      Effect.gen(function*() {
        const { client, servers } = yield* openOnCluster(
          ["2.15", "2.15", "2.15"],
          "jetstream { max_file_store: 400KB }"
        )
        const { events, observer } = yield* fleet({
          servers: servers.map(({ url }) => url),
          replicas: 3
        })
        const store = yield* Effect.provideContext(NatsKVStore.make({ bucket: "ballast", replicas: 3 }), client)
        const fill = Effect.forEach(numbers(1000), (index) => store.put(`k${index}`, new Uint8Array(10_000)))
        const full = yield* Effect.flip(fill)
        assert.strictEqual(full.reason._tag, "StorageFull")
        yield* away
        assert.strictEqual((yield* observer.list("orders")).length, count)
        yield* Effect.asVoid(loseBucket(servers[0]!.url, "ballast"))
        // Longer than it takes until the bucket has a leader again, and until instances are judged again.
        yield* Effect.sleep("15 seconds")
        assert.deepStrictEqual(events.slice(count + 1), [])
        assert.strictEqual((yield* observer.list("orders")).length, count)
      }).pipe(Effect.scoped, Effect.provide(logged().layer)),
    120_000
  )
})

describe("an observer whose event loop is blocked", () => {
  announcesNobody("while it is blocked", "2.15", () => block(3 * maxAge))
})
