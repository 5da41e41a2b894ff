/** Work that campaigns itself, and the default `candidateId`, in virtual time. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import * as KVStore from "../../src/KVStore.ts"
import { openBucket } from "../support/suite.ts"
import { leaseDuration, now, renewInterval, timings } from "./suite/fixture.ts"
import { finish, settled, test } from "./suite/inMemory.ts"
import { only, type Process, reasonOf, recordIn, startProcess, tagIn, usurp } from "./suite/processes.ts"

describe("Election in memory: work that campaigns", () => {
  const nested: ReadonlyArray<
    readonly [what: string, ({ election }: Process) => Effect.Effect<unknown, Election.ElectionError>]
  > = [
    ["whileLeader", ({ election }) => election.whileLeader(only, () => Effect.void)],
    ["campaign", ({ election }) => Effect.scoped(election.campaign(only))],
    [
      "layerSingleton",
      ({ election }) =>
        Effect.scoped(Layer.build(
          Layer.provide(Election.layerSingleton(only, Effect.never), Layer.succeed(Election.Election, election))
        ))
    ]
  ]
  for (const [what, ask] of nested) {
    test(`${what} for the election of the work fails with InvalidConfig, and the work leads on`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const process = yield* startProcess(store)
        const work = Effect.gen(function*() {
          const { problem } = yield* reasonOf(ask(process), "InvalidConfig")
          const within = yield* reasonOf(process.election.whileLeader("other", () => ask(process)), "InvalidConfig")
          assert.strictEqual(within.problem, problem)
          return problem
        })
        const fiber = yield* Effect.forkChild(process.election.whileLeader(only, () => work))
        yield* TestClock.adjust("5 seconds")
        const exit = fiber.pollUnsafe()
        assert.isDefined(exit)
        const problem = Exit.isSuccess(exit!) ? exit!.value : assert.fail("the work failed")
        assert.include(problem, `election: expected another one than "${only}"`)
        assert.strictEqual(yield* tagIn(store), "Vacant")
        assert.strictEqual((yield* recordIn(store)).term, 1)
      }))
  }

  test("another service over the same store refuses the election of the work, too", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const make = Effect.provideService(Election.make({ timings }), KVStore.KVStore, store)
      const [one, two] = [yield* make, yield* make]
      const asked = one.whileLeader(only, () => reasonOf(two.whileLeader(only, () => Effect.void), "InvalidConfig"))
      const fiber = yield* Effect.forkChild(asked)
      yield* TestClock.adjust("5 seconds")
      assert.isDefined(fiber.pollUnsafe())
    }))

  test("work can campaign for an election of the same name in another bucket", () =>
    Effect.gen(function*() {
      const one = yield* startProcess(yield* openBucket())
      const two = yield* startProcess(yield* openBucket())
      const asked = one.election.whileLeader(only, () => two.election.whileLeader(only, () => Effect.succeed("done")))
      const fiber = yield* Effect.forkChild(asked)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed("done"))
    }))

  test("work can campaign for another election, and observe its own", () =>
    Effect.gen(function*() {
      const { election } = yield* startProcess(yield* openBucket())
      const work = Effect.gen(function*() {
        yield* election.leader(only)
        return yield* election.whileLeader("other", ({ term }) => Effect.succeed(term))
      })
      const fiber = yield* Effect.forkChild(election.whileLeader(only, () => work))
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(fiber.pollUnsafe(), Exit.succeed(1))
    }))

  const ends: ReadonlyArray<
    readonly [
      how: string,
      end: (store: Parameters<typeof usurp>[0], fiber: Fiber.Fiber<unknown, unknown>) => Effect.Effect<unknown, unknown>
    ]
  > = [
    ["was handed over", (_, fiber) => finish(Fiber.interrupt(fiber))],
    ["was lost", (store) => usurp(store)]
  ]
  for (const [how, end] of ends) {
    test(`a fiber that the work has detached can campaign for the same election once the term ${how}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const { election } = yield* startProcess(store)
        const go = Deferred.makeUnsafe<void>()
        const terms: Array<number> = []
        const later = Effect.andThen(
          Deferred.await(go),
          election.whileLeader(only, ({ term }) => Effect.sync(() => terms.push(term)))
        )
        const detached = yield* Deferred.make<Fiber.Fiber<unknown, Election.ElectionError>>()
        const fiber = yield* Effect.forkChild(election.whileLeader(only, () =>
          Effect.gen(function*() {
            yield* Deferred.succeed(detached, yield* Effect.forkDetach(later))
            return yield* Effect.never
          })))
        yield* settled
        yield* end(store, fiber)
        yield* TestClock.adjust(renewInterval)
        yield* finish(Fiber.interrupt(fiber))
        yield* Deferred.succeed(go, undefined)
        yield* TestClock.adjust(3 * leaseDuration)
        assert.strictEqual(terms.length, 1)
        const exit = (yield* Deferred.await(detached)).pollUnsafe()
        assert.isTrue(exit !== undefined && Exit.isSuccess(exit))
      }))
  }
})

describe("Election in memory: the default candidateId", () => {
  test("is one per service, and another one in another service", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const name = (election: Election.Election["Service"], of: string) =>
        finish(election.whileLeader(of, ({ candidateId }) => Effect.succeed(candidateId)))
      const one = (yield* startProcess(store)).election
      const ids = [yield* name(one, "a"), yield* name(one, "a"), yield* name(one, "b")]
      assert.strictEqual(new Set(ids).size, 1)
      assert.match(ids[0]!, new RegExp(`-${process.pid}-[0-9a-z]{8}$`))
      const two = (yield* startProcess(store)).election
      assert.notStrictEqual(yield* name(two, "c"), ids[0])
    }))

  test("a candidate with the default id waits for twice renewInterval after its term", () =>
    Effect.gen(function*() {
      const { election } = yield* startProcess(yield* openBucket())
      const won = (of: string) => finish(election.whileLeader(of, () => now))
      yield* won(only)
      const endedAt = yield* now
      assert.isAtLeast((yield* won(only)) - endedAt, 2 * renewInterval - 20)
      const next = yield* now
      assert.isAtMost((yield* won("other")) - next, 20)
    }))
})
