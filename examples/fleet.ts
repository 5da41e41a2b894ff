/**
 * A fleet in twenty seconds: five instances of two services and one election.
 * The first leader crashes, the second hands over, one instance stops its heartbeats,
 * another deregisters, and the cleanup removes what is left.
 *
 *   npm start                    in one process, in memory
 *   npm start -- --nats          a process for each instance, and a server for them
 *   AEGIS_NATS_URL=… npm start         the same, on a server that is there
 *
 * The director below acts on what the observer has seen, never on times.
 */
import { Console, Context, Effect, Layer, Logger, Queue, type Scope } from "effect"
import { KVStore, NatsClient, NatsKVStore } from "effect-aegis"
import { startNatsServer } from "../tools/natsServer/server.ts"
import { type Actor, inFibers, inProcesses, type Stores } from "./fleet/actors.ts"
import { electionBucket, registryBucket, services, type Spec } from "./fleet/instance.ts"
import { observe, type Sighting, whileWaiting } from "./fleet/observer.ts"

const specs: ReadonlyArray<Spec> = [
  { serviceName: "orders", instanceId: "orders-1", stands: true, heartbeats: undefined },
  { serviceName: "orders", instanceId: "orders-2", stands: true, heartbeats: undefined },
  { serviceName: "orders", instanceId: "orders-3", stands: true, heartbeats: undefined },
  { serviceName: "billing", instanceId: "billing-1", stands: false, heartbeats: 4 },
  { serviceName: "billing", instanceId: "billing-2", stands: false, heartbeats: undefined }
]

/** Far more than the story takes: what has not been seen by then will not be. */
const longestWait = "15 seconds"

type Matches = (sighting: Sighting) => boolean

const up = (who: string): Matches => (sighting) => sighting.what === "up" && sighting.who === who
const gone = (what: "expired" | "deregistered" | "cleanedUp", who: string): Matches => (sighting) =>
  sighting.what === what && sighting.who === who

/** Waits for what the observer has seen or will see; each sighting counts once. */
const makeAwait = (seen: Queue.Dequeue<Sighting>) => {
  const past: Array<Sighting> = []
  const first = (matches: Matches): Effect.Effect<Sighting> =>
    Effect.suspend(() => {
      const index = past.findIndex(matches)
      if (index >= 0) return Effect.succeed(past.splice(index, 1)[0]!)
      return Effect.flatMap(Queue.take(seen), (sighting) => {
        past.push(sighting)
        return first(matches)
      })
    })
  return (what: string, matches: Matches) =>
    Effect.raceFirst(first(matches), whileWaiting(`waiting for ${what}`)).pipe(
      Effect.timeoutOrElse({
        duration: longestWait,
        orElse: () => Effect.fail(new Error(`${what} was not seen within ${longestWait}`))
      })
    )
}

type Start = (spec: Spec) => Effect.Effect<Actor, never, Scope.Scope>

const story = (start: Start, registryStore: KVStore.KVStore["Service"]) =>
  Effect.gen(function*() {
    const seen = yield* Queue.unbounded<Sighting>()
    yield* Effect.forkScoped(observe(registryStore, seen))
    const see = makeAwait(seen)
    const actors = new Map<string, Actor>()
    const actor = (who: string) => actors.get(who)!
    for (const spec of specs) {
      actors.set(spec.instanceId, yield* start(spec))
      yield* see(`${spec.instanceId} to come up`, up(spec.instanceId))
    }

    const first = yield* see("a leader", (sighting) => sighting.what === "leads")
    yield* Console.log(`          > ${first.who} is crashed`)
    yield* actor(first.who).crash
    const second = yield* see("its lease to run out", (sighting) =>
      sighting.what === "leads" && sighting.who !== first.who)
    yield* see(`${first.who} to expire`, gone("expired", first.who))

    yield* Console.log(`          > ${second.who} is asked to hand over`)
    yield* actor(second.who).handOver
    const third = yield* see("the next leader", (sighting) =>
      sighting.what === "leads" && sighting.who !== second.who)

    yield* Console.log("          > billing-2 is asked to leave")
    yield* actor("billing-2").leave
    yield* see("billing-2 to deregister", gone("deregistered", "billing-2"))
    yield* see("billing-1, whose heartbeats have stopped, to expire", gone("expired", "billing-1"))
    yield* see(`${first.who} to be cleaned up`, gone("cleanedUp", first.who))
    yield* see("billing-1 to be cleaned up", gone("cleanedUp", "billing-1"))

    yield* Console.log("          > the others are asked to leave")
    for (const who of [second.who, third.who]) {
      yield* actor(who).leave
      yield* see(`${who} to deregister`, gone("deregistered", who))
    }
  })

/** The observer's own registry and elections, without a cleanup: it takes no part. */
const tell = (start: Start, { election, registry }: Stores) =>
  Effect.provide(
    story(start, registry),
    services({
      registry: Layer.succeed(KVStore.KVStore, registry),
      election: Layer.succeed(KVStore.KVStore, election)
    })
  )

const open = <E, R>(layer: Layer.Layer<KVStore.KVStore, E, R>) =>
  Effect.map(Layer.build(layer), (context) => Context.get(context, KVStore.KVStore))

const inMemory = Effect.gen(function*() {
  const stores: Stores = {
    registry: yield* open(KVStore.layerMemory(registryBucket)),
    election: yield* open(KVStore.layerMemory(electionBucket))
  }
  yield* tell(inFibers(stores), stores)
})

const onNats = (url: string) =>
  Effect.gen(function*() {
    const client = Layer.succeedContext(yield* Layer.build(NatsClient.layer({ servers: url, name: "observer" })))
    const stores: Stores = {
      registry: yield* open(Layer.provide(NatsKVStore.layer(registryBucket), client)),
      election: yield* open(Layer.provide(NatsKVStore.layer(electionBucket), client))
    }
    const { serverVersion } = yield* stores.registry.status
    yield* Console.log(`          nats-server ${serverVersion}, a process for each instance`)
    yield* tell(inProcesses(url), stores)
  })

const onOwnServer = Effect.flatMap(startNatsServer({ line: "2.15" }), ({ url }) => onNats(url))

const url = process.env.AEGIS_NATS_URL
const main = url !== undefined ? onNats(url) : process.argv.includes("--nats") ? onOwnServer : inMemory

// Whatever goes wrong is told in one line; the library's own log is left out of the story.
const exitCode = await main.pipe(
  Effect.scoped,
  Effect.as(0),
  Effect.catch((error) => Effect.as(Effect.sync(() => console.error(`fleet: ${error.message.split("\n")[0]}`)), 1)),
  Effect.provide(Logger.layer([])),
  Effect.runPromise
)
process.exit(exitCode)
