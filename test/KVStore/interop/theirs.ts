/** The other client, `@nats-io/kv`, on its own connection, and a form of messages that both clients can produce. */
import { assert } from "@effect/vitest"
import { type KV, type KvEntry, Kvm, type KvOptions, type KvWatchOptions } from "@nats-io/kv"
import { connect } from "@nats-io/transport-node"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as KVStore from "../../../src/KVStore.ts"
import { NatsServer } from "../../../tools/natsServer/server.ts"
import type { Store } from "../../support/suite.ts"

/** A message in a form that both clients can produce. `created` is in whole milliseconds. */
export interface Told {
  readonly key: string
  readonly revision: number
  readonly operation: "PUT" | "DEL" | "PURGE"
  readonly value: string
  readonly created: number
}

const hex = (value: Uint8Array) => Buffer.from(value).toString("hex")

/** `@nats-io/kv` reports an expired value as purged. */
const operations = { delete: "DEL", purge: "PURGE", expire: "PURGE", reset: "PURGE" } as const

export const toldByUs = (event: KVStore.KVHistoryEvent): Told => {
  assert.isTrue(event._tag !== "Undecodable")
  return event._tag === "Put"
    ? {
      key: event.entry.key,
      revision: event.entry.revision,
      operation: "PUT",
      value: hex(event.entry.value),
      created: event.entry.created.epochMilliseconds
    }
    : {
      key: event.key,
      revision: event.revision,
      operation: event._tag === "Removed" ? operations[event.reason] : "PUT",
      value: "",
      created: event._tag === "Removed" ? event.created.epochMilliseconds : 0
    }
}

/**
 * When the server stored a message. `@nats-io/kv` reads the nanoseconds of a delivered message as a number, so that its
 * time is a millisecond late if fewer than 128 ns are left of it. The reply subject of the message has all digits.
 */
const createdOf = (entry: KvEntry): number => {
  const message: unknown = Reflect.get(entry, "sm")
  const reply: unknown = typeof message === "object" && message !== null ? Reflect.get(message, "reply") : undefined
  return typeof reply === "string" ? Number(reply.split(".").at(-2)!.slice(0, -6)) : entry.created.getTime()
}

const toldByThem = (entry: KvEntry): Told => ({
  key: entry.key,
  revision: entry.revision,
  operation: entry.operation,
  value: hex(entry.value),
  created: createdOf(entry)
})

/** An error of `@nats-io/kv`. */
export class TheirError extends Data.TaggedError("TheirError")<{ readonly cause: unknown }> {}

/** Calls `@nats-io/kv`. */
export const they = <A>(run: () => Promise<A>): Effect.Effect<A, TheirError> =>
  Effect.tryPromise({ try: async () => run(), catch: (cause) => new TheirError({ cause }) })

/** Opens a client of `@nats-io/kv` until the test ends. */
const theirClient = Effect.gen(function*() {
  const { url } = yield* NatsServer
  const connection = yield* Effect.acquireRelease(
    they(() => connect({ servers: url })),
    (connection) => Effect.promise(() => connection.close())
  )
  return new Kvm(connection)
})

export const openTheirs = (bucket: string, options: Partial<KvOptions> = { allow_direct: true }) =>
  Effect.flatMap(theirClient, (kvm) => they(() => kvm.open(bucket, options)))

export const createTheirs = (bucket: string, options: Partial<KvOptions> = {}) =>
  Effect.flatMap(theirClient, (kvm) => they(() => kvm.create(bucket, options)))

/** Starts a watch of `@nats-io/kv` and returns the growing list of its events. */
export const watchTheirs = Effect.fnUntraced(function*(kv: KV, options: KvWatchOptions = {}) {
  const events: Array<Told> = []
  const watch = yield* Effect.acquireRelease(
    they(() => kv.watch(options)),
    (watch) => Effect.sync(() => watch.stop())
  )
  yield* Effect.forkScoped(Effect.promise(async () => {
    for await (const entry of watch) events.push(toldByThem(entry))
  }))
  return events
})

const collected = <A>(iterator: () => Promise<AsyncIterable<A>>) =>
  they(async () => {
    const all: Array<A> = []
    for await (const one of await iterator()) all.push(one)
    return all
  })

/** The keys that `@nats-io/kv` lists, sorted and without the duplicates that it can list during writes. */
export const theirKeys = (kv: KV) => Effect.map(collected(() => kv.keys()), (keys) => [...new Set(keys)].toSorted())

/** The last message and the history of a key, oldest first, as `@nats-io/kv` reads them. */
export const theirView = Effect.fnUntraced(function*(kv: KV, key: string) {
  const last = yield* they(() => kv.get(key))
  const history = yield* collected(() => kv.history({ key }))
  return { last: last === null ? undefined : toldByThem(last), history: history.map(toldByThem) }
})

/** The same, as KVStore reads it. Asserts that `get` returns the newest message of the history if that is a value. */
export const ourView = Effect.fnUntraced(function*(store: Store, key: string) {
  const history = (yield* store.history(key)).map(toldByUs).toReversed()
  const last = history.at(-1)
  const entry = Option.map(yield* store.get(key), (entry) => toldByUs({ _tag: "Put", entry }))
  assert.deepStrictEqual(Option.getOrUndefined(entry), last?.operation === "PUT" ? last : undefined, key)
  return { last, history }
})

/** Asserts that both clients read the same state of each key, and list the same keys. */
export const agree = Effect.fnUntraced(function*(store: Store, kv: KV, keys: ReadonlyArray<string>) {
  for (const key of keys) {
    assert.deepStrictEqual(yield* ourView(store, key), yield* theirView(kv, key), key)
  }
  assert.deepStrictEqual((yield* store.keys()).toSorted(), yield* theirKeys(kv))
})
