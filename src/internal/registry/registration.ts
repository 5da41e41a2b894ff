/**
 * One registration: a first write, heartbeats on a schedule, and a conditioned delete
 * at the end (docs/protocols/registry.md, R7 to R18). `OwnRecord` writes and deletes
 * the record.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { registryHeartbeats, registryLastHeartbeat, registryLost } from "../../Metrics.ts"
import type { Registration } from "../../Registry.ts"
import { RegistryError, type RegistryReason } from "../../RegistryError.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import { forkReported } from "../fibers.ts"
import { annotate, causeOf, Repeated } from "../logs.ts"
import { series, update } from "../metrics.ts"
import { conflictPause } from "../retry.ts"
import { inChildScope } from "../scopes.ts"
import { traced } from "../spans.ts"
import { monotonicMillis } from "../time.ts"
import type { Access } from "./access.ts"
import { watchHealth } from "./health.ts"
import { deregister, drain, type Leaving } from "./leave.ts"
import { toChanged, toDrainOptions } from "./options.ts"
import { OwnRecord } from "./ownRecord.ts"
import type { OnDuplicate } from "./ownState.ts"
import { isFinal, isUnknownWrite, tagOf } from "./reasons.ts"
import type { Registrations } from "./registrations.ts"
import { attemptTimeout, intervalOf, onSchedule, retrying, steadily, watchGaps } from "./schedule.ts"

export interface RegistrationOptions {
  readonly access: Access
  readonly instance: ServiceInstance
  readonly nonce: string
  readonly heartbeat: Schedule.Schedule<unknown> | Duration.Duration
  readonly onDuplicate: OnDuplicate
  readonly healthCheck: Effect.Effect<boolean> | undefined
  readonly healthFailures: number
  readonly registrations: Registrations
  readonly leaving: Leaving
}

/**
 * Enrols, and repeats that after a first write without an answer: the write may have
 * landed, which the next read shows.
 */
const enroll = (own: OwnRecord, onDuplicate: OnDuplicate): Effect.Effect<void, RegistryReason> =>
  Effect.catchIf(
    own.enroll(onDuplicate),
    isUnknownWrite,
    () => Effect.andThen(conflictPause, enroll(own, onDuplicate))
  )

interface Sending {
  readonly onLost: (reason: RegistryReason) => Effect.Effect<unknown>
  /** Called with the reason of each failed attempt. */
  readonly onFailed: (reason: RegistryReason) => void
  /** Called after each heartbeat that was stored. */
  readonly stored: () => Effect.Effect<void>
}

/** Sends one heartbeat, and repeats that until it is stored or the registration is lost. */
const send = (
  { access: { maxAge, store }, instance: { serviceName: service } }: RegistrationOptions,
  own: OwnRecord,
  clock: Clock.Clock,
  failures: Repeated,
  { onFailed, stored }: Sending
): Effect.Effect<void, RegistryReason> => {
  const recovered = Effect.logInfo(`heartbeats of ${own.label} are stored again`)
  const sentOne = Effect.andThen(failures.ended(recovered), Effect.suspend(stored))
  const failed = (reason: RegistryReason) =>
    isFinal(reason)
      ? Effect.void
      : failures.log(
        tagOf(reason),
        Effect.logWarning(`a heartbeat of ${own.label} failed and is retried: ${causeOf(reason)}`)
      )
  const began = monotonicMillis(clock)
  // The answer of a slow store may have come during the pause.
  const attempt = Effect.suspend(() => own.landedAt >= began ? Effect.void : own.write(Result.succeed)).pipe(
    Effect.andThen(sentOne),
    Effect.tapError(() => update(registryHeartbeats, { service, outcome: "error" })),
    Effect.tapError((reason) => Effect.andThen(Effect.sync(() => onFailed(reason)), failed(reason)))
  )
  return retrying(attempt, { store, maxAge, isFinal })
}

/**
 * Sends heartbeats on the schedule until the registration is lost, then calls `onLost`. What a heartbeat needs is built for
 * each: between two heartbeats a process with many registrations would keep it for all of them.
 */
const heartbeats = (
  options: RegistrationOptions,
  own: OwnRecord,
  clock: Clock.Clock,
  sending: Sending
): Effect.Effect<void> => {
  const { access: { maxAge }, heartbeat } = options
  const failures = new Repeated()
  const sendOne = Effect.suspend(() => send(options, own, clock, failures, sending))
  if (Duration.isDuration(heartbeat)) return Effect.catch(steadily(sendOne, heartbeat, clock), sending.onLost)
  const label = `the heartbeat schedule of ${own.label}`
  return onSchedule(label, sendOne, watchGaps(label, heartbeat, maxAge), clock).pipe(
    Effect.andThen(Effect.logWarning(`${label} has ended: the instance sends no more heartbeats and will expire`)),
    Effect.catch(sending.onLost)
  )
}

