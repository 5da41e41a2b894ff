/** Elections whose record other clients write or remove. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as FencingToken from "../../../src/FencingToken.ts"
import { keyOf } from "../../../src/internal/election/record.ts"
import { bytes } from "../../../tools/values.ts"

import { away, countOf, on, silent } from "../../support/links.ts"
import { openBucket } from "../../support/suite.ts"
import { atOnce, is, isTrue, leaseDuration, now, takeover, timings, type Tools } from "./fixture.ts"
import { believers, only, recordIn, stand, startProcess, tagIn, usurp } from "./processes.ts"

export const byHand = ({ backend, finish, test, until, wait }: Tools) => {
  for (const operation of ["delete", "purge"] as const) {
    test(`a leader loses leadership at its next renewal after ${operation}, and creates no record`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* until(one.hasWon, isTrue)
        yield* store[operation](keyOf(only))
        const writes = one.process.link.landed.length
        yield* until(one.whyLost, is<unknown>("removed"))
        assert.isFalse(yield* one.isValid)
        assert.strictEqual(yield* tagIn(store), "Absent")
        assert.strictEqual(one.process.link.landed.length, writes)
      }))

    test(`a challenger that has observed a record waits for the lease in the record after ${operation}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* until(one.hasWon, isTrue)
        const two = yield* stand(yield* startProcess(store), finish, "two")
        const { landed, set } = one.process.link
        yield* until(Effect.sync(() => landed.length), (count) => count > 1)
        // The leader cannot notice the removal.
        yield* set(silent)
        yield* store[operation](keyOf(only))
        yield* until(Effect.tap(two.hasWon, () => believers([one, two])), isTrue)
        const { sentAt } = landed.at(-1)!
        assert.isAtLeast(two.seen.wonAt! - sentAt, leaseDuration)
        assert.isAtMost(two.seen.wonAt! - sentAt, leaseDuration + takeover)
        assert.strictEqual(two.leadership().term, 2)
      }))
  }

  test("after the record is purged, a process that never observed it wins at once, without waiting for the lease (a documented limit)", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* one.process.link.set(silent)
      yield* store.purge(keyOf(only))
      const began = yield* now
      const newcomer = yield* stand(yield* startProcess(store), finish, "newcomer")
      yield* until(newcomer.hasWon, isTrue)
      atOnce(backend, newcomer.seen.wonAt! - began)
      // The term is lost with the record, but the token still grows.
      assert.strictEqual(newcomer.leadership().term, 1)
      assert.isTrue(Order.isLessThan(FencingToken.Order)(one.leadership().token, newcomer.leadership().token))
    }))

  for (const vacant of [false, true]) {
    test(`a leader is superseded if another candidate ${vacant ? "won and resigned" : "won"}, and writes nothing`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* until(one.hasWon, isTrue)
        yield* usurp(store, { vacant })
        yield* until(one.whyLost, is<unknown>("superseded"))
        assert.isFalse(yield* one.isValid)
        assert.strictEqual((yield* recordIn(store)).candidateId, "usurper")
        assert.strictEqual(yield* tagIn(store), vacant ? "Vacant" : "Held")
      }))
  }

  test("a record that cannot be decoded supersedes the leader, and challengers do not win within their lease", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      const observer = yield* startProcess(store)
      yield* until(Effect.sync(() => two.process.link.reads.length), (reads) => reads > 0)
      yield* store.put(keyOf(only), bytes("{}"))
      yield* until(one.whyLost, is<unknown>("superseded"))
      assert.isTrue(Option.isNone(yield* observer.election.leader(only)))
      yield* wait(leaseDuration + takeover)
      assert.isFalse(yield* two.hasWon)
      assert.strictEqual(yield* tagIn(store), "Undecodable")
    }))

  test("a challenger waits for the LEADER'S lease", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const longer = leaseDuration + 400
      const one = yield* stand(yield* startProcess(store), finish, "one", {
        timings: { ...timings, leaseDuration: longer }
      })
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two", {
        timings: { leaseDuration: 600, renewDeadline: 500, renewInterval: 200 }
      })
      yield* one.process.link.set(silent)
      yield* until(two.hasWon, isTrue)
      const { sentAt } = one.process.link.landed.at(-1)!
      assert.isAtLeast(two.seen.wonAt! - sentAt, longer)
      assert.isAtMost(two.seen.wonAt! - sentAt, longer + takeover)
    }))

  test("a failed read does not count as an absent record", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const seats = [one]
      for (const fault of [away, silent]) {
        const process = yield* startProcess(store)
        yield* process.link.set(on(["get", "watch"], fault))
        seats.push(yield* stand(process, finish, "blind"))
      }
      const { landed } = one.process.link
      yield* until(Effect.map(believers(seats), () => landed.length), (count) => count > 8)
      for (const { process } of seats.slice(1)) {
        assert.isAbove(countOf(process.link, "get"), 3)
        assert.strictEqual(countOf(process.link, "put"), 0)
      }
      assert.isTrue(yield* one.isValid)
    }))
}
