/**
 * Runs a measurement, prints its table, and writes its numbers to `results`:
 *
 *   node bench/run.ts listing | overhead | leftovers | compare-watch | long
 *
 * `long` is all of them, and the faults five times over.
 */
import * as Console from "effect/Console"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import { leftovers } from "./leftovers.ts"
import { listing } from "./listing.ts"
import { overhead } from "./overhead.ts"
import { save } from "./support/results.ts"
import { compareWatch, repeatedFaults } from "./watches.ts"

interface Outcome {
  readonly table: string
  readonly numbers: Readonly<Record<string, unknown>>
}

const roundsOfFaults = 5

const measurements: Readonly<Record<string, Effect.Effect<Outcome, unknown>>> = {
  leftovers,
  faults: repeatedFaults(roundsOfFaults),
  "compare-watch": compareWatch,
  listing,
  overhead
}

const measure = (name: string, measurement: Effect.Effect<Outcome, unknown>) =>
  Effect.tap(measurement, ({ table }) => Console.log(`${name}\n\n${table}\n`))

const today = Effect.map(DateTime.now, (now) => DateTime.formatIsoDateUtc(now))

const one = (name: string, measurement: Effect.Effect<Outcome, unknown>) =>
  Effect.flatMap(measure(name, measurement), ({ numbers }) => save(name, numbers)).pipe(Effect.tap(Console.log))

const long = Effect.gen(function*() {
  const outcomes = yield* Effect.forEach(Object.entries(measurements), ([name, run]) => measure(name, run))
  yield* save(`long-${yield* today}`, Object.assign({}, ...outcomes.map(({ numbers }) => numbers)))
})

const name = process.argv[2] ?? ""
const chosen = measurements[name]
if (name !== "long" && chosen === undefined) {
  throw new Error(`"${name}" is none of ${[...Object.keys(measurements), "long"].join(", ")}`)
}
await Effect.runPromise(chosen === undefined ? long : one(name, chosen))
