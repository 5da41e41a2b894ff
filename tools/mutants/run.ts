/**
 * Plants known bugs in copies of the sources, one per copy, and checks that the simulation detects them:
 *
 *   npm run mutants
 *   npm run mutants -- --only election --jobs 1
 *
 * The run fails if a bug is not detected by the simulation or by the test that it names, or if it can no longer be
 * planted. `--only` selects bugs with that text in their name, file or scenario. `--runs` and `--scenario` override
 * the values of the bugs; `--control` is the number of runs of each scenario without a bug. The number of runs is
 * rounded up to a multiple of 50. Results are not saved with `--only`, `--runs`, `--scenario`, or a `--control` below
 * 200.
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

/** Runs per request to a process. */
const portion = 50

const mostRuns = 2000

/** Runs of each scenario that must pass without a bug. Otherwise a failure with a bug would prove nothing. */
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
    throw new Error(`--${name}: expected a whole number greater than 0, got ${text}`)
  }
  return value
}

const runsOfControl = whole("control", values.control)
const mostRunsAsked = values.runs === undefined ? undefined : whole("runs", values.runs)
const jobs = values.jobs === undefined ? availableParallelism() : whole("jobs", values.jobs)

/** Whether options restrict the run. The results are then not saved. */
const isPartial = values.only !== "" || values.runs !== undefined || values.scenario !== undefined ||
  runsOfControl < runsWithout

type Outcome =
  | { readonly _tag: "Caught"; readonly runs: number; readonly rule: string; readonly message: string }
  | { readonly _tag: "Survived"; readonly runs: number; readonly failing?: string }
  | { readonly _tag: "Broken"; readonly problem: string }

/** Runs plans until one has a violation. */
const playAll = Effect.fnUntraced(function*(
  root: string,
  scenario: string,
  most: number
): Effect.fn.Return<Outcome, Broken, Scope.Scope> {
  const player = yield* makePlayer(root)
  let first = 0
  for (; first < most; first += portion) {
    // Requests always have the same size, so that the plan of a run depends only on its number.
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

/** Repeats the failing run without the bug. If it fails again, the violation is not caused by the bug. */
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
    : { _tag: "Broken", problem: `run ${outcome.runs} also fails without the bug: ${outcome.rule}` }
})

const judge = (sources: string) => (mutant: Mutant) =>
  Effect.gen(function*() {
    const root = yield* mutated(sources, [mutant, ...mutant.also ?? []])
    const outcome = yield* Effect.scoped(playAll(root, scenarioOf(mutant), runsOf(mutant)))
    const { test } = mutant
    if (outcome._tag === "Survived" && test !== undefined && (yield* fails(root, test))) {
      return (yield* fails(sources, test))
        ? { _tag: "Broken" as const, problem: `the test "${test.name}" also fails without the bug` }
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

/** Characters of a rule in the table. The saved results contain the full text. */
const longestRule = 110

const table = (judged: ReadonlyArray<Judged>): string => {
  const rows = [
    ["bug", "scenario", "runs", "violated rule"],
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
if (chosen.length === 0) throw new Error(`--only: no bug has "${values.only}" in its name, file or scenario`)

/** Runs a scenario without a bug. Returns the problem if it fails: its verdicts on bugs would prove nothing. */
const control = Effect.fnUntraced(function*(sources: string, scenario: string) {
  const outcome = yield* Effect.scoped(playAll(sources, scenario, runsOfControl)).pipe(
    Effect.catchTag("Broken", ({ problem }) => Effect.succeed({ _tag: "Broken" as const, problem }))
  )
  if (outcome._tag === "Survived") {
    yield* Console.log(`${scenario} passes ${outcome.runs} runs without a bug`)
    return []
  }
  return [`${scenario} fails without a bug: ${verdictOf(outcome)}`]
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
