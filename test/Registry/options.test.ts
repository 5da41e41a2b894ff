/** The options of a registry: an invalid option is refused before anything is sent to the store. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"

import { countOf } from "../support/links.ts"
import { logged } from "../support/suite.ts"
import { reasonOf } from "../support/suite.ts"
import { defaults, finish, key, test, until } from "./suite/inMemory.ts"
import { entryOf, fieldsOf, lastOf, listed, named, openBucket, type Process, startProcess } from "./suite/processes.ts"

type Ask = (registry: Process["registry"]) => Effect.Effect<unknown, Registry.RegistryError, Scope.Scope>

/** Options that the types forbid: those of an untyped caller, or with a misspelt name. */
const wrong = (value: unknown) => value as never

const one = named("orders", "one")

const times = `a time such as "5 seconds", or a number of milliseconds`

const fields = "serviceName, instanceId, version, status, group, host, port, metadata"

const statuses = `"STARTING", "ACTIVE", "STANDBY", "UNHEALTHY" or "DRAINING"`

const versions = `a semantic version such as "1.2.3" or "1.2.3-rc.1"`

/** Invalid instances and the error texts, the same for `register` and `heartbeat`. */
const instances: ReadonlyArray<readonly [what: string, instance: unknown, said: string]> = [
  ["no instance", undefined, `instance: expected an object with ${fields}, got undefined`],
  ["null", null, `instance: expected an object with ${fields}, got null`],
  ["a text", "orders", `instance: expected an object with ${fields}, got a plain string`],
  ["a list", [one], `instance: expected an object with ${fields}, got a list`],
  ["an unknown option", { ...one, statu: "ACTIVE" }, `instance: no option "statu": the options are ${fields}`],
  ["the SDK's name of the group", { ...one, stickyActiveGroup: "eu" }, `no option "stickyActiveGroup"`],
  ["a status in small letters", { ...one, status: "active" }, `status: expected ${statuses}, got "active"`],
  ["a status that is null", { ...one, status: null }, `status: expected ${statuses}, got null`],
  ["no version", { ...one, version: undefined }, `version: expected ${versions}, got undefined`],
  ["a version of two numbers", { ...one, version: "1.2" }, `version: expected ${versions}, got "1.2"`],
  ["a version with a v", { ...one, version: "v1.2.3" }, `version: expected ${versions}, got "v1.2.3"`],
  ["a version with a leading zero", { ...one, version: "01.2.3" }, `version: expected ${versions}, got "01.2.3"`],
  ["a version that is a number", { ...one, version: 1 }, `version: expected ${versions}, got 1`],
  ["a group that is a number", { ...one, group: 5 }, "group: expected a text that is not empty, got a number"],
  ["an empty group", { ...one, group: "" }, "group: expected a text that is not empty, got an empty string"]
]

const cyclic: { [name: string]: unknown } = {}
cyclic["self"] = cyclic

/** Nested too deeply to be encoded. */
const deep: unknown = Array.from({ length: 20_000 }).reduce<unknown>((inner) => [inner], 1)

const noJson: ReadonlyArray<readonly [what: string, metadata: unknown, got?: string]> = [
  ["a number", 5, ", got 5"],
  ["null", null, ", got null"],
  ["a list", [1], ", got a list"],
  ["a date in it", { when: new Date(0) }],
  ["a function in it", { f: () => 1 }],
  ["NaN in it", { n: Number.NaN }],
  ["a bigint in it", { big: 1n }],
  ["undefined in a list", { list: [undefined] }],
  ["a cycle", cyclic],
  ["too many levels", { deep }]
]

const badTimes: ReadonlyArray<readonly [what: string, value: unknown, got: string]> = [
  ["30 bananas", "30 bananas", `${times}, got "30 bananas"`],
  ["NaN", Number.NaN, `${times}, got NaN`],
  ["null", null, `${times}, got null`],
  ["an object that is not a duration", { second: 5 }, `${times}, got an object`]
]

