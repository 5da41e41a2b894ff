/**
 * Builds `KVStore` on a backend: checks input before anything is sent, translates
 * conditions into the one revision that the log checks, hides markers from reads
 * of values, and adds bucket, operation and key to errors (docs/protocols/kv.md,
 * K4 to K8, K14).
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type {
  Filter,
  GetOptions,
  KVEvent,
  KVOptions,
  PurgeTombstonesOptions,
  ReadOptions,
  RemoveOptions,
  WatchOptions
} from "../../KVStore.ts"
import { KVStoreError, type KVStoreReason } from "../../KVStoreError.ts"
import * as filters from "../filters.ts"
import { keepReachability } from "../reachability.ts"
import { isConflict } from "../retry.ts"
import { checkKey, checkStoredKey, shownKey } from "../subjects.ts"
import { noBytes } from "../utf8.ts"
import { keepValueLimit } from "../valueLimit.ts"
import type { Backend, BackendEvent, Currency } from "./backend.ts"
import { isLive, isValue, toEntries, toEntry, toEvent, toRemoved } from "./entries.ts"
import { observer, type OperationOutcome, watchLag } from "./metrics.ts"
import { purgeTombstones } from "./tombstones.ts"
import {
  checkGetOptions,
  checkOptions,
  checkReadOptions,
  checkRemoveOptions,
  checkValue,
  checkWatchOptions,
  readKeys,
  readPurgeTombstonesOptions
} from "./validation.ts"
import { make as makeWrites, put } from "./writes.ts"

const outcome = (exit: Exit.Exit<unknown, unknown>): OperationOutcome => Exit.isSuccess(exit) ? "success" : "error"

const getOutcome = (exit: Exit.Exit<Option.Option<unknown>, unknown>): OperationOutcome =>
  Exit.isFailure(exit) ? "error" : Option.isSome(exit.value) ? "success" : "miss"

/** A write whose condition did not hold wrote nothing: `conflict`. */
const putOutcome = (exit: Exit.Exit<unknown, KVStoreError>): OperationOutcome =>
  Exit.isSuccess(exit) ? "success" : Option.exists(Exit.findErrorOption(exit), isConflict) ? "conflict" : "error"

/** A removal whose revision did not match removed nothing: `miss`. */
const removeOutcome = (exit: Exit.Exit<unknown, KVStoreError>): OperationOutcome =>
  Exit.isSuccess(exit)
    ? "success"
    : Option.exists(Exit.findErrorOption(exit), ({ reason }) => reason._tag === "RevisionMismatch")
    ? "miss"
    : "error"

type Fail = (operation: string, key: string | undefined) => (reason: KVStoreReason) => KVStoreError

/** Adds bucket, operation and key to a reason. */
const failureIn = (bucket: string): Fail => (operation, key) => (reason) =>
  new KVStoreError({ bucket, operation, key: key === undefined ? undefined : shownKey(key), reason })

