/** `deregister`: what it does to live, expired and doubtful instances, in virtual time. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import * as Expiration from "../../src/Expiration.ts"
import { bytes } from "../../tools/values.ts"
import { after, away, on, times } from "../support/links.ts"
import { numbers } from "../support/suite.ts"
import { contains } from "./suite/fixture.ts"
import { defaults, key, test, until } from "./suite/inMemory.ts"
import {
  keyOf,
  lastOf,
  listed,
  named,
  openBucket,
  type Process,
  startProcess,
  watched,
  world
} from "./suite/processes.ts"

const one = { serviceName: "orders", instanceId: "one" }

/** Two processes, of which the first has registered an instance, two minutes ago. */
const registered = Effect.gen(function*() {
  const [store, owner, other] = yield* world(defaults)
  const registration = yield* owner.enter(named("orders", "one"))
  yield* TestClock.adjust("2 minutes")
  return { store, owner, other, registration }
})

/** The owner sends no heartbeat, and keeps running. */
const hang = ({ link }: Process) => link.set(on("put", away))

const goesOn = ({ link }: Process) => link.set(undefined)

describe("deregister of an instance that is expired", () => {
  test("purges it, and an owner that was only slow is back with its next heartbeat", () =>
    Effect.gen(function*() {
      const { other, owner, registration, store } = yield* registered
      yield* hang(owner)
      yield* TestClock.adjust("31 seconds")
      assert.isTrue(yield* other.registry.deregister(one))
      assert.strictEqual(yield* lastOf(store, key), "purge")
      yield* goesOn(owner)
      yield* until(listed(other), contains("one"))
      assert.isUndefined(yield* registration.whyLost)
    }))

  test("counts its age by the given maxAge", () =>
    Effect.gen(function*() {
      const { other, owner, registration, store } = yield* registered
      yield* registration.update((current) => current)
      yield* hang(owner)
      yield* TestClock.adjust("12 seconds")
      assert.isFalse(yield* other.registry.deregister(one, { maxAge: "15 seconds", onlyIfExpired: true }))
      assert.isTrue(yield* other.registry.deregister(one, { maxAge: "10 seconds" }))
      assert.strictEqual(yield* lastOf(store, key), "purge")
    }))

  test("as the cleanup loop of AegisSDK does it removes crashed instances, and slow ones come back", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const owners = yield* Effect.forEach(numbers(4), () => startProcess(store, defaults))
      const registrations = yield* Effect.forEach(
        owners,
        (owner, index) => owner.enter(named("orders", `i${index}`))
      )
      const cleaner = yield* startProcess(store, defaults)
      yield* hang(owners[0]!)
      yield* owners[1]!.link.set(away)
      yield* TestClock.adjust("35 seconds")
      const isExpired = Expiration.isExpired(store.clock)
      for (const instance of yield* cleaner.registry.list("orders", { includeExpired: true })) {
        if (isExpired(instance)) yield* cleaner.registry.deregister(instance)
      }
      assert.deepStrictEqual((yield* store.keys()).toSorted(), [keyOf("orders", "i2"), keyOf("orders", "i3")])
      yield* goesOn(owners[0]!)
      yield* until(listed(cleaner), contains("i0"))
      for (const { whyLost } of registrations) assert.isUndefined(yield* whyLost)
    }))
})

describe("deregister of a live instance", () => {
  test("is on purpose: its owner stops, and its next heartbeat does not bring it back", () =>
    Effect.gen(function*() {
      const { other, registration, store } = yield* registered
      assert.isTrue(yield* other.registry.deregister(one))
      assert.strictEqual(yield* lastOf(store, key), "delete")
      yield* until(registration.whyLost, (why) => why === "Deregistered")
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* listed(other), [])
    }))

  test("keeps it with onlyIfExpired", () =>
    Effect.gen(function*() {
      const { other } = yield* registered
      assert.isFalse(yield* other.registry.deregister(one, { onlyIfExpired: true }))
      assert.deepStrictEqual(yield* listed(other), ["one"])
    }))

  test("keeps it with onlyIfExpired if its heartbeat lands between the read and the removal", () =>
    Effect.gen(function*() {
      const { other, owner, registration } = yield* registered
      yield* hang(owner)
      yield* TestClock.adjust("31 seconds")
      const returned = Effect.andThen(goesOn(owner), registration.update((current) => current))
      yield* other.link.set(times(1, "purge", after(returned)))
      assert.isFalse(
        yield* other.registry.deregister(one, { onlyIfExpired: true }).pipe(
          Effect.race(Effect.forever(TestClock.adjust("10 millis")))
        )
      )
      assert.deepStrictEqual(yield* listed(other), ["one"])
    }))
})

