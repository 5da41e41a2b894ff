/**
 * Runs five instances of two services, for eight seconds: the leader crashes, the next leader resigns, one instance
 * stops its heartbeats, another deregisters, and the cleanup removes the records of expired instances.
 *
 *   node fleet.ts                           in the memory of this process
 *   AEGIS_NATS_URL=... node fleet.ts        on a NATS server, with a process for each instance
 *   node fleet.ts --nats                    the same on nats://127.0.0.1:4222, if the variable is not set
 *
 * Each step waits until `Registry.watch` and `Election.observe` have reported the step before; no step waits for a
 * fixed time.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { Config, Console, Data, Effect, Layer, Logger, Option, Queue, type Scope, Stdio } from "effect"
import { KVStore, NatsClient, NatsKVStore } from "effect-aegis"
import { type Actor, inFibers, inProcesses } from "./fleet/actors.ts"
import { bucket, services, type Spec } from "./fleet/instance.ts"
import { type FleetEvent, observe } from "./fleet/observer.ts"

const specs: ReadonlyArray<Spec> = [
  { serviceName: "orders", instanceId: "orders-1", isCandidate: true },
  { serviceName: "orders", instanceId: "orders-2", isCandidate: true },
  { serviceName: "orders", instanceId: "orders-3", isCandidate: true },
  { serviceName: "billing", instanceId: "billing-1", isCandidate: false, heartbeats: 4 },
  { serviceName: "billing", instanceId: "billing-2", isCandidate: false }
]

/** A step takes at most 6 s: the end of a lease, or `maxAge` and the next cleanup. */
const longestWait = "15 seconds"

class NotReported extends Data.TaggedError("NotReported")<{ readonly message: string }> {}

type Matches = (event: FleetEvent) => boolean

const is = (tag: "Up" | "Expired" | "Deregistered" | "CleanedUp", instanceId: string): Matches => (event) =>
  event._tag === tag && event.instanceId === instanceId

/** Waits until the observer has reported a matching event. Each event is taken once. */
const makeWaitFor = (reported: Queue.Dequeue<FleetEvent>) => {
  const notTaken: Array<FleetEvent> = []
  const take = (matches: Matches): Effect.Effect<FleetEvent> =>
    Effect.suspend(() => {
      const index = notTaken.findIndex(matches)
      if (index >= 0) return Effect.succeed(notTaken.splice(index, 1)[0]!)
      return Effect.flatMap(Queue.take(reported), (event) => {
        notTaken.push(event)
        return take(matches)
      })
    })
  return (what: string, matches: Matches) => {
    const explain = Console.log(`          ... waiting for ${what}`).pipe(
      Effect.delay("1 second"),
      Effect.andThen(Effect.never)
    )
    return Effect.raceFirst(take(matches), explain).pipe(
      Effect.timeoutOrElse({
        duration: longestWait,
        orElse: () => new NotReported({ message: `${what}: not reported within ${longestWait}` })
      })
    )
  }
}

const step = (text: string) => Console.log(`          > ${text}`)

const run = <E, R>(start: (spec: Spec) => Effect.Effect<Actor, E, R | Scope.Scope>) =>
  Effect.gen(function*() {
    const reported = yield* Queue.unbounded<FleetEvent>()
    yield* Effect.forkScoped(observe(reported))
    // When the scope closes, the instances shut down first: the observer needs this time to report them.
    yield* Effect.addFinalizer(() => Effect.sleep("100 millis"))
    const waitFor = makeWaitFor(reported)
    const waitForLeaderAfter = (what: string, previous?: string) =>
      Effect.map(
        waitFor(what, (event) => event._tag === "Leader" && event.instanceId !== previous),
        (event) => event._tag === "Leader" ? event.instanceId : ""
      )
    const actors = new Map<string, Actor>()
    const actor = (instanceId: string) => actors.get(instanceId)!
    for (const spec of specs) {
      actors.set(spec.instanceId, yield* start(spec))
      yield* waitFor(`${spec.instanceId} to register`, is("Up", spec.instanceId))
    }

    const first = yield* waitForLeaderAfter("a leader")
    yield* step(`${first} crashes`)
    yield* actor(first).crash
    const second = yield* waitForLeaderAfter(`the lease of ${first} to end`, first)
    yield* waitFor(`${first} to expire`, is("Expired", first))

    yield* step(`${second} resigns`)
    yield* actor(second).send("resign")
    const third = yield* waitForLeaderAfter("the next leader", second)

    yield* step("billing-2 shuts down")
    yield* actor("billing-2").send("leave")
    yield* waitFor("billing-2 to deregister", is("Deregistered", "billing-2"))
    yield* waitFor("billing-1, which sends no more heartbeats, to expire", is("Expired", "billing-1"))
    yield* waitFor(`the record of ${first} to be removed`, is("CleanedUp", first))
    yield* waitFor("the record of billing-1 to be removed", is("CleanedUp", "billing-1"))

    yield* step("the others shut down")
    for (const instanceId of [second, third]) {
      yield* actor(instanceId).send("leave")
      yield* waitFor(`${instanceId} to deregister`, is("Deregistered", instanceId))
    }
  }).pipe(
    Effect.onInterrupt(() => step("interrupted: the instances shut down")),
    // The scope closes before the services of the observer, so that it still reports the instances that shut down.
    Effect.scoped,
    Effect.provide(services)
  )

const inMemory = Effect.gen(function*() {
  yield* Console.log("          in memory")
  yield* run(inFibers)
}).pipe(Effect.provide(KVStore.layerMemory(bucket)))

const url = Config.String("AEGIS_NATS_URL")
const servers = Config.withDefault(url, "nats://127.0.0.1:4222")

const onNats = Effect.gen(function*() {
  const { serverVersion } = yield* Effect.flatMap(KVStore.KVStore, (store) => store.status)
  yield* Console.log(`          on nats-server ${serverVersion}, with a process for each instance`)
  yield* run(inProcesses(yield* servers))
}).pipe(
  Effect.provide(
    NatsKVStore.layer(bucket).pipe(
      Layer.provide(NatsClient.layerConfig({ servers, name: Config.succeed("observer") }))
    )
  )
)

const program = Effect.gen(function*() {
  const args = yield* Effect.flatMap(Stdio.Stdio, (stdio) => stdio.args)
  const needsServer = args.includes("--nats") || Option.isSome(yield* Config.option(url))
  yield* needsServer ? onNats : inMemory
})

program.pipe(
  Effect.tapError(({ message }) => Console.error(`fleet: ${message}`)),
  Effect.tapErrorTag(
    "KVStoreError",
    () => Console.error("Start a server (nats-server --jetstream), or set AEGIS_NATS_URL to the URL of your server.")
  ),
  // The events are printed by the observer; the library's log would repeat them.
  Effect.provide([NodeServices.layer, Logger.layer([])]),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
