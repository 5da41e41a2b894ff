/** Campaigns that are interrupted, or that fail. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

import type { Seen } from "../../../src/internal/election/record.ts"
import { closed, countOf, delayed, denied, on, silent, times, unanswered } from "../../support/links.ts"
import { openBucket } from "../../support/suite.ts"
import { is, isTrue, type Tools } from "./fixture.ts"
import { only, reasonOf, recordIn, stand, startProcess, tagIn } from "./processes.ts"

export const interrupting = ({ finish, test, until }: Tools) => {
  test("a campaign that is interrupted while it waits writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(Effect.sync(() => two.process.link.reads.length), (reads) => reads > 0)
      yield* two.interrupt
      assert.strictEqual(countOf(two.process.link, "put"), 0)
      assert.isTrue(yield* one.isValid)
      assert.strictEqual((yield* recordIn(store)).candidateId, "one")
    }))

  test("a campaign that is interrupted after an unanswered win hands over", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(times(1, "put", unanswered))
      const one = yield* stand(process, finish, "one")
      yield* until(tagIn(store), is<string>("Held"))
      yield* one.interrupt
      assert.isFalse(yield* one.hasWon)
      assert.strictEqual(yield* tagIn(store), "Vacant")
      assert.strictEqual((yield* recordIn(store)).term, 1)
    }))

  test("a campaign that is interrupted with an attempt in flight hands over after the attempt has landed", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const { fault, open, outcomes } = yield* delayed
      yield* process.link.set(times(1, "put", fault))
      const one = yield* stand(process, finish, "one")
      yield* until(Effect.sync(() => countOf(process.link, "put")), (count) => count > 0)
      const reads = countOf(process.link, "get")
      const interrupted = yield* Effect.forkChild(Fiber.interrupt(one.fiber))
      // The campaign has read the key, and the attempt has not landed yet.
      yield* until(Effect.sync(() => countOf(process.link, "get")), (count) => count > reads)
      yield* open
      yield* finish(Fiber.join(interrupted))
      assert.deepStrictEqual(outcomes, ["landed"])
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("a campaign that is interrupted before its announcement hands over, also while its scope is open", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(on("status", silent))
      const campaign = yield* Effect.forkChild(
        Effect.provideService(process.election.campaign(only), Clock.Clock, process.clock)
      )
      yield* until(tagIn(store), is<string>("Held"))
      yield* finish(Fiber.interrupt(campaign))
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("a winner that may not read the bucket hands over, and other candidates lead", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(on("status", denied))
      const one = yield* stand(process, finish, "one")
      yield* until(tagIn(store), is<Seen["_tag"]>("Held"))
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(two.hasWon, isTrue)
      assert.isFalse(yield* one.hasWon)
      assert.strictEqual(two.leadership().term, 2)
    }))

  test("a campaign that fails after its win hands over, also while its scope is open", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(on("status", closed))
      const error = yield* finish(reasonOf(process.election.campaign(only), "KVStoreError"))
      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))
}
