/** The operation `heartbeat`, for callers that run their own heartbeat loop. */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

import { after, answerLost, countOf, lostOnTheWay, on, silent, times } from "../../support/links.ts"
import { numbers } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { brisk, calm, contains, maxAge, type Tools } from "./fixture.ts"
import {
  entryOf,
  fieldsOf,
  keyOf,
  lastOf,
  listed,
  named,
  sendHeartbeat,
  underneath,
  watched,
  world
} from "./processes.ts"

export const byHand = ({ finish, test, until }: Tools) => {
  const key = keyOf("orders", "one")
  const one = named("orders", "one")

  test("heartbeat registers an instance the first time and then keeps it live", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* sendHeartbeat(process, one)
      const revisions = [(yield* entryOf(store, key)).revision]
      const first = (yield* entryOf(store, key)).created.epochMilliseconds
      const again = Effect.gen(function*() {
        yield* sendHeartbeat(process, one)
        revisions.push((yield* entryOf(store, key)).revision)
        assert.deepStrictEqual(yield* listed(process), ["one"])
        return (yield* entryOf(store, key)).created.epochMilliseconds
      })
      yield* until(again, (now) => now - first > 2 * Duration.toMillis(maxAge))
      assert.deepStrictEqual(revisions, revisions.toSorted((a, b) => a - b))
      assert.strictEqual(new Set(revisions).size, revisions.length)
    }))

  test("heartbeat also writes the status and metadata, and removes a group that is omitted", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      const events = yield* watched(process)
      yield* process.registry.heartbeat({ ...one, group: "eu", metadata: { load: 1 } })
      yield* until(events.all, contains("up orders/one"))
      yield* process.registry.heartbeat({ ...one, status: "UNHEALTHY", metadata: { load: 9 } })
      yield* until(events.all, contains("changed orders/one from ACTIVE to UNHEALTHY"))
      const got = Option.getOrThrow(yield* process.registry.get("orders", "one"))
      assert.deepStrictEqual(got.metadata, { load: 9 })
      assert.isUndefined(got.group)
    }))

  test("heartbeat keeps the fields of other writers", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.registry.heartbeat(one)
      yield* underneath(store, key, { team: "blue" })
      yield* finish(process.registry.heartbeat({ ...one, status: "STANDBY" }))
      const fields = yield* fieldsOf(store, key)
      assert.strictEqual(fields["team"], "blue")
      assert.strictEqual(fields["status"], "STANDBY")
    }))

  test("heartbeat registers an instance again after a cleanup removed it", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.registry.heartbeat(one)
      yield* store.purge(key)
      yield* finish(process.registry.heartbeat(one))
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("heartbeat fails with Deregistered, also later, after another process deregistered the instance", () =>
    Effect.gen(function*() {
      const [store, process, other] = yield* world(calm)
      yield* process.registry.heartbeat(one)
      assert.isTrue(yield* other.registry.deregister({ serviceName: "orders", instanceId: "one" }))
      yield* reasonOf(finish(process.registry.heartbeat(one)), "Deregistered")
      yield* reasonOf(finish(process.registry.heartbeat(one)), "Deregistered")
      assert.strictEqual(yield* lastOf(store, key), "delete")
      // The registry of another process can register the id.
      yield* other.registry.heartbeat(one)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("heartbeat fails with DuplicateInstance until the other process has deregistered", () =>
    Effect.gen(function*() {
      const [, first, second] = yield* world(calm)
      const { close } = yield* first.enter(one)
      yield* reasonOf(second.registry.heartbeat(one), "DuplicateInstance")
      assert.strictEqual(countOf(second.link, "put"), 0)
      yield* close
      yield* second.registry.heartbeat(one)
      assert.deepStrictEqual(yield* listed(second), ["one"])
    }))

  test("heartbeat takes the id of an expired instance", () =>
    Effect.gen(function*() {
      const [, first, second] = yield* world(brisk)
      yield* sendHeartbeat(first, one)
      yield* until(listed(first), (ids) => ids.length === 0)
      yield* sendHeartbeat(second, { ...one, version: "2.0.0" })
      assert.deepStrictEqual(yield* listed(first), ["one"])
      yield* reasonOf(finish(sendHeartbeat(first, one)), "DuplicateInstance")
      assert.strictEqual(Option.getOrThrow(yield* first.registry.get("orders", "one")).version, "2.0.0")
    }))

  test("after DuplicateInstance, heartbeat keeps the other record and takes the id once that record has expired", () =>
    Effect.gen(function*() {
      const [store, first, second] = yield* world(brisk)
      yield* sendHeartbeat(first, one)
      yield* until(listed(first), (ids) => ids.length === 0)
      yield* sendHeartbeat(second, { ...one, version: "2.0.0" })
      const nonce = (yield* fieldsOf(store, key))["nonce"]
      // The first attempt finds its record replaced; the later attempts find the id taken.
      for (const attempt of numbers(3)) {
        yield* reasonOf(finish(sendHeartbeat(first, one)), "DuplicateInstance")
        assert.strictEqual((yield* fieldsOf(store, key))["nonce"], nonce, `attempt ${attempt}`)
        yield* sendHeartbeat(second, { ...one, version: "2.0.0" })
      }
      yield* until(listed(first), (ids) => ids.length === 0)
      yield* finish(sendHeartbeat(first, { ...one, version: "3.0.0" }))
      assert.strictEqual(Option.getOrThrow(yield* second.registry.get("orders", "one")).version, "3.0.0")
      assert.notStrictEqual((yield* fieldsOf(store, key))["nonce"], nonce)
      // From now on the first process owns the id, and the second is the duplicate.
      yield* finish(sendHeartbeat(first, { ...one, version: "3.0.1" }))
      yield* reasonOf(finish(sendHeartbeat(second, one)), "DuplicateInstance")
      assert.strictEqual(Option.getOrThrow(yield* second.registry.get("orders", "one")).version, "3.0.1")
    }))

  test("heartbeat recovers after the outcome of a write was unknown", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      for (const fault of [answerLost, lostOnTheWay]) {
        yield* process.link.set(times(1, "put", fault))
        const reason = yield* reasonOf(finish(process.registry.heartbeat(one)), "KVStoreError")
        assert.strictEqual(reason.reason._tag, "OutcomeUnknown")
        yield* finish(process.registry.heartbeat(one))
        assert.deepStrictEqual(yield* listed(process), ["one"])
      }
    }))

  test("a first heartbeat succeeds although another process registers and deregisters the id concurrently", () =>
    Effect.gen(function*() {
      const [store, process, other] = yield* world(calm)
      const comeAndGo = Effect.andThen(
        other.registry.heartbeat(one),
        other.registry.deregister({ serviceName: "orders", instanceId: "one" })
      )
      yield* process.link.set(times(1, "put", after(comeAndGo)))
      yield* finish(process.registry.heartbeat(one))
      assert.deepStrictEqual(yield* listed(other), ["one"])
      yield* process.registry.heartbeat(one)
      assert.strictEqual(yield* lastOf(store, key), "put")
    }))

  test("heartbeat fails with OutcomeUnknown if the store does not answer in time", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.link.set(on("put", silent))
      const reason = yield* reasonOf(finish(process.registry.heartbeat(one)), "KVStoreError")
      assert.strictEqual(reason.reason._tag, "OutcomeUnknown")
    }))

  test("concurrent heartbeats of one id register one instance", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* finish(
        Effect.forEach(numbers(8), () => process.registry.heartbeat(one), { concurrency: "unbounded", discard: true })
      )
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))
}
