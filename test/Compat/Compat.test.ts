/** The names that AegisSDK's document says were kept. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import { once } from "node:events"
import * as Aegis from "../../src/Aegis.ts"
import * as Compat from "../../src/Compat.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"
import { bytes, textOf } from "../../tools/values.ts"
import { quiet } from "../support/suite.ts"

const one = { serviceName: "orders", instanceId: "one", version: "1.0.0" }

const test = (title: string, body: Effect.Effect<void, unknown, Registry.Registry>) =>
  it.effect(title, () => body.pipe(Effect.provide(Layer.merge(Aegis.layerMemory(), quiet))))

const listed = Registry.Registry.use((registry) =>
  Effect.map(registry.list("orders"), (instances) => instances.map(({ instanceId }) => instanceId))
)

describe("KVOptionsFactory", () => {
  const factory = Compat.KVOptionsFactory

  it("returns the conditions of put", () => {
    assert.deepStrictEqual(factory.createExclusive(), { createOnly: true })
    assert.deepStrictEqual(factory.createUpdateOnly(), { updateOnly: true })
    assert.deepStrictEqual(factory.createUpdateOnly(7), { revision: 7 })
    assert.deepStrictEqual(factory.createWithRevision(7), { revision: 7 })
  })

  it("returns no options where AegisSDK had a time to live", () => {
    for (const options of [factory.createEphemeral(30), factory.createSession(3600), factory.createCache(300)]) {
      assert.isUndefined(options)
    }
    for (
      const create of [factory.createPersistent, factory.createEphemeral, factory.createSession, factory.createCache]
    ) {
      assert.isUndefined(create())
    }
  })

  it.effect("returns options that put takes", () =>
    Effect.scoped(Effect.gen(function*() {
      const store = yield* KVStore.makeMemory({ bucket: "b" })
      const first = yield* store.put("k", bytes("1"), factory.createExclusive())
      const again = yield* Effect.flip(store.put("k", bytes("2"), factory.createExclusive()))
      assert.strictEqual(again.reason._tag, "KeyAlreadyExists")
      const absent = yield* Effect.flip(store.put("other", bytes("2"), factory.createUpdateOnly()))
      assert.strictEqual(absent.reason._tag, "KeyNotFound")
      yield* store.put("k", bytes("2"), factory.createUpdateOnly(first))
      const late = yield* Effect.flip(store.put("k", bytes("3"), factory.createWithRevision(first)))
      assert.strictEqual(late.reason._tag, "RevisionMismatch")
      yield* store.put("k", bytes("4"), factory.createEphemeral(30))
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(textOf(Option.getOrThrow(yield* store.get("k")).value), "4")
    })))
})

describe("the registry", () => {
  test(
    "registers an instance until the scope closes, whatever ttlSeconds says",
    Effect.gen(function*() {
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Compat.register(one, 1)
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual(yield* listed, ["one"])
      }))
      assert.deepStrictEqual(yield* listed, [])
    })
  )

  test(
    "sends one heartbeat, which registers the instance and expires after maxAge",
    Effect.gen(function*() {
      yield* Compat.updateHeartbeat(one, 3600)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* listed, ["one"])
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(yield* listed, [])
    })
  )

  test(
    "compares the age of the last heartbeat by the clock of the registry: exactly maxAgeSeconds is not expired",
    Effect.gen(function*() {
      yield* TestClock.adjust("1 hour")
      yield* Compat.updateHeartbeat(one)
      const [instance] = (yield* Compat.listAllServices).get("orders")!
      const at = (maxAgeSeconds?: number) => Compat.isExpired(instance!, maxAgeSeconds)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual([yield* at(10), yield* at(9.9), yield* at()], [false, true, false])
      yield* TestClock.adjust("20001 millis")
      assert.deepStrictEqual([yield* at(), yield* at(Infinity)], [true, false])
      assert.isTrue(yield* Compat.isExpired({ lastHeartbeat: undefined }))
    })
  )

  test(
    "lists expired instances, too",
    Effect.gen(function*() {
      yield* Compat.updateHeartbeat(one)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual([...(yield* Compat.listAllServices).keys()], ["orders"])
    })
  )

  test(
    "deregisters an instance; one that does not exist is no error",
    Effect.gen(function*() {
      yield* Compat.updateHeartbeat(one)
      yield* Compat.deregister("orders", "one")
      assert.deepStrictEqual(yield* listed, [])
      yield* Compat.deregister("orders", "one")
    })
  )

  test(
    "removes what is older than maxAgeSeconds, or than the maxAge of each instance, and returns the number",
    Effect.gen(function*() {
      yield* Compat.updateHeartbeat(one)
      yield* TestClock.adjust("25 seconds")
      yield* Compat.updateHeartbeat({ ...one, instanceId: "two" })
      assert.strictEqual(yield* Compat.cleanupExpiredServices(), 0)
      assert.strictEqual(yield* Compat.cleanupExpiredServices(20), 1)
      assert.deepStrictEqual(yield* listed, ["two"])
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual(yield* Compat.cleanupExpiredServices(), 1)
    })
  )

  test(
    "fails with InvalidConfig if an age is no number of seconds",
    Effect.gen(function*() {
      const ages: ReadonlyArray<readonly [unknown, string]> = [
        [-1, "-1"],
        [Number.NaN, "NaN"],
        ["30", "\"30\""],
        [null, "null"]
      ]
      for (const [age, shown] of ages) {
        const calls: ReadonlyArray<
          readonly [string, Effect.Effect<unknown, Registry.RegistryError, Registry.Registry>]
        > = [
          ["isExpired", Compat.isExpired({ lastHeartbeat: undefined }, age as number)],
          ["cleanupExpiredServices", Compat.cleanupExpiredServices(age as number)]
        ]
        for (const [operation, failing] of calls) {
          const { message, reason } = yield* Effect.flip(failing)
          assert.strictEqual(reason._tag, "InvalidConfig")
          assert.include(message, `${operation}: `)
          assert.include(message, `maxAgeSeconds: expected a number of seconds from 0, got ${shown}`)
        }
      }
    })
  )
})

describe("deprecation", () => {
  it("is printed once for each name in a process", async () => {
    // Another copy of the module, as in a new process: other tests have used the names.
    const warned: Array<string> = []
    const onWarning = (warning: Error) => warned.push(`${warning.name}: ${warning.message}`)
    process.on("warning", onWarning)
    try {
      const { deprecated } = await import("../../src/internal/deprecated.ts")
      deprecated("one", "another", 1)
      const first = once(process, "warning")
      assert.strictEqual(deprecated("two", "another", 2), 2)
      deprecated("two", "another", 3)
      await first
      await new Promise((resolve) => setImmediate(resolve))
    } finally {
      process.off("warning", onWarning)
    }
    assert.deepStrictEqual(warned.filter((line) => line.includes("another")), [
      "DeprecationWarning: Compat.one of effect-aegis is deprecated. Use another instead.",
      "DeprecationWarning: Compat.two of effect-aegis is deprecated. Use another instead."
    ])
  })

  it("is a mark of every exported name", async () => {
    const { readFileSync } = await import("node:fs")
    const source = readFileSync(new URL("../../src/Compat.ts", import.meta.url), "utf8")
    const names = Object.keys(Compat)
    assert.strictEqual(source.match(/^ \* @deprecated /gm)?.length, names.length)
  })
})
