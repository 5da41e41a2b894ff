/**
 * The scenarios of the simulation, and one in which links fail again and again: for bugs that need that twice in one lease.
 */
import type * as Scenario from "../../src/testing/Scenario.ts"
import { scenarios as simulated } from "../simulation/scenarios.ts"

const { mixed } = simulated

/** Links come and go. */
const flapping: Scenario.Scenario = {
  ...mixed!,
  faults: ["Cut", "Cut", "Cut", "PoorLink", "Disconnect", "Crash", "Pause"],
  mostFaults: 60
}

export const scenarios: Readonly<Record<string, Scenario.Scenario>> = { ...simulated, flapping }
