/**
 * Plants known bugs in copies of the sources, one in each, and sees whether the simulation notices:
 *
 *   npm run mutants
 *   npm run mutants -- --only election --jobs 1
 *
 * A bug that is not noticed fails the run, and so does one that cannot be planted any more. `--only` takes those with that
 * text in their name, file or scenario, and saves nothing; `--runs`, `--scenario` and `--control` try them otherwise than
 * they say.
 */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { save } from "../../bench/support/results.ts"
import { type Broken, makePlayer, mutated, snapshot } from "./copy.ts"
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

const runsOfControl = Number(values.control)

/** What was tried otherwise than it says is not what results are about. */
const isPartial = values.only !== "" || values.runs !== undefined || values.scenario !== undefined ||
  runsOfControl < runsWithout

type Outcome =
  | { readonly _tag: "Caught"; readonly runs: number; readonly rule: string; readonly message: string }
  | { readonly _tag: "Survived"; readonly runs: number }
  | { readonly _tag: "Broken"; readonly problem: string }

/** Plays until something is not as it should be. */
const playAll = Effect.fnUntraced(function*(
  root: string,
  scenario: string,
  most: number
): Effect.fn.Return<Outcome, Broken, Scope.Scope> {
  const player = yield* makePlayer(root)
  for (let first = 0; first < most; first += portion) {
    const answer = yield* player.play({ scenario, seed: first + 1, runs: Math.min(portion, most - first) })
    if (answer._tag === "Unplayable") return { _tag: "Broken", problem: answer.problem }
    if (answer._tag === "Violated") {
      return { _tag: "Caught", runs: first + answer.run, rule: answer.rule, message: answer.message }
    }
  }
  return { _tag: "Survived", runs: most }
})

const scenarioOf = (mutant: Mutant): string => values.scenario ?? mutant.scenario

const runsOf = (mutant: Mutant): number => values.runs === undefined ? mutant.runs ?? mostRuns : Number(values.runs)

const judge = (sources: string) => (mutant: Mutant) =>
  Effect.flatMap(
    mutated(sources, [mutant, ...mutant.also ?? []]),
    (root) => playAll(root, scenarioOf(mutant), runsOf(mutant))
  ).pipe(
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
      return "NOT CAUGHT"
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
    yield* Console.log(`without a mutant ${scenario} passes ${runsOfControl} runs`)
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
    concurrency: Number(values.jobs ?? availableParallelism())
  })
  const caught = judged.filter(({ outcome }) => outcome._tag === "Caught")
  yield* Console.log(`\n${table(judged)}\n\n${caught.length} of ${judged.length} caught`)
  if (caught.length < judged.length) process.exitCode = 1
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
