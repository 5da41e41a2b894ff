/** How long a former leader sits out, as a table. */
import { assert, describe, it } from "@effect/vitest"
import { sittingOut } from "../../../src/internal/election/sittingOut.ts"
import type { Leaving } from "../../../src/internal/election/tenure.ts"

describe("a former leader sits out", () => {
  const times = { leaseDuration: 20_000, renewDeadline: 14_000, renewInterval: 4000 }
  const rows: ReadonlyArray<
    readonly [what: string, why: Leaving, highest: number, leaseLeft: number | undefined, millis: number]
  > = [
    ["two steps after it has resigned", "resigned", 0, undefined, 8000],
    ["two steps more than the highest priority that it knows", "resigned", 3, undefined, 20_000],
    ["two steps more than the highest priority allowed if it was unhealthy", "unhealthy", 0, undefined, 48_000],
    ["two steps more than the highest priority allowed after it has stepped down", "steppedDown", 3, undefined, 48_000],
    ["until its lease ends and two fifths of it if its hand-over was not stored", "resigned", 0, 5000, 13_000],
    ["five fifths of its lease with a known priority of 3", "resigned", 3, 5000, 25_000],
    ["twelve fifths of its lease if it was unhealthy", "unhealthy", 0, 5000, 53_000],
    ["not less after its lease has ended", "resigned", 0, -5000, 8000]
  ]
  for (const [what, why, highest, leaseLeft, millis] of rows) {
    it(what, () => assert.strictEqual(sittingOut({ why, highest, leaseLeft, times }), millis))
  }
})
