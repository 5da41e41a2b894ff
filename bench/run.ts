/**
 * Runs a measurement, prints its table, and saves its numbers in `.cache/results`:
 *
 *   node bench/run.ts <measurement> | long [--quick] [--patience <seconds>] [--only <text>]
 *
 * Measurements: big-watches, compare-watch, election, faults, leftovers, linearizability, listing, overhead, registry,
 * registry-fleet, replicas, simulation, snapshot, stored-records.
 * `long` runs all of them. `faults` runs each fault five times.
 *
 * With `--quick`, `snapshot` and `big-watches` read less data. `big-watches` waits 60 s, or `--patience`, for the watches
 * of this library; `--only` selects its rows by a part of "server, watches, client", such as `3 of 200 MB, this library`.
 */
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { parseArgs } from "node:util"
import { save } from "../tools/saveResults.ts"
import { bigWatches } from "./bigWatches.ts"
import { election } from "./election.ts"
import { leftovers } from "./leftovers.ts"
import { linearizability } from "./linearizability.ts"
import { listing } from "./listing.ts"
import { overhead } from "./overhead.ts"
import { registry } from "./registry.ts"
import { registryFleet } from "./registryFleet.ts"
import { replicas } from "./replicas.ts"
import { simulation } from "./simulation.ts"
import { quickSizes, snapshot, usualSizes } from "./snapshot.ts"
import { storedRecords } from "./storedRecords.ts"
import { compareWatch, repeatedFaults } from "./watches.ts"

/** The result of a measurement: a table to print, numbers to save, and violated expectations. */
interface Outcome {
  readonly table: string
  readonly numbers: Readonly<Record<string, unknown>>
  readonly problems: ReadonlyArray<string>
}

const roundsOfFaults = 5

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    patience: { type: "string" },
    only: { type: "string", default: "" }
  }
})

const { only, quick } = values

const patience = values.patience === undefined ? undefined : Duration.seconds(Number(values.patience))

const measurements: Readonly<Record<string, Effect.Effect<Outcome, unknown>>> = {
  "big-watches": bigWatches({ quick, patience, only }),
  leftovers,
  faults: repeatedFaults(roundsOfFaults),
  "compare-watch": compareWatch,
  election,
  linearizability,
  listing,
  overhead,
  registry,
  "registry-fleet": registryFleet,
  replicas,
  simulation,
  snapshot: snapshot(quick ? quickSizes : usualSizes),
  "stored-records": storedRecords
}

/** Prints the table and the problems. Problems set the exit code. */
const measure = (name: string, measurement: Effect.Effect<Outcome, unknown>) =>
  Effect.tap(measurement, ({ problems, table }) => {
    if (problems.length > 0) process.exitCode = 1
    const verdict = problems.length === 0 ? "no problems" : problems.join("\n")
    return Console.log(`${name}\n\n${table}\n\n${verdict}\n`)
  })

const one = (name: string, measurement: Effect.Effect<Outcome, unknown>) =>
  Effect.flatMap(measure(name, measurement), ({ numbers }) => save(name, numbers)).pipe(Effect.flatMap(Console.log))

const long = Effect.gen(function*() {
  const outcomes = yield* Effect.forEach(Object.entries(measurements), ([name, run]) => measure(name, run))
  const numbers = Object.assign({}, ...outcomes.map((outcome) => outcome.numbers))
  const date = DateTime.formatIsoDateUtc(yield* DateTime.now)
  yield* save(`long-${date}`, { ...numbers, problems: outcomes.flatMap(({ problems }) => problems) })
})

const name = positionals[0] ?? ""
const chosen = measurements[name]
if (name !== "long" && chosen === undefined) {
  throw new Error(`expected one of ${[...Object.keys(measurements), "long"].join(", ")}, got "${name}"`)
}
await Effect.runPromise(chosen === undefined ? long : one(name, chosen))
