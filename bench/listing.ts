/**
 * Measures how long it takes to read all entries of a bucket: by one listing, and by a list of keys and a read of each.
 */
import { jetstream } from "@nats-io/jetstream"
import { type KV, Kvm } from "@nats-io/kv"
import * as Effect from "effect/Effect"
import type * as KVStore from "../src/KVStore.ts"
import { lines } from "../tools/natsServer/binaries.ts"
import { startNatsServer } from "../tools/natsServer/server.ts"
import { toTable } from "../tools/table.ts"
import { inTurn, millisOf, rounded } from "./support/measure.ts"
import { connection, openStore, value } from "./support/store.ts"

/** Numbers of entries and rounds. Times of larger buckets vary less, so they need fewer rounds. */
const sizes = [[10, 25], [100, 25], [1000, 15], [5000, 5], [20_000, 3]] as const

/** Sequential reads are not measured for larger buckets. */
const mostInSequence = 1000

/** Required speed of `entries` with 1,000 entries on 2.15, compared to `keys` and concurrent reads of `@nats-io/kv`. */
const timesAsFast = 5

const readAll = async (kv: KV, atOnce: boolean) => {
  const keys: Array<string> = []
  for await (const key of await kv.keys()) keys.push(key)
  if (atOnce) return (await Promise.all(keys.map((key) => kv.get(key)))).length
  let count = 0
  for (const key of keys) if (await kv.get(key) !== null) count++
  return count
}

/** Fails if not all entries were read. */
const complete = <E>(size: number, listing: Effect.Effect<number, E>) =>
  millisOf(Effect.map(listing, (count) => {
    if (count !== size) throw new Error(`only ${count} of ${size} entries were read`)
  }))

const contestants = (
  size: number,
  store: KVStore.KVStore["Service"],
  kv: KV
): Record<string, Effect.Effect<number, KVStore.KVStoreError>> => ({
  entries: complete(size, Effect.map(store.entries(), ({ length }) => length)),
  keysAndGets: complete(
    size,
    Effect.flatMap(store.keys(), Effect.forEach((key) => store.get(key), { concurrency: "unbounded" })).pipe(
      Effect.map(({ length }) => length)
    )
  ),
  theirKeysAndGets: complete(size, Effect.promise(() => readAll(kv, true))),
  ...(size > mostInSequence ? {} : {
    theirKeysAndGetsInSequence: complete(size, Effect.promise(() => readAll(kv, false)))
  })
})

export const listing = Effect.gen(function*() {
  const results = yield* Effect.forEach(lines, (line) =>
    Effect.gen(function*() {
      const { url, version } = yield* startNatsServer({ line })
      const other = yield* connection(url)
      const js = jetstream(other)
      return yield* Effect.forEach(sizes, ([size, rounds]) =>
        Effect.gen(function*() {
          const bucket = `size-${size}`
          const store = yield* openStore(url, bucket)
          const keys = Array.from({ length: size }, (_, n) => `$KV.${bucket}.key.${n}`)
          yield* Effect.forEach(keys, (key) => Effect.promise(() => js.publish(key, value)), { concurrency: 256 })
          const kv = yield* Effect.promise(() => new Kvm(other).open(bucket))
          const millis = yield* inTurn(contestants(size, store, kv), rounds)
          return {
            line,
            server: version,
            entries: size,
            millis,
            timesAsFast: rounded(millis.theirKeysAndGets! / millis.entries!)
          }
        }))
    }).pipe(Effect.scoped))
  const rows = results.flat()
  const table = toTable([
    [
      "server",
      "entries",
      "entries() ms",
      "keys() + gets ms",
      "@nats-io/kv ms",
      "@nats-io/kv in sequence ms",
      "times as fast"
    ],
    ...rows.map(({ entries, millis, server, timesAsFast }) => [
      server,
      `${entries}`,
      `${millis.entries}`,
      `${millis.keysAndGets}`,
      `${millis.theirKeysAndGets}`,
      `${millis.theirKeysAndGetsInSequence ?? "-"}`,
      `${timesAsFast}`
    ])
  ])
  const problems = rows.filter((row) => row.line === "2.15" && row.entries === 1000 && row.timesAsFast < timesAsFast)
    .map((row) => `listing 1000 entries on 2.15 is ${row.timesAsFast} times as fast, expected at least ${timesAsFast}`)
  return { table, numbers: { listing: rows }, problems }
})
