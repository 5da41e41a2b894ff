/**
 * Formats histories and verdicts as sentences and tables for people.
 */
import type { Operation, Verdict } from "../../Linearizability.ts"
import type { KeyState } from "./keyState.ts"
import { isUnanswered } from "./problem.ts"
import type { SearchProgress } from "./search.ts"

const question = ({ input }: Operation): string => {
  switch (input._tag) {
    case "Get":
      return "get"
    case "Remove":
      return input.revision === undefined ? input.operation : `${input.operation} at revision ${input.revision}`
    case "Put": {
      const { createOnly, revision, updateOnly, whenKey } = input.options ?? {}
      const condition = createOnly
        ? " createOnly"
        : updateOnly
        ? " updateOnly"
        : whenKey !== undefined
        ? ` when ${JSON.stringify(whenKey.key)} is at revision ${whenKey.revision}`
        : revision === undefined
        ? ""
        : ` at revision ${revision}`
      return `put ${JSON.stringify(input.value)}${condition}`
    }
  }
}

const answer = ({ outcome, returned }: Operation): string => {
  if (returned === undefined) return "no answer"
  switch (outcome._tag) {
    case "None":
      return "none"
    case "Found":
      return `${JSON.stringify(outcome.value)}, revision ${outcome.revision}`
    case "Written":
      return `revision ${outcome.revision}`
    case "Removed":
      return "done"
    case "Refused":
      return outcome.reason
    case "Unknown":
      return "unknown"
    case "Failed":
      return "failed"
  }
}

const inWords = (operation: Operation) => `${operation.process}: ${question(operation)} -> ${answer(operation)}`

const held = ({ known, least, live }: KeyState): string => {
  const revision = known ? `revision ${least}` : `a revision from ${least} on`
  return known && least === 0
    ? "nothing"
    : live === undefined
    ? "anything"
    : live
    ? `a value of ${revision}`
    : known
    ? `a tombstone of ${revision}`
    : "no value"
}

/** Longer lists are shown as a count of operations: a person cannot read more. */
const mostNamed = 12

/** Describes the longest consistent order that was found, and the operations that do not fit into it. */
export const explain = (operations: ReadonlyArray<Operation>, { order, state }: SearchProgress): string => {
  const left = operations.filter((operation) => !order.includes(operation) && operation.returned !== undefined)
  const named = (list: ReadonlyArray<Operation>) =>
    list.length > mostNamed ? `${list.length} operations` : list.map(inWords).join("; ")
  const before = order.length === 0 ? "at the start" : `after (${named(order)})`
  return `${before} the key holds ${held(state)}, and no order explains the remaining operations: ${named(left)}`
}

const pad = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  return rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd())
}

/** With more distinct times the bars would be too wide to print beside the table. */
const mostMoments = 40

/** Columns between two consecutive times: wide enough to draw an operation that lasts from one to the next. */
const columns = 2

/** Draws bars that show which operations overlap. All distances between consecutive times are drawn equal. */
const bars = (operations: ReadonlyArray<Operation>): (operation: Operation) => string => {
  const moments = [...new Set(operations.flatMap(({ invoked, returned }) => [invoked, returned ?? invoked]))]
    .toSorted((a, b) => a - b)
  if (moments.length > mostMoments) return () => ""
  const column = (moment: number) => columns * moments.indexOf(moment)
  return (operation) => {
    const start = column(operation.invoked)
    const end = isUnanswered(operation) ? columns * moments.length : column(operation.returned!)
    const body = end === start ? "" : "=".repeat(end - start - 1) + (isUnanswered(operation) ? ">" : "|")
    return `${" ".repeat(start)}|${body}`
  }
}

/** Returns one row for each operation, sorted by process, then by time. */
const table = (operations: ReadonlyArray<Operation>): ReadonlyArray<string> => {
  const bar = bars(operations)
  const start = Math.min(...operations.map(({ invoked }) => invoked))
  const sorted = operations.toSorted((a, b) =>
    a.process === b.process ? a.invoked - b.invoked : a.process < b.process ? -1 : 1
  )
  const time = (stamp: number | undefined) => stamp === undefined ? "never" : String(Number((stamp - start).toFixed(6)))
  return pad([
    ["process", "key", "operation", "answer", "from", "to", ""],
    ...sorted.map((operation) => [
      operation.process,
      operation.key,
      question(operation),
      answer(operation),
      time(operation.invoked),
      time(operation.returned),
      bar(operation)
    ])
  ])
}

export const format = (verdict: Verdict): string => {
  switch (verdict._tag) {
    case "Linearizable":
      return `linearizable: ${verdict.operations} operations on ${verdict.keys} ${verdict.keys === 1 ? "key" : "keys"}`
    case "Malformed":
      return `invalid input: ${verdict.explanation}`
    case "Undecided":
      return `undecided: ${verdict.explanation}`
    case "NotLinearizable": {
      const { explanation, initial, key, shortest } = verdict
      const where = key === undefined ? "the keys of a bucket" : `key ${JSON.stringify(key)}`
      const start = initial === "nothing" ? "no value" : "an unknown value"
      return [
        `not linearizable: ${where}, ${shortest.length} operations, starting from ${start}`,
        explanation,
        "",
        ...table(shortest)
      ].join("\n")
    }
  }
}
