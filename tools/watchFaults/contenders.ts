/** The watches under test: those of this library over each client, and the watch of `@nats-io/kv`. */
import { type KV, Kvm } from "@nats-io/kv"
import { connect } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as legacy from "nats"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as NatsLegacy from "../../src/NatsLegacy.ts"
import { eventually } from "../eventually.ts"
import type { Line } from "../natsServer/binaries.ts"
import { textOf } from "../values.ts"
import { stopwatch } from "./raw.ts"
import type { Scenario } from "./scenarios.ts"
import type { Seen } from "./verdict.ts"

const until = eventually(false)

export interface Contender {
  readonly name: string
  readonly line: Line
  /**
   * Creates the bucket. The result starts a watch that appends its events to the returned list until the scope closes.
   */
  readonly open: (
    url: string,
    bucket: string,
    scenario: Scenario
  ) => Effect.Effect<Effect.Effect<ReadonlyArray<Seen>, unknown, Scope.Scope>, unknown, Scope.Scope>
}

const toSeen = (event: KVStore.KVEvent, at: number): Seen => {
  switch (event._tag) {
    case "Put": {
      const { key, revision, value } = event.entry
      return { _tag: "Put", at, key, revision, value: Number(textOf(value)) }
    }
    case "Removed":
      return { _tag: "Removed", at, key: event.key, revision: event.revision, reason: event.reason }
    case "Undecodable":
      return { _tag: "Ended", at, why: `the value of ${event.key} cannot be decoded` }
    case "Ready":
      return { _tag: "Ready", at }
  }
}

const recordOurs = Effect.fnUntraced(function*(store: KVStore.KVStore["Service"]) {
  const seen: Array<Seen> = []
  const now = yield* stopwatch
  yield* store.watch().pipe(
    Stream.runForEach((event) => Effect.sync(() => seen.push(toSeen(event, now())))),
    Effect.match({ onFailure: (error) => error.message, onSuccess: () => "the stream ended" }),
    Effect.map((why) => seen.push({ _tag: "Ended", at: now(), why })),
    Effect.forkScoped
  )
  // A snapshot that a fault interrupts starts again, with the last value of each key. Only then must each value arrive.
  yield* until(Effect.sync(() => seen.some(({ _tag }) => _tag === "Ready" || _tag === "Ended")), (isReady) => isReady)
  return seen
})

const overOurClient = (
  name: string,
  line: Line,
  client: (url: string) => Layer.Layer<NatsClient.NatsClient, unknown>
): Contender => ({
  name,
  line,
  open: (url, bucket, { history, storage }) =>
    Effect.map(
      Layer.build(Layer.provide(NatsKVStore.layer({ bucket, storage, historySize: history }), client(url))),
      (context) => recordOurs(Context.get(context, KVStore.KVStore))
    )
})

/** Connection options for connections that are not opened by the library, with the library's own timeouts. */
export const patient = {
  maxReconnectAttempts: -1,
  reconnectTimeWait: 250,
  reconnectJitter: 750,
  timeout: 2000,
  pingInterval: 3000,
  maxPingOut: 2
}

const connected = <C extends { readonly close: () => Promise<void> }>(connect: () => Promise<C>) =>
  Effect.acquireRelease(Effect.tryPromise(connect), (connection) => Effect.promise(() => connection.close()))

const recordTheirs = Effect.fnUntraced(function*(kv: KV) {
  const seen: Array<Seen> = []
  const now = yield* stopwatch
  const watch = yield* Effect.tryPromise(() => kv.watch())
  yield* Effect.addFinalizer(() => Effect.sync(() => watch.stop()))
  const read = async () => {
    for await (const { key, operation, revision, value } of watch) {
      seen.push(
        operation === "PUT"
          ? { _tag: "Put", at: now(), key, revision, value: Number(textOf(value)) }
          : { _tag: "Removed", at: now(), key, revision, reason: operation }
      )
    }
    return "the iterator ended"
  }
  yield* Effect.promise(() => read().catch(String)).pipe(
    Effect.map((why) => seen.push({ _tag: "Ended", at: now(), why })),
    Effect.forkScoped
  )
  // A snapshot that a fault interrupts starts again, with the last value of each key. Only then must each value arrive.
  yield* until(Effect.sync(() => seen.some(({ _tag }) => _tag === "Ready" || _tag === "Ended")), (isReady) => isReady)
  return seen
})

/** The watch of `@nats-io/kv`. */
const theirs = (line: Line): Contender => ({
  name: `@nats-io/kv on ${line}`,
  line,
  open: (url, bucket, { history }) =>
    connected(() => connect({ ...patient, servers: url })).pipe(
      Effect.flatMap((connection) => Effect.tryPromise(() => new Kvm(connection).create(bucket, { history }))),
      Effect.map(recordTheirs)
    )
})

const overTransport = (url: string) => NatsClient.layer({ servers: url })

const overLegacy = (url: string) =>
  Layer.unwrap(
    Effect.map(connected(() => legacy.connect({ ...patient, servers: url })), NatsLegacy.layerFromConnection)
  )

export const ours: ReadonlyArray<Contender> = [
  overOurClient("2.10", "2.10", overTransport),
  overOurClient("2.15", "2.15", overTransport),
  overOurClient("2.15 legacy", "2.15", overLegacy)
]

export const others: ReadonlyArray<Contender> = [theirs("2.10"), theirs("2.15")]
