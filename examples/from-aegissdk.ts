/**
 * AegisSDK's cleanup of expired services beside this library's, in six seconds: a service of AegisSDK for Python and two of this
 * library register in one bucket, and stop.
 *
 *   node from-aegissdk.ts                        in the memory of this process
 *   AEGIS_NATS_URL=... node from-aegissdk.ts     on a NATS server
 *   node from-aegissdk.ts --nats                 the same on nats://127.0.0.1:4222, if the variable is not set
 *
 * The names in effect-aegis/Compat print a deprecation warning: `node --no-deprecation` leaves it out.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Clock, Config, Console, Data, DateTime, Effect, Layer, Logger, Option, Schedule, Stdio } from "effect"
import { Buckets, KVStore, NatsClient, Registry } from "effect-aegis"
import * as Compat from "effect-aegis/Compat"

const bucket = "aegis_example_registry"
const maxAgeSeconds = 2
const beat = "500 millis"

/** Prints a line with the time since the start of the program. */
const print = (text: string) =>
  Effect.flatMap(Clock.monotonicTimeNanos, (now) => {
    const seconds = (Number(now - startedAt) / 1e9).toFixed(2)
    return Console.log(`${seconds.padStart(6)} s  ${text}`)
  })
const startedAt = Effect.runSync(Clock.monotonicTimeNanos)

class NotSeen extends Data.TaggedError("NotSeen")<{ readonly message: string }> {}

/** Each wait below takes at most 3 s. */
const longestWait = "10 seconds"

/** Reads until the answer is as expected. */
const waitFor = <A, E, R>(what: string, read: Effect.Effect<A, E, R>, isExpected: (answer: A) => boolean) =>
  read.pipe(
    Effect.repeat({ until: isExpected, schedule: Schedule.spaced("50 millis") }),
    Effect.timeoutOrElse({
      duration: longestWait,
      orElse: () => new NotSeen({ message: `${what}: not seen within ${longestWait}` })
    })
  )

/** What a process of AegisSDK does: `registry.update_heartbeat(instance, ttl_seconds=30)` in a loop. */
const pythonHeartbeat = Effect.gen(function*() {
  const store = yield* KVStore.KVStore
  const now = yield* DateTime.now
  const record = {
    serviceName: "orders",
    instanceId: "python-1",
    version: "1.2.0",
    status: "ACTIVE",
    lastHeartbeat: DateTime.formatIso(now).replace("Z", "+00:00"),
    metadata: {}
  }
  yield* store.put("service-instances__orders__python-1", new TextEncoder().encode(JSON.stringify(record)))
})

const ids = (instances: ReadonlyArray<Registry.ServiceInstance>) =>
  instances.map(({ instanceId }) => instanceId).join(", ") || "none"

const listed = Registry.Registry.use((registry) => Effect.map(registry.list("orders"), ids))

/** `is_expired` and `cleanup_expired_services` of AegisSDK's document, line by line. */
const cleanupExpiredServices = Effect.gen(function*() {
  const allServices = yield* Compat.listAllServices
  for (const [serviceName, instances] of allServices) {
    for (const instance of instances) {
      if (yield* Compat.isExpired(instance, maxAgeSeconds)) {
        yield* Compat.deregister(serviceName, instance.instanceId)
        yield* print(`the loop of the document has removed ${instance.instanceId}`)
      }
    }
  }
})

const program = Effect.gen(function*() {
  const registry = yield* Registry.Registry
  const repeated = Effect.repeat(pythonHeartbeat, Schedule.upTo(Schedule.spaced(beat), { times: 3 }))
  yield* Effect.forkScoped(repeated)
  yield* registry.register({ serviceName: "orders", instanceId: "effect-1", version: "2.0.0" })
  // A process that crashes: it sends one heartbeat, and no more.
  yield* registry.heartbeat({ serviceName: "orders", instanceId: "effect-2", version: "2.0.0" })
  yield* print(`live: ${yield* waitFor("three instances", listed, (all) => all === "effect-1, effect-2, python-1")}`)
  yield* print(`live: ${yield* waitFor("the expiry of effect-2", listed, (all) => all === "effect-1, python-1")}`)
  yield* cleanupExpiredServices
  yield* print(`live: ${yield* waitFor("the expiry of python-1", listed, (all) => all === "effect-1")}`)
  const { removed } = yield* registry.cleanup()
  for (const { instance, reason } of removed) yield* print(`cleanup has removed ${instance}: ${reason}`)
  const left = yield* registry.list("orders", { includeExpired: true })
  yield* print(`stored: ${ids(left)}`)
}).pipe(Effect.scoped)

/** One bucket, as the registry and the process of AegisSDK share it. */
const Shared = Registry.layer({ maxAge: `${maxAgeSeconds} seconds`, heartbeat: beat, readLegacyKeys: true }).pipe(
  Layer.provideMerge(KVStore.layer({ bucket, streamMaxAge: "1 minute" }))
)

const url = Config.String("AEGIS_NATS_URL")

const OnNats = Buckets.layerNats.pipe(
  Layer.provide(NatsClient.layerConfig({
    servers: Config.withDefault(url, "nats://127.0.0.1:4222"),
    name: Config.succeed("from-aegissdk")
  }))
)

const main = Effect.gen(function*() {
  const args = yield* Effect.flatMap(Stdio.Stdio, (stdio) => stdio.args)
  const needsServer = args.includes("--nats") || Option.isSome(yield* Config.option(url))
  yield* Console.log(needsServer ? "          on a NATS server" : "          in memory")
  const run = Effect.gen(function*() {
    // What an earlier run has left.
    const buckets = yield* Buckets.Buckets
    if ((yield* buckets.list()).includes(bucket)) yield* buckets.destroy(bucket)
    yield* Effect.provide(program, Shared)
  })
  yield* needsServer ? Effect.provide(run, OnNats) : Effect.provide(run, Buckets.layerMemory)
})

main.pipe(
  Effect.onInterrupt(() => Console.log("          interrupted")),
  Effect.tapError(({ message }) => Console.error(`from-aegissdk: ${message}`)),
  // The example prints what happens; the library's log would repeat it.
  Effect.provide([NodeServices.layer, Logger.layer([])]),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
