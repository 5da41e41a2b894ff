/**
 * Checks that the history of several client processes is linearizable, while the clients and the server are killed
 * repeatedly; and that the checker detects a changed answer in this history.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { check, format, type Operation } from "../src/testing/Linearizability.ts"
import { lines } from "../tools/natsServer/binaries.ts"
import { toTable } from "../tools/table.ts"
import { rounded } from "./support/measure.ts"
import { type Load, record, type Recorded } from "./support/processes.ts"

const load: Omit<Load, "line"> = {
  storage: "file",
  clients: 8,
  keys: 32,
  lasts: Duration.seconds(60),
  serverDies: Duration.seconds(4),
  clientDies: Duration.seconds(3)
}

/** The number of copies of the history, each with one changed answer. */
const changes = 20

/** A single server rejects no condition that holds. */
const rules = { conflictsInFlight: false }

const isUnanswered = ({ outcome, returned }: Operation) => returned === undefined || outcome._tag === "Unknown"

/** Returns copies of the history, each with another value in the answer to one read. */
const withAnotherValue = (
  history: ReadonlyArray<Operation>,
  times: number
): ReadonlyArray<ReadonlyArray<Operation>> => {
  const written = new Set(history.flatMap(({ outcome }) => outcome._tag === "Written" ? [outcome.revision] : []))
  const gets = history.flatMap(({ outcome }, index) =>
    outcome._tag === "Found" && written.has(outcome.revision) ? [{ index, outcome }] : []
  )
  const step = Math.max(1, Math.floor(gets.length / times))
  return gets.filter((_, n) => n % step === 0).slice(0, times).map(({ index, outcome }) =>
    history.with(index, { ...history[index]!, outcome: { ...outcome, value: `${outcome.value}, changed` } })
  )
}

/** Checks a recorded history. Returns its numbers and its problems. */
export const judge = (recorded: Recorded, times: number) => {
  const { broken, clientKills, history, serverKills, stuck, version } = recorded
  const begun = performance.now()
  const verdict = check(history, rules)
  const checkMillis = Math.round(performance.now() - begun)
  const verdicts = withAnotherValue(history, times).map((copy) => check(copy, rules)._tag)
  const numbers = {
    server: version,
    operations: history.length,
    keys: new Set(history.map(({ key }) => key)).size,
    unknown: history.filter((operation) => operation.input._tag !== "Get" && isUnanswered(operation)).length,
    refused: history.filter(({ outcome }) => outcome._tag === "Refused").length,
    failed: history.filter(({ outcome }) => outcome._tag === "Failed").length,
    serverKills,
    clientKills,
    checkMillis,
    verdict: verdict._tag,
    changed: verdicts.length,
    changedRefused: verdicts.filter((tag) => tag === "NotLinearizable").length
  }
  const problems = [
    ...verdict._tag === "Linearizable" ? [] : [format(verdict)],
    ...numbers.changed > 0 && numbers.changedRefused === numbers.changed ? [] : [`a changed answer was missed`],
    ...stuck === 0 ? [] : [`${stuck} clients did not end in time`],
    ...broken === 0 ? [] : [`${broken} clients failed`]
  ].map((problem) => `${version}: ${problem}`)
  return { numbers, problems }
}

export const linearizability = Effect.gen(function*() {
  const results = yield* Effect.forEach(
    lines,
    (line) => Effect.map(record({ ...load, line }), (recorded) => judge(recorded, changes))
  )
  const rows = results.map(({ numbers }) => numbers)
  const table = toTable([
    [
      "server",
      "operations",
      "per second",
      "unknown outcome",
      "refused",
      "failed",
      "server kills",
      "client kills",
      "check",
      "verdict",
      "changed answers",
      "detected"
    ],
    ...rows.map((row) => [
      row.server,
      `${row.operations}`,
      `${rounded(row.operations / Duration.toSeconds(load.lasts))}`,
      `${row.unknown}`,
      `${row.refused}`,
      `${row.failed}`,
      `${row.serverKills}`,
      `${row.clientKills}`,
      `${row.checkMillis} ms`,
      row.verdict,
      `${row.changed}`,
      `${row.changedRefused}`
    ])
  ])
  return { table, numbers: { linearizability: rows }, problems: results.flatMap(({ problems }) => problems) }
})
