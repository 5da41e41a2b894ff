/**
 * The health check of a registered instance: after several failures in a row its status is `UNHEALTHY`, and after a success
 * what it was before (docs/protocols/registry.md, R30).
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import { registryHealthChecks } from "../../Metrics.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import { type Answer, causeOf, makeHealthCheck, outcomeOf } from "../healthCheck.ts"
import { update } from "../metrics.ts"
import type { OwnRecord } from "./ownRecord.ts"
import { changed } from "./record.ts"

/** The result of the checks so far. */
export interface Health {
  /** The number of failures in a row. */
  readonly failures: number
  /** The status before the instance became unhealthy; undefined while it is healthy. */
  readonly before: ServiceInstance["status"] | undefined
}

export const healthy: Health = { failures: 0, before: undefined }

/** The health after a check. `status` is that of the instance. */
export const afterCheck = (
  { before, failures }: Health,
  isOk: boolean,
  status: ServiceInstance["status"],
  threshold: number
): Health => {
  if (isOk) return healthy
  const isOver = failures + 1 >= threshold
  return { failures: failures + 1, before: before ?? (isOver ? status : undefined) }
}

const unhealthy = "UNHEALTHY"

/** Writes the status that follows from the health, if the instance has another one. A failed write is repeated after the next check. */
const announce = (own: OwnRecord, last: Health, next: Health, answer: Answer): Effect.Effect<boolean> => {
  const { label } = own
  const { status } = own.instance
  const isEntering = next.before !== undefined && status !== unhealthy
  const isLeaving = next.before === undefined && last.before !== undefined
  if (own.isDraining || !(isEntering || isLeaving)) return Effect.succeed(true)
  // A status that another writer has set since then stays.
  const to = isEntering ? unhealthy : status === unhealthy ? last.before! : status
  const line = answer._tag === "Healthy"
    ? Effect.logInfo(`${label} is healthy again`)
    : Effect.logWarning(
      `${label} is unhealthy: ${next.failures} health checks in a row have failed, and the last one ${answer.why}`,
      ...causeOf(answer)
    )
  return own.write((current) => Result.succeed(changed(current, { status: to }))).pipe(
    Effect.andThen(line),
    Effect.as(true),
    // The heartbeats report why writes fail.
    Effect.orElseSucceed(() => false)
  )
}

export interface HealthOptions {
  readonly healthCheck: Effect.Effect<boolean>
  readonly healthFailures: number
  readonly interval: Duration.Duration
}

/** Checks the health once per heartbeat, without end. */
export const watchHealth = (
  own: OwnRecord,
  { healthCheck, healthFailures, interval }: HealthOptions
): Effect.Effect<never, never, Scope.Scope> =>
  Effect.flatMap(makeHealthCheck(healthCheck), (ask) => {
    let health = healthy
    const check = Effect.gen(function*() {
      const answer = yield* ask
      yield* update(registryHealthChecks, { service: own.names.serviceName, outcome: outcomeOf(answer) })
      const next = afterCheck(health, answer._tag === "Healthy", own.instance.status, healthFailures)
      if (yield* announce(own, health, next, answer)) health = next
    })
    return Effect.forever(Effect.andThen(check, Effect.sleep(interval)))
  })
