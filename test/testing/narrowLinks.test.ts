/** Simulated links with a bandwidth, and the limit of the server for what waits to be sent. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as KVStore from "../../src/KVStore.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as Simulation from "../../src/testing/Simulation.ts"

type Store = KVStore.KVStore["Service"]

interface Given {
  readonly a: Simulation.SimulatedNode
  readonly store: Store
  readonly now: Effect.Effect<number>
  readonly facts: Effect.Effect<Simulation.Facts>
}

const large = 100_000

/** Runs a test on one machine. The bucket has the value `small`, and the values `1` to `3` of 100,000 bytes. */
const test = (
  title: string,
  body: (given: Given) => Effect.Effect<void, unknown>,
  options?: Simulation.RunOptions,
  faults: Readonly<Record<string, number>> = {}
) =>
  it.effect(title, () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const { facts, node, now } = yield* Simulation.Simulation
        const a = yield* node("a")
        yield* a.run(Effect.provide(
          Effect.gen(function*() {
            const store = yield* KVStore.KVStore
            yield* store.put("small", new Uint8Array(1))
            yield* Effect.forEach(["1", "2", "3"], (key) => store.put(key, new Uint8Array(large)))
            yield* body({ a, store, now, facts })
          }),
          a.layer
        ))
      })
      const run = yield* Simulation.run(program, options)
      for (const [fault, count] of Object.entries(faults)) assert.strictEqual(run.faults.get(fault) ?? 0, count, fault)
    }))

const noCut = { "cut as a slow consumer": 0, disconnected: 0 }

/** The simulated milliseconds until the values of the keys arrive, in the order in which they are requested. */
const arrivals = ({ now, store }: Given, keys: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const began = yield* now
    return yield* Effect.forEach(
      keys,
      (key) => Effect.flatMap(store.get(key), () => Effect.map(now, (time) => time - began)),
      { concurrency: "unbounded" }
    )
  })

describe("a link with a bandwidth", () => {
  test(
    "delivers a message after its bytes and those of the messages before it",
    (given) =>
      Effect.gen(function*() {
        yield* given.a.link({ bandwidth: 100_000 })
        // The server can handle the requests in another order.
        const [first, second, small] = yield* arrivals(given, ["1", "2", "small"])
        const last = Math.max(first!, second!)
        assert.closeTo(Math.min(first!, second!), 1000, 20)
        assert.closeTo(last, 2000, 20)
        assert.isAtMost(small!, last + 20)
        assert.isBelow((yield* arrivals(given, ["small"]))[0]!, 20)
      }),
    {},
    noCut
  )

  test(
    "does not delay requests, which arrive at the server at once",
    (given) =>
      Effect.gen(function*() {
        const { stored } = yield* given.facts
        yield* given.a.link({ bandwidth: 1000 })
        const began = yield* given.now
        yield* given.store.put("4", new Uint8Array(large))
        assert.isBelow((yield* given.now) - began, 300)
        assert.strictEqual((yield* given.facts).stored.length, stored.length + 1)
      }),
    {},
    noCut
  )

  test(
    "delivers what still waits as soon as the link has no bandwidth any more",
    (given) =>
      Effect.gen(function*() {
        yield* given.a.link({ bandwidth: 100_000 }, "500 millis")
        const times = yield* arrivals(given, ["1", "2", "3"])
        for (const time of times) assert.closeTo(time, 500, 20)
        assert.isBelow((yield* arrivals(given, ["small"]))[0]!, 20)
      }),
    {},
    noCut
  )

  test(
    "holds what still waits while the link is cut",
    (given) =>
      Effect.gen(function*() {
        yield* given.a.link({ bandwidth: 100_000 })
        const reading = yield* Effect.forkChild(arrivals(given, ["1", "2"]))
        yield* Effect.sleep("1500 millis")
        yield* given.a.cut("replies", "1 second")
        const times = (yield* Fiber.join(reading)).toSorted((a, b) => a - b)
        assert.closeTo(times[0]!, 1000, 20)
        // After the cut: up to 400 ms until it is sent again, and the whole message.
        assert.isAbove(times[1]!, 3400)
        assert.isBelow(times[1]!, 4000)
      }),
    {},
    noCut
  )
})

