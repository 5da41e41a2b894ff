/**
 * An instance as a process: `node process.ts <spec as JSON>`, with `AEGIS_NATS_URL`.
 * Commands come on standard input, a line each; the end of it means leave.
 */
import { Effect, Layer, Logger, Queue } from "effect"
import { NatsClient, NatsKVStore } from "effect-aegis"
import { createInterface } from "node:readline"
import { type Command, electionBucket, live, registryBucket, servicesAndCleanup, type Spec } from "./instance.ts"

const spec: Spec = JSON.parse(process.argv[2] ?? "{}")

const main = Effect.gen(function*() {
  const commands = yield* Queue.unbounded<Command>()
  const lines = createInterface({ input: process.stdin })
  lines.on("line", (line) => Queue.offerUnsafe(commands, line === "hand over" ? "hand over" : "leave"))
  lines.on("close", () => Queue.offerUnsafe(commands, "leave"))
  yield* live(spec, commands)
  lines.close()
  process.stdin.destroy()
})

const layer = servicesAndCleanup({
  registry: NatsKVStore.layer(registryBucket),
  election: NatsKVStore.layer(electionBucket)
}).pipe(Layer.provide(NatsClient.layer({ servers: process.env.AEGIS_NATS_URL ?? "", name: spec.instanceId })))

// The story is told by the observer alone.
await Effect.runPromise(Effect.provide(main, Layer.merge(layer, Logger.layer([]))))
