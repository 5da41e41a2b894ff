/** A registry that reads the records of AegisSDK for Python beside those of this library, in virtual time. */
import { assert, describe } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import type * as Registry from "../../src/Registry.ts"
import { bytes } from "../../tools/values.ts"
import { legacyKey, putLegacy } from "../support/legacyRecord.ts"
import { after, away, countOf, type Fault, on, times } from "../support/links.ts"
import { logged, numbers, reasonOf, record, type Store } from "../support/suite.ts"
import { contains } from "./suite/fixture.ts"
import { again, defaults, finish, key, test, until } from "./suite/inMemory.ts"
import {
  idsOf,
  keyOf,
  lastOf,
  listed,
  named,
  openBucket,
  type Process,
  sendHeartbeat,
  startProcess,
  underneath,
  watched,
  world
} from "./suite/processes.ts"

const both = { ...defaults, readLegacyKeys: true } as const
const one = { serviceName: "orders", instanceId: "one" }
const legacy = legacyKey("orders", "one")

/** A process of AegisSDK: it writes its record at once, and every 10 seconds. Returns how to stop it. */
const python = (store: Store, serviceName: string, instanceId: string, fields: object = {}) =>
  Effect.gen(function*() {
    yield* putLegacy(store, serviceName, instanceId, fields)
    const loop = Effect.repeat(
      putLegacy(store, serviceName, instanceId, fields),
      Schedule.spaced("10 seconds")
    )
    const fiber = yield* Effect.forkScoped(Effect.delay(loop, "10 seconds"))
    return { kill: Fiber.interrupt(fiber) }
  })

/** Stops the heartbeats of a process, and keeps it running. */
const hang = ({ link }: Process) => link.set(on(["put", "delete"], away))

/** The events of a watch that has received its snapshot. */
const following = Effect.fnUntraced(function*(process: Process, serviceName?: string) {
  const events = yield* watched(process, serviceName)
  yield* until(events.all, contains("ready"))
  return events
})

const versionsOf = (process: Process, options?: Registry.ReadOptions) =>
  Effect.map(process.registry.list("orders", options), (all) => all.map(({ version }) => version))

describe("a registry without readLegacyKeys", () => {
  test("neither reads nor watches keys of AegisSDK", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(defaults)
      yield* python(store, "orders", "py")
      yield* a.enter(named("orders", "one"))
      const events = yield* following(b)
      assert.deepStrictEqual(yield* listed(b), ["one"])
      assert.isTrue(Option.isNone(yield* b.registry.get("orders", "py")))
      assert.isFalse(yield* b.registry.deregister({ serviceName: "orders", instanceId: "py" }))
      yield* b.registry.listAll()
      assert.deepStrictEqual(events.events, ["up orders/one", "ready"])
      assert.deepStrictEqual(
        b.link.calls.filter(({ operation }) => operation === "entries" || operation === "watch").map(({ key }) => key),
        ["service-instances.*.*", "service-instances.orders.*", "service-instances.*.*"]
      )
      assert.deepStrictEqual(b.link.calls.filter(({ key }) => key.includes("__")), [])
      assert.strictEqual(countOf(b.link, "get"), 2)
      assert.deepStrictEqual(a.link.calls.filter(({ key }) => key.includes("__")), [])
    }))
})

