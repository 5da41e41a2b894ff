/**
 * What a caller may ask for: checked before anything is sent. The types say most
 * of it; who calls from JavaScript is told. Pure.
 */
import { format } from "effect/Formatter"
import type { KVOptions, RemoveOptions, WatchOptions } from "../../KVStore.ts"
import { InvalidConfig, InvalidKey, InvalidValue, type KVStoreReason, ValueTooLarge } from "../../KVStoreError.ts"
import { checkKey } from "./subjects.ts"

const conditionNames = ["createOnly", "updateOnly", "revision", "whenKey"] as const
const removeNames = ["revision"] as const
const watchNames = ["from"] as const

/** Bytes that were handed to somebody else look like an empty value. */
const isDetached = ({ buffer }: Uint8Array): boolean => "detached" in buffer && buffer.detached

const invalid = (problem: string) => new InvalidConfig({ problem })

const isRevision = (revision: unknown): boolean => Number.isSafeInteger(revision) && Number(revision) >= 0

const checkRevision = (revision: unknown): InvalidConfig | undefined =>
  isRevision(revision) ? undefined : invalid(`a revision is a whole number from 0, got ${format(revision)}`)

/** An option of another name would go unheard. */
const checkNames = (
  operation: string,
  options: unknown,
  names: ReadonlyArray<string>
): InvalidConfig | undefined => {
  if (typeof options !== "object" || options === null) {
    return invalid(`the options of ${operation} are an object with one of ${names.join(", ")}, got ${format(options)}`)
  }
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  return unknown === undefined
    ? undefined
    : invalid(`${operation} has no option "${unknown}"; it takes one of ${names.join(", ")}`)
}

/** Text can be gone through as well, letter by letter: one key is not meant as so many. */
export const checkList = (keys: unknown): InvalidKey | undefined =>
  typeof keys === "object" && keys !== null && Symbol.iterator in keys
    ? undefined
    : new InvalidKey({ expected: `a list of keys, got ${format(keys)}` })

/** An error names the key that is written: the one that guards it is named here. */
const checkGuard = (key: string): KVStoreReason | undefined => {
  const problem = checkKey(key)
  return problem && new InvalidKey({ expected: `${problem.expected}; whenKey has ${format(key)}` })
}

/** What is given and is no condition must not be taken for none: that would be a plain write. */
export const checkOptions = (options: KVOptions | undefined): KVStoreReason | undefined => {
  if (options === undefined) return undefined
  const problem = checkNames("put", options, conditionNames)
  if (problem !== undefined) return problem
  const given = conditionNames.filter((name) => options[name] !== undefined)
  if (given.length > 1) return invalid(`the server checks one condition only, got ${given.join(" and ")}`)
  if (given.length === 0) return invalid("put takes one condition, or no options at all for a plain write")
  const { createOnly = true, revision, updateOnly = true, whenKey } = options
  if (createOnly !== true) return invalid(`createOnly is true or left out, got ${format(createOnly)}`)
  if (updateOnly !== true) return invalid(`updateOnly is true or left out, got ${format(updateOnly)}`)
  if (whenKey !== undefined) {
    return typeof whenKey === "object" && whenKey !== null
      ? checkGuard(whenKey.key) ?? checkRevision(whenKey.revision)
      : invalid(`whenKey is a key and a revision, got ${format(whenKey)}`)
  }
  return revision === undefined ? undefined : checkRevision(revision)
}

export const checkRemoveOptions = (operation: string, options: RemoveOptions | undefined): KVStoreReason | undefined =>
  options === undefined
    ? undefined
    : checkNames(operation, options, removeNames) ??
      (options.revision === undefined ? undefined : checkRevision(options.revision))

export const checkWatchOptions = (options: WatchOptions | undefined): InvalidConfig | undefined =>
  options === undefined ? undefined : checkNames("watch", options, watchNames) ?? checkFrom(options.from)

const checkFrom = (from: WatchOptions["from"]): InvalidConfig | undefined =>
  from === undefined || from === "snapshot" || from === "updates"
    ? undefined
    : typeof from === "object" && from !== null
    ? checkRevision(from.revision)
    : invalid(`from is "snapshot", "updates" or { revision }, got ${format(from)}`)

export const checkValue = (value: Uint8Array, limit: number): KVStoreReason | undefined =>
  !(value instanceof Uint8Array)
    ? new InvalidValue({ problem: "expected a Uint8Array; a typed view stores other values" })
    : isDetached(value)
    ? new InvalidValue({ problem: "expected a Uint8Array with bytes, and its buffer is detached" })
    : value.length > limit
    ? new ValueTooLarge({ size: value.length, limit })
    : undefined
