/**
 * Filters over keys: a subject with wildcards, or several of them. Pure.
 */
import * as Arr from "effect/Array"
import { format } from "effect/Formatter"
import * as Result from "effect/Result"
import { InvalidKey } from "../KVStoreError.ts"
import { everything, expectedFilter, hasWildcard, isFilter, matcherOfAny, type Matches } from "./subjects.ts"

/** A server takes some 60 ms for a consumer with this number of filters, and the time grows with its square. */
const mostFilters = 1000

export interface Filters {
  /** None of them matches only keys that another one matches, too. */
  readonly list: Arr.NonEmptyReadonlyArray<string>
  /** One filter that matches the same keys, and others if there are several filters. */
  readonly cover: string
  readonly matches: Matches
}

interface Tokens {
  /** The tokens before `>`. */
  readonly fixed: ReadonlyArray<string>
  /** Whether the last token is `>`. */
  readonly isOpen: boolean
}

const tokensOf = (filter: string): Tokens => {
  const tokens = filter.split(".")
  const isOpen = tokens.at(-1) === everything
  return { fixed: isOpen ? tokens.slice(0, -1) : tokens, isOpen }
}

/** Whether every key that matches `other` matches `one`. */
const covers = (one: Tokens, other: Tokens): boolean => {
  if (other.isOpen && !one.isOpen) return false
  // The last token of an open filter matches one or more tokens.
  const least = other.fixed.length + (other.isOpen ? 1 : 0)
  const fits = one.isOpen ? least > one.fixed.length : least === one.fixed.length
  return fits && one.fixed.every((token, index) => token === "*" || token === other.fixed[index])
}

/** Leaves out filters that another one covers. Two filters without wildcards are only compared by their texts. */
const reduced = (filters: Arr.NonEmptyReadonlyArray<string>): Arr.NonEmptyReadonlyArray<string> => {
  const unique = Arr.dedupe(filters)
  const wide = unique.filter(hasWildcard).map((filter) => ({ filter, tokens: tokensOf(filter) }))
  const left = unique.filter((filter) => {
    const tokens = tokensOf(filter)
    return !wide.some((one) => one.filter !== filter && covers(one.tokens, tokens))
  })
  return Arr.isReadonlyArrayNonEmpty(left) ? left : unique
}

const coverOf = (filters: Arr.NonEmptyReadonlyArray<string>): string => {
  if (filters.length === 1) return filters[0]
  const all = filters.map(tokensOf)
  const first = all[0]!
  const isExact = all.every(({ fixed, isOpen }) => !isOpen && fixed.length === first.fixed.length)
  const length = isExact
    ? first.fixed.length
    : Math.min(...all.map(({ fixed, isOpen }) => isOpen ? fixed.length : fixed.length - 1))
  const tokens = first.fixed.slice(0, length).map((token, index) =>
    all.every(({ fixed }) => fixed[index] === token) ? token : "*"
  )
  return [...tokens, ...isExact ? [] : [everything]].join(".")
}

const of = (filters: Arr.NonEmptyReadonlyArray<string>): Filters => {
  const list = reduced(filters)
  return { list, cover: coverOf(list), matches: matcherOfAny(list) }
}

/** A single filter, which is valid. */
export const one = (filter: string): Filters => of([filter])

/** Which of the given filters is not valid; undefined if the list is empty or too long. */
const wrongOf = (list: ReadonlyArray<unknown>): string | undefined => {
  const index = list.findIndex((one) => !isFilter(one))
  return index === -1 ? undefined : `filter ${index + 1} of ${list.length} is ${shownOne(list[index])}`
}

const refusal = (given: unknown, list: ReadonlyArray<unknown>): InvalidKey => {
  const got = Array.isArray(given) ? ` (${wrongOf(list) ?? `got ${list.length}`})` : ""
  return new InvalidKey({
    expected: `${expectedFilter}, or a list of 1 to ${mostFilters} of them${got}`,
    kind: "filter"
  })
}

/** Reads the filter or the list of filters of a caller. Undefined: all keys. */
export const read = (given: unknown): Result.Result<Filters, InvalidKey> => {
  const list: ReadonlyArray<unknown> = given === undefined ? [everything] : Array.isArray(given) ? [...given] : [given]
  const filters = list.filter(isFilter)
  return Arr.isReadonlyArrayNonEmpty(filters) && filters.length === list.length && filters.length <= mostFilters
    ? Result.succeed(of(filters))
    : Result.fail(refusal(given, list))
}

/** The characters of one filter in an error. */
const longestOne = 100

const shownOne = (filter: unknown): string => {
  const text = typeof filter === "string" ? JSON.stringify(filter) : format(filter)
  return text.length <= longestOne ? text : `${text.slice(0, longestOne)}...`
}

/** The given filters for errors and spans. */
export const shown = (given: unknown): string => {
  if (given === undefined) return everything
  const list: ReadonlyArray<unknown> = Array.isArray(given) ? given : [given]
  const text = list.map((one) => typeof one === "string" ? one : format(one)).join(", ")
  return text.length <= longestShown ? text : `${text.slice(0, longestShown)}...`
}

/** The characters of filters in an error. One filter has at most 1,024. */
const longestShown = 2048
