/** What the cases of the suite have in common: the backend that they run on, and the times that they live by. */
import * as Duration from "effect/Duration"
import type { Until } from "../../../tools/eventually.ts"
import type { Finish, Test } from "../../support/suite.ts"

/** For those that are to expire: short, for the sake of the real clock, and long enough for a busy machine. */
export const maxAge = Duration.seconds(2)
export const heartbeat = Duration.millis(300)
export const brisk = { maxAge, heartbeat }

/** For those that are not to expire in an outage, nor on a busy machine. */
export const tough = { maxAge: "4 seconds", heartbeat: "500 millis" } as const

/** For those that send heartbeats, and are not to expire. */
export const steady = { maxAge: "30 seconds", heartbeat: "1 second" } as const

/** For those that neither send heartbeats nor expire while a test runs. */
export const calm = { maxAge: "1 minute", heartbeat: "10 seconds" } as const

/** How far an estimate of a server's time may be off. */
export const clockError = 25

export interface Tools {
  readonly test: Test
  readonly virtual: boolean
  readonly until: Until
  readonly finish: Finish
}

export const contains = (text: string) => (all: ReadonlyArray<string>) => all.includes(text)
