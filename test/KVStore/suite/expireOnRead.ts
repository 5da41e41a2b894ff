/** `getUnexpired`: a read that returns no value older than `maxAge`, and deletes it. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as References from "effect/References"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { TestClock } from "effect/testing"
import * as KVStore from "../../../src/KVStore.ts"
import type { Until } from "../../../tools/eventually.ts"
import { bytes, textOf, untyped } from "../../../tools/values.ts"
import { numbers, openBucket, type Store } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { type Backend, read, refusal, shown, type Test } from "./fixture.ts"

const maxAge = Duration.millis(250)
const anHour = Duration.toMillis("1 hour")

type Reading = Effect.Effect<Option.Option<KVStore.KVEntry>, KVStore.KVStoreError>

const unexpiredOf = (store: Store, key: string, options: KVStore.ExpireOptions): Reading =>
  KVStore.getUnexpired(store, key, options)

/** `getUnexpired` of the key `a` with the common `maxAge`. */
const unexpired = (store: Store): Reading => unexpiredOf(store, "a", { maxAge })

const textIn = Option.map((entry: KVStore.KVEntry) => textOf(entry.value))

/** A clock whose wall time differs from the given clock's by `millis`. */
const shifted = (clock: Clock.Clock, millis: number): Clock.Clock => ({
  currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + millis,
  currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis),
  currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(millis) * 1_000_000n,
  currentTimeNanos: Effect.map(clock.currentTimeNanos, (now) => now + BigInt(millis) * 1_000_000n),
  monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
  monotonicTimeNanos: clock.monotonicTimeNanos,
  sleep: (duration) => clock.sleep(duration)
})

/** A store that runs `what` before each delete, and the number of deletes so far. */
const before = (store: Store, what: (n: number) => Effect.Effect<unknown, KVStore.KVStoreError>) => {
  let deletes = 0
  const crowded: Store = {
    ...store,
    delete: (key, options) => Effect.suspend(() => Effect.andThen(what(deletes++), store.delete(key, options)))
  }
  return { store: crowded, deletes: () => deletes }
}

const failing = (store: Store, operation: "get" | "delete", reason: KVStore.KVStoreReason): Store => {
  const failure = new KVStore.KVStoreError({ bucket: store.config.bucket, operation, key: "a", reason })
  return { ...store, [operation]: () => Effect.fail(failure) }
}

/** Runs an effect and returns its result with the lines that it logged, from level Debug on. */
const told = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R>) {
  const lines: Array<string> = []
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    lines.push(`${logLevel}: ${[message].flat().map(String).join(" ")}`)
  })
  const result = yield* effect.pipe(
    Effect.provide(Logger.layer([logger])),
    Effect.provideService(References.MinimumLogLevel, "Debug")
  )
  return { lines, result }
})

