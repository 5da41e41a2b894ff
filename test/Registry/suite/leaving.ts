/** The operation `deregister`, and closing the scope of a registration. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { bytes } from "../../../tools/values.ts"

import { after, answerLost, away, countOf, lostOnTheWay, times } from "../../support/links.ts"
import { brisk, calm, type Tools } from "./fixture.ts"
import { fieldsOf, keyOf, lastOf, listed, named, sendHeartbeat, underneath, world } from "./processes.ts"

export const leaving = ({ finish, test, until }: Tools) => {
  const key = keyOf("orders", "one")

  test("deregister returns whether it removed an instance, and writes no marker for an absent instance", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      assert.isFalse(yield* process.registry.deregister({ serviceName: "orders", instanceId: "one" }))
      assert.strictEqual(yield* lastOf(store, key), "nothing")
      yield* process.registry.heartbeat(named("orders", "one"))
      assert.isTrue(yield* process.registry.deregister({ serviceName: "orders", instanceId: "one" }))
      assert.strictEqual(yield* lastOf(store, key), "delete")
      assert.isFalse(yield* process.registry.deregister({ serviceName: "orders", instanceId: "one" }))
    }))

  test("deregister removes an expired record, and a value that is not a record", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* sendHeartbeat(process, named("orders", "one"))
      yield* store.put(keyOf("orders", "two"), bytes("nonsense"))
      yield* until(listed(process), (ids) => ids.length === 0)
      assert.isTrue(yield* process.registry.deregister({ serviceName: "orders", instanceId: "one" }))
      assert.isTrue(yield* process.registry.deregister({ serviceName: "orders", instanceId: "two" }))
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  test("deregister retries if a heartbeat lands between its read and its delete", () =>
    Effect.gen(function*() {
      const [store, backend, other] = yield* world(calm)
      yield* backend.registry.heartbeat(named("orders", "one"))
      const heartbeatSent = backend.registry.heartbeat(named("orders", "one"))
      yield* other.link.set(times(2, "delete", after(heartbeatSent)))
      assert.isTrue(yield* finish(other.registry.deregister({ serviceName: "orders", instanceId: "one" })))
      assert.strictEqual(countOf(other.link, "delete"), 3)
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  test("deregister keeps the record of a process that registered after its read", () =>
    Effect.gen(function*() {
      const [store, backend, other] = yield* world(calm)
      yield* backend.registry.heartbeat(named("orders", "one"))
      yield* other.link.set(times(1, "delete", after(underneath(store, key, { nonce: "successor" }))))
      assert.isFalse(yield* finish(other.registry.deregister({ serviceName: "orders", instanceId: "one" })))
      assert.strictEqual((yield* fieldsOf(store, key))["nonce"], "successor")
    }))

  test("closing the scope removes a late write of the same process", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(calm)
      const { close } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(times(1, "delete", after(underneath(store, key, { late: true }))))
      yield* finish(close)
      assert.strictEqual(countOf(backend.link, "delete"), 2)
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  test("closing the scope keeps a record that another process wrote in between", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(calm)
      const { close } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(times(1, "delete", after(underneath(store, key, { nonce: "another" }))))
      yield* finish(close)
      assert.strictEqual((yield* fieldsOf(store, key))["nonce"], "another")
    }))

  for (const [what, fault] of [["landed", answerLost], ["was lost", lostOnTheWay]] as const) {
    test(`closing the scope removes the record if its delete ${what} without an answer`, () =>
      Effect.gen(function*() {
        const [store, backend] = yield* world(calm)
        const { close } = yield* backend.enter(named("orders", "one"))
        yield* backend.link.set(times(1, "delete", fault))
        yield* finish(close)
        assert.strictEqual(yield* lastOf(store, key), "delete")
      }))
  }

  test("closing the scope during an outage leaves the record, and the instance expires", () =>
    Effect.gen(function*() {
      const [store, backend, observer] = yield* world(brisk)
      const { close } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(away)
      yield* finish(close)
      assert.strictEqual(yield* lastOf(store, key), "put")
      yield* until(listed(observer), (ids) => ids.length === 0)
    }))
}
