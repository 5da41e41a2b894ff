/** Everything that people get to see of a value, in the ways in which they look at one. */
import { inspect } from "node:util"

export const allShown = (value: unknown): string =>
  [
    String(value),
    JSON.stringify(value),
    inspect(value, { depth: 10, showHidden: true }),
    ...(value instanceof Error ? [value.message, String(value.stack), inspect(value.cause, { depth: 10 })] : [])
  ].join("\n")
