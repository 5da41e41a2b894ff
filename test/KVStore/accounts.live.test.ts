/**
 * Buckets of other accounts (`apiPrefix`) and of other domains (`domain`), and accounts with limits: all operations work, also
 * where an export lets only one answer to a request through.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as KVStore from "../../src/KVStore.ts"
import { freePort } from "../../tools/natsServer/cluster.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { bytes, textOf } from "../../tools/values.ts"
import { freshName, numbers, reasonOf, record, type Store } from "../support/suite.ts"
import { nameOf, type World, worlds } from "../support/worlds.ts"
import { named, server, until } from "./errors/fixture.ts"
import { shown } from "./suite/fixture.ts"

/** Account A has the buckets, account B imports them with the prefix `fromA`. */
const accounts = (response: string) => `
accounts {
  A {
    jetstream: enabled, users: [ { user: a, password: a } ]
    exports: [ { service: "$JS.API.>" ${response} }, { service: "$KV.>" } ]
  }
  B {
    users: [ { user: b, password: b } ]
    imports: [
      { service: { account: A, subject: "$JS.API.>" }, to: "fromA.>" }
      { service: { account: A, subject: "$KV.>" }, to: "fromA.$KV.>" }
    ]
  }
}`

/** Does everything that a store can do, with its own names and counts. */
const everything = Effect.fnUntraced(function*(store: Store, historySize: number) {
  const watch = yield* record(store.watch(["k.>", "n.>"]))
  const first = yield* store.put("k.0", bytes("0"))
  yield* reasonOf(store.put("k.0", bytes("1"), { createOnly: true }), "KeyAlreadyExists")
  yield* reasonOf(store.put("k.0", bytes("1"), { revision: first + 1 }), "RevisionMismatch")
  yield* Effect.forEach(numbers(121).slice(1), (n) => store.put(`k.${n}`, bytes(`${n}`)), { concurrency: 20 })
  yield* store.put("k.0", bytes("second"), { revision: first })
  assert.strictEqual(textOf(Option.getOrThrow(yield* store.get("k.0")).value), "second")
  assert.strictEqual(textOf(Option.getOrThrow(yield* store.get("k.0", { fromLeader: true })).value), "second")
  assert.isTrue(Option.isNone(yield* store.get("none")))
  assert.strictEqual((yield* store.history("k.0")).length, Math.min(2, historySize))
  yield* store.delete("k.1")
  yield* store.purge("k.2")
  assert.strictEqual((yield* store.keys()).length, 119)
  assert.strictEqual((yield* store.entries("k.*")).length, 119)
  assert.strictEqual((yield* store.getMany(["k.0", "k.1", "k.3"])).size, 2)
  assert.strictEqual((yield* Stream.runCollect(store.stream())).length, 119)
  assert.deepStrictEqual(yield* store.keys("none.>"), [])
  yield* store.put("n.last", bytes("1"))
  yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("n.last=1"))
  const events = watch.events.map(shown)
  assert.deepStrictEqual(events.filter((event) => event === "ready").length, 1)
  // Where a watch was interrupted, it has only the last message of the keys that were removed since.
  for (const n of numbers(121).slice(3)) assert.include(events, `k.${n}=${n}`)
  yield* store.delete("n.last")
  yield* until(Effect.sync(() => watch.events.map(shown)), (all) => all.includes("delete n.last"))
  yield* store.put("n.last", bytes("2"))
  const late = yield* record(store.watch())
  yield* until(Effect.sync(() => late.events.map(shown)), (all) => all.includes("ready"))
  assert.strictEqual(late.events.length, 121)
  assert.strictEqual((yield* KVStore.clear(store, "k.>")).removed, 119)
  assert.deepStrictEqual(yield* store.keys(), ["n.last"])
  assert.strictEqual(yield* store.purgeTombstones(), 0)
  assert.strictEqual((yield* store.status).bucket, store.config.bucket)
})

/** Runs an effect, and returns its warnings. */
const warningsOf = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const warnings: Array<string> = []
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    if (logLevel === "Warn") warnings.push(String(message))
  })
  yield* Effect.provide(effect, Logger.layer([logger]))
  return warnings
})

