/**
 * Effect's `KeyValueStore` on a `KVStore`, for `Persistence`, caches, and other
 * code that is written against `KeyValueStore`.
 *
 * This module is a separate entry of the package because
 * `effect/persistence/KeyValueStore` is tagged unstable: a minor version of Effect
 * can change it.
 *
 * **Keys** can be any text. Letters, digits, `-`, `_`, `/` and single dots inside
 * a key are stored unchanged. Each byte of the UTF-8 of any other character is
 * stored as `=` and two hexadecimal digits, and the empty key is stored as `=`:
 * `users/42` becomes `users/42`, `a b` becomes `a=20b`, `.x` becomes `=2Ex`. The
 * stored key must have at most 1024 characters. Keys of the bucket that are not
 * valid in this encoding are ignored: they are not listed, counted or cleared.
 *
 * **Values** are stored unchanged: a string as its UTF-8, bytes as bytes, so that
 * other clients of the bucket can read them. `get` returns the text if the bytes
 * are UTF-8, and base64 otherwise.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Predicate from "effect/Predicate"
import * as UndefinedOr from "effect/UndefinedOr"
import { decodeKey, encodeKey } from "./internal/kv/keyEncoding.ts"
import { invalidConfig, kindOf } from "./internal/options.ts"
import { retryOperation } from "./internal/retry.ts"
import { longestKey, shownKey } from "./internal/subjects.ts"
import { fromUtf8, toUtf8 } from "./internal/utf8.ts"
import { InvalidKey, InvalidValue, KVStore, KVStoreError } from "./KVStore.ts"

/** Concurrency of the removals in `clear` and `clearPrefix`. */
const removing = { concurrency: 16, discard: true } as const

const wellFormed = "well-formed text (no unpaired surrogates)"

const checkKey = (key: string): string | InvalidKey => {
  const stored = typeof key === "string" ? encodeKey(key) : undefined
  if (stored === undefined) return new InvalidKey({ expected: wellFormed, kind: "key" })
  return stored.length > longestKey
    ? new InvalidKey({
      expected: `a key whose stored form has at most ${longestKey} characters, not ${stored.length}`,
      kind: "key"
    })
    : stored
}

const toBytes = (value: string | Uint8Array): Uint8Array | InvalidValue =>
  typeof value === "string"
    ? toUtf8(value) ?? new InvalidValue({ problem: `expected ${wellFormed}; store anything else as bytes` })
    : value

const toText = (bytes: Uint8Array): string => fromUtf8(bytes) ?? Base64.encode(bytes)

interface Stored {
  readonly key: string
  readonly stored: string
}

/** Operations by the keys of a `KeyValueStore`. The store uses the encoded key; errors name the key of the caller. */
const keyedOn = (store: KVStore["Service"]) => {
  const { bucket } = store.config

  const refusal = (operation: string, key: string, reason: InvalidKey | InvalidValue) =>
    new KVStoreError({ bucket, operation, key: shownKey(key), reason })

  const failed = (method: string, key: string | undefined) => (cause: KVStoreError) => {
    const named = key === undefined ? {} : { key }
    const about = key === undefined ? method : `${method} "${key}"`
    const message = `${about} in bucket "${bucket}": ${cause.reason.message}`
    return new KeyValueStore.KeyValueStoreError({ method, ...named, message, cause })
  }

  return {
    refusal,
    failed,
    on: <A>(method: string, key: string, run: (stored: string) => Effect.Effect<A, KVStoreError>) =>
      Effect.suspend(() => {
        const stored = checkKey(key)
        return typeof stored === "string" ? run(stored) : Effect.fail(refusal(method, key, stored))
      }).pipe(Effect.mapError(failed(method, shownKey(key)))),
    encode: (method: string, key: string, value: string | Uint8Array) => {
      const bytes = toBytes(value)
      return bytes instanceof InvalidValue ? Effect.fail(refusal(method, key, bytes)) : Effect.succeed(bytes)
    },
    list: Effect.map(store.keys(), (all) =>
      all.flatMap((stored): ReadonlyArray<Stored> => {
        const key = decodeKey(stored)
        return key === undefined ? [] : [{ key, stored }]
      }))
  }
}

