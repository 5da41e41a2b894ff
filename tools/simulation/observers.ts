/**
 * The scenario of observers. Five machines register instances of three services; those of one service send their
 * heartbeats by hand, and hang at times. Three machines watch the services, and all of them list. While an observer is
 * paused, suspended, cut off or on a bad link, and while the store is down or has no leader, for longer than `maxAge`
 * too, no view may lose a live instance, and none may keep a dead one. While the store only refuses heartbeats, instances
 * may expire.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Registry from "../../src/Registry.ts"
import * as Checks from "../../src/testing/Checks.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as History from "../../src/testing/History.ts"
import type * as Scenario from "../../src/testing/Scenario.ts"
import { type SimulatedNode, Simulation } from "../../src/testing/Simulation.ts"
import { drift, registryTimes } from "./clocks.ts"

const bucket = "registry"
const ids = ["a", "b", "c", "d", "e"]

/** The machines that register an instance of each service. `byHand` is the service with heartbeats by hand. */
const byHand = "billing"
const services: Readonly<Record<string, ReadonlyArray<string>>> = {
  orders: ids,
  mail: ["a", "d"],
  [byHand]: ["c", "d", "e"]
}
const serviceNames = Object.keys(services)

/** The machines that watch all services. */
const watching = ["a", "b", "c"]

interface Pace {
  readonly maxAge: Duration.Duration
  readonly heartbeat: Duration.Duration
  /** The age at which the store removes records, in multiples of `maxAge`. */
  readonly storeAges: number
  /** Whether all machines run the cleanup. Without it a dead instance is listed until the observers forget it. */
  readonly isCleaned: boolean
  /** Watches of a replicated bucket continue while the bucket has no leader. */
  readonly replicas: number
}

/** The seed chooses one of these. Most outages of a plan are shorter than 30 s, so the shorter `maxAge` meets longer ones. */
const paces: ReadonlyArray<Pace> = [
  { maxAge: Duration.seconds(30), heartbeat: Duration.seconds(10), storeAges: 10, isCleaned: true, replicas: 1 },
  { maxAge: Duration.seconds(20), heartbeat: Duration.seconds(5), storeAges: 10, isCleaned: true, replicas: 1 },
  { maxAge: Duration.seconds(20), heartbeat: Duration.seconds(5), storeAges: 10, isCleaned: false, replicas: 1 },
  { maxAge: Duration.seconds(20), heartbeat: Duration.seconds(5), storeAges: 2, isCleaned: false, replicas: 1 },
  { maxAge: Duration.seconds(20), heartbeat: Duration.seconds(5), storeAges: 10, isCleaned: true, replicas: 3 },
  { maxAge: Duration.seconds(20), heartbeat: Duration.seconds(5), storeAges: 10, isCleaned: false, replicas: 3 }
]

/** Milliseconds. The largest lag of a list behind the leader of a replicated bucket: that of the fault, and of a copy. */
const longestLag = 2500

/** Milliseconds without faults at the end of a run: longer than any view may keep a dead instance. */
const settleTime = 60_000

const pause = (least: number, most: number) => Effect.flatMap(Random.nextIntBetween(least, most), Effect.sleep)

const registryOn = (node: SimulatedNode, { heartbeat, maxAge, replicas, storeAges }: Pace) =>
  Registry.layer({ maxAge, heartbeat }).pipe(
    Layer.provide(
      NatsKVStore.layer({
        bucket,
        replicas,
        streamMaxAge: Duration.times(maxAge, storeAges),
        expiryMarkers: "1 minute"
      })
    ),
    Layer.provide(node.client)
  )

/** Keeps an instance registered: again after a loss, and again after it has left on its own. */
const registering = (history: History.History, node: string, service: string) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    const register = registry.register({ serviceName: service, instanceId: node, version: "1.0.0" })
    const living = Effect.gen(function*() {
      const { lost } = yield* history.registered(node, `${service}/${node}`, register)
      yield* Effect.raceFirst(lost, pause(30_000, 600_000))
    })
    return yield* Effect.forever(Effect.andThen(Effect.ignore(Effect.scoped(living)), pause(500, 20_000)))
  })

/** Sends heartbeats by hand, and hangs for a while from time to time. */
const beating = (node: string, { heartbeat, maxAge }: Pace) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    const instance = { serviceName: byHand, instanceId: node, version: "1.0.0" }
    const hanging = pause(Duration.toMillis(maxAge), 8 * Duration.toMillis(maxAge))
    while (true) {
      yield* Effect.ignore(Effect.timeout(registry.heartbeat(instance), "3 seconds"))
      yield* (yield* Random.next) < 0.08 ? hanging : Effect.sleep(heartbeat)
    }
  })

