/**
 * What users give a simulation, checked before anything is done with it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InvalidSimulation } from "../../testing/SimulationError.ts"

/** The server's name in a timeline, and that of the program that directs the test. */
export const takenNames: ReadonlyArray<string> = ["store", "test"]

const idPattern = /^[a-zA-Z0-9_-]+$/

export const isNodeId = (id: string): boolean => idPattern.test(id) && !takenNames.includes(id)

/** `"*"`, `"#1"`, or a name. */
const bucketPattern = /^(?:\*|#\d+|[a-zA-Z0-9_-]{1,200})$/

export const isBucket = (name: string): boolean => bucketPattern.test(name)

/** Milliseconds; not a number, which Effect takes for 0, and what is no duration are undefined. */
export const millisIn = (input: Duration.Input): number | undefined => {
  if (typeof input === "number" && Number.isNaN(input)) return undefined
  const millis = Option.match(Duration.fromInput(input), { onNone: () => Number.NaN, onSome: Duration.toMillis })
  return Number.isFinite(millis) ? millis : undefined
}

/** From 0. */
export const timeIn = (input: Duration.Input): number | undefined => {
  const millis = millisIn(input)
  return millis === undefined || millis < 0 ? undefined : millis
}

export const timeExpected = (name: string, input: unknown): string =>
  `${name}: expected a time from 0 such as "2 minutes", got ${String(input)}`

export const invalid = (problem: string): InvalidSimulation => new InvalidSimulation({ problem })

/** Does something for so long, or after so long. */
export const withTime = (
  name: string,
  input: Duration.Input,
  act: (millis: number) => void
): Effect.Effect<void, InvalidSimulation> =>
  Effect.suspend(() => {
    const millis = timeIn(input)
    return millis === undefined ? Effect.fail(invalid(timeExpected(name, input))) : Effect.sync(() => act(millis))
  })

/** The same, where it may be left out. */
export const withOptionalTime = (
  name: string,
  input: Duration.Input | undefined,
  act: (millis: number | undefined) => void
): Effect.Effect<void, InvalidSimulation> =>
  input === undefined ? Effect.sync(() => act(undefined)) : withTime(name, input, act)
