/** The operation `cleanup`: which records it removes and which it keeps. */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { bytes } from "../../../tools/values.ts"

import { after, away, countOf, times } from "../../support/links.ts"
import { numbers } from "../../support/suite.ts"
import { brisk, calm, heartbeat, type Tools } from "./fixture.ts"
import { keyOf, lastOf, listed, named, type Process, sendHeartbeat, watched, world } from "./processes.ts"

export const cleaningUp = ({ finish, test, until }: Tools) => {
  /** Registers instances and waits until they have expired. */
  const expired = Effect.fnUntraced(function*(process: Process, ids: ReadonlyArray<string>, serviceName = "orders") {
    for (const id of ids) yield* sendHeartbeat(process, named(serviceName, id))
    yield* until(listed(process, serviceName), (alive) => !ids.some((id) => alive.includes(id)))
  })

  const nothing = { removed: [], conflicts: 0, failed: [], undecodable: [], preserved: [] }

  test("a cleanup of an empty bucket removes nothing", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      assert.deepStrictEqual(yield* process.registry.cleanup(), { scanned: 0, ...nothing })
    }))

  test("a cleanup removes only expired instances, and reports which and why", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      const events = yield* watched(process)
      yield* process.enter(named("orders", "live"))
      yield* expired(process, ["one"])
      yield* expired(process, ["two"], "payments")
      const report = yield* process.registry.cleanup()
      assert.strictEqual(report.scanned, 3)
      assert.deepStrictEqual(report.removed.map((one) => one.instance), ["orders/one", "payments/two"])
      for (const { reason } of report.removed) assert.match(reason, /^expired: no heartbeat for \d+(\.\d)?s$/)
      assert.deepStrictEqual({ ...report, scanned: 0, removed: [] }, { scanned: 0, ...nothing })
      assert.deepStrictEqual(yield* store.keys(), [keyOf("orders", "live")])
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "purge")
      assert.deepStrictEqual(yield* process.registry.cleanup(), { scanned: 1, ...nothing })
      assert.notInclude(events.events, "down orders/live cleanedUp")
    }))

  test("a dry run reports the expired instances and removes nothing", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* expired(process, ["one"])
      const report = yield* process.registry.cleanup({ dryRun: true })
      assert.deepStrictEqual(report.removed.map((one) => one.instance), ["orders/one"])
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "put")
      assert.strictEqual(countOf(process.link, "purge"), 0)
    }))

  test("a cleanup can have its own maxAge", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(brisk)
      yield* expired(process, ["one"])
      assert.deepStrictEqual((yield* process.registry.cleanup({ maxAge: "1 hour" })).removed, [])
      // Live by the maxAge of the layer, expired by this one.
      const own = Duration.times(heartbeat, 2)
      yield* sendHeartbeat(process, named("payments", "two"))
      yield* until(listed(process, "payments", { maxAge: own }), (ids) => ids.length === 0)
      assert.deepStrictEqual(yield* listed(process, "payments"), ["two"])
      assert.strictEqual((yield* process.registry.cleanup({ maxAge: own })).removed.length, 2)
    }))

  test("an instance that sends a heartbeat between the read and the removal is kept and counted as a conflict", () =>
    Effect.gen(function*() {
      const [, backend, cleanup] = yield* world(brisk)
      yield* expired(backend, ["one", "two"])
      const heartbeatSent = sendHeartbeat(backend, named("orders", "one"))
      yield* cleanup.link.set((call, run) =>
        call.operation === "purge" && call.key === keyOf("orders", "one") ? after(heartbeatSent)(call, run) : run
      )
      const report = yield* finish(cleanup.registry.cleanup())
      assert.strictEqual(report.conflicts, 1)
      assert.deepStrictEqual(report.removed.map((one) => one.instance), ["orders/two"])
      assert.deepStrictEqual(yield* listed(cleanup), ["one"])
    }))

  test("a record that does not decode is reported, and removed once it is expired", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      const key = keyOf("orders", "bad")
      yield* store.put(key, bytes("nonsense"))
      const young = yield* process.registry.cleanup()
      assert.deepStrictEqual(young.undecodable, ["orders/bad"])
      assert.deepStrictEqual(young.removed, [])
      yield* expired(process, ["one"])
      const old = yield* process.registry.cleanup()
      assert.deepStrictEqual(old.undecodable, ["orders/bad"])
      assert.deepStrictEqual(old.removed.map((one) => one.instance).toSorted(), ["orders/bad", "orders/one"])
      assert.include(old.removed.find((one) => one.instance === "orders/bad")!.reason, "decode")
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  test("a cleanup skips a service with mostly expired instances, unless maxRemovalRatio allows their removal", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* Effect.forEach(numbers(4), (n) => process.enter(named("orders", `live-${n}`)))
      yield* expired(process, numbers(6).map((n) => `expired-${n}`))
      yield* expired(process, ["one"], "payments")
      const held = yield* process.registry.cleanup()
      assert.deepStrictEqual(held.preserved, ["orders"])
      assert.deepStrictEqual(held.removed.map((one) => one.instance), ["payments/one"])
      assert.strictEqual((yield* store.keys()).length, 10)
      const all = yield* process.registry.cleanup({ maxRemovalRatio: 1 })
      assert.deepStrictEqual(all.preserved, [])
      assert.deepStrictEqual(all.removed.map((one) => one.instance), numbers(6).map((n) => `orders/expired-${n}`))
      assert.deepStrictEqual(yield* listed(process), numbers(4).map((n) => `live-${n}`))
    }))

  test("a cleanup removes all instances of a small service, and half of the instances of a large one", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* Effect.forEach(numbers(5), (n) => process.enter(named("orders", `live-${n}`)))
      for (const n of numbers(5)) yield* sendHeartbeat(process, named("orders", `expired-${n}`))
      yield* expired(process, numbers(9).map(String), "payments")
      const report = yield* process.registry.cleanup()
      assert.deepStrictEqual(report.preserved, [])
      assert.strictEqual(report.removed.length, 14)
      assert.strictEqual((yield* store.keys()).length, 5)
    }))

  test("a cleanup with confirm removes a record only if a run at least one heartbeat earlier found it expired", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* expired(process, ["one"])
      const now = Effect.clockWith((clock) => Effect.sync(() => Number(clock.monotonicTimeNanosUnsafe()) / 1e6))
      const before = yield* now
      assert.deepStrictEqual((yield* process.registry.cleanup({ confirm: true })).removed, [])
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "put")
      const { removed } = yield* until(
        process.registry.cleanup({ confirm: true }),
        (report) => report.removed.length > 0
      )
      assert.isAtLeast((yield* now) - before, Duration.toMillis(heartbeat))
      assert.deepStrictEqual(removed.map((one) => one.instance), ["orders/one"])
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "purge")
    }))

  test("a cleanup with confirm ignores the runs of other registries", () =>
    Effect.gen(function*() {
      const [, process, other] = yield* world(brisk)
      yield* expired(process, ["one"])
      yield* process.registry.cleanup({ confirm: true })
      yield* until(process.registry.cleanup({ confirm: true, dryRun: true }), (report) => report.removed.length > 0)
      assert.deepStrictEqual((yield* other.registry.cleanup({ confirm: true })).removed, [])
    }))

  test("a failed removal is reported and does not stop the other removals", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* expired(process, numbers(4).map(String))
      yield* process.link.set(times(1, "purge", away))
      const report = yield* process.registry.cleanup()
      assert.strictEqual(report.removed.length, 3)
      assert.strictEqual(report.failed.length, 1)
      assert.match(report.failed[0]!.reason, /cannot be reached/)
      assert.strictEqual((yield* store.keys()).length, 1)
      assert.strictEqual((yield* process.registry.cleanup()).removed.length, 1)
    }))

  for (const maxRemovalRatio of [50, -0.1, Number.NaN]) {
    test(`a maxRemovalRatio of ${maxRemovalRatio} is refused, and nothing is removed`, () =>
      Effect.gen(function*() {
        const [store, process] = yield* world(brisk)
        yield* expired(process, ["one"])
        const error = yield* Effect.flip(process.registry.cleanup({ maxRemovalRatio }))
        assert.strictEqual(error.reason._tag, "InvalidConfig")
        assert.include(error.message, "from 0 to 1")
        assert.strictEqual((yield* store.keys()).length, 1)
      }))
  }

  test("two concurrent cleanups remove each instance once", () =>
    Effect.gen(function*() {
      const [, one, other] = yield* world(brisk)
      yield* expired(one, numbers(8).map(String))
      const reports = yield* finish(
        Effect.all([one.registry.cleanup(), other.registry.cleanup()], { concurrency: "unbounded" })
      )
      const removed = reports.flatMap((report) => report.removed.map(({ instance }) => instance))
      assert.deepStrictEqual(removed.toSorted(), numbers(8).map((n) => `orders/${n}`))
    }))
}
