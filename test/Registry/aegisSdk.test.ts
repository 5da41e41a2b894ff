/**
 * The scenarios that AegisSDK for Python tests for its registry, its filter of stale instances and its cleanup, under their names.
 * Its lists leave out what is older than 35 s, its cleanup removes what is older than a threshold of its own.
 */
import { assert, describe } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import * as Expiration from "../../src/Expiration.ts"
import * as Registry from "../../src/Registry.ts"
import { bytes } from "../../tools/values.ts"
import { away, countOf, on, times } from "../support/links.ts"
import { numbers, type Store } from "../support/suite.ts"
import { contains } from "./suite/fixture.ts"
import { again, defaults, key, test, until } from "./suite/inMemory.ts"
import { fieldsOf, keyOf, lastOf, listed, named, sendHeartbeat, underneath, world } from "./suite/processes.ts"

const minute = { maxAge: "60 seconds", heartbeat: "20 seconds" } as const

/** A record as AegisSDK writes it, in camelCase or with the fields that it mixes. */
const theirs = (store: Store, instanceId: string, fields: object = {}) =>
  store.put(
    keyOf("orders", instanceId),
    bytes(JSON.stringify({
      serviceName: "orders",
      instanceId,
      version: "1.0.0",
      status: "ACTIVE",
      lastHeartbeat: "1970-01-01T00:00:00Z",
      metadata: {},
      ...fields
    }))
  )

describe("registry", () => {
  test("full register flow", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(defaults)
      const { close, update } = yield* a.enter(named("orders", "one", { metadata: { zone: "a" } }))
      assert.deepStrictEqual(yield* listed(b), ["one"])
      yield* update((current) => ({ ...current, status: "STANDBY" }))
      assert.strictEqual((yield* b.registry.list("orders"))[0]?.status, "STANDBY")
      yield* close
      assert.deepStrictEqual(yield* listed(b), [])
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  test("multiple instances", () =>
    Effect.gen(function*() {
      const [, a, b] = yield* world(defaults)
      for (const id of ["one", "two", "three"]) yield* a.enter(named("orders", id))
      assert.deepStrictEqual(yield* listed(b), ["one", "three", "two"])
    }))

  test("heartbeat keeps alive 8 s with ttl 5 and beat 2", () =>
    Effect.gen(function*() {
      const [, a, b] = yield* world({ maxAge: "5 seconds", heartbeat: "2 seconds" })
      yield* a.enter(named("orders", "one"))
      yield* again(
        8,
        Effect.gen(function*() {
          yield* TestClock.adjust("1 second")
          assert.deepStrictEqual(yield* listed(b), ["one"])
        })
      )
    }))

  test("re-registration after entry loss within a beat", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(defaults)
      yield* a.enter(named("orders", "one"))
      yield* store.purge(key)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* listed(b), ["one"])
    }))

  test("deregister unknown is not an error", () =>
    Effect.gen(function*() {
      const [, a] = yield* world(defaults)
      assert.isFalse(yield* a.registry.deregister({ serviceName: "orders", instanceId: "unknown" }))
    }))

  test("concurrent status updates consistent", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(defaults)
      const { update } = yield* a.enter(named("orders", "one", { metadata: {} }))
      const add = (name: string) => update((current) => ({ ...current, metadata: { ...current.metadata, [name]: 1 } }))
      const names = numbers(20).map((index) => `n${index}`)
      yield* Effect.forEach(names, add, { concurrency: "unbounded" }).pipe(
        Effect.race(Effect.forever(TestClock.adjust("10 millis")))
      )
      assert.sameMembers(Object.keys((yield* fieldsOf(store, key))["metadata"] as object), names)
    }))

  test("list_all grouping", () =>
    Effect.gen(function*() {
      const [, a, b] = yield* world(defaults)
      for (const service of ["orders", "mail"]) yield* a.enter(named(service, "one"))
      const all = yield* b.registry.listAll()
      assert.deepStrictEqual([...all.keys()].toSorted(), ["mail", "orders"])
    }))

  test("mixed records readable, malformed key or record skipped", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(defaults)
      yield* a.enter(named("orders", "ours"))
      yield* theirs(store, "theirs", { stickyActiveStatus: "ACTIVE", ttl_seconds: 30 })
      yield* theirs(store, "offset", { lastHeartbeat: "1970-01-01T01:00:00+01:00" })
      yield* store.put(keyOf("orders", "broken"), bytes("{"))
      yield* store.put("service-instances.orders", bytes("{}"))
      assert.deepStrictEqual(yield* listed(b), ["offset", "ours", "theirs"])
    }))

  test("register failure is an error", () =>
    Effect.gen(function*() {
      const [, a] = yield* world(defaults)
      yield* a.link.set(away)
      const { reason } = yield* Effect.flip(a.registry.register(named("orders", "one")))
      assert.strictEqual(reason._tag, "KVStoreError")
    }))

  test("reconnect after failure", () =>
    Effect.gen(function*() {
      const [, a, b] = yield* world(defaults)
      yield* a.enter(named("orders", "one"))
      yield* a.link.set(away)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* listed(b), [])
      yield* a.link.set(undefined)
      yield* until(listed(b), contains("one"))
    }))

  test("load with many instances", () =>
    Effect.gen(function*() {
      const [, a, b] = yield* world(defaults)
      yield* Effect.forEach(numbers(500), (index) => sendHeartbeat(a, named("orders", `i${index}`)))
      assert.lengthOf(yield* listed(b), 500)
    }))
})

