/**
 * The first connection: tried once, or until it succeeds.
 */
import type { NatsConnection } from "@nats-io/transport-node"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { KVStoreReason } from "../../../KVStoreError.ts"
import { natsConnectFailures } from "../../../Metrics.ts"
import { annotate, Repeated } from "../../logs.ts"
import { update } from "../../metrics.ts"
import { inChildScope } from "../../scopes.ts"
import { attemptDelay, open } from "./dial.ts"
import { type ConnectionSettings, shownServers } from "./settings.ts"

/** Connects. With `waitOnFirstConnect` a retryable failure is logged and retried. */
export const openFirst = (
  settings: ConnectionSettings
): Effect.Effect<NatsConnection, KVStoreReason, Scope.Scope> => {
  const once = Effect.tapError(inChildScope(open(settings)), () => update(natsConnectFailures, {}))
  if (!settings.waitOnFirstConnect) return once
  const failures = new Repeated()
  const report = (reason: KVStoreReason) => {
    const problem = reason._tag === "Unavailable" ? reason.problem : reason.message
    return failures.log(problem, Effect.logWarning(`waiting for a server, ${shownServers(settings)}: ${problem}`))
  }
  const pause = Effect.map(Random.next, (random) => Duration.millis(attemptDelay(settings, random)))
  return Effect.tapError(once, (reason) => reason.isRetryable ? report(reason) : Effect.void).pipe(
    Effect.retry({
      while: (reason) => reason.isRetryable,
      schedule: Schedule.addDelay(Schedule.forever, () => pause)
    }),
    annotate("NatsClient")
  )
}
