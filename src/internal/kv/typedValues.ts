/** Reads and writes of decoded values. A failure of the codec becomes a `KVStoreError`. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { KVEntry, KVOptions, KVStore } from "../../KVStore.ts"
import { InvalidValue, KVStoreError, type KVStoreReason, UndecodableValue } from "../../KVStoreError.ts"
import { shownKey } from "../subjects.ts"

class DecodeFailure extends Data.Error<{ readonly entry: KVEntry; readonly cause: unknown }> {
  constructor(entry: KVEntry, cause: unknown) {
    super({ entry, cause })
  }
}

export const make = <A>(store: KVStore["Service"], codec: Schema.Codec<A, Uint8Array>) => {
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

  const decodeOrFail = (operation: string) => (entry: KVEntry) =>
    Effect.mapError(
      decode(entry),
      ({ cause }) => failure(operation, entry.key, new UndecodableValue({ revision: entry.revision, cause }))
    )

  /** A codec that throws is treated like a codec that fails. */
  const encode = (operation: string, key: string, value: A) => {
    const invalid = (problem: string) => Effect.fail(failure(operation, key, new InvalidValue({ problem })))
    return encodeValue(value).pipe(
      Effect.catch((error) => invalid(error.message)),
      Effect.catchDefect((defect) => invalid(String(defect)))
    )
  }

  return {
    failure,
    decode,
    decodeOrFail,
    decodeFound: (operation: string, found: Effect.Effect<Option.Option<KVEntry>, KVStoreError>) =>
      Effect.flatMap(found, (entry) => Effect.transposeOption(Option.map(entry, decodeOrFail(operation)))),
    put: (operation: string, key: string, value: A, options?: KVOptions) =>
      Effect.flatMap(encode(operation, key, value), (bytes) => store.put(key, bytes, options))
  }
}

export type TypedValues<A> = ReturnType<typeof make<A>>
