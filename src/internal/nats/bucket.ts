/**
 * The backend on a NATS server: a bucket is the stream `KV_<bucket>`, as every
 * NATS client has it, so that others can read and write it too.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KVStoreConfig } from "../../KVStoreConfig.ts"
import {
  BucketNotFound,
  ConfigMismatch,
  InvalidConfig,
  type KVStoreReason,
  Unavailable,
  ValueTooLarge
} from "../../KVStoreError.ts"
import type { Append, Backend, StoredMessage } from "../kv/backend.ts"
import * as revisions from "../kv/revisions.ts"
import { monotonicMillis } from "../time.ts"
import { follow } from "./follow.ts"
import { fromStored, headersFor } from "./messages.ts"
import type { Headers, NatsPort, StreamInfo } from "./port.ts"
import { codes, readReason, writeReason } from "./reasons.ts"
import * as storeClock from "./storeClock.ts"
import {
  differences,
  firstKey,
  hasMarkers,
  losesItsStart,
  openedAs,
  settingsFor,
  streamName,
  subjectPrefix
} from "./stream.ts"

/** A sample's error is half a round trip at most; the best of a few at the start is a good one. */
const firstSamples = 3

/** Long enough to cost nothing, short enough that two oscillators stay within milliseconds. */
const sampleEvery = Duration.minutes(1)

/** How many keys that a snapshot has missed are read at once. */
const readsAtOnce = 16

/** What a condition and an operation add to a payload, with room to spare. */
const sizeOfHeaders = (headers: Headers): number =>
  headers.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 32)

interface Requests {
  readonly read: <A>(run: () => Promise<A>) => Effect.Effect<A, KVStoreReason>
  readonly write: (message: Append, run: () => Promise<number>) => Effect.Effect<number, KVStoreReason>
}

/** Requests that end with a reason: not sent at all while the link is down, and no answer at once where nobody listens. */
const requestsOver = (port: NatsPort, stream: string, timeout: number): Requests => {
  /** A stream that is gone looks like one without a leader: only its INFO tells. */
  const whyNobodyAnswers = Effect.tryPromise({
    try: () => port.streamInfo(stream, timeout),
    catch: (cause) => readReason(port.failure(cause))
  }).pipe(Effect.flatMap(() => Effect.fail(new Unavailable({ problem: "the stream has no leader" }))))

  const request = <A>(
    run: () => Promise<A>,
    toReason: (failure: ReturnType<NatsPort["failure"]>) => KVStoreReason
  ): Effect.Effect<A, KVStoreReason> =>
    Effect.suspend(() => {
      if (!port.isConnected()) return Effect.fail(new Unavailable({ problem: "not connected" }))
      return Effect.catch(
        Effect.tryPromise({ try: run, catch: (cause) => port.failure(cause) }),
        (failure): Effect.Effect<A, KVStoreReason> =>
          failure._tag === "NoResponders" ? whyNobodyAnswers : Effect.fail(toReason(failure))
      )
    })

  return {
    read: (run) => request(run, readReason),
    write: (message, run) => request(run, (failure) => writeReason(failure, message))
  }
}

/** Opens the bucket, or makes it where it is not there and we may; compares what is there with what was asked for. */
const open = Effect.fnUntraced(function*(
  port: NatsPort,
  config: KVStoreConfig,
  { read }: Requests,
  timeout: number
): Effect.fn.Return<StreamInfo, KVStoreReason> {
  const stream = streamName(config.bucket)
  const { version } = port.server()
  if (config.expiryMarkers !== undefined && !hasMarkers(version)) {
    return yield* new InvalidConfig({
      problem: `expiryMarkers need a NATS server 2.11 or later, and this one is ${version}`
    })
  }
  const info = Effect.tap(
    read(() => port.streamInfo(stream, timeout)),
    (found) => Effect.sync(() => revisions.saw(config.bucket, found.lastRevision))
  )
  const now = yield* Clock.currentTimeMillis
  const wanted = settingsFor(config, revisions.firstRevision(config.bucket, now))
  const make = read(() => port.createStream(wanted, timeout)).pipe(
    // Somebody else made it first: theirs is opened and compared.
    Effect.catchIf(
      (reason) => reason._tag === "Rejected" && reason.code === codes.streamExists,
      () => Effect.void
    ),
    Effect.andThen(info)
  )
  const found = yield* Effect.catchTag(
    info,
    "BucketNotFound",
    () => config.create ? make : Effect.fail(new BucketNotFound({}))
  )
  if (losesItsStart(version, found)) {
    // Whoever opens it first, or at the same time, does this before a message of its own.
    const first = `${subjectPrefix(config.bucket)}${firstKey}`
    yield* read(() => port.publish(first, new Uint8Array(0), [], timeout))
    yield* read(() => port.purgeSubject(stream, first, timeout))
  }
  const { list, update } = differences(wanted, found.config)
  if (list.length === 0 || config.onMismatch === "accept") return found
  if (config.onMismatch === "fail") return yield* new ConfigMismatch({ differences: list })
  yield* read(() => port.updateStream(stream, update, timeout))
  return yield* info
})

