/**
 * Plants known bugs in copies of the sources, one in each, and sees whether the simulation notices:
 *
 *   npm run mutants
 *   npm run mutants -- --only election --jobs 1
 *
 * A bug that is not noticed fails the run, unless a test is named that notices it, and does; so does one that cannot be
 * planted any more. `--only` takes those with that text in their name, file or scenario, and saves nothing; `--runs`,
 * `--scenario` and `--control` try them otherwise than they say. Runs are played by the fifty.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { save } from "../saveResults.ts"
import { type Broken, fails, makePlayer, mutated, snapshot } from "./copy.ts"
import type { Mutant } from "./models.ts"
import { mutants } from "./mutants.ts"

/** Runs that one process is given at once: few enough to stop soon. */
const portion = 50

const mostRuns = 2000

/** The sources as they are must pass so many runs of each scenario, or it shows nothing that a mutant fails in it. */
const runsWithout = 200

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    jobs: { type: "string" },
    runs: { type: "string" },
    scenario: { type: "string" },
    control: { type: "string", default: String(runsWithout) },
    verbose: { type: "boolean", default: false }
  }
})

const whole = (name: string, text: string): number => {
  const value = Number(text)
  if (!(Number.isSafeInteger(value) && value > 0)) {
    throw new Error(`--${name}: expected a whole number from 1, got ${text}`)
  }
  return value
}

const runsOfControl = whole("control", values.control)
const mostRunsAsked = values.runs === undefined ? undefined : whole("runs", values.runs)
const jobs = values.jobs === undefined ? availableParallelism() : whole("jobs", values.jobs)

/** What was tried otherwise than it says is not what results are about. */
const isPartial = values.only !== "" || values.runs !== undefined || values.scenario !== undefined ||
  runsOfControl < runsWithout

type Outcome =
  | { readonly _tag: "Caught"; readonly runs: number; readonly rule: string; readonly message: string }
  | { readonly _tag: "Survived"; readonly runs: number; readonly failing?: string }
  | { readonly _tag: "Broken"; readonly problem: string }

/** Plays until something is not as it should be. */
const playAll = Effect.fnUntraced(function*(
  root: string,
  scenario: string,
  most: number
): Effect.fn.Return<Outcome, Broken, Scope.Scope> {
  const player = yield* makePlayer(root)
  let first = 0
  for (; first < most; first += portion) {
    // Always as many, so that a run of a number is the same however many are asked for.
    const answer = yield* player.play({ scenario, seed: first + 1, runs: portion })
    if (answer._tag === "Unplayable") return { _tag: "Broken", problem: answer.problem }
    if (answer._tag === "Violated") {
      return { _tag: "Caught", runs: first + answer.run, rule: answer.rule, message: answer.message }
    }
  }
  return { _tag: "Survived", runs: first }
})

const scenarioOf = (mutant: Mutant): string => values.scenario ?? mutant.scenario

const runsOf = (mutant: Mutant): number => mostRunsAsked ?? mutant.runs ?? mostRuns

/** A run that fails without the mutant as well is a mistake of a check, or of ours: it shows nothing of the mutant. */
const confirmed = Effect.fnUntraced(function*(
  sources: string,
  scenario: string,
  outcome: Outcome
): Effect.fn.Return<Outcome, Broken, Scope.Scope> {
  if (outcome._tag !== "Caught") return outcome
  const before = Math.floor((outcome.runs - 1) / portion) * portion
  const player = yield* makePlayer(sources)
  const answer = yield* player.play({ scenario, seed: before + 1, runs: portion, only: outcome.runs - before })
  return answer._tag === "Passed"
    ? outcome
    : { _tag: "Broken", problem: `run ${outcome.runs} fails without it, too: ${outcome.rule}` }
})

