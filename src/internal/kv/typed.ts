/**
 * A typed view of a store: encodes and decodes values with a codec.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { KVEntry, KVEvent, KVOptions, KVStore, TypedKVStore } from "../../KVStore.ts"
import { InvalidValue, KVStoreError, type KVStoreReason, UndecodableValue } from "../../KVStoreError.ts"
import { invalidConfig, kindOf } from "../options.ts"
import { retryOperation } from "../retry.ts"
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

export const makeTyped = <A>(store: KVStore["Service"], codec: Schema.Codec<A, Uint8Array>): TypedKVStore<A> => {
  const { decode, decodeOrFail, encode, failure } = codecOf(store, codec)

  const decodeFound = (operation: string, found: Effect.Effect<Option.Option<KVEntry>, KVStoreError>) =>
    Effect.flatMap(found, (entry) => Effect.transposeOption(Option.map(entry, decodeOrFail(operation))))

  const put = (operation: string, key: string, value: A, options?: KVOptions) =>
    Effect.flatMap(encode(operation, key, value), (bytes) => store.put(key, bytes, options))

  const modify: TypedKVStore<A>["modify"] = (key, f) =>
    retryOperation(store.config, "modify", key, (writing) =>
      Effect.gen(function*() {
        if (typeof f !== "function") {
          return yield* failure(
            "modify",
            key,
            invalidConfig(`modify: expected a function of the value, got ${kindOf(f)}`)
          )
        }
        // An outdated "no value" could end the operation without a write, and so without a conflict.
        const current = yield* decodeFound("modify", store.get(key, { fromLeader: true }))
        const next = f(Option.map(current, (entry) => entry.value))
        if (!Option.isOption(next)) {
          // Any other value would be treated like none, and the key would be deleted.
          const problem = `expected the function of modify to return an Option, got ${typeof next}`
          return yield* failure("modify", key, new InvalidValue({ problem }))
        }
        if (Option.isSome(next)) {
          const condition: KVOptions = Option.isSome(current)
            ? { revision: current.value.revision }
            : { createOnly: true }
          return yield* writing(put("modify", key, next.value, condition))
        }
        if (Option.isSome(current)) yield* writing(store.delete(key, { revision: current.value.revision }))
        return 0
      }))

  return {
    get: (key, options) => decodeFound("get", store.get(key, options)),
    getUnexpired: (key, options) => decodeFound("getUnexpired", getUnexpired(store, key, options)),
    put: (key, value, options) => put("put", key, value, options),
    delete: store.delete,
    entries: (filter) =>
      Effect.flatMap(store.entries(filter), (entries) => Effect.forEach(entries, decodeOrFail("entries"))),
    stream: (filter) => Stream.mapEffect(store.stream(filter), decodeOrFail("stream")),
    modify,
    watch: (filter, options) =>
      Stream.mapEffect(store.watch(filter, options), (event): Effect.Effect<KVEvent<A>> =>
        event._tag === "Put"
          ? Effect.match(decode(event.entry), {
            onFailure: ({ cause, entry }) => ({ _tag: "Undecodable", key: entry.key, revision: entry.revision, cause }),
            onSuccess: (entry) => ({ _tag: "Put", entry })
          })
          : Effect.succeed(event))
  }
}
