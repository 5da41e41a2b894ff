/**
 * The differences between the options of a bucket and the configuration of an
 * existing one, as an error shows them. Pure.
 */
import * as Duration from "effect/Duration"
import type { KVStoreConfig } from "../../KVStoreConfig.ts"

/** One setting, with the value in the options and the value of the existing bucket. */
export interface Difference {
  readonly setting: string
  readonly expected: string
  readonly actual: string
}

/** Whether no update can remove the difference. */
export const isFixed = ({ setting }: Difference): boolean => setting === "storage"

/** The line of the log for a changed bucket. An update can also lower a setting, or one that an operator has set. */
export const shownChange = (bucket: string, list: ReadonlyArray<Difference>): string => {
  const changes = list.map(({ actual, expected, setting }) => `${setting} from ${actual} to ${expected}`)
  return `changed the bucket "${bucket}": ${changes.join("; ") || "its description or metadata"}`
}

/** A value of a setting as a text: a time, a limit, or another value. */
const shownAge = (age: Duration.Duration | undefined): string => age === undefined ? "none" : Duration.format(age)

const shownLimit = (limit: number | undefined): string => limit === undefined ? "unlimited" : String(limit)

/** The settings that are compared, in the order of an error, as texts. */
const textsOf = (config: KVStoreConfig): ReadonlyArray<readonly [setting: string, text: string]> => [
  ["historySize", String(config.historySize)],
  ["maxValueSize", shownLimit(config.maxValueSize)],
  ["maxBytes", shownLimit(config.maxBytes)],
  ["streamMaxAge", shownAge(config.streamMaxAge)],
  ["expiryMarkers", shownAge(config.expiryMarkers)],
  ["storage", config.storage],
  ["replicas", String(config.replicas)]
]

export const differences = (asked: KVStoreConfig, found: KVStoreConfig): ReadonlyArray<Difference> => {
  const actual = new Map(textsOf(found))
  return textsOf(asked).flatMap(([setting, expected]) => {
    const text = actual.get(setting)!
    return text === expected ? [] : [{ setting, expected, actual: text }]
  })
}