describe("reads of both keys", () => {
  test("list and get the instances of both, in one request for a list", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(both)
      yield* a.enter(named("orders", "one"))
      yield* python(store, "orders", "py", { status: "STANDBY", metadata: { zone: "a" }, stickyActiveGroup: "eu" })
      yield* python(store, "mail", "py")
      assert.deepStrictEqual(yield* listed(b), ["one", "py"])
      assert.strictEqual(countOf(b.link, "entries"), 1)
      const all = yield* b.registry.listAll()
      assert.deepStrictEqual(Array.from(all, ([name, of]) => [name, ...idsOf(of)]).toSorted(), [
        ["mail", "py"],
        ["orders", "one", "py"]
      ])
      const { group, metadata, startedAt, status } = Option.getOrThrow(yield* b.registry.get("orders", "py"))
      assert.deepStrictEqual([status, group, metadata, startedAt], ["STANDBY", "eu", { zone: "a" }, undefined])
    }))

  test("leave an expired instance out by the time at which the store stored its record, whatever the record says", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(both)
      yield* TestClock.adjust("1 hour")
      yield* putLegacy(store, "orders", "py", { lastHeartbeat: "2001-01-01T00:00:00" })
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* listed(a), ["py"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* listed(a), [])
      assert.isTrue(Option.isNone(yield* a.registry.get("orders", "py")))
      assert.deepStrictEqual(yield* listed(a, "orders", { includeExpired: true }), ["py"])
      assert.isTrue(Option.isSome(yield* a.registry.get("orders", "py", { includeExpired: true })))
      assert.deepStrictEqual(yield* listed(a, "orders", { maxAge: "1 minute" }), ["py"])
    }))

  test("compare the time in the record with the local clock, if that measures ages", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world({ ...both, clock: "local" })
      yield* TestClock.setTime(DateTime.makeUnsafe("2026-11-01T12:00:20Z").epochMilliseconds)
      yield* putLegacy(store, "orders", "naive", { lastHeartbeat: "2026-11-01T12:00:00.123456" })
      yield* putLegacy(store, "orders", "offset", { lastHeartbeat: "2026-11-01T14:00:00+02:00" })
      yield* putLegacy(store, "orders", "stale", { lastHeartbeat: "2026-11-01T12:00:00+02:00" })
      yield* putLegacy(store, "orders", "none", { lastHeartbeat: undefined })
      assert.deepStrictEqual(yield* listed(a), ["naive", "none", "offset"])
    }))

  test("ignore other keys of one token, and log a record that does not decode once", () => {
    const { layer, troubles } = logged()
    return Effect.gen(function*() {
      const [store, a] = yield* world(both)
      yield* python(store, "orders", "py")
      for (const other of ["sticky-active__orders__default__leader", "election_state_orders_py", "x"]) {
        yield* store.put(other, bytes("{}"))
      }
      const events = yield* following(a)
      yield* again(3, a.registry.listAll())
      assert.deepStrictEqual(troubles(), [])
      yield* store.put(legacyKey("orders", "bad"), bytes("{}"))
      yield* again(3, Effect.andThen(a.registry.listAll(), listed(a)))
      assert.deepStrictEqual(yield* listed(a), ["py"])
      yield* store.delete("sticky-active__orders__default__leader")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(events.events, ["up orders/py", "ready"])
      assert.strictEqual(troubles().length, 1, troubles().join())
      assert.match(troubles()[0]!, /the record service-instances__orders__bad does not decode/)
      assert.strictEqual((yield* reasonOf(a.registry.get("orders", "bad"), "UndecodableValue")).revision, 5)
    }).pipe(Effect.provide(layer))
  })

  test("take the names from the record, also if they contain the separator of the key", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(both)
      yield* python(store, "a", "b__c")
      assert.deepStrictEqual(yield* listed(a, "a"), ["b__c"])
      assert.deepStrictEqual(yield* listed(a, "a__b"), [])
      assert.isTrue(Option.isSome(yield* a.registry.get("a", "b__c")))
      assert.isTrue(Option.isNone(yield* a.registry.get("a__b", "c")))
      assert.isFalse(yield* a.registry.deregister({ serviceName: "a__b", instanceId: "c" }))
      assert.deepStrictEqual(yield* listed(a, "a"), ["b__c"])
    }))

  test("see two instances that have the same key of AegisSDK, one after the other", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(both)
      const events = yield* following(a)
      yield* putLegacy(store, "a", "b__c")
      yield* until(events.all, contains("up a/b__c"))
      yield* putLegacy(store, "a__b", "c")
      yield* until(events.all, contains("up a__b/c"))
      assert.deepStrictEqual(events.events, ["ready", "up a/b__c", "down a/b__c deregistered", "up a__b/c"])
      assert.deepStrictEqual([...(yield* a.registry.listAll()).keys()], ["a__b"])
    }))

  test("list an instance with two records once, by the record of this library while that is live", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(both)
      const { kill } = yield* python(store, "orders", "one", { version: "0.9.0" })
      yield* a.enter(named("orders", "one"), { onDuplicate: "replace" })
      assert.deepStrictEqual(yield* versionsOf(b), ["1.0.0"])
      assert.deepStrictEqual(yield* versionsOf(b, { includeExpired: true }), ["1.0.0"])
      const versionOf = Effect.map(b.registry.get("orders", "one"), Option.map(({ version }) => version))
      assert.deepStrictEqual(yield* versionOf, Option.some("1.0.0"))
      yield* hang(a)
      yield* TestClock.adjust("41 seconds")
      assert.deepStrictEqual(yield* versionsOf(b), ["0.9.0"])
      assert.deepStrictEqual(yield* versionsOf(b, { includeExpired: true }), ["0.9.0"])
      assert.deepStrictEqual(yield* versionOf, Option.some("0.9.0"))
      yield* kill
      yield* TestClock.adjust("41 seconds")
      assert.deepStrictEqual(yield* versionsOf(b), [])
      assert.deepStrictEqual(yield* versionsOf(b, { includeExpired: true }), ["0.9.0"])
      assert.deepStrictEqual(yield* versionOf, Option.none())
    }))

  test("get the live record if the other one does not decode, and fail if none is live", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(both)
      yield* store.put(key, bytes("nonsense"))
      yield* putLegacy(store, "orders", "one")
      assert.isTrue(Option.isSome(yield* a.registry.get("orders", "one")))
      yield* TestClock.adjust("31 seconds")
      yield* reasonOf(a.registry.get("orders", "one"), "UndecodableValue")
      yield* reasonOf(a.registry.get("orders", "one", { includeExpired: true }), "UndecodableValue")
    }))

  test("list the instances of AegisSDK, too, that were live when the bucket was lost", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(both)
      const { kill } = yield* python(store, "orders", "py")
      yield* python(store, "mail", "py")
      assert.deepStrictEqual(yield* listed(a), ["py"])
      // The view of the list has read its snapshot then.
      yield* again(20, TestClock.adjust("50 millis"))
      const lost: Fault = (call, run) =>
        call.operation === "entries" || call.operation === "history"
          ? Effect.map(run, () => [] as never)
          : call.operation === "status"
          ? Effect.map(run, (status) => Object.assign({}, status, { lastRevision: 0 }))
          : run
      yield* kill
      yield* a.link.set(lost)
      assert.deepStrictEqual(yield* listed(a), ["py"])
      assert.deepStrictEqual([...(yield* a.registry.listAll()).keys()].toSorted(), ["mail", "orders"])
      assert.deepStrictEqual(yield* listed(a, "mail__py"), [])
    }))

  test("fail while the store is away, and never list nothing instead", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(both)
      yield* python(store, "orders", "py")
      yield* a.link.set(away)
      yield* reasonOf(a.registry.list("orders"), "KVStoreError")
      yield* reasonOf(a.registry.get("orders", "py"), "KVStoreError")
      yield* reasonOf(a.registry.deregister({ serviceName: "orders", instanceId: "py" }), "KVStoreError")
    }))
})

