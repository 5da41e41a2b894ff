/**
 * What a store promises, built on any backend: input checked before anything is
 * sent, conditions turned into the one number that the log checks, tombstones
 * kept from those who ask for values, and every failure told with its place.
 */
import type * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { format } from "effect/Formatter"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import type { KVEntry, KVEvent, KVHistoryEvent, KVOptions, RemoveOptions, WatchOptions } from "../../KVEntry.ts"
import {
  InvalidConfig,
  InvalidKey,
  InvalidValue,
  KeyAlreadyExists,
  KeyNotFound,
  KVStoreError,
  type KVStoreReason,
  OutcomeUnknown,
  Unavailable,
  ValueTooLarge
} from "../../KVStoreError.ts"
import type { Append, Backend, BackendEvent, StoredMessage } from "./backend.ts"
import { observer, type Outcome, watchLag } from "./metrics.ts"
import { checkFilter, checkKey, everything } from "./subjects.ts"

const nothing = new Uint8Array(0)

const isLive = (message: Option.Option<StoredMessage>): message is Option.Some<StoredMessage> =>
  Option.isSome(message) && message.value.operation === "put"

const revisionOf = (message: Option.Option<StoredMessage>): number =>
  Option.isSome(message) ? message.value.revision : 0

const toEntry = (message: StoredMessage): KVEntry => ({
  key: message.key,
  value: new Uint8Array(message.value),
  revision: message.revision,
  created: DateTime.makeUnsafe(message.created)
})

const isValue = (message: StoredMessage): boolean => message.operation === "put"

const toEntries = (messages: ReadonlyArray<StoredMessage>): ReadonlyMap<string, KVEntry> =>
  new Map(messages.filter(isValue).map((message) => [message.key, toEntry(message)]))

const toRemoved = ({ created, key, reason, revision }: Extract<BackendEvent, { readonly _tag: "Gone" }>): KVEvent => ({
  _tag: "Removed",
  key,
  revision,
  created: DateTime.makeUnsafe(created),
  reason
})

const outcome = (exit: Exit.Exit<unknown, unknown>): Outcome => Exit.isSuccess(exit) ? "success" : "error"

const getOutcome = (exit: Exit.Exit<Option.Option<unknown>, unknown>): Outcome =>
  Exit.isFailure(exit) ? "error" : Option.isSome(exit.value) ? "success" : "miss"

/** Nothing was removed: it was not there any more at that revision. */
const removeOutcome = (exit: Exit.Exit<unknown, KVStoreError>): Outcome =>
  Exit.isSuccess(exit)
    ? "success"
    : Option.exists(Exit.findErrorOption(exit), ({ reason }) => reason._tag === "RevisionMismatch")
    ? "miss"
    : "error"

const toEvent = (message: StoredMessage): KVHistoryEvent =>
  message.operation === "put"
    ? { _tag: "Put", entry: toEntry(message) }
    : {
      _tag: "Removed",
      key: message.key,
      revision: message.revision,
      created: DateTime.makeUnsafe(message.created),
      reason: message.operation
    }

const conditionNames = ["createOnly", "updateOnly", "revision", "whenKey"] as const
const removeNames = ["revision"] as const
const watchNames = ["from"] as const

/** Bytes that were handed to somebody else look like an empty value. */
const isDetached = ({ buffer }: Uint8Array): boolean => "detached" in buffer && buffer.detached

const invalid = (problem: string) => new InvalidConfig({ problem })

const isRevision = (revision: unknown): boolean => Number.isSafeInteger(revision) && Number(revision) >= 0

const checkRevision = (revision: unknown): InvalidConfig | undefined =>
  isRevision(revision) ? undefined : invalid(`a revision is a whole number from 0, got ${format(revision)}`)

/** The types say all this; who calls from JavaScript is told. */
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
const checkList = (keys: unknown): InvalidKey | undefined =>
  typeof keys === "object" && keys !== null && Symbol.iterator in keys
    ? undefined
    : new InvalidKey({ expected: `a list of keys, got ${format(keys)}` })

/** An error names the key that is written: the one that guards it is named here. */
const checkGuard = (key: string): KVStoreReason | undefined => {
  const problem = checkKey(key)
  return problem && new InvalidKey({ expected: `${problem.expected}; whenKey has ${format(key)}` })
}

