/**
 * Wraps a store so that its operations are recorded in a history.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { InvalidConfig } from "../../../AegisError.ts"
import { optional, read, text, thatIs, type Values } from "../../../internal/options.ts"
import type { KVEntry, KVOptions, KVStore, RemoveOptions } from "../../../KVStore.ts"
import { KVStoreError } from "../../../KVStoreError.ts"
import type { Input, Operation, Outcome, RecorderOptions } from "../../Linearizability.ts"

type RecordedStore = KVStore["Service"]

const isFunction = <F>(value: unknown): value is F => typeof value === "function"

const settings = {
  process: text,
  now: thatIs<RecorderOptions["now"]>(isFunction, "a function"),
  history: thatIs<Array<Operation>>(Array.isArray, "a list of operations"),
  log: optional(thatIs<NonNullable<RecorderOptions["log"]>>(isFunction, "a function")),
  encode: optional(thatIs<NonNullable<RecorderOptions["encode"]>>(isFunction, "a function"))
}

type Recording = Values<typeof settings>

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Decodes valid UTF-8 as text and encodes other values as `hex:...`. Different values have different texts. */
const textOf = (value: Uint8Array): string => {
  try {
    const text = utf8.decode(value)
    return text.startsWith("hex:") ? hexOf(value) : text
  } catch {
    return hexOf(value)
  }
}

const hexOf = (value: Uint8Array): string =>
  `hex:${Array.from(value, (byte) => byte.toString(16).padStart(2, "0")).join("")}`

/** The outcome of a write that did not succeed. After an interruption or a defect it may still be applied. */
const failureOf = (exit: Exit.Exit<unknown, KVStoreError>): Outcome => {
  const reason = Option.getOrUndefined(Exit.findErrorOption(exit))?.reason._tag
  switch (reason) {
    case undefined:
    case "OutcomeUnknown":
      return { _tag: "Unknown" }
    case "KeyAlreadyExists":
    case "KeyNotFound":
    case "RevisionMismatch":
      return { _tag: "Refused", reason }
    default:
      return { _tag: "Failed" }
  }
}

/** A store whose recorded operations all fail with `reason`. */
const refusing = (reason: InvalidConfig): (store: RecordedStore) => RecordedStore => {
  const refuse = (operation: string) => (key: string) =>
    Effect.fail(new KVStoreError({ bucket: undefined, operation, key, reason }))
  return (store) => ({
    ...store,
    get: refuse("get"),
    put: refuse("put"),
    delete: refuse("delete"),
    purge: refuse("purge")
  })
}

export const recorder = (options: RecorderOptions): (store: RecordedStore) => RecordedStore =>
  Result.match(read("options", options, settings), { onFailure: refusing, onSuccess: recording })

const recording = (
  { encode = textOf, history, log, now, process }: Recording
): (store: RecordedStore) => RecordedStore => {
  const write = (operation: Operation, place: number) => {
    history[place] = operation
    log?.(operation, place)
  }

  /** Adds the operation when it begins, so that the history also contains operations that never end. */
  const record = <A>(
    key: string,
    input: Input,
    operation: Effect.Effect<A, KVStoreError>,
    outcomeOf: (exit: Exit.Exit<A, KVStoreError>) => Outcome
  ): Effect.Effect<A, KVStoreError> =>
    Effect.suspend(() => {
      const asked: Operation = {
        process,
        key,
        input,
        invoked: now(),
        returned: undefined,
        outcome: { _tag: "Unknown" }
      }
      const place = history.length
      write(asked, place)
      return Effect.onExit(operation, (exit) =>
        Effect.sync(() => write({ ...asked, returned: now(), outcome: outcomeOf(exit) }, place)))
    })

  const read = (exit: Exit.Exit<Option.Option<KVEntry>, KVStoreError>): Outcome =>
    Exit.isFailure(exit)
      ? { _tag: "Failed" }
      : Option.match(exit.value, {
        onNone: () => ({ _tag: "None" }),
        onSome: ({ revision, value }) => ({ _tag: "Found", value: encode(value), revision })
      })

  const written = (exit: Exit.Exit<number, KVStoreError>): Outcome =>
    Exit.isSuccess(exit) ? { _tag: "Written", revision: exit.value } : failureOf(exit)

  const removed = (exit: Exit.Exit<void, KVStoreError>): Outcome =>
    Exit.isSuccess(exit) ? { _tag: "Removed" } : failureOf(exit)

  const remove = (store: RecordedStore, operation: "delete" | "purge") => (key: string, options?: RemoveOptions) =>
    record(key, { _tag: "Remove", operation, revision: options?.revision }, store[operation](key, options), removed)

  return (store) => ({
    ...store,
    get: (key) => record(key, { _tag: "Get" }, store.get(key), read),
    put: (key: string, value: Uint8Array, options?: KVOptions) =>
      record(key, { _tag: "Put", value: encode(value), options }, store.put(key, value, options), written),
    delete: remove(store, "delete"),
    purge: remove(store, "purge")
  })
}
