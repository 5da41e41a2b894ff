/** When the store's time is asked for. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import * as timekeeper from "../../../../src/internal/nats/bucket/timekeeper.ts"
import type { StreamInfo } from "../../../../src/internal/nats/jetstream/api.ts"
import type { LinkEvent, NatsPort } from "../../../../src/internal/nats/port.ts"
import { type KVStoreReason, Unavailable } from "../../../../src/KVStoreError.ts"

/** A server whose clock is ahead of the host's, by as much as the test wants. */
const makeServer = () => {
  const links = new Set<(event: LinkEvent) => void>()
  const state = { ahead: 0, asked: 0, fails: false }
  const port: Pick<NatsPort, "onLink"> = {
    onLink: (listener) => {
      links.add(listener)
      return () => links.delete(listener)
    }
  }
  const info: Effect.Effect<StreamInfo, KVStoreReason> = Effect.gen(function*() {
    state.asked++
    if (state.fails) return yield* new Unavailable({ problem: "not connected" })
    const now = yield* Clock.currentTimeMillis
    const ts = new Date(now + state.ahead).toISOString()
    return { config: {}, created: ts, ts, messages: 0, bytes: 0, lastRevision: 0 }
  })
  const reconnect = Effect.andThen(
    Effect.sync(() => links.forEach((listener) => listener({ _tag: "Connected" }))),
    Effect.replicateEffect(Effect.yieldNow, 10, { discard: true })
  )
  return { links, state, port, info, reconnect }
}

describe("the store's time", () => {
  it.effect("is asked for at the start, once a minute, and as soon as the link is back", () =>
    Effect.gen(function*() {
      const { info, links, port, reconnect, state } = makeServer()
      yield* Effect.scoped(Effect.gen(function*() {
        yield* timekeeper.make(port, info)
        assert.strictEqual(state.asked, 3)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(state.asked, 3)
        yield* TestClock.adjust("1 seconds")
        assert.strictEqual(state.asked, 4)
        yield* reconnect
        assert.strictEqual(state.asked, 7)
        yield* TestClock.adjust("59 seconds")
        assert.strictEqual(state.asked, 7)
      }))
      assert.strictEqual(links.size, 0)
    }))

  it.effect("is asked for again, at the next look, where the host's clocks have come apart", () =>
    Effect.gen(function*() {
      const { info, port, state } = makeServer()
      const clock = yield* timekeeper.make(port, info)
      yield* TestClock.adjust("50 seconds")
      yield* TestClock.setTime(49_600)
      clock.currentTimeMillisUnsafe()
      yield* Effect.replicateEffect(Effect.yieldNow, 10, { discard: true })
      assert.strictEqual(state.asked, 3)
      yield* TestClock.setTime(30_000)
      clock.currentTimeMillisUnsafe()
      yield* Effect.replicateEffect(Effect.yieldNow, 10, { discard: true })
      assert.strictEqual(state.asked, 6)
      clock.currentTimeMillisUnsafe()
      yield* Effect.replicateEffect(Effect.yieldNow, 10, { discard: true })
      assert.strictEqual(state.asked, 6)
    }))

  it.effect("is asked for again within five seconds, also where nobody looks", () =>
    Effect.gen(function*() {
      const { info, port, state } = makeServer()
      yield* timekeeper.make(port, info)
      yield* TestClock.adjust("12 seconds")
      yield* TestClock.setTime(10_000)
      assert.strictEqual(state.asked, 3)
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(state.asked, 6)
    }))

  it.effect("is asked for now and then while it cannot be had, however often somebody looks", () =>
    Effect.gen(function*() {
      const { info, port, state } = makeServer()
      const clock = yield* timekeeper.make(port, info)
      yield* TestClock.adjust("50 seconds")
      yield* TestClock.setTime(30_000)
      state.fails = true
      const asked = state.asked
      for (let look = 0; look < 100; look++) {
        clock.currentTimeMillisUnsafe()
        yield* TestClock.adjust("100 millis")
      }
      assert.approximately(state.asked - asked, 3, 1)
    }))

  it.effect("is that of the server that the link came back to, and goes on through failures", () =>
    Effect.gen(function*() {
      const { info, port, reconnect, state } = makeServer()
      state.ahead = 5000
      const clock = yield* timekeeper.make(port, info)
      const ahead = Effect.map(Clock.currentTimeMillis, (now) => clock.currentTimeMillisUnsafe() - now)
      assert.strictEqual(yield* ahead, 5000)
      state.fails = true
      state.ahead = 9000
      yield* reconnect
      assert.strictEqual(yield* ahead, 5000)
      state.fails = false
      yield* reconnect
      assert.strictEqual(yield* ahead, 9000)
    }))
})
