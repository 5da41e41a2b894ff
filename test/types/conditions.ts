/**
 * Type tests of `KVStore`: each line after a `@ts-expect-error` has one mistake and must not compile; the other lines
 * must compile. `npm run check` compiles this file. Nothing here is run.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"

type Store = KVStore.KVStore["Service"]
type Prices = KVStore.TypedKVStore<{ readonly cents: number }>

const bytes = new Uint8Array(1)
const price = { cents: 1 }
const { atRevision, createOnly, updateOnly, whenKey } = KVStore.KVOptions

export const puts = (store: Store) => [
  store.put("a", bytes),
  store.put("a", bytes, undefined),
  store.put("a", bytes, createOnly),
  store.put("a", bytes, updateOnly),
  store.put("a", bytes, atRevision(1)),
  store.put("a", bytes, whenKey("b", 1)),
  store.put("a", bytes, { createOnly: true }),
  store.put("a", bytes, { updateOnly: true }),
  store.put("a", bytes, { revision: 1 }),
  store.put("a", bytes, { whenKey: { key: "b", revision: 1 } }),

  // @ts-expect-error A put has no TTL: a later put without a TTL would make the key permanent.
  store.put("a", bytes, { ttl: "5 seconds" }),
  // @ts-expect-error A put has no TTL in milliseconds.
  store.put("a", bytes, { ttl: 5000 }),
  // @ts-expect-error A put with a condition has no TTL.
  store.put("a", bytes, { createOnly: true, ttl: "5 seconds" }),
  // @ts-expect-error A put with a named condition has no TTL.
  store.put("a", bytes, { ...createOnly, ttl: "5 seconds" }),
  // @ts-expect-error streamMaxAge is an option of the bucket.
  store.put("a", bytes, { streamMaxAge: "5 seconds" }),
  // @ts-expect-error expiryMarkers is an option of the bucket.
  store.put("a", bytes, { expiryMarkers: "5 seconds" }),

  // @ts-expect-error The server checks one condition per write: createOnly and updateOnly are two conditions.
  store.put("a", bytes, { createOnly: true, updateOnly: true }),
  // @ts-expect-error The server checks one revision per write: createOnly already uses revision 0.
  store.put("a", bytes, { createOnly: true, revision: 1 }),
  // @ts-expect-error updateOnly already uses the revision that it read.
  store.put("a", bytes, { updateOnly: true, revision: 1 }),
  // @ts-expect-error The server would ignore the revision next to whenKey.
  store.put("a", bytes, { whenKey: { key: "b", revision: 1 }, revision: 1 }),
  // @ts-expect-error The server would ignore createOnly next to whenKey.
  store.put("a", bytes, { whenKey: { key: "b", revision: 1 }, createOnly: true }),
  // @ts-expect-error The server would ignore updateOnly next to whenKey.
  store.put("a", bytes, { whenKey: { key: "b", revision: 1 }, updateOnly: true }),

  // @ts-expect-error To omit the condition, omit the option.
  store.put("a", bytes, { createOnly: false }),
  // @ts-expect-error To omit the condition, omit the option.
  store.put("a", bytes, { updateOnly: false }),
  // @ts-expect-error An undefined revision would write unconditionally.
  store.put("a", bytes, { revision: undefined }),
  // @ts-expect-error A put without a condition takes no options object.
  store.put("a", bytes, {}),
  // @ts-expect-error Omitted options are undefined, not null.
  store.put("a", bytes, null),
  // @ts-expect-error A revision is a number.
  store.put("a", bytes, { revision: "1" }),
  // @ts-expect-error The revision of atRevision is a number.
  store.put("a", bytes, atRevision("1")),
  // @ts-expect-error A revision is a number, not a bigint.
  store.put("a", bytes, atRevision(1n)),
  // @ts-expect-error whenKey requires a revision.
  store.put("a", bytes, { whenKey: { key: "b" } }),
  // @ts-expect-error whenKey requires a key.
  store.put("a", bytes, { whenKey: { revision: 1 } }),
  // @ts-expect-error The constructor whenKey requires a revision.
  store.put("a", bytes, whenKey("b")),
  // @ts-expect-error A condition is an object, not a string.
  store.put("a", bytes, "createOnly"),
  // @ts-expect-error createOnly is a value, not a function.
  store.put("a", bytes, createOnly())
]

/** The compiler accepts unknown names in a variable, but still refuses missing names and names of the type `never`. */
export const putsByVariable = (store: Store, maybe: number | undefined) => {
  const ttl = { ttl: "5 seconds" }
  const two = { createOnly: true, revision: 1 } as const
  const guarded = { whenKey: { key: "b", revision: 1 }, revision: 1 }
  const one = { revision: 1 }
  return [
    store.put("a", bytes, one),
    // @ts-expect-error An unknown condition.
    store.put("a", bytes, ttl),
    // @ts-expect-error Two conditions.
    store.put("a", bytes, two),
    // @ts-expect-error A revision next to whenKey.
    store.put("a", bytes, guarded),
    // @ts-expect-error A revision that may be undefined.
    store.put("a", bytes, { revision: maybe })
  ]
}