describe("the fault NarrowLink", () => {
  const fault: Faults.Fault = { _tag: "NarrowLink", at: 1500, node: "a", for: 500, bandwidth: 100_000 }

  it.effect("limits the bandwidth of a machine for its duration", () =>
    Effect.gen(function*() {
      const run = yield* Simulation.run(Effect.gen(function*() {
        const { bucket, node, now, pauseServer } = yield* Simulation.Simulation
        const a = yield* node("a")
        const times = a.run(Effect.provide(
          Effect.gen(function*() {
            const store = yield* KVStore.KVStore
            yield* store.put("k", new Uint8Array(large))
            yield* Effect.sleep(1600)
            return yield* Effect.all([now, Effect.andThen(store.get("k"), now), Effect.andThen(store.get("k"), now)])
          }),
          a.layer
        ))
        const injecting = yield* Effect.forkChild(Faults.injectAll([fault], { node: () => a, bucket, pauseServer }))
        const result = yield* times
        yield* Fiber.join(injecting)
        return result
      }))
      const [, second, third] = run.value
      assert.closeTo(second, 2000, 20)
      assert.closeTo(third, 2000, 20)
      assert.strictEqual(run.faults.get("narrow link"), 1)
    }))

  it("is printed with its bandwidth", () => {
    assert.strictEqual(Faults.format(fault), "at 1.5 s        NarrowLink     a  for 0.5 s  bandwidth 100 kB/s")
  })

  it("is not among the default faults, so that their plans stay the same", () => {
    assert.notInclude(Faults.survivable, "NarrowLink")
    assert.include(Faults.kinds, "NarrowLink")
  })
})

describe("the limit of the server for what waits to be sent", () => {
  const maxPending = 2.5 * large

  test(
    "is not exceeded by messages that have been sent",
    (given) =>
      Effect.gen(function*() {
        yield* given.a.link({ bandwidth: 100_000 })
        yield* arrivals(given, ["1", "2"])
        yield* arrivals(given, ["2", "3"])
      }),
    { maxPending },
    noCut
  )

  test(
    "is irrelevant on a link without a bandwidth",
    (given) => Effect.asVoid(arrivals(given, ["1", "2", "3"])),
    { maxPending },
    noCut
  )

  test(
    "makes it cut the connection when it is exceeded, and the client reconnects",
    (given) =>
      Effect.gen(function*() {
        yield* given.a.link({ bandwidth: 100_000 })
        const began = yield* given.now
        const error = yield* Effect.flip(arrivals(given, ["1", "2", "3"]))
        assert.isTrue(error.isRetryable)
        assert.isBelow((yield* given.now) - began, 20)
        yield* Effect.sleep("1500 millis")
        assert.closeTo((yield* arrivals(given, ["1"]))[0]!, 1000, 20)
        const { disruptions } = yield* given.facts
        assert.isTrue(disruptions.some(({ from, until }) => from >= began && until === from + 1000))
      }),
    { maxPending },
    { "cut as a slow consumer": 1, disconnected: 1 }
  )

  test(
    "counts what a cut link holds back, and the client notices the end of its connection after the cut",
    (given) =>
      Effect.gen(function*() {
        yield* given.a.cut("replies", "3 seconds")
        const began = yield* given.now
        yield* Effect.flip(arrivals(given, ["1", "2", "3"]))
        const noticed = (yield* given.now) - began
        assert.isAtLeast(noticed, 3000)
        assert.isBelow(noticed, 3420)
        yield* Effect.sleep("1500 millis")
        yield* arrivals(given, ["1"])
      }),
    { maxPending },
    { "cut as a slow consumer": 1, disconnected: 1 }
  )
})
