/**
 * Filters over keys: a subject with wildcards, or several of them. Pure.
 */
import * as Arr from "effect/Array"
import { format } from "effect/Formatter"
import * as Result from "effect/Result"
import { InvalidKey } from "../KVStoreError.ts"
import { everything, expectedFilter, hasWildcard, isFilter, matcherOfAny, type Matches, shownKey } from "./subjects.ts"

/** The most filters of a list: each of them is compared with the others, and with each message. */
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

/** The filters of a caller as a list. Undefined if the list is too long, or if reading it throws. */
const listOf = (given: unknown): ReadonlyArray<unknown> | undefined => {
  if (given === undefined) return [everything]
  const copied = Result.try((): ReadonlyArray<unknown> | undefined => {
    if (!Array.isArray(given)) return [given]
    // By index, because the iterator of a list can be endless.
    return given.length > mostFilters ? undefined : Array.from({ length: given.length }, (_, index) => given[index])
  })
  return Result.getOrElse(copied, () => undefined)
}

/** The fault of a list, for the error. */
const problemOf = (list: ReadonlyArray<unknown> | undefined): string => {
  if (list === undefined) return "more, or a list that cannot be read"
  const index = list.findIndex((one) => !isFilter(one))
  return index === -1 ? "none" : `${shownOne(list[index])} as filter ${index + 1} of ${list.length}`
}

const refusal = (list: ReadonlyArray<unknown> | undefined): InvalidKey =>
  new InvalidKey({
    expected: `${expectedFilter}, or a list of 1 to ${mostFilters} of them, got ${problemOf(list)}`,
    kind: "filter"
  })

/** Reads the filter or the list of filters of a caller. Undefined: all keys. */
export const read = (given: unknown): Result.Result<Filters, InvalidKey> => {
  const list = listOf(given)
  const filters = (list ?? []).filter(isFilter)
  return Arr.isReadonlyArrayNonEmpty(filters) && filters.length === list?.length
    ? Result.succeed(of(filters))
    : Result.fail(refusal(list))
}

/** The characters of one filter in an error, and those of all. A valid filter has at most 1,024. */
const longestOne = 100
const longestShown = 2048

/** The beginning of a text that is too long for an error. */
const cut = (text: string, most: number): string => text.length <= most ? text : `${text.slice(0, most)}...`

const shownOne = (filter: unknown): string =>
  cut(typeof filter === "string" ? JSON.stringify(filter) : format(filter), longestOne)

/** The given filters for errors, logs and spans. */
export const shown = (given: unknown): string => {
  const list = listOf(given)
  return list === undefined ? "a list of filters" : cut(list.map(shownKey).join(", "), longestShown)
}