export const expireOnRead = (test: Test, backend: Backend, until: Until) => {
  /** Waits until everything written so far is older than `age` by the store's clock. */
  const grownOld = Effect.fnUntraced(function*(store: Store, age: Duration.Duration = maxAge) {
    const end = (yield* store.clock.currentTimeMillis) + Duration.toMillis(age) + 5
    yield* until(store.clock.currentTimeMillis, (now) => now > end)
  })

  const finished = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E>) {
    const fiber = yield* Effect.forkScoped(effect)
    return yield* (yield* until(Effect.sync(() => fiber.pollUnsafe()), (exit) => exit !== undefined))!
  })

  const old = Effect.fnUntraced(function*(options: Parameters<typeof openBucket>[0] = {}) {
    const store = yield* openBucket({ historySize: 5, ...options })
    const revision = yield* store.put("a", bytes("old"))
    yield* grownOld(store)
    return { store, revision }
  })

  test("getUnexpired returns a value within maxAge as get does, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"))
      const options = { maxAge: "1 minute" } as const
      assert.deepStrictEqual(yield* unexpiredOf(store, "a", options), yield* store.get("a"))
      assert.strictEqual((yield* store.status).lastRevision, revision)
    }))

  test("getUnexpired of a key without a value returns none, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* store.put("gone", bytes("1"))
      yield* store.delete("gone")
      yield* grownOld(store)
      const before = (yield* store.status).lastRevision
      assert.isTrue(Option.isNone(yield* unexpiredOf(store, "never", { maxAge })))
      assert.isTrue(Option.isNone(yield* unexpiredOf(store, "gone", { maxAge })))
      assert.strictEqual((yield* store.status).lastRevision, before)
    }))

  test("getUnexpired returns none for an older value, and deletes it", () =>
    Effect.gen(function*() {
      const { revision, store } = yield* old()
      yield* store.put("other", bytes("1"))
      assert.isTrue(Option.isNone(yield* unexpired(store)))
      assert.isTrue(Option.isNone(yield* store.get("a")))
      assert.deepStrictEqual(yield* store.keys(), ["other"])
      const [tombstone, put] = yield* store.history("a")
      assert.deepStrictEqual([shown(tombstone!), shown(put!)], ["delete a", "a=old"])
      assert.isTrue(put!._tag === "Put" && put?.entry.revision === revision)
      // A second read writes no second tombstone.
      assert.isTrue(Option.isNone(yield* unexpired(store)))
      assert.strictEqual((yield* store.history("a")).length, 2)
    }))

  test("each write restarts the age of a value for getUnexpired", () =>
    Effect.gen(function*() {
      const { store } = yield* old()
      const revision = yield* store.put("a", bytes("new"))
      const found = yield* unexpiredOf(store, "a", { maxAge: "1 minute" })
      assert.strictEqual(Option.getOrThrow(found).revision, revision)
    }))

  test("getUnexpired keeps and returns a value that is written between its read and its delete", () =>
    Effect.gen(function*() {
      const { store } = yield* old()
      // Long enough that the new value is within maxAge even on a busy machine.
      const patient = Duration.seconds(1)
      yield* grownOld(store, patient)
      const crowded = before(store, () => store.put("a", bytes("new")))
      const found = yield* finished(unexpiredOf(crowded.store, "a", { maxAge: patient }))
      assert.deepStrictEqual(textIn(found), Option.some("new"))
      assert.strictEqual(crowded.deletes(), 1)
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["a=new", "a=old"])
    }))

  test("getUnexpired does not delete a key that is deleted between its read and its delete", () =>
    Effect.gen(function*() {
      const { store } = yield* old()
      const crowded = before(store, () => store.delete("a"))
      assert.isTrue(Option.isNone(yield* finished(unexpired(crowded.store))))
      assert.strictEqual(crowded.deletes(), 1)
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a", "a=old"])
    }))

  test("getUnexpired deletes a value written between its read and its delete if that is too old as well", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* store.put("a", bytes("0"))
      // By this clock every new value is one hour old.
      const ahead = { ...store, clock: shifted(store.clock, anHour) }
      const crowded = before(ahead, (n) => n < 2 ? store.put("a", bytes(`${n + 1}`)) : Effect.void)
      assert.isTrue(Option.isNone(yield* finished(unexpired(crowded.store))))
      assert.strictEqual(crowded.deletes(), 3)
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a", "a=2", "a=1", "a=0"])
    }))

  test("getUnexpired that always conflicts with other writes ends at the timeout, and has deleted nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ timeout: "300 millis" })
      yield* store.put("a", bytes("0"))
      const ahead = { ...store, clock: shifted(store.clock, anHour) }
      const crowded = before(ahead, (n) => store.put("a", bytes(`${n + 1}`)))
      const result = yield* finished(Effect.result(unexpired(crowded.store)))
      if (Result.isFailure(result)) {
        const { isRetryable, key, operation, reason } = result.failure
        assert.deepStrictEqual([reason._tag, operation, key, isRetryable], ["Unavailable", "getUnexpired", "a", true])
      } else {
        // The timeout passed during a delete: the value that was read was too old.
        assert.isTrue(!backend.virtual && Option.isNone(result.success))
      }
      assert.isAbove(crowded.deletes(), 2)
      // The last of the other writes may not have been stored yet.
      const left = Number(Option.getOrThrow(yield* read(store, "a")))
      assert.include([crowded.deletes() - 1, crowded.deletes()], left)
    }))

  test("concurrent calls of getUnexpired for an expired value leave one tombstone", () =>
    Effect.gen(function*() {
      const { store } = yield* old({ historySize: 30 })
      // Every read completes before the first delete.
      const together = { ...store, get: (key: string) => Effect.tap(store.get(key), () => Effect.yieldNow) }
      const found = yield* finished(
        Effect.forEach(numbers(20), () => unexpired(together), { concurrency: "unbounded" })
      )
      assert.isTrue(found.every(Option.isNone))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a", "a=old"])
    }))

  test("getUnexpired returns none for an expired value that it cannot delete, and logs the failure", () =>
    Effect.gen(function*() {
      const { revision, store } = yield* old()
      const reasons = [
        new KVStore.Unavailable({ problem: "disconnected" }),
        new KVStore.OutcomeUnknown({ problem: "the answer was lost" }),
        new KVStore.PermissionDenied({ subject: "$KV.x.a" })
      ]
      for (const reason of reasons) {
        const { lines, result } = yield* told(unexpired(failing(store, "delete", reason)))
        assert.isTrue(Option.isNone(result), reason._tag)
        assert.strictEqual(lines.length, 1)
        assert.match(lines[0]!, /^Debug: a value that has expired was not removed/)
        assert.include(lines[0], reason.message)
        assert.strictEqual(Option.getOrThrow(yield* store.get("a")).revision, revision)
      }
      // The next read that can delete the value does so.
      assert.isTrue(Option.isNone(yield* unexpired(store)))
      assert.isTrue(Option.isNone(yield* store.get("a")))
    }))

  test("getUnexpired whose delete is never answered returns none at the timeout", () =>
    Effect.gen(function*() {
      const { store } = yield* old({ timeout: "300 millis" })
      const start = yield* store.clock.currentTimeMillis
      const { lines, result } = yield* finished(told(unexpired({ ...store, delete: () => Effect.never })))
      const took = (yield* store.clock.currentTimeMillis) - start
      assert.isTrue(Option.isNone(result))
      assert.include(lines.join(), "no answer within 300ms")
      assert.isTrue(took >= 290 && took < 2000, `${took} ms`)
    }))

  test("getUnexpired fails if its read fails, and does not return none", () =>
    Effect.gen(function*() {
      const { revision, store } = yield* old()
      const cut = failing(store, "get", new KVStore.Unavailable({ problem: "disconnected" }))
      const error = yield* Effect.flip(unexpired(cut))
      assert.deepStrictEqual([error.reason._tag, error.operation, error.isRetryable], ["Unavailable", "get", true])
      assert.strictEqual(Option.getOrThrow(yield* store.get("a")).revision, revision)
    }))

  test("getUnexpired computes ages by the store's clock, not by the host's", () =>
    Effect.gen(function*() {
      const { store } = yield* old()
      yield* store.put("young", bytes("1"))
      const host = yield* Clock.Clock
      for (const off of [anHour, -anHour]) {
        const elsewhere = Effect.provideService(Clock.Clock, shifted(host, off))
        assert.isTrue(Option.isSome(yield* elsewhere(unexpiredOf(store, "young", { maxAge: "1 minute" }))))
      }
      assert.isTrue(
        Option.isNone(yield* Effect.provideService(unexpired(store), Clock.Clock, shifted(host, -anHour)))
      )
      // A store whose clock is ahead of the host's.
      const ahead = { ...store, clock: shifted(store.clock, anHour) }
      assert.isTrue(Option.isNone(yield* unexpiredOf(ahead, "young", { maxAge: "59 minutes" })))
      assert.isTrue(Option.isNone(yield* store.get("young")))
      // A store whose clock is behind: a value from its future is within any maxAge.
      yield* store.put("young", bytes("2"))
      const behind = { ...store, clock: shifted(store.clock, -anHour) }
      assert.isTrue(Option.isSome(yield* unexpiredOf(behind, "young", { maxAge: "1 millis" })))
    }))

  test("an invalid maxAge fails with InvalidConfig, and nothing is read or deleted", () =>
    Effect.gen(function*() {
      const { store } = yield* old()
      const prices = KVStore.typed(store, Schema.Int)
      const wrong = [0, -1, "0 millis", "-5 seconds", Infinity, -Infinity, NaN, "soon", "", null, undefined, {}, "5"]
      const nobody = { ...store, get: () => Effect.die("the store was read") }
      for (const input of wrong) {
        const options = { maxAge: untyped(input) }
        const error = yield* Effect.flip(unexpiredOf(nobody, "a", options))
        assert.deepStrictEqual([error.reason._tag, error.operation, error.key, error.bucket], [
          "InvalidConfig",
          "getUnexpired",
          "a",
          store.config.bucket
        ], String(input))
        assert.include(error.message, "maxAge: expected a positive time such as \"5 seconds\", got ")
        yield* refusal(store, prices.getUnexpired("a", options), "InvalidConfig")
      }
      yield* refusal(store, unexpiredOf(store, "a", untyped(undefined)), "InvalidConfig")
    }))

  test("getUnexpired of an invalid key fails with InvalidKey", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const key of ["", "a..b", "a b", untyped(7), untyped(undefined)]) {
        yield* reasonOf(unexpiredOf(store, key, { maxAge }), "InvalidKey")
      }
    }))

  test("getUnexpired of a typed view follows the same rules, also for values that do not decode", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const counts = KVStore.typed(store, Schema.Int)
      const revision = yield* counts.put("young", 1)
      assert.deepStrictEqual(
        Option.map(yield* counts.getUnexpired("young", { maxAge: "1 minute" }), (entry) => [
          entry.value,
          entry.revision
        ]),
        Option.some([1, revision])
      )
      yield* store.put("bad", bytes("no json"))
      const error = yield* Effect.flip(counts.getUnexpired("bad", { maxAge: "1 minute" }))
      assert.deepStrictEqual([error.reason._tag, error.operation, error.key], [
        "UndecodableValue",
        "getUnexpired",
        "bad"
      ])
      yield* grownOld(store)
      assert.isTrue(Option.isNone(yield* counts.getUnexpired("young", { maxAge })))
      assert.isTrue(Option.isNone(yield* counts.getUnexpired("bad", { maxAge })))
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  if (!backend.virtual) return

  test("getUnexpired returns a value exactly maxAge old, and none one millisecond later", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      yield* TestClock.adjust(maxAge)
      assert.deepStrictEqual(textIn(yield* unexpired(store)), Option.some("1"))
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Option.isNone(yield* unexpired(store)))
    }))

  test("getUnexpired that is interrupted during its delete ends at once", () =>
    Effect.gen(function*() {
      const { store } = yield* old()
      const fiber = yield* Effect.forkScoped(unexpired({ ...store, delete: () => Effect.never }))
      yield* Effect.yieldNow
      fiber.interruptUnsafe()
      const exit = yield* until(Effect.sync(() => fiber.pollUnsafe()), (exit) => exit !== undefined)
      assert.isTrue(Exit.hasInterrupts(exit!))
    }))
}
