/** Shared by the tests of the suite: the tools of the backend, and the times of the registries. */
import * as Duration from "effect/Duration"
import type { Until } from "../../../tools/eventually.ts"
import type { Finish, Test } from "../../support/suite.ts"

/** For instances that should expire: short enough for real time, long enough for a busy machine. */
export const maxAge = Duration.seconds(2)
export const heartbeat = Duration.millis(300)
export const brisk = { maxAge, heartbeat }

/** For instances that must survive an outage, also on a busy machine. */
export const tough = { maxAge: "4 seconds", heartbeat: "500 millis" } as const

/** For instances that send heartbeats and must not expire. */
export const steady = { maxAge: "30 seconds", heartbeat: "1 second" } as const

/** For instances that neither send a heartbeat nor expire during a test. */
export const calm = { maxAge: "1 minute", heartbeat: "10 seconds" } as const

/** Largest error of the estimated server time, in milliseconds. */
export const clockError = 25

export interface Tools {
  readonly test: Test
  readonly virtual: boolean
  readonly until: Until
  readonly finish: Finish
}

export const contains = (text: string) => (all: ReadonlyArray<string>) => all.includes(text)
