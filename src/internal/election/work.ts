/**
 * Work that runs while its candidate leads: interrupted when leadership goes,
 * and awaited, before leadership is handed over.
 */
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { wholeMillis } from "../time.ts"
import type { Tenure } from "./tenure.ts"

const overruns = Metric.counter("election.overrun", {
  description: "Work that was still stopping when the lease ended: another leader may have started"
})

/** Tells, loudly, that work still runs when others may lead. */
const watchOverrun = (tenure: Tenure) =>
  Effect.gen(function*() {
    // Renewals go on while the work stops: the end of the lease moves.
    while (tenure.untilLeaseEnds > 0) yield* Effect.sleep(wholeMillis(tenure.untilLeaseEnds))
    yield* Metric.update(overruns, 1)
    yield* Effect.logError(
      `the work of "${tenure.options.election}" still runs after its lease has ended: another leader may have started. ` +
        "Stop it within leaseDuration - renewDeadline, and guard what it writes with the fencing token"
    )
  })

const stop = <A, E>(tenure: Tenure, work: Fiber.Fiber<A, E>) =>
  Effect.gen(function*() {
    // Also where nobody asked it to resign: whoever stops the work gives leadership up.
    tenure.beginRelease()
    const overrun = yield* Effect.forkDetach(watchOverrun(tenure))
    yield* Fiber.interrupt(work)
    yield* Fiber.interrupt(overrun)
  })

/** How the work ended; none where it was told to stop, which it has when the scope is closed. */
export const runUntil = <A, E, R>(
  tenure: Tenure,
  work: Effect.Effect<A, E, R>,
  toldToStop: Effect.Effect<unknown>
): Effect.Effect<Option.Option<Exit.Exit<A, E>>, never, R | Scope.Scope> =>
  Effect.gen(function*() {
    // In a scope of its own: what it has acquired is released when it has stopped, and not before.
    const running = Effect.forkDetach(Effect.scoped(work))
    const fiber = yield* Effect.acquireRelease(running, (fiber) => stop(tenure, fiber))
    return yield* Effect.raceFirst(
      Effect.asSome(Fiber.await(fiber)),
      Effect.as(toldToStop, Option.none())
    )
  })
