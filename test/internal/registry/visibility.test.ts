/** The visibility of a registration whose process did not run for a while. */
import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import { Current } from "../../../src/internal/broadcast.ts"
import type { OwnRecord } from "../../../src/internal/registry/ownRecord.ts"
import { type Followed, Visibilities, visible } from "../../../src/internal/registry/visibility.ts"
import { KVStoreError, Unavailable } from "../../../src/KVStore.ts"
import type { RegistryReason, Visibility } from "../../../src/Registry.ts"
import { logged } from "../../support/suite.ts"

const unavailable = (problem: string) =>
  new KVStoreError({ bucket: "registry", operation: "put", key: "one", reason: new Unavailable({ problem }) })

/** An instance whose last heartbeat is 40 s old, and whose heartbeats are followed with a maxAge of 30 s. */
const follow = Effect.gen(function*() {
  yield* TestClock.setTime(100_000)
  const visibility = new Current<Visibility>(visible)
  const own = {
    landedAt: 60_000,
    isOver: false,
    label: "orders/one",
    names: { serviceName: "orders", instanceId: "one" }
  }
  const followed: Followed = {
    own: own as OwnRecord,
    visibility,
    context: Context.pick()(yield* Effect.context<never>()),
    lastFailure: undefined,
    counted: undefined
  }
  const all = new Visibilities("registry")
  yield* all.follow(followed, Duration.seconds(30))
  return { all, followed, own, visibility }
})

it.effect("is Invisible since the last heartbeat was maxAge old, and says when the instance is back", () => {
  const log = logged()
  return Effect.gen(function*() {
    const { all, followed, own, visibility } = yield* follow
    yield* TestClock.adjust("1 milli")
    assert.deepStrictEqual(visibility.value, {
      _tag: "Invisible",
      since: DateTime.makeUnsafe(90_000),
      reason: Option.none()
    })
    own.landedAt = 100_000
    yield* TestClock.adjust("300 millis")
    assert.deepStrictEqual(visibility.value, visible)
    yield* all.end(followed)
    assert.deepStrictEqual(log.lines, [
      "Warn no heartbeat of orders/one has been stored for 40s: other services may consider this instance expired",
      "Info heartbeats of orders/one are stored again"
    ])
  }).pipe(Effect.provide(log.layer))
})

it.effect("has a reason once a heartbeat has failed, and keeps it while no other one fails", () => {
  const log = logged()
  return Effect.gen(function*() {
    const { all, followed, own, visibility } = yield* follow
    const next = (lastFailure: RegistryReason | undefined) =>
      Effect.gen(function*() {
        followed.lastFailure = lastFailure
        const before = visibility.value
        yield* TestClock.adjust("300 millis")
        assert(visibility.value._tag === "Invisible")
        assert.strictEqual(visibility.value.since.epochMilliseconds, 90_000)
        const { reason } = visibility.value
        return [Option.isSome(reason) ? reason.value.message : "", visibility.value === before]
      })
    assert.deepStrictEqual(yield* next(undefined), ["", false])
    assert.deepStrictEqual(yield* next(undefined), ["", true])
    const [first, again, other] = [unavailable("disconnected"), unavailable("disconnected"), unavailable("no answer")]
    assert.deepStrictEqual(yield* next(first), [first.message, false])
    assert.deepStrictEqual(yield* next(again), [first.message, true])
    assert.deepStrictEqual(yield* next(other), [other.message, false])
    // A heartbeat was stored that was sent too long ago to make the instance visible.
    assert.deepStrictEqual(yield* next(undefined), [other.message, true])
    own.landedAt = 101_000
    yield* TestClock.adjust("300 millis")
    assert.deepStrictEqual(visibility.value, visible)
    yield* all.end(followed)
    assert.lengthOf(log.troubles(), 1)
  }).pipe(Effect.provide(log.layer))
})
