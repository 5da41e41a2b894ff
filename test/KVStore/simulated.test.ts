/**
 * The suite of `KVStore` against the simulated servers of both lines, without faults. The simulated servers have to
 * pass the suite that memory and real servers pass; otherwise results of simulations would not apply to real servers.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Buckets, layerNats } from "../../src/Buckets.ts"
import * as Simulation from "../../src/testing/Simulation.ts"

import { type Services } from "./suite/fixture.ts"
import { suite } from "./suite/index.ts"

/** Runs each test in its own simulation, on one machine. */
const within = (server: "2.10" | "2.15") =>
(
  body: Effect.Effect<void, unknown, Services>
): Effect.Effect<void, unknown, Services> => {
  const program = Effect.gen(function*() {
    const simulation = yield* Simulation.Simulation
    const node = yield* simulation.node("a")
    const buckets = Layer.provide(layerNats, node.client)
    yield* node.run(Effect.scoped(Effect.provide(body, buckets)))
  })
  return Effect.asVoid(Simulation.run(program, { server, limit: Duration.hours(24) }))
}

const outside = Effect.die("a test ran outside of its simulation")

/** `within` provides the buckets of each test; these must not be used. */
const none = Layer.succeed(Buckets)({ open: () => outside, list: () => outside, destroy: () => outside })

suite("KVStore, simulated 2.10", {
  kind: "nats",
  virtual: false,
  markers: false,
  buckets: none,
  within: within("2.10")
})
suite("KVStore, simulated 2.15", { kind: "nats", virtual: false, markers: true, buckets: none, within: within("2.15") })