const badReads: ReadonlyArray<readonly [what: string, options: unknown, said: string]> = [
  ...badTimes.map(([what, maxAge, got]) => [`a maxAge of ${what}`, { maxAge }, `maxAge: expected ${got}`] as const),
  ["a maxAge of 0", { maxAge: 0 }, "maxAge: expected a time of more than 0, got 0"],
  ["a negative maxAge", { maxAge: -1 }, "maxAge: expected a time of more than 0, got -1ms"],
  ["an unknown option", { maxage: 5 }, `options: no option "maxage": the options are maxAge, includeExpired`],
  ["includeExpired as a text", { includeExpired: "no" }, `includeExpired: expected true or false, got "no"`],
  ["null", null, "options: expected an object with maxAge, includeExpired, got null"],
  ["a duration", "5 seconds", "options: expected an object with maxAge, includeExpired, got a plain string"]
]

const isMillis = (shown: string) => `got ${shown}; a number is milliseconds`

const badCleanups: ReadonlyArray<readonly [what: string, options: unknown, said: string]> = [
  ...badTimes.map(([what, maxAge, got]) => [`a maxAge of ${what}`, { maxAge }, `maxAge: expected ${got}`] as const),
  [
    "a maxAge of 30",
    { maxAge: 30 },
    `maxAge: expected at least 20s, twice the heartbeat, ${isMillis("30ms")}: 30 is 30 ms; write "30 seconds"`
  ],
  ["a maxAge of 19 seconds", { maxAge: "19 seconds" }, "maxAge: expected at least 20s, twice the heartbeat, got 19s"],
  ["a maxAge of 0", { maxAge: 0 }, "maxAge: expected at least 20s, twice the heartbeat, got 0"],
  ["a negative maxAge", { maxAge: "-1 minutes" }, "maxAge: expected at least 20s, twice the heartbeat, got -1m"],
  ["an infinite maxAge", { maxAge: Number.POSITIVE_INFINITY }, "maxAge: expected at most 366d, got Infinity"],
  ["dryrun", { dryrun: true }, `no option "dryrun": the options are maxAge, dryRun, maxRemovalRatio, confirm`],
  [
    "a Map",
    new Map([["dryRun", true]]),
    "got an object of class Map"
  ],
  ["a name that is a symbol", { [Symbol("dryRun")]: true }, "options: expected an object with"],
  ["dryRun as a number", { dryRun: 1 }, "dryRun: expected true or false, got 1"],
  ["confirm as a text", { confirm: "yes" }, `confirm: expected true or false, got "yes"`],
  [
    "maxRemovalRatio as a text",
    { maxRemovalRatio: "0.5" },
    `maxRemovalRatio: expected a number from 0 to 1, got "0.5"`
  ],
  ["maxRemovalRatio in percent", { maxRemovalRatio: 50 }, "maxRemovalRatio: expected a number from 0 to 1, got 50"],
  ["null", null, "options: expected an object with maxAge, dryRun, maxRemovalRatio, confirm"]
]

const badHeartbeats: ReadonlyArray<readonly [what: string, value: unknown, said: string]> = [
  ...badTimes,
  ["0", 0, "a time from 100ms to 15s (half of maxAge), got 0"],
  ["less than 0", -5, "a time from 100ms to 15s (half of maxAge), got -5ms"],
  ["99 ms", "99 millis", "a time from 100ms to 15s (half of maxAge), got 99ms"],
  ["more than half of maxAge", "15001 millis", "a time from 100ms to 15s (half of maxAge), got 15s 1ms"],
  ["Infinity", Number.POSITIVE_INFINITY, "a time from 100ms to 15s (half of maxAge), got Infinity"]
]

const choices = `"wait", "fail" or "replace"`

const badRegistrations: ReadonlyArray<readonly [what: string, options: unknown, said: string]> = [
  ...badHeartbeats.map(([what, heartbeat, got]) =>
    [`a heartbeat of ${what}`, { heartbeat }, `heartbeat: expected ${got}`] as const
  ),
  ["onDuplicate Fail", { onDuplicate: "Fail" }, `onDuplicate: expected ${choices}, got "Fail"`],
  ["onDuplicate null", { onDuplicate: null }, `onDuplicate: expected ${choices}, got null`],
  [
    "an unknown option",
    { onduplicate: "fail" },
    `no option "onduplicate": the options are heartbeat, onDuplicate, healthCheck, healthFailures`
  ],
  [
    "a healthCheck that is no Effect",
    { healthCheck: () => true },
    "healthCheck: expected an Effect that succeeds with"
  ],
  ["a healthFailures of 0", { healthFailures: 0 }, "healthFailures: expected a whole number from 1, got 0"],
  ["null", null, "options: expected an object with heartbeat, onDuplicate, healthCheck, healthFailures"]
]

