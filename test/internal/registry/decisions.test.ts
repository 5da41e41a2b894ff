/** What the registry decides after a lost heartbeat, before registering and while leaving, as a table. */
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
  /** Before registering, while what is there has been silent for less than maxAge, and for more. */
  readonly young: RegisterDecision
  readonly old: RegisterDecision
  /** While leaving with a write under way that is conditioned on revision 5. */
  readonly leaving: LeaveDecision
}

const write = (revision: number): RegisterDecision => ({ _tag: "Write", revision })

const cells: ReadonlyArray<Cell> = [
  {
    what: "nothing at all",
    seen: { _tag: "Nothing" },
    heartbeat: { _tag: "RegisterAgain", revision: 0 },
    young: write(0),
    old: write(0),
    leaving: { _tag: "Gone" }
  },
  {
    what: "the tombstone of a delete",
    seen: { _tag: "Removed", revision: 5, reason: "delete" },
    heartbeat: { _tag: "Deregistered" },
    young: write(5),
    old: write(5),
    leaving: { _tag: "MayLand" }
  },
  ...(["purge", "expire", "reset"] as const).map((reason): Cell => ({
    what: `a message that it went by ${reason}`,
    seen: { _tag: "Removed", revision: 5, reason },
    heartbeat: { _tag: "RegisterAgain", revision: 5 },
    young: write(5),
    old: write(5),
    leaving: { _tag: "MayLand" }
  })),
  {
    what: "our own record",
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
    what: "something that is no record",
    seen: { _tag: "Undecodable", revision: 5 },
    heartbeat: { _tag: "Taken" },
    young: { _tag: "Occupied", revision: 5 },
    old: write(5),
    leaving: { _tag: "MayLand" }
  }
]

describe("a heartbeat that lost its compare-and-set", () => {
  for (const { heartbeat, seen, what } of cells) {
    it(`means ${heartbeat._tag} where it finds ${what}`, () => {
      assert.deepStrictEqual(afterLostHeartbeat(mine, seen), heartbeat)
    })
  }
})

describe("a process that wants to register", () => {
  for (const { old, seen, what, young } of cells) {
    it(`decides ${young._tag} where it finds ${what}`, () => {
      assert.deepStrictEqual(beforeRegistering(mine, seen, false), young)
    })

    it(`decides ${old._tag} where it finds ${what}, silent for too long`, () => {
      assert.deepStrictEqual(beforeRegistering(mine, seen, true), old)
    })
  }
})

describe("a process that leaves", () => {
  for (const { leaving, seen, what } of cells) {
    it(`decides ${leaving._tag} where it finds ${what}, and a write is conditioned on revision 5`, () => {
      assert.deepStrictEqual(whileLeaving(mine, seen, 5), leaving)
    })

    const settled = leaving._tag === "MayLand" ? "Gone" : leaving._tag
    for (const mayLandOn of [undefined, 4]) {
      const write = mayLandOn === undefined ? "no write" : "a write on another revision"
      it(`decides ${settled} where it finds ${what}, with ${write} under way`, () => {
        assert.strictEqual(whileLeaving(mine, seen, mayLandOn)._tag, settled)
      })
    }
  }

  it("waits for a write over nothing while nothing is there", () => {
    assert.strictEqual(whileLeaving(mine, { _tag: "Nothing" }, 0)._tag, "MayLand")
  })
})
