/**
 * Options as a program gave them, read one by one. What is wrong is told in
 * words that repeat no value which may be a secret.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import { readFile } from "node:fs/promises"
import { InvalidConfig } from "../../KVStoreError.ts"

/** Options by name, whatever they are. */
export type Given = { readonly [name: string]: unknown }

type Checked<A> = Effect.Effect<A, InvalidConfig>

export const invalid = (problem: string): InvalidConfig => new InvalidConfig({ problem })

/** What a value is, without the value. */
export const kindOf = (value: unknown): string => {
  if (value === undefined || value === null) return String(value)
  if (typeof value === "string") return value === "" ? "an empty string" : "a plain string"
  if (Redacted.isRedacted(value)) return "a Redacted"
  if (Array.isArray(value)) return "a list"
  return typeof value === "object" ? "an object" : `a ${typeof value}`
}

/** An option that nobody reads would go unheard: a `passwd` for a `password`, say. */
export const checkNames = (prefix: string, options: unknown, names: ReadonlyArray<string>): Checked<Given> => {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    const what = prefix === "" ? "options: expected an object with servers" : `${prefix}: expected an object`
    return Effect.fail(invalid(`${what}, got ${kindOf(options)}`))
  }
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  const inside = prefix === "" ? "" : `${prefix}.`
  return unknown === undefined
    ? Effect.succeed(options as Given)
    : Effect.fail(
      invalid(`no option "${inside}${unknown}": there are ${names.map((name) => inside + name).join(", ")}`)
    )
}

export const text = (name: string, value: unknown): Checked<string> =>
  typeof value === "string" && value !== ""
    ? Effect.succeed(value)
    : Effect.fail(invalid(`${name}: expected a text, got ${kindOf(value)}`))

export const flag = (name: string, value: unknown): Checked<boolean> =>
  value === undefined || typeof value === "boolean"
    ? Effect.succeed(value === true)
    : Effect.fail(invalid(`${name}: expected true or false, got ${kindOf(value)}`))

/** The text of a `Redacted`. A plain string is none: it is shown wherever it gets to. */
export const secret = (name: string, value: unknown): Checked<string> => {
  if (!Redacted.isRedacted(value)) {
    return Effect.fail(invalid(`${name}: expected a Redacted (Redacted.make, Config.Redacted), got ${kindOf(value)}`))
  }
  // It throws where the value has been wiped.
  const held = Result.getOrElse(Result.try(() => Redacted.value(value)), () => undefined)
  return typeof held === "string" && held !== ""
    ? Effect.succeed(held)
    : Effect.fail(invalid(`${name}: expected a Redacted text, got a Redacted of ${kindOf(held)}`))
}

/** A path that is the text of a file by mistake is not shown: it may be that of a key. */
export const path = (name: string, value: unknown, instead: string): Checked<string> =>
  Effect.filterOrFail(
    text(name, value),
    (path) => !/[\r\n]|-----/.test(path),
    () => invalid(`${name}: expected the path of a file, got the text of one: give that as ${instead}`)
  )

export const fileText = (name: string, path: string): Checked<string> =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => {
      const code: unknown = cause instanceof Error ? Reflect.get(cause, "code") : undefined
      return invalid(`${name}: cannot read ${JSON.stringify(path)} (${String(code ?? "unknown error")})`)
    }
  })

const shortest = Duration.millis(1)
/** Far beyond any use, and well inside what a timer can count. */
const longest = Duration.hours(1)

export const time = (name: string, value: unknown, otherwise: Duration.Duration): Checked<Duration.Duration> => {
  if (value === undefined) return Effect.succeed(otherwise)
  const duration = Option.getOrUndefined(Duration.fromInput(value as Duration.Input))
  return duration !== undefined && Duration.isGreaterThanOrEqualTo(duration, shortest) &&
      Duration.isLessThanOrEqualTo(duration, longest)
    ? Effect.succeed(duration)
    : Effect.fail(invalid(
      `${name}: expected a time from ${Duration.format(shortest)} to ${Duration.format(longest)}, got ${
        duration === undefined ? kindOf(value) : Duration.format(duration)
      }`
    ))
}
