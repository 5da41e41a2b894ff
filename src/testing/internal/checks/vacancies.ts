/**
 * Checks that every election has a leader while nothing disrupts the fleet.
 */
import type { Disruption, LeaderHistory, Term } from "../../Checks.ts"
import { merge, type Span } from "./intervals.ts"
import { type Fact, type Finding, seconds, shown } from "./report.ts"

/** When a term has ended: a leader whose work was told to stop does not lead any more, although its work may go on. */
const endOf = ({ toldToStop, until }: Term, end: number): number => Math.min(toldToStop ?? end, until ?? end)

const spanOf = (end: number) => (term: Term): Span => ({ from: term.since, until: endOf(term, end) })

/** The gaps between merged spans, from `begin` to `end`. */
const gapsIn = (spans: ReadonlyArray<Span>, begin: number, end: number): ReadonlyArray<Span> => {
  const gaps: Array<Span> = []
  let since = begin
  for (const { from, until } of spans) {
    if (from > since) gaps.push({ from: since, until: from })
    since = Math.max(since, until)
  }
  if (since < end) gaps.push({ from: since, until: end })
  return gaps
}

const endedBy = ({ toldToStop }: Term, at: number): string =>
  toldToStop === at ? "the interruption of its work begins" : "its work has stopped"

/** The end of the term before a gap, and the beginning of the term after it. */
const aroundIt = (terms: ReadonlyArray<Term>, { from, until }: Span, end: number): ReadonlyArray<Fact> => {
  const before = terms.find((term) => endOf(term, end) === from)
  const after = terms.find((term) => term.since === until)
  return [
    ...(before === undefined
      ? []
      : [{ at: from, who: before.node, what: `${endedBy(before, from)}, token ${shown(before.token)}` }]),
    ...(after === undefined ? [] : [{ at: until, who: after.node, what: `leads, token ${shown(after.token)}` }])
  ]
}

/** Finds times longer than `within` milliseconds without a leader and without a disruption. */
export const vacancies = (
  { begin = 0, end, terms }: LeaderHistory,
  disruptions: ReadonlyArray<Disruption>,
  within: number,
  elections: ReadonlyArray<string>
): ReadonlyArray<Finding> => {
  const disrupted = merge(disruptions)
  const byElection = Map.groupBy(terms, ({ election }) => election)
  return [...new Set([...elections, ...byElection.keys()])].flatMap((election) => {
    const own = byElection.get(election) ?? []
    const leaderless = gapsIn(merge(own.map(spanOf(end))), begin, end)
    return leaderless.flatMap((gap) => {
      const inIt = disrupted.filter(({ from, until }) => until > gap.from && from < gap.until)
      const clear = gapsIn(inIt, gap.from, gap.until).find(({ from, until }) => until - from > within)
      if (clear === undefined) return []
      return [{
        rule: "elections have a leader" as const,
        at: clear.from + within,
        message: `no node led "${election}" for ${seconds(clear.until - clear.from)} s without a disruption`,
        facts: [
          ...aroundIt(own, gap, end),
          { at: clear.from, who: "all", what: "no leader and no disruption from now on" },
          { at: clear.until, who: "all", what: "no leader and no disruption until now" }
        ]
      }]
    })
  })
}
