/** Checks 1,000,000 hostile records: none makes a decoder, a comparison or an encoder of this library throw. */
import * as Effect from "effect/Effect"
import { checkRecords } from "../tools/storedRecords.ts"
import { toTable } from "../tools/table.ts"
import { rounded } from "./support/measure.ts"

const records = 1_000_000

/** The test of `npm test` checks seed 1. */
const seed = 2

/** Returns the text of an error with those of its causes. */
const textOf = (error: unknown): string =>
  error instanceof Error
    ? [error.message, ...error.cause === undefined ? [] : [textOf(error.cause)]].join(": ")
    : String(error)

export const storedRecords = Effect.sync(() => {
  const began = performance.now()
  const problems: Array<string> = []
  let checked = { decoded: 0, refused: 0 }
  try {
    checked = checkRecords(records, seed)
  } catch (error) {
    problems.push(textOf(error))
  }
  const row = { records, ...checked, seconds: rounded((performance.now() - began) / 1000) }
  const table = toTable([Object.keys(row), Object.values(row).map(String)])
  return { table, numbers: { storedRecords: row }, problems }
})
