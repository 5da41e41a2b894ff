/** Watches through the faults of the tests: ours again and again, and ours beside the one of `@nats-io/kv`. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { type Contender, others, ours } from "../test/faults/support/contenders.ts"
import { problems } from "../test/faults/support/problems.ts"
import { type Load, type Report, run, usualLoad } from "../test/faults/support/run.ts"
import { type Scenario, scenarios } from "../test/faults/support/scenarios.ts"
import { reportTable, toNumbers } from "../test/faults/support/table.ts"

/** As many as two processors carry without being late. */
const serversAtOnce = 9

/** Their watch needs up to 90 s where its consumer is lost (measured). */
const patienceWithThem = Duration.seconds(120)

const runAll = (runs: ReadonlyArray<readonly [Contender, Scenario]>, load: Load) =>
  Effect.forEach(
    runs,
    ([contender, scenario]) => Effect.map(run(contender, scenario, load), (report) => ({ report, scenario })),
    { concurrency: serversAtOnce }
  )

const pairs = (contenders: ReadonlyArray<Contender>, which: (scenario: Scenario) => boolean = () => true) =>
  contenders.flatMap((contender) => scenarios.filter(which).map((scenario) => [contender, scenario] as const))

/** A bucket that is left to the layer stays lost where there is none. */
export const compareWatch = Effect.gen(function*() {
  const withUs = yield* runAll(pairs(ours), usualLoad)
  const withThem = yield* runAll(pairs(others, ({ anew }) => anew !== "by the layer"), {
    ...usualLoad,
    patience: patienceWithThem
  })
  const reports = [...withUs, ...withThem].map(({ report }) => report)
  return { table: reportTable(reports), numbers: { watches: reports.map(toNumbers) } }
})

/** What has gone wrong in any of so many rounds, each with another number of keys and other moments for its faults. */
export const repeatedFaults = (rounds: number) =>
  Effect.gen(function*() {
    const reports: Array<Report> = []
    const found: Array<string> = []
    for (let round = 1; round <= rounds; round++) {
      const load: Load = { ...usualLoad, keys: usualLoad.keys * round }
      for (
        const { report, scenario } of yield* runAll(pairs(ours), load).pipe(Random.withSeed(`round ${round}`))
      ) {
        reports.push(report)
        for (const problem of problems(report, scenario, load.perSecond)) {
          found.push(`round ${round}, ${report.contender}, ${report.scenario}: ${problem}`)
        }
      }
    }
    return {
      table: `${reportTable(reports)}\n${found.join("\n")}`,
      numbers: { rounds, problems: found, faults: reports.map(toNumbers) }
    }
  })
