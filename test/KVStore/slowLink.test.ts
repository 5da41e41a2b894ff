/** Listings over a slow link: the timeout limits each request, not the listing as a whole. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import { bytes } from "../../tools/values.ts"
import { numbers, reasonOf, type Store } from "../support/suite.ts"

const keys = numbers(160).map((n) => `k.${n}`)

/** Each request takes 200 ms, and a listing of these keys several requests in sequence. */
const timeout = "500 millis"

const listings: ReadonlyArray<
  readonly [name: string, list: (store: Store) => Effect.Effect<number, KVStore.KVStoreError>]
> = [
  ["keys", (store) => Effect.map(store.keys(), ({ length }) => length)],
  ["entries", (store) => Effect.map(store.entries(), ({ length }) => length)],
  ["getMany", (store) => Effect.map(store.getMany(keys), ({ size }) => size)]
]

/** Runs a test with a store on a slow link to a simulated 2.10 server, which has no batch requests. */
const onSlowLink = <E>(
  test: (store: Store, simulation: Simulation.Simulation["Service"]) => Effect.Effect<void, E>
) =>
  Simulation.run(
    Effect.gen(function*() {
      const simulation = yield* Simulation.Simulation
      const node = yield* simulation.node("a")
      yield* node.run(Effect.scoped(Effect.gen(function*() {
        const context = yield* Layer.build(Layer.provide(NatsKVStore.layer({ bucket: "b", timeout }), node.client))
        const store = Context.get(context, KVStore.KVStore)
        yield* Effect.forEach(keys, (key) => store.put(key, bytes(key)), { concurrency: 16 })
        yield* node.link({ minDelay: "100 millis", maxDelay: "100 millis" })
        yield* test(store, simulation)
      })))
    }),
    { server: "2.10" }
  )

describe("a listing over a slow link", () => {
  for (const [name, list] of listings) {
    it.effect(`${name} may take longer than the timeout in total`, () =>
      onSlowLink((store, { now }) =>
        Effect.gen(function*() {
          const start = yield* now
          assert.strictEqual(yield* list(store), keys.length)
          assert.isAbove((yield* now) - start, 500)
        })
      ))

    it.effect(`${name} fails with Unavailable when the server does not answer any more`, () =>
      onSlowLink((store, { now, pauseServer }) =>
        Effect.gen(function*() {
          const start = yield* now
          yield* Effect.forkChild(Effect.andThen(Effect.sleep("450 millis"), pauseServer("1 minute")))
          yield* reasonOf(list(store), "Unavailable")
          // Three timeouts, and the wait for the deletion of the consumer.
          assert.isAtMost((yield* now) - start, 1750)
        })
      ))
  }
})
