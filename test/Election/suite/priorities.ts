/** Priorities of candidates. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"

import { openBucket } from "../../support/suite.ts"
import { isTrue, now, renewInterval, type Tools } from "./fixture.ts"
import { believers, type Seat, stand, startProcess } from "./processes.ts"

export const priorities = ({ finish, test, until }: Tools) => {
  test("the candidate with the lowest priority value wins after a hand-over", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const seats: Array<Seat> = []
      for (const priority of [3, 2, 1]) {
        seats.push(yield* stand(yield* startProcess(store), finish, `${priority}`, { priority }))
      }
      for (const { process } of seats) {
        yield* until(Effect.sync(() => process.link.reads.length), (reads) => reads > 0)
      }
      const closedAt = yield* now
      yield* one.close
      yield* until(Effect.map(believers(seats), (count) => count > 0), isTrue)
      const [third, second, first] = seats
      assert.isTrue(yield* first!.hasWon)
      assert.isAtLeast(first!.seen.wonAt! - closedAt, renewInterval)
      assert.deepStrictEqual([yield* second!.hasWon, yield* third!.hasWon], [false, false])
    }))
}
