/**
 * Effect's own `KeyValueStore` over a `KVStore`, for what is written against
 * that: `Persistence`, caches, a program's own small state.
 *
 * An entry of its own, because `effect/persistence/KeyValueStore` is tagged
 * unstable: a minor version of Effect may change it.
 *
 * **Keys** are any text. Letters, digits, `-`, `_`, `/` and single dots within a
 * key stay as they are; anything else is `=` and two hexadecimal digits for each
 * byte of its UTF-8, and the empty key is `=`: `users/42` is `users/42`, `a b` is
 * `a=20b`, `.x` is `=2Ex`. What a key takes then must be 1024 letters or less.
 * Keys of the bucket that are not written in this way are left alone: they are
 * not listed, counted or cleared.
 *
 * **Values** are stored as they are: a string as its UTF-8, bytes as bytes, for
 * every other reader of the bucket. `get` gives text where the bytes are UTF-8,
 * and base64 where they are not.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { KeyValueStore, KeyValueStoreError, make } from "effect/persistence/KeyValueStore"
import * as Predicate from "effect/Predicate"
import * as UndefinedOr from "effect/UndefinedOr"
import { settle } from "./internal/kv/contended.ts"
import { decodeKey, encodeKey } from "./internal/kv/keyEncoding.ts"
import { longestKey, shownKey } from "./internal/kv/subjects.ts"
import { fromUtf8, toUtf8 } from "./internal/kv/utf8.ts"
import { InvalidKey, InvalidValue, KVStore, KVStoreError } from "./KVStore.ts"

/** How many removals `clear` and `clearPrefix` keep under way at once. */
const manyAtOnce = 16

const wellFormed = "text without halves of surrogate pairs"

const checkKey = (key: string): string | InvalidKey => {
  const stored = typeof key === "string" ? encodeKey(key) : undefined
  if (stored === undefined) return new InvalidKey({ expected: wellFormed })
  return stored.length > longestKey
    ? new InvalidKey({ expected: `one that takes at most ${longestKey} letters as it is stored, not ${stored.length}` })
    : stored
}

const toBytes = (value: string | Uint8Array): Uint8Array | InvalidValue =>
  typeof value === "string"
    ? toUtf8(value) ?? new InvalidValue({ problem: `a string is ${wellFormed}; anything else is bytes` })
    : value

const toText = (bytes: Uint8Array): string => fromUtf8(bytes) ?? Base64.encode(bytes)