describe("stale filter", () => {
  const aged = (seconds: number, options: Registry.Options = defaults) =>
    Effect.gen(function*() {
      const [, a, b] = yield* world(options)
      yield* a.registry.heartbeat(named("orders", "one"))
      yield* TestClock.adjust(seconds * 1000)
      return b.registry
    })
  const threshold = { maxAge: "35 seconds" } as const

  for (
    const [what, seconds, isListed] of [["10 s fresh", 10, true], ["60 s stale", 60, false], [
      "very old stale",
      86_400,
      false
    ]] as const
  ) {
    test(what, () =>
      Effect.gen(function*() {
        const registry = yield* aged(seconds)
        assert.strictEqual((yield* registry.list("orders", threshold)).length === 1, isListed)
      }))
  }

  test("exact 35 s boundary: equal is fresh", () =>
    Effect.gen(function*() {
      const registry = yield* aged(35)
      assert.lengthOf(yield* registry.list("orders", threshold), 1)
      yield* TestClock.adjust(1)
      assert.lengthOf(yield* registry.list("orders", threshold), 0)
    }))

  test("offset timezones, by the local clock", () =>
    Effect.gen(function*() {
      const [store, , b] = yield* world({ ...defaults, clock: "local" })
      yield* TestClock.setTime(DateTime.makeUnsafe("2026-11-01T12:00:20Z").epochMilliseconds)
      yield* theirs(store, "fresh", { lastHeartbeat: "2026-11-01T14:00:00+02:00" })
      yield* theirs(store, "stale", { lastHeartbeat: "2026-11-01T12:00:00+02:00" })
      assert.deepStrictEqual(yield* listed(b), ["fresh"])
    }))

  test("custom threshold 60", () =>
    Effect.gen(function*() {
      const registry = yield* aged(45, minute)
      assert.lengthOf(yield* registry.list("orders"), 1)
      assert.lengthOf(yield* registry.list("orders", { maxAge: "30 seconds" }), 0)
    }))

  test("list, get and by-service all filter", () =>
    Effect.gen(function*() {
      const registry = yield* aged(31)
      assert.lengthOf(yield* registry.list("orders"), 0)
      assert.isTrue(Option.isNone(yield* registry.get("orders", "one")))
      assert.strictEqual((yield* registry.listAll()).size, 0)
      assert.lengthOf(yield* registry.list("orders", { includeExpired: true }), 1)
    }))
})

