/** Watches whose reader is slow, over a server that the test controls. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import { type FakeConsumer, makeServer, pass, settle, startWatch } from "../../../support/fakeServer.ts"

/** Starts a watch whose reader stops after each event until the latch is open. */
const startStopped = Effect.gen(function*() {
  const server = yield* makeServer
  server.state.pending = 100
  const gate = Latch.makeUnsafe(false)
  const watch = yield* startWatch(server, "snapshot", gate.await)
  return { server, watch, gate, consumer: server.consumers[0]! }
})

/** The pulls that can receive messages: all but the signs of life. */
const pullsOf = (consumer: FakeConsumer) => consumer.pulls.filter(({ max_bytes }) => max_bytes > 1)

const touchesOf = (consumer: FakeConsumer) => consumer.pulls.filter(({ max_bytes }) => max_bytes === 1)

/** Ends each pull after one message, until the watch pulls no more. Returns the number of messages. */
const deliverAll = Effect.fnUntraced(function*(consumer: FakeConsumer, most: number) {
  let delivered = 0
  for (let ended = 0; pullsOf(consumer).length > ended && delivered < most;) {
    delivered++
    consumer.value(delivered, delivered, 100 - delivered)
    ended = pullsOf(consumer).length
    consumer.end(409)
    yield* settle
  }
  return delivered
})

const keysUpTo = (count: number) => Array.from({ length: count }, (_, index) => `k${index + 1}`)

describe("a watch with a slow reader", () => {
  it.effect("pulls no more than it may buffer, and continues when the reader does", () =>
    Effect.gen(function*() {
      const { consumer, gate, watch } = yield* startStopped
      const delivered = yield* deliverAll(consumer, 50)
      // One group is with the reader, four are buffered, and one waits for its place. This one and the last one are the
      // messages of two pulls.
      assert.deepStrictEqual([delivered, pullsOf(consumer).length], [7, 7])
      yield* gate.open
      yield* settle
      assert.deepStrictEqual(watch.words, keysUpTo(delivered))
      assert.isAbove(pullsOf(consumer).length, 7)
    }))

  it.effect("that waits for its reader keeps its consumer, and shows the server every 3 s that it is in use", () =>
    Effect.gen(function*() {
      const { consumer, gate, server, watch } = yield* startStopped
      const delivered = yield* deliverAll(consumer, 50)
      for (let touches = 0; touches < 6; touches++) {
        // The supervision looks every 1.2 s.
        yield* pass(3600)
        assert.strictEqual(touchesOf(consumer).length, touches + 1)
        consumer.end(409)
        yield* settle
      }
      assert.deepStrictEqual([server.consumers.length, server.state.doubts, watch.restarts], [1, 0, []])
      yield* gate.open
      yield* settle
      consumer.value(50, delivered + 1, 1)
      yield* settle
      assert.deepStrictEqual(watch.words, [...keysUpTo(delivered), "k50"])
    }))

  it.effect("gives its reader everything once, although its consumer is replaced in the meantime", () =>
    Effect.gen(function*() {
      const { consumer, gate, server, watch } = yield* startStopped
      // The last group has two messages.
      for (let n = 1; n <= 7; n++) {
        consumer.value(n, n, 100 - n)
        if (n !== 6) yield* settle
      }
      server.stream.lastRevision = 100
      server.tell({ _tag: "Connected" })
      yield* pass(100)
      assert.deepStrictEqual([server.consumers.length, watch.restarts], [2, ["link"]])
      server.consumers[1]!.value(1, 1, 9)
      server.consumers[1]!.value(8, 2, 2)
      yield* settle
      yield* gate.open
      yield* settle
      assert.deepStrictEqual(watch.words, keysUpTo(8))
      server.consumers[1]!.value(9, 3, 1)
      yield* settle
      assert.deepStrictEqual(watch.words, keysUpTo(9))
    }))
})
