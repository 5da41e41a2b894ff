/**
 * Runs two processes of the service in `service/main.ts` on a NATS server, orders articles of both, kills the one that
 * leads, and ends the other one with SIGTERM. Takes about ten seconds.
 *
 *   AEGIS_NATS_URL=... node service.ts
 *
 * It finds the processes as any client would: in the registry, with their ports.
 */
import { NodeHttpClient, NodeRuntime, NodeServices } from "@effect/platform-node"
import { Config, Console, Data, Effect, Layer, Logger, Option, Schedule } from "effect"
import { Aegis, Election, Registry } from "effect-aegis"
import { HttpApiClient } from "effect/http-api"
import { ChildProcess } from "effect/process"
import { fileURLToPath } from "node:url"
import { Api } from "./service/api.ts"

class NotYet extends Data.TaggedError("NotYet")<{ readonly message: string }> {}

/** Short times, so that the example ends soon: see docs/operations.md for those of a service. */
const env = { AEGIS_MAX_AGE: "3 seconds", AEGIS_HEARTBEAT: "1 second", AEGIS_TIMINGS: "fast" }

const main = fileURLToPath(new URL("service/main.ts", import.meta.url))

const start = (name: string) =>
  ChildProcess.make(process.execPath, [main, name], { env, extendEnv: true, stdout: "inherit", stderr: "inherit" })

/** Repeats an effect until it succeeds. */
const eventually = <A, E, R>(what: string, effect: Effect.Effect<Option.Option<A>, E, R>) =>
  effect.pipe(
    Effect.flatMap(Option.match({
      onNone: () => Effect.fail(new NotYet({ message: `${what}: not within 20 seconds` })),
      onSome: Effect.succeed
    })),
    Effect.retry({ schedule: Schedule.spaced("200 millis"), times: 100 })
  )

/** The client of an instance, by its port. */
const clientOf = ({ port }: Registry.ServiceInstance) =>
  HttpApiClient.make(Api, { baseUrl: `http://127.0.0.1:${port}` })

const program = Effect.gen(function*() {
  const registry = yield* Registry.Registry
  const election = yield* Election.Election
  const processes = {
    "orders-1": yield* start("orders-1"),
    "orders-2": yield* start("orders-2")
  }
  const instances = (count: number) =>
    eventually(
      `${count} live instances`,
      Effect.map(registry.list("orders"), (all) => all.length === count ? Option.some(all) : Option.none())
    )
  const leader = (isOther: (name: string) => boolean) =>
    eventually(
      "a leader",
      Effect.map(election.leader("report"), Option.filter(({ candidateId }) => isOther(candidateId)))
    )

  for (const instance of yield* instances(2)) {
    const client = yield* clientOf(instance)
    const apples = yield* client.orders.order({ params: { article: "apples" } })
    yield* Console.log(`${instance.instanceId} counts ${apples} apples`)
  }

  const { candidateId: first } = yield* leader(() => true)
  yield* Effect.sleep("1500 millis")
  yield* Console.log(`> kill ${first}, which leads`)
  yield* processes[first as keyof typeof processes].kill({ killSignal: "SIGKILL" })
  const { candidateId: second } = yield* leader((name) => name !== first)
  const [left] = yield* instances(1)
  const { elections, registrations } = yield* Effect.flatMap(clientOf(left!), (client) => client.orders.health())
  const registered = registrations.map(({ instanceId }) => instanceId).join(", ")
  const states = elections.map(({ election, state }) => `${election}: ${state}`).join(", ")
  yield* Console.log(`${second} leads; its health: registered ${registered}, ${states}`)
  yield* Effect.sleep("1500 millis")

  yield* Console.log(`> SIGTERM to ${second}`)
  yield* processes[second as keyof typeof processes].kill({ killSignal: "SIGTERM" })
  yield* instances(0)
  yield* Console.log("no live instances")
}).pipe(Effect.scoped)

const Coordination = Aegis.layerConfig({
  registry: { maxAge: Config.succeed("3 seconds" as const), heartbeat: Config.succeed("1 second" as const) }
})

const Live = Layer.mergeAll(Coordination, NodeHttpClient.layerUndici, NodeServices.layer).pipe(
  Layer.provide(Logger.layer([]))
)

NodeRuntime.runMain(Effect.provide(program, Live))
