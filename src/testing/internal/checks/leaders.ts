/**
 * Checks of leaders: readings of `isValid`, running work, tokens, and guarded writes.
 */
import { Order } from "../../../FencingToken.ts"
import type { GuardedWrite, LeaderHistory, Term } from "../../Checks.ts"
import { merge, type Span, touches } from "./intervals.ts"
import { type Fact, type Finding, seconds, shown } from "./report.ts"

type Stops = ReadonlyMap<string, ReadonlyArray<Span>>

const none: ReadonlyArray<Span> = []

const name = ({ node, token }: Term): string => `${node} (token ${shown(token)})`

const began = (term: Term): Fact => ({
  at: term.since,
  who: term.node,
  what: `leads "${term.election}" with token ${shown(term.token)}, as candidate ${term.candidateId}`
})

// ------------------------------------------------------------ isValid

interface ValidReading {
  readonly at: number
  readonly term: Term
}

/**
 * Proof that two terms were valid at the same time: three readings (first term, second term, first term), or two
 * readings at the same instant.
 */
interface AtOnce {
  readonly readings: ReadonlyArray<ValidReading>
  /** The time of the last reading in the earliest proof for these two terms. */
  readonly at: number
}

const stretch = ({ readings }: AtOnce): number => readings.at(-1)!.at - readings[0]!.at

/** Whether the times from first to last reading of any two terms overlap. A shared instant counts. */
const spansMeet = (terms: ReadonlyArray<Term>): boolean => {
  const spans = terms.filter(({ validAt }) => validAt.length > 0).map(({ validAt }) => {
    let from = validAt[0]!
    let until = from
    for (const at of validAt) {
      if (at < from) from = at
      if (at > until) until = at
    }
    return { from, until }
  })
  return merge(spans).length < spans.length
}

/**
 * For pairs of terms that were valid at the same time, the proof with the shortest duration. One pass over all
 * readings: if several terms are valid at the same time, it does not find every pair.
 */
const readingsAtOnce = (terms: ReadonlyArray<Term>): Iterable<AtOnce> => {
  const readings = terms.flatMap((term) => term.validAt.map((at): ValidReading => ({ at, term })))
  readings.sort((one, two) => one.at - two.at)
  const numbers = new Map(terms.map((term, index) => [term, index]))
  const shortest = new Map<number, AtOnce>()
  const add = (...found: ReadonlyArray<ValidReading>) => {
    const pair = [numbers.get(found[0]!.term)!, numbers.get(found[1]!.term)!] as const
    const key = Math.min(...pair) * terms.length + Math.max(...pair)
    const known = shortest.get(key)
    const next = { readings: found, at: known?.at ?? found.at(-1)!.at }
    if (known === undefined || stretch(next) < stretch(known)) shortest.set(key, next)
  }
  const latest = new Map<Term, number>()
  readings.forEach((reading, index) => {
    const before = readings[index - 1]
    if (before !== undefined && before.at === reading.at && before.term !== reading.term) add(before, reading)
    const own = latest.get(reading.term)
    // Readings between two consecutive readings of one term belong to other terms.
    if (own !== undefined && index - own > 1) add(readings[own]!, readings[own + 1]!, reading)
    latest.set(reading.term, index)
  })
  return shortest.values()
}

/** Finds terms that read `isValid` as true at the same time. Stops are irrelevant: `isValid` reads the clocks first. */
const validAtOnce = (terms: ReadonlyArray<Term>): ReadonlyArray<Finding> =>
  spansMeet(terms)
    ? Array.from(readingsAtOnce(terms), ({ at, readings }) => {
      const [one, two] = [readings[0]!.term, readings[1]!.term]
      const facts = readings.map((reading): Fact => ({
        at: reading.at,
        who: reading.term.node,
        what: `reads isValid as true, with token ${shown(reading.term.token)}`
      }))
      return {
        rule: "one valid leader",
        at,
        message: `${name(one)} and ${name(two)} were both valid leaders of "${one.election}" at the same time`,
        facts: [began(one), began(two), ...facts]
      }
    })
    : []

// ------------------------------------------------------------ work

/** A time in which the work of a term ran and could be interrupted. */
interface RunningSpan extends Span {
  readonly term: Term
  /** Whether the span begins with a reading of `isValid` after a stop. False: it begins with the work. */
  readonly resumed: boolean
  /** How the span ends, for the report. */
  readonly ends: string
}

/**
 * The running time of a term, without stops of its node, and without the time after each stop until `isValid` is read
 * as true: a stopped process cannot be interrupted before it resumes. Fencing tokens protect against its writes.
 */
const heldOf = (term: Term, stops: ReadonlyArray<Span>, end: number): ReadonlyArray<RunningSpan> => {
  const until = term.until ?? end
  const ends = term.until === undefined ? "its work is still running at the end" : "its work has stopped"
  const ranThrough = stops.filter((stop) => stop.from < until && stop.until > term.since)
  if (ranThrough.length === 0) return [{ term, from: term.since, until, resumed: false, ends }]
  const held: Array<RunningSpan> = []
  const readings = term.validAt.toSorted((one, two) => one - two)
  let next = 0
  let from = term.since
  for (const stop of ranThrough) {
    const resumed = from !== term.since
    if (stop.from > from) held.push({ term, from, until: stop.from, resumed, ends: "is paused or suspended" })
    while (next < readings.length && readings[next]! < stop.until) next++
    from = readings[next] ?? Number.POSITIVE_INFINITY
  }
  if (from < until) held.push({ term, from, until, resumed: true, ends })
  return held
}

