/**
 * Runs 10,000 simulations of the scenario `mixed` and 500 of each other scenario. Also checks that a seed gives the
 * same timeline twice, and on all supported versions of Node.
 */
import * as Effect from "effect/Effect"
import { execFileSync } from "node:child_process"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"
import { digests } from "../tools/simulation/digest.ts"
import { type Crew, startCrew } from "../tools/simulation/runner.ts"
import { scenarios } from "../tools/simulation/scenarios.ts"
import { toTable } from "../tools/table.ts"
import { rounded } from "./support/measure.ts"

const mixedRuns = 10_000
const otherRuns = 500

const millisPerHour = 3_600_000

const digestScript = fileURLToPath(new URL("../tools/simulation/digest.ts", import.meta.url))

/** The oldest supported version, and the version used in development. */
const nodeVersions = ["22", "24"]

/** Returns the path of a Node binary from the package `node`, which npm caches. */
const nodeOf = (version: string): string =>
  execFileSync("npm", ["exec", "--yes", `--package=node@${version}`, "--", "node", "-p", "process.execPath"], {
    cwd: tmpdir(),
    encoding: "utf8"
  }).trim()

const digestsOn = (version: string): string =>
  execFileSync(nodeOf(version), ["--experimental-strip-types", "--disable-warning=ExperimentalWarning", digestScript], {
    encoding: "utf8"
  }).trim()

const sameStories = Effect.gen(function*() {
  const here = (yield* digests()).join("\n")
  const again = (yield* digests()).join("\n")
  return [
    ...here === again ? [] : ["the same seeds give different timelines in a second run"],
    ...nodeVersions.filter((version) => digestsOn(version) !== here).map((version) =>
      `the same seeds give different timelines on Node ${version}`
    )
  ]
})

const played = (crew: Crew) => (scenario: string) =>
  Effect.promise(async () => {
    const began = performance.now()
    const outcome = await crew.simulate({ scenario, seeds: scenario === "mixed" ? mixedRuns : otherRuns })
    return { scenario, seconds: rounded((performance.now() - began) / 1000), outcome }
  })

export const simulation = Effect.gen(function*() {
  const crew = yield* Effect.acquireRelease(Effect.sync(() => startCrew()), ({ end }) => Effect.sync(end))
  const all = yield* Effect.forEach(Object.keys(scenarios), played(crew))
  const rows = all.map(({ outcome, scenario, seconds }) => ({
    scenario,
    runs: outcome.runs,
    fleetHours: rounded(outcome.lasted / millisPerHour),
    seconds,
    failures: outcome.failures.length,
    faults: Object.fromEntries([...outcome.faults].toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }))
  const problems = [
    ...all.flatMap(({ outcome, scenario }) => outcome.failures.map((failure) => `${scenario}: ${failure}`)),
    ...all.flatMap(({ outcome, scenario }) =>
      outcome.missing.map((fault) => `${scenario}: the fault "${fault}" never took effect`)
    ),
    ...yield* sameStories
  ]
  const table = toTable([
    ["scenario", "runs", "simulated hours", "seconds", "failures", "faults"],
    ...rows.map((row) => [
      row.scenario,
      `${row.runs}`,
      `${row.fleetHours}`,
      `${row.seconds}`,
      `${row.failures}`,
      `${Object.values(row.faults).reduce((sum, count) => sum + count, 0)}`
    ])
  ])
  return { table, numbers: { simulation: rows }, problems }
}).pipe(Effect.scoped)
