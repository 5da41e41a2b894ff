/** A server that is controlled by the test, and a watch of it. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { one } from "../../src/internal/filters.ts"
import type { BackendEvent, Follow } from "../../src/internal/kv/backend.ts"
import { Reach } from "../../src/internal/nats/bucket/reach.ts"
import { follow } from "../../src/internal/nats/bucket/watch.ts"
import type { ConsumerSettings, JetStream, PullSettings } from "../../src/internal/nats/jetstream/api.ts"
import { ApiAccess } from "../../src/internal/nats/jetstream/apiAccess.ts"
import { PullWindow } from "../../src/internal/nats/jetstream/pullWindow.ts"
import type { LinkEvent, NatsMessage } from "../../src/internal/nats/port.ts"
import { type KVStoreReason, Unavailable } from "../../src/KVStoreError.ts"

export interface FakeConsumer {
  readonly settings: ConsumerSettings
  readonly push: (message: Partial<NatsMessage>) => void
  /** Delivers a value. The key is named after the revision, unless it is given. */
  readonly value: (revision: number, inConsumer: number, pending?: number, key?: string) => void
  /** Delivers a tombstone. */
  readonly tombstone: (revision: number, inConsumer: number, pending: number, key: string) => void
  /** Sends a heartbeat. `lastInStream` is the revision that the consumer has passed. Default: the stream's last one. */
  readonly heartbeat: (lastInConsumer: number, lastInStream?: number) => void
  /** The pulls so far. */
  readonly pulls: Array<PullSettings & { readonly replyTo: string }>
  /** Ends the pulls under way: nothing is left (404), or the next message does not fit (409). */
  readonly end: (status: 404 | 409) => void
}

/** Creates a server that answers requests, and delivers messages only on calls of the test. */
export const makeServer = Effect.map(Clock.Clock, (clock) => {
  const stream = { created: "2026-11-01T00:00:00Z", lastRevision: 100 }
  const consumers: Array<FakeConsumer> = []
  const deleted: Array<string> = []
  const inboxes = new Map<string, (message: NatsMessage) => void>()
  const links = new Set<(event: LinkEvent) => void>()
  const state = {
    pending: 0,
    infoFails: undefined as KVStoreReason | undefined,
    /** Whether the request for the information of the stream has no answer, for 5 s. */
    isInfoSilent: false,
    /** Keys that have a message in the stream, for comparisons. */
    present: [] as ReadonlyArray<string>,
    comparisons: 0,
    /** Keys that have a message at the leader, although their names are missing. */
    atLeader: [] as ReadonlyArray<string>,
    /** How far the answer with the names lags behind the stream. */
    namesLag: 0,
    namesFail: false,
    /** The time that the answer with the names takes, in milliseconds. */
    namesTake: 0,
    /** Runs between the STREAM.INFO request and the creation of the consumer. */
    beforeConsumer: () => {},
    /** Number of requests for the information of the stream. */
    infos: 0,
    /** Number of requests for the state of a consumer. */
    doubts: 0,
    isConsumerGone: false,
    closed: false,
    /** Whether the connection accepts a pull. */
    accepts: true,
    replicas: 1,
    messages: 0,
    historySize: 1
  }
  const unused = (): never => assert.fail("a watch does not call this")

  const makeConsumer = (settings: ConsumerSettings): FakeConsumer => {
    const pulls: FakeConsumer["pulls"] = []
    const push = (message: Partial<NatsMessage>) =>
      inboxes.get(`_INBOX.${settings.name}.*`)?.({
        subject: "",
        reply: undefined,
        status: 0,
        description: "",
        header: () => "",
        data: new Uint8Array(0),
        ...message
      })
    const place = (revision: number, inConsumer: number, pending: number) =>
      `$JS.ACK.KV_b.c.1.${revision}.${inConsumer}.1000000.${pending}`
    const say = (status: number, headers: Record<string, string>, to = pulls.at(-1)?.replyTo ?? "") =>
      push({ status, subject: to, header: (name) => headers[name] ?? "" })
    let ended = 0
    return {
      settings,
      push,
      pulls,
      end: (status) => {
        for (const { replyTo } of pulls.slice(ended)) {
          ended++
          say(status, status === 409 ? { "Nats-Pending-Bytes": "1" } : {}, replyTo)
        }
      },
      value: (revision, inConsumer, pending = 0, key = `k${revision}`) =>
        push({ subject: `$KV.b.${key}`, reply: place(revision, inConsumer, pending) }),
      tombstone: (revision, inConsumer, pending, key) =>
        push({
          subject: `$KV.b.${key}`,
          reply: place(revision, inConsumer, pending),
          header: (name) => name === "KV-Operation" ? "DEL" : ""
        }),
      heartbeat: (last, lastInStream = stream.lastRevision) =>
        say(100, { "Nats-Last-Consumer": `${last}`, "Nats-Last-Stream": `${lastInStream}` })
    }
  }

  const js: JetStream = {
    access: new ApiAccess(),
    port: {
      isConnected: () => true,
      isClosed: () => state.closed,
      outage: () => undefined,
      server: () => ({ version: "2.15.1", maxPayload: 1024 * 1024, jetstream: true, cluster: undefined }),
      inbox: () => `_INBOX.${inboxes.size}`,
      publish: unused,
      subscribe: (subject, onMessage) => {
        inboxes.set(subject, onMessage)
        return () => inboxes.set(subject, () => undefined)
      },
      onLink: (listener) => {
        links.add(listener)
        return () => links.delete(listener)
      },
      ping: unused,
      release: unused
    },
    window: new PullWindow(clock),
    pullSubject: (stream, consumer) => `next ${stream} ${consumer}`,
    pull: (_stream, name, settings, replyTo) => {
      if (!state.accepts) throw new Error("the connection is draining")
      consumers.findLast((one) => one.settings.name === name)!.pulls.push({ ...settings, replyTo })
    },
    publish: unused,
    lastMessage: (_stream, subject, from) =>
      Effect.sync(() => {
        assert.strictEqual(from, "leader")
        const key = subject.slice("$KV.b.".length)
        if (!state.present.includes(key) && !state.atLeader.includes(key)) return undefined
        return { subject, revision: 1, created: 0, header: () => "", data: new Uint8Array(0) }
      }),
    messageAt: unused,
    lastMessages: unused,
    streamInfo: unused,
    account: unused,
    createStream: unused,
    purgeSubject: unused,
    updateStream: unused,
    deleteStream: unused,
    streamNames: unused,
    subjects: () =>
      Effect.suspend(() => {
        if (state.namesFail) return Effect.fail({ _tag: "Timeout" as const })
        state.comparisons++
        const answer = {
          names: state.present.map((key) => `$KV.b.${key}`),
          lastRevision: stream.lastRevision - state.namesLag,
          meanSize: 0
        }
        return state.namesTake === 0 ? Effect.succeed(answer) : Effect.delay(Effect.succeed(answer), state.namesTake)
      }),
    createConsumer: (_stream, settings) =>
      Effect.sync(() => {
        state.beforeConsumer()
        consumers.push(makeConsumer(settings))
        return state.pending
      }),
    consumerInfo: () =>
      Effect.suspend(() => {
        state.doubts++
        return state.isConsumerGone
          ? Effect.fail({ _tag: "Api" as const, code: 10014, description: "consumer not found" })
          : Effect.void
      }),
    deleteConsumer: (_stream, name) => Effect.sync(() => deleted.push(name))
  }
  const tell = (event: LinkEvent) => [...links].forEach((listener) => listener(event))
  return { js, stream, consumers, deleted, state, links, tell }
})

