/** `leader` and `observe` agree at every millisecond around the end of a lease. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"

import { on, silent } from "../support/links.ts"
import { leaseDuration, now, renewInterval } from "./suite/fixture.ts"
import { settled, test, two } from "./suite/inMemory.ts"
import { only, type Process, shown, startProcess, told } from "./suite/processes.ts"

describe("Election in memory: observers", () => {
  /** The first events of a stream that is opened now, before time passes. */
  const opened = Effect.fnUntraced(function*(process: Process) {
    const { events } = yield* told(process)
    yield* settled
    return events
  })

  for (const offset of [-2, -1, 0, 1, 2]) {
    test(`leader and observe report the leader until its lease ends, and none from then on (at ${offset} ms)`, () =>
      Effect.gen(function*() {
        const { link, store, two: other } = yield* two()
        // The second candidate would win at the end of the lease.
        yield* other.interrupt
        const watching = yield* startProcess(store)
        const open = yield* told(watching)
        yield* TestClock.adjust(4 * renewInterval + 17)
        yield* link.set(silent)
        const { sentAt } = link.landed.at(-1)!
        const newcomer = yield* startProcess(store)
        const reader = yield* startProcess(store)
        yield* TestClock.adjust(sentAt + leaseDuration + offset - (yield* now))
        yield* settled
        const answers = {
          leader: shown(yield* watching.election.leader(only)),
          leaderElsewhere: shown(yield* reader.election.leader(only)),
          longOpen: open.events.at(-1),
          opened: yield* opened(watching),
          openedElsewhere: yield* opened(newcomer)
        }
        const expected = offset < 0 ? "one in term 1" : "no leader"
        assert.deepStrictEqual(answers, {
          leader: expected,
          leaderElsewhere: expected,
          longOpen: expected,
          opened: [expected],
          openedElsewhere: [expected]
        })
      }))
  }

  test("a leader whose lease ends while the epoch is read is not reported", () =>
    Effect.gen(function*() {
      const { link, store, two: other } = yield* two()
      yield* other.interrupt
      yield* link.set(silent)
      yield* TestClock.adjust(leaseDuration - 100)
      const observer = yield* startProcess(store)
      yield* observer.link.set(on("status", (_, run) => Effect.delay(run, 200)))
      const asked = yield* Effect.forkChild(observer.election.leader(only))
      const first = yield* Effect.forkChild(Stream.runHead(observer.election.observe(only)))
      yield* settled
      yield* TestClock.adjust(300)
      assert.strictEqual(shown(yield* Fiber.join(asked)), "no leader")
      assert.strictEqual(shown(Option.flatten(yield* Fiber.join(first))), "no leader")
    }))
})
