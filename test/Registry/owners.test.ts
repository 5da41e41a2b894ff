/** Owners on slow links and in outages, in virtual time: slowness costs freshness, not life, and they are told why. */
import { assert, describe } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Registry from "../../src/Registry.ts"
import { answerLost, away, denied, type Fault, on, times } from "../support/links.ts"
import { logged, numbers, record } from "../support/suite.ts"
import { again, defaults, key, test, until } from "./suite/inMemory.ts"
import {
  entryOf,
  listed,
  named,
  openBucket,
  startProcess,
  tagsOf,
  underneath,
  watched,
  world
} from "./suite/processes.ts"

/** Each request takes this long on its way, and the answer as long. */
const slow = (oneWay: Duration.Input): Fault => (_, run) =>
  Effect.sleep(oneWay).pipe(Effect.andThen(run), Effect.tap(() => Effect.sleep(oneWay)))

describe("an owner with a slow link stays listed", () => {
  const brisk = { maxAge: "3 seconds", heartbeat: "1 second" } as const
  const cases: ReadonlyArray<
    readonly [what: string, oneWay: Duration.Input, times: Registry.Options, isAlwaysVisible?: false]
  > = [
    ["round trips of 2.2 s, by default", "1.1 seconds", defaults],
    ["round trips of 4.8 s, by default", "2.4 seconds", defaults],
    ["round trips of 0.7 s, with a heartbeat of 1 s", "350 millis", brisk],
    ["round trips of 1.4 s, with a heartbeat of 1 s", "700 millis", brisk, false]
  ]
  for (const [what, oneWay, options, isAlwaysVisible = true] of cases) {
    test(what, () =>
      Effect.gen(function*() {
        const [, owner, observer] = yield* world(options)
        const events = yield* watched(observer)
        const { visibility, whyLost } = yield* owner.enter(named("orders", "one"))
        const told = yield* record(tagsOf(visibility))
        yield* TestClock.adjust("1 minute")
        yield* owner.link.set(slow(oneWay))
        const look = Effect.andThen(TestClock.adjust("250 millis"), listed(observer))
        for (const ids of yield* Effect.forEach(numbers(400), () => look)) assert.deepStrictEqual(ids, ["one"])
        assert.deepStrictEqual(events.events.filter((event) => event.startsWith("down")), [])
        // With round trips of almost maxAge/2 an owner learns of its last heartbeat only when that is almost maxAge old.
        if (isAlwaysVisible) assert.deepStrictEqual(told.events, ["Visible"])
        assert.isUndefined(yield* whyLost)
      }))
  }

  test("although every answer of a write is lost, with round trips of 1.4 s", () =>
    Effect.gen(function*() {
      const [, owner, observer] = yield* world(defaults)
      const { whyLost } = yield* owner.enter(named("orders", "one"))
      yield* owner.link.set((call, run) =>
        slow("700 millis")(call, call.operation === "put" ? answerLost(call, run) : run)
      )
      const look = Effect.andThen(TestClock.adjust("5 seconds"), listed(observer))
      for (const ids of yield* Effect.forEach(numbers(60), () => look)) assert.deepStrictEqual(ids, ["one"])
      assert.isUndefined(yield* whyLost)
    }))
  test("and is not taken for one that returns from an outage", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const brisk = { maxAge: "2 seconds", heartbeat: "500 millis" } as const
      const slowOwners = yield* Effect.forEach(numbers(3), () => startProcess(store, brisk))
      for (const [index, owner] of slowOwners.entries()) yield* owner.enter(named("orders", `slow${index}`))
      const dying = yield* startProcess(store, brisk)
      yield* dying.enter(named("orders", "dying"))
      for (const { link } of slowOwners) yield* link.set(slow("450 millis"))
      yield* TestClock.adjust("10 seconds")
      yield* dying.link.set(away)
      yield* TestClock.adjust("2500 millis")
      const fresh = yield* startProcess(store, brisk)
      assert.deepStrictEqual(yield* listed(fresh), ["slow0", "slow1", "slow2"])
    }))
})

