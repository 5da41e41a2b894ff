/** `heartbeat` and `deregister` beside a registration, in virtual time. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { reasonOf } from "../support/suite.ts"
import { defaults, finish, key, test } from "./suite/inMemory.ts"
import { fieldsOf, listed, named, world } from "./suite/processes.ts"

const one = named("orders", "one")

describe("heartbeat of an instance that its registry has registered", () => {
  test("is a heartbeat of the registration, and writes what it is given", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(defaults)
      const { instance, whyLost } = yield* process.enter(one)
      const { nonce } = yield* fieldsOf(store, key)
      yield* process.registry.heartbeat({ ...one, version: "1.1.0", status: "STANDBY" })
      const fields = yield* fieldsOf(store, key)
      assert.deepStrictEqual([fields["version"], fields["status"], fields["nonce"]], ["1.1.0", "STANDBY", nonce])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* instance).version, "1.1.0")
      assert.isUndefined(yield* whyLost)
    }))

  test("does not end its draining", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(defaults)
      const { drain } = yield* process.enter(one)
      yield* Effect.forkScoped(drain(Effect.never, { timeout: "1 hour" }))
      yield* TestClock.adjust("1 second")
      yield* process.registry.heartbeat({ ...one, version: "1.1.0" })
      const { status, version } = yield* fieldsOf(store, key)
      assert.deepStrictEqual([status, version], ["DRAINING", "1.1.0"])
    }))

  test("after the registration has ended is one by hand", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const { close } = yield* process.enter(one)
      yield* finish(close)
      yield* process.registry.heartbeat(one)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))
})

describe("deregister by the registry of an instance", () => {
  test("ends the registration as Deregistered, and the next heartbeat registers it again", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(defaults)
      const { whyLost } = yield* process.enter(one)
      assert.isTrue(yield* process.registry.deregister({ serviceName: "orders", instanceId: "one" }))
      yield* process.registry.heartbeat(one)
      yield* TestClock.adjust("11 seconds")
      assert.strictEqual(yield* whyLost, "Deregistered")
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("of one that sends heartbeats by hand lets the next one register it again", () =>
    Effect.gen(function*() {
      const [, process, other] = yield* world(defaults)
      yield* process.registry.heartbeat(one)
      yield* process.registry.deregister({ serviceName: "orders", instanceId: "one" })
      assert.deepStrictEqual(yield* listed(process), [])
      yield* process.registry.heartbeat(one)
      assert.deepStrictEqual(yield* listed(process), ["one"])
      // That of another process stays final.
      yield* other.registry.deregister({ serviceName: "orders", instanceId: "one" })
      yield* reasonOf(process.registry.heartbeat(one), "Deregistered")
    }))
})