/** Keeps the store's time: sampled now, about once a minute, and again whenever the answer was slow. */
const keepTime = Effect.fnUntraced(function*(
  info: Effect.Effect<StreamInfo, KVStoreReason>
): Effect.fn.Return<Clock.Clock, KVStoreReason, Scope.Scope> {
  const host = yield* Clock.Clock
  let reading: storeClock.Reading | undefined
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
  yield* Effect.repeat(sample, { times: firstSamples - 1 })
  yield* sample.pipe(
    Effect.catch((reason) => Effect.logDebug("the store's time was not read", reason.message)),
    Effect.schedule(Schedule.spaced(sampleEvery)),
    Effect.forkScoped
  )
  return storeClock.make(host, () => reading!.offset)
})

export const make = Effect.fnUntraced(function*(
  port: NatsPort,
  config: KVStoreConfig
): Effect.fn.Return<Backend, KVStoreReason, Scope.Scope> {
  const timeout = Duration.toMillis(config.timeout)
  const stream = streamName(config.bucket)
  const prefix = subjectPrefix(config.bucket)
  const subjectOf = (key: string) => `${prefix}${key}`
  const saw = (revision: number) => revisions.saw(config.bucket, revision)
  const requests = requestsOver(port, stream, timeout)
  const { read, write } = requests
  const opened = yield* open(port, config, requests, timeout)
  const info = read(() => port.streamInfo(stream, timeout))
  const clock = yield* keepTime(info)
  // Where there are copies, the nearest may not have heard of our own write yet (2 to 4 % of reads, measured).
  const nearest = opened.config.allow_direct === true && (opened.config.num_replicas ?? 1) === 1

  const last = (key: string) =>
    Effect.map(
      read(() => port.lastMessage(stream, subjectOf(key), nearest ? "nearest" : "leader", timeout)),
      (message) => message === undefined ? Option.none() : Option.some(fromStored(message, prefix))
    )

  const append = (message: Append): Effect.Effect<number, KVStoreReason> => {
    const headers = headersFor(message, subjectOf)
    const { maxPayload, version } = port.server()
    if (message.condition !== undefined && message.condition.key !== message.key && !hasMarkers(version)) {
      // Older servers ignore the header that names the other key, and check the number against this one.
      return Effect.fail(
        new InvalidConfig({ problem: `whenKey needs a NATS server 2.11 or later, and this one is ${version}` })
      )
    }
    if (message.value.length + sizeOfHeaders(headers) > maxPayload) {
      return Effect.fail(new ValueTooLarge({ size: message.value.length, limit: maxPayload - sizeOfHeaders(headers) }))
    }
    return Effect.tap(
      write(message, () => port.publish(subjectOf(message.key), message.value, headers, timeout)),
      (revision) => Effect.sync(() => saw(revision))
    )
  }

  const followFrom = (purpose: "watch" | "listing"): Backend["follow"] => (filter, from) =>
    follow({ port, stream, prefix, filter, from, purpose, timeout, read, saw })

  /** What a watch gives until it is ready; its consumer is deleted when it ends. */
  const collect = (filter: string, from: "snapshot" | { readonly revision: number }) =>
    followFrom("listing")(filter, from).pipe(
      Stream.takeWhile((event) => event._tag !== "Ready"),
      Stream.runCollect,
      Effect.map((events) => events.flatMap((event) => event._tag === "Message" ? [event.message] : []))
    )

  /**
   * While others write, a snapshot may give a key twice: the later message is the last. A key that was written again
   * before its turn came may be missing: it has a name in the stream, and is asked for by it.
   */
  const lastOfEach = Effect.fnUntraced(function*(filter: string) {
    const byKey = new Map<string, StoredMessage>()
    for (const message of yield* collect(filter, "snapshot")) byKey.set(message.key, message)
    const subjects = yield* read(() => port.subjects(stream, subjectOf(filter), timeout))
    const missing = subjects.map((subject) => subject.slice(prefix.length)).filter((key) => !byKey.has(key))
    const found = yield* Effect.forEach(missing, last, { concurrency: readsAtOnce })
    for (const message of found.flatMap(Option.toArray)) byKey.set(message.key, message)
    return [...byKey.values()].toSorted((a, b) => a.revision - b.revision)
  })

  const inTime = <A>(listing: Effect.Effect<A, KVStoreReason>) =>
    Effect.timeoutOrElse(listing, {
      duration: config.timeout,
      orElse: () => Effect.fail(new Unavailable({ problem: "no complete listing in time" }))
    })

  return {
    config: openedAs(config, opened.config),
    clock,
    last,
    append,
    lastOfEach: (filter) => inTime(lastOfEach(filter)),
    follow: followFrom("watch"),
    history: (key) =>
      (opened.config.max_msgs_per_subject ?? 1) === 1
        ? Effect.map(last(key), Option.toArray)
        : inTime(collect(key, { revision: 1 })),
    status: Effect.map(info, (found) => ({
      bucket: config.bucket,
      backend: "nats" as const,
      values: found.messages,
      bytes: found.bytes,
      lastRevision: found.lastRevision,
      created: DateTime.makeUnsafe(found.created),
      serverVersion: port.server().version,
      expiryMarkers: hasMarkers(port.server().version)
    }))
  }
})
