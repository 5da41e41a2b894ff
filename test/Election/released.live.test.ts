/** A fiber of `forkChild` under `Effect.provide` hands over on a real server: the connection closes after the hand-over. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Aegis from "../../src/Aegis.ts"
import * as Election from "../../src/Election.ts"
import * as Registry from "../../src/Registry.ts"
import { lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { logged } from "../support/suite.ts"

for (const line of lines) {
  it.live(`${line}: a program that ends hands over and deregisters, also for its children`, () => {
    const log = logged()
    return Effect.gen(function*() {
      const { url } = yield* startNatsServer({ line })
      const process = Layer.fresh(Aegis.layerNats({ servers: url }))
      const program = Effect.gen(function*() {
        const election = yield* Election.Election
        const registry = yield* Registry.Registry
        const work = Effect.onInterrupt(Effect.never, () => Effect.sleep("100 millis"))
        yield* Effect.forkChild(election.whileLeader("orders", () => work))
        const instance = { serviceName: "orders", instanceId: "one", version: "1.0.0" }
        yield* Effect.forkChild(Effect.scoped(Effect.andThen(registry.register(instance), Effect.never)))
        yield* Effect.sleep("1 second")
        assert.isTrue(Option.isSome(yield* election.leader("orders")))
        assert.lengthOf(yield* registry.list("orders"), 1)
      })
      yield* Effect.provide(program, process)
      yield* Effect.provide(
        Effect.gen(function*() {
          assert.isTrue(Option.isNone(yield* (yield* Election.Election).leader("orders")))
          assert.deepStrictEqual(yield* (yield* Registry.Registry).list("orders"), [])
        }),
        process
      )
    }).pipe(
      Effect.scoped,
      Effect.provide(log.layer),
      Effect.ensuring(Effect.sync(() => assert.deepStrictEqual(log.troubles(), [])))
    )
  }, 30_000)
}
