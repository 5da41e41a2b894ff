/**
 * Validation of keys and filters, and matching of subjects by filters.
 */
import { format } from "effect/Formatter"
import { InvalidKey } from "../KVStoreError.ts"
import { toUtf8 } from "./utf8.ts"

/** In characters. A server closes the connection at a subject above 4 KiB, its control line (observed on 2.15.1). */
export const longestKey = 1024

const keyPattern = /^[-/_=a-zA-Z0-9]+(?:\.[-/_=a-zA-Z0-9]+)*$/

/** A subject without wildcards, which can be the beginning of others. */
export const prefixForm = /^[^\s.*>]+(\.[^\s.*>]+)*$/

/** One token of a subject. */
export const tokenForm = /^[^\s.*>]+$/

/** The filter that matches all keys. */
export const everything = ">"

const expectedKey =
  `1 to ${longestKey} letters, digits and - / _ =, in tokens separated by single dots (no dot at either end)`

export const expectedFilter = `a key (${expectedKey}) in which whole tokens may be *, and the last token may be >`

const tokenIsValid = (token: string, index: number, tokens: ReadonlyArray<string>): boolean =>
  token === "*" || (token === ">" && index === tokens.length - 1) || keyPattern.test(token)

export const checkKey = (key: string): InvalidKey | undefined =>
  typeof key === "string" && key.length <= longestKey && keyPattern.test(key)
    ? undefined
    : new InvalidKey({ expected: expectedKey, kind: "key" })

/** A space or a control character ends a subject in the protocol of NATS. */
const isInSubject = (character: string): boolean => character > " " && character !== "\u007f"

const isStorable = (token: string): boolean =>
  token !== "" && token !== "*" && token !== ">" && Array.from(token).every(isInSubject)

/** Checks a key to be read: other clients can have stored keys that `checkKey` refuses. */
export const checkStoredKey = (key: string): InvalidKey | undefined =>
  typeof key === "string" && (toUtf8(key)?.length ?? Infinity) <= longestKey && key.split(".").every(isStorable)
    ? undefined
    : new InvalidKey({ expected: expectedKey, kind: "key" })

export const isFilter = (filter: unknown): filter is string =>
  typeof filter === "string" && filter.length <= longestKey && filter.split(".").every(tokenIsValid)

/** A key for an error. A key that is not a string is formatted as text. */
export const shownKey = (key: unknown): string => typeof key === "string" ? key : format(key)

/** Whether a subject or a key matches a filter. */
export type Matches = (subject: string) => boolean

export const hasWildcard = (filter: string): boolean => filter.includes("*") || filter.includes(">")

/** Compares token by token without splitting the subject, because it runs for every message and every filter. */
const matchesTokens = (wanted: ReadonlyArray<string>, subject: string): boolean => {
  let at = 0
  for (const want of wanted) {
    if (at > subject.length) return false
    if (want === ">") return at < subject.length
    const dot = subject.indexOf(".", at)
    const end = dot === -1 ? subject.length : dot
    if (want !== "*" && (want.length !== end - at || !subject.startsWith(want, at))) return false
    at = end + 1
  }
  return at === subject.length + 1
}

export const matcher = (filter: string): Matches => {
  if (!hasWildcard(filter)) return (subject) => subject === filter
  if (filter === everything) return () => true
  const before = filter.slice(0, -1)
  if (filter.endsWith(".>") && !hasWildcard(before)) {
    return (subject) => subject.length > before.length && subject.startsWith(before)
  }
  const wanted = filter.split(".")
  return (subject) => matchesTokens(wanted, subject)
}

export const matcherOfAny = (filters: ReadonlyArray<string>): Matches => {
  const all = filters.map(matcher)
  const [only] = all
  return only !== undefined && all.length === 1 ? only : (subject) => all.some((matches) => matches(subject))
}
