/** Hand-overs. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as FencingToken from "../../../src/FencingToken.ts"
import type * as KVStore from "../../../src/KVStore.ts"

import { answerLost, away, countOf, silent, times } from "../../support/links.ts"
import { openBucket } from "../../support/suite.ts"
import { sentIn } from "./faults.ts"
import {
  atOnce,
  is,
  isTrue,
  leaseDuration,
  now,
  renewDeadline,
  renewInterval,
  takeover,
  type Tools
} from "./fixture.ts"
import { believers, only, recordIn, type Seat, seenIn, stand, startProcess, tagIn, usurp } from "./processes.ts"

export const handingOver = ({ backend, finish, test, until }: Tools) => {
  test("closing the scope writes a vacant record, and does not remove the key", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* one.close
      const { candidateId, term, vacant } = yield* recordIn(store)
      assert.deepStrictEqual([candidateId, term, vacant], ["one", 1, true])
      assert.isTrue(Option.isNone(yield* process.election.leader(only)))
      assert.isFalse(yield* one.isValid)
      assert.strictEqual(yield* one.leadership().lost, "resigned")
      assert.deepStrictEqual([countOf(process.link, "delete"), countOf(process.link, "purge")], [0, 0])
    }))

  test("closing the scope hands over at once, and terms and tokens grow", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const seats: Array<Seat> = []
      for (const name of ["one", "two", "three"]) {
        seats.push(yield* stand(yield* startProcess(store), finish, name))
        yield* until(seats[0]!.hasWon, isTrue)
      }
      for (const [index, seat] of seats.entries()) {
        yield* until(Effect.tap(seat.hasWon, () => believers(seats)), isTrue)
        const waiting = seats.slice(index + 1)
        const closedAt = yield* now
        yield* seat.close
        if (waiting.length === 0) break
        const [next] = yield* until(
          Effect.map(believers(seats), () => waiting.filter(({ seen }) => seen.leadership !== undefined)),
          (winners) => winners.length > 0
        )
        atOnce(backend, next!.seen.wonAt! - closedAt)
        seats.splice(index + 1, waiting.length, next!, ...waiting.filter((other) => other !== next))
      }
      const won = seats.map((seat) => seat.leadership())
      assert.deepStrictEqual(won.map(({ term }) => term), [1, 2, 3])
      const tokens = won.map(({ token }) => token)
      assert.deepStrictEqual(tokens.toSorted(FencingToken.Order), tokens)
      assert.isTrue(Order.isLessThan(FencingToken.Order)(tokens[0]!, tokens[2]!))
    }))

  test("resigning hands over at once, also while the scope is open", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      const { link } = two.process
      yield* until(Effect.sync(() => link.reads.length), (reads) => reads > 0)
      const resignedAt = yield* now
      yield* finish(one.leadership().resign)
      assert.isFalse(yield* one.isValid)
      yield* until(two.hasWon, isTrue)
      atOnce(backend, two.seen.wonAt! - resignedAt)
      yield* until(one.whyLost, is<unknown>("resigned"))
      // A second call has no effect.
      yield* finish(one.leadership().resign)
      assert.strictEqual((yield* recordIn(store)).candidateId, "two")
      assert.isTrue(yield* two.isValid)
    }))

  test("a candidate waits for twice renewInterval after it has resigned", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      const resignedAt = yield* now
      yield* finish(one.leadership().resign)
      const again = yield* stand(process, finish, "one")
      yield* until(again.hasWon, isTrue)
      const pause = again.seen.wonAt! - resignedAt
      assert.isAtLeast(pause, 2 * renewInterval)
      atOnce(backend, pause - 2 * renewInterval)
      assert.strictEqual(again.leadership().term, 2)
    }))

  test("a candidate that resigns during an outage waits for twice renewInterval after the hand-over has landed", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* process.link.set(away)
      const resignation = yield* Effect.forkChild(one.leadership().resign)
      const resignedAt = yield* now
      yield* until(now, (time) => time - resignedAt > 2 * renewInterval)
      yield* process.link.set(undefined)
      yield* finish(Fiber.join(resignation))
      const vacatedAt = process.link.landed.at(-1)!.sentAt
      const again = yield* stand(process, finish, "one")
      yield* until(again.hasWon, isTrue)
      assert.isAtLeast(again.seen.wonAt! - vacatedAt, 2 * renewInterval)
    }))

  test("a candidate that has resigned does not win before another candidate with a larger priority value", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two", { priority: 1 })
      yield* finish(one.leadership().resign)
      const again = yield* stand(process, finish, "one")
      yield* until(Effect.tap(two.hasWon, () => believers([again, two])), isTrue)
      assert.isFalse(yield* again.hasWon)
    }))

  const releases: ReadonlyArray<readonly [how: string, release: (one: Seat) => Effect.Effect<unknown>]> = [
    ["closing its scope", (one) => one.close],
    ["resigning", (one) => finish(one.leadership().resign)],
    ["interrupting it", (one) => one.interrupt]
  ]
  for (const [how, release] of releases) {
    test(`a leader is no longer valid when ${how} sends the hand-over`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const process = yield* startProcess(store)
        const one = yield* stand(process, finish, "one")
        yield* until(one.hasWon, isTrue)
        const valid: Array<boolean> = []
        yield* process.link.set((call, run) =>
          sentIn(call)?._tag === "Vacant" ? Effect.andThen(Effect.map(one.isValid, (is) => valid.push(is)), run) : run
        )
        yield* release(one)
        assert.deepStrictEqual(valid, [false])
        assert.strictEqual(yield* tagIn(store), "Vacant")
      }))
  }

  test("a leader whose hand-over lands without an answer has resigned, and the next candidate wins", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* one.process.link.set(times(1, "put", answerLost))
      yield* one.close
      assert.strictEqual(yield* one.leadership().lost, "resigned")
      const before = yield* seenIn(store)
      assert.strictEqual(before._tag, "Vacant")
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(two.hasWon, isTrue)
      assert.strictEqual(two.leadership().term, 2)
    }))

  for (const [how, fault] of [["fails", away], ["hangs", silent]] as const) {
    test(`a hand-over while the store ${how} is given up after the deadline, and leadership has expired`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* until(one.hasWon, isTrue)
        const { landed, set } = one.process.link
        yield* set(fault)
        yield* one.close
        assert.strictEqual(yield* one.leadership().lost, "expired")
        const since = (yield* now) - landed.at(-1)!.sentAt
        // The last attempt and a pause may still be running.
        assert.isAtLeast(since, renewDeadline - 3)
        assert.isBelow(since, leaseDuration + takeover)
        assert.strictEqual(yield* tagIn(store), "Held")
      }))
  }

  test("a hand-over succeeds after a renewal that lands late", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      let late: Effect.Effect<unknown, KVStore.KVStoreError> | undefined
      yield* one.process.link.set((call, run) => {
        if (sentIn(call)?._tag === "Held") {
          late ??= run
          return Effect.never
        }
        if (sentIn(call)?._tag !== "Vacant" || late === undefined) return run
        const landing = late
        late = undefined
        return Effect.andThen(landing, run)
      })
      yield* until(Effect.sync(() => late !== undefined), isTrue)
      yield* one.close
      assert.strictEqual(yield* one.leadership().lost, "resigned")
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("a hand-over does not overwrite the record of another candidate", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* usurp(store)
      yield* one.close
      assert.strictEqual((yield* recordIn(store)).candidateId, "usurper")
      assert.strictEqual(yield* tagIn(store), "Held")
      assert.strictEqual(yield* one.leadership().lost, "superseded")
    }))
}
