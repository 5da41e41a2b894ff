/** A process that registers instances and leads, until a signal ends it. Prints `ready` once it does both. */
import { NodeRuntime } from "@effect/platform-node"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Aegis from "../../../src/Aegis.ts"
import * as Election from "../../../src/Election.ts"
import * as Registry from "../../../src/Registry.ts"

const [servers = ""] = process.argv.slice(2)

const Service = Layer.effectDiscard(Effect.gen(function*() {
  const registry = yield* Registry.Registry
  const election = yield* Election.Election
  // Several, one after the other: they share the time that they have to leave.
  for (let index = 0; index < 20; index++) {
    yield* registry.register({ serviceName: "orders", instanceId: `orders-${index}`, version: "1.0.0" })
  }
  for (const name of ["job", "report", "import"]) yield* election.campaign(name, { candidateId: "orders-1" })
  yield* Console.log("ready")
}))

const Live = Layer.provide(Service, Aegis.layerNats({ servers, user: "app", password: Redacted.make("app") }))

NodeRuntime.runMain(Layer.launch(Live))