/** A leaf node of a hub with the domain `hub`. With its own JetStream it has the domain `leaf`. */
const leafNode = Effect.fnUntraced(function*(world: World, jetstream: string) {
  const leafPort = yield* freePort
  yield* startNatsServer({
    line: world.line,
    config: `server_name: hub\njetstream { domain: hub }\nleafnodes { listen: "127.0.0.1:${leafPort}" }`
  })
  return yield* server(
    world,
    `server_name: leaf\n${jetstream}\nleafnodes { remotes: [ { url: "nats-leaf://127.0.0.1:${leafPort}" } ] }`
  )
})

describe.concurrent("buckets of others", () => {
  for (const world of worlds) {
    const test = (title: string, body: () => Effect.Effect<void, unknown, Scope.Scope>) =>
      it.live(`${nameOf(world)}: ${title}`, body, 60_000)

    for (const historySize of [1, 3]) {
      test(`a bucket of another account, with historySize ${historySize}`, () =>
        Effect.gen(function*() {
          const { openAs } = yield* server(world, accounts(", response_type: stream"))
          const warnings = yield* warningsOf(Effect.gen(function*() {
            const bucket = freshName()
            const store = yield* openAs(named("b"), { bucket, apiPrefix: "fromA", historySize })
            yield* everything(store, historySize)
            assert.deepStrictEqual(yield* (yield* openAs(named("a"), { bucket, historySize })).keys(), ["n.last"])
          }))
          assert.deepStrictEqual(warnings, [])
        }))

      test(`an export that lets one answer through, with historySize ${historySize}: one warning`, () =>
        Effect.gen(function*() {
          const { openAs } = yield* server(world, accounts(""))
          const warnings = yield* warningsOf(Effect.gen(function*() {
            const store = yield* openAs(named("b"), { bucket: freshName(), apiPrefix: "fromA", historySize })
            yield* everything(store, historySize)
          }))
          assert.strictEqual(warnings.length, 1)
          assert.include(warnings[0], "response_type: stream")
        }))
    }

    test("a bucket of the hub, from a leaf node with and without JetStream", () =>
      Effect.gen(function*() {
        for (const jetstream of ["jetstream { domain: leaf }", "jetstream: disabled"]) {
          const { openAs } = yield* leafNode(world, jetstream)
          const bucket = freshName()
          const hub = yield* until(
            Effect.result(openAs(undefined, { bucket, domain: "hub" })),
            ({ _tag }) => _tag === "Success"
          )
          if (hub._tag === "Success") yield* everything(hub.success, 1)
          if (jetstream === "jetstream: disabled") continue
          const local = yield* openAs(undefined, { bucket })
          yield* local.put("local", bytes("1"))
          assert.deepStrictEqual(yield* local.keys(), ["local"])
        }
      }))

    test("an account or a domain that cannot be reached is Unavailable, and named", () =>
      Effect.gen(function*() {
        const { openAs } = yield* server(world)
        const timeout = Duration.millis(500)
        for (const [option, says] of [[{ domain: "hub" }, "$JS.hub.API"], [{ apiPrefix: "fromA" }, "fromA"]] as const) {
          const error = yield* Effect.flip(openAs(undefined, { bucket: "b", timeout, ...option }))
          assert.strictEqual(error.reason._tag, "Unavailable")
          assert.include(error.message, `no responders for ${says}`)
        }
      }))

    test("an account that limits consumers gets its bucket, with watches up to the limit", () =>
      Effect.gen(function*() {
        const limited = (limits: string) =>
          `accounts { A { jetstream { ${limits} }, users: [ { user: a, password: a } ] } }`
        const { openAs } = yield* server(world, limited("max_consumers: 1000"))
        const store = yield* openAs(named("a"), { bucket: "b" })
        yield* everything(store, 1)
        const other = yield* server(world, limited("max_bytes_required: true, max_streams: 1"))
        const refused = yield* Effect.flip(other.openAs(named("a"), { bucket: "b" }))
        assert.include(refused.message, "set it in the options of the bucket")
        yield* other.openAs(named("a"), { bucket: "b", maxBytes: 10_000_000 })
        const second = yield* Effect.flip(other.openAs(named("a"), { bucket: "c", maxBytes: 10_000_000 }))
        assert.include(second.message, "max_streams")
      }))
  }
})
