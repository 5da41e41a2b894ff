/** Invalid names, ids and instances are refused before anything is sent to the store. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Registry from "../../../src/Registry.ts"
import { reasonOf } from "../../support/suite.ts"
import { calm, type Tools } from "./fixture.ts"
import { listed, named, type Process, world } from "./processes.ts"

const badNames = [
  "",
  " ",
  "a.b",
  ".",
  "*",
  ">",
  "a*",
  "orders.>",
  "a b",
  " a",
  "a ",
  "grüße",
  "日本",
  "_a",
  "-a",
  "a/b",
  "a\n"
]

export const names = ({ test }: Tools) => {
  type Ask = (registry: Process["registry"]) => Effect.Effect<unknown, Registry.RegistryError, Scope.Scope>

  /** Asserts that each value is refused with `InvalidName` for `field`, without any call to the store. */
  const untouched = Effect.fnUntraced(function*(
    field: string,
    values: ReadonlyArray<string>,
    asked: (value: string) => ReadonlyArray<Ask>
  ) {
    const [store, process] = yield* world(calm)
    yield* process.registry.heartbeat(named("orders", "one"))
    const before = yield* store.status
    const calls = process.link.calls.length
    for (const value of values) {
      for (const ask of asked(value)) {
        const reason = yield* reasonOf(ask(process.registry), "InvalidName")
        assert.strictEqual(reason.field, field)
        assert.strictEqual(reason.value, value)
        assert.include(reason.message, field)
      }
    }
    assert.strictEqual(process.link.calls.length, calls)
    const after = yield* store.status
    assert.strictEqual(after.lastRevision, before.lastRevision)
    assert.strictEqual(after.messages, before.messages)
  })

  test("every operation refuses an invalid service name", () =>
    untouched("serviceName", [...badNames, "1a"], (name) => [
      (registry) => registry.register(named(name, "one")),
      (registry) => registry.register({ serviceName: name, version: "1.0.0" }),
      (registry) => registry.heartbeat(named(name, "one")),
      (registry) => registry.get(name, "one"),
      (registry) => registry.list(name),
      (registry) => registry.deregister({ serviceName: name, instanceId: "one" }),
      (registry) => Stream.runHead(registry.watch(name))
    ]))

  test("every operation refuses an invalid instance id", () =>
    untouched("instanceId", badNames, (name) => [
      (registry) => registry.register(named("orders", name)),
      (registry) => registry.heartbeat(named("orders", name)),
      (registry) => registry.get("orders", name),
      (registry) => registry.deregister({ serviceName: "orders", instanceId: name })
    ]))

  test("a wildcard as a name removes and lists no instances", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      for (const wild of ["*", ">"]) {
        yield* reasonOf(process.registry.deregister({ serviceName: "orders", instanceId: wild }), "InvalidName")
        yield* reasonOf(process.registry.deregister({ serviceName: wild, instanceId: "one" }), "InvalidName")
        yield* reasonOf(process.registry.list(wild), "InvalidName")
      }
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("heartbeat without an instance id fails with InvalidName", () =>
    untouched("instanceId", ["undefined"], () => [
      (registry) => registry.heartbeat({ serviceName: "orders", version: "1.0.0" } as never)
    ]))

  const badInstances: ReadonlyArray<readonly [field: string, value: unknown]> = [
    ["version", ""],
    ["version", "1"],
    ["version", "1.2"],
    ["version", "v1.2.3"],
    ["version", "1.2.3 "],
    ["version", undefined],
    ["status", "SHUTDOWN"],
    ["status", "active"],
    ["metadata", { when: new Date(0) }],
    ["metadata", { f: () => 1 }],
    ["metadata", { n: Number.NaN }],
    ["metadata", { big: 1n }],
    ["metadata", 5],
    ["metadata", null],
    ["group", 5],
    ["stickyActiveGroup", "eu"],
    ["stickyActiveStatus", "LEADER"]
  ]

  test("an invalid instance is refused with an error that names the field", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      for (const [field, value] of badInstances) {
        const instance = named("orders", "one", { [field]: value as never })
        for (const ask of [process.registry.register(instance), process.registry.heartbeat(instance)]) {
          const reason = yield* reasonOf(ask, field === "metadata" ? "InvalidValue" : "InvalidConfig")
          assert.include(reason.message, field)
        }
      }
      assert.deepStrictEqual(process.link.calls, [])
      assert.strictEqual((yield* store.status).messages, 0)
    }))
}