const build = (layer: Layer.Layer<never, Registry.RegistryError, Registry.Registry>, registry: Process["registry"]) =>
  Layer.build(Layer.provide(layer, Layer.succeed(Registry.Registry, registry)))

describe("Registry in memory, options", () => {
  /** Asserts that each operation fails with `InvalidConfig` and makes no call, although another process has the id. */
  const refuses = (title: string, said: string, asks: ReadonlyArray<Ask>) =>
    test(title, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const other = yield* startProcess(store, defaults)
        yield* other.registry.heartbeat(one)
        const { revision } = yield* entryOf(store, key)
        const process = yield* startProcess(store, defaults)
        for (const ask of asks) {
          const { problem } = yield* reasonOf(ask(process.registry), "InvalidConfig")
          assert.include(problem, said)
        }
        assert.deepStrictEqual(process.link.calls, [])
        assert.strictEqual((yield* entryOf(store, key)).revision, revision)
      }))

  for (const [what, instance, said] of instances) {
    refuses(`register, heartbeat and layerInstance refuse an instance: ${what}`, said, [
      (registry) => registry.register(wrong(instance)),
      (registry) => registry.heartbeat(wrong(instance)),
      (registry) => build(Registry.layerInstance(wrong(instance)), registry)
    ])
  }

  for (const [what, options, said] of badRegistrations) {
    refuses(`register and layerInstance refuse options: ${what}`, said, [
      (registry) => registry.register(one, wrong(options)),
      (registry) => build(Registry.layerInstance(one, wrong(options)), registry)
    ])
  }

  for (const [what, options, said] of badReads) {
    refuses(`get, list and listAll refuse options: ${what}`, said, [
      (registry) => registry.get("orders", "one", wrong(options)),
      (registry) => registry.list("orders", wrong(options)),
      (registry) => registry.listAll(wrong(options))
    ])
  }

  for (const [what, options, said] of badCleanups) {
    refuses(`cleanup and layerCleanup refuse options: ${what}`, said, [
      (registry) => registry.cleanup(wrong(options)),
      (registry) => build(Registry.layerCleanup(wrong(options)), registry)
    ])
  }

  const nameless: ReadonlyArray<readonly [what: string, field: string, value: string, ask: Ask]> = [
    [
      "deregister without a service",
      "serviceName",
      "undefined",
      (r) => r.deregister({ serviceName: wrong(undefined), instanceId: "one" })
    ],
    [
      "deregister without an id",
      "instanceId",
      "undefined",
      (r) => r.deregister({ serviceName: "orders", instanceId: wrong(undefined) })
    ],
    ["deregister of null", "serviceName", "null", (r) => r.deregister({ serviceName: wrong(null), instanceId: "one" })],
    ["get of a name with a space", "serviceName", "a b", (r) => r.get("a b", "one")],
    ["get without a service", "serviceName", "undefined", (r) => r.get(wrong(undefined), "one")],
    ["get without an id", "instanceId", "undefined", (r) => r.get("orders", wrong(undefined))],
    ["list without a service", "serviceName", "undefined", (r) => r.list(wrong(undefined))],
    ["list of options", "serviceName", "an object", (r) => r.list(wrong({ maxAge: 5 }))],
    ["list of an object without a prototype", "serviceName", "an object", (r) => r.list(wrong(Object.create(null)))],
    ["watch of null", "serviceName", "null", (r) => Stream.runHead(r.watch(wrong(null)))],
    ["register without a service", "serviceName", "undefined", (r) => r.register(wrong({ version: "1.0.0" }))],
    ["register with an id of null", "instanceId", "null", (r) => r.register(wrong({ ...one, instanceId: null }))],
    ["heartbeat without an id", "instanceId", "undefined", (r) => r.heartbeat(wrong({ ...one, instanceId: undefined }))]
  ]

  for (const [what, field, value, ask] of nameless) {
    test(`${what} fails with InvalidName`, () =>
      Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket(), defaults)
        const reason = yield* reasonOf(ask(process.registry), "InvalidName")
        assert.deepStrictEqual([reason.field, reason.value], [field, value])
        assert.match(reason.expected, /^a letter/)
        assert.deepStrictEqual(process.link.calls, [])
      }))
  }

  const badLayers: ReadonlyArray<readonly [what: string, options: unknown, said: string]> = [
    ...badTimes.map(([what, maxAge, got]) => [`a maxAge of ${what}`, { maxAge }, `maxAge: expected ${got}`] as const),
    ...badTimes.map(([what, heartbeat, got]) =>
      [`a heartbeat of ${what}`, { heartbeat }, `heartbeat: expected ${got}`] as const
    ),
    [
      "a maxAge of 30",
      { maxAge: 30 },
      `maxAge: expected at least 20s, twice the heartbeat, ${isMillis("30ms")}: 30 is 30 ms; write "30 seconds"`
    ],
    [
      "a maxAge of 30 beside a Schedule",
      { maxAge: 30, heartbeat: Schedule.spaced("10 seconds") },
      `maxAge: expected at least 200ms, twice the shortest heartbeat, ${isMillis("30ms")}`
    ],
    ["a heartbeat of 0", { heartbeat: 0 }, "heartbeat: expected a time from 100ms"],
    ["a heartbeat of 99 ms", { heartbeat: 99 }, "heartbeat: expected a time from 100ms"],
    ["a clock of another case", { clock: "Store" }, `clock: expected "store" or "local", got "Store"`],
    [
      "a leaveTimeout of 2 minutes",
      { leaveTimeout: "2 minutes" },
      "leaveTimeout: expected a time from 0 to 1m, got 2m"
    ],
    ["a readLegacyKeys that is a text", { readLegacyKeys: "yes" }, `readLegacyKeys: expected true or false, got "yes"`],
    ["a clock that is null", { clock: null }, `clock: expected "store" or "local", got null`],
    [
      "an unknown option",
      { maxage: 5 },
      `options: no option "maxage": the options are maxAge, heartbeat, clock, readLegacyKeys, leaveTimeout`
    ],
    ["null", null, "options: expected an object with maxAge, heartbeat, clock, readLegacyKeys, leaveTimeout, got null"]
  ]

  for (const [what, options, said] of badLayers) {
    test(`the layer and make refuse ${what}`, () =>
      Effect.gen(function*() {
        const store = Layer.succeed(KVStore.KVStore, yield* openBucket())
        const layer = Layer.build(Layer.provide(Registry.layer(wrong(options)), store))
        assert.include((yield* reasonOf(layer, "InvalidConfig")).problem, said)
        const made = Effect.provide(Registry.make(wrong(options)), store)
        assert.include((yield* reasonOf(made, "InvalidConfig")).problem, said)
      }))
  }

  test("make creates a registry on the store of the context", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const registry = yield* Effect.provideService(Registry.make(), KVStore.KVStore, store)
      yield* registry.heartbeat(one)
      assert.deepStrictEqual(yield* listed(yield* startProcess(store, defaults)), ["one"])
    }))

  test("a read accepts every maxAge above 0", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), defaults)
      yield* process.registry.heartbeat(one)
      yield* TestClock.adjust("31 millis")
      for (const maxAge of [30, "1 nano", Duration.millis(0.5)] as const) {
        assert.deepStrictEqual(yield* listed(process, "orders", { maxAge }), [])
        assert.isTrue(Option.isNone(yield* process.registry.get("orders", "one", { maxAge })))
        assert.strictEqual((yield* process.registry.listAll({ maxAge })).size, 0)
      }
      yield* TestClock.adjust("1 hour")
      for (const maxAge of ["2 hours", Number.POSITIVE_INFINITY, Duration.infinity] as const) {
        assert.deepStrictEqual(yield* listed(process, "orders", { maxAge }), ["one"])
      }
    }))

  test("undefined options count as omitted", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store, { maxAge: undefined, heartbeat: undefined, clock: undefined })
      yield* process.registry.register(one, { heartbeat: undefined, onDuplicate: undefined })
      assert.deepStrictEqual(yield* listed(process, "orders", { maxAge: undefined, includeExpired: undefined }), [
        "one"
      ])
      const report = yield* process.registry.cleanup({
        maxAge: undefined,
        dryRun: undefined,
        maxRemovalRatio: undefined,
        confirm: undefined
      })
      assert.strictEqual(report.scanned, 1)
    }))
})

