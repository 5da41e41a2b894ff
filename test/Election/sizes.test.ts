/** Records and the limits of a bucket and of a connection: what cannot be stored is refused where it is given. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { encode, largestSize } from "../../src/internal/election/record.ts"

import { countOf, type Fault, lostOnTheWay, on, times, tooLarge } from "../support/links.ts"
import { openBucket } from "../support/suite.ts"
import { sentIn } from "./suite/faults.ts"
import { leaseDuration, renewInterval } from "./suite/fixture.ts"
import { finish, settled, test } from "./suite/inMemory.ts"
import { employ, only, reasonOf, recordIn, stand, startProcess } from "./suite/processes.ts"

/** Refuses records that are larger, as a server whose limit was lowered does. */
const largest = (bytes: number): Fault => (call, run) =>
  call.operation === "put" && call.value!.length > bytes ? tooLarge(call, run) : run

describe("Election in memory: sizes", () => {
  /** Metadata of which the largest record has `size` bytes. */
  const metadataOf = (size: number) => {
    const empty = largestSize({ candidateId: "one", leaseMillis: leaseDuration, metadata: { text: "" } })
    return { text: "x".repeat(size - empty) }
  }

  test("campaign and proclaim refuse metadata that a message of the connection cannot carry, and send nothing", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      yield* process.link.limit(2000)
      const asked = Effect.scoped(
        process.election.campaign(only, { candidateId: "one", metadata: metadataOf(2001) })
      )
      const refused = yield* finish(reasonOf(asked, "ValueTooLarge"))
      assert.deepStrictEqual([refused.size, refused.limit], [2001, 2000])
      assert.deepStrictEqual(process.link.calls, [])
      const one = yield* stand(process, finish, "one", { metadata: metadataOf(2000) })
      yield* settled
      const before = countOf(process.link, "put")
      const { limit } = yield* finish(reasonOf(one.leadership().proclaim(metadataOf(2001)), "ValueTooLarge"))
      assert.strictEqual(limit, 2000)
      assert.strictEqual(countOf(process.link, "put"), before)
      yield* TestClock.adjust(2 * leaseDuration)
      assert.isTrue(yield* one.isValid)
    }))

  test("proclaim refuses by the limit of the present connection", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      const one = yield* stand(process, finish, "one")
      yield* settled
      yield* finish(one.leadership().proclaim(metadataOf(2000)))
      yield* process.link.limit(1999)
      yield* finish(reasonOf(one.leadership().proclaim(metadataOf(2000)), "ValueTooLarge"))
      yield* process.link.limit(2000)
      yield* finish(one.leadership().proclaim(metadataOf(2000)))
    }))

  test("every later renewal of the largest metadata fits", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxValueSize: 1000 })
      const one = yield* stand(yield* startProcess(store), finish, "one", { metadata: metadataOf(1000) })
      yield* settled
      assert.isTrue(yield* one.isValid)
      const most = Number.MAX_SAFE_INTEGER
      const grown = { ...yield* recordIn(store), term: most, attempt: most, electedRevision: most }
      assert.isAtMost(encode(grown).length, 1000)
    }))

  test("leadership is handed over, although its renewals no longer fit", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const job = yield* employ(yield* startProcess(store), finish, "one", () => Effect.never, {
        metadata: metadataOf(2000)
      })
      yield* settled
      yield* job.process.link.set(largest(500))
      yield* TestClock.adjust(2 * renewInterval)
      yield* job.interrupt
      const { metadata, vacant } = yield* recordIn(store)
      assert.deepStrictEqual([vacant, metadata], [true, {}])
    }))

  test("a proclamation without an answer that turns out to be too large costs no leadership", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const { link, ...process } = yield* startProcess(store)
      const one = yield* stand({ ...process, link }, finish, "one", { metadata: { port: 1 } })
      yield* settled
      yield* link.set(times(1, "put", lostOnTheWay))
      const error = yield* finish(Effect.flip(one.leadership().proclaim(metadataOf(2000))))
      assert.strictEqual(error.reason._tag, "KVStoreError")
      yield* link.set(on("put", largest(500)))
      yield* TestClock.adjust(2 * leaseDuration)
      assert.isTrue(yield* one.isValid)
      assert.deepStrictEqual((yield* recordIn(store)).metadata, { port: 1 })
      const tooLong = link.calls.filter((call) => {
        const sent = sentIn(call)
        return sent?._tag === "Held" && "text" in sent.record.metadata
      })
      assert.strictEqual(tooLong.length, 2)
    }))
})
