/**
 * Simulates whole fleets in one process, on a virtual clock, with faults, from a
 * seed; and checks what they did. An entry of its own: it uses modules of Effect
 * that are not stable yet (`Arbitrary`).
 *
 * @since 0.1.0
 */
export * as Checks from "./testing/Checks.ts"
export * as Crash from "./testing/Crash.ts"
export * as Faults from "./testing/Faults.ts"
export * as History from "./testing/History.ts"
export * as Linearizability from "./testing/Linearizability.ts"
export * as Scenario from "./testing/Scenario.ts"
export * as Simulation from "./testing/Simulation.ts"
