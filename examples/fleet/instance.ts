/**
 * One instance of the fleet: it registers, sends heartbeats, and, where it stands for
 * election, leads when it can. It does the same as a fiber of one process and as
 * a process of its own; it prints nothing.
 */
import { Effect, Layer, Queue, Schedule } from "effect"
import type { KVStore } from "effect-aegis"
import { Election, Registry } from "effect-aegis"

/** Short times, so that the whole story takes seconds. A real fleet takes the defaults. */
const maxAge = "3 seconds"
const heartbeat = "700 millis"
const timings = Election.fast
export const election = "dispatcher"

export interface Spec {
  readonly serviceName: string
  readonly instanceId: string
  /** Whether it stands for election. */
  readonly stands: boolean
  /** It stops after so many heartbeats; undefined: never. */
  readonly heartbeats: number | undefined
}

export type Command = "hand over" | "leave"

const lead = (spec: Spec, handOver: Effect.Effect<unknown>) =>
  Effect.flatMap(Election.Election, (elections) =>
    elections.whileLeader(
      election,
      (leadership) => Effect.andThen(handOver, leadership.resign),
      { candidateId: spec.instanceId }
    ))

/** Lives until it is told to leave; then it hands over what it leads, and deregisters. */
export const live = (spec: Spec, commands: Queue.Dequeue<Command>) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    const handOver = yield* Queue.unbounded<void>()
    const schedule = Schedule.spaced(heartbeat)
    const { instanceId, serviceName } = spec
    yield* registry.register({ serviceName, instanceId, version: "1.0.0" }, {
      heartbeat: spec.heartbeats === undefined ? schedule : Schedule.upTo(schedule, { times: spec.heartbeats })
    })
    if (spec.stands) yield* Effect.forkScoped(lead(spec, Queue.take(handOver)))
    while (true) {
      const command = yield* Queue.take(commands)
      if (command === "leave") return
      yield* Queue.offer(handOver, undefined)
    }
  }).pipe(Effect.scoped)

interface StoreLayers<E, R> {
  readonly registry: Layer.Layer<KVStore.KVStore, E, R>
  readonly election: Layer.Layer<KVStore.KVStore, E, R>
}

/** A registry and elections, each on a store of its own. */
export const services = <E, R>({ election: elections, registry }: StoreLayers<E, R>) =>
  Layer.mergeAll(
    Registry.layer({ maxAge, heartbeat: "1 second" }).pipe(Layer.provide(registry)),
    Election.layer({ timings }).pipe(Layer.provide(elections))
  )

/** The same with the cleanup, which every instance brings: who comes second finds nothing left. */
export const servicesAndCleanup = <E, R>(stores: StoreLayers<E, R>) =>
  Layer.provideMerge(Registry.layerCleanup({ schedule: "1 second" }), services(stores))

/** Buckets of the example's own: it leaves a real fleet alone. */
export const registryBucket = { bucket: "aegis_example_registry", streamMaxAge: "30 seconds" } as const
export const electionBucket = { bucket: "aegis_example_election" } as const
