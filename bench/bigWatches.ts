/**
 * Measures what large snapshots cost everything else on the same connection: lost connections, failed writes, lost
 * leadership, and small watches that wait. The watches of `@nats-io/kv` are measured too.
 */
import { jetstream } from "@nats-io/jetstream"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { startNatsServer } from "../tools/natsServer/server.ts"
import { toTable } from "../tools/table.ts"
import { rounded } from "./support/measure.ts"
import { connection, openStore } from "./support/store.ts"
import { type Watch, type WatchClient, type WatchClientMaker, watchClients } from "./support/watchClients.ts"

// -----------------------------------------------------------------------------
// shapes
// -----------------------------------------------------------------------------

/** A number of watches, opened at once, that read a bucket of the given size. */
interface Shape {
  readonly title: string
  readonly watches: number
  readonly megabytes: number
  /**
   * How the watches are read: each by one fiber that drops the events; the same with a pause for each event; or
   * all by one fiber, in turn.
   */
  readonly reading: "each" | "slow" | "in turn"
}

const each = (watches: number, megabytes: number): Shape => ({
  title: `${watches.toLocaleString("en")} of ${megabytes} MB`,
  watches,
  megabytes,
  reading: "each"
})

/** Servers by their configuration, and the shapes that are measured on each. */
type Plan = ReadonlyArray<{ readonly server: string; readonly config: string; readonly shapes: ReadonlyArray<Shape> }>

/** The server disconnects a client when more than this amount of data waits to be sent. The default is 64 MB. */
const smallPending = { server: "max_pending 1 MB", config: "max_pending: 1MB" }

const byDefault = { server: "default", config: "" }

const usualPlan: Plan = [
  {
    ...byDefault,
    shapes: [
      each(1, 200),
      each(3, 200),
      each(5, 50),
      each(100, 5),
      each(1000, 0.2),
      { title: "1 of 200 MB, slow reader", watches: 1, megabytes: 200, reading: "slow" },
      { title: "2 of 50 MB, one reader in turn", watches: 2, megabytes: 50, reading: "in turn" }
    ]
  },
  { ...smallPending, shapes: [each(5, 50)] }
]

const quickPlan: Plan = [
  { ...byDefault, shapes: [each(3, 50), each(100, 0.2)] },
  { ...smallPending, shapes: [each(2, 20)] }
]

/** The size of one value: 16 values are one megabyte. */
const valueBytes = 62_500

const valuesPerMegabyte = 1_000_000 / valueBytes

/** The pause of a slow reader for each event. The timers of Node add about one millisecond. */
const slowPause = Duration.millis(2)

/** A small bucket, such as that of a registry: 50 values of 100 bytes. Its watch is opened behind the large ones. */
const small = { bucket: "small", values: 50, bytes: 100, after: Duration.millis(100) }

const putEvery = Duration.millis(100)

/**
 * The measurement continues after the watches are ready: a leader that could not renew notices its loss within the renew
 * deadline, 2 s.
 */
const afterwards = Duration.millis(2500)

/** The time limit for the last writes to succeed or fail, longer than any request may take. */
const lastPuts = Duration.seconds(10)

/** How long to wait until all watches are ready. */
const usualPatience = { "this library": Duration.seconds(60), "@nats-io/kv": Duration.seconds(15) }

const quickPatience = { "this library": Duration.seconds(8), "@nats-io/kv": Duration.seconds(3) }

// -----------------------------------------------------------------------------
// one run
// -----------------------------------------------------------------------------

/** Writes every `putEvery`, whether or not the earlier writes were answered. `end` waits for the last answers. */
const keepPutting = Effect.fnUntraced(function*(client: WatchClient) {
  const pending = new Set<Fiber.Fiber<unknown, unknown>>()
  const millis: Array<number> = []
  let total = 0
  const putOne = Effect.suspend(() => {
    const begun = performance.now()
    total++
    return client.put.pipe(
      Effect.andThen(Effect.sync(() => millis.push(performance.now() - begun))),
      Effect.exit
    )
  })
  const start = Effect.map(Effect.forkScoped(putOne), (fiber) => {
    pending.add(fiber)
    fiber.addObserver(() => pending.delete(fiber))
  })
  const writer = yield* Effect.forkScoped(Effect.repeat(start, Schedule.fixed(putEvery)))
  return {
    end: Effect.gen(function*() {
      yield* Fiber.interrupt(writer)
      yield* Effect.timeoutOption(Fiber.awaitAll([...pending]), lastPuts)
      const sorted = millis.toSorted((a, b) => a - b)
      return {
        puts: total,
        putsFailed: total - millis.length,
        putMillis: sorted.length === 0 ? null : rounded(sorted[Math.ceil(0.99 * sorted.length) - 1]!)
      }
    })
  }
})

