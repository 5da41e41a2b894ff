/** Everything that is printed for a value by `String`, `JSON.stringify` and `inspect`, to find secrets in it. */
import { inspect } from "node:util"

export const allShown = (value: unknown): string =>
  [
    String(value),
    JSON.stringify(value),
    inspect(value, { depth: 10, showHidden: true }),
    ...(value instanceof Error ? [value.message, String(value.stack), inspect(value.cause, { depth: 10 })] : [])
  ].join("\n")
