/**
 * The scenarios of the simulation, and two in which something happens again and again: for bugs that need it twice in one
 * lease, or at one certain moment.
 */
import type * as Scenario from "../../src/testing/Scenario.ts"
import { scenarios as simulated } from "../simulation/scenarios.ts"

const { mixed } = simulated

/** Links come and go. */
const flapping: Scenario.Scenario = {
  ...mixed!,
  faults: ["Cut", "Cut", "Cut", "DegradedLink", "Disconnect", "Crash", "Pause"],
  maxFaults: 60
}

/** What is decided is done late, and those that seemed expired come back meanwhile. */
const sluggish: Scenario.Scenario = {
  ...mixed!,
  faults: ["DegradedLink", "DegradedLink", "DegradedLink", "Pause", "Suspend", "Suspend"],
  maxFaults: 60
}

export const scenarios: Readonly<Record<string, Scenario.Scenario>> = { ...simulated, flapping, sluggish }
