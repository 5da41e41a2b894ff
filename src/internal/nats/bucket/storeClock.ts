/**
 * The server's wall time, carried on by this host's monotonic clock: a step of
 * the host's own wall clock does not move it (docs/protocols/kv.md, K30). The
 * server is asked at the start, whenever the link is back, about once a minute,
 * and when the host's two clocks have come apart: a machine that was suspended
 * has a monotonic clock that missed that time (K31).
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

/** One question to the server, in milliseconds: its time, and our monotonic time before and after. */
interface Sample {
  readonly serverTime: number
  readonly sent: number
  readonly received: number
}

/** Add `offset` to the monotonic time to have the server's; off by at most `error`. */
export interface ClockReading {
  readonly offset: number
  readonly error: number
  readonly takenAt: number
}

/** How far two oscillators may run apart: 500 ppm is worse than any that keeps NTP. */
const driftPerMilli = 0.0005

/** The answer was stamped between sending and receiving: the middle is off by half the round trip at most. */
const toReading = (sample: Sample): ClockReading => ({
  offset: sample.serverTime - (sample.sent + sample.received) / 2,
  error: (sample.received - sample.sent) / 2,
  takenAt: sample.received
})

/** The better of what is known and a new sample; what is known gets worse with its age. */
export const better = (known: ClockReading | undefined, sample: Sample): ClockReading => {
  const reading = toReading(sample)
  if (known === undefined) return reading
  const aged = known.error + (reading.takenAt - known.takenAt) * driftPerMilli
  // Two that cannot both be right: the host slept, or the server's clock was set. The new one speaks of now.
  const contradicts = Math.abs(reading.offset - known.offset) > aged + reading.error
  return contradicts || reading.error <= aged ? reading : known
}

/** A Clock that reads the server's time; it waits as the host's own does. */
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

/** A sample's error is half a round trip at most; the best of a few is a good one. Of time that is known one will do. */
const samplesAtOnce = 3

/** Long enough to cost nothing, short enough that two oscillators stay within milliseconds. */
const sampleEvery = Duration.minutes(1)

/** A look at the host's own clocks costs nothing. */
const lookEvery = Duration.seconds(5)

/** The wall clock is set by less than this in a host that keeps NTP, and only now and then. */
const longestStep = 500

/** How far the wall clock is ahead of the monotonic one. */
const aheadOf = (host: Clock.Clock): number => host.currentTimeMillisUnsafe() - monotonicMillis(host)

export const make = Effect.fnUntraced(function*(
  port: Pick<NatsPort, "onLink">,
  info: Effect.Effect<StreamInfo, KVStoreReason>
): Effect.fn.Return<Clock.Clock, KVStoreReason, Scope.Scope> {
  const host = yield* Clock.Clock
  let reading: ClockReading | undefined
  let ahead = aheadOf(host)
  const sample = Effect.gen(function*() {
    const sent = monotonicMillis(host)
    const { ts } = yield* info
    const received = monotonicMillis(host)
    const serverTime = Date.parse(ts ?? "")
    if (Number.isNaN(serverTime)) {
      return yield* new InvalidConfig({ problem: "this server does not tell its time (2.10 and later do)" })
    }
    reading = better(reading, { serverTime, sent, received })
  })
  const samples = (times: number) =>
    Effect.suspend(() => {
      const before = aheadOf(host)
      return Effect.map(Effect.repeat(sample, { times: times - 1 }), () => {
        ahead = before
      })
    })

  const hasComeApart = () => Math.abs(aheadOf(host) - ahead) > longestStep
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
  /** Until the time is to be asked for again without a cause; a question that failed is repeated soon. */
  const whileKnown = Effect.gen(function*() {
    const until = monotonicMillis(host) + Duration.toMillis(hasFailed ? lookEvery : sampleEvery)
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
  }).pipe(Effect.catch((reason) => Effect.logDebug("the store's time was not read", reason.message)))
  yield* forkReported("the store's time", Effect.forever(again))
  return clockOf(host, () => {
    if (isAskedFor()) isDue.openUnsafe()
    return reading!.offset
  })
})