describe("deregister of an instance as a read returned it", () => {
  test("removes it if it has sent no heartbeat since", () =>
    Effect.gen(function*() {
      const { other } = yield* registered
      const found = Option.getOrThrow(yield* other.registry.get("orders", "one"))
      assert.isTrue(yield* other.registry.deregister(found))
      assert.deepStrictEqual(yield* listed(other), [])
    }))

  test("keeps it after another heartbeat", () =>
    Effect.gen(function*() {
      const { other } = yield* registered
      const found = Option.getOrThrow(yield* other.registry.get("orders", "one"))
      yield* TestClock.adjust("11 seconds")
      assert.isFalse(yield* other.registry.deregister(found))
      assert.deepStrictEqual(yield* listed(other), ["one"])
    }))
})

describe("deregister in doubt", () => {
  test("purges an instance that missed a heartbeat within maxAge: the store may have been away", () =>
    Effect.gen(function*() {
      const { other, owner, registration, store } = yield* registered
      yield* owner.link.set(away)
      yield* TestClock.adjust("25 seconds")
      yield* goesOn(owner)
      yield* until(listed(other, "orders", { maxAge: "5 seconds" }), contains("one"))
      assert.isTrue(yield* other.registry.deregister(one))
      assert.strictEqual(yield* lastOf(store, key), "purge")
      yield* until(listed(other), contains("one"))
      assert.isUndefined(yield* registration.whyLost)
    }))

  test("purges while the own view has just been cut off", () =>
    Effect.gen(function*() {
      const { other, store } = yield* registered
      const events = yield* watched(other)
      yield* until(events.all, contains("up orders/one"))
      yield* other.link.cut
      yield* TestClock.adjust("5 seconds")
      yield* other.link.heal
      yield* TestClock.adjust("1 second")
      assert.isTrue(yield* other.registry.deregister(one))
      assert.strictEqual(yield* lastOf(store, key), "purge")
    }))

  test("purges a value that does not decode, but not with onlyIfExpired", () =>
    Effect.gen(function*() {
      const { other, store } = yield* registered
      const bad = { serviceName: "orders", instanceId: "bad" }
      yield* store.put(keyOf("orders", "bad"), bytes("nonsense"))
      assert.isFalse(yield* other.registry.deregister(bad, { onlyIfExpired: true }))
      assert.isTrue(yield* other.registry.deregister(bad))
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "bad")), "purge")
    }))
})

describe("deregister refuses", () => {
  const wrong: ReadonlyArray<readonly [what: string, args: ReadonlyArray<unknown>, said: string]> = [
    ["names as two texts", ["orders", "one"], "instance: expected an object with serviceName and instanceId, got a"],
    ["a maxAge of 0", [one, { maxAge: 0 }], "maxAge"],
    ["an unknown option", [one, { onlyExpired: true }], "no option \"onlyExpired\""],
    ["a flag that is a text", [one, { onlyIfExpired: "yes" }], "onlyIfExpired: expected true or false"]
  ]
  for (const [what, args, said] of wrong) {
    test(`${what}, before anything is sent`, () =>
      Effect.gen(function*() {
        const [, process] = yield* world(defaults)
        const deregister = process.registry.deregister as (...args: ReadonlyArray<unknown>) => Effect.Effect<
          boolean,
          Error
        >
        const { message } = yield* Effect.flip(deregister(...args))
        assert.include(message, said)
        assert.deepStrictEqual(process.link.calls, [])
      }))
  }
})