describe("Registry in memory, fields of an instance", () => {
  for (const [what, metadata, got = ", got "] of noJson) {
    test(`metadata that is not a JSON object fails with InvalidValue, and nothing is sent: ${what}`, () =>
      Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket(), defaults)
        const instance = { ...one, metadata: wrong(metadata) }
        for (const ask of [process.registry.register(instance), process.registry.heartbeat(instance)]) {
          assert.include((yield* reasonOf(ask, "InvalidValue")).problem, got)
        }
        assert.deepStrictEqual(process.link.calls, [])
        const { update } = yield* process.enter(one)
        const calls = process.link.calls.length
        const change = update((current) => ({ ...current, metadata: wrong(metadata) }))
        assert.include((yield* reasonOf(change, "InvalidValue")).problem, got)
        assert.strictEqual(process.link.calls.length, calls)
      }))
  }

  test("a record larger than the bucket's maxValueSize fails with ValueTooLarge, and nothing is sent", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxValueSize: 500 })
      const process = yield* startProcess(store, defaults)
      const metadata = { text: "x".repeat(500) }
      const instance = { ...one, metadata }
      for (const ask of [process.registry.register(instance), process.registry.heartbeat(instance)]) {
        const { limit, size } = yield* reasonOf(ask, "ValueTooLarge")
        assert.strictEqual(limit, 500)
        assert.isAbove(size, 500)
      }
      assert.deepStrictEqual(process.link.calls, [])
      const { instance: current, update, whyLost } = yield* process.enter(one)
      yield* process.registry.heartbeat(named("orders", "two"))
      const calls = process.link.calls.length
      yield* reasonOf(update((now) => ({ ...now, metadata })), "ValueTooLarge")
      yield* reasonOf(process.registry.heartbeat({ ...named("orders", "two"), metadata }), "ValueTooLarge")
      assert.strictEqual(process.link.calls.length, calls)
      // Both instances are unchanged and continue.
      assert.deepStrictEqual((yield* current).metadata, {})
      yield* process.registry.heartbeat(named("orders", "two"))
      yield* TestClock.adjust("1 minute")
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("a record of exactly the bucket's maxValueSize is accepted, and a record one byte larger is refused", () =>
    Effect.gen(function*() {
      // A record needs this, too, after its owner has missed a heartbeat.
      const reserved = `,"streakAfter":"1970-01-01T00:00:00.000Z"`.length
      const store = yield* openBucket({ maxValueSize: 500 })
      const process = yield* startProcess(store, defaults)
      yield* process.registry.heartbeat({ ...one, metadata: { text: "" } })
      const free = 500 - reserved - (yield* entryOf(store, key)).value.length
      yield* process.registry.heartbeat({ ...one, metadata: { text: "x".repeat(free) } })
      assert.strictEqual((yield* entryOf(store, key)).value.length, 500 - reserved)
      yield* TestClock.adjust("1 minute")
      yield* process.registry.heartbeat({ ...one, metadata: { text: "x".repeat(free) } })
      assert.strictEqual((yield* entryOf(store, key)).value.length, 500)
      const tooLarge = process.registry.heartbeat({ ...one, metadata: { text: "x".repeat(free + 1) } })
      assert.strictEqual((yield* reasonOf(tooLarge, "ValueTooLarge")).size, 501)
    }))

  test("changes to the metadata object after register are not sent", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      const inner: { [name: string]: unknown } = { zone: "a" }
      const { whyLost } = yield* process.enter({ ...one, metadata: wrong({ inner }) })
      inner["zone"] = () => "b"
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* listed(process), ["one"])
      assert.deepStrictEqual((yield* fieldsOf(store, key))["metadata"], { inner: { zone: "a" } })
      assert.isUndefined(yield* whyLost)
    }))

  const refusedUpdates: ReadonlyArray<
    readonly [what: string, f: (current: Registry.ServiceInstance) => unknown, said: string]
  > = [
    ["an invalid version", (now) => ({ ...now, version: "1.2" }), `version: expected ${versions}, got "1.2"`],
    ["a status in small letters", (now) => ({ ...now, status: "active" }), `status: expected ${statuses}`],
    ["an unknown field", (now) => ({ ...now, statu: "ACTIVE" }), `instance: no option "statu"`],
    [
      "another id",
      (now) => ({ ...now, instanceId: "two" }),
      `instanceId: expected "one", which cannot change, got "two"`
    ],
    [
      "another service",
      (now) => ({ ...now, serviceName: "pay" }),
      `serviceName: expected "orders", which cannot change`
    ],
    ["an empty group", (now) => ({ ...now, group: "" }), "group: expected a text that is not empty"],
    ["undefined", () => undefined, "instance: expected an object with"],
    ["null", () => null, "instance: expected an object with"],
    ["a function that throws", () => {
      throw new Error("no luck")
    }, "update: expected a changed instance, got an exception: Error: no luck"]
  ]

  for (const [what, f, said] of refusedUpdates) {
    test(`an invalid update fails with InvalidConfig and a reason: ${what}`, () =>
      Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket(), defaults)
        const { update } = yield* process.enter(one)
        const calls = process.link.calls.length
        assert.include((yield* reasonOf(update(f as never), "InvalidConfig")).problem, said)
        assert.strictEqual(process.link.calls.length, calls)
      }))
  }
})

