/** Shared by the cases of the suite: the timings, and the tools of the backend. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Election from "../../../src/Election.ts"
import type { Until } from "../../../tools/eventually.ts"
import type { Backend, Finish, Test } from "../../support/suite.ts"

/** In milliseconds. Short because of the real clock, but long enough that a busy machine can miss a renewal. */
export const leaseDuration = 2000
export const renewDeadline = 1400
export const renewInterval = 300

export const timings: Election.Timings = { leaseDuration, renewDeadline, renewInterval }

/** In milliseconds. The latest time after the lease at which a crashed leader is replaced. */
export const takeover = 500

/** Monotonic milliseconds of the clock of the test. Only differences have a meaning. */
export const now: Effect.Effect<number> = Clock.clockWith((clock) =>
  Effect.sync(() => Number(clock.monotonicTimeNanosUnsafe()) / 1e6)
)

/** Asserts that `millis` is short: two steps of the virtual time, or half a lease on the real clock. */
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
