/**
 * Reads the options of all modules. An unknown option or an invalid value is
 * `InvalidConfig`. Its text has the option, the expected values, and the given
 * value: `maxAge: expected ..., got ...`. Values that may be secrets are not shown.
 * Pure.
 */
import * as Duration from "effect/Duration"
import { format } from "effect/Formatter"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import { InvalidConfig } from "../AegisError.ts"

/** Reads the value of one option, or returns why it is not valid. */
export type Setting<A> = (name: string, value: unknown) => Result.Result<A, InvalidConfig>

/** A setting for each option of a call, by name. */
export type Settings = { readonly [name: string]: Setting<unknown> }

/** The values that the settings return, by name. */
export type Values<S extends Settings> = {
  readonly [Name in keyof S]: S[Name] extends Setting<infer A> ? A : never
}

export const invalidConfig = (problem: string): InvalidConfig => new InvalidConfig({ problem })

/** The kind of a value, without the value itself, which may be a secret. */
export const kindOf = (value: unknown): string => {
  if (value === undefined || value === null) return String(value)
  if (typeof value === "string") return value === "" ? "an empty string" : "a plain string"
  if (Redacted.isRedacted(value)) return "a Redacted"
  if (Array.isArray(value)) return "a list"
  return typeof value === "object" ? `an object${classOf(value)}` : `a ${typeof value}`
}

/** The class of an object such as a Map, a Date or a Promise; empty for a plain object. */
const classOf = (value: object): string => {
  const name: unknown = Result.getOrElse(Result.try(() => value.constructor.name), () => undefined)
  return typeof name === "string" && name !== "" && name !== "Object" ? ` of class ${name}` : ""
}

/** Longer texts are cut to this number of characters in messages. */
const mostShown = 80

/** A value for a message. A long text is cut; an object is shown as its kind. */
export const shown = (value: unknown): string => {
  if (typeof value === "object" && value !== null && !Duration.isDuration(value)) return kindOf(value)
  const text = Duration.isDuration(value) ? Duration.format(value) : format(value)
  return text.length > mostShown ? `${text.slice(0, mostShown)}...` : text
}

export const refuse = (name: string, expected: string, got: string): Result.Result<never, InvalidConfig> =>
  Result.fail(invalidConfig(`${name}: expected ${expected}, got ${got}`))

/** Reads each option by its setting and refuses options without a setting. `undefined` is read as no options. */
export const read = <S extends Settings>(
  where: string,
  options: unknown,
  settings: S,
  prefix = ""
): Result.Result<Values<S>, InvalidConfig> => {
  // A getter in the caller's options can throw.
  return Result.try(() => readNamed(where, options, settings, prefix)).pipe(
    Result.getOrElse((cause) =>
      refuse(where, "options that can be read", cause instanceof Error ? cause.message : String(cause))
    )
  )
}

/** Refuses objects such as a Map, a Date or a Promise: without names of options they would be read as no options. */
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
      invalidConfig(`${where}: no option "${prefix}${unknown}": the options are ${namesOf(settings, prefix)}`)
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

/** Reads options of a call that requires an options object. */
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

/** An option that is an object of options. `undefined` is read as `{}`. */
export const group = <S extends Settings>(settings: S): Setting<Values<S>> => (name, value) =>
  read(name, value, settings, `${name}.`)

/** An optional setting. */
export const optional = <A>(setting: Setting<A>): Setting<A | undefined> => (name, value) =>
  value === undefined ? Result.succeed(undefined) : setting(name, value)

/** An optional setting with a default. */
export const withDefault = <A>(setting: Setting<A>, otherwise: A): Setting<A> => (name, value) =>
  value === undefined ? Result.succeed(otherwise) : setting(name, value)

export const text: Setting<string> = (name, value) =>
  typeof value === "string" && value !== ""
    ? Result.succeed(value)
    : refuse(name, "a text that is not empty", kindOf(value))

/** A text that matches a pattern. `expected` describes the pattern in messages. */
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

/** A number from `minimum` to `maximum`, both included. */
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

/** Refuses objects without a unit of time, and NaN in objects and lists: Effect reads them as a duration of 0. */
const isOfNumbers = (value: object): boolean => {
  if (Array.isArray(value)) return value.every(isNumber)
  const entries = Object.entries(value).filter(([, one]) => one !== undefined)
  return entries.length > 0 && entries.every(([name, one]) => units.has(name) && isNumber(one))
}

/** Reads a `Duration.Input`; undefined if the value is not valid, such as NaN or an object without units of time. */
export const toDuration = (value: unknown): Duration.Duration | undefined => {
  if (Duration.isDuration(value)) return value
  if (typeof value === "number" && Number.isNaN(value)) return undefined
  if (typeof value === "object" && value !== null && !isOfNumbers(value)) return undefined
  return Option.getOrUndefined(Duration.fromInput(value as Duration.Input))
}

/** The longest duration of an option: longer than any use, and within the range of timers and servers. */
export const longest = Duration.days(366)

/** A hint for numbers below 1000, which may be meant as seconds. */
export const hintFor = (given: unknown): string =>
  typeof given === "number" && given > 0 && given < 1000
    ? `; a number is milliseconds: ${given} is ${given} ms; write "${given} seconds"`
    : ""

/** A duration of any length, also negative or infinite. A number is milliseconds. */
export const time: Setting<Duration.Duration> = (name, value) => {
  const given = toDuration(value)
  return given === undefined
    ? refuse(name, `a time such as "5 seconds", or a number of milliseconds`, shown(value))
    : Result.succeed(given)
}

/** A duration from `minimum` to `maximum`, both included. A number is milliseconds. */
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

/** A schedule, or the duration between two occurrences. */
export const scheduleOr = (
  time: Setting<Duration.Duration>
): Setting<Schedule.Schedule<unknown> | Duration.Duration> =>
(name, value) => Schedule.isSchedule(value) ? Result.succeed(value as Schedule.Schedule<unknown>) : time(name, value)

/** A value that passes a type guard. */
export const thatIs = <A>(is: (value: unknown) => value is A, expected: string): Setting<A> => (name, value) =>
  is(value) ? Result.succeed(value) : refuse(name, expected, kindOf(value))

/** The text of a `Redacted`. A plain string is refused, because logs and errors could show it. */
export const secret: Setting<string> = (name, value) => {
  if (!Redacted.isRedacted(value)) return refuse(name, "a Redacted (Redacted.make, Config.Redacted)", kindOf(value))
  // Throws if the value was wiped.
  const held = Result.getOrElse(Result.try(() => Redacted.value(value)), () => undefined)
  return typeof held === "string" && held !== ""
    ? Result.succeed(held)
    : refuse(name, "a Redacted text", `a Redacted of ${kindOf(held)}`)
}

/** Any value: it is checked elsewhere. */
export const anything: Setting<unknown> = (_, value) => Result.succeed(value)
