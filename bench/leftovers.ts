/** Measures what 5,000 calls of `keys`, `entries` and `watch` leave behind. */
import * as Effect from "effect/Effect"
import { callNames, makeLeftovers } from "../tools/leftovers.ts"
import { lines } from "../tools/natsServer/binaries.ts"
import { toTable } from "../tools/table.ts"
import { rounded } from "./support/measure.ts"

const times = 5000

export const leftovers = Effect.gen(function*() {
  const rows = yield* Effect.forEach(
    lines,
    (line) =>
      Effect.flatMap(
        makeLeftovers(line),
        (leftAfter) =>
          Effect.forEach(callNames, (call) =>
            Effect.map(leftAfter(call, times), ({ bytes, millisPerCall, ...left }) => ({
              line,
              call,
              times,
              ...left,
              bytesPerCall: Math.round(bytes / times),
              millisPerCall: rounded(millisPerCall)
            })))
      ).pipe(Effect.scoped)
  )
  const all = rows.flat()
  const table = toTable([
    ["server", "call", "calls", "consumers", "subscriptions", "bytes per call", "ms per call"],
    ...all.map((row) => [
      row.line,
      row.call,
      ...[row.times, row.consumers, row.subscriptions, row.bytesPerCall, row.millisPerCall].map(String)
    ])
  ])
  const problems = all.filter(({ consumers, subscriptions }) => consumers + subscriptions > 0).map((row) =>
    `${row.call} on ${row.line} left ${row.consumers} consumers and ${row.subscriptions} subscriptions`
  )
  return { table, numbers: { leftovers: all }, problems }
})
