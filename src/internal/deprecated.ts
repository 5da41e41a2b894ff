/**
 * Deprecation warnings: one for each name in a process. Node prints them as its own, so `--no-deprecation`,
 * `--throw-deprecation` and `--trace-deprecation` apply.
 */
import { emitWarning } from "node:process"

const warned = new Set<string>()

/** Warns that a name is deprecated, the first time, and returns a value. */
export const deprecated = <A>(name: string, instead: string, value: A): A => {
  if (!warned.has(name)) {
    warned.add(name)
    emitWarning(`Compat.${name} of effect-aegis is deprecated. Use ${instead} instead.`, "DeprecationWarning")
  }
  return value
}
