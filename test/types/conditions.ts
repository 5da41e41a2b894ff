/**
 * What must not compile. Every line after a `@ts-expect-error` is one mistake away from a line that compiles, and
 * `npm run check` fails where the compiler does not find it. Nothing here is run.
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

  // @ts-expect-error There is no ttl: a plain write after a timed one would make the key immortal.
  store.put("a", bytes, { ttl: "5 seconds" }),
  // @ts-expect-error Nor is there one in milliseconds.
  store.put("a", bytes, { ttl: 5000 }),
  // @ts-expect-error Nor is there one beside a condition.
  store.put("a", bytes, { createOnly: true, ttl: "5 seconds" }),
  // @ts-expect-error Nor by a condition's name.
  store.put("a", bytes, { ...createOnly, ttl: "5 seconds" }),
  // @ts-expect-error An age belongs to the bucket.
  store.put("a", bytes, { streamMaxAge: "5 seconds" }),
  // @ts-expect-error A marker's age belongs to the bucket.
  store.put("a", bytes, { expiryMarkers: "5 seconds" }),

  // @ts-expect-error The server checks one condition: createOnly and updateOnly are two.
  store.put("a", bytes, { createOnly: true, updateOnly: true }),
  // @ts-expect-error The server checks one number: that of createOnly is 0.
  store.put("a", bytes, { createOnly: true, revision: 1 }),
  // @ts-expect-error updateOnly is a condition on the revision that it read.
  store.put("a", bytes, { updateOnly: true, revision: 1 }),
  // @ts-expect-error The server would ignore the revision beside a condition on another key.
  store.put("a", bytes, { whenKey: { key: "b", revision: 1 }, revision: 1 }),
  // @ts-expect-error The server would ignore createOnly beside a condition on another key.
  store.put("a", bytes, { whenKey: { key: "b", revision: 1 }, createOnly: true }),
  // @ts-expect-error The server would ignore updateOnly beside a condition on another key.
  store.put("a", bytes, { whenKey: { key: "b", revision: 1 }, updateOnly: true }),

  // @ts-expect-error Off is said by leaving the option out.
  store.put("a", bytes, { createOnly: false }),
  // @ts-expect-error Off is said by leaving the option out.
  store.put("a", bytes, { updateOnly: false }),
  // @ts-expect-error A revision that may be missing would be a plain write where it is.
  store.put("a", bytes, { revision: undefined }),
  // @ts-expect-error No condition is no options.
  store.put("a", bytes, {}),
  // @ts-expect-error No options are undefined.
  store.put("a", bytes, null),
  // @ts-expect-error A revision is a number.
  store.put("a", bytes, { revision: "1" }),
  // @ts-expect-error Also by its name.
  store.put("a", bytes, atRevision("1")),
  // @ts-expect-error A bigint is none that JSON could carry.
  store.put("a", bytes, atRevision(1n)),
  // @ts-expect-error A condition on another key needs that key's revision.
  store.put("a", bytes, { whenKey: { key: "b" } }),
  // @ts-expect-error And the key.
  store.put("a", bytes, { whenKey: { revision: 1 } }),
  // @ts-expect-error Also by its name.
  store.put("a", bytes, whenKey("b")),
  // @ts-expect-error A condition is written out or named, and not spelled.
  store.put("a", bytes, "createOnly"),
  // @ts-expect-error createOnly is a value, and not a function.
  store.put("a", bytes, createOnly())
]

/** What is not written in place is not checked for names that are too many, but for those that are needed and refused. */
export const putsByVariable = (store: Store, maybe: number | undefined) => {
  const ttl = { ttl: "5 seconds" }
  const two = { createOnly: true, revision: 1 } as const
  const guarded = { whenKey: { key: "b", revision: 1 }, revision: 1 }
  const one = { revision: 1 }
  return [
    store.put("a", bytes, one),
    // @ts-expect-error No condition that there is.
    store.put("a", bytes, ttl),
    // @ts-expect-error Two conditions.
    store.put("a", bytes, two),
    // @ts-expect-error A revision beside a condition on another key.
    store.put("a", bytes, guarded),
    // @ts-expect-error A revision that may be missing.
    store.put("a", bytes, { revision: maybe })
  ]
}

export const values = (store: Store, prices: Prices) => [
  prices.put("a", price),
  // @ts-expect-error Bytes: a typed view stores text.
  store.put("a", "text"),
  // @ts-expect-error Not the buffer under them.
  store.put("a", new ArrayBuffer(1)),
  // @ts-expect-error Nor a list of numbers.
  store.put("a", [1, 2]),
  // @ts-expect-error Nor bytes under another name.
  store.put("a", new Uint16Array(1)),
  // @ts-expect-error A value is needed: delete is what takes one away.
  store.put("a"),
  // @ts-expect-error The same.
  store.put("a", undefined),
  // @ts-expect-error A key is text.
  store.put(7, bytes),
  // @ts-expect-error A typed view takes its own type, and not its text.
  prices.put("a", `{"cents":1}`),
  // @ts-expect-error A typed view takes all of its type.
  prices.put("a", {}),
  // @ts-expect-error A typed view takes one condition as well.
  prices.put("a", price, { createOnly: true, revision: 1 }),
  // @ts-expect-error A typed view has no ttl either.
  prices.put("a", price, { ttl: "5 seconds" })
]

