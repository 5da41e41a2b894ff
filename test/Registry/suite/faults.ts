/** Faults, and the link on which they are done: the way of one process to the store. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as KVStore from "../../../src/KVStore.ts"

export type Store = KVStore.KVStore["Service"]

/** One request to the store. */
interface Call {
  readonly operation: Exclude<keyof KVStore.KVStore["Service"], "config" | "clock">
  /** The key, or the filter. */
  readonly key: string
}

/** What is done in place of a request; `run` does it. */
export type Fault = <A>(
  call: Call,
  run: Effect.Effect<A, KVStore.KVStoreError>
) => Effect.Effect<A, KVStore.KVStoreError>

const errorOf = (call: Call, reason: KVStore.KVStoreReason) =>
  new KVStore.KVStoreError({ bucket: "faulty", operation: call.operation, key: call.key, reason })

/** The store cannot be reached: nothing is sent. */
export const away: Fault = (call) => Effect.fail(errorOf(call, new KVStore.Unavailable({ problem: "cut off" })))

/** Nothing is sent, and nothing is answered. */
export const silent: Fault = () => Effect.never

/** It is done, and the answer is lost. */
export const answerLost: Fault = (call, run) =>
  Effect.andThen(run, Effect.fail(errorOf(call, new KVStore.OutcomeUnknown({ problem: "the answer was lost" }))))

/** It was sent, and lost on the way. */
export const lostOnTheWay: Fault = (call) =>
  Effect.fail(errorOf(call, new KVStore.OutcomeUnknown({ problem: "nobody has seen it" })))

/** Only this operation is faulty. */
export const on = (operation: Call["operation"], fault: Fault): Fault => (call, run) =>
  call.operation === operation ? fault(call, run) : run

/** Faulty so many times, and then no more. */
export const times = (count: number, operation: Call["operation"], fault: Fault): Fault => {
  let left = count
  return (call, run) => Effect.suspend(() => call.operation === operation && left-- > 0 ? fault(call, run) : run)
}

/** Something else happens before it is done. */
export const after = (what: Effect.Effect<unknown, unknown>): Fault => (_, run) =>
  Effect.andThen(Effect.orDie(what), run)

/** The way of one process to the store, which may be disturbed. */
interface Link {
  readonly layer: Layer.Layer<KVStore.KVStore, never, KVStore.KVStore>
  /** From now on; `undefined`: nothing is wrong any more. */
  readonly set: (fault: Fault | undefined) => Effect.Effect<void>
  /** What has been asked for. */
  readonly calls: Array<Call>
  /** How many puts have been answered well. */
  readonly landed: () => number
}

export const makeLink = (): Link => {
  let current: Fault | undefined
  let landed = 0
  const calls: Array<Call> = []
  const through = <A>(call: Call, run: Effect.Effect<A, KVStore.KVStoreError>) =>
    Effect.suspend(() => {
      calls.push(call)
      return current === undefined ? run : current(call, run)
    })
  return {
    calls,
    landed: () => landed,
    set: (fault) =>
      Effect.sync(() => {
        current = fault
      }),
    layer: Layer.effect(
      KVStore.KVStore,
      Effect.map(KVStore.KVStore, (store) => ({
        config: store.config,
        clock: store.clock,
        get: (key) => through({ operation: "get", key }, store.get(key)),
        put: (key, value, options) =>
          Effect.tap(
            through({ operation: "put", key }, store.put(key, value, options)),
            () => Effect.sync(() => landed++)
          ),
        delete: (key, options) => through({ operation: "delete", key }, store.delete(key, options)),
        purge: (key, options) => through({ operation: "purge", key }, store.purge(key, options)),
        history: (key) => through({ operation: "history", key }, store.history(key)),
        keys: (filter = ">") => through({ operation: "keys", key: filter }, store.keys(filter)),
        entries: (filter = ">") => through({ operation: "entries", key: filter }, store.entries(filter)),
        getMany: (keys) => through({ operation: "getMany", key: [...keys].join(" ") }, store.getMany(keys)),
        watch: (filter = ">", options) =>
          Stream.unwrap(
            through({ operation: "watch", key: filter }, Effect.sync(() => store.watch(filter, options)))
          ),
        status: through({ operation: "status", key: "" }, store.status)
      }))
    )
  }
}

export const countOf = (link: Link, operation: Call["operation"]): number =>
  link.calls.filter((call) => call.operation === operation).length

/** Requests that are under way until the gate opens, whatever becomes of who waits for them. */
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
