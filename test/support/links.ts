/** The link of one process to the store, and the faults that a test injects on it. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { Current } from "../../src/internal/broadcast.ts"
import { keepReachability, type Reachability } from "../../src/internal/reachability.ts"
import { keepValueLimit, valueLimitOf } from "../../src/internal/valueLimit.ts"
import * as KVStore from "../../src/KVStore.ts"

/** One request to the store. */
export interface Call {
  readonly operation: Exclude<keyof KVStore.KVStore["Service"], "config" | "clock">
  /** The key, or the filter. */
  readonly key: string
  /** Time of sending in milliseconds, by the monotonic clock. */
  readonly sentAt: number
  /** The value of a put, and its condition. */
  readonly value?: Uint8Array
  readonly options?: KVStore.KVOptions | undefined
}

/** Replaces a request. `run` is the request itself. */
export type Fault = <A>(
  call: Call,
  run: Effect.Effect<A, KVStore.KVStoreError>
) => Effect.Effect<A, KVStore.KVStoreError>

const failing = (reason: KVStore.KVStoreReason): Fault => ({ key, operation }) =>
  Effect.fail(new KVStore.KVStoreError({ bucket: "faulty", operation, key, reason }))

/** Fails with `Unavailable`; nothing is sent. */
export const away: Fault = failing(new KVStore.Unavailable({ problem: "disconnected" }))

/** Fails as on a connection that the program has closed. */
export const closed: Fault = failing(new KVStore.Unavailable({ problem: "the connection was closed", isClosed: true }))

/** Sends nothing, and never answers. */
export const silent: Fault = () => Effect.never

/** Applies the request, and fails with `OutcomeUnknown`. */
export const answerLost: Fault = (call, run) =>
  Effect.andThen(run, failing(new KVStore.OutcomeUnknown({ problem: "the answer was lost" }))(call, run))

/** Does not apply the request, and fails with `OutcomeUnknown`. */
export const lostOnTheWay: Fault = failing(new KVStore.OutcomeUnknown({ problem: "the request was lost" }))

/** Applies the request, and never answers. */
export const unanswered: Fault = (_, run) => Effect.andThen(run, Effect.never)

/** Applies the request, and fails with `RevisionMismatch`. */
export const answeredAsConflict: Fault = (call, run) =>
  Effect.andThen(run, failing(new KVStore.RevisionMismatch({ expected: 1 }))(call, run))

/** Fails with `RevisionMismatch` without another write, as servers do for most of several concurrent writes. */
export const conflict: Fault = failing(new KVStore.RevisionMismatch({ expected: 1 }))

export const denied: Fault = failing(new KVStore.PermissionDenied({ subject: "faulty" }))

export const full: Fault = failing(
  new KVStore.StorageFull({ scope: "server", code: 10047, description: "insufficient resources" })
)

export const missing: Fault = failing(new KVStore.BucketNotFound())

export const tooLarge: Fault = failing(new KVStore.ValueTooLarge({ size: 2000 }))

/** Applies the fault to these operations only. */
export const on =
  (operations: Call["operation"] | ReadonlyArray<Call["operation"]>, fault: Fault): Fault => (call, run) =>
    operations.includes(call.operation) ? fault(call, run) : run

/** Applies the fault to the first `count` requests of an operation. */
export const times = (count: number, operation: Call["operation"], fault: Fault): Fault => {
  let left = count
  return (call, run) => Effect.suspend(() => call.operation === operation && left-- > 0 ? fault(call, run) : run)
}

/** Runs `what` before the request. */
export const after = (what: Effect.Effect<unknown, unknown>): Fault => (_, run) =>
  Effect.andThen(Effect.orDie(what), run)

/** The link of one process to the store. */
export interface Link {
  readonly layer: Layer.Layer<KVStore.KVStore, never, KVStore.KVStore>
  /** Sets the fault for all later requests; `undefined` removes it. */
  readonly set: (fault: Fault | undefined) => Effect.Effect<void>
  /** Sets the pause before each event of a watch. */
  readonly lag: (pause: Effect.Effect<void>) => Effect.Effect<void>
  /** Cuts the process off: its watches receive nothing until `heal`, and the store knows that it is out of reach. */
  readonly cut: Effect.Effect<void>
  readonly heal: Effect.Effect<void>
  /** Sets the largest value that the connection can send, in bytes. */
  readonly limit: (bytes: number) => Effect.Effect<void>
  /** Fails every open watch. */
  readonly loseWatches: Effect.Effect<void>
  /** All requests so far. */
  readonly calls: Array<Call>
  /** The puts that succeeded, in order. */
  readonly landed: Array<Call>
  /** The gets that were answered, in order. */
  readonly reads: Array<Call>
}

