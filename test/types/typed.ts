/**
 * Type tests of typed views, `getUnexpired` and `clear`: each line after a `@ts-expect-error` has one mistake and must
 * not compile; the other lines must compile. `npm run check` compiles this file. Nothing here is run.
 */
import * as Effect from "effect/Effect"
import { pipe } from "effect/Function"
import type * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { KeyValueStore } from "effect/persistence/KeyValueStore"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as KVKeyValueStore from "../../src/KVKeyValueStore.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"

interface Price {
  readonly cents: number
  readonly currency?: "EUR" | "USD"
}
type Prices = KVStore.TypedKVStore<Price>

declare const failureOf: <E>(effect: Effect.Effect<unknown, E>) => E
declare const needsOf: <R>(layer: Layer.Layer<KeyValueStore, never, R>) => R

const EuroCents = Schema.Int.pipe(Schema.brand("EuroCents"))
const Priced = Schema.Struct({ cents: Schema.Int, at: Schema.DateTimeUtc })

export const values = (prices: Prices) => [
  prices.put("apple", { cents: 1 }),
  prices.put("apple", { cents: 1, currency: "EUR" }, KVStore.KVOptions.createOnly),

  // @ts-expect-error A field has another type.
  prices.put("apple", { cents: "1" }),
  // @ts-expect-error A required field is missing.
  prices.put("apple", {}),
  // @ts-expect-error The schema has no such field.
  prices.put("apple", { cents: 1, dollars: 1 }),
  // @ts-expect-error An unknown literal.
  prices.put("apple", { cents: 1, currency: "GBP" }),
  // @ts-expect-error A view takes values, not their stored bytes.
  prices.put("apple", new Uint8Array(1)),
  // @ts-expect-error A view takes values, not their JSON text.
  prices.put("apple", `{"cents":1}`),
  // @ts-expect-error A put requires a value; delete removes one.
  prices.put("apple", undefined),
  // @ts-expect-error A put of a view has no TTL.
  prices.put("apple", { cents: 1 }, { ttl: "5 seconds" }),
  // @ts-expect-error A put of a view takes one condition.
  prices.put("apple", { cents: 1 }, { createOnly: true, revision: 1 }),
  // @ts-expect-error A key is a string.
  prices.put(1, { cents: 1 })
]

export const changes = (prices: Prices) => [
  prices.modify("apple", Option.map(({ cents }) => ({ cents: cents + 1 }))),
  prices.modify("apple", () => Option.some({ cents: 1 })),
  prices.modify("apple", () => Option.none()),

  // @ts-expect-error The function returns a value of another type.
  prices.modify("apple", () => Option.some({ cents: "1" })),
  // @ts-expect-error The function returns a value, not an Option.
  prices.modify("apple", () => ({ cents: 1 })),
  // @ts-expect-error The argument of the function is an Option.
  prices.modify("apple", ({ cents }) => Option.some({ cents: cents + 1 })),
  // @ts-expect-error The function must not return an Effect: no effect runs between the read and the write.
  prices.modify("apple", () => Effect.succeedSome({ cents: 1 }))
]

export const reads = (prices: Prices) => {
  const cents: Effect.Effect<Option.Option<number>, KVStore.KVStoreError> = Effect.map(
    prices.get("apple"),
    Option.map((entry) => entry.value.cents)
  )
  // @ts-expect-error A view returns values, not bytes.
  const bytes: Effect.Effect<Option.Option<KVStore.KVEntry>, KVStore.KVStoreError> = prices.get("apple")
  // @ts-expect-error A value that does not decode is an error.
  const nothing: never = failureOf(prices.get("apple"))
  // @ts-expect-error The result is an Option.
  const entry: Effect.Effect<KVStore.KVEntry<Price>, KVStore.KVStoreError> = prices.get("apple")
  return [cents, bytes, nothing, entry]
}

