/**
 * Runs a measurement, prints its table, and writes its numbers to `results`:
 *
 *   node bench/run.ts listing | overhead | leftovers | compare-watch | linearizability | simulation | long
 *
 * `long` is all of them, and the faults five times over.
 */
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { save } from "../tools/saveResults.ts"
import { leftovers } from "./leftovers.ts"
import { linearizability } from "./linearizability.ts"
import { listing } from "./listing.ts"
import { overhead } from "./overhead.ts"
import { simulation } from "./simulation.ts"
import { compareWatch, repeatedFaults } from "./watches.ts"

/** What a measurement gives: a table for people, numbers for later, and what is not as it should be. */
interface Outcome {
  readonly table: string
  readonly numbers: Readonly<Record<string, unknown>>
  readonly problems: ReadonlyArray<string>
}

const roundsOfFaults = 5

const measurements: Readonly<Record<string, Effect.Effect<Outcome, unknown>>> = {
  leftovers,
  faults: repeatedFaults(roundsOfFaults),
  "compare-watch": compareWatch,
  linearizability,
  listing,
  overhead,
  simulation
}

/** Whoever runs this in a script learns by the exit code. */
const measure = (name: string, measurement: Effect.Effect<Outcome, unknown>) =>
  Effect.tap(measurement, ({ problems, table }) => {
    if (problems.length > 0) process.exitCode = 1
    const verdict = problems.length === 0 ? "everything as promised" : problems.join("\n")
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

const name = process.argv[2] ?? ""
const chosen = measurements[name]
if (name !== "long" && chosen === undefined) {
  throw new Error(`"${name}" is none of ${[...Object.keys(measurements), "long"].join(", ")}`)
}
await Effect.runPromise(chosen === undefined ? long : one(name, chosen))
