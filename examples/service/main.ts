/**
 * One process of a service: it counts orders in a bucket, registers with its port, and one of all processes writes the
 * report. Start several with the same `AEGIS_NATS_URL`; `npm run example:service` starts two, with a server.
 */
import { NodeHttpServer, NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Layer, Option } from "effect"
import { Aegis, Election, KVStore, Registry } from "effect-aegis"
import { HttpRouter, HttpServer } from "effect/http"
import { HttpApiBuilder, HttpApiError } from "effect/http-api"
import { createServer } from "node:http"
import { Api, Count } from "./api.ts"

const name = process.argv[2] ?? "orders-1"

// -----------------------------------------------------------------------------
// coordination
// -----------------------------------------------------------------------------

/** The counts are a bucket of the program, on the connection of the registry and the elections. */
class Counts extends KVStore.TypedService<Counts>()("example/Counts", { bucket: "counts", schema: Count }) {}

/** Registered once the HTTP server listens, with its port. Load balancers have a second to notice that it leaves. */
const Instance = Registry.layerInstance(
  Effect.map(HttpServer.HttpServer, ({ address }) => ({
    serviceName: "orders",
    instanceId: name,
    version: "1.0.0",
    port: "port" in address ? address.port : undefined
  })),
  { drain: { timeout: "1 second" } }
)

/** Runs in one process at a time; another process takes over if that one ends, crashes or is cut off. */
const Report = Election.layerSingleton(
  "report",
  Counts.use((counts) => counts.entries()).pipe(
    Effect.flatMap((all) =>
      Console.log(`${name} reports ${all.map(({ key, value }) => `${value} ${key}`).join(", ") || "no orders"}`)
    ),
    Effect.catch((error) => Effect.logWarning("no report", error.message)),
    Effect.delay("1 second"),
    Effect.forever
  ),
  { candidateId: name }
)

const Coordination = Layer.merge(Instance, Report)

// -----------------------------------------------------------------------------
// HTTP
// -----------------------------------------------------------------------------

const Handlers = HttpApiBuilder.group(Api, "orders", (handlers) =>
  handlers
    .handle("order", ({ params: { article } }) =>
      Effect.gen(function*() {
        const counts = yield* Counts
        // Repeated by compare-and-set if another process has counted in between.
        const { value } = yield* counts.modifyEffect(article, (count) => {
          const next = Option.getOrElse(count, () => 0) + 1
          return Effect.succeed([next, Option.some(next)])
        })
        return value
      }).pipe(Effect.orDie))
    .handle("health", () =>
      Effect.flatMap(
        Aegis.health,
        (health) => health.ready ? Effect.succeed(health) : Effect.fail(new HttpApiError.ServiceUnavailable())
      )))

const Http = HttpRouter.serve(HttpApiBuilder.layer(Api).pipe(Layer.provide(Handlers)), { disableLogger: true })

// What is built on another layer is released first: the server answers while the instance drains.
const Live = Coordination.pipe(
  Layer.provideMerge(Http),
  Layer.provide(Counts.layer),
  Layer.provide(NodeHttpServer.layer(createServer, { port: 0 })),
  Layer.provide(Aegis.layerConfig())
)

NodeRuntime.runMain(Layer.launch(Live))