export const removals = (store: Store, prices: Prices) => [
  store.delete("a"),
  store.delete("a", { revision: 1 }),
  store.delete("a", { revision: undefined }),
  store.purge("a", { revision: 1 }),
  prices.delete("a", { revision: 1 }),
  // @ts-expect-error The conditions of a put are not those of a delete, also where they come by name.
  store.delete("a", KVStore.KVOptions.createOnly),
  // @ts-expect-error A delete is conditioned on a revision, and on nothing else.
  store.delete("a", { createOnly: true }),
  // @ts-expect-error The same.
  store.delete("a", { updateOnly: true }),
  // @ts-expect-error The same.
  store.delete("a", { whenKey: { key: "b", revision: 1 } }),
  // @ts-expect-error Tombstones have no ttl.
  store.delete("a", { ttl: "5 seconds" }),
  // @ts-expect-error A bare revision might be taken for something else.
  store.delete("a", 1),
  // @ts-expect-error A purge is conditioned on a revision, and on nothing else.
  store.purge("a", { createOnly: true }),
  // @ts-expect-error Tombstones have no ttl, as they have in other clients.
  store.purge("a", { ttl: "5s" }),
  // @ts-expect-error The other clients' name of it.
  store.purge("a", { previousSeq: 1 }),
  // @ts-expect-error A typed view's delete is the store's.
  prices.delete("a", { createOnly: true })
]

export const watches = (store: Store) => [
  store.watch(),
  store.watch("a.*", { from: "updates" }),
  store.watch(undefined, { from: { revision: 1 } }),
  // @ts-expect-error Options come after the filter.
  store.watch({ from: "updates" }),
  // @ts-expect-error There is no such beginning.
  store.watch("a", { from: "beginning" }),
  // @ts-expect-error A revision is given by its name.
  store.watch("a", { from: 1 }),
  // @ts-expect-error The same.
  store.watch("a", { revision: 1 }),
  // @ts-expect-error An option of other clients.
  store.watch("a", { ignoreDeletes: true }),
  // @ts-expect-error Several filters are several watches.
  store.watch(["a", "b"])
]

export const configurations = [
  NatsKVStore.layer({ bucket: "b", historySize: 5, streamMaxAge: "1 minute", storage: "memory" }),
  KVStore.layerMemory({ bucket: "b" }),
  // @ts-expect-error A bucket has a name.
  NatsKVStore.layer({ historySize: 5 }),
  // @ts-expect-error And options are an object.
  NatsKVStore.layer("b"),
  // @ts-expect-error It is written historySize.
  NatsKVStore.layer({ bucket: "b", historysize: 5 }),
  // @ts-expect-error The other clients' name of it.
  NatsKVStore.layer({ bucket: "b", history: 5 }),
  // @ts-expect-error The other clients' name of streamMaxAge.
  KVStore.layerMemory({ bucket: "b", ttl: 1000 }),
  // @ts-expect-error The other clients' name of expiryMarkers.
  KVStore.layerMemory({ bucket: "b", markerTTL: 1000 }),
  // @ts-expect-error A size is a number of bytes.
  KVStore.layerMemory({ bucket: "b", maxValueSize: "1 MiB" }),
  // @ts-expect-error There is no such storage.
  KVStore.layerMemory({ bucket: "b", storage: "disk" }),
  // @ts-expect-error There is no such way.
  KVStore.layerMemory({ bucket: "b", onMismatch: "ignore" }),
  // @ts-expect-error A time has a unit.
  KVStore.layerMemory({ bucket: "b", streamMaxAge: "soon" }),
  // @ts-expect-error Whether, and not when.
  KVStore.layerMemory({ bucket: "b", create: "never" })
]

export const put: KVStore.Put = {
  _tag: "Put",
  entry: { key: "a", value: bytes, revision: 1, created: undefined as never }
}
export const told: ReadonlyArray<KVStore.KVEvent> = [put, { _tag: "Ready" }]
export const kept: ReadonlyArray<KVStore.KVHistoryEvent> = [
  put,
  // @ts-expect-error A history is what is kept, and is never ready.
  { _tag: "Ready" },
  // @ts-expect-error There is no such reason.
  { _tag: "Removed", key: "a", revision: 1, created: undefined as never, reason: "forgotten" }
]

/** Whoever handles every reason of a removal has to think of the bucket that was recreated. */
export const explain = (event: KVStore.Removed): string => {
  switch (event.reason) {
    case "delete":
    case "purge":
    case "expire":
      return "gone"
    default: {
      // @ts-expect-error There is one more.
      const none: never = event.reason
      return none
    }
  }
}

/** Every operation can fail. */
// @ts-expect-error
export const certain: Effect.Error<ReturnType<Store["put"]>> extends never ? true : never = true

export const results = (store: Store) => [
  KVStore.typed(store, Schema.Struct({ cents: Schema.Int })),
  // @ts-expect-error A view needs a codec, and not a value.
  KVStore.typed(store, price),
  Effect.map(store.get("a"), Option.map(({ value }) => value)),
  // @ts-expect-error What is not there is none, and not undefined.
  Effect.map(store.get("a"), (entry) => entry?.value)
]

/** An entry is read, and never changed in place. */
export const entries = (entry: KVStore.KVEntry) => {
  // @ts-expect-error
  entry.revision = 2
  // @ts-expect-error
  entry.value = bytes
}
