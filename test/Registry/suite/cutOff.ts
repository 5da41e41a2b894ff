/** Instances whose link to the store fails: their expiry, their reports, and their recovery. */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Config from "../../../src/KVStoreConfig.ts"

import { away, countOf, type Fault, silent } from "../../support/links.ts"
import { record, type Store } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { brisk, clockError, contains, maxAge, steady, type Tools, tough } from "./fixture.ts"
import {
  entryOf,
  fieldsOf,
  hasWritten,
  keyOf,
  lastOf,
  listed,
  named,
  openBucket,
  type Process,
  startProcess,
  tagsOf,
  watched,
  world
} from "./processes.ts"

export const cutOff = ({ finish, test, until }: Tools) => {
  /** Injects the fault and waits for the next heartbeat, so that no earlier heartbeat is in flight. */
  const cut = Effect.fnUntraced(function*({ link }: Process, fault: Fault) {
    const before = countOf(link, "put")
    yield* link.set(fault)
    yield* until(Effect.sync(() => countOf(link, "put")), (count) => count > before)
  })

  for (const [how, fault] of [["cannot reach the store", away], ["gets no answers from the store", silent]] as const) {
    test(`an instance that ${how} expires after maxAge, and not before`, () =>
      Effect.gen(function*() {
        const [store, backend, observer] = yield* world(brisk)
        const events = yield* watched(observer)
        yield* backend.enter(named("orders", "one"))
        yield* until(...hasWritten(backend, 2))
        yield* until(events.all, contains("up orders/one"))
        yield* cut(backend, fault)
        const { created } = yield* entryOf(store, keyOf("orders", "one"))
        const age = Effect.sync(() => store.clock.currentTimeMillisUnsafe() - created.epochMilliseconds)

        yield* until(listed(observer), (ids) => ids.length === 0)
        assert.isAbove(yield* age, Duration.toMillis(maxAge))
        yield* until(events.all, contains("down orders/one expired"))
        assert.isAbove(yield* age, Duration.toMillis(maxAge) - clockError)
        assert.deepStrictEqual(events.events.filter((event) => event.startsWith("down")), ["down orders/one expired"])

        assert.isTrue(Option.isNone(yield* observer.registry.get("orders", "one")))
        assert.strictEqual((yield* observer.registry.listAll()).size, 0)
        assert.deepStrictEqual(yield* listed(observer, "orders", { includeExpired: true }), ["one"])
        assert.isTrue(Option.isSome(yield* observer.registry.get("orders", "one", { includeExpired: true })))
        assert.strictEqual((yield* observer.registry.listAll({ includeExpired: true })).size, 1)
        // The record has been neither written nor removed.
        assert.strictEqual(
          (yield* entryOf(store, keyOf("orders", "one"))).created.epochMilliseconds,
          created.epochMilliseconds
        )
      }))
  }

  test("visibility reports when other processes stop seeing the instance, and when they see it again", () =>
    Effect.gen(function*() {
      const [, backend, observer] = yield* world(brisk)
      const events = yield* watched(observer)
      const { visibility, whyLost } = yield* backend.enter(named("orders", "one"))
      const told = yield* record(tagsOf(visibility))
      yield* until(...hasWritten(backend, 2))
      yield* backend.link.set(away)
      yield* until(told.all, (all) => all.includes("Invisible"))
      yield* until(events.all, contains("down orders/one expired"))
      yield* backend.link.set(undefined)
      yield* until(told.all, (all) => all.length === 3)
      assert.deepStrictEqual(told.events, ["Visible", "Invisible", "Visible"])
      yield* until(listed(observer), contains("one"))
      yield* until(events.all, (all) => all.filter((event) => event === "up orders/one").length === 2)
      assert.isUndefined(yield* whyLost)
    }))

  test("instances stay live during an outage shorter than maxAge", () =>
    Effect.gen(function*() {
      const [store, observer] = yield* world(tough)
      const events = yield* watched(observer)
      const ids = ["one", "two", "three"]
      const backends = yield* Effect.forEach(ids, () => startProcess(store, tough))
      const entered = yield* Effect.forEach(backends, ({ enter }, index) => enter(named("orders", ids[index]!)))
      const allListed = Effect.map(listed(observer), (found) => assert.deepStrictEqual(found, ids.toSorted()))
      const puts = Effect.sync(() => backends.map(({ link }) => countOf(link, "put")))
      const landed = Effect.sync(() => backends.map(({ link }) => link.landed.length))
      for (const { link } of backends) yield* link.set(away)
      yield* until(Effect.tap(puts, () => allListed), (all) => all.every((count) => count >= 3))
      for (const { link } of backends) yield* link.set(undefined)
      yield* until(Effect.tap(landed, () => allListed), (all) => all.every((count) => count >= 6))
      for (const { whyLost } of entered) assert.isUndefined(yield* whyLost)
      yield* entered[0]!.close
      yield* until(events.all, contains("down orders/one deregistered"))
      assert.deepStrictEqual(events.events.filter((event) => event.startsWith("down")), [
        "down orders/one deregistered"
      ])
    }))

  /** Runs `whatHappens` to a record while its owner is disconnected, then reconnects the owner. */
  const afterAnOutage = Effect.fnUntraced(function*(
    whatHappens: (store: Store, observer: Process) => Effect.Effect<unknown, unknown>,
    options?: Partial<Config.BucketOptions>
  ) {
    const store = yield* openBucket(options)
    const backend = yield* startProcess(store)
    const observer = yield* startProcess(store)
    const registration = yield* backend.enter(named("orders", "one", { metadata: { zone: "a" } }))
    yield* backend.link.set(away)
    yield* until(listed(observer), (ids) => ids.length === 0)
    yield* whatHappens(store, observer)
    yield* backend.link.set(undefined)
    return { store, backend, observer, registration }
  })

  /** Asserts that the instance is listed as before and sends heartbeats. */
  const isBack = Effect.fnUntraced(function*({ backend, observer, registration, store }: Effect.Success<
    ReturnType<typeof afterAnOutage>
  >) {
    yield* until(listed(observer), contains("one"))
    yield* until(...hasWritten(backend, 3))
    assert.deepStrictEqual((yield* fieldsOf(store, keyOf("orders", "one")))["metadata"], { zone: "a" })
    assert.isUndefined(yield* registration.whyLost)
    yield* finish(registration.close)
    assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "delete")
  })

  test("after an outage longer than maxAge an instance whose record still exists is live again", () =>
    Effect.flatMap(
      afterAnOutage((store) =>
        Effect.map(lastOf(store, keyOf("orders", "one")), (last) => assert.strictEqual(last, "put"))
      ),
      isBack
    ))

  test("an instance that was cleaned up during an outage registers again", () =>
    Effect.flatMap(
      afterAnOutage((store, observer) =>
        Effect.gen(function*() {
          const { removed } = yield* observer.registry.cleanup()
          assert.deepStrictEqual(removed.map((one) => one.instance), ["orders/one"])
          assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "purge")
        })
      ),
      isBack
    ))

  test("an instance whose record was removed by streamMaxAge during an outage registers again", () =>
    Effect.flatMap(
      afterAnOutage(
        (store) => until(lastOf(store, keyOf("orders", "one")), (last) => last === "nothing"),
        { streamMaxAge: Duration.times(maxAge, 2) }
      ),
      isBack
    ))

  test("an instance that was deregistered while it was expired, in an outage, registers again", () =>
    Effect.flatMap(
      afterAnOutage((_, observer) =>
        Effect.map(observer.registry.deregister({ serviceName: "orders", instanceId: "one" }), assert.isTrue)
      ),
      isBack
    ))

  test("an instance that was deregistered during a short outage reports Deregistered and stays deregistered", () =>
    Effect.gen(function*() {
      const [store, backend, observer] = yield* world(steady)
      const registration = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(away)
      assert.isTrue(yield* finish(observer.registry.deregister({ serviceName: "orders", instanceId: "one" })))
      yield* backend.link.set(undefined)
      yield* until(registration.whyLost, (why) => why === "Deregistered")
      yield* staysGone(store, backend, observer)
      yield* reasonOf(finish(registration.update((current) => current)), "Deregistered")
    }))

  test("an instance that another process deregisters reports Deregistered and stays deregistered", () =>
    Effect.gen(function*() {
      const [store, backend, observer] = yield* world(brisk)
      const { lost, whyLost } = yield* backend.enter(named("orders", "one"))
      assert.isTrue(yield* finish(observer.registry.deregister({ serviceName: "orders", instanceId: "one" })))
      yield* until(whyLost, (why) => why === "Deregistered")
      assert.include((yield* lost).message, "orders/one")
      yield* staysGone(store, backend, observer)
    }))

  /** Asserts that the process makes no call to the store while another process sends several heartbeats. */
  const staysGone = Effect.fnUntraced(function*(store: Store, backend: Process, observer: Process) {
    const metronome = yield* startProcess(store)
    yield* metronome.enter(named("clock", "one"))
    const before = backend.link.calls.length
    yield* until(...hasWritten(metronome, 4))
    assert.strictEqual(backend.link.calls.length, before)
    assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "delete")
    assert.deepStrictEqual(yield* listed(observer, "orders", { includeExpired: true }), [])
  })
}
