/**
 * Runs scenarios and prints the faults that took effect:
 *
 *   npm run simulate -- --seeds 10000
 *   npm run simulate -- --hours 500 --scenario replicated
 *   npm run simulate -- --replay '{"seed":17,"faults":[]}' --scenario mixed
 *
 * `--hours` is simulated time. `--scenario` names a scenario of `scenarios.ts`; the default is all of them in sequence.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { parseArgs } from "node:util"
import * as Scenario from "../../src/testing/Scenario.ts"
import { type Crew, enough, type Result as Outcome, startCrew } from "./runner.ts"
import { scenarios } from "./scenarios.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    hours: { type: "string" },
    first: { type: "string", default: "1" },
    jobs: { type: "string" },
    scenario: { type: "string", multiple: true },
    replay: { type: "string" }
  }
})

const number = (name: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined
  const value = Number(text)
  const isRight = name === "hours" ? Number.isFinite(value) && value > 0 : Number.isSafeInteger(value) && value > 0
  if (!isRight) throw new Error(`--${name}: expected a ${name === "hours" ? "" : "whole "}number above 0, got ${text}`)
  return value
}

const chosen = values.scenario ?? Object.keys(scenarios)
const unknown = chosen.find((name) => scenarios[name] === undefined)
if (unknown !== undefined) {
  throw new Error(`--scenario: expected one of ${Object.keys(scenarios).join(", ")}, got "${unknown}"`)
}

const table = ({ faults }: Outcome): string =>
  [...faults].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([fault, count]) =>
    `${String(count).padStart(10)}  ${fault}`
  )
    .join("\n")

const replay = async (name: string, token: string): Promise<void> => {
  const outcome = await Effect.runPromise(Effect.result(Scenario.check(scenarios[name]!, { replay: token })))
  console.log(Result.isFailure(outcome) ? outcome.failure.message : "the plan passes without a violation")
  if (Result.isFailure(outcome)) process.exitCode = 1
}

const run = async (crew: Crew, name: string): Promise<void> => {
  const began = performance.now()
  const outcome = await crew.simulate({
    scenario: name,
    seeds: number("seeds", values.seeds)!,
    hours: number("hours", values.hours),
    first: number("first", values.first)
  })
  const seconds = (performance.now() - began) / 1000
  const hours = outcome.lasted / 3_600_000
  console.log(
    `${name}: ${outcome.runs} runs, ${hours.toFixed(1)} hours of simulated time, in ${seconds.toFixed(1)} s; ` +
      `${outcome.failures.length} failed. Faults that took effect:\n${table(outcome)}`
  )
  for (const failure of outcome.failures) console.log(failure)
  if (outcome.runs < enough) console.log(`note: with fewer than ${enough} runs, a fault may be missing by chance`)
  if (outcome.missing.length > 0) console.log(`faults that never took effect: ${outcome.missing.join(", ")}`)
  if (outcome.failures.length + outcome.missing.length > 0) process.exitCode = 1
}

if (values.replay === undefined) {
  const crew = startCrew(number("jobs", values.jobs))
  try {
    for (const name of chosen) await run(crew, name)
  } finally {
    crew.end()
  }
} else {
  for (const name of chosen) await replay(name, values.replay)
}
