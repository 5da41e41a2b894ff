/** What records tell: fields of instances, restarts, the maxAge of their owners, and outages, in virtual time. */
import { assert, describe } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import * as Registry from "../../src/Registry.ts"
import { bytes } from "../../tools/values.ts"
import { away, on, silent } from "../support/links.ts"
import { logged, numbers, record } from "../support/suite.ts"
import { contains } from "./suite/fixture.ts"
import { again, defaults, key, test, until } from "./suite/inMemory.ts"
import {
  fieldsOf,
  idsOf,
  keyOf,
  listed,
  named,
  openBucket,
  sendHeartbeat,
  startProcess,
  underneath,
  watched,
  world
} from "./suite/processes.ts"

const one = named("orders", "one", { host: "10.0.0.7", port: 8080 })

describe("a registered instance", () => {
  test("has its host, its port and the time of its registration, also after later heartbeats", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(defaults)
      yield* TestClock.adjust("1 hour")
      yield* a.enter(one)
      const began = (yield* b.registry.list("orders"))[0]!
      assert.deepStrictEqual([began.host, began.port], ["10.0.0.7", 8080])
      assert.deepStrictEqual(began.startedAt, began.lastHeartbeat)
      yield* TestClock.adjust("5 minutes")
      const later = (yield* b.registry.list("orders"))[0]!
      assert.deepStrictEqual([later.host, later.port, later.startedAt], ["10.0.0.7", 8080, began.startedAt])
      assert.include(yield* fieldsOf(store, key), { host: "10.0.0.7", port: 8080, maxAge: 30_000 })
    }))

  test("changes its host and port by update and by a heartbeat by hand", () =>
    Effect.gen(function*() {
      const [, a, b] = yield* world(defaults)
      const { update } = yield* a.enter(one)
      yield* update((current) => ({ ...current, port: 9090 }))
      const addressOf = Effect.map(b.registry.list("orders"), ([first]) => `${first?.host}:${first?.port}`)
      assert.strictEqual(yield* addressOf, "10.0.0.7:9090")
      yield* sendHeartbeat(a, { ...one, host: undefined })
      assert.strictEqual(yield* addressOf, "undefined:8080")
    }))

  test("is refused with a host or a port that cannot be meant", () =>
    Effect.gen(function*() {
      const [, a] = yield* world(defaults)
      for (const wrong of [{ port: 0 }, { port: 70_000 }, { port: 1.5 }, { host: "" }, { host: " a" }]) {
        const { message, reason } = yield* Effect.flip(a.enter({ ...one, ...wrong }))
        assert.strictEqual(reason._tag, "InvalidConfig")
        assert.include(message, Object.keys(wrong)[0] ?? "")
      }
    }))

  test("of another writer is listed with an unknown status, which is kept, and with fields of other types", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(defaults)
      yield* a.enter(named("orders", "one"))
      yield* underneath(store, key, { status: "WARMING", host: 5, port: "80", startedAt: "yesterday", maxAge: "1h" })
      const [found] = yield* b.registry.list("orders")
      assert.strictEqual(found?.status, "WARMING")
      assert.isUndefined(found?.host)
      yield* TestClock.adjust("10 seconds")
      assert.include(yield* fieldsOf(store, key), { status: "WARMING", host: 5, port: "80" })
    }))
})

describe("typed", () => {
  const Metadata = Schema.Struct({ zone: Schema.String, since: Schema.DateTimeUtc })
  const since = "2026-11-01T00:00:00.000Z"

  test("lists instances with decoded metadata, and leaves out and logs once what does not decode", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const [, a, b] = yield* world(defaults)
        yield* a.enter(named("orders", "one", { port: 80, metadata: { zone: "a", since } }))
        yield* a.enter(named("orders", "two", { metadata: { zone: 5 } }))
        const typed = yield* Registry.typed(Metadata).pipe(Effect.provideService(Registry.Registry, b.registry))
        for (const instances of [yield* typed.list("orders"), yield* typed.list("orders")]) {
          assert.deepStrictEqual(instances.map(({ instanceId, port }) => `${instanceId}:${port}`), ["one:80"])
          assert.deepStrictEqual(instances[0]?.metadata, { zone: "a", since: DateTime.makeUnsafe(since) })
        }
        const { reason } = yield* Effect.flip(typed.list("no.name"))
        assert.strictEqual(reason._tag, "InvalidName")
      }).pipe(Effect.scoped, Effect.provide(log.layer))
      const lines = log.lines.filter((line) => line.includes("does not decode"))
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^Warn the metadata of orders\/two does not decode, so it is left out: .*zone/s)
    }))
})