/** Counts the watches that are ready. */
class Progress {
  /** Milliseconds until the snapshot of the last watch was complete; null before. */
  readyMillis: number | null = null
  ready = 0
  readonly failures: Array<string> = []
  /** Completed when every watch is ready or has failed. */
  readonly settled = Deferred.makeUnsafe<void>()
  private failed = 0
  private readonly begun = performance.now()
  private readonly watches: number

  constructor(watches: number) {
    this.watches = watches
  }

  becomeReady(): void {
    this.ready++
    if (this.ready === this.watches) this.readyMillis = Math.round(performance.now() - this.begun)
    this.settle()
  }

  /** Some watches have failed and will not be ready. */
  fail(error: unknown, watches: number): void {
    this.failed += watches
    this.failures.push(error instanceof Error ? error.message : String(error))
    this.settle()
  }

  private settle(): void {
    if (this.ready + this.failed >= this.watches) Deferred.doneUnsafe(this.settled, Exit.void)
  }
}

/** Reads the next events. Returns whether the snapshot is complete with them. */
const readNext = (watch: Watch, reading: Shape["reading"]) =>
  Effect.flatMap(
    watch,
    ({ count, ready }) =>
      reading === "slow" ? Effect.as(Effect.sleep(Duration.times(slowPause, count)), ready) : Effect.succeed(ready)
  )

type OpenWatch = Effect.Effect<Watch, unknown, Scope.Scope>

/** Opens a watch and reads it, also after its snapshot, until the scope closes. */
const readOne = (open: OpenWatch, reading: Shape["reading"], progress: Progress) =>
  open.pipe(
    Effect.flatMap((watch) =>
      Effect.forever(Effect.map(readNext(watch, reading), (ready) => ready && progress.becomeReady()))
    ),
    Effect.catch((error) => Effect.sync(() => progress.fail(error, 1)))
  )

/** Opens watches and reads them in turn until all snapshots are complete. */
const readInTurn = (open: OpenWatch, watches: number, progress: Progress) =>
  Effect.gen(function*() {
    let unready = yield* Effect.replicateEffect(open, watches)
    while (unready.length > 0) {
      const still: Array<Watch> = []
      for (const watch of unready) {
        if (yield* readNext(watch, "in turn")) progress.becomeReady()
        else still.push(watch)
      }
      unready = still
    }
  }).pipe(Effect.catch((error) => Effect.sync(() => progress.fail(error, watches - progress.ready))))

const bucketOf = ({ megabytes }: Shape) => `data-${megabytes}`.replace(".", "_")

interface Row {
  readonly server: string
  readonly shape: string
  readonly watch: WatchClientMaker["name"]
  readonly watches: number
  readonly ready: number
  readonly readyMillis: number | null
  readonly smallMillis: number | null
  readonly linksLost: number
  readonly puts: number
  readonly putsFailed: number
  readonly putMillis: number | null
  /** Null: the client has no elections. */
  readonly leadershipLost: number | null
  /** The first errors of the watches. */
  readonly failures: ReadonlyArray<string>
}

const runShape = Effect.fnUntraced(function*(
  maker: WatchClientMaker,
  url: string,
  server: string,
  shape: Shape,
  patience: Duration.Duration
) {
  const { reading, title, watches } = shape
  const client = yield* maker.connect(url)
  yield* client.put
  const openLarge = yield* client.bucket(bucketOf(shape))
  const openSmall = yield* client.bucket(small.bucket)
  const putting = yield* keepPutting(client)
  const large = new Progress(watches)
  const readers = reading === "in turn"
    ? [readInTurn(openLarge, watches, large)]
    : Array.from({ length: watches }, () => readOne(openLarge, reading, large))
  yield* Effect.forEach(readers, (reader) => Effect.forkScoped(reader), { discard: true })
  yield* Effect.sleep(small.after)
  const behind = new Progress(1)
  yield* Effect.forkScoped(readOne(openSmall, "each", behind))
  const settled = Effect.andThen(Deferred.await(large.settled), Deferred.await(behind.settled))
  yield* Effect.timeoutOption(settled, patience)
  const inTime = { ready: large.ready, readyMillis: large.readyMillis, smallMillis: behind.readyMillis }
  yield* Effect.sleep(afterwards)
  const counts = { linksLost: client.linksLost(), leadershipLost: client.leadershipLost() ?? null }
  const row: Row = {
    server,
    shape: title,
    watch: maker.name,
    watches,
    ...inTime,
    ...counts,
    ...(yield* putting.end),
    failures: [...new Set([...large.failures, ...behind.failures])].slice(0, 3)
  }
  return row
}, Effect.scoped)

