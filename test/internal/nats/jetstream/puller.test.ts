/** The pulls of one consumer: their sizes, and how many are unread. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import type { PullSettings } from "../../../../src/internal/nats/jetstream/api.ts"
import { ApiAccess } from "../../../../src/internal/nats/jetstream/apiAccess.ts"
import { type NextPull, nextPull, Puller, type Shown } from "../../../../src/internal/nats/jetstream/puller.ts"
import { type Grant, PullWindow } from "../../../../src/internal/nats/jetstream/pullWindow.ts"
import { grow } from "../../../support/pullWindows.ts"

const kibibyte = 1024
const mebibyte = 1024 * kibibyte

const makePuller = Effect.fnUntraced(function*(pending = 1, shared?: PullWindow, largest?: number, isGrown = true) {
  const clock = yield* Clock.Clock
  const sent: Array<PullSettings & { readonly token: string }> = []
  const window = shared ?? new PullWindow(clock)
  if (isGrown && shared === undefined) grow(window)
  const puller = new Puller({
    what: "a watch",
    clock,
    window,
    access: new ApiAccess(),
    maxPayload: () => mebibyte,
    pending,
    meanSize: 0,
    largest,
    send: (settings, token) => sent.push({ ...settings, token })
  })
  puller.proceed()
  return { puller, sent, window, sizes: () => sent.map(({ max_bytes }) => max_bytes / kibibyte) }
})

describe("the next pull", () => {
  const shown: Shown = { end: undefined, wasLarge: false, bytes: 0, received: 0, largest: 0 }
  const take = (kind: "small" | "large", atLeast = 0, batch = 1000): NextPull => ({
    _tag: "Take",
    kind,
    batch,
    atLeast,
    isCertain: batch === 1
  })
  const whole = mebibyte + 16 * kibibyte
  const table: ReadonlyArray<readonly [when: string, shown: Shown, next: NextPull]> = [
    ["is small for the first messages", shown, take("small")],
    ["waits if nothing is left", { ...shown, end: "drained" }, { _tag: "Wait" }],
    [
      "is large if the last one was full, with room for a message as large as the largest before",
      { ...shown, end: "full", bytes: 100, received: 90, largest: 50 * kibibyte },
      take("large", 66 * kibibyte)
    ],
    [
      "is for one message of the limit of the server if the next one did not fit",
      { ...shown, end: "full", bytes: 100 },
      take("large", whole, 1)
    ],
    [
      "is for one message of any size if that did not suffice",
      { ...shown, end: "full", wasLarge: true, bytes: whole },
      take("large", 128 * mebibyte, 1)
    ],
    [
      "is large if the consumer has stopped at a removed message",
      { ...shown, end: "stopped", largest: 50 * kibibyte },
      take("large", 66 * kibibyte)
    ],
    [
      "has several messages again after that",
      { end: "full", wasLarge: true, bytes: 128 * mebibyte, received: 1, largest: 1 },
      take("large", 16 * kibibyte + 1)
    ]
  ]
  for (const [when, state, next] of table) {
    it(when, () => assert.deepStrictEqual(nextPull(state, mebibyte), next))
  }
})

describe("the pulls of a consumer", () => {
  it.effect("are one at a time: a small one, then large ones, then one that waits", () =>
    Effect.gen(function*() {
      const { puller, sent, sizes } = yield* makePuller()
      puller.proceed()
      assert.deepStrictEqual(sizes(), [64])
      puller.received(1000, 9999)
      puller.ended("full")
      puller.proceed()
      assert.deepStrictEqual([sizes(), puller.isUnderWay("1"), puller.isUnderWay("2")], [[64, 1024], false, true])
      puller.processed(1)
      puller.received(1000, 9999)
      puller.ended("full")
      assert.deepStrictEqual(sizes(), [64, 1024, 1024])
      puller.processed(1)
      puller.ended("drained")
      assert.deepStrictEqual(sizes(), [64, 1024, 1024, 256])
      assert.deepStrictEqual(sent.map(({ no_wait }) => no_wait), [true, true, true, undefined])
    }))

  it.effect("stop when the messages of two are unread, and continue when one was processed", () =>
    Effect.gen(function*() {
      const { puller, sent } = yield* makePuller()
      for (let n = 1; n <= 5; n++) {
        puller.received(1000, 9999)
        puller.ended("full")
      }
      assert.strictEqual(sent.length, 2)
      assert.isFalse(puller.isExpecting)
      puller.processed(1)
      assert.strictEqual(sent.length, 3)
    }))

  it.effect("have one message after a message that was larger than the pull, and then many again", () =>
    Effect.gen(function*() {
      const { puller, sent } = yield* makePuller()
      puller.ended("full")
      assert.deepStrictEqual(sent.map(({ batch, max_bytes }) => [batch, max_bytes / kibibyte]), [[64, 64], [1, 1040]])
      puller.processed(1)
      puller.received(1000, 9999)
      puller.ended("full")
      assert.deepStrictEqual(sent.slice(2).map(({ batch, max_bytes }) => [batch, max_bytes / kibibyte]), [[953, 1024]])
    }))

  it.effect("have as many messages as their bytes have room for, and end with the last one", () =>
    Effect.gen(function*() {
      const { puller, sent } = yield* makePuller(0)
      assert.strictEqual(sent[0]!.batch, 256)
      for (let n = 1; n < 256; n++) assert.isUndefined(puller.received(n, 9999))
      // The rest, of up to 2,000 bytes each, fits into half of a pull that waits.
      assert.strictEqual(puller.received(2000, 65), "drained")
      puller.ended("drained")
      assert.strictEqual(sent[1]!.batch, Math.floor(256 * kibibyte / 2200))
      puller.processed(1)
      for (let n = 1; n < sent[1]!.batch; n++) assert.isUndefined(puller.received(100, 9999))
      assert.strictEqual(puller.received(100, 2000), "full")
      puller.ended("drained")
      assert.strictEqual(sent[2]!.batch, 1024)
      puller.processed(1)
      // A pull that received nothing shows no size.
      puller.ended("drained")
      assert.strictEqual(sent[3]!.batch, 1024)
    }))

  it.effect("have room for the largest message of the pull before, also if the window is smaller", () =>
    Effect.gen(function*() {
      const { puller, sizes } = yield* makePuller(1, undefined, undefined, false)
      puller.received(220 * kibibyte, 9999)
      puller.received(10, 9999)
      puller.ended("full")
      assert.deepStrictEqual(sizes(), [64, 236])
    }))

  it.effect("that wait have a frequent heartbeat until the first messages are complete", () =>
    Effect.gen(function*() {
      const { puller, sent } = yield* makePuller(0)
      puller.complete()
      puller.ended("drained")
      assert.deepStrictEqual(sent.map(({ expires, idle_heartbeat }) => [expires, idle_heartbeat]), [
        [2_000_000_000, 200_000_000],
        [60_000_000_000, 1_000_000_000]
      ])
      for (const { expires, idle_heartbeat } of sent) assert.isAtLeast(expires!, 2 * idle_heartbeat!)
    }))

  it.effect("are followed by a sign of life if none was sent for long", () =>
    Effect.gen(function*() {
      const { puller, sent } = yield* makePuller(0)
      puller.touchAfter(3000)
      yield* TestClock.adjust("3 seconds")
      puller.touchAfter(3000)
      puller.touchAfter(3000)
      assert.deepStrictEqual(sent.slice(1), [{ batch: 1, max_bytes: 1, no_wait: true, token: "touch" }])
    }))

  it.effect("leave the window free when the consumer is closed, granted or not", () =>
    Effect.gen(function*() {
      const { puller, window } = yield* makePuller()
      const takeAll = () => {
        let granted = 0
        for (let n = 0; n < 40; n++) window.ask("small", { what: "", atLeast: 0, granted: () => granted++ })
        return granted
      }
      puller.close()
      puller.proceed()
      assert.strictEqual(takeAll(), 32)
    }))

  it.effect("into which every message must fit have few messages and no limit of bytes, until the first are complete", () =>
    Effect.gen(function*() {
      const { puller, sent } = yield* makePuller(1, undefined, mebibyte)
      const shown = () => {
        const { batch, max_bytes } = sent.at(-1)!
        assert.strictEqual(max_bytes, batch * 128 * mebibyte)
        return batch
      }
      const end = () => {
        puller.ended("full")
        puller.processed(1)
        return shown()
      }
      assert.strictEqual(shown(), 1)
      puller.received(1000, 9999)
      assert.strictEqual(end(), 8)
      puller.received(200_000, 9999)
      assert.strictEqual(end(), 5)
      puller.received(mebibyte, 9999)
      assert.strictEqual(end(), 1)
      for (let n = 0; n < 20; n++) puller.received(100, 9999)
      assert.isAbove(end(), 1)
      yield* TestClock.adjust("1 minute")
      puller.touchAfter(3000)
      assert.strictEqual(sent.filter(({ token }) => token === "touch").length, 0)
      const drain = () => {
        puller.ended("drained")
        puller.processed(1)
      }
      drain()
      assert.deepStrictEqual([sent.at(-1)!.no_wait, shown() > 0], [undefined, true])
      puller.complete()
      drain()
      assert.deepStrictEqual([sent.at(-1)!.batch, sent.at(-1)!.max_bytes], [1024, 256 * kibibyte])
    }))

  it.effect("for a message that is there wait for it: the server may count too few pending ones", () =>
    Effect.gen(function*() {
      const { puller, sent } = yield* makePuller()
      puller.ended("full")
      assert.deepInclude(sent[1]!, { batch: 1, expires: 2e8, idle_heartbeat: 1e8 })
      assert.isUndefined(sent[1]!.no_wait)
    }))

  it.effect("of a consumer that stops at removed messages wait, with a heartbeat that lets it continue", () =>
    Effect.gen(function*() {
      const { puller, sent, window } = yield* makePuller(9999, undefined, 64 * kibibyte)
      const continues = (heartbeat: number) => {
        const { expires, idle_heartbeat, no_wait } = sent.at(-1)!
        assert.deepStrictEqual([expires, idle_heartbeat, no_wait], [2e8, heartbeat, undefined])
      }
      const drain = () => {
        puller.ended("drained")
        puller.processed(1)
      }
      continues(1e6)
      puller.received(1000, 5000)
      drain()
      // It was not drained: it has stopped. Pulls that wait with nothing under way have fewer messages.
      continues(1e6)
      assert.strictEqual(sent.at(-1)!.batch, 128)
      puller.received(1000, 0)
      drain()
      for (const [consumers, heartbeat] of [[1, 1e6], [101, 11e6], [100_000, 200e6]] as const) {
        while (window.consumers < consumers) window.join()
        drain()
        const { expires, idle_heartbeat, no_wait } = sent.at(-1)!
        assert.deepStrictEqual([expires, idle_heartbeat, no_wait], [2e9, heartbeat, undefined])
      }
      puller.complete()
      drain()
      assert.deepStrictEqual([sent.at(-1)!.idle_heartbeat, puller.readsLast], [1e9, false])
    }))

  it.effect("of a bucket with large values have few messages from the first one on", () =>
    Effect.gen(function*() {
      const { clock, window } = { clock: yield* Clock.Clock, window: new PullWindow(yield* Clock.Clock) }
      for (const [meanSize, batch] of [[0, 8], [40_000, 1]] as const) {
        const sent: Array<number> = []
        const options = {
          what: "",
          clock,
          window,
          access: new ApiAccess(),
          maxPayload: () => mebibyte,
          pending: 9,
          meanSize,
          largest: 64 * kibibyte
        }
        new Puller({ ...options, send: (settings) => sent.push(settings.batch) }).proceed()
        assert.deepStrictEqual(sent, [batch])
      }
    }))

  /** A puller of a consumer in another account. */
  const makeForeign = Effect.fnUntraced(function*(access: ApiAccess) {
    const clock = yield* Clock.Clock
    const sent: Array<PullSettings> = []
    const puller = new Puller({
      what: "a watch",
      clock,
      window: new PullWindow(clock),
      access,
      maxPayload: () => mebibyte,
      pending: 5,
      meanSize: 100,
      largest: undefined,
      send: (settings) => sent.push(settings)
    })
    puller.proceed()
    return { puller, sent }
  })

  it.effect("are for one message each, without heartbeats, if only one answer to a request passes", () =>
    Effect.gen(function*() {
      const access = new ApiAccess({ apiPrefix: "fromA" })
      assert.isTrue(access.sawOne())
      const { puller, sent } = yield* makeForeign(access)
      puller.received(100, 4)
      puller.ended("full")
      puller.processed(1)
      puller.ended("drained")
      puller.processed(1)
      puller.complete()
      puller.ended("drained")
      const shown = sent.map(({ batch, expires, idle_heartbeat, no_wait }) => [batch, expires, idle_heartbeat, no_wait])
      const millis = 1_000_000
      assert.deepStrictEqual(shown, [
        [1, 200 * millis, undefined, undefined],
        [1, 200 * millis, undefined, undefined],
        [1, 200 * millis, undefined, undefined],
        [1, 1000 * millis, undefined, undefined]
      ])
    }))

  it.effect("show that several answers pass by the second answer to one pull", () =>
    Effect.gen(function*() {
      const access = new ApiAccess({ apiPrefix: "fromA" })
      const { puller } = yield* makeForeign(access)
      assert.isFalse(puller.isAnswered)
      puller.received(100, 4)
      assert.deepStrictEqual([puller.isAnswered, access.passesSeveral], [true, false])
      puller.answered()
      assert.isTrue(access.passesSeveral)
      assert.isFalse(access.sawOne())
      assert.isFalse(access.passesOne)
    }))

  it.effect("into which every message must fit have more messages if the largest message is small", () =>
    Effect.gen(function*() {
      for (const [largest, batches] of [[4 * kibibyte, [32, 512]], [64 * kibibyte, [8, 128]]] as const) {
        const { puller, sent } = yield* makePuller(9999, undefined, largest)
        puller.received(100, 9999)
        puller.ended("full")
        assert.deepStrictEqual(sent.map(({ batch }) => batch), [...batches])
      }
    }))

  it.effect("that wait for the window are withdrawn when the consumer is closed", () =>
    Effect.gen(function*() {
      const { puller, sent, window } = yield* makePuller()
      const grants: Array<Grant> = []
      for (let n = 0; n < 6; n++) window.ask("large", { what: "", atLeast: 0, granted: (grant) => grants.push(grant) })
      puller.received(1000, 9999)
      puller.ended("full")
      assert.strictEqual(sent.length, 1)
      puller.close()
      for (const grant of grants) grant.end()
      assert.strictEqual(sent.length, 1)
    }))

  it.effect("leave the window to other consumers, although their messages are unread", () =>
    Effect.gen(function*() {
      const window = new PullWindow(yield* Clock.Clock)
      for (let n = 1; n <= 50; n++) {
        const { puller, sent } = yield* makePuller(1, window)
        for (let pull = 1; pull <= 2; pull++) {
          assert.strictEqual(sent[pull - 1]?.token, String(pull), `pull ${pull} of consumer ${n}`)
          puller.received(sent[pull - 1]!.max_bytes, 9999)
          puller.ended("full")
        }
        assert.isFalse(puller.isExpecting)
      }
    }))
})