describe("a watch", () => {
  const restarts = (events: ReadonlyArray<Registry.RegistryEvent>) =>
    events.flatMap((event) => event._tag === "Changed" ? [event.restarted] : [])

  test("tells a restart from a change", () =>
    Effect.gen(function*() {
      const [, a, b] = yield* world(defaults)
      const { events } = yield* record(b.registry.watch("orders"))
      const seen = (count: number) => until(Effect.sync(() => events.length), (length) => length >= count)
      const { update } = yield* a.enter(one)
      yield* seen(2)
      yield* update((current) => ({ ...current, status: "STANDBY" }))
      yield* seen(3)
      yield* a.enter(one, { onDuplicate: "replace" })
      yield* seen(4)
      assert.deepStrictEqual(restarts(events), [false, true])
    }))

  test("takes no record of AegisSDK for a restart", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(defaults)
      const events = yield* record(b.registry.watch("orders"))
      yield* a.enter(one)
      yield* until(events.all, (all) => all.length >= 2)
      yield* underneath(store, key, { nonce: null, version: "2.0.0" })
      yield* until(events.all, (all) => all.length >= 3)
      assert.deepStrictEqual(restarts(events.events), [false])
    }))
})

describe("the maxAge of an owner", () => {
  const slow = { maxAge: "2 minutes", heartbeat: "40 seconds" } as const

  test("counts for observers with a shorter one, which list it and emit no Down", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const owner = yield* startProcess(store, slow)
      const observer = yield* startProcess(store, defaults)
      const events = yield* watched(observer)
      yield* owner.enter(named("orders", "one"))
      const look = Effect.andThen(TestClock.adjust("13 seconds"), listed(observer))
      assert.deepStrictEqual(yield* Effect.forEach(numbers(20), () => look), numbers(20).map(() => ["one"]))
      assert.deepStrictEqual(events.events.toSorted(), ["ready", "up orders/one"])
      assert.deepStrictEqual((yield* observer.registry.cleanup()).removed, [])
    }))

  test("of 1 ms counts as 200 ms, and an instance that expires as soon as it is received is Up, then Down", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(defaults)
      yield* a.registry.heartbeat(named("orders", "one"))
      const events = yield* watched(b)
      yield* until(events.all, contains("up orders/one"))
      yield* b.link.lag(Effect.sleep("200 millis"))
      yield* Effect.forEach(
        numbers(5),
        (index) =>
          Effect.flatMap(fieldsOf(store, key), (fields) =>
            store.put(
              keyOf("orders", `m${index}`),
              bytes(JSON.stringify({ ...fields, instanceId: `m${index}`, maxAge: 1 }))
            ))
      )
      yield* again(100, TestClock.adjust("20 millis"))
      for (const index of numbers(5)) {
        const own = events.events.filter((event) => event.includes(`/m${index}`))
        assert.deepStrictEqual(own.map((event) => event.split(" ")[0]), own.length === 0 ? [] : ["up", "down"])
      }
      assert.isTrue(events.events.some((event) => event.includes("/m0")))
    }))

  test("that is short does not make an observer with a longer one announce Down, while the store is frozen", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const brisk = { maxAge: "2 seconds", heartbeat: "500 millis" } as const
      const owners = yield* Effect.forEach(numbers(2), () => startProcess(store, brisk))
      const observer = yield* startProcess(store, defaults)
      const events = yield* watched(observer)
      for (const [index, owner] of owners.entries()) yield* owner.enter(named("orders", `i${index}`))
      yield* until(events.all, contains("up orders/i1"))
      yield* TestClock.adjust("1 second")
      // The server is frozen: nothing is answered, and nobody knows it yet.
      for (const { link } of [...owners, observer]) yield* link.set(silent)
      yield* again(60, TestClock.adjust("100 millis"))
      assert.deepStrictEqual(events.events.filter((event) => event.startsWith("down")), [])
    }))

  test("counts for its expiry, too", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const owner = yield* startProcess(store, slow)
      const observer = yield* startProcess(store, defaults)
      const events = yield* watched(observer)
      yield* owner.enter(named("orders", "one"))
      yield* owner.link.set(away)
      yield* TestClock.adjust("119 seconds")
      assert.deepStrictEqual(yield* listed(observer), ["one"])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* listed(observer), [])
      yield* until(events.all, contains("down orders/one expired"))
    }))

  test("counts up to 10 times that of the observer, and not against the maxAge of a read", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const owner = yield* startProcess(store, { maxAge: "10 minutes", heartbeat: "4 minutes" })
      const observer = yield* startProcess(store, defaults)
      yield* owner.enter(named("orders", "one"))
      yield* owner.link.set(away)
      yield* TestClock.adjust("299 seconds")
      assert.deepStrictEqual(yield* listed(observer), ["one"])
      assert.deepStrictEqual(yield* listed(observer, "orders", { maxAge: "1 minute" }), [])
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* listed(observer), [])
    }))

  test("counts for a process that waits for its id", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const owner = yield* startProcess(store, slow)
      yield* owner.enter(named("orders", "one"))
      yield* owner.link.set(away)
      const next = yield* startProcess(store, defaults)
      const registered = yield* Effect.forkChild(next.enter(named("orders", "one")))
      yield* TestClock.adjust("119 seconds")
      assert.isUndefined(registered.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      assert.isDefined(registered.pollUnsafe())
    }))
})

