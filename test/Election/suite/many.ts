/** Many candidates, and many elections. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { keyOf } from "../../../src/internal/election/record.ts"
import { bytes } from "../../../tools/values.ts"
import { numbers, openBucket } from "../../support/suite.ts"
import { is, isTrue, last, type Tools } from "./fixture.ts"
import { believers, shown, stand, startProcess, tagIn, told } from "./processes.ts"

export const many = ({ finish, test, until }: Tools) => {
  test("of five candidates exactly one leads at a time, and each of them leads in turn", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const processes = yield* Effect.forEach(numbers(5), () => startProcess(store))
      const seats = yield* Effect.forEach(processes, (process, index) => stand(process, finish, `${index}`), {
        concurrency: "unbounded"
      })
      const terms: Array<number> = []
      const waiting = new Set(seats)
      while (waiting.size > 0) {
        yield* until(Effect.map(believers(seats), (count) => count === 1), isTrue)
        const leader = [...waiting].find(({ seen }) => seen.leadership !== undefined)
        terms.push(leader!.leadership().term)
        waiting.delete(leader!)
        yield* leader!.close
      }
      assert.deepStrictEqual(terms, [1, 2, 3, 4, 5])
    }))

  test("only one of several candidates with the same candidateId leads, also in one process", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const seats = [
        yield* stand(process, finish, "one"),
        yield* stand(process, finish, "one"),
        yield* stand(yield* startProcess(store), finish, "one")
      ]
      const landed = Effect.sync(() => seats.flatMap((seat) => seat.process.link.landed).length)
      yield* until(Effect.andThen(believers(seats), landed), (count) => count > 8)
      assert.strictEqual(yield* believers(seats), 1)
      assert.strictEqual(seats.filter(({ seen }) => seen.leadership !== undefined).length, 1)
    }))

  test("elections are independent, also if one name is the prefix of another", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const names = ["a", "a/b", "a-b", "A"]
      const seats = yield* Effect.forEach(names, (election) => stand(process, finish, election, { election }))
      for (const seat of seats) yield* until(seat.hasWon, isTrue)
      for (const election of names) {
        assert.strictEqual(shown(yield* process.election.leader(election)), `${election} in term 1`)
      }
      yield* seats[0]!.close
      yield* store.put(keyOf("A"), bytes("garbage"))
      yield* until(seats[3]!.whyLost, is<unknown>("superseded"))
      assert.deepStrictEqual(
        yield* Effect.forEach(names, (election) => tagIn(store, election)),
        ["Vacant", "Held", "Held", "Undecodable"]
      )
      for (const seat of seats.slice(1, 3)) assert.isTrue(yield* seat.isValid)
    }))

  test("many elections and observers of one service share one watch", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const other = yield* startProcess(store)
      const names = numbers(20).map((index) => `e${index}`)
      const leaders = yield* Effect.forEach(names, (election) => stand(process, finish, "one", { election }))
      for (const seat of leaders) yield* until(seat.hasWon, isTrue)
      const others = yield* Effect.forEach(names, (election) => stand(other, finish, "two", { election }))
      const changes = yield* Effect.forEach(names, (election) => told(other, election))
      for (const { all } of changes) yield* until(all, last("one in term 1"))
      yield* Effect.forEach(leaders, (seat) => seat.close)
      for (const seat of others) yield* until(seat.hasWon, isTrue)
      for (const { all } of changes) yield* until(all, last("two in term 2"))
      for (const { link } of [process, other]) {
        assert.deepStrictEqual(
          link.calls.filter(({ operation }) => operation === "watch").map(({ key }) => key),
          ["election.>,stepdown.>"]
        )
      }
    }))
}
