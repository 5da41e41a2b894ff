/** The decisions after a conflict of a heartbeat, before registering and while leaving, as a table. */
import { assert, describe, it } from "@effect/vitest"
import {
  afterLostHeartbeat,
  beforeRegistering,
  type HeartbeatDecision,
  type LastSeen,
  type LeaveDecision,
  type RegisterDecision,
  whileLeaving
} from "../../../src/internal/registry/decisions.ts"
import { mine, recordOf } from "../../support/registryRecord.ts"

interface Cell {
  readonly what: string
  readonly seen: LastSeen
  /** After a heartbeat that lost its compare-and-set. */
  readonly heartbeat: HeartbeatDecision
  /** Before registering; `old`: the record is older than maxAge. */
  readonly young: RegisterDecision
  readonly old: RegisterDecision
  /** While leaving with an unanswered write that is conditioned on revision 5. */
  readonly leaving: LeaveDecision
}

const write = (revision: number): RegisterDecision => ({ _tag: "Write", revision })

const cells: ReadonlyArray<Cell> = [
  {
    what: "no message",
    seen: { _tag: "Nothing" },
    heartbeat: { _tag: "RegisterAgain", revision: 0 },
    young: write(0),
    old: write(0),
    leaving: { _tag: "Gone" }
  },
  {
    what: "a delete marker",
    seen: { _tag: "Removed", revision: 5, reason: "delete" },
    heartbeat: { _tag: "Deregistered" },
    young: write(5),
    old: write(5),
    leaving: { _tag: "MayLand" }
  },
  ...(["purge", "expire", "reset"] as const).map((reason): Cell => ({
    what: `a removal by ${reason}`,
    seen: { _tag: "Removed", revision: 5, reason },
    heartbeat: { _tag: "RegisterAgain", revision: 5 },
    young: write(5),
    old: write(5),
    leaving: { _tag: "MayLand" }
  })),
  {
    what: "the own record",
    seen: { _tag: "Live", revision: 5, record: recordOf(mine) },
    heartbeat: { _tag: "Adopt", revision: 5, record: recordOf(mine) },
    young: { _tag: "Own", revision: 5, record: recordOf(mine) },
    old: { _tag: "Own", revision: 5, record: recordOf(mine) },
    leaving: { _tag: "Delete", revision: 5 }
  },
  ...(["another", undefined] as const).map((nonce): Cell => ({
    what: nonce === undefined ? "a record without a nonce" : "another process's record",
    seen: { _tag: "Live", revision: 5, record: recordOf(nonce) },
    heartbeat: { _tag: "Taken" },
    young: { _tag: "Occupied", revision: 5 },
    old: write(5),
    leaving: { _tag: "MayLand" }
  })),
  {
    what: "a value that is not a record",
    seen: { _tag: "Undecodable", revision: 5 },
    heartbeat: { _tag: "Taken" },
    young: { _tag: "Occupied", revision: 5 },
    old: write(5),
    leaving: { _tag: "MayLand" }
  }
]

describe("a heartbeat that lost its compare-and-set", () => {
  for (const { heartbeat, seen, what } of cells) {
    it(`decides ${heartbeat._tag} if it finds ${what}`, () => {
      assert.deepStrictEqual(afterLostHeartbeat(mine, seen), heartbeat)
    })
  }
})

describe("a process that registers", () => {
  for (const { old, seen, what, young } of cells) {
    it(`decides ${young._tag} if it finds ${what}`, () => {
      assert.deepStrictEqual(beforeRegistering(mine, seen, false), young)
    })

    it(`decides ${old._tag} if it finds ${what}, older than maxAge`, () => {
      assert.deepStrictEqual(beforeRegistering(mine, seen, true), old)
    })
  }
})

describe("a process that leaves", () => {
  for (const { leaving, seen, what } of cells) {
    it(`decides ${leaving._tag} if it finds ${what}, with an unanswered write on revision 5`, () => {
      assert.deepStrictEqual(whileLeaving(mine, seen, 5), leaving)
    })

    const settled = leaving._tag === "MayLand" ? "Gone" : leaving._tag
    for (const mayLandOn of [undefined, 4]) {
      const write = mayLandOn === undefined ? "no unanswered write" : "an unanswered write on another revision"
      it(`decides ${settled} if it finds ${what}, with ${write}`, () => {
        assert.strictEqual(whileLeaving(mine, seen, mayLandOn)._tag, settled)
      })
    }
  }

  it("waits for an unanswered write on revision 0 while the key has no message", () => {
    assert.strictEqual(whileLeaving(mine, { _tag: "Nothing" }, 0)._tag, "MayLand")
  })
})
