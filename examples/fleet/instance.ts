/**
 * An instance of the fleet: it registers, sends heartbeats, and campaigns to be the leader. The same code runs in a
 * fiber (in memory) and in a process (on a NATS server).
 */
import { Effect, Layer, Queue, Schedule, Schema, Stream } from "effect"
import { Election, Registry } from "effect-aegis"

export const Spec = Schema.Struct({
  serviceName: Schema.String,
  instanceId: Schema.String,
  /** Whether the instance campaigns to be the leader. */
  isCandidate: Schema.Boolean,
  /** Stops its heartbeats after this number. Default: no limit. */
  heartbeats: Schema.optionalKey(Schema.Int)
})
export type Spec = typeof Spec.Type

export const Command = Schema.Literals(["resign", "leave"])
export type Command = typeof Command.Type

/** Short times, so that the example takes seconds. A real fleet uses the defaults: `Aegis.layerConfig()`. */
const heartbeat = "700 millis"
export const services = Layer.mergeAll(
  Registry.layer({ maxAge: "3 seconds", heartbeat }),
  Election.layer({ timings: Election.fast })
)

/** A separate bucket, so that the example does not affect a real fleet on the same server. */
export const bucket = { bucket: "aegis_example_fleet" }

export const election = "dispatcher"

/** Campaigns, resigns when asked to, and campaigns again. */
const lead = (spec: Spec, resignations: Queue.Dequeue<void>) =>
  Effect.flatMap(Election.Election, (elections) =>
    elections.whileLeader(
      election,
      (leadership) => Effect.andThen(Queue.take(resignations), leadership.resign),
      { candidateId: spec.instanceId }
    ))

const work = <E, R>(spec: Spec, commands: Stream.Stream<Command, E, R>) =>
  Effect.gen(function*() {
    const registry = yield* Registry.Registry
    const { heartbeats, instanceId, serviceName } = spec
    yield* registry.register(
      { serviceName, instanceId, version: "1.0.0" },
      heartbeats === undefined
        ? undefined
        : { heartbeat: Schedule.upTo(Schedule.spaced(heartbeat), { times: heartbeats }) }
    )
    const resignations = yield* Queue.unbounded<void>()
    if (spec.isCandidate) yield* Effect.forkScoped(lead(spec, resignations))
    yield* commands.pipe(
      Stream.takeWhile((command) => command !== "leave"),
      Stream.runForEach(() => Queue.offer(resignations, undefined))
    )
  }).pipe(Effect.scoped)

/** `Layer.fresh`: instances in one process do not share services, because each has a different store. */
const ownServices = Layer.fresh(Layer.provideMerge(Registry.layerCleanup({ schedule: "1 second" }), services))

/**
 * Runs until the command `leave`, or the end of the commands. Then the leader resigns, and the instance deregisters.
 * Every instance also runs the cleanup, which removes expired records.
 */
export const runInstance = <E, R>(spec: Spec, commands: Stream.Stream<Command, E, R>) =>
  Effect.provide(work(spec, commands), ownServices)
