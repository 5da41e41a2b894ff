/** Elections in memory, on hosts with different clocks, for tests that need virtual time. */
import { assert, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { Buckets, layerMemory } from "../../../src/Buckets.ts"
import type * as Election from "../../../src/Election.ts"

import { eventually } from "../../../tools/eventually.ts"
import { finisher, openBucket, quiet } from "../../support/suite.ts"

import { timings } from "./fixture.ts"
import { believers, type Seat, stand, startProcess } from "./processes.ts"

export const until = eventually(true)
export const finish = finisher(until)

export const day = 24 * 60 * 60 * 1000

/** In milliseconds: two hundred take-overs are slow on a busy machine. */
const timeout = 30_000

/** Runs a test on virtual time, with its title as the random seed, so that a failure is reproducible. */
export const test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) => {
  const services = Layer.mergeAll(layerMemory, TestClock.layer({ warningDelay: "1 minute" }), quiet)
  const run = () => body().pipe(Effect.scoped, Effect.provide(services), Random.withSeed(title))
  return it.live(title, run, { timeout })
}

/** Runs all work that is due at the current millisecond. */
export const settled = Effect.asVoid(Effect.replicateEffect(TestClock.adjust(0), 20))

/** Starts two candidates at time 0: the first leads, and the second has observed its record. */
export const two = Effect.fnUntraced(function*(options: {
  readonly leader?: Clock.Clock
  readonly challenger?: Clock.Clock
  readonly timings?: Election.Timings
} = {}) {
  const store = yield* openBucket()
  const start = (clock: Clock.Clock | undefined) => startProcess(store, { clock, timings: options.timings ?? timings })
  const one = yield* stand(yield* start(options.leader), finish, "one")
  yield* settled
  assert.isDefined(one.seen.leadership)
  const other = yield* stand(yield* start(options.challenger), finish, "two")
  yield* settled
  return { store, one, two: other, link: one.process.link }
})

/** Checks at every millisecond that at most one candidate is valid. */
export const sample = Effect.fnUntraced(function*(seats: ReadonlyArray<Seat>, millis: number) {
  for (let elapsed = 0; elapsed < millis; elapsed++) {
    yield* TestClock.adjust(1)
    yield* believers(seats)
  }
})

/** A machine whose clocks have an offset and a rate, and can be stepped or stopped. */
export const makeHost = Effect.fnUntraced(function*(options: { readonly rate?: number; readonly ahead?: number } = {}) {
  const { ahead = 0, rate = 1 } = options
  const base = yield* Clock.Clock
  let wallStep = ahead
  let stoppedAt: number | undefined
  const running = () => Math.floor(Number(base.monotonicTimeNanosUnsafe() / 1000n) / 1000 * rate)
  const monotonic = () => BigInt(stoppedAt ?? running()) * 1_000_000n
  const wall = () => Math.floor(base.currentTimeMillisUnsafe() * rate) + wallStep
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: wall,
    currentTimeMillis: Effect.sync(wall),
    currentTimeNanosUnsafe: () => BigInt(wall()) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(wall()) * 1_000_000n),
    monotonicTimeNanosUnsafe: monotonic,
    monotonicTimeNanos: Effect.sync(monotonic),
    sleep: (duration) => base.sleep(Duration.millis(Math.ceil(Duration.toMillis(duration) / rate)))
  }
  return {
    clock,
    /** Steps the wall clock. */
    stepWall: (millis: number) => {
      wallStep += millis
    },
    /** As in a suspended machine: the wall clock is right after it resumes. */
    stopMonotonic: () => {
      stoppedAt = running()
    }
  }
})
