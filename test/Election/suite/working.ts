/** Work that runs while its candidate leads (`whileLeader`). */
import { assert } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Election from "../../../src/Election.ts"
import { countOf, silent } from "../../support/links.ts"
import { numbers, openBucket } from "../../support/suite.ts"
import { vacantSent } from "./faults.ts"
import { is, isTrue, last, leaseDuration, renewInterval, type Tools } from "./fixture.ts"
import { employ, only, stand, startProcess, tagIn, usurp } from "./processes.ts"

export const working = ({ finish, test, until, wait }: Tools) => {
  test("work runs while its candidate leads, and then whileLeader hands over and returns the value of the work", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* employ(process, finish, "one", (leadership) =>
        Effect.gen(function*() {
          assert.isTrue(yield* leadership.isValid)
          assert.deepStrictEqual([leadership.candidateId, leadership.term], ["one", 1])
          assert.strictEqual(yield* Effect.orDie(tagIn(store)), "Held")
          return "done"
        }))
      assert.deepStrictEqual(yield* one.ending, Exit.succeed("done"))
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  const failures: ReadonlyArray<readonly [how: string, work: Effect.Effect<never, string>]> = [
    ["fails", Effect.fail("broken")],
    ["dies", Effect.die("broken")],
    ["interrupts itself", Effect.interrupt]
  ]
  for (const [how, work] of failures) {
    test(`whileLeader has the exit of work that ${how}, and hands leadership over`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* employ(yield* startProcess(store), finish, "one", () => work)
        const ending = yield* one.ending
        const expected = yield* Effect.exit(work)
        const reasons = (exit: Exit.Exit<unknown, unknown>) =>
          Exit.isFailure(exit) ? exit.cause.reasons.map(({ _tag }) => _tag) : []
        assert.isAbove(reasons(ending).length, 0)
        assert.deepStrictEqual(reasons(ending), reasons(expected))
        assert.strictEqual(yield* tagIn(store), "Vacant")
      }))
  }

  test("work is interrupted after a loss, awaited before the next campaign, and runs again after the next win", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const log: Array<string> = []
      yield* employ(process, finish, "one", (leadership) =>
        Effect.gen(function*() {
          log.push(`began ${leadership.term}`)
          yield* Effect.addFinalizer(() =>
            Effect.gen(function*() {
              const writes = countOf(process.link, "put")
              log.push(`stops, valid: ${yield* leadership.isValid}`)
              yield* Effect.sleep(2 * renewInterval)
              // There is no hand-over and no new campaign while the work stops.
              log.push(`stopped, writes: ${countOf(process.link, "put") - writes}`)
            })
          )
          const reason = yield* leadership.lost
          log.push(`lost ${reason}`)
          return yield* Effect.never
        }))
      const so = Effect.sync(() => [...log])
      yield* until(so, last("began 1"))
      yield* usurp(store)
      yield* until(so, last("began 3"))
      const stopping = log.filter((line) => !line.startsWith("lost"))
      assert.deepStrictEqual(stopping, ["began 1", "stops, valid: false", "stopped, writes: 0", "began 3"])
    }))

  test("work that resigns is stopped first, another candidate takes over, and later it runs again", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const log: Array<string> = []
      const stopping: Array<string> = []
      let active = 0
      const resigning = (name: string) => (leadership: Election.Leadership) =>
        Effect.gen(function*() {
          log.push(`${name} ${leadership.term}${++active > 1 ? " at the same time" : ""}`)
          yield* Effect.addFinalizer(() =>
            Effect.gen(function*() {
              stopping.push(`valid: ${yield* leadership.isValid}`)
              yield* Effect.sleep(20)
              stopping.push(yield* Effect.orDie(tagIn(store)))
              active--
            })
          )
          yield* leadership.resign
          return yield* Effect.die("work continued after it resigned")
        })
      const seats = [
        yield* employ(yield* startProcess(store), finish, "one", resigning("one")),
        yield* employ(yield* startProcess(store), finish, "two", resigning("two"))
      ]
      yield* until(Effect.sync(() => log.length), (count) => count >= 4)
      for (const seat of seats) assert.isFalse(yield* seat.hasEnded)
      // Each candidate waits after its term, so that they lead in turn.
      const [first, second] = log[0] === "one 1" ? ["one", "two"] : ["two", "one"]
      assert.deepStrictEqual(log.slice(0, 4), [`${first} 1`, `${second} 2`, `${first} 3`, `${second} 4`])
      assert.deepStrictEqual(stopping.slice(0, 6), numbers(3).flatMap(() => ["valid: false", "Held"]))
    }))

  test("work whose finalizer resigns does not deadlock", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      let terms = 0
      const one = yield* employ(yield* startProcess(store), finish, "one", (leadership) =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => leadership.resign)
          return ++terms
        }))
      yield* until(Effect.zipWith(one.hasEnded, tagIn(store), (ended, tag) => ended || tag === "Vacant"), isTrue)
      yield* one.interrupt
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("work whose finalizer resigns or proclaims can be interrupted", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const refusals: Array<string> = []
      for (const last of ["resign", "proclaim"] as const) {
        const began = Deferred.makeUnsafe<void>()
        const one = yield* employ(yield* startProcess(store), finish, "one", (leadership) =>
          Effect.gen(function*() {
            const proclaim = Effect.match(leadership.proclaim({ zone: "a" }), {
              onFailure: ({ reason }) => refusals.push(reason._tag),
              onSuccess: () => refusals.push("proclaimed")
            })
            yield* Effect.addFinalizer(() => last === "resign" ? leadership.resign : proclaim)
            yield* Deferred.succeed(began, undefined)
            return yield* Effect.never
          }))
        yield* until(Deferred.isDone(began), isTrue)
        yield* one.interrupt
        assert.strictEqual(yield* tagIn(store), "Vacant")
      }
      assert.deepStrictEqual(refusals, ["LeadershipLost"])
    }))

  test("resources of the work are released after it has stopped and before another candidate can lead", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const log: Array<string> = []
      const began = Deferred.makeUnsafe<void>()
      const work = Effect.gen(function*() {
        yield* Effect.acquireRelease(
          Effect.void,
          () => Effect.map(Effect.orDie(tagIn(store)), (tag) => log.push(`released, ${tag}`))
        )
        yield* Deferred.succeed(began, undefined)
        return yield* Effect.ensuring(
          Effect.never,
          Effect.andThen(Effect.sleep(50), Effect.sync(() => log.push("stopped")))
        )
      })
      const fiber = yield* Effect.forkChild(Effect.scoped(process.election.whileLeader(only, () => work)))
      yield* until(Deferred.isDone(began), isTrue)
      yield* finish(Fiber.interrupt(fiber))
      assert.deepStrictEqual(log, ["stopped", "released, Held"])
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("interrupting whileLeader stops the work first, renews while it stops, and then hands over", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const { landed } = process.link
      const began = Deferred.makeUnsafe<void>()
      const stopping: Array<boolean> = []
      let renewals = 0
      const one = yield* employ(process, finish, "one", (leadership) =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() =>
            Effect.gen(function*() {
              // It is false from the start of the release, and stays false.
              stopping.push(yield* leadership.isValid)
              const before = landed.length
              yield* Effect.sleep(leaseDuration + renewInterval)
              renewals = landed.length - before
              stopping.push(yield* leadership.isValid, vacantSent(process.link))
            })
          )
          yield* Deferred.succeed(began, undefined)
          return yield* Effect.never
        }))
      yield* until(Deferred.isDone(began), isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* one.interrupt
      // The work stopped for longer than a lease, and no other candidate won.
      assert.isAbove(renewals, 3)
      assert.deepStrictEqual(stopping, [false, false, false])
      yield* until(two.hasWon, isTrue)
      assert.strictEqual(two.leadership().term, 2)
      assert.isTrue(vacantSent(process.link))
    }))

  test("the work of several candidates never overlaps, also when their links fail", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const log: Array<string> = []
      let active = 0
      const work = (name: string) => (leadership: Election.Leadership) =>
        Effect.gen(function*() {
          yield* Effect.acquireRelease(
            Effect.sync(() => {
              log.push(name)
              assert.strictEqual(++active, 1, log.join())
            }),
            () => Effect.sleep(20).pipe(Effect.tap(() => Effect.sync(() => active--)))
          )
          yield* Effect.sleep(50)
          if (log.length % 4 !== 0) return yield* leadership.resign
          return yield* Effect.never
        })
      const processes = yield* Effect.forEach(numbers(3), () => startProcess(store))
      for (const [index, process] of processes.entries()) {
        yield* employ(process, finish, `${index}`, work(`${index}`))
      }
      // Disconnects each candidate whose work would not end.
      for (const round of [4, 8]) {
        yield* until(Effect.sync(() => log.length), (count) => count >= round)
        const leader = processes[Number(log[round - 1])]!
        yield* leader.link.set(silent)
        yield* until(Effect.sync(() => active), is(0))
        yield* leader.link.set(undefined)
      }
      yield* until(Effect.sync(() => log.length), (count) => count >= 10)
      assert.isAbove(new Set(log).size, 1)
    }))

  test("a leader stays valid while candidates start and stop, and they write nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      for (const index of numbers(5)) {
        const other = yield* stand(yield* startProcess(store), finish, `${index}`)
        yield* until(Effect.sync(() => other.process.link.reads.length), (reads) => reads > 0)
        yield* wait(20)
        yield* other.interrupt
        assert.strictEqual(countOf(other.process.link, "put"), 0)
      }
      assert.isTrue(yield* one.isValid)
    }))
}
