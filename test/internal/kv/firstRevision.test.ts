/** `Revisions`: the first revision of a new bucket. */
import { assert, describe, it } from "@effect/vitest"
import { Revisions } from "../../../src/internal/kv/firstRevision.ts"

const revisions = new Revisions()

describe("the first revision of a new bucket", () => {
  it("is the microseconds since 1970, a safe integer", () => {
    assert.strictEqual(revisions.first("natsPure-1", 1_795_000_000_000.7), 1_795_000_000_000_000)
    assert.isTrue(Number.isSafeInteger(revisions.first("natsPure-1", Date.UTC(2200, 1))))
  })

  it("is 1 at time 0, because revision 0 means that a key has no message", () => {
    assert.strictEqual(revisions.first("natsPure-2", 0), 1)
  })

  it("is above the highest revision seen in a bucket of that name, and ignores other buckets", () => {
    revisions.saw("natsPure-3", 1_795_000_000_000_500)
    revisions.saw("natsPure-3", 17)
    assert.strictEqual(revisions.first("natsPure-3", 1_795_000_000_000), 1_795_000_000_000_501)
    assert.strictEqual(revisions.first("natsPure-3", 1_795_000_000_001), 1_795_000_000_001_000)
    assert.strictEqual(revisions.first("natsPure-4", 1_795_000_000_000), 1_795_000_000_000_000)
  })
})
