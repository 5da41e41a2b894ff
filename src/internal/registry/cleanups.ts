/**
 * Repeated runs of the cleanup: `layerCleanup` and `layerCleanupOnLeader` (docs/protocols/registry.md, R20 to R22).
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import * as Schedule from "effect/Schedule"
import type { CleanupReport, Registry } from "../../Registry.ts"
import type { RegistryError } from "../../RegistryError.ts"
import { annotate, Repeated } from "../logs.ts"
import { isClosed } from "../retry.ts"
import { escaped } from "../texts.ts"
import type { toCleanupLayerOptions } from "./options.ts"
import { onSchedule } from "./schedule.ts"

type CleanupLayerOptions = Result.Result.Success<ReturnType<typeof toCleanupLayerOptions>>

/** Logs what a run has removed, and what it could not remove. */
const report = ({ failed, removed }: CleanupReport, done: string): Effect.Effect<void> =>
  Effect.andThen(
    Effect.forEach(failed, (one) => Effect.logWarning(escaped(`could not clean up ${one.instance}: ${one.reason}`))),
    Effect.forEach(removed, (one) => Effect.logInfo(escaped(`${done} ${one.instance}: ${one.reason}`)), {
      discard: true
    })
  )

export const repeated = (
  registry: Registry["Service"],
  { schedule, ...run }: CleanupLayerOptions
): Effect.Effect<void, RegistryError> =>
  Effect.gen(function*() {
    const failures = new Repeated()
    const clock = yield* Clock.Clock
    const cleanup = registry.cleanup(run).pipe(
      Effect.tap((done) => report(done, run.dryRun ? "would clean up" : "cleaned up")),
      Effect.andThen(failures.ended()),
      Effect.catchIf(
        ({ reason }) => !(reason._tag === "KVStoreError" && isClosed(reason)),
        (error) => failures.log(error.message, Effect.logWarning(`the cleanup failed: ${error.message}`))
      )
    )
    if (Duration.isDuration(schedule)) {
      yield* Effect.schedule(cleanup, Schedule.jittered(Schedule.spaced(schedule)))
      return
    }
    const label = "the schedule of the cleanup"
    yield* onSchedule(label, cleanup, schedule, clock)
    yield* Effect.logWarning(`${label} has ended: expired instances are no longer removed`)
  }).pipe(annotate("Registry", {}))