const ranAtOnce = (one: RunningSpan, two: RunningSpan): Finding => {
  const first = one.until <= two.until ? one : two
  const { toldToStop } = first.term
  const resumed = [one, two].filter((held) => held.resumed)
  return {
    rule: "one running leader",
    at: two.from,
    message: `${name(one.term)} and ${name(two.term)} both ran the work of "${one.term.election}" for ` +
      `${seconds(first.until - two.from)} s`,
    facts: [
      began(one.term),
      began(two.term),
      ...resumed.map(({ from, term }) => ({ at: from, who: term.node, what: "resumes, and reads isValid as true" })),
      ...(toldToStop !== undefined && toldToStop < first.until
        ? [{ at: toldToStop, who: first.term.node, what: "the interruption of its work begins" }]
        : []),
      { at: first.until, who: first.term.node, what: first.ends }
    ]
  }
}

/** Finds spans that begin while others run. Each is reported with the running span that began last. */
const runAtOnce = (terms: ReadonlyArray<Term>, stops: Stops, end: number): ReadonlyArray<Finding> => {
  const all = terms.flatMap((term) => heldOf(term, stops.get(term.node) ?? none, end))
    .filter(({ from, until }) => from < until)
    .toSorted((one, two) => one.from - two.from)
  const found: Array<Finding> = []
  /** A stack, the latest beginning on top. Ended spans are removed when they reach the top. */
  const running: Array<RunningSpan> = []
  for (const held of all) {
    while (running.length > 0 && running.at(-1)!.until <= held.from) running.pop()
    const other = running.at(-1)
    if (other !== undefined) found.push(ranAtOnce(other, held))
    running.push(held)
  }
  return found
}

// ------------------------------------------------------------ tokens

const wrongToken = (earlier: Term, later: Term, how: string): Finding => ({
  rule: "tokens grow",
  at: later.since,
  message: `in the election "${later.election}", ${name(later)} leads after ${name(earlier)}, but its token is ${how}`,
  facts: [began(earlier), began(later)]
})

/**
 * Finds terms whose token is not higher than those of earlier terms. A lower token is allowed if the node was stopped
 * after the term with the higher token began: the stop may have happened between the last reading of `isValid` and the
 * begin of the work. An equal token is never allowed.
 */
const tokensGrow = (terms: ReadonlyArray<Term>, stops: Stops): ReadonlyArray<Finding> => {
  const inOrder = terms.toSorted((one, two) => one.since - two.since || Order(one.token, two.token))
  const found: Array<Finding> = []
  const byToken = new Map<string, Term>()
  /** A stack with decreasing tokens. After lower tokens are removed, its top is the latest one with a higher token. */
  const higher: Array<Term> = []
  for (const term of inOrder) {
    const token = shown(term.token)
    const same = byToken.get(token)
    byToken.set(token, term)
    while (higher.length > 0 && Order(higher.at(-1)!.token, term.token) <= 0) higher.pop()
    const earlier = higher.at(-1)
    higher.push(term)
    if (same !== undefined) found.push(wrongToken(same, term, "the same"))
    else if (earlier !== undefined && !touches(stops.get(term.node) ?? none, earlier.since, term.since)) {
      found.push(wrongToken(earlier, term, "lower"))
    }
  }
  return found
}

// ------------------------------------------------------------

export const leaders = ({ end, stops = [], terms }: LeaderHistory): ReadonlyArray<Finding> => {
  const lasting = stops.filter(({ from, until }) => from < until)
  const stopsOf: Stops = new Map(
    Array.from(Map.groupBy(lasting, ({ node }) => node), ([node, own]) => [node, merge(own)])
  )
  return [...Map.groupBy(terms, ({ election }) => election).values()].flatMap((own) =>
    validAtOnce(own).concat(runAtOnce(own, stopsOf, end), tokensGrow(own, stopsOf))
  )
}

// ------------------------------------------------------------ no stale write

const took = ({ at, node, resource, token, what }: GuardedWrite): Fact => ({
  at,
  who: node,
  what: `writes ${what === undefined ? "" : `${what} `}to "${resource}" with token ${shown(token)}: accepted`
})

const staleIn = (writes: ReadonlyArray<GuardedWrite>): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  /** A stack with decreasing tokens. After lower tokens are removed, its top is the latest one with a higher token. */
  const higher: Array<GuardedWrite> = []
  for (const write of writes.toSorted((one, two) => one.at - two.at)) {
    while (higher.length > 0 && Order(higher.at(-1)!.token, write.token) <= 0) higher.pop()
    const earlier = higher.at(-1)
    higher.push(write)
    if (earlier === undefined) continue
    found.push({
      rule: "no stale write",
      at: write.at,
      message: `"${write.resource}" accepted token ${shown(write.token)} of ${write.node} after the higher token ` +
        `${shown(earlier.token)} of ${earlier.node}`,
      facts: [took(earlier), took(write)]
    })
  }
  return found
}

/** Finds accepted writes whose token is lower than that of an earlier accepted write to the same resource. */
export const writes = (all: ReadonlyArray<GuardedWrite>): ReadonlyArray<Finding> =>
  [...Map.groupBy(all.filter(({ accepted }) => accepted), ({ resource }) => resource).values()].flatMap(staleIn)
