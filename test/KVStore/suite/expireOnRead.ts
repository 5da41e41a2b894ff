/** Reads that take what is too old for absent, and remove it. */
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

/** Of the key that most cases are about, by the age that they have in common. */
const unexpired = (store: Store): Reading => unexpiredOf(store, "a", { maxAge })

const textIn = Option.map((entry: KVStore.KVEntry) => textOf(entry.value))

/** The same clock, whose wall time is so much off. */
const shifted = (clock: Clock.Clock, millis: number): Clock.Clock => ({
  currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() + millis,
  currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now + millis),
  currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(millis) * 1_000_000n,
  currentTimeNanos: Effect.map(clock.currentTimeNanos, (now) => now + BigInt(millis) * 1_000_000n),
  monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
  monotonicTimeNanos: clock.monotonicTimeNanos,
  sleep: (duration) => clock.sleep(duration)
})

/** Before each delete something else happens; how often it did is told. */
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

/** What an effect tells the log, from level Debug on. */
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
  /** Until the store itself takes what was written before for too old. */
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

  test("an unexpired read gives what is young enough as get does, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"))
      const options = { maxAge: "1 minute" } as const
      assert.deepStrictEqual(yield* unexpiredOf(store, "a", options), yield* store.get("a"))
      assert.strictEqual((yield* store.status).lastRevision, revision)
    }))

  test("an unexpired read of a key without a value is none, and writes nothing", () =>
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

  test("an unexpired read takes a value that is too old for absent, and deletes it", () =>
    Effect.gen(function*() {
      const { revision, store } = yield* old()
      yield* store.put("other", bytes("1"))
      assert.isTrue(Option.isNone(yield* unexpired(store)))
      assert.isTrue(Option.isNone(yield* store.get("a")))
      assert.deepStrictEqual(yield* store.keys(), ["other"])
      const [tombstone, put] = yield* store.history("a")
      assert.deepStrictEqual([shown(tombstone!), shown(put!)], ["delete a", "a=old"])
      assert.isTrue(put!._tag === "Put" && put?.entry.revision === revision)
      // Once is enough.
      assert.isTrue(Option.isNone(yield* unexpired(store)))
      assert.strictEqual((yield* store.history("a")).length, 2)
    }))

  test("every write restarts a value's age", () =>
    Effect.gen(function*() {
      const { store } = yield* old()
      const revision = yield* store.put("a", bytes("new"))
      const found = yield* unexpiredOf(store, "a", { maxAge: "1 minute" })
      assert.strictEqual(Option.getOrThrow(found).revision, revision)
    }))

  test("a write between an unexpired read and its delete is kept, and is what the read gives", () =>
    Effect.gen(function*() {
      const { store } = yield* old()
      // Long enough for the new value to be young on a busy machine as well.
      const patient = Duration.seconds(1)
      yield* grownOld(store, patient)
      const crowded = before(store, () => store.put("a", bytes("new")))
      const found = yield* finished(unexpiredOf(crowded.store, "a", { maxAge: patient }))
      assert.deepStrictEqual(textIn(found), Option.some("new"))
      assert.strictEqual(crowded.deletes(), 1)
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["a=new", "a=old"])
    }))

  test("a delete between an unexpired read and its own is enough", () =>
    Effect.gen(function*() {
      const { store } = yield* old()
      const crowded = before(store, () => store.delete("a"))
      assert.isTrue(Option.isNone(yield* finished(unexpired(crowded.store))))
      assert.strictEqual(crowded.deletes(), 1)
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a", "a=old"])
    }))

  test("what came between is judged in its turn, and removed where it is too old as well", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* store.put("a", bytes("0"))
      // By this clock all that is written is an hour old already.
      const ahead = { ...store, clock: shifted(store.clock, anHour) }
      const crowded = before(ahead, (n) => n < 2 ? store.put("a", bytes(`${n + 1}`)) : Effect.void)
      assert.isTrue(Option.isNone(yield* finished(unexpired(crowded.store))))
      assert.strictEqual(crowded.deletes(), 3)
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a", "a=2", "a=1", "a=0"])
    }))

  test("an unexpired read that others never let decide ends by the timeout, and has removed nothing", () =>
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
        // Time was up while a removal was under way: what had been read was too old.
        assert.isTrue(!backend.virtual && Option.isNone(result.success))
      }
      assert.isAbove(crowded.deletes(), 2)
      // The last of the others may have been under way.
      const left = Number(Option.getOrThrow(yield* read(store, "a")))
      assert.include([crowded.deletes() - 1, crowded.deletes()], left)
    }))

  test("many who read what is too old at once leave one tombstone", () =>
    Effect.gen(function*() {
      const { store } = yield* old({ historySize: 30 })
      // All of them have read before the first of them removes.
      const together = { ...store, get: (key: string) => Effect.tap(store.get(key), () => Effect.yieldNow) }
      const found = yield* finished(
        Effect.forEach(numbers(20), () => unexpired(together), { concurrency: "unbounded" })
      )
      assert.isTrue(found.every(Option.isNone))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a", "a=old"])
    }))

  test("a value that is too old is absent also where it cannot be removed, and the log is told", () =>
    Effect.gen(function*() {
      const { revision, store } = yield* old()
      const reasons = [
        new KVStore.Unavailable({ problem: "cut off" }),
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
      // The next reader who can removes it.
      assert.isTrue(Option.isNone(yield* unexpired(store)))
      assert.isTrue(Option.isNone(yield* store.get("a")))
    }))

  test("a removal that is never answered ends by the timeout, and the value is absent", () =>
    Effect.gen(function*() {
      const { store } = yield* old({ timeout: "300 millis" })
      const start = yield* store.clock.currentTimeMillis
      const { lines, result } = yield* finished(told(unexpired({ ...store, delete: () => Effect.never })))
      const took = (yield* store.clock.currentTimeMillis) - start
      assert.isTrue(Option.isNone(result))
      assert.include(lines.join(), "no answer within 300ms")
      assert.isTrue(took >= 290 && took < 2000, `${took} ms`)
    }))

  test("an unexpired read that cannot read fails, and is never none", () =>
    Effect.gen(function*() {
      const { revision, store } = yield* old()
      const cut = failing(store, "get", new KVStore.Unavailable({ problem: "cut off" }))
      const error = yield* Effect.flip(unexpired(cut))
      assert.deepStrictEqual([error.reason._tag, error.operation, error.isRetryable], ["Unavailable", "get", true])
      assert.strictEqual(Option.getOrThrow(yield* store.get("a")).revision, revision)
    }))

  test("an age is the store's own time: the host's clock is not asked", () =>
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
      // A store whose clock is ahead of every host's.
      const ahead = { ...store, clock: shifted(store.clock, anHour) }
      assert.isTrue(Option.isNone(yield* unexpiredOf(ahead, "young", { maxAge: "59 minutes" })))
      assert.isTrue(Option.isNone(yield* store.get("young")))
      // And one whose clock is behind: what it wrote later than now is young.
      yield* store.put("young", bytes("2"))
      const behind = { ...store, clock: shifted(store.clock, -anHour) }
      assert.isTrue(Option.isSome(yield* unexpiredOf(behind, "young", { maxAge: "1 millis" })))
    }))

  test("a maxAge that is no positive time is InvalidConfig, and nothing is read or removed", () =>
    Effect.gen(function*() {
      const { store } = yield* old()
      const prices = KVStore.typed(store, Schema.Int)
      const wrong = [0, -1, "0 millis", "-5 seconds", Infinity, -Infinity, NaN, "soon", "", null, undefined, {}, "5"]
      const nobody = { ...store, get: () => Effect.die("it was asked") }
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

  test("an unexpired read of what is no key is InvalidKey", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const key of ["", "a..b", "a b", untyped(7), untyped(undefined)]) {
        yield* reasonOf(unexpiredOf(store, key, { maxAge }), "InvalidKey")
      }
    }))

  test("a typed view expires on read by the same rule, also what does not decode", () =>
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

  test("a value of exactly maxAge is read, and one a millisecond older is not", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      yield* TestClock.adjust(maxAge)
      assert.deepStrictEqual(textIn(yield* unexpired(store)), Option.some("1"))
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Option.isNone(yield* unexpired(store)))
    }))

  test("an unexpired read that is interrupted while it removes stops at once", () =>
    Effect.gen(function*() {
      const { store } = yield* old()
      const fiber = yield* Effect.forkScoped(unexpired({ ...store, delete: () => Effect.never }))
      yield* Effect.yieldNow
      fiber.interruptUnsafe()
      const exit = yield* until(Effect.sync(() => fiber.pollUnsafe()), (exit) => exit !== undefined)
      assert.isTrue(Exit.hasInterrupts(exit!))
    }))
}
