/**
 * What must not compile of typed views and of reads that expire. Every line after a `@ts-expect-error` is one mistake
 * away from a line that compiles, and `npm run check` fails where the compiler does not find it. Nothing here is run.
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

  // @ts-expect-error The value is of another type.
  prices.put("apple", { cents: "1" }),
  // @ts-expect-error It lacks what the schema asks for.
  prices.put("apple", {}),
  // @ts-expect-error It has what the schema does not know.
  prices.put("apple", { cents: 1, dollars: 1 }),
  // @ts-expect-error A literal is none of those that there are.
  prices.put("apple", { cents: 1, currency: "GBP" }),
  // @ts-expect-error A view takes values, not what is stored.
  prices.put("apple", new Uint8Array(1)),
  // @ts-expect-error Nor the text of it.
  prices.put("apple", `{"cents":1}`),
  // @ts-expect-error No value is no way to delete.
  prices.put("apple", undefined),
  // @ts-expect-error There is no ttl here either.
  prices.put("apple", { cents: 1 }, { ttl: "5 seconds" }),
  // @ts-expect-error Nor are there two conditions at once.
  prices.put("apple", { cents: 1 }, { createOnly: true, revision: 1 }),
  // @ts-expect-error The key is a string.
  prices.put(1, { cents: 1 })
]

export const changes = (prices: Prices) => [
  prices.modify("apple", Option.map(({ cents }) => ({ cents: cents + 1 }))),
  prices.modify("apple", () => Option.some({ cents: 1 })),
  prices.modify("apple", () => Option.none()),

  // @ts-expect-error It gives a value of another type.
  prices.modify("apple", () => Option.some({ cents: "1" })),
  // @ts-expect-error It gives a value, and not an Option of one.
  prices.modify("apple", () => ({ cents: 1 })),
  // @ts-expect-error It takes for a value what may be none.
  prices.modify("apple", ({ cents }) => Option.some({ cents: cents + 1 })),
  // @ts-expect-error It is a function of values: no effect is run between the read and the write.
  prices.modify("apple", () => Effect.succeedSome({ cents: 1 }))
]

export const reads = (prices: Prices) => {
  const cents: Effect.Effect<Option.Option<number>, KVStore.KVStoreError> = Effect.map(
    prices.get("apple"),
    Option.map((entry) => entry.value.cents)
  )
  // @ts-expect-error What is read is the value, not its bytes.
  const bytes: Effect.Effect<Option.Option<KVStore.KVEntry>, KVStore.KVStoreError> = prices.get("apple")
  // @ts-expect-error What does not decode is a failure.
  const nothing: never = failureOf(prices.get("apple"))
  // @ts-expect-error Entries may be none.
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
    // @ts-expect-error A plain number is not one of that brand.
    branded.put("apple", 1),
    // @ts-expect-error A view takes the decoded side: a DateTime, not its text.
    priced.put("apple", { cents: 1, at: "1970-01-01T00:00:00.000Z" }),
    // @ts-expect-error A view is of a store, and not an effect that finds one.
    Effect.flatMap(KVStore.typed(Priced), (prices) => prices.get("apple")),
    // @ts-expect-error The store comes first.
    KVStore.typed(Priced, store),

    KVStore.typedWith(store, Schema.Uint8Array),
    KVStore.typedWith(store, KVStore.StringFromUtf8),
    KVStore.typedWith(store, KVStore.StringFromUtf8.pipe(Schema.decodeTo(Schema.FiniteFromString))),
    // @ts-expect-error What is stored is bytes: text goes by way of StringFromUtf8.
    KVStore.typedWith(store, Schema.String),
    // @ts-expect-error Nor is a struct bytes.
    KVStore.typedWith(store, Priced),
    // @ts-expect-error Base64 is text, and not stored as such.
    KVStore.typedWith(store, Schema.Uint8ArrayFromBase64),
    // @ts-expect-error And so it is where the store comes last.
    KVStore.typedWith(Schema.String)
  ]
}

export const expiringReads = (store: KVStore.KVStore["Service"], prices: Prices) => [
  KVStore.getUnexpired(store, "apple", { maxAge: "5 seconds" }),
  pipe(store, KVStore.getUnexpired("apple", { maxAge: "5 seconds" })),
  Effect.flatMap(KVStore.KVStore, KVStore.getUnexpired("apple", { maxAge: "5 seconds" })),
  prices.getUnexpired("apple", { maxAge: 5000 }),

  // @ts-expect-error The age is not left out: there is none that suits all.
  KVStore.getUnexpired(store, "apple"),
  // @ts-expect-error Nor is it undefined.
  KVStore.getUnexpired(store, "apple", { maxAge: undefined }),
  // @ts-expect-error A time has a unit.
  KVStore.getUnexpired(store, "apple", { maxAge: "5" }),
  // @ts-expect-error It is no time to live.
  KVStore.getUnexpired(store, "apple", { ttl: "5 seconds" }),
  // @ts-expect-error Nor where the store comes last.
  KVStore.getUnexpired("apple", { ttl: "5 seconds" }),
  // @ts-expect-error And so it is in a view.
  prices.getUnexpired("apple", { maxAge: "soon" })
]

export const clearing = (store: KVStore.KVStore["Service"]) => {
  const removed: ReadonlyArray<Effect.Effect<number, KVStore.KVStoreError>> = [
    KVStore.clear(store),
    KVStore.clear(store, "orders.*"),
    pipe(store, KVStore.clear()),
    pipe(store, KVStore.clear("orders.*"))
  ]
  return [
    removed,
    Effect.flatMap(KVStore.KVStore, KVStore.clear("orders.*")),
    // @ts-expect-error A filter is text, and one.
    KVStore.clear(store, ["orders.*"])
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

/** A client shows its connection and its state, and nothing more. */
export const members: ReadonlyArray<keyof NatsClient.NatsClient["Service"]> = ["connection", "status"]
// @ts-expect-error What the driver needs is kept elsewhere.
export const hidden: keyof NatsClient.NatsClient["Service"] = "requester"

export const keyValueStore: Layer.Layer<KeyValueStore, never, KVStore.KVStore> = KVKeyValueStore.layer
// @ts-expect-error It stands on something.
export const onNothing: never = needsOf(KVKeyValueStore.layer)
