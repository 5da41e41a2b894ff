/** What the cases of the suite have in common: the backend that they run on, and the times that they live by. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Election from "../../../src/Election.ts"
import type { Until } from "../../../tools/eventually.ts"
import type { Backend, Finish, Test } from "../../support/suite.ts"

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

export const isTrue = (value: boolean) => value

export const is = <A>(expected: A) => (value: A) => value === expected

export const last = <A>(expected: A) => (all: ReadonlyArray<A>) => all.at(-1) === expected
