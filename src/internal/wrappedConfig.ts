/**
 * Options of which each is a `Config`, as one `Config` of them all. Effect's own
 * `Config.unwrap` throws where a plain value stands for a `Config`.
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

/** The same without what is undefined: an option that is left out. `prefix` is the path of the options within. */
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

/** Refuses what is neither a `Config` nor an object of such, by its name. */
export const unwrapConfig = <A>(
  where: string,
  wrapped: Config.Wrap<A>
): Result.Result<Config.Config<A>, InvalidConfig> =>
  Result.map(
    prune(where, wrapped, "an object with a Config for each option", ""),
    (kept) => Config.unwrap(kept as Config.Wrap<A>)
  )
