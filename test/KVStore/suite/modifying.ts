/** `modify`: a read and a compare-and-set, repeated while they conflict. */
import { assert } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"
import * as KVStore from "../../../src/KVStore.ts"
import type { Until } from "../../../tools/eventually.ts"
import { bytes, untyped } from "../../../tools/values.ts"
import { finisher, numbers, openBucket, reasonOf, type Store } from "../../support/suite.ts"
import { type Backend, refusal, shown, type Test } from "./fixture.ts"

const count = (store: Store) => KVStore.typed(store, Schema.Int)

const plus = (amount: number) => (current: Option.Option<number>) =>
  Option.some(Option.getOrElse(current, () => 0) + amount)

const short = { timeout: "300 millis" } as const

/** Lets other fibers run after each read, so that concurrent reads precede the first write also on virtual time. */
const interleaved = (store: Store): Store => ({
  ...store,
  get: (key) => Effect.tap(store.get(key), () => Effect.yieldNow)
})

export const modifying = (test: Test, backend: Backend, until: Until) => {
  /** Advances time until the effect ends: it pauses after a conflict, or reaches its timeout. */
  const finished = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E>) {
    const fiber = yield* Effect.forkScoped(effect)
    return yield* (yield* until(Effect.sync(() => fiber.pollUnsafe()), (exit) => exit !== undefined))!
  })

  /** Runs the effect and measures it, by the clock of the test. */
  const timed = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E>) {
    const start = yield* Clock.currentTimeMillis
    const result = yield* finished(effect)
    return [result, (yield* Clock.currentTimeMillis) - start] as const
  })

  const valueOf = Effect.fnUntraced(function*(store: Store, key: string) {
    return Option.map(yield* count(store).get(key), (entry) => entry.value)
  })

  test("modify creates, updates and deletes, and returns the revision, or 0 after a delete", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      const counts = count(store)
      const first = yield* counts.modify("a", plus(1))
      assert.strictEqual(yield* counts.modify("a", plus(1)), first + 1)
      assert.deepStrictEqual(yield* valueOf(store, "a"), Option.some(2))
      assert.strictEqual(yield* counts.modify("a", () => Option.none()), 0)
      assert.deepStrictEqual((yield* store.history("a")).map((event) => event._tag), ["Removed", "Put", "Put"])
    }))

  test("modify that returns none for a key without a value writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const before = (yield* store.status).lastRevision
      assert.strictEqual(yield* count(store).modify("a", () => Option.none()), 0)
      assert.strictEqual((yield* store.status).lastRevision, before)
      assert.deepStrictEqual(yield* store.history("a"), [])
    }))

  test("modify overwrites a tombstone", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const counts = count(store)
      yield* counts.put("a", 7)
      yield* counts.delete("a")
      yield* counts.modify("a", plus(1))
      assert.deepStrictEqual(yield* valueOf(store, "a"), Option.some(1))
    }))

  test("modify leaves a value that does not decode unchanged", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const counts = count(store)
      yield* store.put("a", bytes("no json"))
      yield* refusal(store, counts.modify("a", plus(1)), "UndecodableValue")
      yield* refusal(store, counts.modify("a", () => Option.none()), "UndecodableValue")
      const error = yield* Effect.flip(counts.modify("a", plus(1)))
      assert.deepStrictEqual([error.operation, error.key], ["modify", "a"])
    }))

  test("modify with an argument that is not a function fails with InvalidConfig, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const f of [undefined, null, 5, Option.some(1)]) {
        yield* refusal(store, count(store).modify("a", untyped(f)), "InvalidConfig")
      }
      assert.isTrue(Option.isNone(yield* store.get("a")))
    }))

  test("modify to a value that does not encode fails with InvalidValue, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const counts = count(store)
      yield* counts.put("a", 1)
      yield* refusal(store, counts.modify("a", () => Option.some(1.5)), "InvalidValue")
      yield* refusal(store, counts.modify("b", () => Option.some(untyped("1"))), "InvalidValue")
    }))

  test("modify with a function that throws dies with its error, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const counts = count(store)
      yield* counts.put("a", 1)
      const before = yield* store.status
      const bug = new Error("a bug of the caller")
      let calls = 0
      const exit = yield* Effect.exit(counts.modify("a", () => {
        calls++
        throw bug
      }))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause) && !Cause.hasFails(exit.cause))
      assert.strictEqual(Exit.isFailure(exit) && Cause.squash(exit.cause), bug)
      assert.strictEqual(calls, 1)
      assert.strictEqual((yield* store.status).lastRevision, before.lastRevision)
    }))

  test("modify that conflicts with a write starts again with the current value", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const counts = count(store)
      yield* counts.put("a", 10)
      const seen: Array<number> = []
      let others = 3
      // Each of the first three writes is preceded by a write of another client.
      const crowded = count({
        ...store,
        put: (key, value, options) =>
          others-- > 0
            ? Effect.andThen(counts.put("a", 100 * others), store.put(key, value, options))
            : store.put(key, value, options)
      })
      yield* finished(crowded.modify("a", (current) => {
        seen.push(Option.getOrThrow(current))
        return plus(1)(current)
      }))
      assert.deepStrictEqual(seen, [10, 200, 100, 0])
      assert.deepStrictEqual(yield* valueOf(store, "a"), Option.some(1))
    }))

  test("modify that deletes keeps a value written since its read", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      const counts = count(store)
      yield* counts.put("a", 1)
      let others = 1
      const crowded = count({
        ...store,
        delete: (key, options) =>
          others-- > 0
            ? Effect.andThen(counts.put("a", 2), store.delete(key, options))
            : store.delete(key, options)
      })
      // Deletes the value 1, keeps the value 2.
      yield* finished(
        crowded.modify("a", (current) => Option.contains(current, 1) ? Option.none() : current)
      )
      assert.deepStrictEqual(yield* valueOf(store, "a"), Option.some(2))
    }))

  test("modify that finds no value does not overwrite one created since its read", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const counts = count(store)
      let others = 1
      const crowded = count({
        ...store,
        put: (key, value, options) =>
          others-- > 0
            ? Effect.andThen(counts.put("a", 100), store.put(key, value, options))
            : store.put(key, value, options)
      })
      yield* finished(crowded.modify("a", plus(1)))
      assert.deepStrictEqual(yield* valueOf(store, "a"), Option.some(101))
    }))

  test("concurrent modifies are all applied", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const counts = count(interleaved(store))
      for (const many of [1, 2, 3, 20, 60]) {
        const amounts = yield* Effect.forEach(numbers(many), () => Random.nextIntBetween(-50, 50))
        const revisions = yield* finished(
          Effect.forEach(amounts, (amount) => counts.modify(`of-${many}`, plus(amount)), { concurrency: "unbounded" })
        )
        const sum = amounts.reduce((total, amount) => total + amount, 0)
        assert.deepStrictEqual(yield* valueOf(store, `of-${many}`), Option.some(sum), amounts.join(", "))
        assert.strictEqual(new Set(revisions).size, many)
      }
    }))

  test("concurrent modifies that create and delete alternately each see the result of the previous one", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 64 })
      const counts = count(interleaved(store))
      const toggle = (current: Option.Option<number>) => Option.isSome(current) ? Option.none() : Option.some(1)
      yield* finished(Effect.forEach(numbers(21), () => counts.modify("a", toggle), { concurrency: "unbounded" }))
      assert.deepStrictEqual(yield* valueOf(store, "a"), Option.some(1))
      const events = (yield* store.history("a")).map((event) => event._tag)
      assert.deepStrictEqual(events, numbers(21).map((n) => n % 2 === 0 ? "Put" : "Removed"))
    }))

  test("modify that always conflicts ends at the timeout, and has written nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(short)
      const counts = count(store)
      yield* counts.put("a", 0)
      let calls = 0
      const crowded = count({
        ...store,
        put: (key, value, options) => Effect.andThen(counts.put("a", 0), store.put(key, value, options))
      })
      const [error, took] = yield* timed(Effect.flip(crowded.modify("a", () => Option.some(++calls))))
      assert.strictEqual(error.operation, "modify")
      // On a real server the timeout may pass during a write, whose outcome is then unknown.
      assert.include(backend.virtual ? ["Unavailable"] : ["Unavailable", "OutcomeUnknown"], error.reason._tag)
      assert.isAbove(calls, 3)
      assert.isTrue(took >= 290 && took < 2000, `${took} ms`)
      assert.deepStrictEqual(yield* valueOf(store, "a"), Option.some(0))
    }))

  test("modify whose write is not answered fails with OutcomeUnknown at the timeout", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(short)
      let puts = 0
      const hanging = count({
        ...store,
        put: () =>
          Effect.suspend(() => {
            puts++
            return Effect.never
          })
      })
      const [error, took] = yield* timed(Effect.flip(hanging.modify("a", plus(1))))
      assert.deepStrictEqual([error.reason._tag, error.operation, error.key], ["OutcomeUnknown", "modify", "a"])
      assert.include(error.message, "no answer within 300ms")
      assert.strictEqual(puts, 1)
      assert.isTrue(took >= 290 && took < 2000, `${took} ms`)
    }))

  test("modify whose read is not answered fails with Unavailable at the timeout", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(short)
      const hanging = count({ ...store, get: () => Effect.never })
      const [error, took] = yield* timed(Effect.flip(hanging.modify("a", plus(1))))
      assert.deepStrictEqual([error.reason._tag, error.isRetryable], ["Unavailable", true])
      assert.isTrue(took >= 290 && took < 2000, `${took} ms`)
    }))

  test("modify does not repeat a write of unknown outcome", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const lost = (operation: string) =>
        Effect.fail(
          new KVStore.KVStoreError({
            bucket: store.config.bucket,
            operation,
            key: "a",
            reason: new KVStore.OutcomeUnknown({ problem: "the answer was lost" })
          })
        )
      const deaf = count({
        ...store,
        put: (key, value, options) => Effect.andThen(store.put(key, value, options), lost("put")),
        delete: (key, options) => Effect.andThen(store.delete(key, options), lost("delete"))
      })
      let calls = 0
      const counted = (f: (current: Option.Option<number>) => Option.Option<number>) =>
        Effect.flip(deaf.modify("a", (current) => {
          calls++
          return f(current)
        }))
      const put = yield* counted(plus(1))
      assert.deepStrictEqual([put.reason._tag, put.operation, put.isRetryable], ["OutcomeUnknown", "put", false])
      assert.deepStrictEqual(yield* valueOf(store, "a"), Option.some(1))
      const removed = yield* counted(() => Option.none())
      assert.deepStrictEqual([removed.reason._tag, removed.operation], ["OutcomeUnknown", "delete"])
      assert.strictEqual(calls, 2)
    }))

  test("modify fails at once with any error other than a conflict", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const reasons = [
        new KVStore.Unavailable({ problem: "disconnected" }),
        new KVStore.PermissionDenied({ subject: "$KV.x.a" }),
        new KVStore.BucketNotFound({})
      ]
      for (const reason of reasons) {
        for (const operation of ["get", "put"] as const) {
          let asked = 0
          const failure = new KVStore.KVStoreError({ bucket: store.config.bucket, operation, key: "a", reason })
          const failing = count({
            ...store,
            [operation]: () =>
              Effect.suspend(() => {
                asked++
                return Effect.fail(failure)
              })
          })
          assert.strictEqual(yield* Effect.flip(failing.modify("a", plus(1))), failure)
          assert.strictEqual(asked, 1)
        }
      }
    }))

  if (!backend.virtual) return

  test("the pauses between attempts of modify grow from 10 ms to 250 ms, with jitter", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const counts = count(store)
      yield* counts.put("a", 0)
      const attempts: Array<number> = []
      const crowded = count({
        ...store,
        put: (key, value, options) =>
          Effect.gen(function*() {
            attempts.push(yield* Clock.currentTimeMillis)
            yield* counts.put("a", 0)
            return yield* store.put(key, value, options)
          })
      })
      yield* Effect.forkScoped(Effect.flip(crowded.modify("a", plus(1))))
      yield* until(Effect.sync(() => attempts.length), (length) => length > 15)
      const pauses = attempts.slice(1).map((at, index) => at - attempts[index]!)
      for (const [index, pause] of pauses.entries()) {
        const mean = Math.min(250, 10 * 2 ** index)
        assert.isTrue(pause >= mean * 0.8 - 1 && pause <= mean * 1.2 + 1, pauses.join(", "))
      }
      assert.isAbove(new Set(pauses.slice(-10)).size, 1)
    }))
}

