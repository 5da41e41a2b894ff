/** How time passes for a leader, when it ends, and what a lost write means: as tables. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Schema from "effect/Schema"
import type { LossReason } from "../../../src/ElectionError.ts"
import { deadline, ElapsedTime, landed, type ReadBack, sortOut } from "../../../src/internal/election/lease.ts"
import { absent, type Seen } from "../../../src/internal/election/record.ts"
import { held, undecodable, vacant } from "../../support/electionRecord.ts"

describe("elapsed time", () => {
  /** A host's two clocks, moved by hand, in milliseconds. */
  const makeClocks = () => {
    let monotonic = 5000
    let wall = 1_000_000
    const clock: Clock.Clock = {
      ...Clock.Clock.defaultValue(),
      currentTimeMillisUnsafe: () => wall,
      monotonicTimeNanosUnsafe: () => BigInt(Math.round(monotonic * 1_000_000))
    }
    const elapsed = new ElapsedTime(clock)
    return {
      elapsed,
      /** The sum after the clocks have moved by so much. */
      after: (monotonicDelta: number, wallDelta: number): number => {
        monotonic += monotonicDelta
        wall += wallDelta
        return elapsed.sample()
      }
    }
  }

  const table: ReadonlyArray<readonly [what: string, monotonic: number, wall: number, elapsed: number]> = [
    ["nothing where neither clock has moved", 0, 0, 0],
    ["what both clocks say where they agree", 1000, 1000, 1000],
    ["the monotonic clock's time where the wall clock was set back", 1000, -86_400_000, 1000],
    ["the monotonic clock's time where the wall clock is slow", 1000, 400, 1000],
    ["the wall clock's time where the machine was suspended", 0, 30_000, 30_000],
    ["the wall clock's time where it was set forward", 1000, 86_400_000, 86_400_000],
    ["nothing where only the wall clock has moved, and back", 0, -5000, 0],
    ["nothing where both have moved back", -10, -10, 0],
    ["parts of a millisecond too", 0.25, 0, 0.25]
  ]
  for (const [what, monotonic, wall, expected] of table) {
    it(`is ${what}`, () => {
      assert.strictEqual(makeClocks().after(monotonic, wall), expected)
    })
  }

  it("is summed over samples, each adding the larger difference", () => {
    const { after } = makeClocks()
    assert.strictEqual(after(1000, 1000), 1000)
    assert.strictEqual(after(0, 5000), 6000)
    assert.strictEqual(after(1000, -5000), 7000)
    // The wall clock is back where it would have been, and what it has told once stays told.
    assert.strictEqual(after(0, 0), 7000)
    assert.strictEqual(after(1000, 1000), 8000)
  })

  it("runs no faster for being asked often, though the wall clock tells whole milliseconds only", () => {
    const { after } = makeClocks()
    let elapsed = 0
    for (let asked = 1; asked <= 10_000; asked++) elapsed = after(0.1, asked % 10 === 0 ? 1 : 0)
    assert.isTrue(elapsed >= 999.9 && elapsed < 1002, `${elapsed}`)
  })

  it("misses nothing for being asked often where the monotonic clock is slow, or stands still", () => {
    for (const monotonic of [0, 0.5, 0.99]) {
      const { after } = makeClocks()
      let elapsed = 0
      for (let asked = 1; asked <= 1000; asked++) elapsed = after(monotonic, 1)
      assert.isTrue(elapsed >= 998 && elapsed <= 1000.1, `${elapsed}`)
    }
  })

  const Forward = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))
  const Delta = Schema.Int.check(Schema.isBetween({ minimum: -1000, maximum: 1000 }))
  it.prop(
    "never goes back, and from no sample to a later one falls behind either clock by more than two ticks",
    { steps: Schema.Array(Schema.Tuple([Forward, Delta])) },
    ({ steps }) => {
      const { after, elapsed } = makeClocks()
      const samples = [{ monotonic: 0, wall: 0, elapsed: elapsed.sample() }]
      for (const [monotonic, wall] of steps) {
        const now = { monotonic: 0, wall: 0, elapsed: after(monotonic, wall) }
        for (const before of samples) {
          before.monotonic += monotonic
          before.wall += wall
          assert.isAtLeast(now.elapsed - before.elapsed, before.monotonic)
          assert.isAtLeast(now.elapsed - before.elapsed, before.wall - 2)
        }
        samples.push(now)
      }
    }
  )
})

describe("a leader's deadline", () => {
  it("is counted from the sending of the attempt that landed last", () => {
    assert.strictEqual(deadline({ revision: 4, sentAt: 1000 }, 14_000), 15_000)
  })

  const table: ReadonlyArray<
    readonly [what: string, known: { revision: number; sentAt: number } | undefined, sentAt: number | undefined, number]
  > = [
    ["begins with the sending of the write that won", undefined, 1000, 1000],
    ["moves with an attempt that was sent later", { revision: 4, sentAt: 1000 }, 5000, 5000],
    ["does not move back for an attempt that was sent earlier", { revision: 4, sentAt: 5000 }, 1000, 5000],
    ["does not move for a revision whose sending is not known", { revision: 4, sentAt: 1000 }, undefined, 1000],
    ["lies in the past where no sending is known", undefined, undefined, Number.NEGATIVE_INFINITY]
  ]
  for (const [what, known, sentAt, expected] of table) {
    it(what, () => {
      assert.deepStrictEqual(landed(known, 5, sentAt), { revision: 5, sentAt: expected })
    })
  }
})

describe("a leader that lost a compare-and-set", () => {
  const lease = { revision: 10, sentAt: 1000 }
  const adopt = (revision: number): ReadBack => ({ _tag: "Adopt", revision, attempt: 5 })
  const readAgain: ReadBack = { _tag: "ReadAgain" }
  const over = (reason: LossReason): ReadBack => ({ _tag: "Over", reason })
  const theirs = { nonce: "theirs" }

  const cells: ReadonlyArray<readonly [what: string, seen: Seen, expected: ReadBack]> = [
    ["nothing", absent, over("removed")],
    ["its own later write", held(11), adopt(11)],
    ["the write that it knows of", held(10), adopt(10)],
    ["an older write of its own", held(9), readAgain],
    ["another's record", held(11, theirs), over("superseded")],
    ["another's record under the same revision", held(10, theirs), over("superseded")],
    ["a record from before its own time", held(9, theirs), readAgain],
    ["its own hand-over", vacant(11), over("resigned")],
    ["its own hand-over under the same revision", vacant(10), over("resigned")],
    ["its own hand-over of an earlier revision", vacant(9), readAgain],
    ["another's hand-over", vacant(11, theirs), over("superseded")],
    ["another's hand-over under the same revision", vacant(10, theirs), over("superseded")],
    ["another's hand-over from before its own time", vacant(9, theirs), readAgain],
    ["what does not decode", undecodable(11), over("superseded")],
    ["what does not decode under the same revision", undecodable(10), over("superseded")],
    ["what does not decode from before its own time", undecodable(9), readAgain]
  ]
  for (const [what, seen, expected] of cells) {
    const decision = expected._tag === "Over" ? `is ${expected.reason}` : `decides ${expected._tag}`
    it(`${decision} where it finds ${what}`, () => {
      assert.deepStrictEqual(sortOut("mine", lease, seen), expected)
    })
  }

  it("goes by the nonce, and not by the candidate's name", () => {
    const restarted = held(11, { candidateId: "a", nonce: "another-of-the-same-name" })
    assert.deepStrictEqual(sortOut("mine", lease, restarted), over("superseded"))
  })
})
