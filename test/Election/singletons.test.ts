/** `layerSingleton`: work that runs once in the fleet, also after losses and failures. */
import { assert, describe } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import * as Metrics from "../../src/Metrics.ts"
import { untyped } from "../../tools/values.ts"
import { away, closed } from "../support/links.ts"
import { logged, openBucket, reasonOf } from "../support/suite.ts"
import { leaseDuration, timings } from "./suite/fixture.ts"
import { finish, settled, test } from "./suite/inMemory.ts"
import { type Process, startProcess, usurp } from "./suite/processes.ts"

class Broken extends Data.TaggedError("Broken") {}

/** Work that counts its runs and how many of them run at the same time. */
const makeWork = (run: (count: number) => Effect.Effect<never, Broken> = () => Effect.never) => {
  const seen = { runs: 0, running: 0, most: 0 }
  const work = Effect.suspend(() => {
    seen.runs++
    seen.running++
    seen.most = Math.max(seen.most, seen.running)
    return Effect.ensuring(
      run(seen.runs),
      Effect.sync(() => {
        seen.running--
      })
    )
  })
  return { seen, work }
}

const build = <E, R>(
  { election }: Process,
  work: Effect.Effect<never, E, R> | ((leadership: Election.Leadership) => Effect.Effect<never, E, R>),
  options?: Election.CandidateOptions
) =>
  Layer.build(
    Layer.provide(Election.layerSingleton("orders", work, options), Layer.succeed(Election.Election, election))
  )

