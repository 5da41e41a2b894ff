/**
 * Large watches over a narrow link (K33): they become ready, requests beside them are answered in time, and the server
 * does not cut the connection.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Election from "../../src/Election.ts"
import * as service from "../../src/internal/nats/service.ts"
import * as KVStore from "../../src/KVStore.ts"
import { NatsClient } from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import { type Store } from "../support/suite.ts"

const kibibyte = 1024

/** Bytes per second. */
const narrow = 1_000_000

interface Given {
  /** Opens a bucket on the machine's only connection. */
  readonly open: (bucket: string) => Effect.Effect<Store, KVStore.KVStoreError, Scope.Scope>
  readonly now: Effect.Effect<number>
  /** The number of stored messages that have arrived at the machine. */
  readonly arrived: () => number
  /** The number of consumers that the machine has created. */
  readonly consumers: () => number
}

interface Settings extends Simulation.LinkQuality {
  readonly maxPending?: number
  /** The number of values in the bucket `large`, and the size of each. Default: 8 MiB in values of 64 KiB. */
  readonly values?: number
  readonly size?: number
  readonly limit?: Simulation.RunOptions["limit"]
}

const keysOf = (values: number) => Array.from({ length: values }, (_, index) => `k.${index}`)

/** Counts the stored messages that arrive at a client, and its consumers. */
const counting = (inner: Context.Context<NatsClient>) =>
  Effect.gen(function*() {
    let arrived = 0
    let consumers = 0
    const { port } = service.requesterOf(Context.get(inner, NatsClient))!
    const client = yield* service.make(undefined, {
      ...port,
      publish: (subject, ...message) => {
        if (subject.startsWith("$JS.API.CONSUMER.CREATE.")) consumers++
        port.publish(subject, ...message)
      },
      subscribe: (subject, onMessage) =>
        port.subscribe(subject, (message) => {
          if (message.reply?.startsWith("$JS.ACK.") === true) arrived++
          onMessage(message)
        })
    })
    return { client: Context.make(NatsClient, client), arrived: () => arrived, consumers: () => consumers }
  })

/** Runs a test on a machine with a narrow link, after another machine has written the bucket `large`. */
const run = (
  { limit, maxPending, size = 64 * kibibyte, values = 128, ...link }: Settings,
  body: (given: Given) => Effect.Effect<void, unknown, Scope.Scope>
) =>
  Simulation.run(
    Effect.gen(function*() {
      const { node, now } = yield* Simulation.Simulation
      const [writer, reader] = [yield* node("writer"), yield* node("reader")]
      const write = Effect.flatMap(KVStore.KVStore, (store) =>
        Effect.forEach(keysOf(values), (key) =>
          store.put(key, new Uint8Array(size)), { concurrency: 8, discard: true }))
      yield* writer.run(
        Effect.provide(write, Layer.provide(NatsKVStore.layer({ bucket: "large" }), writer.client))
      )
      yield* reader.link({ bandwidth: narrow, ...link })
      yield* reader.run(Effect.scoped(Effect.gen(function*() {
        const { client, ...counts } = yield* counting(yield* Layer.build(reader.client))
        const open = (bucket: string) =>
          Effect.map(
            Layer.build(Layer.provide(NatsKVStore.layer({ bucket }), Layer.succeedContext(client))),
            (context) =>
              Context.get(context, KVStore.KVStore)
          )
        yield* body({ open, now, ...counts })
      })))
    }),
    { maxPending, limit }
  )

const cuts = ({ faults }: Simulation.Run<unknown>) => faults.get("cut as a slow consumer") ?? 0
const disconnects = ({ faults }: Simulation.Run<unknown>) => faults.get("disconnected") ?? 0

/** Reads a watch until `Ready` and returns the number of keys that it emitted. */
const untilReady = (events: Stream.Stream<KVStore.KVEvent, KVStore.KVStoreError>) =>
  Effect.map(
    Stream.runCollect(Stream.takeUntil(events, ({ _tag }) => _tag === "Ready")),
    (all) => new Set(all.flatMap((event) => event._tag === "Put" ? [event.entry.key] : [])).size
  )

