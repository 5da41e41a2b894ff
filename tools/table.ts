/** Formats reports as text tables. */
import type { Report } from "./watchFaults/run.ts"
import { scenarios } from "./watchFaults/scenarios.ts"

const millis = (time: number | undefined) => time === undefined ? "never" : `${Math.round(time)} ms`

const columns: ReadonlyArray<readonly [title: string, cell: (report: Report) => string]> = [
  ["watch", ({ contender }) => contender],
  ["fault", ({ scenario }) => scenario],
  ["missed", ({ missed }) => `${missed.length}`],
  ["not removed", ({ notRemoved }) => `${notRemoved.length}`],
  ["duplicates", ({ duplicates }) => `${duplicates.length}`],
  ["out of order", ({ disordered }) => `${disordered.length}`],
  ["skipped", ({ skipped }) => `${skipped}`],
  ["first event", ({ firstEvent }) => millis(firstEvent)],
  ["no marker", ({ traceless }) => `${traceless}`],
  ["outage", ({ outage }) => millis(outage)],
  ["writes", ({ writes }) => `${writes}`],
  ["unknown outcome", ({ unknown }) => `${unknown}`],
  ["writes/s", ({ perSecond }) => `${Math.round(perSecond)}`]
]

/** Aligns rows of cells. Numbers are aligned to the right. */
export const toTable = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const isNumber = (cell: string) => /^[\d<>]|^never$/.test(cell)
  return rows.map((row) =>
    row.map((cell, column) => isNumber(cell) ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!))
      .join("  ").trimEnd()
  ).join("\n")
}

/** Sorts by fault, then by watch, so that watches under the same fault are adjacent. */
export const reportTable = (reports: ReadonlyArray<Report>): string => {
  const order = scenarios.map(({ title }) => title)
  const rows = reports.toSorted((a, b) =>
    order.indexOf(a.scenario) - order.indexOf(b.scenario) || a.contender.localeCompare(b.contender)
  )
  return toTable([columns.map(([title]) => title), ...rows.map((report) => columns.map(([, cell]) => cell(report)))])
}

/** The counts of a report, without keys and events. */
export const toNumbers = (report: Report) => ({
  watch: report.contender,
  server: report.version,
  fault: report.scenario,
  missed: report.missed.length,
  notRemoved: report.notRemoved.length,
  duplicates: report.duplicates.length,
  disordered: report.disordered.length,
  skipped: report.skipped,
  firstEventMillis: rounded(report.firstEvent),
  outageMillis: rounded(report.outage),
  traceless: report.traceless,
  writes: report.writes,
  unknown: report.unknown,
  lostByServer: report.lost.length,
  writesPerSecond: Math.round(report.perSecond),
  ended: report.seen.flatMap((event) => event._tag === "Ended" ? [event.why] : [])
})

const rounded = (time: number | undefined) => time === undefined ? null : Math.round(time)