const subjectOf = ({ instanceId, serviceName }: ServiceInstance) => ({ service: serviceName, instanceId })

/**
 * Registers an instance. The finalizers run when the scope closes, or at once if the
 * registration fails or is interrupted.
 */
export const make = (options: RegistrationOptions): Effect.Effect<Registration, RegistryError, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (owner) => inChildScope(begin(options, owner))).pipe(
    traced("registry.register", () => ({
      "registry.service": options.instance.serviceName,
      "registry.instance": options.instance.instanceId
    })),
    annotate("Registry", subjectOf(options.instance))
  )

const failureOf = (own: OwnRecord) => (operation: string) => (reason: RegistryReason) =>
  new RegistryError({ operation: `${operation} ${own.label}`, reason })

/** Reports that a registration is lost, once. An instance that leaves is not lost. */
const reportLoss = (own: OwnRecord, lost: Deferred.Deferred<RegistryError>, reason: RegistryReason) => {
  if (own.isLeaving) return Effect.void
  const report = update(registryLost, { service: own.names.serviceName, reason: tagOf(reason) }).pipe(
    Effect.andThen(Effect.logError(`lost the registration of ${own.label}: ${reason.message}`))
  )
  return Deferred.succeed(lost, failureOf(own)("heartbeat")(reason)).pipe(
    Effect.flatMap((isFirst) => isFirst ? report : Effect.void),
    Effect.uninterruptible
  )
}

/** Runs the health check of the instance, if it has one. */
const checkHealth = (
  { access: { maxAge }, healthFailures, healthCheck, heartbeat }: RegistrationOptions,
  own: OwnRecord
) =>
  healthCheck === undefined ? Effect.void : forkReported(
    "Registry",
    `the health check of ${own.label}`,
    watchHealth(own, { healthCheck, healthFailures, interval: intervalOf(heartbeat, maxAge) })
  )

const begin = Effect.fnUntraced(function*(
  options: RegistrationOptions,
  owner: Scope.Scope
): Effect.fn.Return<Registration, RegistryError, Scope.Scope> {
  const { access: { maxAge }, heartbeat, instance: { serviceName: service }, onDuplicate } = options
  const clock = yield* Clock.Clock
  const lost = yield* Deferred.make<RegistryError>()
  const context = yield* Effect.context<never>()
  // A write of another fiber can find the loss: it is reported as one of the registration.
  const onLost = (reason: RegistryReason): Effect.Effect<void> =>
    Effect.provideContext(Effect.suspend(() => reportLoss(own, lost, reason)), context)
  const own = new OwnRecord({
    ...options,
    attemptTimeout: attemptTimeout(heartbeat, maxAge),
    interval: intervalOf(heartbeat, maxAge),
    onEnded: onLost
  }, clock)
  const failure = failureOf(own)

  // Added before the first write: an interrupted write may have landed.
  const entry = yield* options.registrations.add(own, owner, () => deregister(options, own))
  yield* Effect.mapError(enroll(own, onDuplicate), failure("register"))
  const lastHeartbeat = yield* series(registryLastHeartbeat, { service, instance: options.instance.instanceId })
  const stored = () =>
    update(registryHeartbeats, { service, outcome: "success" }).pipe(
      Effect.andThen(options.leaving.budget.answered),
      Effect.andThen(lastHeartbeat.setNow),
      Effect.andThen(Clock.currentTimeMillis),
      Effect.map((now) => {
        entry.lastHeartbeat = now
        entry.lastFailure = undefined
      })
    )
  yield* stored()
  const onFailed = (reason: RegistryReason) => {
    entry.lastFailure = reason
  }
  yield* Effect.logInfo(`registered ${own.label}`)
  yield* forkReported(
    "Registry",
    `the heartbeat of ${own.label}`,
    heartbeats(options, own, clock, { onFailed, onLost, stored })
  )
  yield* options.registrations.visibilities.follow(entry, maxAge)
  yield* checkHealth(options, own)

  return {
    instance: Effect.sync(() => own.instance),
    update: (f) => Effect.mapError(own.write((current) => toChanged(f, current)), failure("update")),
    drain: (done, drainOptions) =>
      Effect.fromResult(toDrainOptions(done, drainOptions)).pipe(
        Effect.flatMap(({ timeout }) => drain(options, own, done, timeout)),
        Effect.mapError(failure("drain")),
        annotate("Registry", subjectOf(options.instance))
      ),
    lost: Deferred.await(lost),
    visibility: Stream.suspend(() => Stream.changes(entry.visibility.changes))
  }
})
