/**
 * One reader for the options of every module, and one policy: a name that no
 * option has, a value of the wrong kind, a text that is no duration, or a value
 * that an enumeration does not have is `InvalidConfig`. Its text names the option,
 * says what was expected, and what was given: `maxAge: expected ..., got ...`.
 * Pure; nothing is filled in silently, and nothing that may be a secret is shown.
 */
import * as Duration from "effect/Duration"
import { format } from "effect/Formatter"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { InvalidConfig } from "../AegisError.ts"

/** What one option may be: the value as the code uses it, or why it cannot be used. */
export type Setting<A> = (name: string, value: unknown) => Result.Result<A, InvalidConfig>

/** The options of a call: a setting for each name. */
export type Settings = { readonly [name: string]: Setting<unknown> }

/** The options as they are used, by name. */
export type Values<S extends Settings> = {
  readonly [Name in keyof S]: S[Name] extends Setting<infer A> ? A : never
}

export const invalidConfig = (problem: string): InvalidConfig => new InvalidConfig({ problem })

/** What a value is, without the value itself: it may be a secret. */
export const kindOf = (value: unknown): string => {
  if (value === undefined || value === null) return String(value)
  if (typeof value === "string") return value === "" ? "an empty string" : "a plain string"
  if (Redacted.isRedacted(value)) return "a Redacted"
  if (Array.isArray(value)) return "a list"
  return typeof value === "object" ? `an object${classOf(value)}` : `a ${typeof value}`
}

/** Of a Map, a Date or a Promise: its class, which is what was not expected of it. */
const classOf = (value: object): string => {
  const name: unknown = Result.getOrElse(Result.try(() => value.constructor.name), () => undefined)
  return typeof name === "string" && name !== "" && name !== "Object" ? ` of class ${name}` : ""
}

/** So much of a text is shown. */
const mostShown = 80

/** A value as a message shows it; a long one is cut, and of an object only its kind is said. */
export const shown = (value: unknown): string => {
  if (typeof value === "object" && value !== null && !Duration.isDuration(value)) return kindOf(value)
  const text = Duration.isDuration(value) ? Duration.format(value) : format(value)
  return text.length > mostShown ? `${text.slice(0, mostShown)}...` : text
}

export const refuse = (name: string, expected: string, got: string): Result.Result<never, InvalidConfig> =>
  Result.fail(invalidConfig(`${name}: expected ${expected}, got ${got}`))

/** Reads options: each by its setting, and none that has no setting. Undefined stands for no options at all. */
export const read = <S extends Settings>(
  where: string,
  options: unknown,
  settings: S,
  prefix = ""
): Result.Result<Values<S>, InvalidConfig> => {
  // A getter of the caller's may throw.
  return Result.try(() => readNamed(where, options, settings, prefix)).pipe(
    Result.getOrElse((cause) =>
      refuse(where, "options that can be read", cause instanceof Error ? cause.message : String(cause))
    )
  )
}

/** With names to read options by. A Map, a Date or a Promise has none: it would be taken for no options at all. */
const isObjectOfOptions = (value: unknown): value is { readonly [name: string]: unknown } => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  const isPlain = prototype === Object.prototype || prototype === null
  return (isPlain || Object.keys(value).length > 0) && Object.getOwnPropertySymbols(value).length === 0
}

const readNamed = <S extends Settings>(
  where: string,
  options: unknown,
  settings: S,
  prefix: string
): Result.Result<Values<S>, InvalidConfig> => {
  if (options !== undefined && !isObjectOfOptions(options)) return refuseObject(where, options, settings, prefix)
  const given = options ?? {}
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(settings, name))
  if (unknown !== undefined) {
    return Result.fail(
      invalidConfig(`${where}: no option "${prefix}${unknown}": there are ${namesOf(settings, prefix)}`)
    )
  }
  const values: { [name: string]: unknown } = {}
  for (const [name, setting] of Object.entries(settings)) {
    const value = setting(`${prefix}${name}`, given[name])
    if (Result.isFailure(value)) return Result.fail(value.failure)
    values[name] = value.success
  }
  return Result.succeed(values as Values<S>)
}

/** Reads options that cannot be left out as a whole. */
export const readGiven = <S extends Settings>(
  where: string,
  options: unknown,
  settings: S
): Result.Result<Values<S>, InvalidConfig> =>
  options === undefined ? refuseObject(where, options, settings, "") : read(where, options, settings)

const refuseObject = (where: string, options: unknown, settings: Settings, prefix: string) =>
  refuse(where, `an object with ${namesOf(settings, prefix)}`, kindOf(options))

const namesOf = (settings: Settings, prefix: string): string =>
  Object.keys(settings).map((name) => `${prefix}${name}`).join(", ")

/** Options within an option; `undefined` reads as `{}`. */
export const group = <S extends Settings>(settings: S): Setting<Values<S>> => (name, value) =>
  read(name, value, settings, `${name}.`)

/** The same setting, which may be left out. */
export const optional = <A>(setting: Setting<A>): Setting<A | undefined> => (name, value) =>
  value === undefined ? Result.succeed(undefined) : setting(name, value)

/** The same setting, with a value for where it is left out. */
export const withDefault = <A>(setting: Setting<A>, otherwise: A): Setting<A> => (name, value) =>
  value === undefined ? Result.succeed(otherwise) : setting(name, value)

