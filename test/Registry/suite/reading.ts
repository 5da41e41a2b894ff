/** Reads: failures, records that do not decode, and ages. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { isExpired } from "../../../src/Expiration.ts"
import type * as Registry from "../../../src/Registry.ts"
import { bytes, textOf } from "../../../tools/values.ts"

import { away } from "../../support/links.ts"
import { record } from "../../support/suite.ts"
import { reasonOf } from "../../support/suite.ts"
import { brisk, calm, contains, maxAge, type Tools } from "./fixture.ts"
import { entryOf, idsOf, keyOf, listed, named, sendHeartbeat, underneath, watched, world } from "./processes.ts"

export const reading = ({ finish, test, until }: Tools) => {
  test("reads, heartbeat, deregister, cleanup and watch fail with a retryable error if the store is unreachable", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* process.link.set(away)
      const reads = [
        process.registry.get("orders", "one"),
        process.registry.list("orders"),
        process.registry.listAll(),
        process.registry.deregister({ serviceName: "orders", instanceId: "one" }),
        process.registry.heartbeat(named("orders", "two")),
        process.registry.cleanup(),
        Stream.runHead(process.registry.watch())
      ]
      for (const read of reads) {
        const error = yield* Effect.flip(finish(read as Effect.Effect<unknown, Registry.RegistryError>))
        assert.strictEqual(error.reason._tag, "KVStoreError")
        assert.isTrue(error.isRetryable)
      }
      yield* process.link.set(undefined)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("a record that does not decode is left out of lists, and get fails with UndecodableValue", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      const revision = yield* store.put(keyOf("orders", "bad"), bytes("nonsense"))
      yield* store.put(keyOf("orders", "wrong"), (yield* entryOf(store, keyOf("orders", "one"))).value)
      yield* store.put(keyOf("payments", "bad"), Uint8Array.of(0xff))
      yield* process.registry.heartbeat(named("orders", "two"))
      assert.deepStrictEqual(yield* listed(process), ["one", "two"])
      assert.deepStrictEqual(yield* listed(process, "orders", { includeExpired: true }), ["one", "two"])
      assert.deepStrictEqual(yield* listed(process, "payments"), [])
      assert.deepStrictEqual([...(yield* process.registry.listAll()).keys()], ["orders"])
      const reason = yield* reasonOf(process.registry.get("orders", "bad"), "UndecodableValue")
      assert.strictEqual(reason.revision, revision)
      yield* reasonOf(process.registry.get("orders", "wrong"), "UndecodableValue")
      assert.isTrue(Option.isSome(yield* process.registry.get("orders", "two")))
    }))

  test("records of many levels stop neither a list nor a watch, also if they change", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      const text = textOf((yield* entryOf(store, keyOf("orders", "one"))).value)
      const deep = (levels: number, last: number) =>
        bytes(text.replace(`"metadata":{`, `"metadata":{"deep":${"[".repeat(levels)}${last}${"]".repeat(levels)}`))
      const events = yield* watched(process)
      yield* until(events.all, contains("ready"))
      for (const levels of [254, 255, 1000, 1500, 2500, 4000, 9000]) {
        for (const last of [1, 2]) {
          yield* store.put(keyOf("orders", "one"), deep(levels, last))
          // Its event shows that the watch has processed the put.
          yield* process.registry.heartbeat(named("orders", `beside-${levels}-${last}`))
          yield* until(events.all, contains(`up orders/beside-${levels}-${last}`))
        }
        assert.strictEqual((yield* listed(process)).includes("one"), levels === 254)
      }
      assert.deepStrictEqual(events.events.filter((event) => !event.includes("beside")), [
        "up orders/one",
        "ready",
        "changed orders/one from ACTIVE to ACTIVE",
        "changed orders/one from ACTIVE to ACTIVE"
      ])
    }))

  test("a watch skips records that do not decode", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* store.put(keyOf("orders", "bad"), bytes("nonsense"))
      const events = yield* watched(process)
      yield* until(events.all, contains("ready"))
      yield* store.put(keyOf("orders", "bad"), Uint8Array.of(0xff))
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* store.delete(keyOf("orders", "bad"))
      yield* process.registry.heartbeat(named("orders", "two"))
      yield* until(events.all, contains("up orders/two"))
      assert.deepStrictEqual(events.events, ["ready", "up orders/one", "up orders/two"])
    }))

  test("get, list and watch return a version that another library wrote, also if it is not a semantic version", () =>
    Effect.gen(function*() {
      const [store, process, observer] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      const events = yield* record(observer.registry.watch("orders"))
      yield* until(events.all, (all) => all.some((event) => event._tag === "Ready"))
      yield* underneath(store, keyOf("orders", "one"), { version: "v7" })
      const all = yield* until(events.all, (all) => all.some((event) => event._tag === "Changed"))
      assert.strictEqual(all.find((event) => event._tag === "Changed")!.instance.version, "v7")
      assert.deepStrictEqual((yield* observer.registry.list("orders")).map(({ version }) => version), ["v7"])
      assert.strictEqual(Option.getOrThrow(yield* observer.registry.get("orders", "one")).version, "v7")
    }))

  test("keys outside service-instances.<name>.<id> are ignored", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      for (const key of ["other", "service-instances", "service-instances.orders", "service-instances.orders.a.b"]) {
        yield* store.put(key, bytes("nonsense"))
      }
      yield* process.registry.heartbeat(named("orders", "one"))
      assert.deepStrictEqual(yield* listed(process), ["one"])
      assert.strictEqual((yield* process.registry.listAll()).size, 1)
      const report = yield* process.registry.cleanup()
      assert.deepStrictEqual(report.undecodable, [])
      assert.isAtMost(report.scanned, 1)
    }))

  test("isExpired with the store's clock agrees with list", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* sendHeartbeat(process, named("orders", "expired"))
      yield* process.enter(named("orders", "live"))
      const expired = isExpired(store.clock, { maxAge })
      const mine = Effect.map(
        process.registry.list("orders", { includeExpired: true }),
        (all) => idsOf(all.filter((instance) => !expired(instance)))
      )
      yield* until(listed(process), (ids) => ids.length < 2)
      assert.deepStrictEqual(yield* mine, ["live"])
      assert.deepStrictEqual(yield* listed(process), ["live"])
    }))

  test("a read can have its own maxAge", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* until(listed(process, "orders", { maxAge: "100 millis" }), (ids) => ids.length === 0)
      assert.deepStrictEqual(yield* listed(process, "orders", { maxAge: "1 hour" }), ["one"])
      assert.isTrue(Option.isNone(yield* process.registry.get("orders", "one", { maxAge: "100 millis" })))
      assert.isTrue(Option.isSome(yield* process.registry.get("orders", "one", { maxAge: "1 hour" })))
      assert.strictEqual((yield* process.registry.listAll({ maxAge: "100 millis" })).size, 0)
    }))

  test("an instance that was never registered is absent", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      assert.isTrue(Option.isNone(yield* process.registry.get("orders", "one")))
      assert.deepStrictEqual(yield* listed(process), [])
      assert.strictEqual((yield* process.registry.listAll()).size, 0)
    }))
}
