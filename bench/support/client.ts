/**
 * A client process. It reports that it is ready, receives the time of its end, and runs random operations on the keys
 * of a bucket until then, or until it is killed. It logs each operation before the request, and again with the answer.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import { openSync, writeSync } from "node:fs"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { recorder } from "../../src/testing/Linearizability.ts"
import { type ClientOptions, toLine } from "./clientLog.ts"
import { sharedMillis } from "./sharedClock.ts"

type Store = KVStore.KVStore["Service"]

/** Without a server every operation fails at once. */
const pauseAfterFailure = "20 millis"

const tryAgain = Schedule.spaced("50 millis")

const options: ClientOptions = JSON.parse(process.argv[2]!)

const open = Layer.build(
  NatsKVStore.layer(options.bucket).pipe(Layer.provide(NatsClient.layer({ servers: options.url, name: options.name })))
).pipe(Effect.map(Context.get(KVStore.KVStore)), Effect.retry(tryAgain))

const recorded = () => {
  const log = openSync(options.log, "a")
  return recorder({
    process: options.name,
    now: sharedMillis,
    history: [],
    log: (operation, place) => writeSync(log, toLine(operation, place))
  })
}

/** The last revision of each key that this client knows. A removal returns no revision, so it is not noted here. */
const seen = new Map<string, number>()

const remember = (key: string) => (revision: number) => {
  seen.set(key, revision)
}

const get = (store: Store, key: string) =>
  Effect.map(
    store.get(key),
    Option.match({ onNone: () => seen.delete(key), onSome: ({ revision }) => remember(key)(revision) })
  )

let values = 0

const put = (store: Store, key: string, options?: KVStore.KVOptions) => {
  const value = new TextEncoder().encode(`${process.pid} ${++values}`)
  return Effect.map(store.put(key, value, options), remember(key))
}

/**
 * Chooses an operation by a number from 0 to 1. About half of the deletions are conditioned on the last known revision.
 */
const doSomething = (store: Store, key: string, chance: number): Effect.Effect<unknown, KVStore.KVStoreError> => {
  const revision = seen.get(key)
  if (chance < 0.4) return get(store, key)
  if (chance < 0.55) return put(store, key)
  if (chance < 0.65) return put(store, key, KVStore.KVOptions.createOnly)
  if (chance < 0.7) return put(store, key, KVStore.KVOptions.updateOnly)
  if (chance < 0.88) return put(store, key, KVStore.KVOptions.atRevision(revision ?? 0))
  if (chance < 0.91) return store.purge(key)
  return store.delete(key, chance < 0.95 && revision !== undefined ? { revision } : undefined)
}

const isOutage = ({ reason }: KVStore.KVStoreError) => reason._tag === "Unavailable" || reason._tag === "OutcomeUnknown"

/** The time of the end, by the shared clock. The parent process sends it when this client is ready. */
const toldUntil = Effect.callback<number>((resume) => {
  process.once("message", (until) => resume(Effect.succeed(Number(until))))
  process.send?.("ready")
})

const work = (store: Store, until: number) =>
  Effect.gen(function*() {
    while (sharedMillis() < until) {
      const key = `key.${yield* Random.nextIntBetween(0, options.keys, { halfOpen: true })}`
      const operation = doSomething(store, key, yield* Random.next)
      yield* Effect.catch(operation, (error) => isOutage(error) ? Effect.sleep(pauseAfterFailure) : Effect.void)
    }
  })

const client = Effect.gen(function*() {
  const store = recorded()(yield* open)
  yield* work(store, yield* toldUntil)
})

// The parent process has ended and could not end this client any more.
process.once("disconnect", () => process.exit(1))

await Effect.runPromise(Effect.scoped(client))
process.exit(0)