describe("a watch of both keys", () => {
  test("emits Up, Changed and Down for an instance of AegisSDK, and nothing for its heartbeats", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(both)
      const events = yield* following(a, "orders")
      yield* python(store, "mail", "py")
      const first = yield* python(store, "orders", "py")
      yield* TestClock.adjust("1 minute")
      yield* first.kill
      const second = yield* python(store, "orders", "py", { status: "STANDBY" })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(events.events, ["ready", "up orders/py", "changed orders/py from ACTIVE to STANDBY"])
      yield* second.kill
      yield* until(events.all, contains("down orders/py expired"), Duration.minutes(1))
      yield* putLegacy(store, "orders", "py")
      yield* store.delete(legacyKey("orders", "py"))
      yield* until(events.all, contains("down orders/py deregistered"))
      assert.lengthOf(events.events, 6)
    }))

  test("never sets restarted, also if a record of this library follows one of AegisSDK", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(both)
      const events = yield* record(Stream.map(b.registry.watch("orders"), (event) =>
        event._tag === "Changed"
          ? `${event.previous.version} ${event.instance.version} ${event.restarted}`
          : event._tag))
      const { kill } = yield* python(store, "orders", "one", { version: "0.9.0", nonce: "a" })
      yield* until(events.all, contains("Ready"))
      yield* kill
      yield* putLegacy(store, "orders", "one", { version: "0.9.0", nonce: "b", status: "STANDBY" })
      yield* until(events.all, contains("0.9.0 0.9.0 false"))
      yield* a.enter(named("orders", "one"), { onDuplicate: "replace" })
      yield* until(events.all, contains("0.9.0 1.0.0 false"))
      assert.deepStrictEqual(events.events, ["Up", "Ready", "0.9.0 0.9.0 false", "0.9.0 1.0.0 false"])
    }))

  test("has one series of events for an instance that moves to this library and back", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(both)
      const events = yield* following(b)
      const { kill } = yield* python(store, "orders", "one", { status: "STANDBY" })
      yield* until(events.all, contains("up orders/one"))
      const { close } = yield* a.enter(named("orders", "one"), { onDuplicate: "replace" })
      yield* until(events.all, contains("changed orders/one from STANDBY to ACTIVE"))
      yield* kill
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* listed(b), ["one"])
      yield* python(store, "orders", "one", { status: "UNHEALTHY" })
      yield* TestClock.adjust("10 seconds")
      yield* close
      yield* until(events.all, contains("changed orders/one from ACTIVE to UNHEALTHY"))
      yield* store.delete(legacy)
      yield* until(events.all, contains("down orders/one deregistered"))
      assert.deepStrictEqual(events.events, [
        "ready",
        "up orders/one",
        "changed orders/one from STANDBY to ACTIVE",
        "changed orders/one from ACTIVE to UNHEALTHY",
        "down orders/one deregistered"
      ])
    }))

  test("returns to AegisSDK's record as soon as that of this library expires, also if that was old when it came", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world({ ...both, clock: "local" })
      yield* TestClock.adjust("1 minute")
      yield* putLegacy(store, "orders", "one", { version: "0.9.0", lastHeartbeat: "1970-01-01T00:01:00" })
      const events = yield* record(
        Stream.map(a.registry.watch("orders"), (event) => event._tag === "Ready" ? "" : event.instance.version)
      )
      yield* until(events.all, contains(""))
      const fields = { ...named("orders", "one"), status: "ACTIVE", metadata: {}, nonce: "another" }
      const old = JSON.stringify({ ...fields, lastHeartbeat: "1970-01-01T00:00:35.000Z" })
      yield* store.put(key, bytes(old))
      yield* until(events.all, contains("1.0.0"))
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(events.events, ["0.9.0", "", "1.0.0"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(events.events, ["0.9.0", "", "1.0.0", "0.9.0"])
    }))

  test("emits Up once to a new subscriber, for an instance with two records", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(both)
      yield* python(store, "orders", "one")
      yield* a.enter(named("orders", "one"), { onDuplicate: "replace" })
      const [first, second] = [yield* following(b), yield* following(b)]
      assert.deepStrictEqual([first.events, second.events], [["up orders/one", "ready"], ["up orders/one", "ready"]])
    }))

  test("logs the expiry of an instance once, and none of a record beside a live one", () => {
    const { layer, lines } = logged()
    return Effect.gen(function*() {
      const [store, a, b] = yield* world(both)
      const { kill } = yield* python(store, "orders", "one")
      const events = yield* following(b)
      yield* a.enter(named("orders", "one"), { onDuplicate: "replace" })
      yield* kill
      yield* TestClock.adjust("1 minute")
      const expiries = () => lines.filter((line) => line.includes("expired: no heartbeat of"))
      assert.deepStrictEqual(expiries(), [])
      yield* hang(a)
      yield* until(events.all, contains("down orders/one expired"), Duration.minutes(1))
      assert.lengthOf(expiries(), 1)
    }).pipe(Effect.provide(layer))
  })

  test("expires no instance of AegisSDK while the process is cut off", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(both)
      yield* python(store, "orders", "py")
      const events = yield* following(a)
      yield* a.link.cut
      yield* TestClock.adjust("2 minutes")
      yield* a.link.heal
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(events.events, ["up orders/py", "ready"])
    }))
})