describe("Election.layerSingleton", () => {
  test("runs its work in one of several processes, and in another one after it has ended", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const { seen, work } = makeWork()
      const scope = yield* Scope.make()
      yield* Scope.provide(build(yield* startProcess(store), work), scope)
      yield* settled
      yield* build(yield* startProcess(store), work)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(seen, { runs: 1, running: 1, most: 1 })
      yield* finish(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(seen, { runs: 2, running: 1, most: 1 })
    }))

  test("does not wait for leadership when it is built, and does not log when it ends", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket())
        yield* process.link.set(away)
        const scope = yield* Scope.make()
        yield* Scope.provide(build(process, Effect.never), scope)
        yield* process.link.set(undefined)
        yield* TestClock.adjust("5 seconds")
        yield* finish(Scope.close(scope, Exit.void))
      }).pipe(Effect.provide(log.layer))
      assert.deepStrictEqual(log.troubles(), [])
      assert.include(log.lines.at(-1), "handed over")
    }))

  for (
    const [what, broken] of [
      ["fails", Effect.fail(new Broken())],
      ["dies", Effect.die("broken")],
      ["is interrupted", Effect.interrupt],
      ["ends", Effect.void as Effect.Effect<never>]
    ] as const
  ) {
    test(`starts work that ${what} again, after pauses that grow up to a minute, and logs it each time`, () =>
      Effect.gen(function*() {
        const log = logged()
        yield* Effect.gen(function*() {
          const { seen, work } = makeWork(() => broken)
          yield* build(yield* startProcess(yield* openBucket()), work, { candidateId: "one" })
          yield* TestClock.adjust("500 millis")
          assert.strictEqual(seen.runs, 1)
          // Pauses of 1, 2, 4, 8, 16, 32 and 60 s, each with a jitter of 20 %, and the time to win.
          yield* TestClock.adjust("63 seconds")
          assert.isAtLeast(seen.runs, 5)
          assert.isAtMost(seen.runs, 7)
          const before = seen.runs
          yield* TestClock.adjust("10 minutes")
          assert.isAtLeast(seen.runs - before, 8)
          assert.isAtMost(seen.runs - before, 13)
          assert.strictEqual(log.troubles().length, seen.runs)
          const failures = Metric.withAttributes(Metrics.electionWorkFailures, { election: "orders" })
          assert.strictEqual((yield* Metric.value(failures)).count, seen.runs)
        }).pipe(Effect.provide(log.layer), Effect.provideService(Metric.MetricRegistry, new Map()))
        for (const subject of log.subjects.filter((_, index) => log.lines[index]!.startsWith("Error"))) {
          assert.deepStrictEqual(subject, { module: "Election", election: "orders", candidateId: "one" })
        }
        for (const line of log.troubles()) {
          assert.match(
            line,
            /^Error the work of "orders" (failed in term \d+|failed|has ended, although it must not), and is started again/
          )
        }
      }))
  }

  test("begins with the shortest pause after work that ran for more than a minute", () =>
    Effect.gen(function*() {
      const { seen, work } = makeWork((count) =>
        count % 5 === 0 ? Effect.andThen(Effect.sleep("2 minutes"), new Broken()) : Effect.fail(new Broken())
      )
      yield* build(yield* startProcess(yield* openBucket()), work, { candidateId: "one" })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([seen.runs, seen.running], [5, 1])
      yield* TestClock.adjust("2 minutes")
      yield* TestClock.adjust("5 seconds")
      assert.isAtLeast(seen.runs, 7)
    }))

  test("hands leadership over after a failure: another process runs the work at once", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const first = makeWork(() => Effect.andThen(Effect.sleep("10 seconds"), new Broken()))
      const second = makeWork()
      yield* build(yield* startProcess(store), first.work)
      yield* settled
      yield* build(yield* startProcess(store), second.work)
      yield* TestClock.adjust("9 seconds")
      assert.deepStrictEqual([first.seen.running, second.seen.running], [1, 0])
      yield* TestClock.adjust("1500 millis")
      assert.deepStrictEqual([first.seen.running, second.seen.running], [0, 1])
    }))

  test("a failure is logged before leadership is handed over, and lines of the work have no annotations of the library", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const work = Effect.andThen(Effect.logInfo("working"), Effect.fail(new Broken()))
        yield* build(yield* startProcess(yield* openBucket()), work, { candidateId: "one" })
        yield* TestClock.adjust("500 millis")
      }).pipe(Effect.provide(log.layer))
      assert.deepStrictEqual(log.lines.map((line) => line.replace(/,.*/s, "")).slice(0, 5), [
        "Info campaigning for \"orders\"",
        "Info elected leader of \"orders\" in term 1",
        "Info working",
        "Error the work of \"orders\" failed in term 1",
        "Info handed over the leadership of \"orders\""
      ])
      assert.deepStrictEqual(log.subjects[2], {})
    }))

  test("after its pause it does not wait for other candidates again", () =>
    Effect.gen(function*() {
      const { seen, work } = makeWork((count) => count === 1 ? Effect.fail(new Broken()) : Effect.never)
      const process = yield* startProcess(yield* openBucket(), { timings: Election.resilient })
      yield* build(process, work, { candidateId: "one" })
      yield* settled
      yield* TestClock.adjust("1500 millis")
      yield* settled
      assert.deepStrictEqual([seen.runs, seen.running], [2, 1])
    }))

  test("runs its work again after a loss of leadership", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const { seen, work } = makeWork()
      yield* build(yield* startProcess(store), work)
      yield* TestClock.adjust("1 second")
      yield* usurp(store)
      yield* TestClock.adjust(3 * leaseDuration)
      assert.deepStrictEqual(seen, { runs: 2, running: 1, most: 1 })
    }))

  test("passes the leadership to work that is a function", () =>
    Effect.gen(function*() {
      const terms: Array<number> = []
      yield* build(yield* startProcess(yield* openBucket()), ({ term }) => {
        terms.push(term)
        return Effect.never
      })
      yield* settled
      assert.deepStrictEqual(terms, [1])
    }))

  test("ends with an error in the log once the connection is closed", () =>
    Effect.gen(function*() {
      const log = logged()
      const { seen, work } = makeWork()
      yield* Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket())
        yield* build(process, work)
        yield* settled
        yield* process.link.set(closed)
        yield* TestClock.adjust("10 minutes")
      }).pipe(Effect.provide(log.layer))
      assert.strictEqual(seen.running, 0)
      const errors = log.lines.filter((line) => line.startsWith("Error"))
      assert.strictEqual(errors.length, 1, errors.join("\n"))
      assert.match(errors[0]!, /the singleton "orders" failed/)
      assert.deepStrictEqual(log.unnamed(), [])
    }))

  test("refuses a name, options and work that are not valid, when it is built", () =>
    Effect.gen(function*() {
      const { election } = yield* startProcess(yield* openBucket())
      const refused = (name: unknown, work: unknown, options?: unknown) =>
        Layer.build(Layer.provide(
          Election.layerSingleton<never, never>(untyped(name), untyped(work), untyped(options)),
          Layer.succeed(Election.Election, election)
        ))
      yield* reasonOf(refused("a b", Effect.never), "InvalidName")
      yield* reasonOf(refused("a", Effect.never, { priority: -1 }), "InvalidConfig")
      const short = { ...timings, renewDeadline: 1 }
      yield* reasonOf(refused("a", Effect.never, { timings: short }), "InvalidConfig")
      const { problem } = yield* reasonOf(refused("a", Promise.resolve()), "InvalidConfig")
      assert.include(problem, "run: expected an Effect")
    }))
})
