/**
 * The errors of clocks in the scenarios with a registry, and the times by which its histories are checked.
 */
import * as Duration from "effect/Duration"
import type * as Checks from "../../src/testing/Checks.ts"

/** Relative error of the clocks' rates. A machine reads the store's time once a minute, so its error is up to 0.6 s. */
export const drift = 0.01

/**
 * Largest error of an age: `drift`, half a round trip of the slowest link, and 0.5 s between two leaders of the store.
 */
const tolerance = Duration.seconds(3)

/** The times of a registry for `Checks.registryAccuracy`. */
export const registryTimes = (
  { heartbeat, maxAge }: { readonly maxAge: Duration.Duration; readonly heartbeat: Duration.Duration }
): Checks.RegistryTimes => ({
  maxAge: Duration.toMillis(maxAge),
  heartbeat: Duration.toMillis(heartbeat),
  tolerance: Duration.toMillis(tolerance),
  // A cleanup waits one heartbeat interval by its own clock, which may be fast.
  confirmation: (1 - drift) * Duration.toMillis(heartbeat)
})