describe("a cleanup of both keys", () => {
  const expired = Effect.fnUntraced(function*(isWatching: boolean) {
    const [store, a, cleaner] = yield* world(both)
    yield* a.enter(named("orders", "live"))
    yield* python(store, "orders", "py")
    yield* putLegacy(store, "orders", "one")
    yield* putLegacy(store, "a", "b__c")
    yield* store.put(legacyKey("orders", "bad"), bytes("{}"))
    yield* store.put("sticky-active__orders__default__leader", bytes("{}"))
    if (isWatching) {
      yield* following(cleaner)
    }
    yield* TestClock.adjust("32 seconds")
    return { store, cleaner }
  })

  for (const [what, isWatching] of [["with a view", true], ["without a view", false]] as const) {
    test(`removes expired records of AegisSDK, and reports their names, ${what}`, () =>
      Effect.gen(function*() {
        const { cleaner, store } = yield* expired(isWatching)
        const report = yield* cleaner.registry.cleanup()
        assert.deepStrictEqual(report.removed.map(({ instance }) => instance).toSorted(), [
          "a/b__c",
          "orders/one",
          "service-instances__orders__bad"
        ])
        assert.deepStrictEqual(report.undecodable, ["service-instances__orders__bad"])
        assert.strictEqual(report.scanned, 5)
        assert.strictEqual(countOf(cleaner.link, "entries"), isWatching ? 0 : 1)
        assert.strictEqual(yield* lastOf(store, legacy), "purge")
        assert.deepStrictEqual((yield* store.keys()).toSorted(), [
          keyOf("orders", "live"),
          legacyKey("orders", "py"),
          "sticky-active__orders__default__leader"
        ])
      }))

    test(`keeps a record of AegisSDK that is written during the run, ${what}`, () =>
      Effect.gen(function*() {
        const { cleaner, store } = yield* expired(isWatching)
        const returns = after(putLegacy(store, "orders", "one"))
        yield* cleaner.link.set((call, run) => call.key === legacy ? returns(call, run) : run)
        const { conflicts, removed } = yield* cleaner.registry.cleanup()
        assert.deepStrictEqual([conflicts, removed.length], [1, 2])
        assert.strictEqual(yield* lastOf(store, legacy), "put")
      }))
  }

  test("removes the expired record beside a live one, and the instance stays listed", () =>
    Effect.gen(function*() {
      const [store, a, cleaner] = yield* world(both)
      yield* putLegacy(store, "orders", "one")
      yield* a.enter(named("orders", "one"), { onDuplicate: "replace" })
      const events = yield* following(cleaner)
      yield* TestClock.adjust("41 seconds")
      const { removed } = yield* cleaner.registry.cleanup()
      assert.deepStrictEqual(removed.map(({ instance }) => instance), ["orders/one"])
      assert.strictEqual(yield* lastOf(store, legacy), "purge")
      assert.strictEqual(yield* lastOf(store, key), "put")
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* listed(cleaner), ["one"])
      assert.deepStrictEqual(events.events, ["up orders/one", "ready"])
    }))

  test("skips a service of which too many instances look expired, and counts records without names together", () =>
    Effect.gen(function*() {
      const [store, , cleaner] = yield* world(both)
      for (const index of numbers(10)) {
        yield* putLegacy(store, "orders", `i${index}`)
        yield* store.put(legacyKey("mail", `i${index}`), bytes("{}"))
      }
      yield* TestClock.adjust("31 seconds")
      const { preserved, removed } = yield* cleaner.registry.cleanup()
      assert.deepStrictEqual(removed, [])
      assert.deepStrictEqual(preserved.toSorted(), ["orders", "service-instances__*"])
      assert.lengthOf((yield* cleaner.registry.cleanup({ maxRemovalRatio: 1 })).removed, 20)
    }))
})