// -----------------------------------------------------------------------------
// all runs
// -----------------------------------------------------------------------------

const fill = Effect.fnUntraced(function*(url: string, bucket: string, values: number, bytes: number) {
  yield* openStore(url, bucket)
  const js = jetstream(yield* connection(url))
  const value = new Uint8Array(bytes).fill(118)
  yield* Effect.forEach(
    Array.from({ length: values }).keys(),
    (n) => Effect.promise(() => js.publish(`$KV.${bucket}.key.${n}`, value)),
    { concurrency: 16, discard: true }
  )
}, Effect.scoped)

const problemsOf = (row: Row) => {
  if (row.watch !== "this library") return []
  const what = `${row.shape}, server ${row.server}`
  return [
    ...row.readyMillis === null ? [`${what}: ${row.ready} of ${row.watches} watches were ready in time`] : [],
    ...row.smallMillis === null ? [`${what}: the small watch was not ready in time`] : [],
    ...row.linksLost > 0 ? [`${what}: the connection was lost ${row.linksLost} times`] : [],
    ...row.putsFailed > 0 ? [`${what}: ${row.putsFailed} of ${row.puts} writes failed`] : [],
    ...row.leadershipLost !== 0 ? [`${what}: leadership was lost ${row.leadershipLost} times`] : [],
    ...row.failures.map((failure) => `${what}: ${failure}`)
  ]
}

const millisCell = (millis: number | null) => millis === null ? "never" : `${millis} ms`

const tableOf = (rows: ReadonlyArray<Row>) =>
  toTable([
    [
      "server",
      "watches",
      "of",
      "ready",
      "all ready",
      "small ready",
      "links lost",
      "puts failed",
      "puts",
      "put p99",
      "leadership lost"
    ],
    ...rows.map((row) => [
      row.server,
      row.shape,
      row.watch,
      `${row.ready}`,
      millisCell(row.readyMillis),
      millisCell(row.smallMillis),
      `${row.linksLost}`,
      `${row.putsFailed}`,
      `${row.puts}`,
      millisCell(row.putMillis),
      `${row.leadershipLost ?? "-"}`
    ])
  ])

export interface BigWatchesOptions {
  readonly quick: boolean
  /** How long to wait until all watches of this library are ready. */
  readonly patience?: Duration.Duration | undefined
  /** Measures only the runs whose server, shape and client, separated by commas, contain this text. */
  readonly only: string
}

export const bigWatches = ({ only, patience, quick }: BigWatchesOptions) =>
  Effect.gen(function*() {
    const limits = quick ? quickPatience : usualPatience
    const limitOf = ({ name }: WatchClientMaker) =>
      name === "this library" && patience !== undefined ? patience : limits[name]
    const results = yield* Effect.forEach(quick ? quickPlan : usualPlan, ({ config, server, shapes }) =>
      Effect.gen(function*() {
        const runs = shapes.flatMap((shape) =>
          watchClients.map((maker) => ({ maker, shape }))
        ).filter((run) => `${server}, ${run.shape.title}, ${run.maker.name}`.includes(only))
        if (runs.length === 0) {
          return []
        }
        const { url } = yield* startNatsServer({ line: "2.15", config })
        yield* fill(url, small.bucket, small.values, small.bytes)
        for (const [bucket, shape] of new Map(runs.map(({ shape }) => [bucketOf(shape), shape]))) {
          yield* fill(url, bucket, Math.ceil(shape.megabytes * valuesPerMegabyte), valueBytes)
        }
        return yield* Effect.forEach(
          runs,
          ({ maker, shape }) =>
            runShape(maker, url, server, shape, limitOf(maker))
        )
      }).pipe(Effect.scoped))
    const rows = results.flat()
    return { table: tableOf(rows), numbers: { bigWatches: rows }, problems: rows.flatMap(problemsOf) }
  })