/** Milliseconds that an effect takes. */
const took = <A, E, R>(now: Effect.Effect<number>, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const began = yield* now
    yield* effect
    return (yield* now) - began
  })

/** Puts again and again, and returns the milliseconds that the slowest put took. */
const putsBeside = ({ now, open }: Given) =>
  Effect.gen(function*() {
    const small = yield* open("small")
    let longest = 0
    const put = took(now, small.put("beside", new Uint8Array(10)))
    const always = Effect.forever(Effect.gen(function*() {
      longest = Math.max(longest, yield* put)
      yield* Effect.sleep("100 millis")
    }))
    const putting = yield* Effect.forkScoped(always)
    return Effect.suspend(() => {
      const exit = putting.pollUnsafe()
      return exit === undefined ? Effect.succeed(longest) : Effect.andThen(exit, Effect.die("the puts ended"))
    })
  })

describe("large watches over a narrow link", () => {
  for (const [size, values] of [[kibibyte, 4000], [16 * kibibyte, 600], [64 * kibibyte, 320]] as const) {
    it.effect(`become ready with values of ${size / kibibyte} KiB, and requests beside them are answered in time`, () =>
      Effect.gen(function*() {
        const outcome = yield* run({ size, values }, (given) =>
          Effect.gen(function*() {
            const large = yield* given.open("large")
            const longestPut = yield* putsBeside(given)
            const found = yield* Effect.forEach([1, 2, 3], () => untilReady(large.watch()), {
              concurrency: "unbounded"
            })
            assert.deepStrictEqual(found, [values, values, values])
            assert.isBelow(yield* longestPut, 1000)
          }))
        assert.deepStrictEqual([cuts(outcome), disconnects(outcome)], [0, 0])
      }))

    it.effect(`do not end a leadership with fast timings with values of ${size / kibibyte} KiB`, () =>
      Effect.asVoid(run({ size, values }, ({ open }) =>
        Effect.gen(function*() {
          const large = yield* open("large")
          const elections = Election.layer({ timings: Election.fast }).pipe(
            Layer.provide(Layer.succeed(KVStore.KVStore)(yield* open("elections")))
          )
          const election = Context.get(yield* Layer.build(elections), Election.Election)
          const losses: Array<Election.LossReason> = []
          let terms = 0
          yield* Effect.forkScoped(election.whileLeader("job", ({ lost }) => {
            terms++
            return Effect.andThen(lost, (reason) => Effect.sync(() => losses.push(reason)))
          }))
          yield* Effect.sleep("1 second")
          yield* Effect.forEach([1, 2, 3], () => untilReady(large.watch()), { concurrency: "unbounded", discard: true })
          assert.deepStrictEqual([terms, losses], [1, []])
        }))))
  }

  it.effect("let a watch of a small bucket become ready before them", () =>
    Effect.asVoid(run({}, ({ now, open }) =>
      Effect.gen(function*() {
        const [large, small] = [yield* open("large"), yield* open("small")]
        yield* Effect.forEach(keysOf(20), (key) => small.put(key, new Uint8Array(100)))
        const reading = yield* Effect.forEach(keysOf(12), () => Effect.forkChild(untilReady(large.watch())))
        for (const wait of [0, 2000, 2000]) {
          yield* Effect.sleep(wait)
          // Its requests wait behind the messages under way, at most half a second each.
          assert.isBelow(yield* took(now, untilReady(small.watch())), 4000)
        }
        assert.isTrue(reading.every((fiber) => fiber.pollUnsafe() === undefined))
      }))))

  it.effect("become ready although the server cuts the connection at a low limit, because they then pull less", () =>
    Effect.gen(function*() {
      // Fast enough for the window to grow beyond the limit of the server.
      const settings = { bandwidth: 20 * narrow, maxPending: 1_000_000, values: 1280, size: 16 * kibibyte }
      const outcome = yield* run(settings, ({ open }) =>
        Effect.gen(function*() {
          const large = yield* open("large")
          const found = yield* Effect.forEach([1, 2, 3], () => untilReady(large.watch()), { concurrency: "unbounded" })
          assert.deepStrictEqual(found, [1280, 1280, 1280])
        }))
      assert.isAtLeast(cuts(outcome), 1)
      assert.isAtMost(cuts(outcome), 3)
      assert.strictEqual(disconnects(outcome), cuts(outcome))
    }))
})

