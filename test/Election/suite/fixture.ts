/** What the cases of the suite have in common: the backend that they run on, and the times that they live by. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import type * as Election from "../../../src/Election.ts"
import type * as KVStore from "../../../src/KVStore.ts"
import type { Buckets } from "../../KVStore/suite/fixture.ts"
import { type Until } from "../../KVStore/suite/fixture.ts"

/** A backend. */
export interface Backend {
  readonly kind: "memory" | "nats"
  /** Whether its time is the TestClock's. */
  readonly virtual: boolean
  readonly buckets: Layer.Layer<Buckets, unknown>
}

export type Store = KVStore.KVStore["Service"]

type Test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) => void

/** Milliseconds. Short, for the sake of the real clock; a busy machine may miss a renewal, and must not lose by it. */
export const leaseDuration = 2000
export const renewDeadline = 1400
export const renewInterval = 300

export const timings: Election.Timings = { leaseDuration, renewDeadline, renewInterval }

/** How long after a lease a crashed leader is replaced at the latest. */
export const takeover = 500

/** Monotonic milliseconds of the test's own clock: subtract one from another. */
export const now: Effect.Effect<number> = Clock.clockWith((clock) =>
  Effect.sync(() => Number(clock.monotonicTimeNanosUnsafe()) / 1e6)
)

/** Runs an effect while time goes on, and gives what it gives; one that does not end fails the test. */
export const finisher = (until: Until) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined), (hasEnded) => hasEnded)
    return yield* Fiber.join(fiber)
  })

export type Finish = ReturnType<typeof finisher>

/** Within two steps of the virtual time; on the real clock well before any lease could have run. */
export const atOnce = (backend: Backend, millis: number) =>
  assert.isAtMost(millis, backend.virtual ? 20 : leaseDuration / 2)

export interface Tools {
  readonly test: Test
  readonly backend: Backend
  readonly until: Until
  readonly finish: Finish
  readonly wait: (millis: number) => Effect.Effect<void>
}

/** What the library says in passing is not what is tested, and a test that fails says enough. */
export const quiet = Logger.layer([])

export const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

export const isTrue = (value: boolean) => value

export const is = <A>(expected: A) => (value: A) => value === expected

export const last = <A>(expected: A) => (all: ReadonlyArray<A>) => all.at(-1) === expected