describe("an owner", () => {
  test("reads again if the answer is older than its own last write", () =>
    Effect.gen(function*() {
      const [store, owner] = yield* world(defaults)
      const { update, whyLost } = yield* owner.enter(named("orders", "one"))
      const old = yield* store.history(key)
      yield* update((current) => ({ ...current, status: "STANDBY" }))
      yield* underneath(store, key, { color: "red" })
      // A copy that lags behind answers twice.
      let stale = 2
      const lagging: Fault = (call, run) =>
        call.operation === "history" && stale-- > 0 ? Effect.as(run, old as never) : run
      yield* owner.link.set(lagging)
      yield* TestClock.adjust("15 seconds")
      assert.isUndefined(yield* whyLost)
      const text = new TextDecoder().decode((yield* entryOf(store, key)).value)
      assert.include(text, "\"color\":\"red\"")
      assert.include(text, "STANDBY")
      assert.isBelow(stale, 1)
    }))

  test("is told since when it is invisible, and why", () =>
    Effect.gen(function*() {
      const [, owner] = yield* world(defaults)
      const { visibility } = yield* owner.enter(named("orders", "one"))
      const told = yield* record(visibility)
      yield* owner.link.set(away)
      yield* TestClock.adjust("1 minute")
      const invisible = told.events.at(-1)
      assert(invisible?._tag === "Invisible")
      assert.strictEqual(DateTime.toEpochMillis(invisible.since), 30_000)
      const reason = Option.getOrThrow(invisible.reason)
      assert.strictEqual(reason._tag, "KVStoreError")
      assert.include(reason.message, "disconnected")
    }))

  test("is told the present reason if it changes while the instance is invisible, and since when as before", () => {
    const log = logged()
    return Effect.gen(function*() {
      const [, owner] = yield* world(defaults)
      const { visibility } = yield* owner.enter(named("orders", "one"))
      const told = yield* record(visibility)
      yield* owner.link.set(away)
      yield* TestClock.adjust("1 minute")
      yield* owner.link.set(denied)
      yield* TestClock.adjust("1 minute")
      yield* owner.link.set(undefined)
      yield* TestClock.adjust("10 seconds")
      const shown = told.events.map((event) => {
        if (event._tag === "Visible") return "Visible"
        const reason = Option.getOrThrow(event.reason)
        return [DateTime.toEpochMillis(event.since), reason._tag === "KVStoreError" ? reason.reason._tag : reason._tag]
      })
      const expected = ["Visible", [30_000, "Unavailable"], [30_000, "PermissionDenied"], "Visible"]
      assert.deepStrictEqual(shown, expected)
      assert.lengthOf(log.troubles().filter((line) => line.includes("may consider this instance expired")), 1)
      assert.lengthOf(log.troubles().filter((line) => line.includes("faulty")), 1)
    }).pipe(Effect.scoped, Effect.provide(log.layer))
  })

  test("that was invisible is told of a duplicate as soon as it finds it", () =>
    Effect.gen(function*() {
      const [, owner, other] = yield* world(defaults)
      const { visibility } = yield* owner.enter(named("orders", "one"))
      const told = yield* record(visibility)
      yield* owner.link.set(away)
      yield* TestClock.adjust("1 minute")
      yield* other.enter(named("orders", "one"))
      yield* owner.link.set(undefined)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(
        told.events.map((event) => event._tag === "Visible" ? "Visible" : Option.getOrThrow(event.reason)._tag),
        ["Visible", "KVStoreError", "DuplicateInstance"]
      )
    }))

  test("is told that its writes are not answered", () =>
    Effect.gen(function*() {
      const [, owner] = yield* world(defaults)
      const { visibility } = yield* owner.enter(named("orders", "one"))
      const told = yield* record(visibility)
      yield* owner.link.set(on("put", () => Effect.never))
      yield* TestClock.adjust("1 minute")
      const invisible = told.events.at(-1)
      assert(invisible?._tag === "Invisible")
      assert.include(Option.getOrThrow(invisible.reason).message, "no answer within")
    }))

  test("that waits for its id lets a draining predecessor leave", () =>
    Effect.gen(function*() {
      const [, owner, next] = yield* world(defaults)
      const { drain } = yield* owner.enter(named("orders", "one"))
      yield* Effect.forkChild(drain(Effect.never, { timeout: "45 seconds" }))
      yield* TestClock.adjust("1 second")
      const waiting = yield* Effect.forkChild(Effect.exit(next.enter(named("orders", "one"))))
      yield* TestClock.adjust("30 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* TestClock.adjust("20 seconds")
      const exit = waiting.pollUnsafe()
      assert.isTrue(exit !== undefined && Exit.isSuccess(exit) && Exit.isSuccess(exit.value))
      assert.deepStrictEqual(yield* listed(next), ["one"])
    }))

  test("writes soon after its store is back, also during the longest pause between its attempts", () =>
    Effect.gen(function*() {
      const [, owner] = yield* world(defaults)
      yield* owner.enter(named("orders", "one"))
      yield* owner.link.cut
      yield* owner.link.set(away)
      yield* TestClock.adjust("2 minutes")
      const before = owner.link.landed.length
      yield* again(
        5,
        Effect.gen(function*() {
          // Attempts are 1.6 to 2.4 s apart now.
          yield* TestClock.adjust("100 millis")
          yield* owner.link.set(undefined)
          yield* owner.link.heal
          yield* TestClock.adjust("300 millis")
          assert.isAbove(owner.link.landed.length, before)
          yield* owner.link.cut
          yield* owner.link.set(away)
          yield* TestClock.adjust("1 minute")
        })
      )
    }))

  test("retries 3 times a second with a maxAge of 3 s", () =>
    Effect.gen(function*() {
      const [, owner] = yield* world({ maxAge: "3 seconds", heartbeat: "700 millis" })
      yield* owner.enter(named("orders", "one"))
      yield* owner.link.set(away)
      yield* TestClock.adjust("10 seconds")
      const before = owner.link.calls.length
      yield* TestClock.adjust("10 seconds")
      assert.isAtLeast(owner.link.calls.length - before, 25)
    }))

  test("started at the same time as others does not write at the same times", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const owners = yield* Effect.forEach(numbers(20), () => startProcess(store, defaults))
      for (const [index, owner] of owners.entries()) yield* owner.enter(named("orders", `i${index}`))
      yield* TestClock.adjust("12 seconds")
      const second = owners.map(({ link }) => Math.round(link.landed[1]!.sentAt))
      assert.isAbove(new Set(second).size, 15)
      for (const at of second) {
        assert.isAtLeast(at, 9000)
        assert.isAtMost(at, 10_000)
      }
    }))

  test("keeps its id in an outage, although a process waits for it", () =>
    Effect.gen(function*() {
      const [, owner, next] = yield* world(defaults)
      const { whyLost } = yield* owner.enter(named("orders", "one"))
      yield* TestClock.adjust("1 minute")
      yield* owner.link.set(on("put", away))
      const waiting = yield* Effect.forkChild(Effect.exit(next.enter(named("orders", "one"))))
      yield* TestClock.adjust("10 seconds")
      yield* next.link.cut
      yield* TestClock.adjust("1 minute")
      yield* next.link.heal
      yield* TestClock.adjust("12 seconds")
      assert.isUndefined(waiting.pollUnsafe())
      yield* owner.link.set(undefined)
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(waiting.pollUnsafe())
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(next), ["one"])
    }))

  test("that is dead loses its id to the process that waits, soon after the outage", () =>
    Effect.gen(function*() {
      const [, owner, next] = yield* world(defaults)
      yield* owner.enter(named("orders", "one"))
      yield* owner.link.set(away)
      const waiting = yield* Effect.forkChild(Effect.exit(next.enter(named("orders", "one"))))
      yield* TestClock.adjust("10 seconds")
      yield* next.link.cut
      yield* TestClock.adjust("1 minute")
      yield* next.link.heal
      yield* TestClock.adjust("21 seconds")
      const exit = waiting.pollUnsafe()
      assert.isTrue(exit !== undefined && Exit.isSuccess(exit) && Exit.isSuccess(exit.value))
    }))

  test("is told of a duplicate once, and by its visibility", () =>
    Effect.gen(function*() {
      const [, owner, other] = yield* world(defaults)
      const { visibility, whyLost } = yield* owner.enter(named("orders", "one"))
      const told = yield* record(visibility)
      yield* other.enter(named("orders", "one"), { onDuplicate: "replace" })
      yield* until(whyLost, (why) => why === "DuplicateInstance")
      yield* owner.link.set(times(0, "put", away))
      yield* TestClock.adjust("1 minute")
      const invisible = told.events.at(-1)
      assert(invisible?._tag === "Invisible")
      assert.strictEqual(Option.getOrThrow(invisible.reason)._tag, "DuplicateInstance")
    }))
})

