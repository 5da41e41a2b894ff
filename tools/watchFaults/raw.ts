/**
 * Operations on a bucket by other clients, without the library: writes, deletions, and the loss of consumers and
 * buckets.
 */
import { jetstream, JetStreamApiError, type JetStreamManager, jetstreamManager } from "@nats-io/jetstream"
import { connect, headers, type NatsConnection } from "@nats-io/transport-node"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { monotonicMillis } from "../../src/internal/time.ts"

import { eventually } from "../eventually.ts"
import type { Acknowledged } from "./verdict.ts"

const until = eventually(false)

/** Longer than a running server takes to answer. */
const answerWithin = Duration.seconds(1)

/** Interval and timeout of connection attempts while the server is down or paused. */
const tryEvery = Duration.millis(20)
const tryFor = Duration.millis(500)

const writeEvery = Duration.millis(10)

/** Largest number of writes per tick. It limits the burst after this process was held up. */
const mostAtOnce = 100

const streamOf = (bucket: string) => `KV_${bucket}`

const subjectOf = (bucket: string, key: string) => `$KV.${bucket}.${key}`

/** Reads the monotonic clock, in milliseconds. */
export const stopwatch = Effect.map(Clock.Clock, (clock) => () => monotonicMillis(clock))

const open = (options: Parameters<typeof connect>[0]): Effect.Effect<NatsConnection, unknown, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.tryPromise(() => connect(options)),
    (connection) => Effect.promise(() => connection.close()),
    { interruptible: true }
  )

const manager = (connection: NatsConnection): Effect.Effect<JetStreamManager> =>
  Effect.promise(() => jetstreamManager(connection, { timeout: Duration.toMillis(answerWithin) * 5, checkAPI: false }))

/** Returns a counter: each write of a run has a unique number as its value. */
export const makeNumbers = () => {
  let last = 0
  return () => ++last
}

export interface Writer {
  readonly acknowledged: ReadonlyArray<Acknowledged>
  /** The number of writes without an acknowledgement. They may have been stored. */
  readonly unknown: () => number
  /** Writes per second, acknowledged or not. */
  readonly perSecond: () => number
  /** Stops writing, and waits until all writes are acknowledged or have failed. */
  readonly stop: Effect.Effect<void>
}

/** Writes to the keys in turn at a fixed rate, even while the server is down, and records the acknowledged writes. */
export const startWriter = Effect.fnUntraced(function*(options: {
  readonly url: string
  readonly bucket: string
  readonly keys: ReadonlyArray<string>
  readonly perSecond: number
  readonly number: () => number
}): Effect.fn.Return<Writer, unknown, Scope.Scope> {
  const { bucket, keys, number, perSecond, url } = options
  const now = yield* stopwatch
  const connection = yield* open({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 100, reconnectJitter: 0 })
  const js = jetstream(connection)
  const acknowledged: Array<Acknowledged> = []
  const begun = now()
  let ended: number | undefined
  let tried = 0
  let unknown = 0

  const write = () => {
    const key = keys[tried++ % keys.length]!
    const value = number()
    js.publish(subjectOf(bucket, key), `${value}`, { timeout: Duration.toMillis(answerWithin) }).then(
      ({ seq }) => acknowledged.push({ key, revision: seq, value, at: now() }),
      () => unknown++
    )
  }
  const tick = Effect.sync(() => {
    const due = Math.floor((now() - begun) * perSecond / 1000)
    const count = Math.min(due - tried, mostAtOnce)
    for (let n = 0; n < count; n++) write()
  })
  const writing = yield* Effect.forkScoped(Effect.repeat(tick, Schedule.fixed(writeEvery)))

  return {
    acknowledged,
    unknown: () => unknown,
    perSecond: () => tried * 1000 / ((ended ?? now()) - begun),
    stop: Effect.gen(function*() {
      ended = now()
      writing.interruptUnsafe()
      yield* until(Effect.sync(() => acknowledged.length + unknown), (answered) => answered === tried)
    })
  }
})

