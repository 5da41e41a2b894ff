/**
 * The scenarios of the simulation, and three with many faults of the same kinds: for bugs that appear only if a fault
 * occurs twice within a lease, or at a certain moment.
 */
import type * as Scenario from "../../src/testing/Scenario.ts"
import { special } from "../simulation/elections.ts"
import { unsettled } from "../simulation/observers.ts"
import { scenarios as simulated } from "../simulation/scenarios.ts"

const { mixed } = simulated

/** Links fail often. */
const flapping: Scenario.Scenario = {
  ...mixed!,
  faults: ["Cut", "Cut", "Cut", "DegradedLink", "Disconnect", "Crash", "Pause"],
  maxFaults: 60
}

/** Operations are delayed after the decision to do them, and instances that seemed expired return in between. */
const sluggish: Scenario.Scenario = {
  ...mixed!,
  faults: ["DegradedLink", "DegradedLink", "DegradedLink", "Pause", "Suspend", "Suspend"],
  maxFaults: 60
}

export const scenarios: Readonly<Record<string, Scenario.Scenario>> = {
  ...simulated,
  ...special,
  flapping,
  sluggish,
  unsettled
}
