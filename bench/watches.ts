/**
 * Runs watches under the faults of the tests: this library's watches repeatedly, and compared with those of
 * `@nats-io/kv`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import { reportTable, toNumbers, toTable } from "../tools/table.ts"
import { type Contender, others, ours } from "../tools/watchFaults/contenders.ts"
import { problems } from "../tools/watchFaults/problems.ts"
import { type Load, type Report, run, usualLoad } from "../tools/watchFaults/run.ts"
import { type Scenario, scenarios } from "../tools/watchFaults/scenarios.ts"
import { median } from "./support/measure.ts"

/** The largest number of servers that two processors can run without delays. */
const serversAtOnce = 9

/** A watch of `@nats-io/kv` needs up to 90 s to recover from a lost consumer: see `results/summary.md`. */
const patienceWithThem = Duration.seconds(120)

const runAll = (runs: ReadonlyArray<readonly [Contender, Scenario]>, load: Load) =>
  Effect.forEach(
    runs,
    ([contender, scenario]) => Effect.map(run(contender, scenario, load), (report) => ({ report, scenario })),
    { concurrency: serversAtOnce }
  )

const pairs = (contenders: ReadonlyArray<Contender>, which: (scenario: Scenario) => boolean = () => true) =>
  contenders.flatMap((contender) => scenarios.filter(which).map((scenario) => [contender, scenario] as const))

interface Ran {
  readonly report: Report
  readonly scenario: Scenario
}

const problemsOf = (runs: ReadonlyArray<Ran>) =>
  runs.flatMap(({ report, scenario }) =>
    problems(report, scenario, usualLoad.perSecond).map((problem) =>
      `${report.contender}, ${report.scenario}: ${problem}`
    )
  )

/** `@nats-io/kv` has no layer that recreates a lost bucket, so these faults are left out for its watches. */
export const compareWatch = Effect.gen(function*() {
  const withUs = yield* runAll(pairs(ours), usualLoad)
  const withThem = yield* runAll(pairs(others, ({ anew }) => anew !== "by the layer"), {
    ...usualLoad,
    patience: patienceWithThem
  })
  const reports = [...withUs, ...withThem].map(({ report }) => report)
  return { table: reportTable(reports), numbers: { watches: reports.map(toNumbers) }, problems: problemsOf(withUs) }
})

/** Combines all rounds of one watch and one fault. */
const summary = (reports: ReadonlyArray<Report>) => {
  const sum = (count: (report: Report) => number) => reports.reduce((total, report) => total + count(report), 0)
  const times = reports.map(({ firstEvent }) => firstEvent ?? Number.POSITIVE_INFINITY)
  return {
    watch: reports[0]!.contender,
    fault: reports[0]!.scenario,
    rounds: reports.length,
    missed: sum(({ missed }) => missed.length),
    notRemoved: sum(({ notRemoved }) => notRemoved.length),
    duplicates: sum(({ duplicates }) => duplicates.length),
    disordered: sum(({ disordered }) => disordered.length),
    firstEventMillis: { median: Math.round(median(times)), most: Math.round(Math.max(...times)) },
    lostByServer: sum(({ lost }) => lost.length),
    writes: sum(({ writes }) => writes)
  }
}

/** Runs several rounds. Each has more keys, and faults at other moments. */
export const repeatedFaults = (rounds: number) =>
  Effect.gen(function*() {
    const runs: Array<Ran> = []
    for (let round = 1; round <= rounds; round++) {
      const load: Load = { ...usualLoad, keys: usualLoad.keys * round }
      runs.push(...(yield* runAll(pairs(ours), load).pipe(Random.withSeed(`round ${round}`))))
    }
    const groups = Map.groupBy(
      runs.map(({ report }) => report),
      ({ contender, scenario }) => `${contender} ${scenario}`
    )
    const faults = [...groups.values()].map(summary)
    const table = toTable([
      [
        "watch",
        "fault",
        "rounds",
        "missed",
        "not removed",
        "duplicates",
        "out of order",
        "first event, median",
        "longest",
        "writes"
      ],
      ...faults.map((row) => [
        row.watch,
        row.fault,
        `${row.rounds}`,
        `${row.missed}`,
        `${row.notRemoved}`,
        `${row.duplicates}`,
        `${row.disordered}`,
        `${row.firstEventMillis.median} ms`,
        `${row.firstEventMillis.most} ms`,
        `${row.writes}`
      ])
    ])
    return { table, numbers: { rounds, faults }, problems: problemsOf(runs) }
  })
