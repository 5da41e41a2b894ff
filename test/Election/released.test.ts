/**
 * Candidates whose fibers outlive the layer of their election, as those of `Effect.forkChild` do: they end with the layer,
 * while the store can still be reached.
 */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import * as KVStore from "../../src/KVStore.ts"
import { away, makeLink } from "../support/links.ts"
import { logged, openBucket } from "../support/suite.ts"
import { leaseDuration, now, renewDeadline, renewInterval, timings } from "./suite/fixture.ts"
import { finish, settled, test } from "./suite/inMemory.ts"
import { only, stand, startProcess, tagIn } from "./suite/processes.ts"

/** Runs a program with an election, whose store cannot be reached once the layer has been released. */
const provided = Effect.fnUntraced(function*<A, E>(program: Effect.Effect<A, E, Election.Election>) {
  const store = yield* openBucket()
  const link = makeLink()
  const closing = Layer.effectDiscard(Effect.addFinalizer(() => link.set(away)))
  const layer = Election.layer({ timings }).pipe(
    Layer.provide(Layer.provideMerge(link.layer, Layer.merge(closing, Layer.succeed(KVStore.KVStore, store))))
  )
  return { store, link, running: yield* Effect.forkChild(Effect.exit(Effect.provide(program, layer))) }
})

