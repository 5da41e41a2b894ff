/** The cleanup of a process with a view, after an outage, and on a leader, in virtual time. */
import { assert, describe } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"
import { bytes } from "../../tools/values.ts"
import { after, away, countOf, on } from "../support/links.ts"
import { logged, numbers } from "../support/suite.ts"
import { contains } from "./suite/fixture.ts"
import { defaults, key, test, until } from "./suite/inMemory.ts"
import {
  keyOf,
  lastOf,
  listed,
  named,
  openBucket,
  startProcess,
  underneath,
  watched,
  world
} from "./suite/processes.ts"

/** A cleaner with a view of three instances, of which one has died, and a value that does not decode. */
const watching = Effect.gen(function*() {
  const [store, owner, cleaner] = yield* world(defaults)
  const dying = yield* startProcess(store, defaults)
  for (const id of ["two", "three"]) yield* owner.enter(named("orders", id))
  yield* dying.enter(named("orders", "one"))
  yield* store.put(keyOf("orders", "bad"), bytes("nonsense"))
  const events = yield* watched(cleaner)
  yield* dying.link.set(on(["put", "delete"], away))
  yield* until(events.all, contains("down orders/one expired"), Duration.minutes(1))
  yield* TestClock.adjust("5 seconds")
  return { store, owner, cleaner, dying }
})

describe("a cleanup of a process with a view", () => {
  test("judges by the view, and reads no record", () =>
    Effect.gen(function*() {
      const { cleaner, store } = yield* watching
      const report = yield* cleaner.registry.cleanup()
      assert.strictEqual(report.scanned, 4)
      assert.deepStrictEqual(report.removed.map(({ instance }) => instance).toSorted(), ["orders/bad", "orders/one"])
      assert.deepStrictEqual(report.undecodable, ["orders/bad"])
      assert.match(
        report.removed.find(({ instance }) => instance === "orders/one")!.reason,
        /^expired: no heartbeat for 3\d/
      )
      assert.strictEqual(countOf(cleaner.link, "entries"), 0)
      assert.strictEqual(yield* lastOf(store, key), "purge")
      assert.deepStrictEqual((yield* cleaner.registry.cleanup()).removed, [])
    }))

  test("keeps an instance that has sent a heartbeat meanwhile", () =>
    Effect.gen(function*() {
      const { cleaner, store } = yield* watching
      // The heartbeat of another writer: the record as it is, stored anew.
      const returns = underneath(store, key, { color: "red" })
      yield* cleaner.link.set((call, run) => call.key === key ? after(returns)(call, run) : run)
      const { conflicts, removed } = yield* cleaner.registry.cleanup()
      assert.deepStrictEqual([conflicts, removed.map(({ instance }) => instance)], [1, ["orders/bad"]])
      assert.include(yield* listed(cleaner), "one")
    }))

  test("reads the records for a maxAge of its own, and while the view may not judge", () =>
    Effect.gen(function*() {
      const { cleaner } = yield* watching
      assert.strictEqual((yield* cleaner.registry.cleanup({ maxAge: "1 hour" })).removed.length, 0)
      assert.strictEqual(countOf(cleaner.link, "entries"), 1)
      yield* cleaner.link.cut
      yield* TestClock.adjust("5 seconds")
      yield* cleaner.link.heal
      yield* cleaner.registry.cleanup({ dryRun: true })
      assert.strictEqual(countOf(cleaner.link, "entries"), 2)
    }))
})

describe("a cleanup with confirm", () => {
  test("needs both looks in one connected time", () =>
    Effect.gen(function*() {
      const [store, owner, cleaner] = yield* world(defaults)
      yield* owner.registry.heartbeat(named("orders", "one"))
      yield* TestClock.adjust("31 seconds")
      const confirmed = Effect.map(cleaner.registry.cleanup({ confirm: true }), ({ removed }) => removed.length)
      assert.strictEqual(yield* confirmed, 0)
      yield* cleaner.link.cut
      yield* TestClock.adjust("20 seconds")
      yield* cleaner.link.heal
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* confirmed, 0)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* confirmed, 1)
      assert.strictEqual(yield* lastOf(store, key), "purge")
    }))
})

describe("self-preservation", () => {
  test("ends after 10 times maxAge: the instances are dead", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      for (const index of numbers(12)) yield* process.registry.heartbeat(named("orders", `i${index}`))
      yield* TestClock.adjust("31 seconds")
      const preserved = Effect.map(process.registry.cleanup(), ({ preserved }) => preserved)
      assert.deepStrictEqual(yield* preserved, ["orders"])
      yield* TestClock.adjust("299 seconds")
      assert.deepStrictEqual(yield* preserved, ["orders"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* preserved, [])
      assert.deepStrictEqual(yield* store.keys(), [])
    }))
})

describe("layerCleanupOnLeader", () => {
  /** Two processes with the layer, on one bucket. */
  const fleet = Effect.gen(function*() {
    const store = yield* openBucket()
    const cleaners = yield* Effect.forEach(numbers(2), () => startProcess(store, defaults))
    const elections = Context.get(
      yield* Layer.build(Election.layer().pipe(Layer.provide(KVStore.layerMemory({ bucket: "elections" })))),
      Election.Election
    )
    for (const { registry } of cleaners) {
      yield* Registry.layerCleanupOnLeader("cleanup", { schedule: "20 seconds" }).pipe(
        Layer.provide(Layer.mergeAll(
          Layer.succeed(Registry.Registry, registry),
          Layer.succeed(Election.Election, elections)
        )),
        Layer.build
      )
    }
    return { store, cleaners }
  })

  test("cleans up in one process", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const { cleaners, store } = yield* fleet
        const owner = yield* startProcess(store, defaults)
        yield* owner.registry.heartbeat(named("orders", "one"))
        yield* until(lastOf(store, key), (last) => last === "purge", Duration.minutes(2))
        const runs = cleaners.map(({ link }) => countOf(link, "entries") > 0)
        assert.deepStrictEqual(runs.toSorted(), [false, true])
      }).pipe(Effect.scoped, Effect.provide(log.layer))
      assert.include(log.lines.map((line) => line.replace(/for .*/, "")).join("\n"), "cleaned up orders/one: expired")
    }))

  test("refuses options and names when it is built", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const build = (election: string, options: unknown) =>
        Registry.layerCleanupOnLeader(election, options as Registry.CleanupLayerOptions).pipe(
          Layer.provide(Layer.succeed(Registry.Registry, process.registry)),
          Layer.provide(Election.layer().pipe(Layer.provide(KVStore.layerMemory({ bucket: "elections" })))),
          Layer.build,
          Effect.flip
        )
      assert.include((yield* build("cleanup", { schedule: "soon" })).message, "schedule")
      assert.include((yield* build("cleanup", { atMost: 1 })).message, "no option \"atMost\"")
      assert.include((yield* build("", {})).message, "election")
      assert.deepStrictEqual(process.link.calls, [])
    }))
})
