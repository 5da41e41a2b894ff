/**
 * Records the history of a registry: lifetimes and lookups, with heartbeats and removals from the simulated store.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { keyPrefix } from "../../../internal/registry/record.ts"
import type { Registration, RegistryEvent } from "../../../Registry.ts"
import type { Deregistration, Lifetime, Lookup, RegistryHistory } from "../../Checks.ts"
import type { Facts, Simulation } from "../../Simulation.ts"
import { endedBy } from "./terms.ts"

const prefix = `${keyPrefix}.`

const instanceOf = (key: string): string => key.slice(prefix.length).replace(".", "/")

const removals = { delete: "deregistered", purge: "cleanedUp", expire: "expired" } as const

/** The heartbeats and removals of instances in a bucket. */
const takenBy = (facts: Facts, bucket: string): Pick<RegistryHistory, "heartbeats" | "removals"> => {
  const ofBucket = facts.stored.filter((one) => one.bucket === bucket && one.key.startsWith(prefix))
  const known = new Set(ofBucket.map(({ key }) => instanceOf(key)))
  const losses = facts.losses.filter((loss) => loss.bucket === bucket)
  const removed = ofBucket.flatMap(({ at, key, operation }) =>
    operation === "put" ? [] : [{ instance: instanceOf(key), at, how: removals[operation] }]
  )
  const lost = losses.flatMap(({ at }) => Array.from(known, (instance) => ({ instance, at, how: "lost" as const })))
  return {
    heartbeats: ofBucket.flatMap(({ at, key, operation, stampedAt }) =>
      operation === "put" ? [{ instance: instanceOf(key), at, stampedAt }] : []
    ),
    removals: [...removed, ...lost]
  }
}

/** One lifetime that is being recorded. */
class RecordedLifetime {
  readonly instance: string
  readonly node: string
  readonly registering: number
  from = Number.POSITIVE_INFINITY
  until: number | undefined
  ended: Lifetime["ended"]
  lost: Lifetime["lost"]

  constructor(node: string, instance: string, registering: number) {
    this.node = node
    this.instance = instance
    this.registering = registering
  }

  /** Ends the lifetime. Only the first call has an effect. */
  end(at: number, ended: Lifetime["ended"]): void {
    if (this.until !== undefined) return
    this.until = at
    this.ended = ended
  }

  crashedAt(crashes: Facts["crashes"]): number | undefined {
    return this.until === undefined ? endedBy(crashes, this.node, this.registering) : undefined
  }

  lifetime(crashes: Facts["crashes"], end: number): Lifetime {
    const { instance, node, registering } = this
    const crashed = this.crashedAt(crashes)
    const until = this.until ?? crashed
    const from = Math.min(this.from, until ?? end)
    const ended = crashed === undefined ? this.ended : "crashed"
    return { instance, node, registering, from, until, ended, lost: this.lost }
  }
}

type RegistrySource = Pick<Simulation["Service"], "facts" | "now">

/** One call of `deregister` that is being recorded. */
interface RecordedCall {
  readonly instance: string
  readonly from: number
  until: number | undefined
  failed: boolean
}

/** Whether the last removal of an instance since a time left a delete marker, and not a purge marker. */
const isDeleted = ({ stored }: Facts, instance: string, since: number): boolean =>
  stored.findLast(({ at, key, operation }) =>
    operation !== "put" && at >= since && key.startsWith(prefix) && instanceOf(key) === instance
  )?.operation !== "purge"