describe("Registry in memory, draining", () => {
  const bad: ReadonlyArray<readonly [what: string, options: unknown, said: string]> = [
    ["no options", undefined, `timeout: expected ${times}, got undefined`],
    ["a duration", "1 minute", "options: expected an object with timeout, got a plain string"],
    ["null", null, "options: expected an object with timeout, got null"],
    ["an unknown option", { atmost: 5 }, `options: no option "atmost": the options are timeout`],
    ["a negative time", { timeout: -1 }, "timeout: expected a time from 0 to 366d, got -1ms"],
    [
      "an infinite timeout",
      { timeout: Number.POSITIVE_INFINITY },
      "timeout: expected a time from 0 to 366d, got Infinity"
    ],
    ...badTimes.map(([what, timeout, got]) =>
      [`a timeout of ${what}`, { timeout }, `timeout: expected ${got}`] as const
    )
  ]

  for (const [what, options, said] of bad) {
    test(`drain refuses invalid options and leaves the instance unchanged: ${what}`, () =>
      Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket(), defaults)
        const { drain, instance } = yield* process.enter(one)
        const calls = process.link.calls.length
        assert.include((yield* reasonOf(drain(Effect.void, wrong(options)), "InvalidConfig")).problem, said)
        assert.strictEqual(process.link.calls.length, calls)
        assert.strictEqual((yield* instance).status, "ACTIVE")
      }))
  }

  test("drain refuses work that is not an Effect and leaves the instance unchanged", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), defaults)
      const { drain, instance } = yield* process.enter(one)
      const draining = drain(wrong(Promise.resolve()), { timeout: "1 second" })
      assert.include((yield* reasonOf(draining, "InvalidConfig")).problem, "done: expected an Effect, got an object")
      assert.strictEqual((yield* instance).status, "ACTIVE")
    }))

  test("drain with a timeout of 0 does not wait", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      const { drain } = yield* process.enter(one)
      yield* finish(drain(Effect.never, { timeout: 0 }))
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  test("drain ends as soon as its work is done, before the timeout", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      const { drain } = yield* process.enter(one)
      const done = yield* Deferred.make<void>()
      yield* Effect.forkScoped(drain(Deferred.await(done), { timeout: "1 hour" }))
      yield* until(Effect.map(fieldsOf(store, key), (stored) => stored["status"]), (status) => status === "DRAINING")
      yield* Deferred.succeed(done, undefined)
      yield* until(lastOf(store, key), (last) => last === "delete")
    }))
})