export const views = (store: KVStore.KVStore["Service"]) => {
  const priced = KVStore.typed(store, Priced)
  const branded = KVStore.typed(EuroCents)(store)
  const ofService: Effect.Effect<
    KVStore.TypedKVStore<typeof Priced.Type>,
    never,
    KVStore.KVStore
  > = Effect.map(KVStore.KVStore, KVStore.typed(Priced))
  const counts: KVStore.TypedKVStore<number> = pipe(store, KVStore.typed(Schema.Int))
  const texts: KVStore.TypedKVStore<string> = pipe(store, KVStore.typedWith(KVStore.StringFromUtf8))
  return [
    ofService,
    counts,
    texts,
    branded.put("apple", EuroCents.make(1)),
    // @ts-expect-error A plain number does not have the brand.
    branded.put("apple", 1),
    // @ts-expect-error A view takes the decoded type: a DateTime, not its text.
    priced.put("apple", { cents: 1, at: "1970-01-01T00:00:00.000Z" }),
    // @ts-expect-error A view requires a store; it is not an effect that reads the service.
    Effect.flatMap(KVStore.typed(Priced), (prices) => prices.get("apple")),
    // @ts-expect-error In the data-first form the store is the first argument.
    KVStore.typed(Priced, store),

    KVStore.typedWith(store, Schema.Uint8Array),
    KVStore.typedWith(store, KVStore.StringFromUtf8),
    KVStore.typedWith(store, KVStore.StringFromUtf8.pipe(Schema.decodeTo(Schema.FiniteFromString))),
    // @ts-expect-error The encoded side of a codec must be bytes: use StringFromUtf8 for text.
    KVStore.typedWith(store, Schema.String),
    // @ts-expect-error The encoded side of a struct is not bytes.
    KVStore.typedWith(store, Priced),
    // @ts-expect-error The encoded side of Uint8ArrayFromBase64 is text, not bytes.
    KVStore.typedWith(store, Schema.Uint8ArrayFromBase64),
    // @ts-expect-error The data-last form requires bytes on the encoded side too.
    KVStore.typedWith(Schema.String)
  ]
}

export const expiringReads = (store: KVStore.KVStore["Service"], prices: Prices) => [
  KVStore.getUnexpired(store, "apple", { maxAge: "5 seconds" }),
  pipe(store, KVStore.getUnexpired("apple", { maxAge: "5 seconds" })),
  Effect.flatMap(KVStore.KVStore, KVStore.getUnexpired("apple", { maxAge: "5 seconds" })),
  prices.getUnexpired("apple", { maxAge: 5000 }),

  // @ts-expect-error maxAge is required: no default suits all callers.
  KVStore.getUnexpired(store, "apple"),
  // @ts-expect-error maxAge must not be undefined.
  KVStore.getUnexpired(store, "apple", { maxAge: undefined }),
  // @ts-expect-error A duration text has a unit.
  KVStore.getUnexpired(store, "apple", { maxAge: "5" }),
  // @ts-expect-error The option is named maxAge.
  KVStore.getUnexpired(store, "apple", { ttl: "5 seconds" }),
  // @ts-expect-error The option is named maxAge in the data-last form too.
  KVStore.getUnexpired("apple", { ttl: "5 seconds" }),
  // @ts-expect-error A duration text of a view has a number and a unit too.
  prices.getUnexpired("apple", { maxAge: "soon" })
]

export const clearing = (store: KVStore.KVStore["Service"]) => {
  const removed: ReadonlyArray<Effect.Effect<KVStore.ClearReport, KVStore.KVStoreError>> = [
    KVStore.clear(store),
    KVStore.clear(store, "orders.*"),
    pipe(store, KVStore.clear()),
    pipe(store, KVStore.clear("orders.*"))
  ]
  return [
    removed,
    Effect.flatMap(KVStore.KVStore, KVStore.clear("orders.*")),
    KVStore.clear(store, ["orders.*", "customers.*"]),
    pipe(store, KVStore.clear(["orders.*"])),
    // @ts-expect-error A filter is text.
    KVStore.clear(store, [7])
  ]
}

export const makers = {
  memory: KVStore.makeMemory,
  nats: NatsKVStore.make,
  client: NatsClient.make,
  keyValueStore: KVKeyValueStore.make
} satisfies {
  readonly memory: (
    options: KVStore.BucketOptions
  ) => Effect.Effect<KVStore.KVStore["Service"], KVStore.KVStoreError, Scope.Scope>
  readonly nats: (
    options: KVStore.BucketOptions
  ) => Effect.Effect<KVStore.KVStore["Service"], KVStore.KVStoreError, NatsClient.NatsClient | Scope.Scope>
  readonly client: (
    options: NatsClient.Options
  ) => Effect.Effect<NatsClient.NatsClient["Service"], KVStore.KVStoreError, Scope.Scope>
  readonly keyValueStore: (store: KVStore.KVStore["Service"]) => KeyValueStore
}

/** The members of the NatsClient service. */
export const members: ReadonlyArray<keyof NatsClient.NatsClient["Service"]> = ["connection", "status"]
// @ts-expect-error The requester of the driver is not a member of the service.
export const hidden: keyof NatsClient.NatsClient["Service"] = "requester"

export const keyValueStore: Layer.Layer<KeyValueStore, never, KVStore.KVStore> = KVKeyValueStore.layer
// @ts-expect-error The layer requires a KVStore.
export const onNothing: never = needsOf(KVKeyValueStore.layer)