export const values = (store: Store, prices: Prices) => [
  prices.put("a", price),
  // @ts-expect-error A value is bytes; typed views store other values.
  store.put("a", "text"),
  // @ts-expect-error A value is a Uint8Array, not an ArrayBuffer.
  store.put("a", new ArrayBuffer(1)),
  // @ts-expect-error A value is a Uint8Array, not an array of numbers.
  store.put("a", [1, 2]),
  // @ts-expect-error A value is a Uint8Array, not another typed array.
  store.put("a", new Uint16Array(1)),
  // @ts-expect-error A put requires a value; delete removes one.
  store.put("a"),
  // @ts-expect-error A put requires a value; delete removes one.
  store.put("a", undefined),
  // @ts-expect-error A key is a string.
  store.put(7, bytes),
  // @ts-expect-error A typed view takes values of its type, not their JSON text.
  prices.put("a", `{"cents":1}`),
  // @ts-expect-error A typed view requires all fields of its type.
  prices.put("a", {}),
  // @ts-expect-error A put of a typed view takes one condition too.
  prices.put("a", price, { createOnly: true, revision: 1 }),
  // @ts-expect-error A put of a typed view has no TTL either.
  prices.put("a", price, { ttl: "5 seconds" })
]

export const removals = (store: Store, prices: Prices) => [
  store.delete("a"),
  store.delete("a", { revision: 1 }),
  store.delete("a", { revision: undefined }),
  store.purge("a", { revision: 1 }),
  prices.delete("a", { revision: 1 }),
  // @ts-expect-error A delete does not take the named conditions of a put.
  store.delete("a", KVStore.KVOptions.createOnly),
  // @ts-expect-error A delete can only be conditioned on a revision.
  store.delete("a", { createOnly: true }),
  // @ts-expect-error A delete can only be conditioned on a revision.
  store.delete("a", { updateOnly: true }),
  // @ts-expect-error A delete can only be conditioned on a revision.
  store.delete("a", { whenKey: { key: "b", revision: 1 } }),
  // @ts-expect-error A delete marker has no TTL.
  store.delete("a", { ttl: "5 seconds" }),
  // @ts-expect-error A revision is passed by its option name.
  store.delete("a", 1),
  // @ts-expect-error A purge can only be conditioned on a revision.
  store.purge("a", { createOnly: true }),
  // @ts-expect-error A purge marker has no TTL, unlike in other clients.
  store.purge("a", { ttl: "5s" }),
  // @ts-expect-error previousSeq is the name in other clients.
  store.purge("a", { previousSeq: 1 }),
  // @ts-expect-error The delete of a typed view takes the same options as that of the store.
  prices.delete("a", { createOnly: true })
]

