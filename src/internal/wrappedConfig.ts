/**
 * Turns an object of `Config`s into one `Config`. Effect's `Config.unwrap` throws
 * if an option is a plain value; here that is `InvalidConfig`.
 */
import * as Config from "effect/Config"
import * as Result from "effect/Result"
import type { InvalidConfig } from "../AegisError.ts"
import { kindOf, refuse } from "./options.ts"

const isRecord = (value: unknown): value is { readonly [name: string]: unknown } => {
  if (typeof value !== "object" || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const oneConfig = "a Config, such as Config.succeed(...), or an object of Configs"

/** Copies the object without undefined options. `prefix` is the path of nested options in messages. */
const prune = (
  name: string,
  value: unknown,
  expected: string,
  prefix = `${name}.`
): Result.Result<unknown, InvalidConfig> => {
  if (Config.isConfig(value)) return Result.succeed(value)
  if (!isRecord(value)) return refuse(name, expected, kindOf(value))
  const kept: { [name: string]: unknown } = {}
  for (const [key, one] of Object.entries(value).filter(([, one]) => one !== undefined)) {
    const inside = prune(`${prefix}${key}`, one, oneConfig)
    if (Result.isFailure(inside)) return inside
    kept[key] = inside.success
  }
  return Result.succeed(kept)
}

/** Fails with the name of an option that is neither a `Config` nor an object of `Config`s. */
export const unwrapConfig = <A>(
  where: string,
  wrapped: Config.Wrap<A>
): Result.Result<Config.Config<A>, InvalidConfig> =>
  Result.map(
    prune(where, wrapped, "an object with a Config for each option", ""),
    (kept) => Config.unwrap(kept as Config.Wrap<A>)
  )
