/**
 * Who led when: readings of `isValid`, the work itself, and the tokens.
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

/** Both true within as short a time as can be found: one, the other, and the one again; or both at one instant. */
interface AtOnce {
  readonly readings: ReadonlyArray<ValidReading>
  /** When the first such readings of these two were complete. */
  readonly at: number
}

const stretch = ({ readings }: AtOnce): number => readings.at(-1)!.at - readings[0]!.at

/** Whether the first and last readings of any two terms overlap; a shared instant counts. */
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

/** Readings that prove two valid at once, the shortest of each two terms. One pass: not every pair of many is found. */
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
    // All that lies between two readings of one term is another's.
    if (own !== undefined && index - own > 1) add(readings[own]!, readings[own + 1]!, reading)
    latest.set(reading.term, index)
  })
  return shortest.values()
}

/** `isValid` was true of two; also of one who was stopped: it must find out before it answers. */
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
        message: `${name(one)} and ${name(two)} were both valid as leader of "${one.election}"`,
        facts: [began(one), began(two), ...facts]
      }
    })
    : []

// ------------------------------------------------------------ work

/** A time through which a term's work could have been stopped, and so is answered for. */
interface RunningSpan extends Span {
  readonly term: Term
  /** `isValid` was read as true here by one that had been stopped; false: the work began here. */
  readonly resumed: boolean
  readonly ends: string
}

/**
 * The running time of a term without what its node was stopped for, and without
 * what it did after that until it had read `isValid` as true again: a process
 * that was stopped cannot be told to stop before it runs, and fencing is for that.
 */
const heldOf = (term: Term, stops: ReadonlyArray<Span>, end: number): ReadonlyArray<RunningSpan> => {
  const until = term.until ?? end
  const ends = term.until === undefined ? "still runs at the end" : "has stopped"
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
      ...resumed.map(({ from, term }) => ({ at: from, who: term.node, what: "runs again, and reads isValid as true" })),
      ...(toldToStop !== undefined && toldToStop < first.until
        ? [{ at: toldToStop, who: first.term.node, what: "is told to stop" }]
        : []),
      { at: first.until, who: first.term.node, what: first.ends }
    ]
  }
}

/** Each that began while another ran, with the one that had begun last. */
const runAtOnce = (terms: ReadonlyArray<Term>, stops: Stops, end: number): ReadonlyArray<Finding> => {
  const all = terms.flatMap((term) => heldOf(term, stops.get(term.node) ?? none, end))
    .filter(({ from, until }) => from < until)
    .toSorted((one, two) => one.from - two.from)
  const found: Array<Finding> = []
  /** The last is the one that began last; what has ended below it goes when it comes to the top. */
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
  message: `of "${later.election}", ${name(later)} came after ${name(earlier)}, and its token is ${how}`,
  facts: [began(earlier), began(later)]
})

/**
 * A later term has a higher token. One whose node was stopped may have begun late
 * with a lower one, between its last look at its clocks and its first step of
 * work; none ever has an equal one.
 */
const tokensGrow = (terms: ReadonlyArray<Term>, stops: Stops): ReadonlyArray<Finding> => {
  const inOrder = terms.toSorted((one, two) => one.since - two.since || Order(one.token, two.token))
  const found: Array<Finding> = []
  const byToken = new Map<string, Term>()
  /** Tokens fall from its bottom to its top, which is the nearest that may be higher than the next. */
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
  /** Tokens fall from its bottom to its top, which is the nearest that may be higher than the next. */
  const higher: Array<GuardedWrite> = []
  for (const write of writes.toSorted((one, two) => one.at - two.at)) {
    while (higher.length > 0 && Order(higher.at(-1)!.token, write.token) <= 0) higher.pop()
    const earlier = higher.at(-1)
    higher.push(write)
    if (earlier === undefined) continue
    found.push({
      rule: "no stale write",
      at: write.at,
      message: `"${write.resource}" accepted token ${shown(write.token)} of ${write.node} after the higher ` +
        `${shown(earlier.token)} of ${earlier.node}`,
      facts: [took(earlier), took(write)]
    })
  }
  return found
}

/** A guarded resource accepts no token lower than one that it has accepted. */
export const writes = (all: ReadonlyArray<GuardedWrite>): ReadonlyArray<Finding> =>
  [...Map.groupBy(all.filter(({ accepted }) => accepted), ({ resource }) => resource).values()].flatMap(staleIn)