describe("a watch over a narrow link", () => {
  it.effect("does not block another one that the same fiber reads", () =>
    Effect.asVoid(run({ values: 128 }, ({ open }) =>
      Effect.gen(function*() {
        const large = yield* open("large")
        const [first, second] = [yield* Stream.toPull(large.watch()), yield* Stream.toPull(large.watch())]
        let found = 0
        const read = (pull: typeof first) =>
          Effect.map(pull, (events) => {
            found += events.filter(({ _tag }) => _tag === "Put").length
            return events.some(({ _tag }) => _tag === "Ready")
          })
        const readAll = (pull: typeof first) => Effect.repeat(read(pull), { until: (isReady) => isReady })
        yield* read(first)
        yield* Effect.sleep("1 minute")
        yield* readAll(second)
        yield* readAll(first)
        assert.strictEqual(found, 2 * 128)
      }).pipe(Effect.scoped, Pull.catchDone(() => Effect.die("the watch ended"))))))

  it.effect("pulls no more while its reader does not read for a day, and then continues with every key", () =>
    Effect.asVoid(
      run(
        { values: 2000, size: 8 * kibibyte, limit: "2 days" },
        ({ arrived, consumers, open }) =>
          Effect.gen(function*() {
            const large = yield* open("large")
            const next = yield* Stream.toPull(large.watch())
            const found = new Set<string>()
            const read = Effect.map(next, (events) => {
              for (const event of events) if (event._tag === "Put") found.add(event.entry.key)
              return events.some(({ _tag }) => _tag === "Ready")
            })
            yield* read
            yield* Effect.sleep("1 minute")
            const afterMinute = arrived()
            yield* Effect.sleep("1 day")
            assert.strictEqual(arrived(), afterMinute)
            assert.isBelow(afterMinute, 1000)
            yield* Effect.repeat(read, { until: (isReady) => isReady })
            assert.deepStrictEqual([found.size, arrived(), consumers()], [2000, 2000, 1])
          }).pipe(Effect.scoped, Pull.catchDone(() => Effect.die("the watch ended")))
      )
    ))

  it.effect("receives a value that is larger than its pulls", () =>
    Effect.gen(function*() {
      const size = 1_000_000
      const outcome = yield* run({ values: 4000, size: kibibyte }, (given) =>
        Effect.gen(function*() {
          const large = yield* given.open("large")
          const whole = yield* large.put("whole", new Uint8Array(size))
          yield* Effect.forEach(keysOf(1000), (key) => large.put(`after.${key}`, new Uint8Array(kibibyte)), {
            concurrency: 8
          })
          const longestPut = yield* putsBeside(given)
          const sizes: Array<number> = []
          yield* Stream.runForEach(
            Stream.takeUntil(large.watch(), ({ _tag }) => _tag === "Ready"),
            (event) =>
              Effect.sync(() => {
                if (event._tag === "Put" && event.entry.revision === whole) sizes.push(event.entry.value.length)
              })
          )
          assert.deepStrictEqual(sizes, [size])
          // A put waits at most for this value and for the messages in the window.
          assert.isBelow(yield* longestPut, 1500)
        }))
      assert.strictEqual(disconnects(outcome), 0)
    }))
})

describe("a large watch over a link with a long round trip", () => {
  it.effect("pulls as much at a time as the bandwidth allows", () =>
    Effect.asVoid(
      run(
        { minDelay: 150, maxDelay: 150, bandwidth: 100 * narrow, values: 1280, size: 16 * kibibyte },
        ({ now, open }) =>
          Effect.gen(function*() {
            const large = yield* open("large")
            assert.isBelow(yield* took(now, untilReady(large.watch())), 10_000)
          })
      )
    ))
})