describe("Election in memory: a layer that is released", () => {
  test("stops the work of a leader in a fiber of forkChild, and hands over before the store is closed", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const events: Array<string> = []
        const work = Effect.onInterrupt(
          Effect.never,
          () => Effect.andThen(Effect.sleep(200), Effect.sync(() => events.push("stopped")))
        )
        const { running, store } = yield* provided(Effect.gen(function*() {
          const election = yield* Election.Election
          yield* Effect.forkChild(election.whileLeader(only, () => work))
          yield* Effect.sleep(1000)
        }))
        const other = yield* Effect.andThen(settled, stand(yield* startProcess(store), finish, "other"))
        yield* TestClock.adjust(1000)
        assert.isFalse(yield* other.hasWon)
        yield* TestClock.adjust(220)
        assert.deepStrictEqual(events, ["stopped"])
        assert.isTrue(yield* other.hasWon)
        yield* finish(Fiber.join(running))
      }).pipe(Effect.provide(log.layer))
      assert.deepStrictEqual([...log.troubles(), ...log.unnamed()], [])
      assert.include(log.lines, "Info handed over the leadership of \"orders\"")
    }))

  test("ends the campaign of a candidate, which sends no attempt afterwards", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const call = yield* Deferred.make<Fiber.Fiber<never, Election.ElectionError>>()
        const { link, running, store } = yield* provided(Effect.gen(function*() {
          const election = yield* Election.Election
          yield* Effect.sleep(100)
          yield* Deferred.succeed(call, yield* Effect.forkDetach(election.whileLeader(only, () => Effect.never)))
          yield* Effect.sleep(1000)
        }))
        const leader = yield* stand(yield* startProcess(store), finish, "leader")
        yield* TestClock.adjust(1100)
        yield* finish(Fiber.join(running))
        const error = yield* Effect.flip(Fiber.join(yield* Deferred.await(call)))
        assert.include(error.message, "the layer of Election was released")
        const { length } = link.calls
        yield* leader.close
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(link.calls.length, length)
        assert.strictEqual(yield* tagIn(store), "Vacant")
      }).pipe(Effect.provide(log.layer))
      assert.deepStrictEqual([...log.troubles(), ...log.unnamed()], [])
    }))

  test("does not wait for longer than the term of a leader whose work does not stop", () =>
    Effect.gen(function*() {
      const stop = Deferred.makeUnsafe<void>()
      yield* Effect.addFinalizer(() => Deferred.succeed(stop, undefined))
      const work = Effect.onInterrupt(Effect.never, () => Deferred.await(stop))
      const { running } = yield* provided(Effect.gen(function*() {
        const election = yield* Election.Election
        yield* Effect.forkDetach(election.whileLeader(only, () => work, { stopTimeout: 1000 }))
        yield* Effect.sleep(1000)
      }))
      yield* TestClock.adjust(1000)
      const from = yield* now
      yield* TestClock.adjust(1000 + renewDeadline - renewInterval - 10)
      assert.isUndefined(running.pollUnsafe())
      yield* TestClock.adjust(renewInterval + 20)
      assert.isDefined(running.pollUnsafe())
      assert.isAtMost((yield* now) - from, 1000 + renewDeadline + 10)
    }))

  test("returns the failure of work that fails while it stops", () =>
    Effect.gen(function*() {
      const call = yield* Deferred.make<Fiber.Fiber<never, Election.ElectionError | "broken">>()
      const work = Effect.uninterruptibleMask((restore) =>
        Effect.andThen(Effect.exit(restore(Effect.never)), Effect.fail("broken" as const))
      )
      const { running } = yield* provided(Effect.gen(function*() {
        const election = yield* Election.Election
        yield* Deferred.succeed(call, yield* Effect.forkDetach(election.whileLeader(only, () => work)))
        yield* Effect.sleep(1000)
      }))
      yield* TestClock.adjust(1010)
      yield* finish(Fiber.join(running))
      assert.deepStrictEqual(yield* Fiber.await(yield* Deferred.await(call)), Exit.fail("broken" as const))
    }))

  test("does not hand over a leadership of campaign, whose work it does not know", () =>
    Effect.gen(function*() {
      const { running, store } = yield* provided(Effect.gen(function*() {
        const election = yield* Election.Election
        yield* Effect.forkDetach(Effect.scoped(Effect.andThen(election.campaign(only), Effect.never)))
        yield* Effect.sleep(1000)
      }))
      const other = yield* Effect.andThen(settled, stand(yield* startProcess(store), finish, "other"))
      yield* TestClock.adjust(1010)
      yield* finish(Fiber.join(running))
      assert.strictEqual(yield* tagIn(store), "Held")
      yield* TestClock.adjust(leaseDuration)
      assert.isTrue(yield* other.hasWon)
    }))

  test("ends what observes, and later operations fail", () =>
    Effect.gen(function*() {
      const held = yield* Deferred.make<Election.Election["Service"]>()
      const observed = yield* Deferred.make<Fiber.Fiber<void, Election.ElectionError>>()
      const { running } = yield* provided(Effect.gen(function*() {
        const election = yield* Election.Election
        yield* Deferred.succeed(held, election)
        const observing = Stream.runDrain(election.observe(only))
        yield* Deferred.succeed(observed, yield* Effect.forkDetach(observing))
        yield* Effect.sleep(1000)
      }))
      yield* TestClock.adjust(1000)
      yield* finish(Fiber.join(running))
      const election = yield* Deferred.await(held)
      const failures: ReadonlyArray<Effect.Effect<unknown, Election.ElectionError>> = [
        Fiber.join(yield* Deferred.await(observed)),
        Stream.runDrain(election.observe(only)),
        election.stepDown(only),
        Effect.scoped(election.campaign(only)),
        election.whileLeader(only, () => Effect.void)
      ]
      for (const failing of failures) {
        const { message } = yield* finish(Effect.flip(failing))
        assert.include(message, "the layer of Election was released")
      }
    }))
})

describe("Election in memory: a campaign whose scope is closed", () => {
  for (const when of ["before", "while it waits"] as const) {
    test(`${when} is interrupted, and the election is free`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const leader = yield* stand(yield* startProcess(store), finish, "leader")
        yield* settled
        const { election } = yield* startProcess(store)
        const scope = yield* Scope.make()
        if (when === "before") yield* Scope.close(scope, Exit.void)
        const campaign = yield* Effect.forkScoped(Scope.provide(election.campaign(only), scope))
        yield* TestClock.adjust(1000)
        if (when !== "before") yield* Scope.close(scope, Exit.void)
        yield* settled
        const exit = campaign.pollUnsafe()
        assert.isTrue(exit !== undefined && Exit.hasInterrupts(exit))
        yield* leader.close
        assert.strictEqual(yield* tagIn(store), "Vacant")
        assert.deepStrictEqual(yield* election.candidates, [])
      }))
  }
})
