/**
 * Runs an instance as a process: `node process.ts <spec as JSON>`, with the server in `AEGIS_NATS_URL`. It reads
 * commands from its standard input, one per line, and shuts down at `leave`, at the end of the input, and at SIGTERM.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Config, Console, Effect, Layer, Logger, Schema, Stdio, Stream } from "effect"
import { NatsClient, NatsKVStore } from "effect-aegis"
import { bucket, Command, runInstance, Spec } from "./instance.ts"

const program = Effect.gen(function*() {
  const stdio = yield* Stdio.Stdio
  const [text = ""] = yield* stdio.args
  const spec = yield* Schema.decodeEffect(Schema.fromJsonString(Spec))(text)
  const commands = stdio.stdin.pipe(
    Stream.decodeText(),
    Stream.splitLines,
    Stream.mapEffect((line) => Schema.decodeUnknownEffect(Command)(line))
  )
  const client = NatsClient.layerConfig({
    servers: Config.String("AEGIS_NATS_URL"),
    name: Config.succeed(spec.instanceId)
  })
  yield* Effect.provide(runInstance(spec, commands), Layer.provide(NatsKVStore.layer(bucket), client))
})

program.pipe(
  Effect.tapError(({ message }) => Console.error(`process: ${message}`)),
  Effect.provide([NodeServices.layer, Logger.layer([])]),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
