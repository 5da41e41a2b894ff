/**
 * Finds keys that were removed without a message: after a gap, on another stream, and
 * while the watch is connected (docs/protocols/kv.md, K17, K23, K24). The consumer
 * delivers a message for every other removal.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { KVStoreReason } from "../../../KVStoreError.ts"
import type { Filters } from "../../filters.ts"
import type { BackendEvent, SilentRemoval } from "../../kv/backend.ts"
import { monotonicMillis } from "../../time.ts"
import type { JetStream, StreamInfo } from "../jetstream/api.ts"
import type { PortFailure } from "../port.ts"
import type { Gone } from "./givenSubjects.ts"
import { namesOf } from "./names.ts"
import { isSame } from "./seen.ts"
import type { WatchProgress } from "./watchState.ts"

/** A connected watch looks for removed keys after a random time between these, in milliseconds. */
const soonestSearch = 40_000
const latestSearch = 50_000

/** A search that the stream's leader has not answered is repeated after this time, in milliseconds. */
const repeatAfter = 5000

/** When a connected watch searches. */
class NextSearch {
  private readonly clock: Clock.Clock
  private readonly random: Random.Random
  private due = 0

  constructor(clock: Clock.Clock, random: Random.Random) {
    this.clock = clock
    this.random = random
    this.afterPause()
  }

  get isDue(): boolean {
    return monotonicMillis(this.clock) >= this.due
  }

  after(millis: number): void {
    this.due = monotonicMillis(this.clock) + millis
  }

  afterPause(): void {
    this.after(soonestSearch + this.random.nextDoubleUnsafe() * (latestSearch - soonestSearch))
  }
}

/** Up to this number of keys that seem to be removed, each is read; above it, the names are requested again. */
const mostReads = 100

/** Concurrent reads of keys that seem to be removed. */
const readsAtOnce = 16

interface RemovalOptions {
  readonly js: JetStream
  readonly stream: string
  readonly prefix: string
  readonly filters: Filters
  /** The timeout of one request, in milliseconds. */
  readonly timeout: number
  readonly read: <A>(request: Effect.Effect<A, PortFailure>) => Effect.Effect<A, KVStoreReason>
  /** The reason to report for keys that were removed without a message. */
  readonly silentRemoval: () => SilentRemoval
  /** Takes an event for the reader. */
  readonly give: (event: BackendEvent) => void
}

export interface Removals {
  /** Reports removed keys of the former stream. Runs before the first message of the new stream. */
  readonly ofFormer: (info: StreamInfo) => Effect.Effect<void, KVStoreReason>
  /** Reports all removed keys if a comparison is owed. Runs when the consumer has nothing left. */
  readonly ofAll: (info: StreamInfo) => Effect.Effect<void, KVStoreReason>
  /** Whether a connected watch has to look for removed keys now. */
  readonly isDue: () => boolean
  /** The information of the stream, which a search needs, cannot be had now: the search is due some seconds later. */
  readonly postpone: () => void
  /** Looks for removed keys, unless the stream has not changed. `now` is its current information. */
  readonly search: (now: StreamInfo) => Effect.Effect<void, KVStoreReason>
}

export const make = Effect.fnUntraced(function*(
  options: RemovalOptions,
  progress: WatchProgress
): Effect.fn.Return<Removals> {
  const { filters, give, js, prefix, read, stream, timeout } = options
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const next = new NextSearch(clock, random)
  let searched: StreamInfo | undefined

  const names = Effect.map(
    namesOf(options, filters),
    ({ lastRevision, names }) => ({ lastRevision, present: new Set(names) })
  )

  const report = (gone: ReadonlyArray<Gone>, info: StreamInfo, reason: SilentRemoval | "reset") => {
    const created = Date.parse(info.ts ?? info.created)
    for (const { revision, subject } of gone) {
      give({ _tag: "Gone", key: subject.slice(prefix.length), revision, created, reason })
      progress.forget(subject)
    }
  }

  /** Pages of names can omit a key that was removed and written again between them, so the leader is asked. */
  const confirmed = (gone: ReadonlyArray<Gone>): Effect.Effect<ReadonlyArray<Gone>, KVStoreReason> =>
    gone.length > mostReads
      ? Effect.map(names, ({ present }) => gone.filter(({ subject }) => !present.has(subject)))
      : Effect.filter(
        gone,
        ({ subject }) =>
          Effect.map(read(js.lastMessage(stream, subject, "leader", timeout)), (last) => last === undefined),
        { concurrency: readsAtOnce }
      )

  const ofGiven = (present: ReadonlySet<string>, info: StreamInfo) =>
    Effect.map(confirmed(progress.givenNotIn(present)), (gone) => {
      report(gone, info, options.silentRemoval())
      progress.compared()
    })

  return {
    ofFormer: (info) => Effect.map(names, ({ present }) => report(progress.formerNotIn(present), info, "reset")),
    ofAll: (info) =>
      Effect.suspend(() =>
        progress.owesComparison
          ? Effect.flatMap(names, ({ present }) => {
            report(progress.formerNotIn(present), info, "reset")
            return ofGiven(present, info)
          })
          : Effect.void
      ),
    isDue: () => progress.isReady && progress.hasGiven && next.isDue,
    postpone: () => next.after(repeatAfter),
    search: (now) =>
      Effect.suspend(() => {
        next.afterPause()
        if (isSame(searched, now)) return Effect.void
        return Effect.flatMap(names, ({ lastRevision, present }) => {
          // An answer from before a message that the reader has would lack its key.
          if (lastRevision < progress.cursor) return Effect.void
          searched = now
          return ofGiven(present, now)
        })
      })
  }
})
