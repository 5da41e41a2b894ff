/** Runs one watch under one fault, on a new server. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"

import { eventually } from "../eventually.ts"
import { startNatsServer } from "../natsServer/server.ts"
import type { Contender } from "./contenders.ts"
import * as raw from "./raw.ts"
import type { Scenario } from "./scenarios.ts"
import { type Acknowledged, firstEvent, judge, type Seen, type Verdict } from "./verdict.ts"

const until = eventually(false)

const lookEvery = Duration.millis(20)

/** Milliseconds to wait for the last events, even if `patience` has been used up. */
const shortestSettleTime = 1000

export interface Load {
  /** The number of keys that are written continuously. */
  readonly keys: number
  readonly perSecond: number
  /** How long to wait for events before the watch counts as stalled. */
  readonly patience: Duration.Duration
}

export const usualLoad: Load = { keys: 50, perSecond: 500, patience: Duration.seconds(15) }

/** Written once before the fault. Later events of these keys are only deletions and resets. */
export const quietKeys = Array.from({ length: 12 }, (_, n) => `quiet.${n}`)

/** Deleted during the fault; the second half without a delete marker, if the bucket has no consumer then. */
const doomedKeys = quietKeys.slice(0, 8)

/** The first write of a new connection after the fault goes to this key. */
const freshKey = "fresh"

export interface Report extends Verdict {
  readonly contender: string
  readonly version: string
  readonly scenario: string
  readonly seen: ReadonlyArray<Seen>
  /**
   * The number taken when the fault begins. No write has it: lower values were written before, and values above it are
   * not in the bucket that was lost.
   */
  readonly lastBefore: number
  /** Milliseconds from the start of the fault until a write of a new connection was acknowledged. */
  readonly outage: number | undefined
  /** The number of keys deleted without a delete marker while the bucket had no consumer. */
  readonly traceless: number
  /** The number of acknowledged writes. */
  readonly writes: number
  readonly unknown: number
  readonly perSecond: number
  /** Keys whose last acknowledged write is not on the server in the end. The watch is not responsible for these. */
  readonly lost: ReadonlyArray<string>
}

/** Keys whose last acknowledged write since `since` is newer than the revision on the server. */
const lostBy = (held: ReadonlyMap<string, number>, acknowledged: ReadonlyArray<Acknowledged>, since: number) => {
  const last = new Map<string, number>()
  for (const write of acknowledged) if (write.at >= since) last.set(write.key, write.revision)
  return [...last].filter(([key, revision]) => (held.get(key) ?? 0) < revision).map(([key]) => key)
}

/** Polls until the condition holds or `end` has passed. Missing events are then reported by the verdict. */
const waitUntil = Effect.fnUntraced(function*(end: number, condition: () => boolean) {
  const now = yield* raw.stopwatch
  yield* Effect.sync(() => condition() || now() > end).pipe(
    Effect.repeat({ until: (done) => done, schedule: Schedule.spaced(lookEvery) })
  )
})

export const run = Effect.fnUntraced(
  function*(contender: Contender, scenario: Scenario, load: Load) {
    const bucket = "faults"
    const hotKeys = Array.from({ length: load.keys }, (_, n) => `hot.${n}`)
    const server = yield* startNatsServer({ line: contender.line })
    const { url } = server
    const watch = yield* contender.open(url, bucket, scenario)
    const number = raw.makeNumbers()
    yield* raw.writeAll(url, bucket, quietKeys, number)
    const seen = yield* watch
    const writer = yield* raw.startWriter({ url, bucket, keys: hotKeys, perSecond: load.perSecond, number })
    // Write for 0.5 to 1 s: a random time, so that the fault occurs at any moment between heartbeats and pings.
    const warm = Math.floor(load.perSecond * (0.5 + 0.5 * (yield* Random.next)))
    yield* until(Effect.sync(() => seen.length), (count) => count >= warm)

    const before = seen.length
    const now = yield* raw.stopwatch
    const begun = now()
    const mend = yield* scenario.begin(server, bucket)
    const lastBefore = number()
    const afterwards = raw.freshly(
      url,
      bucket,
      freshKey,
      number,
      (connection) => scenario.anew === "no" ? raw.deleteKeys(connection, bucket, doomedKeys) : Effect.succeed(0)
    )
    const [fresh] = yield* Effect.all([Effect.timeoutOption(afterwards, load.patience), mend], {
      concurrency: "unbounded"
    })

    const written = Option.getOrUndefined(Option.map(fresh, ({ written }) => written))
    const anew = scenario.anew === "by others"
    const end = now() + Duration.toMillis(load.patience)
    yield* waitUntil(
      end,
      () => written === undefined || firstEvent({ seen, anew, fresh: written }, before) !== undefined
    )
    // Wait until the watch emits events at the usual rate again.
    const again = seen.length + load.perSecond / 2
    yield* waitUntil(end, () => written === undefined || seen.length >= again)
    yield* writer.stop
    const held = written === undefined
      ? new Map<string, number>()
      : yield* raw.held(url, bucket, [...hotKeys, ...quietKeys, freshKey])
    const verdict = () => judge({ seen, held, anew, fresh: written, acknowledged: writer.acknowledged })
    yield* waitUntil(Math.max(end, now() + shortestSettleTime), () => {
      const { missed, notRemoved } = verdict()
      return missed.length === 0 && notRemoved.length === 0
    })

    const report: Report = {
      ...verdict(),
      contender: contender.name,
      version: server.version,
      scenario: scenario.title,
      seen,
      lastBefore,
      outage: written === undefined ? undefined : written.at - begun,
      traceless: Option.match(fresh, { onNone: () => 0, onSome: ({ result }) => result }),
      writes: writer.acknowledged.length,
      unknown: writer.unknown(),
      perSecond: writer.perSecond(),
      lost: lostBy(held, writer.acknowledged, scenario.anew === "no" ? 0 : written?.at ?? 0)
    }
    return report
  },
  Effect.scoped
)