const judge = (sources: string) => (mutant: Mutant) =>
  Effect.gen(function*() {
    const root = yield* mutated(sources, [mutant, ...mutant.also ?? []])
    const outcome = yield* Effect.scoped(playAll(root, scenarioOf(mutant), runsOf(mutant)))
    const { test } = mutant
    if (outcome._tag === "Survived" && test !== undefined && (yield* fails(root, test))) {
      return (yield* fails(sources, test))
        ? { _tag: "Broken" as const, problem: `the test "${test.name}" fails without it, too` }
        : { ...outcome, failing: test.name }
    }
    return yield* confirmed(sources, scenarioOf(mutant), outcome)
  }).pipe(
    Effect.scoped,
    Effect.catchTag("Broken", ({ problem }) => Effect.succeed({ _tag: "Broken" as const, problem })),
    Effect.tap((outcome) => Console.log(told(mutant, outcome))),
    Effect.map((outcome) => ({ mutant, outcome }))
  )

type Judged = Effect.Success<ReturnType<ReturnType<typeof judge>>>

const verdictOf = (outcome: Outcome): string => {
  switch (outcome._tag) {
    case "Caught":
      return outcome.rule
    case "Survived":
      return outcome.failing === undefined ? "NOT CAUGHT" : `NOT CAUGHT, but the test "${outcome.failing}" fails`
    case "Broken":
      return `BROKEN: ${outcome.problem}`
  }
}

const runsIn = (outcome: Outcome): string => outcome._tag === "Broken" ? "" : String(outcome.runs)

const told = (mutant: Mutant, outcome: Outcome): string =>
  `${mutant.name} (${scenarioOf(mutant)}, ${runsIn(outcome)} runs): ` +
  (values.verbose && outcome._tag === "Caught" ? outcome.message : verdictOf(outcome))

/** Rules may be long: what does not fit into a line is in the saved results. */
const longestRule = 110

const table = (judged: ReadonlyArray<Judged>): string => {
  const rows = [
    ["mutant", "scenario", "runs", "rule"],
    ...judged.map(({ mutant, outcome }) => [
      mutant.name,
      scenarioOf(mutant),
      runsIn(outcome),
      verdictOf(outcome).slice(0, longestRule)
    ])
  ]
  const width = (column: number) => Math.max(...rows.map((row) => row[column]!.length))
  const widths = [0, 1, 2].map(width)
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ").trimEnd()).join("\n")
}

const chosen = mutants.filter(({ file, name, scenario }) => `${name} ${file} ${scenario}`.includes(values.only))
if (chosen.length === 0) throw new Error(`--only: no mutant has "${values.only}" in its name, file or scenario`)

/** Scenarios that the sources as they are do not pass: what a mutant shows in them shows nothing. */
const control = Effect.fnUntraced(function*(sources: string, scenario: string) {
  const outcome = yield* Effect.scoped(playAll(sources, scenario, runsOfControl)).pipe(
    Effect.catchTag("Broken", ({ problem }) => Effect.succeed({ _tag: "Broken" as const, problem }))
  )
  if (outcome._tag === "Survived") {
    yield* Console.log(`without a mutant ${scenario} passes ${outcome.runs} runs`)
    return []
  }
  return [`${scenario} fails without any mutant: ${verdictOf(outcome)}`]
})

const all = Effect.gen(function*() {
  const sources = yield* snapshot
  const unfit = (yield* Effect.forEach(new Set(chosen.map(scenarioOf)), (one) => control(sources, one))).flat()
  if (unfit.length > 0) {
    yield* Console.log(unfit.join("\n"))
    process.exitCode = 1
    return
  }
  const judged = yield* Effect.forEach(chosen, judge(sources), {
    concurrency: jobs
  })
  const caught = judged.filter(({ outcome }) => outcome._tag === "Caught")
  const tested = judged.filter(({ outcome }) => outcome._tag === "Survived" && outcome.failing !== undefined)
  yield* Console.log(
    `\n${table(judged)}\n\n${caught.length} of ${judged.length} caught by the simulation, ${tested.length} by a test`
  )
  if (caught.length + tested.length < judged.length) process.exitCode = 1
  if (isPartial) return
  yield* save("mutants", {
    mutants: judged.map(({ mutant, outcome }) => ({
      mutant: mutant.name,
      from: mutant.from,
      file: mutant.file,
      scenario: mutant.scenario,
      runs: outcome._tag === "Broken" ? 0 : outcome.runs,
      verdict: verdictOf(outcome)
    }))
  })
}).pipe(Effect.scoped)

await Effect.runPromise(all)
