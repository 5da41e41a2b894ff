/** Wins, renewals, and the reports of observers. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Election from "../../../src/Election.ts"
import { keyOf } from "../../../src/internal/election/record.ts"

import { silent } from "../../support/links.ts"
import { openBucket, record } from "../../support/suite.ts"
import { atOnce, isTrue, last, leaseDuration, now, takeover, type Tools } from "./fixture.ts"
import { believers, only, shown, stand, startProcess, tagIn, told } from "./processes.ts"

export const winning = ({ backend, finish, test, until }: Tools) => {
  test("the first candidate wins at once", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      const began = yield* now
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      atOnce(backend, one.seen.wonAt! - began)
      assert.isTrue(yield* one.isValid)
      assert.strictEqual(one.leadership().term, 1)
    }))

  test("a second candidate does not win while the first renews", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      const { landed } = one.process.link
      // Renewals for more than a lease.
      yield* until(Effect.map(believers([one, two]), () => landed.length), (count) => count > 8)
      assert.isAbove(landed.at(-1)!.sentAt - landed[0]!.sentAt, leaseDuration)
      assert.isTrue(yield* one.isValid)
      assert.isFalse(yield* two.hasWon)
    }))

  test("leader and observe report the same term, token, candidate and metadata as the leadership", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const observer = yield* startProcess(store)
      const one = yield* stand(yield* startProcess(store), finish, "one", { metadata: { zone: "a", ports: [80] } })
      yield* until(one.hasWon, isTrue)
      const { candidateId, electedAt, election, metadata, term, token } = one.leadership()
      const { created } = yield* store.status
      assert.deepStrictEqual([election, candidateId, term], [only, "one", 1])
      assert.deepStrictEqual(metadata, { zone: "a", ports: [80] })
      assert.strictEqual(token.epoch, Math.floor(created.epochMilliseconds))
      const expected = {
        ...new Election.LeaderRecord({ election, candidateId, term, token, electedAt, metadata, state: "Leading" })
      }
      const asIs = (leader: Option.Option<Election.LeaderRecord>) => ({ ...Option.getOrThrow(leader) })
      assert.deepStrictEqual(asIs(yield* observer.election.leader(only)), expected)
      const first = Effect.map(Stream.runHead(observer.election.observe(only)), Option.flatten)
      assert.deepStrictEqual(asIs(yield* finish(first)), expected)
      // A renewal has a new revision, but the same token.
      const { landed } = one.process.link
      yield* until(Effect.sync(() => landed.length), (count) => count >= 3)
      assert.isAbove(Option.getOrThrow(yield* store.get(keyOf(only))).revision, token.revision)
      assert.deepStrictEqual(asIs(yield* observer.election.leader(only)), expected)
      assert.deepStrictEqual(asIs(yield* finish(first)), expected)
    }))

  test("the revision of the token is that of the write that won", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const { events } = yield* record(store.watch(`election.>`))
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const puts = yield* until(
        Effect.sync(() => events.flatMap((event) => event._tag === "Put" ? [event.entry.revision] : [])),
        (revisions) => revisions.length > 0
      )
      assert.strictEqual(one.leadership().token.revision, puts[0])
    }))

  test("an election without candidates has no leader, and observe emits none first", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      assert.isTrue(Option.isNone(yield* process.election.leader(only)))
      const changes = yield* told(process)
      yield* until(changes.all, last("no leader"))
      const one = yield* stand(process, finish, "one")
      yield* until(changes.all, last("one in term 1"))
      yield* one.close
      yield* until(changes.all, last("no leader"))
      assert.deepStrictEqual(changes.events, ["no leader", "one in term 1", "no leader"])
    }))

  test("observe emits nothing for a renewal", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const observer = yield* startProcess(store)
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const changes = yield* told(observer)
      const { landed } = one.process.link
      yield* until(Effect.sync(() => landed.length), (count) => count > 8)
      yield* finish(one.close)
      // The watch delivers the renewals before the hand-over.
      yield* until(changes.all, last("no leader"))
      assert.deepStrictEqual(changes.events, ["one in term 1", "no leader"])
    }))

  test("observe emits none after a lease without a renewal, and leader returns none", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const observer = yield* startProcess(store)
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const changes = yield* told(observer)
      yield* until(changes.all, last("one in term 1"))
      yield* one.process.link.set(silent)
      yield* until(changes.all, last("no leader"))
      const { landed } = one.process.link
      const silence = (yield* now) - landed.at(-1)!.sentAt
      assert.isAtLeast(silence, leaseDuration - 1)
      assert.isAtMost(silence, leaseDuration + takeover)
      yield* until(observer.election.leader(only), Option.isNone)
      assert.strictEqual(yield* tagIn(store), "Held")
    }))

  test("observe first emits the leader at the time at which it is run", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const first = Effect.map(Stream.runHead(process.election.observe(only)), (head) => shown(Option.flatten(head)))
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      assert.strictEqual(yield* finish(first), "one in term 1")
      // This closes the watch too: the last record that this process has observed is live.
      yield* one.close
      assert.strictEqual(yield* finish(first), "no leader")
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(two.hasWon, isTrue)
      assert.strictEqual(yield* finish(first), "two in term 2")
    }))
}
