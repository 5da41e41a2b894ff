import { assert, describe, it } from "@effect/vitest"
import { Aegis, Buckets, Election, KVStore, NatsClient, Registry } from "effect-aegis"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { address, ca, serverTls } from "../support/certificates.ts"
import { temporaryFile } from "../support/files.ts"
import { makeOperator, makeUser } from "../support/operator.ts"

/** Builds the layer twice, each time with its own connection, as two processes would. */
const twice = (layer: Layer.Layer<Aegis.Services, { readonly message: string }>) =>
  Effect.gen(function*() {
    const first = yield* Layer.build(layer)
    const second = yield* Layer.build(Layer.fresh(layer))
    yield* Effect.gen(function*() {
      const registry = yield* Registry.Registry
      const election = yield* Election.Election
      yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
      yield* election.campaign("job", { candidateId: "orders-1" })
    }).pipe(Effect.provide(first))
    yield* Effect.gen(function*() {
      const registry = yield* Registry.Registry
      const election = yield* Election.Election
      assert.deepStrictEqual((yield* registry.list("orders")).map((one): string => one.instanceId), ["orders-1"])
      assert.strictEqual((yield* Effect.fromOption(yield* election.leader("job"))).candidateId, "orders-1")
    }).pipe(Effect.provide(second))
  }).pipe(Effect.scoped)

for (const line of ["2.10", "2.15"] as const) {
  describe(`Aegis, ${line}`, () => {
    it.live("layerNats: one process sees the instance and the leader of another", () =>
      Effect.flatMap(startNatsServer({ line }), ({ url }) => twice(Aegis.layerNats({ servers: url }))))

    it.live("layerNats: the services and the buckets of the program share one connection", () =>
      Effect.gen(function*() {
        class Orders extends KVStore.Service<Orders>()("test/Orders", { bucket: "orders" }) {}
        const { url } = yield* startNatsServer({ line, config: "max_connections: 1" })
        const layer = Layer.provideMerge(Orders.layer, Aegis.layerNats({ servers: url }))
        yield* Effect.gen(function*() {
          yield* (yield* Orders).put("a", new Uint8Array(1))
          const { list } = yield* Buckets.Buckets
          assert.deepStrictEqual(yield* list(), ["orders", "service_election", "service_registry"])
          const { status } = yield* NatsClient.NatsClient
          assert.deepStrictEqual(yield* Stream.runHead(status), Option.some("connected"))
        }).pipe(Effect.provide(layer))
      }))

    it.live("layerConfig: connects by AEGIS_NATS_URL with several servers", () =>
      Effect.flatMap(startNatsServer({ line }), ({ url }) =>
        twice(Layer.provide(
          Aegis.layerConfig(),
          ConfigProvider.layer(ConfigProvider.fromUnknown({ AEGIS_NATS_URL: `${url}, nats://127.0.0.1:1` }))
        ))))

    it.live("layerConfig: connects with a credentials file and a CA file", () =>
      Effect.gen(function*() {
        const operator = makeOperator()
        const config = `${serverTls(address)}\n${operator.config}`
        const { port } = yield* startNatsServer({ line, config })
        const file = yield* temporaryFile(makeUser(operator.account).credentials)
        yield* twice(Layer.provide(
          Aegis.layerConfig(),
          ConfigProvider.layer(ConfigProvider.fromUnknown({
            AEGIS_NATS_URL: `tls://127.0.0.1:${port}`,
            AEGIS_NATS_CREDS: file,
            AEGIS_NATS_CA: ca.file
          }))
        ))
      }))
  })
}
