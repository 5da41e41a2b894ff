/**
 * A program that connects to a server, gives up, and prints the milliseconds from then until its process ends. A timer
 * or socket that was not released would keep the process running.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as NatsClient from "../../src/NatsClient.ts"

const [how, servers = "", handshake] = process.argv.slice(2)

const client = Layer.build(NatsClient.layer({
  servers,
  connectTimeout: how === "fails" ? "200 millis" : "20 seconds",
  ...(handshake === "tls" ? { tls: { handshakeFirst: true } } : {})
}))

const leave = how === "fails"
  ? Effect.asVoid(Effect.flip(client))
  : Effect.asVoid(Effect.timeoutOption(client, "200 millis"))

const left = await Effect.runPromise(Effect.scoped(Effect.ignore(leave))).then(() => performance.now())

process.once("exit", () => process.stdout.write(`${Math.round(performance.now() - left)}`))