type Server = Effect.Success<typeof makeServer>

const shown = (event: BackendEvent): string => {
  switch (event._tag) {
    case "Ready":
      return "ready"
    case "Gone":
      return `${event.reason} ${event.key}@${event.revision}`
    case "Message":
      return event.message.operation === "put" ? event.message.key : `${event.message.operation} ${event.message.key}`
  }
}

/** Starts a watch of the server. Returns its events so far as text, and the causes of its restarts. */
export const startWatch = Effect.fnUntraced(function*(
  server: Server,
  from: Follow = "snapshot",
  pause: Effect.Effect<void> = Effect.void
) {
  const words: Array<string> = []
  const restarts: Array<string> = []
  const reach = new Reach(yield* Clock.Clock, true)
  const fiber = yield* follow({
    js: server.js,
    stream: "KV_b",
    prefix: "$KV.b.",
    filters: one(">"),
    from,
    purpose: "watch",
    timeout: 1000,
    silentRemoval: () => "expire",
    info: Effect.suspend(() => {
      server.state.infos++
      if (server.state.isInfoSilent) {
        return Effect.andThen(Effect.sleep("5 seconds"), Effect.fail(new Unavailable({ problem: "no answer in time" })))
      }
      return server.state.infoFails === undefined
        ? Effect.succeed({
          ...server.stream,
          config: { num_replicas: server.state.replicas, max_msgs_per_subject: server.state.historySize },
          ts: undefined,
          messages: server.state.messages,
          bytes: 0,
          deleted: 0,
          hasLeader: true
        })
        : Effect.fail(server.state.infoFails)
    }),
    read: (request) => Effect.mapError(request, () => new Unavailable({ problem: "not connected" })),
    saw: () => undefined,
    onRestart: (cause) => Effect.sync(() => restarts.push(cause)),
    reach
  }).pipe(
    Stream.runForEach((event) => {
      words.push(shown(event))
      return pause
    }),
    Effect.forkScoped
  )
  yield* settle
  return { words, fiber, restarts, reach }
})

/** Lets pending promises and fibers run, without advancing time. */
export const settle = Effect.replicateEffect(
  Effect.andThen(Effect.promise(() => Promise.resolve()), Effect.yieldNow),
  30,
  { discard: true }
)

/** Advances time in steps, and lets promises run after each step. */
export const pass = Effect.fnUntraced(function*(millis: number) {
  for (let passed = 0; passed < millis; passed += 50) {
    yield* TestClock.adjust("50 millis")
    yield* settle
  }
})

/** Advances time by seconds, with a heartbeat of the idle consumer after each second. */
export const keepAlive = Effect.fnUntraced(function*(consumer: FakeConsumer, last: number, seconds: number) {
  for (let beat = 0; beat < seconds; beat++) {
    yield* TestClock.adjust("1 second")
    consumer.heartbeat(last)
    yield* settle
  }
})
