/** Many candidates on bad links, with many seeds: two never lead at once, and there is always a next leader. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { TestClock } from "effect/testing"
import type * as Election from "../../src/Election.ts"
import { answerLost, away, conflict, type Fault, on, silent, unanswered } from "../support/links.ts"
import { numbers, openBucket } from "../support/suite.ts"
import { slow } from "./suite/faults.ts"
import { leaseDuration, now, renewInterval } from "./suite/fixture.ts"
import { day, finish, makeHost, settled, test, until } from "./suite/inMemory.ts"
import { employ, recordIn, stand, startProcess } from "./suite/processes.ts"

describe("Election in memory: take-overs", () => {
  const seeds = numbers(200).map((index) => index + 1)

  /** The most candidates that were valid at once, from the end of the lease until 60 ms after a win, and at the end. */
  const takeover = Effect.fnUntraced(function*(seed: number) {
    const store = yield* openBucket()
    const before = yield* stand(yield* startProcess(store), finish, "before")
    yield* settled
    yield* before.process.link.set(silent)
    const seats = [before]
    for (const index of numbers(8)) {
      const process = yield* startProcess(store)
      yield* process.link.set(yield* slow({ longest: 12, lost: 0.1 }))
      yield* process.link.lag(Effect.flatMap(Random.nextIntBetween(0, 40), (millis) => Effect.sleep(millis)))
      seats.push(yield* stand(process, finish, `${index}`))
      yield* TestClock.adjust(yield* Random.nextIntBetween(0, 8))
    }
    yield* TestClock.adjust(before.seen.wonAt! + leaseDuration - (yield* now))
    const valid = Effect.suspend(() =>
      Effect.filter(seats.filter(({ seen }) => seen.leadership !== undefined), (seat) => seat.isValid)
    )
    let most = 0
    for (let wonAt = Infinity, millis = 0; millis < Math.min(leaseDuration, wonAt + 60); millis++) {
      yield* TestClock.adjust(1)
      most = Math.max(most, (yield* valid).length)
      if (most > 0) wonAt = Math.min(wonAt, millis)
    }
    // With working links, leadership stays stable.
    yield* Effect.forEach(seats, ({ process }) => process.link.set(undefined))
    yield* TestClock.adjust(3 * renewInterval)
    const atLast = yield* valid
    const record = yield* recordIn(store)
    return { seed, most, atLast: atLast.length, isRecorded: atLast[0]?.leadership().candidateId === record.candidateId }
  })

  /** Runs four hosts with different clocks, failing links and resigning leaders for about half a minute. */
  const turmoil = Effect.fnUntraced(function*(seed: number) {
    const store = yield* openBucket()
    const overlaps: Array<string> = []
    let active = 0
    let terms = 0
    const work = (leadership: Election.Leadership) =>
      Effect.gen(function*() {
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            terms++
            if (++active > 1) overlaps.push(`term ${leadership.term}`)
          }),
          () => Effect.andThen(Effect.sleep(50), Effect.sync(() => active--))
        )
        yield* Effect.sleep(yield* Random.nextIntBetween(100, 3000))
        return yield* (yield* Random.next) < 0.5 ? leadership.resign : Effect.never
      })
    const hosts = yield* Effect.forEach(numbers(4), (index) =>
      Effect.gen(function*() {
        const rate = yield* Random.nextBetween(0.88, 1.12)
        const host = yield* makeHost({ rate, ahead: yield* Random.nextIntBetween(-1000 * day, 1000 * day) })
        const process = yield* startProcess(store, { clock: host.clock })
        yield* employ(process, finish, `${index}`, work)
        return { ...host, link: process.link }
      }))
    const faults: ReadonlyArray<Fault | undefined> = [
      undefined,
      silent,
      away,
      yield* slow({ longest: 60, lost: 0.2 }),
      on("put", answerLost),
      on("put", unanswered),
      on("put", conflict),
      on(["get", "watch"], away)
    ]
    for (let step = 0; step < 80; step++) {
      const host = yield* Random.choice(hosts)
      yield* host.link.set(yield* Random.choice(faults))
      const chance = yield* Random.next
      if (chance < 0.2) yield* host.link.loseWatches
      if (chance > 0.9) host.stepWall(yield* Random.nextIntBetween(-day, day))
      yield* TestClock.adjust(yield* Random.nextIntBetween(20, 700))
    }
    yield* Effect.forEach(hosts, (host) => host.link.set(undefined))
    yield* until(Effect.sync(() => active), (count) => count === 1)
    return { seed, overlaps, terms }
  })

  test("work never overlaps during outages, clock steps and resignations, and there is always a next leader", () =>
    Effect.gen(function*() {
      let terms = 0
      for (const seed of numbers(12)) {
        const outcome = yield* turmoil(seed).pipe(Effect.scoped, Random.withSeed(seed))
        assert.deepStrictEqual(outcome.overlaps, [], `seed ${seed}`)
        terms += outcome.terms
      }
      assert.isAbove(terms, 60)
    }))

  test("of eight candidates that replace one leader exactly one wins, in each of 200 runs", () =>
    Effect.gen(function*() {
      const expected = (seed: number) => ({ seed, most: 1, atLast: 1, isRecorded: true })
      for (const seed of seeds) {
        const outcome = yield* takeover(seed).pipe(Effect.scoped, Random.withSeed(seed))
        assert.deepStrictEqual(outcome, expected(seed))
      }
    }))
})