/** Writes each of the keys once. */
export const writeAll = Effect.fnUntraced(function*(
  url: string,
  bucket: string,
  keys: ReadonlyArray<string>,
  number: () => number
) {
  const js = jetstream(yield* open({ servers: url }))
  yield* Effect.forEach(keys, (key) => Effect.tryPromise(() => js.publish(subjectOf(bucket, key), `${number()}`)))
}, Effect.scoped)

/** Connects after a fault, retries until a write is acknowledged, and then runs `then` with that connection. */
export const freshly = <A>(
  url: string,
  bucket: string,
  key: string,
  number: () => number,
  then: (connection: NatsConnection) => Effect.Effect<A, unknown>
): Effect.Effect<{ readonly written: Acknowledged; readonly result: A }, unknown> => {
  const attempt = Effect.gen(function*() {
    const now = yield* stopwatch
    const connection = yield* open({ servers: url, reconnect: false, timeout: Duration.toMillis(tryFor) })
    const value = number()
    const { seq } = yield* Effect.tryPromise(() =>
      jetstream(connection).publish(subjectOf(bucket, key), `${value}`, { timeout: Duration.toMillis(tryFor) })
    )
    const written: Acknowledged = { key, revision: seq, value, at: now() }
    return { written, rest: yield* Effect.exit(then(connection)) }
  }).pipe(Effect.scoped)
  return Effect.gen(function*() {
    const { rest, written } = yield* Effect.retry(attempt, Schedule.spaced(tryEvery))
    return { written, result: yield* rest }
  })
}

/**
 * Deletes the keys. If the bucket has no consumer, it also purges the delete markers of the second half, so that a
 * watch cannot receive them. Returns the number of keys that were purged.
 */
export const deleteKeys = (connection: NatsConnection, bucket: string, keys: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const { streams } = yield* manager(connection)
    const tombstone = headers()
    tombstone.set("KV-Operation", "DEL")
    const js = jetstream(connection)
    yield* Effect.forEach(
      keys,
      (key) => Effect.tryPromise(() => js.publish(subjectOf(bucket, key), new Uint8Array(0), { headers: tombstone })),
      { concurrency: "unbounded" }
    )
    const { state } = yield* Effect.tryPromise(() => streams.info(streamOf(bucket)))
    const traceless = state.consumer_count === 0 ? keys.slice(keys.length / 2) : []
    yield* Effect.forEach(
      traceless,
      (key) => Effect.tryPromise(() => streams.purge(streamOf(bucket), { filter: subjectOf(bucket, key) })),
      { concurrency: "unbounded" }
    )
    return traceless.length
  })

/** Runs with a new connection and its JetStream manager. */
const managed = <A>(url: string, run: (jsm: JetStreamManager) => Promise<A>) =>
  Effect.scoped(
    Effect.flatMap(Effect.flatMap(open({ servers: url }), manager), (jsm) => Effect.tryPromise(() => run(jsm)))
  )

export const deleteConsumers = (url: string, bucket: string) =>
  managed(url, async ({ consumers }) => {
    for (const { name } of await consumers.list(streamOf(bucket)).next()) {
      await consumers.delete(streamOf(bucket), name)
    }
  })

const streamExists = 10058

/** Deletes the bucket. The result recreates it as other clients do, with revisions from 1. */
export const loseBucket = (url: string, bucket: string) =>
  Effect.flatMap(open({ servers: url }), manager).pipe(
    Effect.flatMap(({ streams }) =>
      Effect.tryPromise(async () => {
        const { config } = await streams.info(streamOf(bucket))
        await streams.delete(streamOf(bucket))
        return Effect.tryPromise(() =>
          streams.add({ ...config, first_seq: 0 }).catch((error: unknown) => {
            // The library's store recreates the bucket, too, and may have been faster.
            if (!(error instanceof JetStreamApiError && error.code === streamExists)) throw error
          })
        )
      })
    )
  )

/** The keys that have a value on the server, and their revisions. */
export const held = (url: string, bucket: string, keys: ReadonlyArray<string>) =>
  managed(url, async ({ direct }) => {
    const found = await Promise.all(keys.map(async (key) => {
      const message = await direct.getMessage(streamOf(bucket), { last_by_subj: subjectOf(bucket, key) })
      return message === null || message.header.get("KV-Operation") !== "" ? [] : [[key, message.seq] as const]
    }))
    return new Map(found.flat())
  })