export const makeLink = (): Link => {
  let current: Fault | undefined
  let lag = Effect.void
  let largest = Number.POSITIVE_INFINITY
  const reached = Latch.makeUnsafe(true)
  const reach = new Current<Reachability>({ _tag: "Reachable", at: 0 })
  const setReach = (_tag: Reachability["_tag"]) =>
    Effect.clockWith((clock) =>
      Effect.sync(() => reach.set({ _tag, at: Number(clock.monotonicTimeNanosUnsafe()) / 1e6 }))
    )
  let watching = Deferred.makeUnsafe<never, KVStore.KVStoreError>()
  const calls: Array<Call> = []
  const landed: Array<Call> = []
  const reads: Array<Call> = []
  const succeeded: { readonly [operation: string]: Array<Call> } = { put: landed, get: reads }
  const through = <A>(call: Omit<Call, "sentAt">, run: Effect.Effect<A, KVStore.KVStoreError>) =>
    Effect.clockWith((clock) => {
      const sent = { ...call, sentAt: Number(clock.monotonicTimeNanosUnsafe()) / 1e6 }
      calls.push(sent)
      const answer = current === undefined ? run : current(sent, run)
      return Effect.tap(answer, () => Effect.sync(() => succeeded[call.operation]?.push(sent)))
    })
  return {
    calls,
    landed,
    reads,
    set: (fault) =>
      Effect.sync(() => {
        current = fault
      }),
    lag: (pause) =>
      Effect.sync(() => {
        lag = pause
      }),
    limit: (bytes) =>
      Effect.sync(() => {
        largest = bytes
      }),
    cut: Effect.andThen(reached.close, setReach("Unreachable")),
    heal: Effect.andThen(setReach("Reachable"), reached.open),
    loseWatches: Effect.suspend(() => {
      const lost = watching
      watching = Deferred.makeUnsafe()
      return Effect.asVoid(Deferred.complete(lost, away({ operation: "watch", key: "", sentAt: 0 }, Effect.never)))
    }),
    layer: Layer.effect(
      KVStore.KVStore,
      Effect.map(KVStore.KVStore, (store) =>
        keepValueLimit(
          keepReachability({
            config: store.config,
            clock: store.clock,
            get: (key, options) => through({ operation: "get", key }, store.get(key, options)),
            put: (key, value, options) =>
              through({ operation: "put", key, value, options }, store.put(key, value, options)),
            delete: (key, options) => through({ operation: "delete", key }, store.delete(key, options)),
            purge: (key, options) => through({ operation: "purge", key }, store.purge(key, options)),
            history: (key, options) => through({ operation: "history", key }, store.history(key, options)),
            keys: (filter = ">") => through({ operation: "keys", key: String(filter) }, store.keys(filter)),
            entries: (filter = ">") => through({ operation: "entries", key: String(filter) }, store.entries(filter)),
            getMany: (keys) => through({ operation: "getMany", key: [...keys].join(" ") }, store.getMany(keys)),
            stream: (filter) => store.stream(filter),
            watch: (filter = ">", options) =>
              Stream.unwrap(
                through({ operation: "watch", key: String(filter) }, Effect.sync(() => store.watch(filter, options)))
              )
                .pipe(
                  Stream.tap(() => Effect.andThen(reached.await, lag)),
                  Stream.interruptWhen(Effect.suspend(() => Deferred.await(watching)))
                ),
            purgeTombstones: (options) => store.purgeTombstones(options),
            status: through({ operation: "status", key: "" }, store.status)
          }, reach.changes),
          () => Math.min(largest, valueLimitOf(store))
        ))
    )
  }
}

export const countOf = (link: Link, operation: Call["operation"]): number =>
  link.calls.filter((call) => call.operation === operation).length

/** A fault that holds requests in flight until `open`, even if their callers are interrupted. */
export const delayed = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const gate = Latch.makeUnsafe(false)
  const outcomes: Array<string> = []
  const fault: Fault = (_, run) =>
    Effect.flatMap(
      Effect.forkIn(
        gate.await.pipe(
          Effect.andThen(run),
          Effect.tap(() => Effect.sync(() => outcomes.push("landed"))),
          Effect.tapError((error) => Effect.sync(() => outcomes.push(error.reason._tag)))
        ),
        scope
      ),
      Fiber.join
    )
  return { fault, outcomes, open: gate.open }
})
