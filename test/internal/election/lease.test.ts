/** When a leader ends, and what a lost write means: as tables. */
import { assert, describe, it } from "@effect/vitest"
import type { LossReason } from "../../../src/ElectionError.ts"
import { deadline, landed, type ReadBack, sortOut } from "../../../src/internal/election/lease.ts"
import { absent, type Seen } from "../../../src/internal/election/record.ts"
import { held, undecodable, vacant } from "../../support/electionRecord.ts"

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
