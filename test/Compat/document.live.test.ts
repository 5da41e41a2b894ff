/** The cleanup loop of AegisSDK's document on real servers, after an outage: nobody who was only slow is banned. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Aegis from "../../src/Aegis.ts"
import * as Compat from "../../src/Compat.ts"
import * as Registry from "../../src/Registry.ts"
import { eventually } from "../../tools/eventually.ts"
import { lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { logged, numbers } from "../support/suite.ts"
import { cleanupExpiredServices } from "./loop.ts"

const until = eventually(false)
const maxAge = 3000

const idsIn = (registry: Registry.Registry["Service"]) =>
  Effect.map(registry.list("orders"), (instances) => instances.map(({ instanceId }) => instanceId))

describe("the cleanup loop of the document", { concurrent: true }, () => {
  for (const line of lines) {
    it.live(
      `${line}: removes nobody for good after the server was stopped for twice maxAge`,
      () =>
        Effect.gen(function*() {
          const server = yield* startNatsServer({ line })
          const options = { servers: server.url, registry: { maxAge, heartbeat: "700 millis" } } as const
          const build = Layer.build(Layer.fresh(Aegis.layerNats(options)))
          const owner = yield* Effect.provide(Registry.Registry, yield* build)
          const cleaner = yield* build
          const registry = yield* Effect.provide(Registry.Registry, cleaner)
          const registrations = yield* Effect.forEach(
            numbers(5),
            (index) => owner.register({ serviceName: "orders", instanceId: `i${index}`, version: "1.0.0" })
          )
          const all = registrations.map((_, index) => `i${index}`)
          yield* server.pause
          yield* Effect.sleep(2 * maxAge)
          yield* server.resume
          // The first call that is answered judges by the ages, in which the outage counts.
          yield* until(
            Effect.option(Effect.provide(cleanupExpiredServices(maxAge / 1000), cleaner)),
            (outcome) => outcome._tag === "Some"
          )
          yield* until(idsIn(registry), (ids) => ids.length === all.length)
          for (const registration of registrations) {
            const lost = yield* Effect.forkChild(registration.lost)
            yield* Effect.yieldNow
            assert.isUndefined(lost.pollUnsafe())
          }
          assert.deepStrictEqual(yield* idsIn(registry), all)
          yield* Effect.provide(Compat.cleanupExpiredServices(maxAge / 1000), cleaner)
          assert.deepStrictEqual(yield* idsIn(registry), all)
        }).pipe(Effect.scoped, Effect.provide(logged().layer)),
      60_000
    )
  }
})
