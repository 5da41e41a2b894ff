/**
 * A typed view of a store: encodes and decodes values with a codec.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { KVEvent, KVHistoryEvent, KVStore, TypedKVStore } from "../../KVStore.ts"
import { getUnexpired } from "./expireOnRead.ts"
import { make as makeModify } from "./modify.ts"
import { make as makeValues } from "./typedValues.ts"

export const makeTyped = <A>(store: KVStore["Service"], codec: Schema.Codec<A, Uint8Array>): TypedKVStore<A> => {
  const values = makeValues(store, codec)
  const { decode, decodeFound, decodeOrFail, put } = values

  const decodeEvent = (event: KVHistoryEvent): Effect.Effect<KVHistoryEvent<A>> =>
    event._tag === "Put"
      ? Effect.match(decode(event.entry), {
        onFailure: ({ cause, entry }) => ({ _tag: "Undecodable", key: entry.key, revision: entry.revision, cause }),
        onSuccess: (entry) => ({ _tag: "Put", entry })
      })
      : Effect.succeed(event)

  return {
    get: (key, options) => decodeFound("get", store.get(key, options)),
    getUnexpired: (key, options) => decodeFound("getUnexpired", getUnexpired(store, key, options)),
    put: (key, value, options) => put("put", key, value, options),
    delete: store.delete,
    purge: store.purge,
    keys: store.keys,
    getMany: (keys) =>
      Effect.map(
        Effect.flatMap(store.getMany(keys), (found) => Effect.forEach(found.values(), decodeOrFail("getMany"))),
        (entries) => new Map(entries.map((entry) => [entry.key, entry]))
      ),
    history: (key, options) =>
      Effect.flatMap(store.history(key, options), (events) => Effect.forEach(events, decodeEvent)),
    entries: (filter) =>
      Effect.flatMap(store.entries(filter), (entries) => Effect.forEach(entries, decodeOrFail("entries"))),
    stream: (filter) => Stream.mapEffect(store.stream(filter), decodeOrFail("stream")),
    ...makeModify(store, values),
    watch: (filter, options) =>
      Stream.mapEffect(
        store.watch(filter, options),
        (event): Effect.Effect<KVEvent<A>> => event._tag === "Ready" ? Effect.succeed(event) : decodeEvent(event)
      )
  }
}