/** Checks the input of an operation, runs it, adds its place to an error, and records metrics and spans. */
const operateIn = (bucket: string, failure: Fail) => {
  const observe = observer(bucket)
  return <A>(
    operation: string,
    key: string | undefined,
    check: () => KVStoreReason | undefined,
    run: () => Effect.Effect<A, KVStoreReason>,
    outcomeOf: (exit: Exit.Exit<A, KVStoreError>) => OperationOutcome = outcome
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
}

/** Turns messages of the backend into events, and records the lag of each message after `Ready`. */
const watchOf = (backend: Backend, failure: Fail) => {
  const lag = watchLag(backend.config.bucket, backend.clock)
  return (filter: Filter | undefined, options: WatchOptions | undefined): Stream.Stream<KVEvent, KVStoreError> => {
    const fail = failure("watch", filters.shown(filter))
    const read = filters.read(filter)
    if (Result.isFailure(read)) return Stream.fail(fail(read.failure))
    const problem = checkWatchOptions(options)
    if (problem !== undefined) return Stream.fail(fail(problem))
    const from = options?.from ?? "snapshot"
    return Stream.unwrap(Effect.contextWith((context: Context.Context<never>) => {
      // Messages before `Ready` can be older than the watch: they have no lag.
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
      const events = backend.follow(read.success, from)
      return Effect.succeed(Stream.mapError(Stream.map(events, seen), fail))
    }))
  }
}

const failureOf = (read: Result.Result<unknown, KVStoreReason>): KVStoreReason | undefined =>
  Result.isFailure(read) ? read.failure : undefined

/** Reads of several keys: by a filter, or by a list of keys. */
const listingsOf = (backend: Backend, operate: ReturnType<typeof operateIn>) => {
  const list = (operation: string, filter: Filter | undefined, want: "values" | "names") => {
    // Read now: the list may be another one when the effect is run.
    const read = filters.read(filter)
    return operate(
      operation,
      filters.shown(filter),
      () => failureOf(read),
      () =>
        Effect.map(
          Effect.flatMap(Effect.fromResult(read), (all) => backend.lastOfEach(all, want)),
          (all) => all.filter(isValue)
        )
    )
  }
  return {
    keys: (filter?: Filter) => Effect.map(list("keys", filter, "names"), (all) => all.map((message) => message.key)),
    entries: (filter?: Filter) => Effect.map(list("entries", filter, "values"), (all) => all.map(toEntry)),
    getMany: (keys: Iterable<string>) => {
      // Read now: an iterable that can be read once only would be empty when the effect is retried.
      const read = readKeys(keys)
      const list = Result.getOrElse(read, (): ReadonlyArray<string> => [])
      return operate(
        "getMany",
        list.find((key) => checkStoredKey(key) !== undefined),
        () => Result.isFailure(read) ? read.failure : list.map(checkStoredKey).find((problem) => problem !== undefined),
        () => Effect.map(backend.lastOf(list), toEntries)
      )
    }
  }
}

const currencyOf = (options: ReadOptions | undefined): Currency => options?.fromLeader === true ? "decides" : "seen"

/** Reads of one key. */
const readsOf = (backend: Backend, operate: ReturnType<typeof operateIn>) => {
  const messageOf = (key: string, options: GetOptions | undefined) =>
    options?.revision === undefined ? backend.last(key, currencyOf(options)) : backend.at(key, options.revision)
  return {
    get: (key: string, options?: GetOptions) =>
      operate(
        "get",
        key,
        () => checkStoredKey(key) ?? checkGetOptions(options),
        () =>
          Effect.map(messageOf(key, options), (found) =>
            isLive(found) ? Option.some(toEntry(found.value)) : Option.none()),
        getOutcome
      ),
    history: (key: string, options?: ReadOptions) =>
      operate(
        "history",
        key,
        () => checkStoredKey(key) ?? checkReadOptions("history", options),
        () => Effect.map(backend.history(key, currencyOf(options)), (all) => all.map(toEvent).toReversed())
      )
  }
}

/** The filter in the options, for errors and spans. */
const filterOf = (options: PurgeTombstonesOptions | undefined): string | undefined =>
  typeof options === "object" && options !== null && !Array.isArray(options) && options.filter !== undefined
    ? filters.shown(options.filter)
    : undefined

export const make = (backend: Backend) => {
  const { clock, config } = backend
  const failure = failureIn(config.bucket)
  const operate = operateIn(config.bucket, failure)
  const watch = watchOf(backend, failure)
  const write = makeWrites(backend)
  const purge = purgeTombstones(backend)

  const remove = (operation: "delete" | "purge") => (key: string, options?: RemoveOptions) =>
    Effect.asVoid(operate(
      operation,
      key,
      () => checkKey(key) ?? checkRemoveOptions(operation, options),
      () => backend.append({ ...put(key, noBytes, options?.revision), operation }),
      removeOutcome
    ))

  const store = {
    config,
    clock,
    ...readsOf(backend, operate),
    put: (key: string, value: Uint8Array, options?: KVOptions) =>
      operate(
        "put",
        key,
        () => checkKey(key) ?? checkValue(value, config.maxValueSize) ?? checkOptions(options),
        () => write(key, value, options),
        putOutcome
      ),
    delete: remove("delete"),
    purge: remove("purge"),
    watch: (filter?: Filter, options?: WatchOptions) => watch(filter, options),
    stream: (filter?: Filter) => {
      const read = filters.read(filter)
      const found = Result.isFailure(read) ? Stream.fail(read.failure) : backend.streamOfEach(read.success)
      const fail = failure("stream", filters.shown(filter))
      return found.pipe(Stream.filter(isValue), Stream.map(toEntry), Stream.mapError(fail))
    },
    ...listingsOf(backend, operate),
    purgeTombstones: (options?: PurgeTombstonesOptions) => {
      const read = readPurgeTombstonesOptions(options)
      return operate(
        "purgeTombstones",
        filterOf(options),
        () => failureOf(read),
        () => Effect.flatMap(Effect.fromResult(read), purge)
      )
    },
    status: operate("status", undefined, () => undefined, () => backend.status)
  }
  return keepValueLimit(keepReachability(store, backend.reachability), backend.valueLimit)
}