/** Follows a watch, and the next one after it has failed. */
const observing = (history: History.History, node: string, service: string) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    return yield* Effect.forever(
      Effect.andThen(Effect.ignore(history.watched(node, service, registry.watch(service))), Effect.sleep("1 second"))
    )
  })

const listing = (history: History.History, node: string) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    while (true) {
      yield* pause(1000, 12_000)
      const service = yield* Random.choice(serviceNames)
      const list = Effect.map(registry.list(service), (all) => all.map((one) => `${service}/${one.instanceId}`))
      yield* Effect.ignore(history.lookup(node, service, list))
    }
  })

/** Deregisters a random instance from time to time, as an operator may do by hand. */
const deregistering = (history: History.History) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    while (true) {
      yield* pause(20_000, 300_000)
      const service = yield* Random.choice(serviceNames)
      const id = yield* Random.choice(services[service]!)
      yield* Effect.ignore(
        history.deregistered(`${service}/${id}`, registry.deregister({ serviceName: service, instanceId: id }))
      )
    }
  })

const life = (history: History.History, node: SimulatedNode, pace: Pace) => {
  const { id } = node
  const own = serviceNames.filter((service) => services[service]!.includes(id))
  return Effect.all(
    [
      ...own.map((service) => service === byHand ? beating(id, pace) : registering(history, id, service)),
      ...watching.includes(id) ? serviceNames.map((service) => observing(history, id, service)) : [],
      listing(history, id),
      deregistering(history)
    ],
    { concurrency: "unbounded", discard: true }
  ).pipe(
    Effect.provide(
      pace.isCleaned
        ? Layer.provideMerge(Registry.layerCleanup({ schedule: pace.maxAge }), registryOn(node, pace))
        : registryOn(node, pace)
    )
  )
}

/** Reports a run that proves nothing: since the last fault a view has listed no instance, or no list has returned. */
const seesNothing = ({ end, lookups }: Checks.RegistryHistory): ReadonlyArray<string> => {
  const late = lookups.filter(({ from }) => from > end - settleTime)
  const hasView = (node: string) =>
    late.some((one) => one.node === node && one.how === "watch" && one.instances.length > 0)
  const hasList = (node: string) => late.some((one) => one.node === node && one.how === "list")
  return [
    ...watching.filter((node) => !hasView(node)).map((node) =>
      `no view of ${node} has listed an instance since the last fault`
    ),
    ...ids.filter((node) => !hasList(node)).map((node) => `no list on ${node} has returned since the last fault`)
  ]
}

/** Drops the consumers of all watches again and again: before the observers have settled, for many intervals. */
const unsettling = Effect.gen(function*() {
  const { bucket: bucketOf } = yield* Simulation
  const interval = yield* Random.nextIntBetween(4000, 8000)
  return yield* Effect.forever(Effect.andThen(Effect.sleep(interval), Effect.ignore(bucketOf(bucket).dropConsumers)))
})

interface Options {
  readonly faults: Scenario.Scenario["faults"]
  readonly paces: ReadonlyArray<Pace>
  /** Whether the observers never settle. */
  readonly isUnsettling: boolean
}

const scenario = ({ faults, isUnsettling, paces }: Options): Scenario.Scenario => ({
  nodes: ids,
  duration: "2 minutes",
  settleTime,
  buckets: [bucket],
  drift,
  faults,
  setup: Effect.gen(function*() {
    const { seed } = yield* Simulation
    if (isUnsettling) yield* Effect.forkDetach(unsettling)
    const history = yield* History.make
    const pace = paces[Number(seed) % paces.length]!
    return {
      // Retried, as the store may be unavailable when the process starts.
      process: (node) => Effect.retry(life(history, node, pace), Schedule.spaced("1 second")),
      violations: Effect.map(history.registry(bucket), (recorded) => [
        ...seesNothing(recorded),
        ...Checks.registryAccuracy(recorded, {
          ...registryTimes(pace),
          ...pace.replicas === 1 ? {} : { readLag: longestLag }
        })
      ])
    }
  })
})

export const observers = scenario({
  faults: [
    ...Faults.survivable,
    "FlappingLink",
    "FlappingStore",
    "FullStore",
    ["LoseStream", [bucket]],
    ["RecreateStream", [bucket]],
    ["RollBack", [bucket]]
  ],
  paces,
  isUnsettling: false
})

/** Observers that never settle. They must still forget dead instances. */
export const unsettled = scenario({
  faults: ["Crash", "Cut", "Disconnect"],
  paces: paces.filter(({ isCleaned, replicas, storeAges }) => !isCleaned && storeAges > 2 && replicas === 1),
  isUnsettling: true
})
