/**
 * Everything at once: five machines, each registered, each a candidate, each with a sweeper, each looking at the others;
 * a leader's work writes to what it guards. All that a lease and a registry must survive happens to them.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as Election from "../../src/Election.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Registry from "../../src/Registry.ts"
import * as Checks from "../../src/testing/Checks.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as History from "../../src/testing/History.ts"
import type * as Scenario from "../../src/testing/Scenario.ts"
import type { SimulatedNode } from "../../src/testing/Simulation.ts"

const registryBucket = "registry"
const electionBucket = "election"
const service = "orders"
const election = "job"

const maxAge = Duration.seconds(12)
const heartbeat = Duration.seconds(4)

/** A clock reading is off by half a round trip of the poorest link; the store's leaders differ by half a second. */
const lateness = Duration.seconds(3)

const timings: Election.Timings = Election.balanced

/** Stops well within `lease - renewDeadline`, by the slowest clock. */
const longestGoodbye = 1500

const pause = (least: number, most: number) => Effect.flatMap(Random.nextIntBetween(least, most), Effect.sleep)

const services = (node: SimulatedNode) =>
  Layer.mergeAll(
    Registry.layer({ maxAge, heartbeat }).pipe(
      Layer.provide(NatsKVStore.layer({ bucket: registryBucket, streamMaxAge: Duration.times(maxAge, 2), expiryMarkers: "1 minute" }))
    ),
    Election.layer({ timings }).pipe(Layer.provide(NatsKVStore.layer({ bucket: electionBucket })))
  ).pipe(Layer.provide(node.client))

/** Writes while it leads, and resigns now and then. */
const work = (history: History.History, node: string, leadership: Election.Leadership) =>
  history.term(
    node,
    leadership,
    Effect.gen(function*() {
      yield* Effect.addFinalizer(() => pause(0, longestGoodbye))
      while (true) {
        yield* pause(50, 2000)
        yield* history.write(node, "fenced", leadership.token)
        if (yield* leadership.isValid) yield* history.write(node, "trusting", leadership.token, { fence: false })
        if ((yield* Random.next) < 0.03) yield* leadership.resign
      }
    }).pipe(Effect.scoped)
  )

const looks = (history: History.History, node: string) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    const list = Effect.map(registry.list(service), (all) => all.map((one) => `${service}/${one.instanceId}`))
    yield* Effect.forever(
      Effect.andThen(pause(3000, 13_000), Effect.ignore(history.look(node, service, list)))
    )
  })

const life = (history: History.History, node: SimulatedNode) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    const election_ = yield* Election.Election
    const { id } = node
    const register = registry.register({ serviceName: service, instanceId: id, version: "1.0.0" })
    yield* history.registered(id, `${service}/${id}`, register)
    yield* Effect.forkScoped(looks(history, id))
    yield* election_.whileLeader(election, (leadership) => work(history, id, leadership), { candidateId: id })
  }).pipe(
    Effect.provide(Layer.provideMerge(Registry.layerCleanup({ schedule: "15 seconds" }), services(node))),
    Effect.scoped
  )

export const mixed: Scenario.Scenario = {
  nodes: ["a", "b", "c", "d", "e"],
  lasting: "90 seconds",
  settling: "30 seconds",
  buckets: [registryBucket, electionBucket],
  // The store's time is asked for once a minute: what clocks run apart by meanwhile counts as lateness.
  drift: 0.01,
  faults: [
    ...Faults.survivable,
    ["LoseStream", [registryBucket]],
    ["RemakeStream", [registryBucket]],
    ["RollBack", [registryBucket]]
  ],
  parts: Effect.map(History.make, (history) => ({
    // A store that is away when it starts is no reason to give up.
    process: (node) =>
      Effect.retry(life(history, node), Schedule.spaced("1 second")),
    verdict: Effect.gen(function*() {
      return [
        ...Checks.atMostOneLeader(yield* history.leaders),
        ...Checks.noStaleWrite(yield* history.writes),
        ...Checks.rosterIsTrue(yield* history.roster(registryBucket), {
          maxAge: Duration.toMillis(maxAge),
          heartbeat: Duration.toMillis(heartbeat),
          lateness: Duration.toMillis(lateness)
        })
      ]
    })
  }))
}