class Refused extends Data.TaggedError("Refused")<{ readonly found: number | undefined }> {}

/** `modifyEffect`: as `modify`, with an effect that may fail, and a result. */
export const modifyingByEffect = (test: Test, until: Until) => {
  const finish = finisher(until)

  const adding = (amount: number) => (current: Option.Option<number>) =>
    Effect.succeed([`had ${Option.getOrElse(current, () => "none")}`, plus(amount)(current)] as const)

  test("modifyEffect creates, updates and deletes, and returns the result and the revision, or 0 after a delete", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      const counts = count(store)
      const { revision, value } = yield* counts.modifyEffect("a", adding(1))
      assert.strictEqual(value, "had none")
      assert.deepStrictEqual(yield* counts.modifyEffect("a", adding(1)), { value: "had 1", revision: revision + 1 })
      const none = () => Effect.succeed(["deleted", Option.none<number>()] as const)
      assert.deepStrictEqual(yield* counts.modifyEffect("a", none), { value: "deleted", revision: 0 })
      assert.deepStrictEqual(yield* counts.modifyEffect("b", none), { value: "deleted", revision: 0 })
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a", "a=2", "a=1"])
      assert.deepStrictEqual(yield* store.history("b"), [])
    }))

  test("modifyEffect writes nothing if the effect fails or dies, and passes its error on", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const counts = count(store)
      yield* counts.put("a", 1)
      const before = (yield* store.status).lastRevision
      const refuse = (current: Option.Option<number>) => new Refused({ found: Option.getOrUndefined(current) })
      const refused = yield* Effect.flip(counts.modifyEffect("a", (current) => Effect.fail(refuse(current))))
      assert.deepStrictEqual(refused, new Refused({ found: 1 }))
      const died = yield* Effect.exit(counts.modifyEffect("a", () => Effect.die("a defect")))
      assert.isTrue(Exit.isFailure(died) && Cause.hasDies(died.cause))
      assert.strictEqual((yield* store.status).lastRevision, before)
    }))

  test("modifyEffect does not repeat an effect whose own error is a conflict of a store", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const counts = count(store)
      yield* counts.put("other", 1)
      let runs = 0
      const failing = counts.modifyEffect("a", () => {
        runs++
        return Effect.as(counts.put("other", 2, KVStore.KVOptions.createOnly), [undefined, Option.some(1)] as const)
      })
      assert.strictEqual((yield* reasonOf(failing, "KeyAlreadyExists"))._tag, "KeyAlreadyExists")
      assert.strictEqual(runs, 1)
    }))

  test("modifyEffect runs the effect again after a conflict, and no concurrent change is lost", () =>
    Effect.gen(function*() {
      const store = interleaved(yield* openBucket({ timeout: "30 seconds" }))
      const counts = count(store)
      let runs = 0
      const add = counts.modifyEffect("a", (current) =>
        Effect.sync(() => {
          runs++
          return [runs, plus(1)(current)] as const
        }))
      const all = yield* finish(Effect.replicateEffect(add, 20, { concurrency: 20 }))
      assert.deepStrictEqual(Option.map(yield* counts.get("a"), ({ value }) => value), Option.some(20))
      assert.strictEqual(new Set(all.map(({ revision }) => revision)).size, 20)
      assert.isAbove(runs, 20)
    }))

  test("modifyEffect fails with Unavailable after conflicts for the timeout, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(short)
      const counts = count(store)
      const always = counts.modifyEffect(
        "a",
        (current) => Effect.as(counts.put("a", 7), [undefined, plus(1)(current)] as const)
      )
      const { message } = yield* finish(reasonOf(always, "Unavailable"))
      assert.include(message, "conflicts with other writers for 300ms")
      assert.deepStrictEqual(Option.map(yield* counts.get("a"), ({ value }) => value), Option.some(7))
    }))

  test("modifyEffect does not interrupt an effect that takes longer than the timeout", () =>
    Effect.gen(function*() {
      const counts = count(yield* openBucket(short))
      const slow = counts.modifyEffect("a", (current) => Effect.delay(adding(1)(current), "800 millis"))
      assert.strictEqual((yield* finish(slow)).value, "had none")
    }))

  test("modifyEffect fails with UndecodableValue, and the effect does not run, if the value does not decode", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("no number"))
      yield* refusal(store, count(store).modifyEffect("a", () => Effect.die("it ran")), "UndecodableValue")
    }))

  const wrong: ReadonlyArray<readonly [what: string, f: unknown, tag: "InvalidConfig" | "InvalidValue", said: string]> =
    [
      ["no function", undefined, "InvalidConfig", "expected a function of the value, got undefined"],
      ["a function that returns an Option", () => Option.some(1), "InvalidValue", "to return an Effect"],
      ["an effect of an Option", () => Effect.succeed(Option.some(1)), "InvalidValue", "to return [result, Option]"],
      ["an effect of a value", () => Effect.succeed(["x", 5]), "InvalidValue", "to return [result, Option]"],
      ["an effect of nothing", () => Effect.void, "InvalidValue", "to return [result, Option]"]
    ]
  for (const [what, f, tag, said] of wrong) {
    test(`modifyEffect with ${what} is refused, and deletes nothing`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        yield* count(store).put("a", 1)
        const reason = yield* refusal(store, count(store).modifyEffect("a", untyped(f)), tag)
        assert.include(reason.message, said)
        assert.deepStrictEqual(yield* store.keys(), ["a"])
      }))
  }
}
