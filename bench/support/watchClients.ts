/**
 * The clients of `bench/bigWatches.ts`: one connection each, with watches, with writes to another bucket, and with
 * a candidate in an election if the client has elections.
 */
import { type KvEntry, Kvm } from "@nats-io/kv"
import { connect } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Election from "../../src/Election.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { patient } from "../../tools/watchFaults/contenders.ts"
import { value } from "./store.ts"

/** The next events of a watch. */
interface Events {
  readonly count: number
  /** Whether the snapshot is complete with these events. */
  readonly ready: boolean
}

/** An open watch: waits for the next events and drops them. */
export type Watch = Effect.Effect<Events, unknown>

export interface WatchClient {
  /** How many times the connection was lost. */
  readonly linksLost: () => number
  /** How many times the candidate lost its leadership. Undefined: the client has no elections. */
  readonly leadershipLost: () => number | undefined
  readonly put: Effect.Effect<unknown, unknown>
  /** Opens a bucket that exists. The result opens a watch of all its keys. */
  readonly bucket: (name: string) => Effect.Effect<Effect.Effect<Watch, unknown, Scope.Scope>, unknown, Scope.Scope>
}

/** A client that can connect. */
export interface WatchClientMaker {
  readonly name: "this library" | "@nats-io/kv"
  readonly connect: (url: string) => Effect.Effect<WatchClient, unknown, Scope.Scope>
}

/** The bucket of the writes. */
const writtenBucket = "written"

/** Leads as often as possible until the scope closes. Returns when the candidate leads, with a count of the losses. */
const lead = Effect.fnUntraced(function*(store: KVStore.KVStore["Service"]) {
  const election = yield* Election.make({ timings: Election.fast }).pipe(Effect.provideService(KVStore.KVStore, store))
  const leads = yield* Deferred.make<void, Election.ElectionError>()
  let lost = 0
  yield* election.campaign("big-watches").pipe(
    Effect.tap(() => Deferred.succeed(leads, undefined)),
    Effect.flatMap((leadership) => leadership.lost),
    Effect.map(() => lost++),
    Effect.scoped,
    Effect.forever,
    Effect.onError((cause) => Deferred.failCause(leads, cause)),
    Effect.forkScoped
  )
  yield* Deferred.await(leads)
  return () => lost
})

const ours: WatchClientMaker = {
  name: "this library",
  connect: Effect.fnUntraced(function*(url) {
    const client = Context.get(
      yield* Layer.build(NatsClient.layer({ servers: url })),
      NatsClient.NatsClient
    )
    const open = (bucket: string) => Effect.provideService(NatsKVStore.make({ bucket }), NatsClient.NatsClient, client)
    let linksLost = 0
    yield* client.status.pipe(
      Stream.runForEach((status) => Effect.sync(() => status === "disconnected" && linksLost++)),
      Effect.forkScoped
    )
    const written = yield* open(writtenBucket)
    const leadershipLost = yield* lead(yield* open("elections"))
    return {
      linksLost: () => linksLost,
      leadershipLost,
      put: written.put("key", value),
      bucket: (name) =>
        Effect.map(open(name), (store) =>
          Effect.map(
            Stream.toPull(store.watch()),
            Effect.map((events) => ({ count: events.length, ready: events.some(({ _tag }) => _tag === "Ready") }))
          ))
    }
  })
}

/** An error of the other client. */
class CallFailed extends Data.TaggedError("CallFailed")<{ readonly cause: unknown }> {}

/** Calls the other client. */
const call = <A>(run: () => Promise<A>): Effect.Effect<A, CallFailed> =>
  Effect.tryPromise({ try: run, catch: (cause) => new CallFailed({ cause }) })

const nextOf = (entries: AsyncIterator<KvEntry & { readonly isUpdate: boolean }>): Watch =>
  Effect.map(
    call(() => entries.next()),
    ({ done, value }) => {
      if (done === true) throw new Error("the watch has ended")
      return { count: 1, ready: value.isUpdate }
    }
  )

const theirs: WatchClientMaker = {
  name: "@nats-io/kv",
  connect: Effect.fnUntraced(function*(url) {
    const connection = yield* Effect.acquireRelease(
      call(() => connect({ ...patient, servers: url })),
      (connection) => Effect.promise(() => connection.close())
    )
    let linksLost = 0
    const countLosses = async () => {
      for await (const { type } of connection.status()) if (type === "disconnect") linksLost++
    }
    yield* Effect.forkScoped(Effect.promise(countLosses))
    const kvm = new Kvm(connection)
    const written = yield* call(() => kvm.create(writtenBucket))
    return {
      linksLost: () => linksLost,
      leadershipLost: () => undefined,
      put: call(() => written.put("key", value)),
      bucket: (name) =>
        Effect.map(
          call(() => kvm.open(name)),
          (kv) =>
            Effect.acquireRelease(call(() => kv.watch()), (watch) => Effect.sync(() => watch.stop())).pipe(
              Effect.map((watch) => nextOf(watch[Symbol.asyncIterator]()))
            )
        )
    }
  })
}

export const watchClients: ReadonlyArray<WatchClientMaker> = [ours, theirs]
