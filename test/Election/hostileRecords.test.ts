/** Records of other writers: whatever is stored ends no campaign and no observer, and blocks no election for ever. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { keyOf } from "../../src/internal/election/record.ts"
import { Chance } from "../../src/testing/internal/world/chance.ts"
import { hostile } from "../../tools/storedRecords.ts"
import { bytes } from "../../tools/values.ts"

import { denied, on, silent } from "../support/links.ts"
import { logged, numbers, openBucket, type Store } from "../support/suite.ts"
import { leaseDuration } from "./suite/fixture.ts"
import { finish, settled, test, two } from "./suite/inMemory.ts"
import { believers, only, stand, startProcess, told } from "./suite/processes.ts"

const hour = 3_600_000

describe("Election in memory: hostile records", () => {
  /** Bytes, any JSON, or the record of the leader itself with other fields. */
  const recordFrom = (chance: Chance, own: Uint8Array): Uint8Array => {
    const kind = chance.below(8)
    if (kind === 0) return Uint8Array.from(numbers(chance.below(200)), () => chance.below(256))
    if (kind === 1) return bytes(chance.pick(["", "null", "[]", "5", "\"\"", "{}", "{\"leaseMillis\":1e9}", "[[["]))
    return hostile(JSON.parse(new TextDecoder().decode(own)), chance)
  }

  const storedIn = (store: Store) =>
    Effect.map(store.get(keyOf(only)), (entry) => entry._tag === "Some" ? entry.value.value : assert.fail("no record"))

  for (const seed of numbers(6)) {
    test(`a leader, a candidate and an observer go on after any record (seed ${seed})`, () =>
      Effect.gen(function*() {
        const chance = new Chance(seed)
        for (let n = 0; n < 25; n++) {
          const { one, store, two: other } = yield* two()
          const observer = yield* told(one.process)
          yield* settled
          const value = recordFrom(chance, yield* storedIn(store))
          yield* store.put(keyOf(only), value)
          const what = `record ${n}: ${new TextDecoder().decode(value).slice(0, 500)}`
          yield* settled
          yield* one.process.election.leader(only)
          for (const wait of [leaseDuration, 21_000, hour]) {
            yield* TestClock.adjust(wait)
            if ((yield* believers([one, other])) === 1) break
          }
          assert.strictEqual(yield* believers([one, other]), 1, what)
          assert.isUndefined(other.fiber.pollUnsafe(), what)
          const before = observer.events.length
          yield* one.close
          yield* other.close
          yield* settled
          assert.isAbove(observer.events.length, before, what)
          assert.strictEqual(observer.events.at(-1), "no leader", what)
        }
      }))
  }

  const waits: ReadonlyArray<readonly [what: string, text: string, wait: number]> = [
    ["20 seconds", "{}", 20_000],
    ["the lease in its text", "{\"leaseMillis\":90000", 90_000],
    ["an hour at most", "{\"leaseMillis\":1e999}", hour]
  ]
  for (const [what, text, wait] of waits) {
    for (const isRemoved of [false, true]) {
      test(`a candidate waits for ${what} if a record does not decode${isRemoved ? ", and is removed" : ""}`, () =>
        Effect.gen(function*() {
          const store = yield* openBucket()
          yield* store.put(keyOf(only), bytes(text))
          const one = yield* stand(yield* startProcess(store), finish, "one")
          yield* settled
          if (isRemoved) yield* store.purge(keyOf(only))
          yield* TestClock.adjust(wait - 1)
          assert.isFalse(yield* one.hasWon)
          yield* TestClock.adjust(1)
          yield* settled
          assert.isTrue(yield* one.hasWon)
        }))
    }
  }

  test("a candidate wins with the first term if the next one could not be decoded", () =>
    Effect.gen(function*() {
      const { link, one, store, two: other } = yield* two()
      const own = JSON.parse(new TextDecoder().decode(yield* storedIn(store)))
      yield* link.set(silent)
      yield* store.put(keyOf(only), bytes(JSON.stringify({ ...own, nonce: "theirs", term: 2 ** 52 })))
      yield* TestClock.adjust(leaseDuration)
      yield* settled
      assert.strictEqual(other.leadership().term, 1)
      yield* TestClock.adjust(leaseDuration)
      assert.strictEqual(yield* believers([one, other]), 1)
      assert.isTrue(yield* other.isValid)
    }))

  for (const how of ["watch", "reads"] as const) {
    test(`a record that does not decode is logged once per revision, by the ${how} of a candidate`, () =>
      Effect.gen(function*() {
        const log = logged()
        const store = yield* openBucket()
        const process = yield* Effect.provide(startProcess(store), log.layer)
        yield* process.link.set(how === "reads" ? on("watch", denied) : undefined)
        yield* store.put(keyOf(only), bytes("{}"))
        yield* Effect.provide(stand(process, finish, "one"), log.layer)
        yield* TestClock.adjust("10 seconds")
        const lines = () => log.lines.filter((line) => line.includes("does not decode"))
        assert.strictEqual(lines().length, 1, lines().join("\n"))
        assert.include(lines()[0]!, `Warn the record ${keyOf(only)} does not decode (revision 1)`)
        yield* store.put(keyOf(only), bytes("[]"))
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(lines().length, 2)
      }))
  }
})