describe("cleanup", () => {
  const stale = Effect.fnUntraced(function*(ids: ReadonlyArray<string>) {
    const [store, a, b] = yield* world(defaults)
    for (const id of ids) yield* a.registry.heartbeat(named("orders", id))
    yield* TestClock.adjust("31 seconds")
    return { store, a, b, count: Effect.map(b.registry.cleanup(), ({ removed }) => removed.length) }
  })

  test("stale removed", () =>
    Effect.gen(function*() {
      const { count, store } = yield* stale(["one", "two"])
      assert.strictEqual(yield* count, 2)
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  test("none stale: 0", () =>
    Effect.gen(function*() {
      const { a, b } = yield* stale([])
      yield* a.registry.heartbeat(named("orders", "one"))
      assert.strictEqual((yield* b.registry.cleanup()).removed.length, 0)
    }))

  test("UNHEALTHY and SHUTDOWN removed once they are stale", () =>
    Effect.gen(function*() {
      const { count, store } = yield* stale(["one", "two"])
      yield* underneath(store, key, { status: "UNHEALTHY" })
      yield* underneath(store, keyOf("orders", "two"), { status: "SHUTDOWN" })
      assert.strictEqual(yield* count, 0)
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual(yield* count, 2)
    }))

  test("invalid data tolerated", () =>
    Effect.gen(function*() {
      const { b, store } = yield* stale(["one"])
      yield* store.put(keyOf("orders", "bad"), bytes("{"))
      const { removed, undecodable } = yield* b.registry.cleanup()
      assert.deepStrictEqual([removed.length, undecodable], [1, ["orders/bad"]])
    }))

  test("get error is an error, delete error tolerated", () =>
    Effect.gen(function*() {
      const { b } = yield* stale(["one", "two"])
      yield* b.link.set(on("entries", away))
      assert.strictEqual((yield* Effect.flip(b.registry.cleanup())).reason._tag, "KVStoreError")
      yield* b.link.set(times(1, "purge", away))
      const { failed, removed } = yield* b.registry.cleanup()
      assert.deepStrictEqual([failed.length, removed.length], [1, 1])
    }))

  test("missing heartbeat kept while the record is young", () =>
    Effect.gen(function*() {
      const { count, store } = yield* stale([])
      yield* theirs(store, "one", { lastHeartbeat: undefined })
      assert.strictEqual(yield* count, 0)
    }))

  test("Z and +00:00", () =>
    Effect.gen(function*() {
      const [store, , b] = yield* world({ ...defaults, clock: "local" })
      yield* TestClock.setTime(DateTime.makeUnsafe("2026-11-01T12:01:00Z").epochMilliseconds)
      yield* theirs(store, "one", { lastHeartbeat: "2026-11-01T12:00:00Z" })
      yield* theirs(store, "two", { lastHeartbeat: "2026-11-01T12:00:00+00:00" })
      assert.strictEqual((yield* b.registry.cleanup()).removed.length, 2)
    }))

  test("periodic run: at least 2 passes, and none after the stop", () =>
    Effect.gen(function*() {
      const { b } = yield* stale([])
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Layer.build(
          Registry.layerCleanup({ schedule: "10 seconds" }).pipe(
            Layer.provide(Layer.succeed(Registry.Registry, b.registry))
          )
        )
        yield* TestClock.adjust("30 seconds")
        assert.isAtLeast(countOf(b.link, "entries"), 2)
      }))
      const before = countOf(b.link, "entries")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(countOf(b.link, "entries"), before)
    }))

  test("is_expired with maxAge 30", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(defaults)
      yield* a.registry.heartbeat(named("orders", "one"))
      const instance = Option.getOrThrow(yield* a.registry.get("orders", "one"))
      const isExpired = Expiration.isExpired(store.clock, { maxAge: "30 seconds" })
      yield* TestClock.adjust("30 seconds")
      assert.isFalse(isExpired(instance))
      yield* TestClock.adjust(1)
      assert.isTrue(isExpired(instance))
    }))
})