export const text: Setting<string> = (name, value) =>
  typeof value === "string" && value !== ""
    ? Result.succeed(value)
    : refuse(name, "a text that is not empty", kindOf(value))

/** A text of a form that is explained in words. */
export const textLike = (form: RegExp, expected: string): Setting<string> => (name, value) =>
  typeof value === "string" && form.test(value) ? Result.succeed(value) : refuse(name, expected, shown(value))

export const flag: Setting<boolean> = (name, value) =>
  typeof value === "boolean" ? Result.succeed(value) : refuse(name, "true or false", shown(value))

export const oneOf = <const Values extends ReadonlyArray<string>>(values: Values): Setting<Values[number]> => {
  const isOne = (value: unknown): value is Values[number] => values.some((one) => one === value)
  const expected = values.map((one) => `"${one}"`).join(", ").replace(/, (?=[^,]*$)/, " or ")
  return (name, value) => isOne(value) ? Result.succeed(value) : refuse(name, expected, shown(value))
}

export const integer = (
  minimum: number,
  maximum: number = Number.MAX_SAFE_INTEGER
): Setting<number> => {
  const expected = maximum === Number.MAX_SAFE_INTEGER
    ? `a whole number from ${minimum}`
    : `a whole number from ${minimum} to ${maximum}`
  return (name, value) =>
    typeof value === "number" && Number.isSafeInteger(value) && value >= minimum && value <= maximum
      ? Result.succeed(value)
      : refuse(name, expected, shown(value))
}

/** A number between two others, ends included. */
export const between = (minimum: number, maximum: number): Setting<number> => (name, value) =>
  typeof value === "number" && value >= minimum && value <= maximum
    ? Result.succeed(value)
    : refuse(name, `a number from ${minimum} to ${maximum}`, shown(value))

const units = new Set([
  "weeks",
  "days",
  "hours",
  "minutes",
  "seconds",
  "milliseconds",
  "microseconds",
  "nanoseconds"
])

const isNumber = (value: unknown): boolean => typeof value === "number" && !Number.isNaN(value)

/** An object of which no name is a unit of time is 0 for Effect, and so is NaN within one, or within a list. */
const isOfNumbers = (value: object): boolean => {
  if (Array.isArray(value)) return value.every(isNumber)
  const entries = Object.entries(value).filter(([, one]) => one !== undefined)
  return entries.length > 0 && entries.every(([name, one]) => units.has(name) && isNumber(one))
}

/** A `Duration.Input` as a duration; undefined where it is none: NaN, or an object of other names, among them. */
export const toDuration = (value: unknown): Duration.Duration | undefined => {
  if (Duration.isDuration(value)) return value
  if (typeof value === "number" && Number.isNaN(value)) return undefined
  if (typeof value === "object" && value !== null && !isOfNumbers(value)) return undefined
  return Option.getOrUndefined(Duration.fromInput(value as Duration.Input))
}

/** Far beyond any use, and well inside what a timer or a server can count. */
export const longest = Duration.days(366)

/** A number that was meant as seconds is worth a hint. */
export const hintFor = (given: unknown): string =>
  typeof given === "number" && given > 0 && given < 1000
    ? `; a number is milliseconds: ${given} is ${given} ms; write "${given} seconds"`
    : ""

/** A time of any length, also below 0 or without end. A number is milliseconds. */
export const time: Setting<Duration.Duration> = (name, value) => {
  const given = toDuration(value)
  return given === undefined
    ? refuse(name, `a time such as "5 seconds", or a number of milliseconds`, shown(value))
    : Result.succeed(given)
}

/** A time, both ends included. A number is milliseconds. */
export const duration = (
  minimum: Duration.Duration,
  maximum: Duration.Duration = longest,
  expected = `a time from ${Duration.format(minimum)} to ${Duration.format(maximum)}`
): Setting<Duration.Duration> =>
(name, value) =>
  Result.flatMap(
    time(name, value),
    (given) =>
      Duration.isGreaterThanOrEqualTo(given, minimum) && Duration.isLessThanOrEqualTo(given, maximum)
        ? Result.succeed(given)
        : refuse(name, expected, `${Duration.format(given)}${hintFor(value)}`)
  )

/** A schedule, or the time between two occurrences. */
export const scheduleOr = (
  time: Setting<Duration.Duration>
): Setting<Schedule.Schedule<unknown> | Duration.Duration> =>
(name, value) => Schedule.isSchedule(value) ? Result.succeed(value as Schedule.Schedule<unknown>) : time(name, value)

/** A value that a predicate knows. */
export const thatIs = <A>(is: (value: unknown) => value is A, expected: string): Setting<A> => (name, value) =>
  is(value) ? Result.succeed(value) : refuse(name, expected, kindOf(value))

/** The text of a `Redacted`. A plain string is refused: whatever it is passed to may show it. */
export const secret: Setting<string> = (name, value) => {
  if (!Redacted.isRedacted(value)) return refuse(name, "a Redacted (Redacted.make, Config.Redacted)", kindOf(value))
  // It throws where the value has been wiped.
  const held = Result.getOrElse(Result.try(() => Redacted.value(value)), () => undefined)
  return typeof held === "string" && held !== ""
    ? Result.succeed(held)
    : refuse(name, "a Redacted text", `a Redacted of ${kindOf(held)}`)
}

/** A value that another reader reads. */
export const anything: Setting<unknown> = (_, value) => Result.succeed(value)
