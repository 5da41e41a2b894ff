/**
 * The server's time, extrapolated with this host's monotonic clock, so that a step
 * of the host's wall clock does not change it (docs/protocols/kv.md, K30). The
 * server is asked for its time at the start, after each reconnect, once a minute,
 * and when the host's wall and monotonic clocks have diverged: the monotonic clock
 * of a suspended machine misses the time of the suspension (K31).
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import { InvalidConfig, type KVStoreReason } from "../../../KVStoreError.ts"
import { forkReported } from "../../fibers.ts"
import { monotonicMillis, nanosPerMilli, wholeMillis } from "../../time.ts"
import type { StreamInfo } from "../jetstream/api.ts"
import type { NatsPort } from "../port.ts"

// -----------------------------------------------------------------------------
// readings
// -----------------------------------------------------------------------------

/** One reading of the server's time, with the host's monotonic time before and after it. Milliseconds. */
interface Sample {
  readonly serverTime: number
  readonly sent: number
  readonly received: number
}

/** The server's time is the monotonic time plus `offset`, with an error of at most `error`. Milliseconds. */
export interface ClockReading {
  readonly offset: number
  readonly error: number
  readonly takenAt: number
}

/** The assumed drift between two hosts: 500 ppm. Clocks that are kept by NTP drift less. */
const driftPerMilli = 0.0005

/** The server's time was read between `sent` and `received`, so the middle is off by at most half of the round trip. */
const toReading = (sample: Sample): ClockReading => ({
  offset: sample.serverTime - (sample.sent + sample.received) / 2,
  error: (sample.received - sample.sent) / 2,
  takenAt: sample.received
})

/** Returns the known reading or the new sample, whichever has the smaller error. A reading's error grows with age. */
export const better = (known: ClockReading | undefined, sample: Sample): ClockReading => {
  const reading = toReading(sample)
  if (known === undefined) return reading
  const aged = known.error + (reading.takenAt - known.takenAt) * driftPerMilli
  // If the intervals do not overlap, the host was suspended or the server's clock was set: the new sample counts.
  const contradicts = Math.abs(reading.offset - known.offset) > aged + reading.error
  return contradicts || reading.error <= aged ? reading : known
}

/** A Clock that returns the server's time. It sleeps by the host's clock. */
export const clockOf = (host: Clock.Clock, offset: () => number): Clock.Clock => {
  const millis = () => monotonicMillis(host) + offset()
  const nanos = () => BigInt(Math.round(millis() * nanosPerMilli))
  return {
    currentTimeMillisUnsafe: () => Math.floor(millis()),
    currentTimeMillis: Effect.sync(() => Math.floor(millis())),
    currentTimeNanosUnsafe: nanos,
    currentTimeNanos: Effect.sync(nanos),
    monotonicTimeNanosUnsafe: () => host.monotonicTimeNanosUnsafe(),
    monotonicTimeNanos: host.monotonicTimeNanos,
    sleep: (duration) => host.sleep(duration)
  }
}

// -----------------------------------------------------------------------------
// when the server is asked
// -----------------------------------------------------------------------------

/** Samples at the start, after a reconnect or after a divergence: the one with the shortest round trip counts. */
const samplesAtOnce = 3

/** In one minute two clocks drift apart by 30 ms at most (`driftPerMilli`). */
const sampleEvery = Duration.minutes(1)

/** How often the host's clocks are compared, and how soon a failed sample is retried. */
const lookEvery = Duration.seconds(5)

/** How soon a failed sample is retried if the clocks have diverged: the store's clock is wrong until then. */
const retryEvery = Duration.seconds(1)

/** Milliseconds of divergence, or of error, that trigger new samples. NTP rarely steps the wall clock by more than this. */
const longestStep = 500

/** How far the wall clock is ahead of the monotonic clock, in milliseconds. */
const aheadOf = (host: Clock.Clock): number => host.currentTimeMillisUnsafe() - monotonicMillis(host)

/** Takes samples of the server's time, and keeps the best reading. */
const makeSampler = (host: Clock.Clock, info: Effect.Effect<StreamInfo, KVStoreReason>) => {
  let reading: ClockReading | undefined
  let ahead = aheadOf(host)
  const sample = Effect.gen(function*() {
    const sent = monotonicMillis(host)
    const { ts } = yield* info
    const received = monotonicMillis(host)
    const serverTime = Date.parse(ts ?? "")
    if (Number.isNaN(serverTime)) {
      return yield* new InvalidConfig({ problem: "this server reports no time: use nats-server 2.10 or later" })
    }
    reading = better(reading, { serverTime, sent, received })
  })
  // Of a process that was paused during its last sample: the middle of the round trip says nothing.
  const isVague = () => reading!.error > longestStep
  const moreWhileVague = Effect.suspend(() =>
    isVague() ? Effect.repeat(sample, { while: isVague, times: samplesAtOnce - 1 }) : Effect.void
  )
  return {
    samples: (times: number) =>
      Effect.suspend(() => {
        const before = aheadOf(host)
        return Effect.map(Effect.andThen(Effect.repeat(sample, { times: times - 1 }), moreWhileVague), () => {
          ahead = before
        })
      }),
    /** Whether the host's clocks have diverged since the last samples. */
    hasComeApart: () => Math.abs(aheadOf(host) - ahead) > longestStep,
    /** After the first samples. */
    offset: () => reading!.offset
  }
}

export const make = Effect.fnUntraced(function*(
  port: Pick<NatsPort, "onLink">,
  info: Effect.Effect<StreamInfo, KVStoreReason>
): Effect.fn.Return<Clock.Clock, KVStoreReason, Scope.Scope> {
  const host = yield* Clock.Clock
  const { hasComeApart, offset, samples } = makeSampler(host, info)
  const isDue = Latch.makeUnsafe(false)
  yield* Effect.acquireRelease(
    Effect.sync(() =>
      port.onLink(({ _tag }) => {
        if (_tag === "Connected") isDue.openUnsafe()
      })
    ),
    (end) => Effect.sync(end)
  )
  yield* samples(samplesAtOnce)
  let hasFailed = false
  const isAskedFor = () => !hasFailed && hasComeApart()
  /** Sleeps until the next sample is due: after a minute, after a pause if one has failed, or earlier on a divergence. */
  const whileKnown = Effect.gen(function*() {
    const pause = !hasFailed ? sampleEvery : hasComeApart() ? retryEvery : lookEvery
    const until = monotonicMillis(host) + Duration.toMillis(pause)
    while (!isAskedFor()) {
      const left = until - monotonicMillis(host)
      if (left <= 0) return
      yield* Effect.sleep(wholeMillis(Math.min(left, Duration.toMillis(lookEvery))))
    }
  })
  const again = Effect.gen(function*() {
    yield* Effect.raceFirst(isDue.await, whileKnown)
    const isKnown = !isDue.isOpen() && !hasFailed && !hasComeApart()
    isDue.closeUnsafe()
    hasFailed = true
    yield* samples(isKnown ? 1 : samplesAtOnce)
    hasFailed = false
  }).pipe(Effect.catch((reason) => Effect.logDebug("reading the server's time failed:", reason.message)))
  yield* forkReported("KVStore", "the sampling of the server's time", Effect.forever(again))
  return clockOf(host, () => {
    if (isAskedFor()) isDue.openUnsafe()
    return offset()
  })
})
