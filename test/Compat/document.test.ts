/** The code blocks of AegisSDK's document, ported line by line, also after an outage. */
import { assert, describe } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import * as Compat from "../../src/Compat.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"
import { bytes } from "../../tools/values.ts"
import { contains } from "../Registry/suite/fixture.ts"
import { defaults, test, until } from "../Registry/suite/inMemory.ts"
import { listed, named, openBucket, sendHeartbeat, startProcess } from "../Registry/suite/processes.ts"
import { away } from "../support/links.ts"
import { numbers } from "../support/suite.ts"
import { cleanupExpiredServices } from "./loop.ts"

describe("Stream-Level TTL Configuration", () => {
  test("the age limit of the bucket removes the latest value, too: the document says that it expires history only", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ streamMaxAge: "60 seconds", historySize: 10 })
      yield* store.put("key", bytes("1"))
      yield* TestClock.adjust("61 seconds")
      assert.isTrue(Option.isNone(yield* store.get("key")))
    }))
})

describe("Service Expiration Pattern", () => {
  test("a service is expired if its last heartbeat is older than 30 seconds", () =>
    Effect.gen(function*() {
      const { registry } = yield* startProcess(yield* openBucket(), defaults)
      const isExpired = (instance: Registry.ServiceInstance) =>
        Effect.provideService(Compat.isExpired(instance), Registry.Registry, registry)
      yield* registry.heartbeat(named("my-service", "instance-001"))
      const [service] = yield* registry.list("my-service")
      yield* TestClock.adjust("30 seconds")
      assert.isFalse(yield* isExpired(service!))
      yield* TestClock.adjust("1 milli")
      assert.isTrue(yield* isExpired(service!))
    }))
})

describe("Manual Cleanup", () => {
  /** Ten owners, one that heartbeats by hand, and a process that runs the loop of the document every 30 seconds. */
  const fleet = Effect.gen(function*() {
    const store = yield* openBucket()
    const owner = yield* startProcess(store, defaults)
    const manual = yield* startProcess(store, defaults)
    const cleaner = yield* startProcess(store, defaults)
    const registrations = yield* Effect.forEach(numbers(10), (index) => owner.enter(named("orders", `i${index}`)))
    yield* sendHeartbeat(manual, named("orders", "byHand"))
    const clean = Effect.provideService(cleanupExpiredServices(), Registry.Registry, cleaner.registry)
    return { owner, manual, cleaner, registrations, clean }
  })

  test("removes what has expired, and nothing else", () =>
    Effect.gen(function*() {
      const { clean, cleaner, registrations } = yield* fleet
      yield* TestClock.adjust("31 seconds")
      yield* clean
      const all = yield* cleaner.registry.list("orders", { includeExpired: true })
      assert.strictEqual(all.length, registrations.length)
    }))

  test("after an outage removes nobody for good who was only cut off", () =>
    Effect.gen(function*() {
      const { clean, cleaner, manual, owner, registrations } = yield* fleet
      for (const { link } of [owner, manual, cleaner]) yield* link.set(away)
      yield* TestClock.adjust("5 minutes")
      // The process that cleans up returns first.
      yield* cleaner.link.set(undefined)
      yield* clean
      yield* TestClock.adjust("1 second")
      yield* clean
      for (const { link } of [owner, manual]) yield* link.set(undefined)
      yield* TestClock.adjust("15 seconds")
      yield* sendHeartbeat(manual, named("orders", "byHand"))
      for (const { whyLost } of registrations) assert.isUndefined(yield* whyLost)
      const ids = yield* listed(cleaner)
      assert.deepStrictEqual(ids, ["byHand", ...registrations.map((_, index) => `i${index}`)])
    }))

  test("does not ban an instance whose heartbeat comes between the check and the removal", () =>
    Effect.gen(function*() {
      const { cleaner, manual } = yield* fleet
      yield* TestClock.adjust("31 seconds")
      const step = <A, E>(effect: Effect.Effect<A, E, Registry.Registry>) =>
        Effect.provideService(effect, Registry.Registry, cleaner.registry)
      const instance = (yield* step(Compat.listAllServices)).get("orders")!.find((one) => one.instanceId === "byHand")!
      assert.isTrue(yield* step(Compat.isExpired(instance)))
      yield* sendHeartbeat(manual, named("orders", "byHand"))
      yield* step(Compat.deregister("orders", "byHand"))
      assert.include(yield* listed(cleaner), "byHand")
      yield* sendHeartbeat(manual, named("orders", "byHand"))
      // Without a check before it, the removal is one on purpose.
      yield* step(Compat.deregister("orders", "byHand"))
      assert.notInclude(yield* listed(cleaner), "byHand")
    }))

  test("removes an instance on purpose also if a check has found it expired some time before", () =>
    Effect.gen(function*() {
      const { cleaner, manual } = yield* fleet
      const step = <A, E>(effect: Effect.Effect<A, E, Registry.Registry>) =>
        Effect.provideService(effect, Registry.Registry, cleaner.registry)
      yield* TestClock.adjust("31 seconds")
      const instance = (yield* step(Compat.listAllServices)).get("orders")!.find((one) => one.instanceId === "byHand")!
      assert.isTrue(yield* step(Compat.isExpired(instance)))
      yield* TestClock.adjust("31 seconds")
      yield* sendHeartbeat(manual, named("orders", "byHand"))
      assert.include(yield* listed(cleaner), "byHand")
      yield* step(Compat.deregister("orders", "byHand"))
      assert.notInclude(yield* listed(cleaner), "byHand")
    }))

  test("does not ban an instance that was only slow", () =>
    Effect.gen(function*() {
      const { clean, cleaner, owner, registrations } = yield* fleet
      yield* owner.link.set(away)
      yield* TestClock.adjust("35 seconds")
      yield* clean
      assert.deepStrictEqual(yield* listed(cleaner), [])
      yield* owner.link.set(undefined)
      yield* until(listed(cleaner), contains("i9"))
      for (const { whyLost } of registrations) assert.isUndefined(yield* whyLost)
    }))
})

