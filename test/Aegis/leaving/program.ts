/** A process that registers an instance and leads, until a signal ends it. Prints `ready` once it does both. */
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
  yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
  yield* election.campaign("job", { candidateId: "orders-1" })
  yield* Console.log("ready")
}))

const Live = Layer.provide(Service, Aegis.layerNats({ servers, user: "app", password: Redacted.make("app") }))

NodeRuntime.runMain(Layer.launch(Live))