/** What is given and is no condition must not be taken for none: that would be a plain write. */
const checkOptions = (options: KVOptions | undefined): KVStoreReason | undefined => {
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

const checkRemoveOptions = (operation: string, options: RemoveOptions | undefined): KVStoreReason | undefined =>
  options === undefined
    ? undefined
    : checkNames(operation, options, removeNames) ??
      (options.revision === undefined ? undefined : checkRevision(options.revision))

const checkWatchOptions = (options: WatchOptions | undefined): InvalidConfig | undefined =>
  options === undefined ? undefined : checkNames("watch", options, watchNames) ?? checkFrom(options.from)

const checkFrom = (from: WatchOptions["from"]): InvalidConfig | undefined =>
  from === undefined || from === "snapshot" || from === "updates"
    ? undefined
    : typeof from === "object" && from !== null
    ? checkRevision(from.revision)
    : invalid(`from is "snapshot", "updates" or { revision }, got ${format(from)}`)

type Decision = Effect.Effect<number, KVStoreReason>
type Write = (message: Append) => Decision

/** A conflict is tried again after this long, at random, so that two who met do not meet again. */
const conflictPause = Effect.flatMap(
  Random.nextIntBetween(5, 25),
  (millis) => Effect.sleep(Duration.millis(millis))
)

export const make = (backend: Backend) => {
  const { clock, config } = backend
  const observe = observer(config.bucket)
  const lag = watchLag(config.bucket, clock)

  const checkValue = (value: Uint8Array): KVStoreReason | undefined =>
    !(value instanceof Uint8Array)
      ? new InvalidValue({ problem: "expected a Uint8Array; a typed view stores other values" })
      : isDetached(value)
      ? new InvalidValue({ problem: "expected a Uint8Array with bytes, and its buffer is detached" })
      : value.length > config.maxValueSize
      ? new ValueTooLarge({ size: value.length, limit: config.maxValueSize })
      : undefined

  /** A key that is no string is refused, and shown as text in its refusal. */
  const failure = (operation: string, key: string | undefined) => (reason: KVStoreReason) =>
    new KVStoreError({
      bucket: config.bucket,
      operation,
      key: typeof key === "string" || key === undefined ? key : format(key),
      reason
    })

  /** Runs an operation where its input is good, says where it failed, and has it observed. */
  const operate = <A>(
    operation: string,
    key: string | undefined,
    check: () => KVStoreReason | undefined,
    run: () => Effect.Effect<A, KVStoreReason>,
    outcomeOf: (exit: Exit.Exit<A, KVStoreError>) => Outcome = outcome
  ): Effect.Effect<A, KVStoreError> =>
    observe({
      operation,
      key,
      outcomeOf,
      run: Effect.suspend(() => {
        const problem = check()
        return Effect.mapError(problem === undefined ? run() : Effect.fail(problem), failure(operation, key))
      })
    })

  const put = (key: string, value: Uint8Array, revision: number | undefined): Append => ({
    key,
    operation: "put",
    value,
    condition: revision === undefined ? undefined : { key, revision }
  })

  /**
   * Repeats a read and a conditional write until the condition is decided, for
   * the operation's timeout at most. Where time runs out it tells what is known:
   * a write under way may land, anything else has changed nothing.
   */
  const decide = (attempt: (write: Write) => Decision): Decision =>
    Effect.suspend(() => {
      const limit = Duration.format(config.timeout)
      let writing = false
      const write: Write = (message) =>
        Effect.onExit(
          Effect.suspend(() => {
            writing = true
            return backend.append(message)
          }),
          () =>
            Effect.sync(() => {
              writing = false
            })
        )
      const again: Decision = Effect.catchIf(
        attempt(write),
        (reason) => reason._tag === "RevisionMismatch",
        () => Effect.andThen(conflictPause, Effect.suspend(() => again))
      )
      const timeIsUp = Effect.flatMap(Effect.sleep(config.timeout), () =>
        Effect.fail(
          writing
            ? new OutcomeUnknown({ problem: `no answer within ${limit}` })
            : new Unavailable({ problem: `undecided after ${limit}` })
        ))
      return Effect.raceFirst(again, timeIsUp)
    })

  /** A tombstone's revision is the condition then: nothing there and a tombstone are both "no value". */
  const createOnly = (key: string, value: Uint8Array): Decision =>
    decide((write) =>
      Effect.catchIf(
        write(put(key, value, 0)),
        (reason) => reason._tag === "RevisionMismatch",
        () =>
          Effect.flatMap(backend.last(key), (last) =>
            isLive(last)
              ? Effect.fail(new KeyAlreadyExists({ revision: last.value.revision }))
              : write(put(key, value, revisionOf(last))))
      )
    )

  const updateOnly = (key: string, value: Uint8Array): Decision =>
    decide((write) =>
      Effect.flatMap(
        backend.last(key),
        (last) => isLive(last) ? write(put(key, value, last.value.revision)) : Effect.fail(new KeyNotFound({}))
      )
    )

  const write = (key: string, value: Uint8Array, options: KVOptions | undefined): Decision =>
    options?.createOnly === true
      ? createOnly(key, value)
      : options?.updateOnly === true
      ? updateOnly(key, value)
      : options?.whenKey !== undefined
      ? backend.append({ ...put(key, value, undefined), condition: options.whenKey })
      : backend.append(put(key, value, options?.revision))

  const remove = (operation: "delete" | "purge") => (key: string, options?: RemoveOptions) =>
    Effect.asVoid(operate(
      operation,
      key,
      () => checkKey(key) ?? checkRemoveOptions(operation, options),
      () => backend.append({ ...put(key, nothing, options?.revision), operation }),
      removeOutcome
    ))

  const list = (operation: string, filter: string, want: "values" | "names") =>
    operate(
      operation,
      filter,
      () => checkFilter(filter),
      () => Effect.map(backend.lastOfEach(filter, want), (all) => all.filter(isValue))
    )

  const follow = (filter: string, options: WatchOptions | undefined): Stream.Stream<KVEvent, KVStoreError> => {
    const problem = checkFilter(filter) ?? checkWatchOptions(options)
    if (problem !== undefined) return Stream.fail(failure("watch", filter)(problem))
    const from = options?.from ?? "snapshot"
    return Stream.unwrap(Effect.contextWith((context: Context.Context<never>) => {
      // What is older than the watch has no lag.
      let isReady = false
      const seen = (event: BackendEvent): KVEvent => {
        if (event._tag === "Ready") {
          isReady = true
          return event
        }
        if (event._tag === "Gone") return toRemoved(event)
        if (isReady) lag(event.message.created, context)
        return toEvent(event.message)
      }
      const events = backend.follow(filter, from)
      return Effect.succeed(Stream.mapError(Stream.map(events, seen), failure("watch", filter)))
    }))
  }

  return {
    config,
    clock,
    get: (key: string) =>
      operate(
        "get",
        key,
        () => checkKey(key),
        () => Effect.map(backend.last(key), (last) => isLive(last) ? Option.some(toEntry(last.value)) : Option.none()),
        getOutcome
      ),
    put: (key: string, value: Uint8Array, options?: KVOptions) =>
      operate(
        "put",
        key,
        () => checkKey(key) ?? checkValue(value) ?? checkOptions(options),
        () => write(key, value, options)
      ),
    delete: remove("delete"),
    purge: remove("purge"),
    history: (key: string) =>
      operate(
        "history",
        key,
        () => checkKey(key),
        () => Effect.map(backend.history(key), (all) => all.map(toEvent).toReversed())
      ),
    keys: (filter: string = everything) =>
      Effect.map(list("keys", filter, "names"), (all) => all.map((message) => message.key)),
    entries: (filter: string = everything) => Effect.map(list("entries", filter, "values"), (all) => all.map(toEntry)),
    watch: (filter: string = everything, options?: WatchOptions) => follow(filter, options),
    getMany: (keys: Iterable<string>) =>
      Effect.suspend(() => {
        const problem = checkList(keys)
        const list = problem === undefined ? [...new Set(keys)] : []
        return operate(
          "getMany",
          list.find((key) => checkKey(key) !== undefined),
          () => problem ?? list.map(checkKey).find((problem) => problem !== undefined),
          () => Effect.map(backend.lastOf(list), toEntries)
        )
      }),
    status: operate("status", undefined, () => undefined, () => backend.status)
  }
}
