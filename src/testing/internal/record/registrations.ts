/**
 * Records the history of a registry: lifetimes and lookups, with heartbeats and removals from the simulated store.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { keyPrefix } from "../../../internal/registry/record.ts"
import type { Registration } from "../../../Registry.ts"
import type { Lifetime, Lookup, RegistryHistory } from "../../Checks.ts"
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
    heartbeats: ofBucket.flatMap(({ at, key, operation }) =>
      operation === "put" ? [{ instance: instanceOf(key), at }] : []
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

/** Records lifetimes, from the call of `register` to their end. */
const recordLifetimes = ({ facts, now }: RegistrySource) => {
  const lifetimes: Array<RecordedLifetime> = []

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
      const isGone = yield* deregister
      const { crashes } = yield* facts
      // The reply may be late: ignores a lifetime that began after the call.
      const recorded = lifetimes.findLast((one) =>
        one.instance === instance && one.until === undefined && one.from <= asked
      )
      // The lifetime of a crashed process has ended with the crash.
      if (isGone && recorded !== undefined && recorded.crashedAt(crashes) === undefined) {
        recorded.end(yield* now, "deregistered")
      }
      return isGone
    })

  return { lifetimes, registered, deregistered }
}

export const make = (source: RegistrySource) => {
  const { facts, now } = source
  const { deregistered, lifetimes, registered } = recordLifetimes(source)
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
      disruptions: known.disruptions.filter((one) => one.bucket === undefined || one.bucket === bucket),
      lookups: [...lookups],
      end
    }))

  return { registered, deregistered, lookup, registry }
}