describe("deregister of an instance with two records", () => {
  const two = Effect.gen(function*() {
    const [store, a, b] = yield* world(both)
    yield* python(store, "orders", "one", { version: "0.9.0" })
    const registration = yield* a.enter(named("orders", "one"), { onDuplicate: "replace" })
    return { store, a, b, registration }
  })

  test("removes both by its names, and a watch emits one Down", () =>
    Effect.gen(function*() {
      const { b, registration, store } = yield* two
      const events = yield* following(b)
      assert.isTrue(yield* b.registry.deregister(one))
      assert.deepStrictEqual([yield* lastOf(store, key), yield* lastOf(store, legacy)], ["delete", "delete"])
      yield* until(events.all, contains("down orders/one deregistered"))
      assert.deepStrictEqual(events.events, ["up orders/one", "ready", "down orders/one deregistered"])
      yield* until(registration.whyLost, (why) => why === "Deregistered")
    }))

  test("removes the record that was read, and keeps the other one", () =>
    Effect.gen(function*() {
      const { a, b, store } = yield* two
      const [listedOne] = yield* b.registry.list("orders")
      assert.isTrue(yield* b.registry.deregister(listedOne!))
      assert.deepStrictEqual([yield* lastOf(store, key), yield* lastOf(store, legacy)], ["delete", "put"])
      const [theirs] = yield* b.registry.list("orders")
      assert.strictEqual(theirs?.version, "0.9.0")
      yield* a.registry.heartbeat(named("orders", "two"))
      assert.isTrue(yield* b.registry.deregister(theirs!))
      assert.strictEqual(yield* lastOf(store, legacy), "delete")
      assert.isFalse(yield* b.registry.deregister(theirs!))
    }))

  test("keeps an instance of AegisSDK after another heartbeat", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(both)
      yield* python(store, "orders", "py")
      const [theirs] = yield* a.registry.list("orders")
      yield* TestClock.adjust("10 seconds")
      assert.isFalse(yield* a.registry.deregister(theirs!))
      assert.deepStrictEqual(yield* listed(a), ["py"])
    }))

  test("with onlyIfExpired removes the expired one of them", () =>
    Effect.gen(function*() {
      const { b, store } = yield* two
      assert.isFalse(yield* b.registry.deregister(one, { onlyIfExpired: true }))
      yield* TestClock.adjust("9 seconds")
      yield* underneath(store, key, { color: "red" })
      yield* TestClock.adjust("500 millis")
      // The last heartbeat of AegisSDK is 9.5 seconds old, that of this library half a second.
      assert.isTrue(yield* b.registry.deregister(one, { onlyIfExpired: true, maxAge: "9 seconds" }))
      assert.deepStrictEqual([yield* lastOf(store, key), yield* lastOf(store, legacy)], ["put", "purge"])
    }))

  test("purges a record of AegisSDK that does not decode, and keeps one of another instance", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(both)
      yield* store.put(legacy, bytes("{}"))
      assert.isTrue(yield* a.registry.deregister(one))
      assert.strictEqual(yield* lastOf(store, legacy), "purge")
      yield* putLegacy(store, "a", "b__c")
      const lateWrite = after(putLegacy(store, "a__b", "c"))
      yield* a.link.set(times(1, "delete", lateWrite))
      assert.isFalse(yield* finish(a.registry.deregister({ serviceName: "a", instanceId: "b__c" })))
      assert.deepStrictEqual(yield* listed(a, "a__b"), ["c"])
    }))
})

