/** Buckets that are deleted while services run are recreated, and the services continue. */
import { assert, describe, it } from "@effect/vitest"
import { Aegis, Election, Registry } from "effect-aegis"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Ref from "effect/Ref"
import * as Stream from "effect/Stream"
import { lines } from "../../tools/natsServer/binaries.ts"
import { layerNatsServer, NatsServer } from "../../tools/natsServer/server.ts"

import { eventually } from "../../tools/eventually.ts"
import { layerRaw, Raw } from "../support/natsClient.ts"

const until = eventually(false)

/** A fresh layer with its own connection: to the library, a separate process. */
const aegis = Layer.unwrap(Effect.map(NatsServer, ({ url }) => Layer.fresh(Aegis.layerNats({ servers: url }))))

const drop = (bucket: string) =>
  Effect.flatMap(Raw, ({ manager }) => Effect.promise(() => manager.streams.delete(`KV_${bucket}`)))

for (const line of lines) {
  describe(`services whose bucket is deleted, ${line}`, () => {
    const world = Layer.provideMerge(layerRaw, layerNatsServer(line))

    it.live("an instance registers again after its bucket is deleted, and is listed again within 3 s", () =>
      Effect.gen(function*() {
        const registry = yield* Registry.Registry
        yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" }, {
          heartbeat: "200 millis"
        })
        const seen = yield* Ref.make(0)
        yield* Effect.forkScoped(Stream.runForEach(registry.watch("orders"), () => Ref.update(seen, (n) => n + 1)))
        yield* until(Ref.get(seen), (count) => count >= 2)
        yield* drop("service_registry")
        const alive = Effect.map(registry.list("orders"), (all) => all.map((one): string => one.instanceId))
        yield* until(alive, (ids) => ids.includes("orders-1"), Duration.seconds(3))
      }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(aegis, world))))

    it.live("a leader loses leadership after its bucket is deleted, and the next leader waits for the lease", () =>
      Effect.gen(function*() {
        const timings = Election.fast
        const process = Effect.map(Layer.build(aegis), (context) => Effect.provide(Election.Election, context))
        const first = yield* yield* process
        const second = yield* yield* process
        const leading = yield* first.campaign("job", { candidateId: "first", timings })
        const waiting = yield* Effect.forkScoped(second.campaign("job", { candidateId: "second", timings }))
        yield* until(second.leader("job"), (leader) => leader._tag === "Some")
        const dropped = yield* Clock.currentTimeMillis
        yield* drop("service_election")
        const reason = yield* leading.lost
        assert.include(["removed", "superseded"], reason)
        const next = yield* Effect.race(
          Effect.as(Fiber.join(waiting), "second"),
          Effect.as(first.campaign("job", { candidateId: "first", timings }), "first")
        )
        const waited = (yield* Clock.currentTimeMillis) - dropped
        assert.include(["first", "second"], next)
        assert.isFalse(yield* leading.isValid)
        // The last renewal was at most 0.5 s before the deletion; the lease of 3 s counts from then.
        assert.isAtLeast(waited, 2000)
      }).pipe(Effect.scoped, Effect.provide(world)))
  })
}