/** Records lifetimes, from the call of `register` to their end, and deregistrations by other processes. */
const recordLifetimes = ({ facts, now }: RegistrySource) => {
  const lifetimes: Array<RecordedLifetime> = []
  const calls: Array<RecordedCall> = []

  const registered = <E, R>(
    node: string,
    instance: string,
    register: Effect.Effect<Registration, E, R>
  ): Effect.Effect<Registration, E, R | Scope.Scope> =>
    Effect.gen(function*() {
      const recorded = new RecordedLifetime(node, instance, yield* now)
      lifetimes.push(recorded)
      const end = (ended: Lifetime["ended"]) => Effect.map(now, (at) => recorded.end(at, ended))
      const registration = yield* Effect.onError(register, () => end("left"))
      recorded.from = yield* now
      // Added after the registration's finalizer, so that it runs before the deregistration.
      yield* Effect.addFinalizer(() => end("left"))
      yield* Effect.forkScoped(Effect.gen(function*() {
        const { reason } = yield* registration.lost
        if (reason._tag === "Deregistered" || reason._tag === "DuplicateInstance") {
          recorded.lost = { as: reason._tag, at: yield* now }
        }
        yield* end(undefined)
      }))
      return registration
    })

  const deregistered = <E, R>(
    instance: string,
    deregister: Effect.Effect<boolean, E, R>
  ): Effect.Effect<boolean, E, R> =>
    Effect.gen(function*() {
      const asked = yield* now
      const call: RecordedCall = { instance, from: asked, until: undefined, failed: true }
      calls.push(call)
      const ended = Effect.map(now, (at) => {
        call.until = at
      })
      const isGone = yield* Effect.ensuring(deregister, ended)
      call.failed = false
      const known = yield* facts
      // The reply may be late: ignores a lifetime that began after the call.
      const recorded = lifetimes.findLast((one) =>
        one.instance === instance && one.until === undefined && one.from <= asked
      )
      // The lifetime of a crashed process has ended with the crash.
      if (
        isGone && recorded !== undefined && recorded.crashedAt(known.crashes) === undefined &&
        isDeleted(known, instance, asked)
      ) {
        recorded.end(yield* now, "deregistered")
      }
      return isGone
    })

  const deregistrations = (end: number): ReadonlyArray<Deregistration> =>
    calls.map(({ failed, from, instance, until }) => ({ instance, from, until: until ?? end, failed }))

  return { lifetimes, registered, deregistered, deregistrations }
}

/** The time between two records of a view without a change, on the machine's clock: milliseconds. */
const viewInterval = 1000

/** Records views: the instances that the events of a watch list. */
const recordViews =
  (now: RegistrySource["now"], lookups: Array<Lookup>) =>
  <E, R>(node: string, service: string, events: Stream.Stream<RegistryEvent, E, R>): Effect.Effect<void, E, R> =>
    Effect.suspend(() => {
      const listed = new Set<string>()
      let since: number | undefined
      const record = Effect.map(now, (at) => {
        if (since === undefined) return
        lookups.push({ node, from: at, until: at, service, instances: [...listed], how: "watch", since })
      })
      const apply = (event: RegistryEvent) =>
        Effect.map(now, (at) => {
          if (event._tag === "Ready") {
            since ??= at
            return
          }
          const { instanceId, serviceName } = event.instance
          if (event._tag === "Down") listed.delete(`${serviceName}/${instanceId}`)
          else listed.add(`${serviceName}/${instanceId}`)
        })
      const following = Stream.runForEach(events, (event) => Effect.andThen(apply(event), record))
      return Effect.raceFirst(following, Effect.forever(Effect.andThen(Effect.sleep(viewInterval), record)))
    })

export const make = (source: RegistrySource) => {
  const { facts, now } = source
  const { deregistered, deregistrations, lifetimes, registered } = recordLifetimes(source)
  const lookups: Array<Lookup> = []

  const lookup = <E, R>(
    node: string,
    service: string,
    read: Effect.Effect<ReadonlyArray<string>, E, R>
  ): Effect.Effect<ReadonlyArray<string>, E, R> =>
    Effect.gen(function*() {
      const from = yield* now
      const instances = yield* read
      lookups.push({ node, from, until: yield* now, service, instances, how: "list" })
      return instances
    })

  const registry = (bucket: string) =>
    Effect.zipWith(now, facts, (end, known): RegistryHistory => ({
      ...takenBy(known, bucket),
      lifetimes: lifetimes.map((recorded) => recorded.lifetime(known.crashes, end)),
      deregistrations: deregistrations(end),
      disruptions: known.disruptions.filter((one) => one.bucket === undefined || one.bucket === bucket),
      interruptions: known.consumerLosses.filter((one) => one.bucket === bucket).map(({ at }) => at),
      lookups: [...lookups],
      end
    }))

  return { registered, deregistered, lookup, watched: recordViews(now, lookups), registry }
}