describe("the registrations of a scope that closes", () => {
  test("leave at once: hundreds on a slow link take no longer than one", () =>
    Effect.gen(function*() {
      const [store, owner] = yield* world(defaults)
      const scope = yield* Scope.make()
      yield* Effect.forEach(
        numbers(100),
        (index) => owner.registry.register(named("orders", `i${index}`)),
        { concurrency: "unbounded" }
      ).pipe(Scope.provide(scope))
      yield* owner.link.set(slow("100 millis"))
      const closed = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* again(50, TestClock.adjust("10 millis"))
      assert.isDefined(closed.pollUnsafe())
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  test("drain one after the other, and the work of each is waited for", () =>
    Effect.gen(function*() {
      const [store, owner, other] = yield* world(defaults)
      const scope = yield* Scope.make()
      const done: Array<string> = []
      yield* Effect.forEach(["one", "two"], (id) =>
        Effect.flatMap(owner.registry.register(named("orders", id)), ({ drain }) =>
          Effect.addFinalizer(() =>
            Effect.orDie(drain(
              Effect.andThen(
                Effect.sleep("5 seconds"),
                Effect.sync(() =>
                  done.push(id)
                )
              ),
              { timeout: "10 seconds" }
            ))
          ))).pipe(Scope.provide(scope))
      const closed = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(done, ["two"])
      assert.deepStrictEqual(yield* listed(other), ["one"])
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(done, ["two", "one"])
      assert.isDefined(closed.pollUnsafe())
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  test("and one that ends alone leaves the others", () =>
    Effect.gen(function*() {
      const [, owner, other] = yield* world(defaults)
      yield* owner.enter(named("orders", "one"))
      yield* Effect.scoped(owner.registry.register(named("orders", "two")))
      assert.deepStrictEqual(yield* listed(other), ["one"])
    }))

  test("are in the status once each, also if one was lost and registered again", () =>
    Effect.gen(function*() {
      const [, owner, other] = yield* world(defaults)
      const { whyLost } = yield* owner.enter(named("orders", "one"))
      yield* other.registry.deregister({ serviceName: "orders", instanceId: "one" })
      yield* until(whyLost, (why) => why === "Deregistered")
      assert.deepStrictEqual((yield* owner.registry.status).map(({ isRegistered }) => isRegistered), [false])
      yield* owner.enter(named("orders", "one"))
      assert.deepStrictEqual((yield* owner.registry.status).map(({ isRegistered }) => isRegistered), [true])
    }))
})
