/**
 * Which subjects a filter asks for, without taking a subject apart: it is asked
 * for every message and every filter.
 */

export type Matches = (subject: string) => boolean

export const hasWildcard = (filter: string): boolean => filter.includes("*") || filter.includes(">")

/** Walks over the subject token by token. */
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

export const matching = (filter: string): Matches => {
  if (!hasWildcard(filter)) return (subject) => subject === filter
  if (filter === ">") return () => true
  const before = filter.slice(0, -1)
  if (filter.endsWith(".>") && !hasWildcard(before)) {
    return (subject) => subject.length > before.length && subject.startsWith(before)
  }
  const wanted = filter.split(".")
  return (subject) => matchesTokens(wanted, subject)
}

export const matchingAny = (filters: ReadonlyArray<string>): Matches => {
  const all = filters.map(matching)
  const [only] = all
  return only !== undefined && all.length === 1 ? only : (subject) => all.some((matches) => matches(subject))
}
