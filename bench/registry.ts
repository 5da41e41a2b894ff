/**
 * Measures what a registry costs: the time until a view is ready and the processor time of an observer, each beside a raw
 * consumer of the same records; the memory of a view and of registrations; and `list` without and with a view.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { startNatsServer } from "../tools/natsServer/server.ts"
import type { RegistryNumbers } from "../tools/registryResults.ts"
import { toTable } from "../tools/table.ts"
import { forked, resultOf } from "./support/forked.ts"
import { inTurn, rounded } from "./support/measure.ts"
import { fill } from "./support/registryRecords.ts"
import { connection, openStore } from "./support/store.ts"

// -----------------------------------------------------------------------------
// bounds
// -----------------------------------------------------------------------------

/** The longest time until a view is ready, compared to a raw consumer that has read the same records. */
const mostSnapshotTimes = 5

/** The most processor time of an observer, compared to a raw consumer that counts the messages. */
const mostProcessorTimes = 1.5

/** The most bytes for each instance of a view. */
const mostPerInstance = 1500

/** The most bytes for each registration. */
const mostPerRegistration = 10_000

// -----------------------------------------------------------------------------
// the processes
// -----------------------------------------------------------------------------

/** The work of one process of `support/registryCosts.ts`. */
export interface CostTask {
  readonly url: string
  readonly what: "snapshots" | "viewHeap" | "registrationHeap" | "lists"
  /** The buckets and their numbers of instances, the largest one last. */
  readonly buckets: ReadonlyArray<{ readonly bucket: string; readonly instances: number }>
  readonly rounds: number
}

/** The work of one process of `support/registryObserver.ts`. */
export interface ObserverTask {
  readonly url: string
  readonly bucket: string
  readonly instances: number
  readonly by: "view" | "raw"
  readonly warmUpMillis: number
  readonly measuredMillis: number
}

/** The work of one process of `support/registryHeartbeats.ts`. */
export interface HeartbeatsTask {
  readonly url: string
  readonly bucket: string
  readonly instances: number
  /** Heartbeats of all instances together. */
  readonly perSecond: number
}

const scripts = {
  costs: new URL("support/registryCosts.ts", import.meta.url),
  heartbeats: new URL("support/registryHeartbeats.ts", import.meta.url),
  observer: new URL("support/registryObserver.ts", import.meta.url)
}

const large = { bucket: "fleet-10000", instances: 10_000 }
const sizes = [{ bucket: "fleet-1000", instances: 1000 }, large]

const heartbeatsPerSecond = 1000

/** Times of the measurement of an observer, in milliseconds. It takes some seconds until its code is compiled. */
const observerTimes = { warmUpMillis: 10_000, measuredMillis: 8000 }

const observerRounds = 3

const snapshotRounds = 9

const listRounds = 25

const numberFrom = Schema.decodeUnknownEffect(Schema.Finite)

// -----------------------------------------------------------------------------
// the measurements
// -----------------------------------------------------------------------------

/** Processor milliseconds per second of an observer, by a view and raw, in turn. */
const observing = Effect.fnUntraced(function*(url: string) {
  const { bucket, instances } = large
  const heartbeats: HeartbeatsTask = { url, bucket, instances, perSecond: heartbeatsPerSecond }
  yield* forked(scripts.heartbeats, heartbeats)
  const by = (by: ObserverTask["by"]) => {
    const task: ObserverTask = { url, bucket, instances, by, ...observerTimes }
    return Effect.flatMap(resultOf(scripts.observer, task), numberFrom)
  }
  const { raw, view } = yield* inTurn({ view: by("view"), raw: by("raw") }, observerRounds)
  return { view, raw, times: rounded(view / raw) }
}, Effect.scoped)

const costs = (url: string, what: CostTask["what"], rounds: number) => {
  const task: CostTask = { url, what, buckets: sizes, rounds }
  return resultOf(scripts.costs, task)
}

const Snapshots = Schema.Struct({ view: Schema.Finite, raw: Schema.Finite })
const Lists = Schema.Struct({ without: Schema.Finite, withView: Schema.Finite })

const measured = Effect.gen(function*() {
  const { url, version } = yield* startNatsServer({ line: "2.15" })
  const link = yield* connection(url)
  for (const { bucket, instances } of sizes) {
    yield* openStore(url, bucket)
    yield* fill(link, bucket, instances)
  }
  const snapshots = yield* Effect.flatMap(
    costs(url, "snapshots", snapshotRounds),
    Schema.decodeUnknownEffect(Snapshots)
  )
  const lists = yield* Effect.flatMap(costs(url, "lists", listRounds), Schema.decodeUnknownEffect(Lists))
  return {
    server: version,
    instances: large.instances,
    heartbeatsPerSecond,
    snapshot: { ...snapshots, times: rounded(snapshots.view / snapshots.raw) },
    bytesPerInstance: rounded(yield* Effect.flatMap(costs(url, "viewHeap", 1), numberFrom)),
    bytesPerRegistration: rounded(yield* Effect.flatMap(costs(url, "registrationHeap", 1), numberFrom)),
    lists,
    observer: yield* observing(url)
  }
}).pipe(Effect.scoped)

type Measured = Effect.Success<typeof measured>

const problemsOf = ({ bytesPerInstance, bytesPerRegistration, observer, snapshot }: Measured) => [
  ...snapshot.times > mostSnapshotTimes
    ? [`a view is ready after ${snapshot.times} times as long as a raw consumer, expected ${mostSnapshotTimes}`]
    : [],
  ...observer.times > mostProcessorTimes
    ? [`an observer uses ${observer.times} times the processor time of a raw consumer, expected ${mostProcessorTimes}`]
    : [],
  ...bytesPerInstance > mostPerInstance
    ? [`a view keeps ${bytesPerInstance} bytes for each instance, expected at most ${mostPerInstance}`]
    : [],
  ...bytesPerRegistration > mostPerRegistration
    ? [`a registration keeps ${bytesPerRegistration} bytes, expected at most ${mostPerRegistration}`]
    : []
]

const tableOf = ({ bytesPerInstance, bytesPerRegistration, lists, observer, snapshot }: Measured) =>
  toTable([
    ["measured", "this library", "beside it", "times"],
    [
      "ms until a view of 10,000 instances is ready, and raw",
      `${snapshot.view}`,
      `${snapshot.raw}`,
      `${snapshot.times}`
    ],
    [
      `ms of processor time per s with ${heartbeatsPerSecond} heartbeats/s, and raw`,
      `${observer.view}`,
      `${observer.raw}`,
      `${observer.times}`
    ],
    ["ms of list without a view, and with a view", `${lists.without}`, `${lists.withView}`, ""],
    ["bytes for each instance of a view", `${bytesPerInstance}`, "", ""],
    ["bytes for each registration", `${bytesPerRegistration}`, "", ""]
  ])

export const registry = Effect.map(measured, (registry) => {
  const numbers: Pick<RegistryNumbers, "registry"> = { registry }
  return { table: tableOf(registry), numbers, problems: problemsOf(registry) }
})
