/** Updates of a registered instance, and changes of its record by other writers. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Registry from "../../../src/Registry.ts"

import { answerLost, countOf, lostOnTheWay, times } from "../../support/links.ts"
import { numbers, record } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { calm, steady, type Tools } from "./fixture.ts"
import { fieldsOf, hasWritten, keyOf, named, underneath, world } from "./processes.ts"

export const updates = ({ finish, test, until }: Tools) => {
  const key = keyOf("orders", "one")

  test("an update is visible at once to its writer, to readers and to watches", () =>
    Effect.gen(function*() {
      const [, backend, observer] = yield* world(calm)
      const { instance, update } = yield* backend.enter(named("orders", "one", { metadata: { load: 1 } }))
      const events = yield* record(observer.registry.watch())
      yield* until(events.all, (all) => all.some((event) => event._tag === "Ready"))
      yield* finish(update((current) => ({ ...current, status: "UNHEALTHY", metadata: { load: 9 } })))
      assert.strictEqual((yield* instance).status, "UNHEALTHY")
      const got = Option.getOrThrow(yield* observer.registry.get("orders", "one"))
      assert.strictEqual(got.status, "UNHEALTHY")
      assert.deepStrictEqual(got.metadata, { load: 9 })
      const all = yield* until(events.all, (all) => all.some((event) => event._tag === "Changed"))
      const change = all.find((event) => event._tag === "Changed")!
      assert.strictEqual(change.previous.status, "ACTIVE")
      assert.deepStrictEqual(change.previous.metadata, { load: 1 })
      assert.strictEqual(change.instance.status, "UNHEALTHY")
    }))

  test("an update keeps the fields that AegisSDK wrote, without checking them again", () =>
    Effect.gen(function*() {
      const [store, backend, observer] = yield* world(calm)
      const { instance, update } = yield* backend.enter(named("orders", "one"))
      const theirs = { version: "v7", stickyActiveGroup: "eu", stickyActiveStatus: "STANDBY" }
      yield* underneath(store, key, theirs)
      // The first update reads the fields after a conflict; the second starts from them.
      yield* finish(update((current) => ({ ...current, status: "STANDBY" })))
      yield* finish(update((current) => ({ ...current, status: "UNHEALTHY" })))
      const { group, status, version } = yield* instance
      assert.deepStrictEqual([group, status, version], ["eu", "UNHEALTHY", "v7"])
      const fields = yield* fieldsOf(store, key)
      assert.deepStrictEqual({ ...fields, ...theirs }, fields)
      assert.deepStrictEqual((yield* observer.registry.list("orders")).map((one) => one.version), ["v7"])
    }))

  test("later heartbeats keep an update", () =>
    Effect.gen(function*() {
      const [, backend] = yield* world(steady)
      const { update } = yield* backend.enter(named("orders", "one"))
      yield* finish(update((current) => ({ ...current, status: "UNHEALTHY" })))
      yield* until(...hasWritten(backend, 3))
      assert.strictEqual(Option.getOrThrow(yield* backend.registry.get("orders", "one")).status, "UNHEALTHY")
    }))

  test("an update keeps the changes of another writer", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(steady)
      const { update, whyLost } = yield* backend.enter(named("orders", "one", { metadata: { zone: "a" } }))
      yield* underneath(store, key, { team: { name: "blue", since: null }, metadata: { zone: "b", seen: [1] } })
      yield* finish(
        update((current) => ({ ...current, status: "STANDBY", metadata: { ...current.metadata, load: 5 } }))
      )
      const expected = {
        team: { name: "blue", since: null },
        metadata: { zone: "b", seen: [1], load: 5 },
        status: "STANDBY"
      }
      const written = yield* fieldsOf(store, key)
      assert.deepStrictEqual(
        { team: written["team"], metadata: written["metadata"], status: written["status"] },
        expected as never
      )
      yield* until(...hasWritten(backend, 3))
      const later = yield* fieldsOf(store, key)
      assert.deepStrictEqual(
        { team: later["team"], metadata: later["metadata"], status: later["status"] },
        expected as never
      )
      assert.isUndefined(yield* whyLost)
    }))

  for (
    const [what, fault, status] of [
      ["and is kept if it landed", answerLost, "STANDBY"],
      ["and is not applied later if it was lost", lostOnTheWay, "ACTIVE"]
    ] as const
  ) {
    test(`an update without an answer fails with OutcomeUnknown ${what}`, () =>
      Effect.gen(function*() {
        const [, backend] = yield* world(steady)
        const { instance, update, whyLost } = yield* backend.enter(named("orders", "one"))
        yield* backend.link.set(times(1, "put", fault))
        const reason = yield* reasonOf(update((current) => ({ ...current, status: "STANDBY" })), "KVStoreError")
        assert.strictEqual(reason.reason._tag, "OutcomeUnknown")
        yield* until(...hasWritten(backend, 2))
        assert.strictEqual((yield* instance).status, status)
        assert.strictEqual(Option.getOrThrow(yield* backend.registry.get("orders", "one")).status, status)
        assert.isUndefined(yield* whyLost)
      }))
  }

  test("a heartbeat keeps the changes of another writer", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(steady)
      const { instance } = yield* backend.enter(named("orders", "one"))
      yield* underneath(store, key, { team: "blue", status: "STANDBY" })
      yield* until(...hasWritten(backend, 2))
      const fields = yield* fieldsOf(store, key)
      assert.strictEqual(fields["team"], "blue")
      assert.strictEqual(fields["status"], "STANDBY")
      assert.strictEqual((yield* instance).status, "STANDBY")
    }))

  test("concurrent updates are all applied", () =>
    Effect.gen(function*() {
      const [, backend] = yield* world(calm)
      const { update } = yield* backend.enter(named("orders", "one"))
      yield* finish(
        Effect.forEach(
          numbers(10),
          (n) => update((current) => ({ ...current, metadata: { ...current.metadata, [`n${n}`]: n } })),
          { concurrency: "unbounded", discard: true }
        )
      )
      const got = Option.getOrThrow(yield* backend.registry.get("orders", "one"))
      assert.strictEqual(Object.keys(got.metadata).length, 10)
    }))

  const refused: ReadonlyArray<
    readonly [what: string, f: (current: Registry.ServiceInstance) => unknown, tag?: "InvalidValue"]
  > = [
    ["another instance id", (current) => ({ ...current, instanceId: "two" })],
    ["another service name", (current) => ({ ...current, serviceName: "payments" })],
    ["an invalid instance id", (current) => ({ ...current, instanceId: "a.b" })],
    ["an invalid version", (current) => ({ ...current, version: "one" })],
    ["an unknown status", (current) => ({ ...current, status: "GONE" })],
    ["metadata that is not JSON", (current) => ({ ...current, metadata: { f: () => 1 } }), "InvalidValue"],
    ["undefined", () => undefined],
    ["a function that throws", () => {
      throw new Error("no")
    }]
  ]

  for (const [what, f, tag = "InvalidConfig"] of refused) {
    test(`an invalid update is refused, and nothing is written: ${what}`, () =>
      Effect.gen(function*() {
        const [store, backend] = yield* world(steady)
        const { instance, update, whyLost } = yield* backend.enter(named("orders", "one"))
        const puts = countOf(backend.link, "put")
        yield* reasonOf(update(f as never), tag)
        assert.strictEqual(countOf(backend.link, "put"), puts)
        const { instanceId, serviceName, status, version } = yield* instance
        assert.deepStrictEqual([serviceName, instanceId, status, version] as ReadonlyArray<string>, [
          "orders",
          "one",
          "ACTIVE",
          "1.0.0"
        ])
        yield* until(...hasWritten(backend, 1))
        assert.isUndefined(yield* whyLost)
        assert.deepStrictEqual(yield* store.keys(), [key])
      }))
  }
}