export const watches = (store: Store) => [
  store.watch(),
  store.watch("a.*", { from: "updates" }),
  store.watch(undefined, { from: { revision: 1 } }),
  // @ts-expect-error Options are the second argument.
  store.watch({ from: "updates" }),
  // @ts-expect-error An unknown value of from.
  store.watch("a", { from: "beginning" }),
  // @ts-expect-error A revision is passed in an object.
  store.watch("a", { from: 1 }),
  // @ts-expect-error A revision is passed in from.
  store.watch("a", { revision: 1 }),
  // @ts-expect-error ignoreDeletes is an option of other clients.
  store.watch("a", { ignoreDeletes: true }),
  // @ts-expect-error A filter is text.
  store.watch(["a", 7])
]

export const configurations = [
  NatsKVStore.layer({ bucket: "b", historySize: 5, streamMaxAge: "1 minute", storage: "memory" }),
  KVStore.layerMemory({ bucket: "b" }),
  // @ts-expect-error The name of the bucket is required.
  NatsKVStore.layer({ historySize: 5 }),
  // @ts-expect-error Options are an object.
  NatsKVStore.layer("b"),
  // @ts-expect-error The option is spelled historySize.
  NatsKVStore.layer({ bucket: "b", historysize: 5 }),
  // @ts-expect-error history is the name in other clients.
  NatsKVStore.layer({ bucket: "b", history: 5 }),
  // @ts-expect-error ttl is the name of streamMaxAge in other clients.
  KVStore.layerMemory({ bucket: "b", ttl: 1000 }),
  // @ts-expect-error markerTTL is the name of expiryMarkers in other clients.
  KVStore.layerMemory({ bucket: "b", markerTTL: 1000 }),
  // @ts-expect-error A size is a number of bytes.
  KVStore.layerMemory({ bucket: "b", maxValueSize: "1 MiB" }),
  // @ts-expect-error An unknown storage.
  KVStore.layerMemory({ bucket: "b", storage: "disk" }),
  // @ts-expect-error An unknown value of onMismatch.
  KVStore.layerMemory({ bucket: "b", onMismatch: "ignore" }),
  // @ts-expect-error A duration text has a number and a unit.
  KVStore.layerMemory({ bucket: "b", streamMaxAge: "soon" }),
  // @ts-expect-error create is a boolean.
  KVStore.layerMemory({ bucket: "b", create: "never" })
]

export const put: KVStore.Put = {
  _tag: "Put",
  entry: { key: "a", value: bytes, revision: 1, created: undefined as never }
}
export const told: ReadonlyArray<KVStore.KVEvent> = [put, { _tag: "Ready" }]
export const kept: ReadonlyArray<KVStore.KVHistoryEvent> = [
  put,
  // @ts-expect-error A history has no Ready event.
  { _tag: "Ready" },
  // @ts-expect-error An unknown reason.
  { _tag: "Removed", key: "a", revision: 1, created: undefined as never, reason: "forgotten" }
]

/** An exhaustive switch over the reasons of a removal must handle a recreated bucket (`"reset"`). */
export const explain = (event: KVStore.Removed): string => {
  switch (event.reason) {
    case "delete":
    case "purge":
    case "expire":
      return "gone"
    default: {
      // @ts-expect-error The reason "reset" is not handled.
      const none: never = event.reason
      return none
    }
  }
}

/** The error type of an operation is not `never`. */
// @ts-expect-error
export const certain: Effect.Error<ReturnType<Store["put"]>> extends never ? true : never = true

export const results = (store: Store) => [
  KVStore.typed(store, Schema.Struct({ cents: Schema.Int })),
  // @ts-expect-error A view requires a codec, not a value.
  KVStore.typed(store, price),
  Effect.map(store.get("a"), Option.map(({ value }) => value)),
  // @ts-expect-error An absent key is Option.none, not undefined.
  Effect.map(store.get("a"), (entry) => entry?.value)
]

/** The fields of an entry are readonly. */
export const entries = (entry: KVStore.KVEntry) => {
  // @ts-expect-error
  entry.revision = 2
  // @ts-expect-error
  entry.value = bytes
}
