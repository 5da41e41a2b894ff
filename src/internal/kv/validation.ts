/**
 * What a caller may ask for, checked before anything is sent. The types say most
 * of it; callers from JavaScript get the same answer as an error
 * (docs/protocols/kv.md, K8). Pure.
 */
import { format } from "effect/Formatter"
import * as Result from "effect/Result"
import type { KVOptions, RemoveOptions, WatchOptions } from "../../KVStore.ts"
import { type InvalidConfig, InvalidKey, InvalidValue, type KVStoreReason, ValueTooLarge } from "../../KVStoreError.ts"
import * as options from "../options.ts"
import { checkKey } from "../subjects.ts"

/** Bytes that were handed to somebody else look like an empty value. */
const isDetached = ({ buffer }: Uint8Array): boolean => "detached" in buffer && buffer.detached

const problemOf = (read: Result.Result<unknown, InvalidConfig>): InvalidConfig | undefined =>
  Result.isFailure(read) ? read.failure : undefined

const revision = options.integer(0)

/** A condition that is switched off is left out: `false` would be a plain write. */
const onlyTrue: options.Setting<true> = (name, value) =>
  value === true ? Result.succeed(value) : options.refuse(name, "true, or no such option", options.shown(value))

/** The key is checked apart: a bad one is `InvalidKey`. */
const conditions = {
  createOnly: options.optional(onlyTrue),
  updateOnly: options.optional(onlyTrue),
  revision: options.optional(revision),
  whenKey: options.optional(options.group({ key: options.anything, revision }))
}

const conditionNames = Object.keys(conditions) as ReadonlyArray<keyof typeof conditions>

const removal = { revision: options.optional(revision) }

const beginnings = options.oneOf(["snapshot", "updates"])
const fromRevision = options.group({ revision })

const watching = {
  from: options.optional<unknown>((name, value) =>
    typeof value === "object" && value !== null
      ? fromRevision(name, value)
      : Result.mapError(
        beginnings(name, value),
        () =>
          options.invalidConfig(`${name}: expected "snapshot", "updates" or { revision }, got ${options.shown(value)}`)
      )
  )
}

/** Text can be gone through as well, letter by letter: one key is not meant as so many. */
export const checkList = (keys: unknown): InvalidKey | undefined =>
  typeof keys === "object" && keys !== null && Symbol.iterator in keys
    ? undefined
    : new InvalidKey({ expected: `a list of keys, got ${format(keys)}` })

/** An error names the key that is written: the one that guards it is named here. */
const checkGuard = (key: string): KVStoreReason | undefined => {
  const problem = checkKey(key)
  return problem && new InvalidKey({ expected: `${problem.expected}; whenKey.key is ${format(key)}` })
}

/** What is given and is no condition must not be taken for none: that would be a plain write. */
export const checkOptions = (given: KVOptions | undefined): KVStoreReason | undefined => {
  if (given === undefined) return undefined
  const one = "put: expected one condition, or no options at all"
  const read = options.read("put", given, conditions)
  const named = typeof given === "object" && given !== null
    ? conditionNames.filter((name) => given[name] !== undefined)
    : []
  // Two conditions are the mistake then, whatever else is wrong with one of them.
  if (named.length > 1) return options.invalidConfig(`${one}, got ${named.join(" and ")}`)
  if (Result.isFailure(read)) return read.failure
  if (named.length === 0) return options.invalidConfig(`${one}, got none`)
  return given.whenKey === undefined ? undefined : checkGuard(given.whenKey.key)
}

export const checkRemoveOptions = (operation: string, given: RemoveOptions | undefined): KVStoreReason | undefined =>
  problemOf(options.read(operation, given, removal))

export const checkWatchOptions = (given: WatchOptions | undefined): InvalidConfig | undefined =>
  problemOf(options.read("watch", given, watching))

export const checkValue = (value: Uint8Array, limit: number): KVStoreReason | undefined =>
  !(value instanceof Uint8Array)
    ? new InvalidValue({ problem: "expected a Uint8Array; a typed view stores other values" })
    : isDetached(value)
    ? new InvalidValue({ problem: "expected a Uint8Array with bytes, and its buffer is detached" })
    : value.length > limit
    ? new ValueTooLarge({ size: value.length, limit })
    : undefined
