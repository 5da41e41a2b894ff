/** Measures what listings and watches leave behind: consumers and subscriptions on the server, memory in the client. */
import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as KVStore from "../src/KVStore.ts"
import * as NatsClient from "../src/NatsClient.ts"
import * as NatsKVStore from "../src/NatsKVStore.ts"
import type { Line } from "./natsServer/binaries.ts"
import { countersOf, withSystemAccount } from "./natsServer/counters.ts"
import { startNatsServer } from "./natsServer/server.ts"
import { bytes } from "./values.ts"

type Store = KVStore.KVStore["Service"]

/** Calls in flight at once. With more, few watches are closed while the server creates their consumer. */
const atOnce = 8

/** Turns of the event loop in which a watch opens and waits for its snapshot. */
const turnsToOpen = 10

/** Calls before the measured ones. The memory that they use is mostly compiled code. */
const warmUp = 500

/** Opens a watch and closes it: half of the watches after `Ready`, half at a random moment, mostly before `Ready`. */
const openAndClose = (store: Store) =>
  Effect.gen(function*() {
    const isReady = yield* Deferred.make<void>()
    const fiber = yield* store.watch().pipe(
      Stream.runForEach((event) => event._tag === "Ready" ? Deferred.succeed(isReady, undefined) : Effect.void),
      Effect.forkChild
    )
    const patient = yield* Random.nextBoolean
    const turns = yield* Random.nextIntBetween(0, turnsToOpen)
    yield* patient ? Deferred.await(isReady) : Effect.replicateEffect(Effect.yieldNow, turns, { discard: true })
    yield* Fiber.interrupt(fiber)
  })

const calls = {
  keys: (store: Store) => store.keys(),
  entries: (store: Store) => store.entries(),
  watch: openAndClose
}

export type Call = keyof typeof calls

export const callNames: ReadonlyArray<Call> = ["keys", "entries", "watch"]

const clientName = "leftovers"

/** Bytes of the heap in use after a garbage collection. */
const heapUsed = (): number => {
  setFlagsFromString("--expose-gc")
  const collect: unknown = runInNewContext("gc")
  if (typeof collect !== "function") throw new Error("this runtime does not support --expose-gc")
  collect()
  return process.memoryUsage().heapUsed
}

export interface Leftovers {
  /** Consumers of the stream, one second after the last call. */
  readonly consumers: number
  /** Increase of the client's subscriptions, as counted by the server. */
  readonly subscriptions: number
  /** Increase of the heap in use. */
  readonly bytes: number
  readonly millisPerCall: number
}

/** Starts a server with a bucket of ten keys. Returns a function that makes `count` calls and then measures. */
export const makeLeftovers = Effect.fnUntraced(function*(
  line: Line
): Effect.fn.Return<(call: Call, count: number) => Effect.Effect<Leftovers, unknown>, unknown, Scope.Scope> {
  const { port, url } = yield* startNatsServer({ line, config: withSystemAccount })
  const context = yield* Layer.build(
    NatsKVStore.layer({ bucket: "leftovers" }).pipe(
      Layer.provideMerge(NatsClient.layer({ servers: url, name: clientName }))
    )
  )
  const store = Context.get(context, KVStore.KVStore)
  for (const n of Array.from({ length: 10 }).keys()) yield* store.put(`key.${n}`, bytes("value"))

  const counters = yield* countersOf(port)
  const { streams } = yield* Effect.flatMap(
    Effect.acquireRelease(
      Effect.promise(() => connect({ servers: url })),
      (connection) => Effect.promise(() => connection.close())
    ),
    (other) => Effect.promise(() => jetstreamManager(other))
  )
  const consumers = Effect.promise(async () => (await streams.info("KV_leftovers")).state.consumer_count)
  const subscriptions = Effect.map(counters, (of) => of(clientName).subscriptions)
  // The first request of a connection creates one subscription for all replies. The store has sent a request by now.
  const before = yield* subscriptions

  return Effect.fnUntraced(function*(call, count) {
    yield* Effect.replicateEffect(calls[call](store), warmUp, { concurrency: atOnce, discard: true })
    const heapBefore = heapUsed()
    const begun = performance.now()
    yield* Effect.replicateEffect(calls[call](store), count, { concurrency: atOnce, discard: true })
    const millisPerCall = (performance.now() - begun) / count
    yield* Effect.sleep("1 second")
    return {
      consumers: yield* consumers,
      subscriptions: (yield* subscriptions) - before,
      bytes: Math.max(0, heapUsed() - heapBefore),
      millisPerCall
    }
  })
})
