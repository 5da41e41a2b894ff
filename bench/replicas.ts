/**
 * Counts outdated reads of own writes after a bucket has got replicas while a store is open, and refused listings in a
 * cluster with a server of an older line.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as KVStore from "../src/KVStore.ts"
import * as NatsKVStore from "../src/NatsKVStore.ts"
import { lines } from "../tools/natsServer/binaries.ts"
import { openOnCluster } from "../tools/natsServer/cluster.ts"
import { toTable } from "../tools/table.ts"
import { bytes } from "../tools/values.ts"

const reads = 1500

const listings = 300

/** The time in which new replicas have received the stream and elected a leader. */
const settled = "15 seconds"

type Store = KVStore.KVStore["Service"]

/** Writes a value and reads it, and counts the reads of an older value. Writes may fail while replicas are added. */
const outdated = Effect.fnUntraced(function*(store: Store, options?: KVStore.ReadOptions) {
  let count = 0
  for (let n = 0; n < reads; n++) {
    const revision = yield* Effect.retry(store.put("own", bytes(`${n}`)), { times: 20 })
    const found = yield* store.get("own", options)
    if (Option.isNone(found) || found.value.revision < revision) count++
  }
  return count
})

const grown = (line: (typeof lines)[number]) =>
  Effect.scoped(Effect.gen(function*() {
    const { client } = yield* openOnCluster([line, line, line])
    const options = { bucket: "grown", timeout: "500 millis" } as const
    return yield* Effect.provideContext(
      Effect.gen(function*() {
        const store = yield* NatsKVStore.make(options)
        yield* store.put("own", bytes("first"))
        yield* NatsKVStore.make({ ...options, timeout: "10 seconds", replicas: 3, onMismatch: "update" })
        // A write without an answer, as during the election of a leader, would make `get` ask the leader.
        yield* Effect.sleep(settled)
        const fromLeader = yield* outdated(store, { fromLeader: true })
        const within = yield* outdated(store)
        yield* store.status
        return { servers: `3 x ${line}`, fromLeader, withinTheMinute: within, afterInfo: yield* outdated(store) }
      }),
      client
    )
  }))

const refused = Effect.scoped(Effect.gen(function*() {
  const { store } = yield* openOnCluster(["2.15", "2.15", "2.10"])
  const keys = Array.from({ length: 50 }, (_, n) => `k${n}`)
  yield* Effect.forEach(keys, (key) => store.put(key, bytes(key)))
  const listing = Effect.all([store.entries(), store.keys(), Effect.map(store.getMany(keys), (found) => [...found])])
  const outcomes = yield* Effect.forEach(Array.from({ length: listings }), () => Effect.exit(listing))
  return outcomes.filter((exit) => exit._tag === "Failure" || exit.value.some(({ length }) => length !== keys.length))
    .length
}))

export const replicas = Effect.gen(function*() {
  const rows = yield* Effect.forEach(lines, grown)
  const refusedListings = yield* refused
  const table = toTable([
    ["servers", "reads", "outdated fromLeader", "outdated before STREAM.INFO", "outdated after it"],
    ...rows.map((row) => [
      row.servers,
      ...[reads, row.fromLeader, row.withinTheMinute, row.afterInfo].map(String)
    ])
  ])
  const problems = [
    ...rows.filter(({ afterInfo, fromLeader }) => afterInfo + fromLeader > 0).map(({ servers }) =>
      `reads of own writes were outdated on ${servers}`
    ),
    ...refusedListings === 0 ? [] : [`${refusedListings} of ${listings} listings failed in a cluster of two lines`]
  ]
  return { table, numbers: { replicas: rows, listingsOfTwoLines: { listings, refused: refusedListings } }, problems }
})
