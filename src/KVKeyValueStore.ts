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
import * as KeyValueStore from "effect/persistence/KeyValueStore"
import * as Predicate from "effect/Predicate"
import * as UndefinedOr from "effect/UndefinedOr"
import { decodeKey, encodeKey } from "./internal/kv/keyEncoding.ts"
import { invalidConfig, kindOf } from "./internal/options.ts"
import { retryOperation } from "./internal/retry.ts"
import { longestKey, shownKey } from "./internal/subjects.ts"
import { fromUtf8, toUtf8 } from "./internal/utf8.ts"
import { InvalidKey, InvalidValue, KVStore, KVStoreError } from "./KVStore.ts"

/** So many removals `clear` and `clearPrefix` keep under way at once. */
const removing = { concurrency: 16, discard: true } as const

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

interface Stored {
  readonly key: string
  readonly stored: string
}

/** Operations by the keys of a `KeyValueStore`: the store names a key as it is stored, an error as it was given. */
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
 * Views a `KVStore` as a `KeyValueStore`.
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
 * **Example** (A bucket that a program has opened)
 *
 * ```ts
 * const program = Effect.scoped(Effect.gen(function*() {
 *   const settings = KVKeyValueStore.make(yield* KVStore.makeMemory({ bucket: "settings" }))
 *   yield* settings.set("colour", "red")
 *   return yield* settings.get("colour")
 * }))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = (store: KVStore["Service"]): KeyValueStore.KeyValueStore => {
  const { encode, failed, list, on, refusal } = keyedOn(store)

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
      retryOperation(store.config, method, key, (writing) =>
        Effect.gen(function*() {
          if (typeof f !== "function") {
            const reason = invalidConfig(`${method}: expected a function of the value, got ${kindOf(f)}`)
            return yield* new KVStoreError({ bucket: store.config.bucket, operation: method, key, reason })
          }
          const found = yield* store.get(stored)
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

  /** What is no text would be the beginning of no key, or of every key. */
  const removePrefix = (method: string, prefix: string) =>
    Effect.mapError(
      typeof prefix === "string"
        ? removeAll((key) => key.startsWith(prefix))
        : Effect.fail(refusal(method, prefix, new InvalidKey({ expected: "text as a prefix of keys" }))),
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
 * The same as a layer: see `make`.
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
export const layer: Layer.Layer<KeyValueStore.KeyValueStore, never, KVStore> = Layer.effect(
  KeyValueStore.KeyValueStore,
  Effect.map(KVStore, make)
)