describe("a registration beside a live record of AegisSDK", () => {
  test("fails with onDuplicate fail, and so does a heartbeat by hand", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(both)
      yield* python(store, "orders", "one")
      yield* reasonOf(a.enter(named("orders", "one"), { onDuplicate: "fail" }), "DuplicateInstance")
      yield* reasonOf(a.registry.heartbeat(named("orders", "one")), "DuplicateInstance")
      assert.strictEqual(yield* lastOf(store, key), "nothing")
      yield* sendHeartbeat(a, named("orders", "two"))
    }))

  test("waits, and fails as soon as it sends a heartbeat", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const [store, a] = yield* world(both)
      yield* python(store, "orders", "one")
      const entering = yield* Effect.forkScoped(
        Effect.flip(a.enter(named("orders", "one"))).pipe(Effect.provide(layer))
      )
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(entering.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      const { reason } = yield* Fiber.join(entering)
      assert.strictEqual(reason._tag, "DuplicateInstance")
      assert.isTrue(lines.some((line) => line.includes("orders/one has another registration")))
      assert.strictEqual(yield* lastOf(store, key), "nothing")
    }))

  for (
    const [what, end, seconds] of [
      ["its last heartbeat is older than maxAge", () => Effect.void, 30],
      ["it is removed", (store: Store) => store.delete(legacy), 1]
    ] as const
  ) {
    test(`waits, and registers once ${what}`, () =>
      Effect.gen(function*() {
        const [store, a, b] = yield* world(both)
        yield* putLegacy(store, "orders", "one", { version: "0.9.0" })
        const entering = yield* Effect.forkScoped(a.enter(named("orders", "one")))
        yield* TestClock.adjust("500 millis")
        yield* end(store)
        yield* TestClock.adjust((seconds - 1) * 1000 + 400)
        if (seconds > 1) assert.isUndefined(entering.pollUnsafe())
        yield* TestClock.adjust("1 second")
        yield* Fiber.join(entering)
        assert.deepStrictEqual(yield* versionsOf(b), ["1.0.0"])
      }))
  }

  test("registers beside it with onDuplicate replace, and leaves its record alone", () =>
    Effect.gen(function*() {
      const [store, a, b] = yield* world(both)
      yield* python(store, "orders", "one", { version: "0.9.0" })
      const { close, whyLost } = yield* a.enter(named("orders", "one"), { onDuplicate: "replace" })
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* versionsOf(b), ["1.0.0"])
      yield* close
      assert.deepStrictEqual([yield* lastOf(store, key), yield* lastOf(store, legacy)], ["delete", "put"])
      assert.deepStrictEqual(yield* versionsOf(b), ["0.9.0"])
    }))

  test("registers beside one of another instance with the same key, and over one that is expired", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(both)
      yield* python(store, "a", "b__c")
      yield* putLegacy(store, "orders", "one")
      yield* TestClock.adjust("31 seconds")
      yield* a.enter(named("a__b", "c"), { onDuplicate: "fail" })
      yield* a.enter(named("orders", "one"), { onDuplicate: "fail" })
      assert.strictEqual(yield* lastOf(store, legacy), "put")
    }))

  test("waits for a value that does not decode, as for one under its own key", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const a = yield* startProcess(store, both)
      yield* store.put(legacy, bytes("{}"))
      yield* reasonOf(a.enter(named("orders", "one"), { onDuplicate: "fail" }), "DuplicateInstance")
      yield* TestClock.adjust("31 seconds")
      yield* a.enter(named("orders", "one"), { onDuplicate: "fail" })
    }))

  test("is not read without readLegacyKeys", () =>
    Effect.gen(function*() {
      const [store, a] = yield* world(defaults)
      yield* python(store, "orders", "one")
      yield* a.enter(named("orders", "one"), { onDuplicate: "fail" })
      assert.deepStrictEqual(yield* listed(a), ["one"])
    }))
})