const makeOn = (store: KVStore["Service"]): KeyValueStore => {
  const { bucket } = store.config

  const failure = (operation: string, key: string, reason: InvalidKey | InvalidValue) =>
    new KVStoreError({ bucket, operation, key: shownKey(key), reason })

  /** The store names a key as it is stored, the caller as it was given. */
  const failed = (method: string, key: string | undefined) => (cause: KVStoreError) => {
    const named = key === undefined ? {} : { key }
    const about = key === undefined ? method : `${method} "${key}"`
    const message = `${about} in bucket "${bucket}": ${cause.reason.message}`
    return new KeyValueStoreError({ method, ...named, message, cause })
  }

  const on = <A>(
    method: string,
    key: string,
    run: (stored: string) => Effect.Effect<A, KVStoreError>
  ): Effect.Effect<A, KeyValueStoreError> =>
    Effect.suspend(() => {
      const stored = checkKey(key)
      return typeof stored === "string" ? run(stored) : Effect.fail(failure(method, key, stored))
    }).pipe(Effect.mapError(failed(method, shownKey(key))))

  const encode = (method: string, key: string, value: string | Uint8Array) => {
    const bytes = toBytes(value)
    return bytes instanceof InvalidValue ? Effect.fail(failure(method, key, bytes)) : Effect.succeed(bytes)
  }

  const read = (method: string, key: string) =>
    on(method, key, (stored) => Effect.map(store.get(stored), (found) => Option.getOrUndefined(found)?.value))

  /** A read and a compare-and-set, until nobody came between. */
  const change = <A extends string | Uint8Array>(
    method: string,
    key: string,
    decode: (bytes: Uint8Array) => A,
    f: (value: A) => A
  ) =>
    on(method, key, (stored) =>
      settle(store.config, method, key, (writing) =>
        Effect.gen(function*() {
          const found = yield* store.get(stored)
          if (Option.isNone(found)) return undefined
          const next = f(decode(found.value.value))
          const bytes = yield* encode(method, key, next)
          yield* writing(store.put(stored, bytes, { revision: found.value.revision }))
          return next
        })))

  const list = Effect.map(store.keys(), (all) =>
    all.flatMap((stored) => {
      const key = decodeKey(stored)
      return key === undefined ? [] : [{ key, stored }]
    }))

  const removeAll = (which: (key: string) => boolean) =>
    Effect.flatMap(
      list,
      Effect.forEach(
        ({ key, stored }) => which(key) ? store.delete(stored) : Effect.void,
        { concurrency: manyAtOnce, discard: true }
      )
    )

  /** What is no text would be the beginning of no key, or of every key. */
  const removePrefix = (method: string, prefix: string) =>
    Effect.mapError(
      typeof prefix === "string"
        ? removeAll((key) => key.startsWith(prefix))
        : Effect.fail(failure(method, prefix, new InvalidKey({ expected: "text as a prefix of keys" }))),
      failed(method, shownKey(prefix))
    )

  return make({
    get: (key) => Effect.map(read("get", key), UndefinedOr.map(toText)),
    getUint8Array: (key) => read("getUint8Array", key),
    has: (key) => Effect.map(read("has", key), Predicate.isNotUndefined),
    set: (key, value) =>
      on("set", key, (stored) => Effect.flatMap(encode("set", key, value), (bytes) => store.put(stored, bytes))),
    remove: (key) => on("remove", key, (stored) => store.delete(stored)),
    clear: Effect.mapError(removeAll(() => true), failed("clear", undefined)),
    clearPrefix: (prefix) => removePrefix("clearPrefix", prefix),
    size: Effect.mapBoth(list, { onFailure: failed("size", undefined), onSuccess: (all) => all.length }),
    isEmpty: Effect.mapBoth(list, { onFailure: failed("isEmpty", undefined), onSuccess: (all) => all.length === 0 }),
    keys: Effect.mapBoth(list, { onFailure: failed("keys", undefined), onSuccess: (all) => all.map(({ key }) => key) }),
    modify: (key, f) => change("modify", key, toText, f),
    modifyUint8Array: (key, f) => change("modifyUint8Array", key, identity, f)
  })
}

/**
 * The `KVStore` as a `KeyValueStore`.
 *
 * **Details**
 *
 * `modify` and `modifyUint8Array` are compare-and-set loops: of any number at
 * once, in any number of processes, none is lost. What fails is a
 * `KeyValueStoreError` whose `cause` is the `KVStoreError`, with its reason and
 * `isRetryable`. A bucket with an age limit is a store whose values expire.
 *
 * **Gotchas**
 *
 * `clear` removes every key that is listed, whoever wrote it: give it a bucket
 * of its own, or a `KeyValueStore.prefix`. Read what was set as bytes by
 * `getUint8Array`: nothing is stored of which of the two it was. The `modify` of
 * Effect's `toSchemaStore` is a read and a write, and not atomic; that of
 * `KVStore.typed` is.
 *
 * **Example** (Persistence on a NATS server)
 *
 * ```ts
 * const Live = Persistence.layerKvs.pipe(
 *   Layer.provide(KVKeyValueStore.layer),
 *   Layer.provide(NatsKVStore.layer({ bucket: "cache", streamMaxAge: "1 day" })),
 *   Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<KeyValueStore, never, KVStore> = Layer.effect(
  KeyValueStore,
  Effect.map(KVStore, makeOn)
)
