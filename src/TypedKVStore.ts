/**
 * A view of a store through a codec, and the codec for text.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaTransformation from "effect/SchemaTransformation"
import type * as Stream from "effect/Stream"
import { fromUtf8, toUtf8 } from "./internal/kv/utf8.ts"
import type { KVEntry, KVEvent, KVOptions, RemoveOptions, WatchOptions } from "./KVEntry.ts"
import type { KVStoreError } from "./KVStoreError.ts"

/**
 * A view of a store through a codec.
 *
 * @category models
 * @since 0.1.0
 */
export interface TypedKVStore<A> {
  /** Fails with `UndecodableValue` where what is stored does not decode. */
  readonly get: (key: string) => Effect.Effect<Option.Option<KVEntry<A>>, KVStoreError>
  /** The value, unless it is older than `maxAge`: see `KVStore.getUnexpired`. What is too old need not decode. */
  readonly getUnexpired: (key: string, options: ExpireOptions) => Effect.Effect<Option.Option<KVEntry<A>>, KVStoreError>
  /** Fails with `InvalidValue` where the value does not encode; nothing is written then. */
  readonly put: (key: string, value: A, options?: KVOptions) => Effect.Effect<number, KVStoreError>
  readonly delete: (key: string, options?: RemoveOptions) => Effect.Effect<void, KVStoreError>
  /** Fails with `UndecodableValue`, which names the key, where one of them does not decode. */
  readonly entries: (filter?: string) => Effect.Effect<ReadonlyArray<KVEntry<A>>, KVStoreError>
  /**
   * Reads, applies `f`, and writes back by compare-and-set until nobody came
   * between, for the store's timeout at most. `none` in: there is no value.
   * `none` out: delete. Returns the revision of the value that it wrote, or 0
   * where it leaves none. `f` may run several times. A write that was sent and
   * not answered is `OutcomeUnknown`, and is not done again.
   */
  readonly modify: (
    key: string,
    f: (current: Option.Option<A>) => Option.Option<A>
  ) => Effect.Effect<number, KVStoreError>
  /** What does not decode is an `Undecodable` event; the stream goes on. */
  readonly watch: (filter?: string, options?: WatchOptions) => Stream.Stream<KVEvent<A>, KVStoreError>
}

/**
 * When a value is too old to be read.
 *
 * @category models
 * @since 0.1.0
 */
export interface ExpireOptions {
  /** A positive time. Exactly this old is alive. */
  readonly maxAge: Duration.Input
}

/**
 * Text as UTF-8, for `typedWith`. Codecs whose encoded side is text are built
 * on it.
 *
 * **Example** (Text of several kinds)
 *
 * ```ts
 * const names = KVStore.typedWith(KVStore.StringFromUtf8)
 * const counts = KVStore.typedWith(KVStore.StringFromUtf8.pipe(Schema.decodeTo(Schema.FiniteFromString)))
 * const keys = KVStore.typedWith(KVStore.StringFromUtf8.pipe(Schema.decodeTo(Schema.Uint8ArrayFromBase64)))
 * ```
 *
 * @category schemas
 * @since 0.1.0
 */
export const StringFromUtf8: Schema.Codec<string, Uint8Array> = Schema.Uint8Array.pipe(
  Schema.decodeTo(
    Schema.String,
    SchemaTransformation.transformEffect<string, Uint8Array>({
      decode: (bytes, options) => orInvalid(fromUtf8(bytes), "UTF-8", bytes, options),
      encode: (text, options) => orInvalid(toUtf8(text), "text without halves of surrogate pairs", text, options)
    })
  )
)

const orInvalid = <A>(
  value: A | undefined,
  expected: string,
  ...[input, options]: [unknown, ConstructorParameters<typeof SchemaIssue.InvalidValue>[2]]
): Effect.Effect<A, SchemaIssue.Issue> =>
  value === undefined ? Effect.fail(new SchemaIssue.InvalidValue({ expected }, input, options)) : Effect.succeed(value)
