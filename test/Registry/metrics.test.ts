/** The metrics of health checks, of invisible registrations, and of the cleanup on a leader, in virtual time. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Schedule from "effect/Schedule"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"
import { away, denied, on } from "../support/links.ts"
import { defaults, finish, test } from "./suite/inMemory.ts"
import { named, openBucket, startProcess, world } from "./suite/processes.ts"

/** The series of a metric: its attributes, without that of the bucket, and its value. */
const seriesOf = (name: string) =>
  Effect.map(
    Metric.snapshot,
    (all) =>
      all.filter(({ id }) => id === `effect_aegis_${name}`).map(({ attributes, state }) => {
        const shown = Object.entries({ ...attributes }).flatMap(([name, value]) => name === "bucket" ? [] : [value])
        return [...shown, Object(state).count ?? Object(state).value].join(" ")
      }).toSorted()
  )

const ownMetrics = Effect.provideService(Metric.MetricRegistry, new Map())

describe("registry_health_checks_total", () => {
  test("counts the health checks of the instances of a service by their outcome", () =>
    Effect.gen(function*() {
      const [, owner] = yield* world(defaults)
      const answers: Array<Effect.Effect<boolean>> = [
        Effect.succeed(true),
        Effect.succeed(false),
        Effect.succeed(false),
        Effect.never,
        Effect.die("no"),
        Effect.fail("no") as never,
        Effect.succeed("yes" as never)
      ]
      const healthCheck = Effect.suspend(() => answers.shift() ?? Effect.succeed(true))
      yield* owner.enter(named("orders", "one"), { healthCheck })
      yield* owner.enter(named("stock", "two"))
      yield* TestClock.adjust("85 seconds")
      assert.deepStrictEqual(yield* seriesOf("registry_health_checks_total"), [
        "orders failed 3",
        "orders healthy 3",
        "orders timedOut 1",
        "orders unhealthy 2"
      ])
    }).pipe(ownMetrics))
})

describe("registry_registrations_invisible", () => {
  const invisible = seriesOf("registry_registrations_invisible")

  test("is the number of registrations that others may not see, by service and reason, until they are visible", () =>
    Effect.gen(function*() {
      const [, owner] = yield* world(defaults)
      for (const id of ["one", "two"]) yield* owner.enter(named("orders", id))
      yield* owner.enter(named("stock", "one"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* invisible, [])
      yield* owner.link.set(away)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* invisible, ["orders Unavailable 2", "stock Unavailable 1"])
      yield* owner.link.set(({ key, operation }, run) =>
        key.includes("orders.one") ? denied({ key, operation, sentAt: 0 }, run) : run
      )
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* invisible, ["orders PermissionDenied 1"])
      yield* owner.link.set(undefined)
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* invisible, [])
    }).pipe(ownMetrics))

  test("ends with the registrations, also those of two registries", () =>
    Effect.gen(function*() {
      const [, first, second] = yield* world(defaults)
      const ends = yield* Effect.forEach([first, second], (process, index) =>
        Effect.map(process.enter(named("orders", `i${index}`)), ({ close }) => close))
      for (const { link } of [first, second]) {
        yield* link.set(on("put", away))
      }
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* invisible, ["orders Unavailable 2"])
      yield* finish(ends[0]!)
      assert.deepStrictEqual(yield* invisible, ["orders Unavailable 1"])
      yield* finish(ends[1]!)
      assert.deepStrictEqual(yield* invisible, [])
    }).pipe(ownMetrics))

  test("contains a registration that was lost, and none that has drained", () =>
    Effect.gen(function*() {
      const [, owner, other] = yield* world(defaults)
      yield* owner.enter(named("orders", "lost"))
      const { drain } = yield* owner.enter(named("orders", "drained"))
      yield* other.enter(named("orders", "lost"), { onDuplicate: "replace" })
      yield* finish(drain(Effect.void, { timeout: "1 second" }))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* invisible, ["orders DuplicateInstance 1"])
    }).pipe(ownMetrics))

  test("has the reason none if no heartbeat has failed", () =>
    Effect.gen(function*() {
      const [, owner] = yield* world(defaults)
      yield* owner.enter(named("orders", "one"), { heartbeat: Schedule.recurs(0) })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* invisible, ["orders none 1"])
    }).pipe(ownMetrics))
})

describe("registry_cleanup_total", () => {
  test("counts the runs on a leader", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const dead = yield* startProcess(store, defaults)
      yield* dead.enter(named("orders", "one"))
      yield* dead.link.set(on(["put", "delete"], away))
      const cleanup = Registry.layerCleanupOnLeader("cleanup", { schedule: "20 seconds" }).pipe(
        Layer.provide(Registry.layer()),
        Layer.provide(Election.layer()),
        Layer.provide(Layer.succeed(KVStore.KVStore, store))
      )
      yield* Layer.build(cleanup)
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* seriesOf("registry_cleanup_total"), ["failed 0", "preserved 0", "removed 1"])
    }).pipe(ownMetrics))
})
