/**
 * A scenario with its defaults.
 */
import * as Faults from "../../testing/Faults.ts"
import type { Scenario } from "../../testing/Scenario.ts"

/** Every bucket, or one of the first two: those that are more come in their turn. */
const anyBucket: ReadonlyArray<string> = ["*", "#0", "#1"]

/** A scenario, its defaults filled in. */
export const completed = ({
  buckets = anyBucket,
  drift = 0.1,
  faults = Faults.survivable,
  duration = "2 minutes",
  maxFaults = Faults.defaultMaxFaults,
  nodes,
  offset = "1 day",
  setup,
  settleTime = "30 seconds",
  warmUp = 0
}: Scenario) => ({ buckets, drift, faults, duration, maxFaults, nodes, offset, setup, settleTime, warmUp })