describe("after an outage of the store that was longer than maxAge", () => {
  /** Five owners, of which one has died in the outage and two have sent a heartbeat since. */
  const returned = Effect.gen(function*() {
    const store = yield* openBucket()
    const owners = yield* Effect.forEach(numbers(5), () => startProcess(store, defaults))
    for (const [index, owner] of owners.entries()) yield* owner.enter(named("orders", `i${index}`))
    yield* TestClock.adjust("2 minutes")
    for (const { link } of owners) yield* link.set(away)
    yield* TestClock.adjust("45 seconds")
    for (const { link } of owners.slice(0, 2)) yield* link.set(undefined)
    const before = owners.slice(0, 2).map(({ link }) => link.landed.length)
    yield* until(
      Effect.sync(() => owners.slice(0, 2).every(({ link }, index) => link.landed.length > before[index]!)),
      (all) => all
    )
    return { store, owners }
  })

  test("a process that has just started lists and watches all that were live before", () =>
    Effect.gen(function*() {
      const { store } = yield* returned
      const fresh = yield* startProcess(store, defaults)
      const all = ["i0", "i1", "i2", "i3", "i4"]
      assert.deepStrictEqual(yield* listed(fresh), all)
      assert.deepStrictEqual(idsOf((yield* fresh.registry.listAll()).get("orders") ?? []), all)
      assert.isTrue(Option.isSome(yield* fresh.registry.get("orders", "i4")))
      const events = yield* watched(fresh)
      yield* until(events.all, contains("ready"))
      assert.deepStrictEqual(events.events.toSorted(), ["ready", ...all.map((id) => `up orders/${id}`)])
      assert.deepStrictEqual((yield* fresh.registry.cleanup({ maxRemovalRatio: 1 })).removed, [])
      assert.deepStrictEqual(yield* listed(fresh, "orders", { maxAge: "30 seconds" }), ["i0", "i1"])
    }))

  test("the dead are gone maxAge later", () =>
    Effect.gen(function*() {
      const { owners, store } = yield* returned
      for (const { link } of owners.slice(2, 4)) yield* link.set(undefined)
      const fresh = yield* startProcess(store, defaults)
      const events = yield* watched(fresh)
      yield* TestClock.adjust("31 seconds")
      assert.deepStrictEqual(yield* listed(fresh), ["i0", "i1", "i2", "i3"])
      assert.include(events.events, "down orders/i4 expired")
      assert.isTrue(Option.isNone(yield* fresh.registry.get("orders", "i4")))
    }))

  test("an instance that was expired before the outage stays so", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const [dead, ...owners] = yield* Effect.forEach(numbers(4), () => startProcess(store, defaults))
      yield* dead!.enter(named("orders", "dead"))
      for (const [index, owner] of owners.entries()) yield* owner.enter(named("orders", `i${index}`))
      yield* dead!.link.set(on(["put", "delete"], away))
      yield* TestClock.adjust("2 minutes")
      for (const { link } of owners) yield* link.set(away)
      yield* TestClock.adjust("45 seconds")
      for (const { link } of owners) yield* link.set(undefined)
      const fresh = yield* startProcess(store, defaults)
      yield* until(listed(fresh), (all) => all.length === 3)
      assert.isTrue(Option.isNone(yield* fresh.registry.get("orders", "dead")))
    }))

  test("a rolling restart after crashes keeps no dead instance", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const before = yield* Effect.forEach(numbers(3), () => startProcess(store, defaults))
      for (const [index, owner] of before.entries()) yield* owner.enter(named("orders", `old${index}`))
      yield* TestClock.adjust("2 minutes")
      for (const { link } of before) yield* link.set(on(["put", "delete"], away))
      const after = yield* Effect.forEach(numbers(3), () => startProcess(store, defaults))
      for (const [index, owner] of after.entries()) yield* owner.enter(named("orders", `new${index}`))
      const fresh = yield* startProcess(store, defaults)
      yield* TestClock.adjust("31 seconds")
      assert.deepStrictEqual(yield* listed(fresh), ["new0", "new1", "new2"])
    }))
})
