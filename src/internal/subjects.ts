/**
 * Keys and filters: what may be written into a subject, and what matches what.
 */
import { format } from "effect/Formatter"
import { InvalidKey } from "../KVStoreError.ts"

/** Longer subjects make some servers drop the connection (measured at 4 KiB). */
export const longestKey = 1024

const keyPattern = /^[-/_=a-zA-Z0-9]+(?:\.[-/_=a-zA-Z0-9]+)*$/

/** All keys. */
export const everything = ">"

const expectedKey =
  `1 to ${longestKey} of letters, digits and - / _ = in tokens separated by single dots (no dot at either end)`

const expectedFilter = `a key in which whole tokens may be *, and the last one may be >`

const tokenIsValid = (token: string, index: number, tokens: ReadonlyArray<string>): boolean =>
  token === "*" || (token === ">" && index === tokens.length - 1) || keyPattern.test(token)

export const checkKey = (key: string): InvalidKey | undefined =>
  typeof key === "string" && key.length <= longestKey && keyPattern.test(key)
    ? undefined
    : new InvalidKey({ expected: expectedKey })

export const checkFilter = (filter: string): InvalidKey | undefined =>
  typeof filter === "string" && filter.length <= longestKey && filter.split(".").every(tokenIsValid)
    ? undefined
    : new InvalidKey({ expected: expectedFilter })

/** A key as an error names it: one that is no text is refused, and shown as text in its refusal. */
export const shownKey = (key: unknown): string => typeof key === "string" ? key : format(key)

/** Whether a key is one that the filter asks for. */
export const matcher = (filter: string): (key: string) => boolean => {
  if (filter === everything) return () => true
  if (!/[*>]/.test(filter)) return (key) => key === filter
  const wanted = filter.split(".")
  const open = wanted[wanted.length - 1] === ">"
  return (key) => {
    const tokens = key.split(".")
    if (open ? tokens.length < wanted.length : tokens.length !== wanted.length) return false
    return wanted.every((want, index) => want === "*" || want === ">" || want === tokens[index])
  }
}
