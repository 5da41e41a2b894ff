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
import { Visibilities, visible } from "../../../src/internal/registry/visibility.ts"
import type { Visibility } from "../../../src/Registry.ts"
import { logged } from "../../support/suite.ts"

it.effect("is Invisible since the last heartbeat was maxAge old, and says when the instance is back", () => {
  const log = logged()
  return Effect.gen(function*() {
    yield* TestClock.setTime(100_000)
    const visibility = new Current<Visibility>(visible)
    const own = { landedAt: 60_000, isOver: false, label: "orders/one" }
    const followed = {
      own: own as OwnRecord,
      visibility,
      context: Context.pick()(yield* Effect.context<never>()),
      lastFailure: undefined
    }
    const all = new Visibilities()
    yield* all.follow(followed, Duration.seconds(30))
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
