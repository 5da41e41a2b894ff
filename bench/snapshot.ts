/**
 * Measures the snapshot of a watch: its time compared to the watch of `@nats-io/kv`, how long it blocks the event loop,
 * and how much memory an open watch keeps for each key.
 */
import { jetstream } from "@nats-io/jetstream"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { startNatsServer } from "../tools/natsServer/server.ts"
import { toTable } from "../tools/table.ts"
import { resultOf } from "./support/forked.ts"
import { rounded } from "./support/measure.ts"
import { connection, openStore } from "./support/store.ts"

/** Numbers of entries and rounds. */
type Sizes = ReadonlyArray<readonly [entries: number, rounds: number]>

export const usualSizes: Sizes = [[10_000, 11], [100_000, 5]]

export const quickSizes: Sizes = [[10_000, 5]]

const keyLength = 40

const value = new Uint8Array(100).fill(118)

/** The longest time of a snapshot, compared to the watch of `@nats-io/kv`. */
const mostTimes = 1

/** The longest time for which a snapshot may block the event loop, in milliseconds. */
const mostBlocked = 50

/** The most bytes that a watch may keep for each key. */
const mostPerKey = 130

/** The work of one process of `support/snapshots.ts`. */
export interface Task {
  readonly url: string
  readonly bucket: string
  readonly entries: number
  readonly rounds: number
}

const OfWatch = Schema.Struct({
  /** Median of the rounds. */
  millis: Schema.Finite,
  /** The longest time for which the event loop was blocked in any round. */
  blockedMillis: Schema.Finite,
  /** The median of the longest times of the rounds: other load on the machine affects it less. */
  blockedMedian: Schema.Finite,
  heapPerKey: Schema.Finite,
  buffersPerKey: Schema.Finite
})

const Measured = Schema.Struct({ ours: OfWatch, theirs: OfWatch })

/** The result of one process. */
export type Measured = typeof Measured.Type

const runProcess = (task: Task) =>
  Effect.flatMap(resultOf(new URL("support/snapshots.ts", import.meta.url), task), Schema.decodeUnknownEffect(Measured))

const keyOf = (n: number) => `key.${n}.`.padEnd(keyLength, "x")

const fill = Effect.fnUntraced(function*(url: string, bucket: string, entries: number) {
  yield* openStore(url, bucket)
  const js = jetstream(yield* connection(url))
  yield* Effect.forEach(
    Array.from({ length: entries }).keys(),
    (n) => Effect.promise(() => js.publish(`$KV.${bucket}.${keyOf(n)}`, value)),
    { concurrency: 256, discard: true }
  )
}, Effect.scoped)

interface Row extends Measured {
  readonly server: string
  readonly entries: number
  readonly times: number
}

const problemsOf = ({ entries, ours, times }: Row) => {
  const perKey = ours.heapPerKey + ours.buffersPerKey
  const what = `a watch of ${entries} entries`
  return [
    ...times > mostTimes ? [`${what} took ${times} times as long as that of @nats-io/kv, expected ${mostTimes}`] : [],
    ...ours.blockedMillis > mostBlocked
      ? [`${what} blocked the event loop for ${ours.blockedMillis} ms, expected at most ${mostBlocked} ms`]
      : [],
    ...perKey > mostPerKey ? [`${what} keeps ${perKey} bytes for each key, expected at most ${mostPerKey}`] : []
  ]
}

const cells = (entries: number, watch: string, measured: typeof OfWatch.Type, times: number) => [
  `${entries}`,
  watch,
  ...[
    measured.millis,
    times,
    measured.blockedMillis,
    measured.blockedMedian,
    measured.heapPerKey,
    measured.buffersPerKey
  ].map(String)
]

export const snapshot = (sizes: Sizes) =>
  Effect.gen(function*() {
    const { url, version } = yield* startNatsServer({ line: "2.15" })
    const rows = yield* Effect.forEach(sizes, ([entries, rounds]) =>
      Effect.gen(function*() {
        const bucket = `size-${entries}`
        yield* fill(url, bucket, entries)
        const measured = yield* runProcess({ url, bucket, entries, rounds })
        const row: Row = {
          server: version,
          entries,
          ...measured,
          times: rounded(measured.ours.millis / measured.theirs.millis)
        }
        return row
      }))
    const table = toTable([
      [
        "entries",
        "watch",
        "ms until ready",
        "times",
        "blocked ms",
        "blocked ms, median",
        "heap bytes per key",
        "buffer bytes per key"
      ],
      ...rows.flatMap(({ entries, ours, theirs, times }) => [
        cells(entries, "this library", ours, times),
        cells(entries, "@nats-io/kv", theirs, 1)
      ])
    ])
    return { table, numbers: { snapshot: rows }, problems: rows.flatMap(problemsOf) }
  }).pipe(Effect.scoped)
