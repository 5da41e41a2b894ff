/**
 * A typed view of a store: encodes and decodes values with a codec.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { KVEntry, KVEvent, KVHistoryEvent, KVOptions, KVStore, TypedKVStore } from "../../KVStore.ts"
import { InvalidValue, KVStoreError, type KVStoreReason, UndecodableValue } from "../../KVStoreError.ts"
import { invalidConfig, kindOf } from "../options.ts"
import { ownConflicts, retryOperation, retryOwnConflicts } from "../retry.ts"
import { shownKey } from "../subjects.ts"
import { getUnexpired } from "./expireOnRead.ts"

class DecodeFailure extends Data.Error<{ readonly entry: KVEntry; readonly cause: unknown }> {
  constructor(entry: KVEntry, cause: unknown) {
    super({ entry, cause })
  }
}

/** Encodes and decodes values. A failure of the codec becomes a `KVStoreError`. */
const codecOf = <A>(store: KVStore["Service"], codec: Schema.Codec<A, Uint8Array>) => {
  const encodeValue = Schema.encodeEffect(codec)
  const decodeValue = Schema.decodeEffect(codec)

  const failure = (operation: string, key: string, reason: KVStoreReason) =>
    new KVStoreError({ bucket: store.config.bucket, operation, key: shownKey(key), reason })

  const decode = (entry: KVEntry): Effect.Effect<KVEntry<A>, DecodeFailure> =>
    decodeValue(entry.value).pipe(
      Effect.map((value) => ({ ...entry, value })),
      Effect.mapError((cause) => new DecodeFailure(entry, cause)),
      Effect.catchDefect((cause) => Effect.fail(new DecodeFailure(entry, cause)))
    )

  return {
    failure,
    decode,
    /** A codec that throws is treated like a codec that fails. */
    encode: (operation: string, key: string, value: A) => {
      const invalid = (problem: string) => Effect.fail(failure(operation, key, new InvalidValue({ problem })))
      return encodeValue(value).pipe(
        Effect.catch((error) => invalid(error.message)),
        Effect.catchDefect((defect) => invalid(String(defect)))
      )
    },
    decodeOrFail: (operation: string) => (entry: KVEntry) =>
      Effect.mapError(
        decode(entry),
        ({ cause }) => failure(operation, entry.key, new UndecodableValue({ revision: entry.revision, cause }))
      )
  }
}

/** Whether the effect of an untyped caller returned a result and an Option. */
const isPair = (result: unknown): boolean => Array.isArray(result) && result.length === 2 && Option.isOption(result[1])

export const makeTyped = <A>(store: KVStore["Service"], codec: Schema.Codec<A, Uint8Array>): TypedKVStore<A> => {
  const { decode, decodeOrFail, encode, failure } = codecOf(store, codec)

  const decodeFound = (operation: string, found: Effect.Effect<Option.Option<KVEntry>, KVStoreError>) =>
    Effect.flatMap(found, (entry) => Effect.transposeOption(Option.map(entry, decodeOrFail(operation))))

  const decodeEvent = (event: KVHistoryEvent): Effect.Effect<KVHistoryEvent<A>> =>
    event._tag === "Put"
      ? Effect.match(decode(event.entry), {
        onFailure: ({ cause, entry }) => ({ _tag: "Undecodable", key: entry.key, revision: entry.revision, cause }),
        onSuccess: (entry) => ({ _tag: "Put", entry })
      })
      : Effect.succeed(event)

  const put = (operation: string, key: string, value: A, options?: KVOptions) =>
    Effect.flatMap(encode(operation, key, value), (bytes) => store.put(key, bytes, options))

  /** An outdated "no value" could end the operation without a write, and so without a conflict. */
  const currentOf = (operation: string, key: string) => decodeFound(operation, store.get(key, { fromLeader: true }))

  /** Writes the next value, or deletes the key, unless another writer was first. Returns the revision, 0 after a deletion. */
  const replace = (operation: string, key: string, current: Option.Option<KVEntry<A>>, next: Option.Option<A>) => {
    if (Option.isSome(next)) {
      const condition = Option.isSome(current) ? { revision: current.value.revision } : { createOnly: true } as const
      return put(operation, key, next.value, condition)
    }
    return Option.isSome(current)
      ? Effect.as(store.delete(key, { revision: current.value.revision }), 0)
      : Effect.succeed(0)
  }

  const notAFunction = (operation: string, key: string, given: unknown) =>
    failure(operation, key, invalidConfig(`${operation}: expected a function of the value, got ${kindOf(given)}`))

  /** Any other value would be treated like none, and the key would be deleted. */
  const unexpected = (operation: string, key: string, expected: string, given: unknown) =>
    failure(
      operation,
      key,
      new InvalidValue({ problem: `expected the function of ${operation} to return ${expected}, got ${kindOf(given)}` })
    )

  const modify: TypedKVStore<A>["modify"] = (key, f) =>
    retryOperation(store.config, "modify", key, (writing) =>
      Effect.gen(function*() {
        if (typeof f !== "function") return yield* notAFunction("modify", key, f)
        const current = yield* currentOf("modify", key)
        const next = f(Option.map(current, ({ value }) => value))
        return yield* Option.isOption(next)
          ? writing(replace("modify", key, current, next))
          : unexpected("modify", key, "an Option", next)
      }))

  const modifyEffect: TypedKVStore<A>["modifyEffect"] = (key, f) =>
    retryOwnConflicts(
      store.config,
      "modifyEffect",
      key,
      Effect.gen(function*() {
        if (typeof f !== "function") return yield* notAFunction("modifyEffect", key, f)
        const current = yield* currentOf("modifyEffect", key)
        const effect = f(Option.map(current, ({ value }) => value))
        if (!Effect.isEffect(effect)) return yield* unexpected("modifyEffect", key, "an Effect", effect)
        const result = yield* effect
        if (!isPair(result)) return yield* unexpected("modifyEffect", key, "[result, Option]", result)
        const [value, next] = result
        return { value, revision: yield* ownConflicts(replace("modifyEffect", key, current, next)) }
      })
    )

  return {
    get: (key, options) => decodeFound("get", store.get(key, options)),
    getUnexpired: (key, options) => decodeFound("getUnexpired", getUnexpired(store, key, options)),
    put: (key, value, options) => put("put", key, value, options),
    delete: store.delete,
    purge: store.purge,
    keys: store.keys,
    getMany: (keys) =>
      Effect.map(
        Effect.flatMap(store.getMany(keys), (found) => Effect.forEach(found.values(), decodeOrFail("getMany"))),
        (entries) => new Map(entries.map((entry) => [entry.key, entry]))
      ),
    history: (key, options) =>
      Effect.flatMap(store.history(key, options), (events) => Effect.forEach(events, decodeEvent)),
    entries: (filter) =>
      Effect.flatMap(store.entries(filter), (entries) => Effect.forEach(entries, decodeOrFail("entries"))),
    stream: (filter) => Stream.mapEffect(store.stream(filter), decodeOrFail("stream")),
    modify,
    modifyEffect,
    watch: (filter, options) =>
      Stream.mapEffect(
        store.watch(filter, options),
        (event): Effect.Effect<KVEvent<A>> => event._tag === "Ready" ? Effect.succeed(event) : decodeEvent(event)
      )
  }
}