/**
 * Returns a `KeyValueStore` that stores its entries in a `KVStore`.
 *
 * **Details**
 *
 * `modify` and `modifyUint8Array` are compare-and-set loops: no concurrent change
 * is lost, also between processes. Operations fail with a `KeyValueStoreError`
 * whose `cause` is the `KVStoreError`, with its reason and `isRetryable`. Values
 * in a bucket with `streamMaxAge` expire.
 *
 * **Gotchas**
 *
 * `clear` removes every listed key, also keys of other clients: use a separate
 * bucket, or a `KeyValueStore.prefix`. Read values that were set as bytes with
 * `getUint8Array`: the store does not record whether a value was text or bytes.
 * The `modify` of Effect's `toSchemaStore` is a read and a write, and not atomic;
 * the `modify` of `KVStore.typed` is atomic.
 *
 * **Example** (Storing settings)
 *
 * ```ts
 * import { Effect } from "effect"
 * import { KVStore } from "effect-aegis"
 * import * as KVKeyValueStore from "effect-aegis/KVKeyValueStore"
 *
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const settings = KVKeyValueStore.make(yield* KVStore.makeMemory({ bucket: "settings" }))
 *   yield* settings.set("colour", "red")
 *   return yield* settings.get("colour")
 * }))
 *
 * console.log(await Effect.runPromise(program))
 * // => red
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (store: KVStore["Service"]): KeyValueStore.KeyValueStore => {
  const { encode, failed, list, on, refusal } = keyedOn(store)

  const read = (method: string, key: string) =>
    on(method, key, (stored) => Effect.map(store.get(stored), (found) => Option.getOrUndefined(found)?.value))

  /** Reads a value and writes the result of `f` by compare-and-set; repeats both after a conflict. */
  const change = <A extends string | Uint8Array>(
    method: string,
    key: string,
    decode: (bytes: Uint8Array) => A,
    f: (value: A) => A
  ) =>
    on(method, key, (stored) =>
      retryOperation(store.config, method, key, (writing) =>
        Effect.gen(function*() {
          if (typeof f !== "function") {
            const reason = invalidConfig(`${method}: expected a function of the value, got ${kindOf(f)}`)
            return yield* new KVStoreError({ bucket: store.config.bucket, operation: method, key, reason })
          }
          const found = yield* store.get(stored, { fromLeader: true })
          if (Option.isNone(found)) return undefined
          const next = f(decode(found.value.value))
          const bytes = yield* encode(method, key, next)
          yield* writing(store.put(stored, bytes, { revision: found.value.revision }))
          return next
        })))

  const removeAll = (which: (key: string) => boolean) =>
    Effect.flatMap(
      list,
      Effect.forEach(({ key, stored }) => which(key) ? store.delete(stored) : Effect.void, removing)
    )

  /** Refuses a prefix that is not text: coerced to text it could match no key, or every key. */
  const removePrefix = (method: string, prefix: string) =>
    Effect.mapError(
      typeof prefix === "string"
        ? removeAll((key) => key.startsWith(prefix))
        : Effect.fail(refusal(method, prefix, new InvalidKey({ expected: "text as a prefix of keys", kind: "key" }))),
      failed(method, shownKey(prefix))
    )

  const listed = <A>(method: string, f: (all: ReadonlyArray<Stored>) => A) =>
    Effect.mapBoth(list, { onFailure: failed(method, undefined), onSuccess: f })

  return KeyValueStore.make({
    get: (key) => Effect.map(read("get", key), UndefinedOr.map(toText)),
    getUint8Array: (key) => read("getUint8Array", key),
    has: (key) => Effect.map(read("has", key), Predicate.isNotUndefined),
    set: (key, value) =>
      on("set", key, (stored) => Effect.flatMap(encode("set", key, value), (bytes) => store.put(stored, bytes))),
    remove: (key) => on("remove", key, (stored) => store.delete(stored)),
    clear: Effect.mapError(removeAll(() => true), failed("clear", undefined)),
    clearPrefix: (prefix) => removePrefix("clearPrefix", prefix),
    size: listed("size", (all) => all.length),
    isEmpty: listed("isEmpty", (all) => all.length === 0),
    keys: listed("keys", (all) => all.map(({ key }) => key)),
    modify: (key, f) => change("modify", key, toText, f),
    modifyUint8Array: (key, f) => change("modifyUint8Array", key, identity, f)
  })
}

/**
 * Provides a `KeyValueStore` that stores its entries in the `KVStore`: see `make`.
 *
 * **Example** (Persistence on a NATS server)
 *
 * ```ts
 * import { Layer } from "effect"
 * import { NatsClient, NatsKVStore } from "effect-aegis"
 * import * as KVKeyValueStore from "effect-aegis/KVKeyValueStore"
 * import { Persistence } from "effect/persistence"
 *
 * export const Live = Persistence.layerKvs.pipe(
 *   Layer.provide(KVKeyValueStore.layer),
 *   Layer.provide(NatsKVStore.layer({ bucket: "cache", streamMaxAge: "1 day" })),
 *   Layer.provide(NatsClient.layer({ servers: "nats://127.0.0.1:4222" }))
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<KeyValueStore.KeyValueStore, never, KVStore> = Layer.effect(
  KeyValueStore.KeyValueStore,
  Effect.map(KVStore, make)
)
