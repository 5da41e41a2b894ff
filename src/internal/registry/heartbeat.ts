/**
 * `Registry.heartbeat`, for callers that run their own heartbeat loop. Keeps one
 * `OwnRecord` per instance, so that a heartbeat cannot register an instance again
 * after another process deregistered it (docs/protocols/registry.md, R15).
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { RegistryReason } from "../../RegistryError.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import type { Access } from "./access.ts"
import { OwnRecord } from "./ownRecord.ts"
import { changed, keyOf } from "./record.ts"
import type { Registrations } from "./registrations.ts"

/** Heartbeats by hand. */
export interface ByHand {
  readonly heartbeat: (instance: ServiceInstance) => Effect.Effect<void, RegistryReason>
  /** This registry has deregistered the instance: its next heartbeat registers it again. */
  readonly deregistered: (key: string) => Effect.Effect<void>
}

/**
 * The first heartbeat enrols the instance like a registration, but fails at once if another process has the id. A heartbeat of
 * an instance that this registry has registered is one of its registration.
 */
export const makeHeartbeat = (
  { access, attemptTimeout, interval, nonce, registrations }: {
    readonly access: Access
    readonly nonce: string
    readonly attemptTimeout: Duration.Duration
    readonly interval: Duration.Duration
    readonly registrations: Registrations
  }
): ByHand => {
  const known = new Map<string, OwnRecord>()

  const recordOf = (instance: ServiceInstance) =>
    Effect.map(Clock.Clock, (clock) => {
      const key = keyOf(instance)
      const registered = registrations.find(key)
      if (registered !== undefined) return registered
      const own = known.get(key) ?? new OwnRecord({ access, instance, nonce, attemptTimeout, interval }, clock)
      known.set(key, own)
      return own
    })

  return {
    heartbeat: (instance) =>
      Effect.flatMap(recordOf(instance), (own) => {
        const { group, host, metadata, port, status, version } = instance
        const write = own.write((current) =>
          // Draining is final.
          Result.succeed(
            changed(current, { group, host, port, metadata, version, status: own.isDraining ? current.status : status })
          )
        )
        return Effect.tapError(
          write,
          // After DuplicateInstance the next call enrols again: the other process may have expired by then.
          // Deregistered is final, so that record is kept.
          (reason) =>
            Effect.sync(() => {
              if (reason._tag === "DuplicateInstance" && own.isOver && known.get(own.key) === own) known.delete(own.key)
            })
        )
      }),
    deregistered: (key) =>
      Effect.suspend(() => {
        known.delete(key)
        // The write finds that the record was removed, and ends the registration. If it fails, the next heartbeat does so.
        return Effect.forEach(registrations.stored(key), (own) => Effect.ignore(own.write(Result.succeed)), {
          discard: true
        })
      })
  }
}
