/** How the cases of this folder ask for an error: its reason, whether it is worth another attempt, and its words. */
import { assert } from "@effect/vitest"
import type { StreamConfig } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { connect as connectLegacy } from "nats"
import * as KVStore from "../../../src/KVStore.ts"
import * as NatsClient from "../../../src/NatsClient.ts"
import * as NatsKVStore from "../../../src/NatsKVStore.ts"
import * as NatsLegacy from "../../../src/NatsLegacy.ts"
import { eventually } from "../../../tools/eventually.ts"
import type { Line } from "../../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../../tools/natsServer/server.ts"
import { Raw } from "../../support/natsClient.ts"
import type { Store } from "../../support/suite.ts"

/** What a case runs on: a line of servers, and this library over one of the two clients. */
export interface World {
  readonly line: Line
  readonly client: "current" | "legacy"
}

export type Test<R = never> = (title: string, body: () => Effect.Effect<void, unknown, R | Scope.Scope>) => void

/** The cases that one server serves. */
export type Shared = Test<NatsClient.NatsClient | Raw>

export const until = eventually(false)

export interface Expected<Tag extends KVStore.KVStoreReason["_tag"]> {
  /** Where: the operation, and the key where there is one. */
  readonly at: string
  readonly reason: Tag
  /** What its message has to say. */
  readonly says?: ReadonlyArray<string>
  readonly isRetryable?: boolean
  /** Milliseconds; far below the five seconds that an operation has. */
  readonly within?: number
}

/** Fails as it has to, in the words that it has to, and in time; the reason. */
export const refused = Effect.fnUntraced(function*<A, R, Tag extends KVStore.KVStoreReason["_tag"]>(
  attempt: Effect.Effect<A, KVStore.KVStoreError, R>,
  { at, isRetryable = false, reason, says = [], within = 1000 }: Expected<Tag>
) {
  const clock = yield* Clock.Clock
  const before = clock.monotonicTimeNanosUnsafe()
  const error = yield* Effect.flip(attempt)
  const millis = Number(clock.monotonicTimeNanosUnsafe() - before) / 1_000_000
  assert.deepStrictEqual([error.reason._tag, error.isRetryable], [reason, isRetryable], error.message)
  const where = error.bucket === undefined ? at : `${at} in bucket "${error.bucket}"`
  for (const words of [`${where}: `, error.reason.message, ...says]) assert.include(error.message, words)
  assert.isBelow(millis, within)
  return error.reason as Extract<KVStore.KVStoreReason, { readonly _tag: Tag }>
})

/** What every operation of a store does, by the name that an error gives it. */
export const everyOperation = (
  store: Store
): ReadonlyArray<
  readonly [at: string, kind: "read" | "write", attempt: Effect.Effect<unknown, KVStore.KVStoreError>]
> => {
  const value = new Uint8Array(1)
  return [
    [`get "a"`, "read", store.get("a")],
    [`put "a"`, "write", store.put("a", value)],
    [`put "a"`, "write", store.put("a", value, KVStore.KVOptions.createOnly)],
    [`put "a"`, "write", store.put("a", value, KVStore.KVOptions.atRevision(1))],
    [`delete "a"`, "write", store.delete("a")],
    [`purge "a"`, "write", store.purge("a")],
    [`history "a"`, "read", store.history("a")],
    [`keys ">"`, "read", store.keys()],
    [`entries ">"`, "read", store.entries()],
    ["getMany", "read", store.getMany(["a", "b"])],
    ["status", "read", store.status]
  ]
}

/** A store over the client that is there. */
export const open = (options: KVStore.BucketOptions) =>
  Effect.map(Layer.build(NatsKVStore.layer(options)), Context.get(KVStore.KVStore))

export const streams = Effect.map(Raw, ({ manager }) => manager.streams)

/** A bucket that others made as they like. */
export const addStream = (bucket: string, settings: Partial<StreamConfig> = {}) =>
  Effect.flatMap(
    streams,
    (streams) =>
      Effect.promise(() =>
        streams.add({ name: `KV_${bucket}`, subjects: [`$KV.${bucket}.>`], max_msgs_per_subject: 1, ...settings })
      )
  )

export interface User {
  readonly user: string
  readonly password: string
}

/** What users of one server have in common: their passwords are their names. */
export const named = (user: string): User => ({ user, password: user })

/** What the two clients' connections have in common, as far as a test needs it. */
interface Theirs {
  readonly close: () => Promise<void>
  readonly drain: () => Promise<void>
}

/** A connection that is the test's own. */
export const connectionTo = ({ client }: World, options: { readonly servers: string } & Partial<User>) => {
  const { password: pass, servers, user } = options
  const login = user === undefined || pass === undefined ? {} : { user, pass }
  const settings = { servers, ...login, maxReconnectAttempts: -1, reconnectTimeWait: 250 }
  return Effect.acquireRelease(
    Effect.promise<Theirs>(() => client === "current" ? connect(settings) : connectLegacy(settings)),
    (connection) => Effect.promise(() => connection.close())
  )
}

/** The library on it. */
export const clientOver = ({ client }: World, connection: unknown) =>
  client === "current" ? NatsClient.layerFromConnection(connection) : NatsLegacy.layerFromConnection(connection)

/** A server of the test's own, and clients of it. */
export const server = Effect.fnUntraced(function*(world: World, config?: string) {
  const started = yield* startNatsServer({ line: world.line, config })
  const clientFor = (user?: User) =>
    world.client === "current"
      ? NatsClient.layer({
        servers: started.url,
        ...(user === undefined ? {} : { user: user.user, password: Redacted.make(user.password) })
      })
      : Layer.unwrap(
        Effect.map(
          connectionTo(world, { servers: started.url, ...user }),
          (connection) => clientOver(world, connection)
        )
      )
  return {
    ...started,
    clientFor,
    openAs: (user: User | undefined, options: KVStore.BucketOptions) =>
      Effect.map(
        Layer.build(Layer.provide(NatsKVStore.layer(options), clientFor(user))),
        Context.get(KVStore.KVStore)
      )
  }
})
