/** Fixtures of this folder: servers, clients, and the check of an error's reason, `isRetryable` and message. */
import { assert } from "@effect/vitest"
import { jetstreamManager, type StreamConfig } from "@nats-io/jetstream"
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
import { startNatsServer } from "../../../tools/natsServer/server.ts"
import { Raw } from "../../support/natsClient.ts"
import type { Store } from "../../support/suite.ts"
import type { World } from "../../support/worlds.ts"

export type Test<R = never> = (title: string, body: () => Effect.Effect<void, unknown, R | Scope.Scope>) => void

/** Tests that share one server. */
export type Shared = Test<NatsClient.NatsClient | Raw>

export const until = eventually(false)

export interface Expected<Tag extends KVStore.KVStoreReason["_tag"]> {
  /** The operation, and its key if it has one. */
  readonly at: string
  readonly reason: Tag
  /** Parts of the expected message. */
  readonly says?: ReadonlyArray<string>
  readonly isRetryable?: boolean
  /** Longest duration in milliseconds; far below the 5 s timeout of an operation. */
  readonly within?: number
}

/** Asserts that the attempt fails in time with the expected reason and message, and returns the reason. */
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

/** Every operation of a store, by its name in errors. */
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

/** Opens a store over the client in the context. */
export const open = (options: KVStore.BucketOptions) =>
  Effect.map(Layer.build(NatsKVStore.layer(options)), Context.get(KVStore.KVStore))

export const streams = Effect.map(Raw, ({ manager }) => manager.streams)

/** Opens a store over a separate client. */
export const openAt = (url: string, options: KVStore.BucketOptions) =>
  Effect.map(
    Layer.build(Layer.provide(NatsKVStore.layer(options), NatsClient.layer({ servers: url }))),
    Context.get(KVStore.KVStore)
  )

/** The streams of a server, without this library. */
export const managerAt = (url: string) =>
  Effect.flatMap(
    Effect.acquireRelease(
      Effect.promise(() => connect({ servers: url })),
      (connection) => Effect.promise(() => connection.close())
    ),
    (connection) => Effect.promise(() => jetstreamManager(connection))
  )

/** Creates a bucket as another client could, with any settings. */
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

/** A user whose password is its name. */
export const named = (user: string): User => ({ user, password: user })

/** The members of both clients' connections that tests use. */
interface Theirs {
  readonly close: () => Promise<void>
  readonly drain: () => Promise<void>
}

/** Opens a connection that the test closes. */
export const connectionTo = ({ client }: World, options: { readonly servers: string } & Partial<User>) => {
  const { password: pass, servers, user } = options
  const login = user === undefined || pass === undefined ? {} : { user, pass }
  const settings = { servers, ...login, maxReconnectAttempts: -1, reconnectTimeWait: 250 }
  return Effect.acquireRelease(
    Effect.promise<Theirs>(() => client === "current" ? connect(settings) : connectLegacy(settings)),
    (connection) => Effect.promise(() => connection.close())
  )
}

/** A client of this library on an existing connection. */
export const clientOver = ({ client }: World, connection: unknown) =>
  client === "current" ? NatsClient.layerFromConnection(connection) : NatsLegacy.layerFromConnection(connection)

/** Starts a server for one test, and returns it with constructors of its clients. */
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