describe("Migration Guide", () => {
  const Timestamped = Schema.Struct({ value: Schema.Json, timestamp: Schema.DateTimeUtcFromString })

  test("Before (Not Working): put has no time to live, and refuses one before anything is sent", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const { reason } = yield* Effect.flip(store.put("key", bytes("1"), { ttl: 30 } as unknown as KVStore.KVOptions))
      assert.strictEqual(reason._tag, "InvalidConfig")
      assert.isTrue(Option.isNone(yield* store.get("key")))
    }))

  test("Option 1: a value with a timestamp is checked when it is read, and deleted; a newer one is kept", () =>
    Effect.gen(function*() {
      const raw = yield* openBucket()
      const store = KVStore.typed(raw, Timestamped)
      const write = Effect.flatMap(DateTime.now, (timestamp) => store.put("key", { value: 1, timestamp }))
      const readOrExpire = Effect.gen(function*() {
        const entry = yield* store.get("key")
        if (Option.isNone(entry)) return undefined
        const { revision, value: { timestamp, value } } = entry.value
        const now = yield* DateTime.now
        if (now.epochMilliseconds - timestamp.epochMilliseconds <= 30_000) return value
        // More than the document: a value that was written since is kept.
        yield* raw.delete("key", { revision })
        return undefined
      })
      yield* write
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* readOrExpire, 1)
      yield* TestClock.adjust("1 second")
      assert.isUndefined(yield* readOrExpire)
      assert.isTrue(Option.isNone(yield* raw.get("key")))
    }))

  test("Option 1 in one call: getUnexpired measures the age by the store's clock", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("key", bytes("1"))
      const read = KVStore.getUnexpired(store, "key", { maxAge: "30 seconds" })
      yield* TestClock.adjust("30 seconds")
      assert.isTrue(Option.isSome(yield* read))
      yield* TestClock.adjust("1 second")
      assert.isTrue(Option.isNone(yield* read))
      assert.isTrue(Option.isNone(yield* store.get("key")))
    }))

  test("Option 2: streamMaxAge of 300 seconds removes history and the latest value after 5 minutes", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ streamMaxAge: "300 seconds" })
      yield* store.put("key", bytes("1"))
      yield* TestClock.adjust("299 seconds")
      assert.isTrue(Option.isSome(yield* store.get("key")))
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(Option.isNone(yield* store.get("key")))
    }))
})