describe("Registry in memory, schedules without delays", () => {
  const soon: ReadonlyArray<readonly [what: string, schedule: Schedule.Schedule<unknown>]> = [
    ["without delays and without end", Schedule.forever],
    ["spaced by 0", Schedule.spaced(0)],
    ["spaced by less than 0", Schedule.spaced(-5)],
    ["spaced by NaN", Schedule.spaced(Number.NaN)],
    ["spaced by 1 ms", Schedule.spaced(1)]
  ]

  for (const [what, schedule] of soon) {
    test(`heartbeats are at least 100 ms apart, and one warning is logged: ${what}`, () =>
      Effect.gen(function*() {
        const { layer, troubles } = logged()
        const process = yield* startProcess(yield* openBucket(), defaults)
        yield* process.enter(one, { heartbeat: schedule }).pipe(Effect.provide(layer))
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(countOf(process.link, "put"), 1 + 100)
        assert.strictEqual(troubles().length, 1, troubles().join("\n"))
        assert.match(troubles()[0]!, /^Warn .*orders\/one .*100ms/)
      }))

    test(`runs of the cleanup are at least 100 ms apart, and one warning is logged: ${what}`, () =>
      Effect.gen(function*() {
        const { layer, lines } = logged()
        const process = yield* startProcess(yield* openBucket(), defaults)
        yield* Effect.provide(build(Registry.layerCleanup({ schedule }), process.registry), layer)
        yield* TestClock.adjust("10 seconds")
        assert.strictEqual(countOf(process.link, "entries"), 100)
        assert.strictEqual(lines.length, 1, lines.join("\n"))
        assert.match(lines[0]!, /^Warn .*cleanup .*100ms/)
      }))
  }

  test("a Schedule that ends after three recurrences sends three heartbeats, at least 100 ms apart", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), defaults)
      yield* process.enter(one, { heartbeat: Schedule.recurs(3) })
      yield* TestClock.adjust("250 millis")
      assert.strictEqual(countOf(process.link, "put"), 1 + 2)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(countOf(process.link, "put"), 1 + 3)
    }))

  test("a Schedule of 100 ms is followed without a warning", () =>
    Effect.gen(function*() {
      const { layer, troubles } = logged()
      const process = yield* startProcess(yield* openBucket(), defaults)
      yield* process.enter(one, { heartbeat: Schedule.spaced("100 millis") }).pipe(Effect.provide(layer))
      const schedule = Schedule.spaced("100 millis")
      yield* Effect.provide(build(Registry.layerCleanup({ schedule }), process.registry), layer)
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(countOf(process.link, "put"), 1 + 100)
      assert.strictEqual(countOf(process.link, "entries"), 100)
      assert.deepStrictEqual(troubles(), [])
    }))

  test("a fixed Schedule that is late recurs at once, without a warning", () =>
    Effect.gen(function*() {
      const { layer, troubles } = logged()
      const process = yield* startProcess(yield* openBucket(), { ...defaults, maxAge: "1 hour" })
      yield* process.enter(one, { heartbeat: Schedule.fixed("1 second") }).pipe(Effect.provide(layer))
      yield* process.link.set((call, run) => call.operation === "put" ? Effect.delay(run, "1500 millis") : run)
      yield* TestClock.adjust("10 seconds")
      // Each heartbeat takes 1.5 seconds; the next one is due before it ends.
      assert.isAtLeast(countOf(process.link, "put"), 1 + 6)
      assert.deepStrictEqual(troubles(), [])
    }))

  test("the end of the Schedule of layerCleanup is logged", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const process = yield* startProcess(yield* openBucket(), defaults)
      const schedule = Schedule.spaced("1 second").pipe(Schedule.upTo({ times: 2 }))
      yield* Effect.provide(build(Registry.layerCleanup({ schedule }), process.registry), layer)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(countOf(process.link, "entries"), 2)
      assert.strictEqual(lines.length, 1, lines.join("\n"))
      assert.match(lines[0]!, /^Warn .*cleanup.* has ended/)
    }))

  const badSchedules: ReadonlyArray<readonly [what: string, schedule: unknown, said: string]> = [
    ...badTimes.map(([what, schedule, got]) => [what, schedule, `schedule: expected ${got}`] as const),
    ["0", 0, "schedule: expected a time from 100ms to 366d, got 0"],
    ["less than 0", -1, "schedule: expected a time from 100ms to 366d, got -1ms"],
    ["99 ms", "99 millis", "schedule: expected a time from 100ms to 366d, got 99ms"],
    ["Infinity", Number.POSITIVE_INFINITY, "schedule: expected a time from 100ms to 366d, got Infinity"]
  ]

  for (const [what, schedule, said] of badSchedules) {
    test(`layerCleanup refuses a schedule of ${what}`, () =>
      Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket(), defaults)
        const reason = yield* reasonOf(
          build(Registry.layerCleanup({ schedule: wrong(schedule) }), process.registry),
          "InvalidConfig"
        )
        assert.include(reason.problem, said)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(process.link.calls, [])
      }))
  }
})
