/** `leader` and `observe` agree at every millisecond around the end of a lease. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"

import type * as Election from "../../src/Election.ts"
import { encode, keyOf } from "../../src/internal/election/record.ts"
import { on, silent } from "../support/links.ts"
import { openBucket, record } from "../support/suite.ts"
import { leaseDuration, now, renewInterval } from "./suite/fixture.ts"
import { finish, settled, test, two } from "./suite/inMemory.ts"
import { employ, only, type Process, recordIn, shown, stand, startProcess, told } from "./suite/processes.ts"

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

  test("observers see that the work of a leader stops from its next renewal on, and a challenger still waits", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* employ(
        yield* startProcess(store),
        finish,
        "one",
        () => Effect.onInterrupt(Effect.never, () => Effect.sleep(5 * renewInterval)),
        { metadata: { zone: "a" } }
      )
      yield* settled
      const other = yield* stand(yield* startProcess(store), finish, "two")
      const observer = yield* startProcess(store)
      const stateOf = Option.match<string, Election.LeaderRecord, string>({
        onNone: () => "no leader",
        onSome: ({ candidateId, metadata, state }) => `${candidateId} ${state} ${JSON.stringify(metadata)}`
      })
      const { events } = yield* record(Stream.map(observer.election.observe(only), stateOf))
      yield* TestClock.adjust(renewInterval / 2)
      yield* Effect.forkChild(Fiber.interrupt(one.fiber))
      yield* settled
      assert.deepStrictEqual(events, ["one Leading {\"zone\":\"a\"}"])
      yield* TestClock.adjust(renewInterval)
      const stopping = ["one Leading {\"zone\":\"a\"}", "one Releasing {\"zone\":\"a\"}"]
      assert.deepStrictEqual(events, stopping)
      assert.strictEqual(stateOf(yield* observer.election.leader(only)), stopping[1])
      yield* TestClock.adjust(3 * renewInterval)
      assert.deepStrictEqual(events, stopping)
      assert.isFalse(yield* other.hasWon)
      yield* TestClock.adjust(renewInterval)
      assert.deepStrictEqual(events.slice(-1), ["two Leading {}"])
    }))

  test("a record with the state of a later version is that of a leader", () =>
    Effect.gen(function*() {
      const { store } = yield* two()
      yield* store.put(keyOf(only), encode({ ...yield* recordIn(store), state: "Pausing" }))
      const leader = Option.getOrThrow(yield* (yield* startProcess(store)).election.leader(only))
      assert.strictEqual(leader.state, "Leading")
    }))
})
