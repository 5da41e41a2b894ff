/**
 * Simulates fleets in one process, on a virtual clock and with faults, and checks their
 * behaviour. A seed determines each run. Uses modules of Effect that are not stable yet
 * (`effect/Arbitrary`), and is therefore a separate entry point.
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
