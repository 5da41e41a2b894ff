/**
 * Validation of keys, values and options before anything is sent. The types
 * exclude most invalid input; untyped callers get an error (docs/protocols/kv.md,
 * K8). Pure.
 */
import { format } from "effect/Formatter"
import * as Result from "effect/Result"
import type {
  GetOptions,
  KVOptions,
  PurgeTombstonesOptions,
  ReadOptions,
  RemoveOptions,
  WatchOptions
} from "../../KVStore.ts"
import { type InvalidConfig, InvalidKey, InvalidValue, type KVStoreReason, ValueTooLarge } from "../../KVStoreError.ts"
import * as filters from "../filters.ts"
import * as options from "../options.ts"
import { checkKey } from "../subjects.ts"
import * as limits from "./limits.ts"

/** A buffer that was transferred to another thread has length 0 and would be stored as an empty value. */
const isDetached = ({ buffer }: Uint8Array): boolean => "detached" in buffer && buffer.detached

const problemOf = (read: Result.Result<unknown, InvalidConfig>): InvalidConfig | undefined =>
  Result.isFailure(read) ? read.failure : undefined

const revision = options.integer(0)

/** Refuses `false`: it would be an unconditional write. */
const onlyTrue: options.Setting<true> = (name, value) =>
  value === true
    ? Result.succeed(value)
    : options.refuse(name, "true (omit the option for no condition)", options.shown(value))

/** `whenKey.key` is checked separately, because an invalid key is `InvalidKey`. */
const conditions = {
  createOnly: options.optional(onlyTrue),
  updateOnly: options.optional(onlyTrue),
  revision: options.optional(revision),
  whenKey: options.optional(options.group({ key: options.anything, revision }))
}

const conditionNames = Object.keys(conditions) as ReadonlyArray<keyof typeof conditions>

const reading = { fromLeader: options.optional(options.flag) }

const getting = { ...reading, revision: options.optional(options.integer(1)) }

const removal = { revision: options.optional(revision) }

const tombstones = {
  olderThan: options.withDefault(
    options.duration(limits.shortestTombstone, limits.longestAge),
    limits.shortestTombstone
  ),
  filter: options.optional(options.anything)
}

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

const expectedList = (given: string): InvalidKey =>
  new InvalidKey({ expected: `a list of keys, got ${given}`, kind: "key" })

/**
 * Reads a list of keys, each key once. Refuses a string: it is iterable too, and would be read as one key per character.
 */
export const readKeys = (keys: Iterable<string>): Result.Result<ReadonlyArray<string>, InvalidKey> => {
  if (typeof keys !== "object" || keys === null || !(Symbol.iterator in keys)) {
    return Result.fail(expectedList(format(keys)))
  }
  return Result.try({
    try: () => [...new Set(keys)],
    catch: (error) => expectedList(`an iterable that throws ${format(error)}`)
  })
}

/** Checks the key of `whenKey` and adds it to the message: the error itself has the written key. */
const checkGuard = (key: string): KVStoreReason | undefined => {
  const problem = checkKey(key)
  return problem && new InvalidKey({ expected: `${problem.expected}; whenKey.key is ${format(key)}`, kind: "key" })
}

/** Refuses options without a valid condition: ignoring them would write unconditionally. */
export const checkOptions = (given: KVOptions | undefined): KVStoreReason | undefined => {
  if (given === undefined) return undefined
  const one = "put: expected one condition, or no options"
  const read = options.read("put", given, conditions)
  const named = typeof given === "object" && given !== null
    ? conditionNames.filter((name) => given[name] !== undefined)
    : []
  // Reported first, even if one of the two conditions is not valid either.
  if (named.length > 1) return options.invalidConfig(`${one}, got ${named.join(" and ")}`)
  if (Result.isFailure(read)) return read.failure
  if (named.length === 0) return options.invalidConfig(`${one}, got none`)
  return given.whenKey === undefined ? undefined : checkGuard(given.whenKey.key)
}

export const checkReadOptions = (operation: string, given: ReadOptions | undefined): KVStoreReason | undefined =>
  given === undefined ? undefined : problemOf(options.read(operation, given, reading))

export const checkGetOptions = (given: GetOptions | undefined): KVStoreReason | undefined =>
  given === undefined ? undefined : problemOf(options.read("get", given, getting))

export const checkRemoveOptions = (operation: string, given: RemoveOptions | undefined): KVStoreReason | undefined =>
  problemOf(options.read(operation, given, removal))

/** Reads the options of `purgeTombstones`. */
export const readPurgeTombstonesOptions = (given: PurgeTombstonesOptions | undefined) =>
  Result.flatMap(
    options.read("purgeTombstones", given === undefined ? {} : given, tombstones),
    ({ filter, olderThan }) => Result.map(filters.read(filter), (filters) => ({ filters, olderThan }))
  )

export const checkWatchOptions = (given: WatchOptions | undefined): InvalidConfig | undefined =>
  problemOf(options.read("watch", given, watching))

export const checkValue = (value: Uint8Array, limit = Number.POSITIVE_INFINITY): KVStoreReason | undefined =>
  !(value instanceof Uint8Array)
    ? new InvalidValue({ problem: "expected a Uint8Array; a typed view stores other values" })
    : isDetached(value)
    ? new InvalidValue({ problem: "expected a Uint8Array, got a Uint8Array whose buffer is detached" })
    : value.length > limit
    ? new ValueTooLarge({ size: value.length, limit })
    : undefined
