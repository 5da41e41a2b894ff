/**
 * Keeps the store's time: sampled at the start, whenever the link is back, about
 * once a minute, and when the host's two clocks have come apart: a machine that
 * was suspended has a monotonic clock that missed the time meanwhile.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type * as Scope from "effect/Scope"
import { InvalidConfig, type KVStoreReason } from "../../../KVStoreError.ts"
import { forkReported } from "../../fibers.ts"
import { monotonicMillis, wholeMillis } from "../../time.ts"
import type { StreamInfo } from "../jetstream/api.ts"
import type { NatsPort } from "../port.ts"
import * as storeClock from "./storeClock.ts"

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
  let reading: storeClock.ClockReading | undefined
  let ahead = aheadOf(host)
  const sample = Effect.gen(function*() {
    const sent = monotonicMillis(host)
    const { ts } = yield* info
    const received = monotonicMillis(host)
    const serverTime = Date.parse(ts ?? "")
    if (Number.isNaN(serverTime)) {
      return yield* new InvalidConfig({ problem: "this server does not tell its time (2.10 and later do)" })
    }
    reading = storeClock.better(reading, { serverTime, sent, received })
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
  return storeClock.make(host, () => {
    if (isAskedFor()) isDue.openUnsafe()
    return reading!.offset
  })
})
