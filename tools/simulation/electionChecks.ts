/**
 * Checks of recorded elections. Each is a pure function that returns the violations as text. They compare what the store
 * accepted with the work that ran and with the lines that the library logged (docs/protocols/election.md).
 */
import * as Checks from "../../src/testing/Checks.ts"
import { merge, type Span, touches } from "../../src/testing/internal/checks/intervals.ts"
import type { Disruption } from "../../src/testing/Simulation.ts"
import {
  type Call,
  type Candidate,
  type ElectionHistory,
  type Life,
  type Line,
  type LineKind,
  type Tenure,
  tenuresOf,
  type Version,
  versionsOf,
  type Work
} from "./electionHistory.ts"

type Texts = ReadonlyArray<string>

/** Milliseconds within which a process that nothing disturbs acts on what it has observed. */
const prompt = 500

/** A process reads its clocks once a second, and learns then that it was stopped: milliseconds. */
const tick = 1500

/**
 * The time that a process needs after a disruption to notice the loss of its watch, and to open another one: milliseconds. The
 * pauses between attempts are up to 5 s long, with jitter (E6).
 */
const recovery = 6500

const inSeconds = (millis: number): string => `${(millis / 1000).toFixed(3)} s`

/** The longest time that a duration takes on a machine whose clock is slow. */
const longest = ({ drift }: ElectionHistory, millis: number): number => millis / (1 - drift)

/** The shortest time that a duration takes on a machine whose clock is fast. */
const shortest = ({ drift }: ElectionHistory, millis: number): number => millis / (1 + drift)

// ------------------------------------------------------------ disruptions

const concerns = ({ bucket, facts }: ElectionHistory, node: string): ReadonlyArray<Disruption> =>
  facts.disruptions.filter((one) =>
    (one.node === undefined || one.node === node) && (one.bucket === undefined || one.bucket === bucket)
  )

/** The disruptions of a node and of the store, each with the time after it in which it may have consequences. */
const troubles = (history: ElectionHistory, node: string, after: (one: Disruption) => number): ReadonlyArray<Span> => {
  const lost = history.facts.consumerLosses.filter(({ bucket }) => bucket === history.bucket)
  return merge([
    ...concerns(history, node).map((one) => ({ from: one.from, until: one.until + after(one) })),
    ...lost.map(({ at }) => ({ from: at, until: at + recovery })),
    ...history.facts.losses.map(({ at }) => ({ from: at, until: at + recovery }))
  ])
}

/** The disruptions themselves, in which a request may be on its way. */
const bare = (history: ElectionHistory, node: string) => troubles(history, node, () => 0)

/** The disruptions of the machine itself, without missing rights: its requests may be on their way. */
const ownStops = ({ facts }: ElectionHistory, node: string): ReadonlyArray<Span> =>
  merge(facts.disruptions.filter((one) => (one.node === undefined || one.node === node) && one.bucket === undefined))

const stopsOf = ({ facts }: ElectionHistory, node: string): ReadonlyArray<Span> =>
  merge(facts.stops.filter((one) => one.node === node))

/** How long a duration lasts from `from` on, if it does not pass while the process is stopped. */
const lasting = (stops: ReadonlyArray<Span>, from: number, duration: number): number =>
  stops.reduce(
    (until, stop) =>
      stop.until > from && stop.from <= until ? until + stop.until - Math.max(stop.from, from) + prompt : until,
    from + duration
  )

/** The time at which a process is due to act, if it must run to do so: after a stop, it acts when it runs again. */
const dueAt = (stops: ReadonlyArray<Span>, at: number): number =>
  stops.reduce((due, { from, until }) => from <= due && until >= due - tick ? until + tick : due, at)

/**
 * Whether the wall clock of a machine was set shortly before a stop, while work ran: a step back hides a suspension (the
 * first of the known limits).
 */
const mayMissSuspension = ({ end, facts }: ElectionHistory, node: string, { since, until }: Work): boolean => {
  const steps = facts.disruptions.filter((one) => one.node === node && one.from === one.until)
  return facts.stops.some((stop) =>
    stop.node === node && stop.until >= since && stop.from <= (until ?? end) &&
    steps.some(({ from }) => from <= stop.until && from >= stop.from - tick)
  )
}

/** The parts of a span without the others. */
const without = ({ from, until }: Span, others: ReadonlyArray<Span>): ReadonlyArray<Span> => {
  const left: Array<Span> = []
  let since = from
  for (const other of others) {
    if (other.until <= since || other.from >= until) continue
    if (other.from > since) left.push({ from: since, until: other.from })
    since = Math.max(since, other.until)
  }
  if (since < until) left.push({ from: since, until })
  return left
}

// ------------------------------------------------------------ rolled back streams

/**
 * The times after roll-backs in which no lease holds: revisions are reused, and a process may have observed another record
 * with the same revision, until it has read the key once more.
 */
const unprotectedTimes = (history: ElectionHistory): ReadonlyArray<Span> => {
  const { bucket, candidates, facts } = history
  const leases = candidates.map(({ leaseDuration }) => leaseDuration)
  const reading = longest(history, 1.2 * Math.max(0, ...leases)) + recovery
  const disturbed = merge(facts.disruptions)
  return merge(
    facts.losses.filter((one) => one.bucket === bucket).map(({ at }) => ({
      from: at - recovery,
      until: disturbed.reduce(
        (until, one) => one.from <= until && one.until >= at ? Math.max(until, one.until + reading) : until,
        at + reading
      )
    }))
  )
}

/** Whether no lease held while a tenure lasted, or while its work ran. */
const isUnprotected = (history: ElectionHistory, times: ReadonlyArray<Span>, { held, work }: Tenure): boolean => {
  const last = held.at(-1)!
  const over = last.at + longest(history, last.leaseMillis)
  return touches(times, held[0]!.at, Math.max(over, work === undefined ? 0 : work.until ?? history.end))
}

/** The tenures that a lease protects. */
const protectedTenures = (history: ElectionHistory, election: string): ReadonlyArray<Tenure> => {
  const times = unprotectedTimes(history)
  return tenuresOf(history, election).filter((tenure) => !isUnprotected(history, times, tenure))
}

// ------------------------------------------------------------ one leader

/** When others may lead at the earliest: the end of the lease after the last record that was stored, by a fast clock. */
const othersLeadAt = (history: ElectionHistory, held: ReadonlyArray<Version>): number => {
  const last = held.at(-1)!
  return last.at + shortest(history, last.leaseMillis) - 1
}

/**
 * At most one candidate is valid, tokens grow, and no work runs within the lease of another leader. Work that outlives its
 * lease is checked by `overruns`.
 */
export const oneLeader = (history: ElectionHistory): ReadonlyArray<Checks.Violation> => {
  const terms = history.elections.flatMap((election) =>
    protectedTenures(history, election).flatMap(({ held, work }) => {
      if (work === undefined) return []
      const until = Math.min(work.until ?? history.end, Math.max(work.since, othersLeadAt(history, held)))
      return [{ ...work, until }]
    })
  )
  return eras(history).flatMap(({ from, until }) =>
    Checks.atMostOneLeader({
      terms: terms.filter(({ since }) => since >= from && since < until),
      stops: history.facts.stops,
      end: history.end
    })
  )
}

/** The times between two roll-backs: revisions are reused after one. */
const eras = ({ bucket, end, facts }: ElectionHistory): ReadonlyArray<Span> => {
  const bounds = [0, ...facts.losses.filter((one) => one.bucket === bucket).map(({ at }) => at), end + 1]
  return bounds.slice(1).map((until, index) => ({ from: bounds[index]!, until }))
}

/** The time for which a candidate must observe a record before it writes, or a process frees the election. */
const shortestWait = (before: Version, winner: Candidate | undefined): number => {
  const priority = winner?.priority ?? 0
  return before.state === "held"
    ? before.leaseMillis * (1 + priority / 5)
    : priority * (winner?.renewInterval ?? 0)
}

/** No candidate wins before it has waited for the lease of the leader, and for its own `priority` (E7). */
export const leases = (history: ElectionHistory): Texts => {
  const unprotected = unprotectedTimes(history)
  return history.elections.flatMap((election) => {
    const tenures = new Map(tenuresOf(history, election).map((tenure) => [tenure.nonce, tenure]))
    const versions = versionsOf(history, election)
    return versions.flatMap((version, index) => {
      const before = versions[index - 1]
      if (before === undefined || version.nonce === before.nonce) return []
      if (version.state === "unknown" || before.state === "unknown") return []
      if (touches(unprotected, before.at, version.at)) return []
      const winner = tenures.get(version.nonce)?.candidate
      const least = shortest(history, shortestWait(before, winner)) - 2
      return version.at - before.at >= least ? [] : [
        `a ${version.state} record of "${election}" by ${winner?.life.node ?? "a request to step down"} replaced a ` +
        `${before.state} one after ${inSeconds(version.at - before.at)} at ${inSeconds(version.at)}, expected ` +
        `${inSeconds(least)}`
      ]
    })
  })
}

/** Leadership is handed over when the work has stopped, not earlier (E23). */
export const handOvers = (history: ElectionHistory): Texts =>
  history.elections.flatMap((election) =>
    protectedTenures(history, election).flatMap(({ vacant, work }) =>
      vacant === undefined || work === undefined || (work.until ?? history.end) <= vacant.at
        ? []
        : [`${work.node} handed over "${election}" at ${inSeconds(vacant.at)}, while its work was running`]
    )
  )

// ------------------------------------------------------------ overruns

const linesOf = ({ lines }: ElectionHistory, { election, life }: Candidate): ReadonlyArray<Line> =>
  lines.filter((line) => line.life === life && line.election === election)

const has = (lines: ReadonlyArray<Line>, kinds: ReadonlyArray<LineKind>, from: number, until: number): boolean =>
  lines.some(({ at, kind }) => kinds.includes(kind) && at >= from && at <= until)

const hasCrashed = ({ facts }: ElectionHistory, node: string, from: number, until: number): boolean =>
  facts.crashes.some((one) => one.node === node && one.at >= from && one.at <= until)

/** Work that outlives its lease is reported when the lease has ended, and again when it has stopped (E23). */
export const overruns = (history: ElectionHistory): Texts =>
  history.elections.flatMap((election) =>
    protectedTenures(history, election).flatMap(({ candidate, held, work }) => {
      if (work === undefined || candidate === undefined) return []
      const { node } = candidate.life
      if (mayMissSuspension(history, node, work)) return []
      const last = held.at(-1)!
      const ends = last.at + longest(history, last.leaseMillis)
      const due = dueAt(stopsOf(history, node), ends + prompt)
      const lines = linesOf(history, candidate)
      const until = work.until ?? history.end
      const isReported = has(lines, ["overrun", "stoppedLate"], work.since, due)
      const found: Array<string> = []
      if (until > due && !hasCrashed(history, node, work.since, due) && !isReported) {
        found.push(`the work of ${node} for "${election}" outlived its lease at ${inSeconds(ends)}: not reported`)
      }
      const over = lines.find(({ at, kind }) => kind === "overrun" && at >= work.since && at <= until)
      if (over === undefined) return found
      if (work.ended !== undefined && !has(lines, ["overrunEnded"], until, until + prompt)) {
        found.push(`the overrun of ${node} for "${election}" ended at ${inSeconds(until)}: not reported`)
      }
      const before = held.findLast(({ at }) => at < over.at - 2 * prompt)
      const isCalm = before !== undefined && !touches(bare(history, node), before.at - prompt, over.at)
      const isSuperseded = versionsOf(history, election).some(({ at, nonce }) =>
        nonce !== last.nonce && at > last.at && at <= over.at
      )
      if (isCalm && !isSuperseded && over.at < othersLeadAt(history, [before]) - prompt) {
        found.push(`an overrun of ${node} for "${election}" was reported at ${inSeconds(over.at)}, within its lease`)
      }
      return found
    })
  )

// ------------------------------------------------------------ progress

/** The longest time for which a candidate sits out after a term (E21), from its next campaign on. */
const sitsOut = ({ leaseDuration, priority, renewInterval }: Candidate, before: ReadonlyArray<LineKind>): number => {
  const steps = 2 + (before.includes("unhealthy") || before.includes("steppingDown") ? 10 : priority)
  if (before.includes("inVain")) return Math.max(2 * leaseDuration, leaseDuration + steps * leaseDuration / 5)
  if (before.includes("handedOver")) return steps * renewInterval
  if (before.includes("lost")) return Math.max(steps * renewInterval, leaseDuration + 2 * renewInterval)
  return before.includes("elected") ? leaseDuration + steps * leaseDuration / 5 : 0
}

/** The times in which a healthy candidate campaigns and does not sit out. */
const ready = (history: ElectionHistory, candidate: Candidate): ReadonlyArray<Span> => {
  if (!candidate.isHealthy) return []
  const { closing, until } = candidate.life
  const end = Math.min(closing ?? history.end, until ?? history.end)
  const found: Array<Span> = []
  let before: Array<LineKind> = []
  let since: number | undefined
  const close = (at: number) => {
    if (since !== undefined && since < at) found.push({ from: since, until: at })
    since = undefined
  }
  for (const { at, kind } of linesOf(history, candidate)) {
    before.push(kind)
    if (kind === "campaigning" || kind === "inVain") {
      close(at)
      // By the monotonic clock, which may not advance while the machine is suspended.
      since = lasting(stopsOf(history, candidate.life.node), at, longest(history, sitsOut(candidate, before)))
      if (kind === "campaigning") before = []
    } else if (kind === "elected") close(at)
  }
  close(end)
  return found
}

/** The longest time until a candidate that is ready wins, in which nothing disturbs it. */
const winsWithin = (history: ElectionHistory, { leaseMillis, state }: Version, candidate: Candidate): number => {
  const { priority, renewInterval } = candidate
  const wait = state === "vacant" ? priority * renewInterval : leaseMillis * (1 + priority / 5)
  return longest(history, wait) + prompt
}

/** How long a candidate pauses at most after a store has refused its requests, while somebody may lead (E10). */
const afterRefusals = (history: ElectionHistory, { leaseDuration }: Candidate) => ({ affects }: Disruption): number =>
  recovery + (affects === "writes" || affects === "requests" ? longest(history, leaseDuration) : 0)

/**
 * A record that its leader does not renew is replaced: `leaseDuration` and half a second after it was stored, and half a
 * second after a hand-over, if a candidate is ready all the time and nothing disturbs it.
 */
export const progress = (history: ElectionHistory): Texts =>
  history.candidates.flatMap((candidate) => {
    const spans = ready(history, candidate)
    if (spans.length === 0) return []
    const { election, life: { node } } = candidate
    const clearOf = (after: (one: Disruption) => number) => {
      const disturbed = troubles(history, node, after)
      return spans.flatMap((span) => without(span, disturbed))
    }
    const clear = clearOf(afterRefusals(history, candidate))
    const clearWhileFree = clearOf(() => recovery)
    const versions = versionsOf(history, election)
    const first: Version = {
      at: 0,
      state: "vacant",
      revision: 0,
      nonce: "",
      leaseMillis: 0,
      isReleasing: false,
      life: undefined
    }
    return [first, ...versions].flatMap((version, index) => {
      const next = versions[index]?.at ?? history.end
      const limit = winsWithin(history, version, candidate)
      return (version.state === "vacant" ? clearWhileFree : clear).flatMap((span) => {
        const [from, until] = [Math.max(span.from, version.at), Math.min(span.until, next)]
        return until - from <= limit ? [] : [
          `${node} was ready to lead "${election}" from ${inSeconds(from)} to ${
            inSeconds(until)
          }, and nobody replaced the ` +
          `${version.state} record of ${inSeconds(version.at)}, expected within ${inSeconds(limit)}`
        ]
      })
    })
  })

// ------------------------------------------------------------ releases

/** Leadership is renewed for at most `stopTimeout` while the work stops, and not at all after it has stopped (E23). */
export const releases = (history: ElectionHistory): Texts =>
  history.elections.flatMap((election) =>
    protectedTenures(history, election).flatMap(({ candidate, held, work }) => {
      if (candidate === undefined) return []
      const { life: { node }, stopTimeout } = candidate
      const disturbed = bare(history, node)
      const begun = held.find(({ isReleasing }) => isReleasing)
      const last = held.at(-1)!
      const found: Array<string> = []
      // An attempt takes up to a second.
      const latest = begun === undefined
        ? Number.POSITIVE_INFINITY
        : begun.at + longest(history, stopTimeout) + 2 * prompt
      if (last.at > latest && !touches(disturbed, latest - 4 * prompt, last.at)) {
        found.push(
          `${node} renewed "${election}" at ${inSeconds(last.at)}, although it has been releasing it since ` +
            `${inSeconds(begun!.at)} and its stopTimeout is ${inSeconds(stopTimeout)}`
        )
      }
      // A winner that cannot announce its leadership does not keep it (E11).
      const announcing = held[0]!.at + longest(history, candidate.renewDeadline) + 2 * prompt
      if (work === undefined && last.at > announcing && !touches(ownStops(history, node), held[0]!.at, last.at)) {
        found.push(
          `${node} renewed "${election}" at ${inSeconds(last.at)}, although it won at ${inSeconds(held[0]!.at)} ` +
            "and does not lead"
        )
      }
      const ended = work?.until === undefined ? Number.POSITIVE_INFINITY : work.until + 3 * prompt
      if (last.at > ended && !touches(disturbed, work!.until! - prompt, last.at)) {
        found.push(
          `${node} renewed "${election}" at ${inSeconds(last.at)}, although its work ended at ` +
            `${inSeconds(work!.until!)}`
        )
      }
      return found
    })
  )

// ------------------------------------------------------------ work and campaigns

/** Work that has ended by itself is the result of its call: it does not run again. */
export const reruns = ({ works }: ElectionHistory): Texts =>
  [...Map.groupBy(works, ({ call }) => call).values()].flatMap((own) => {
    const inOrder = own.toSorted((one, two) => one.since - two.since)
    const ended = inOrder.findIndex((one) => one.ended === "itself")
    const again = ended === -1 ? undefined : inOrder[ended + 1]
    return again === undefined ? [] : [
      `the work of ${again.node} for "${again.election}" ran again at ${
        inSeconds(again.since)
      }, although it had ended by ` +
      `itself at ${inSeconds(inOrder[ended]!.until!)}`
    ]
  })

/** Until when a process has run. */
const livedUntil = ({ end }: ElectionHistory, { closing, until }: Life): number =>
  Math.min(closing ?? end, until ?? end)

/** A call of `whileLeader` ends only with the result of its work, and campaigns again after each other term. */
export const campaigns = (history: ElectionHistory): Texts =>
  history.calls.flatMap((call) => {
    const { candidate, outcome } = call
    const { election, life } = candidate
    const found: Array<string> = []
    if (typeof outcome === "object") {
      found.push(`a campaign of ${life.node} for "${election}" ended at ${inSeconds(call.until!)}: ${outcome.failure}`)
    }
    const lines = linesOf(history, candidate)
    for (const work of history.works) {
      if (work.call !== call || work.until === undefined) continue
      // Leadership is handed over within `leaveTimeout`, 2 s by default.
      const due = dueAt(stopsOf(history, life.node), work.until + longest(history, 2000) + 3 * prompt)
      if (livedUntil(history, life) <= due) continue
      if (work.ended === "itself") {
        if ((call.until ?? history.end) > due) {
          found.push(
            `the work of ${life.node} for "${election}" ended by itself at ${inSeconds(work.until)}, and its ` +
              "call did not end"
          )
        }
      } else if (!has(lines, ["campaigning"], work.until, due)) {
        found.push(
          `${life.node} did not campaign for "${election}" again after its work stopped at ` +
            inSeconds(work.until)
        )
      }
    }
    return found
  })

const ends: ReadonlyArray<LineKind> = ["handedOver", "notHandedOver", "lost"]

/** The beginning and the end of each term are logged. */
export const reports = (history: ElectionHistory): Texts =>
  history.elections.flatMap((election) =>
    protectedTenures(history, election).flatMap(({ candidate, held, work }) => {
      if (candidate === undefined) return []
      const { life, renewDeadline } = candidate
      const lines = linesOf(history, candidate)
      const found: Array<string> = []
      const [first, last] = [held[0]!, held.at(-1)!]
      const stops = stopsOf(history, life.node)
      // A process that the store does not answer may never learn that it has won.
      const isCalm = !touches(troubles(history, life.node, () => recovery), first.at - prompt, first.at + prompt)
      if (
        isCalm && livedUntil(history, life) > first.at + prompt && !has(lines, ["elected"], first.at, first.at + prompt)
      ) found.push(`${life.node} won "${election}" at ${inSeconds(first.at)}, and did not lead at once`)
      if (work === undefined || mayMissSuspension(history, life.node, work)) return found
      if (!has(lines, ["elected"], first.at, work.since)) {
        found.push(`${life.node} led "${election}" at ${inSeconds(work.since)}: not reported`)
      }
      const over = dueAt(stops, last.at + longest(history, renewDeadline) + 3 * prompt)
      const isOpen = (life.until ?? history.end) > over
      if (isOpen && !has(lines, ends, work.since, over)) {
        found.push(`${life.node} lost "${election}" after its record of ${inSeconds(last.at)}: not reported`)
      }
      return found
    })
  )

// ------------------------------------------------------------ health, requests and sitting out

/** The time of a health check, in milliseconds (E22). */
const checkTime = 1000

const healthOf = (history: ElectionHistory, call: Call): Texts => {
  const { candidate } = call
  const { election, healthFailures, life: { node } } = candidate
  const own = history.healthChecks.filter((one) => one.call === call)
  const stops = stopsOf(history, node)
  const found: Array<string> = []
  own.forEach((check, index) => {
    const until = check.until ?? history.end
    const due = lasting(stops, check.from, longest(history, checkTime) + prompt)
    const name = `the health check of ${node} for "${election}" at ${inSeconds(check.from)}`
    if (check.isInterruptible && Math.min(until, livedUntil(history, candidate.life)) > due) {
      found.push(`${name} was not interrupted`)
    }
    const next = own[index + 1]
    if (next !== undefined && next.from < until) found.push(`${name} was running when the next one began`)
  })
  const isOfCall = ({ at, kind }: Line) => kind === "unhealthy" && at >= call.from && at <= (call.until ?? history.end)
  for (const { at } of linesOf(history, candidate).filter(isOfCall)) {
    const last = own.filter(({ answer, from }) => from < at || (from === at && answer === false)).slice(-healthFailures)
    // A check that has not come back fails again at each interval.
    const isHanging = last.some(({ from, until }) =>
      (until ?? history.end) > from + shortest(history, checkTime) - prompt / 5
    )
    if (!isHanging && (last.length < healthFailures || last.some(({ answer }) => answer === true))) {
      found.push(`${node} resigned from "${election}" at ${inSeconds(at)}, before ${healthFailures} checks had failed`)
    }
  }
  return found
}

/** Health checks are bounded, run one at a time, and end a term after `healthFailures` failures in a row (E22). */
export const health = (history: ElectionHistory): Texts => history.calls.flatMap((call) => healthOf(history, call))

/** Only the leader that was asked steps down (E30). */
export const requests = (history: ElectionHistory): Texts => {
  const decoder = new TextDecoder()
  const asked = history.facts.stored.filter(({ key }) => key.startsWith("stepdown.")).map(({ at, key, value }) => ({
    at,
    election: key.slice("stepdown.".length),
    nonce: (JSON.parse(decoder.decode(value)) as { readonly nonce: string }).nonce
  }))
  return history.elections.flatMap((election) =>
    protectedTenures(history, election).flatMap(({ candidate, nonce, work }) => {
      if (candidate === undefined || work === undefined) return []
      const until = work.until ?? history.end
      const line = linesOf(history, candidate).find(({ at, kind }) =>
        kind === "steppingDown" && at >= work.since && at <= until
      )
      return line === undefined ||
          asked.some((one) => one.election === election && one.nonce === nonce && one.at <= line.at)
        ? []
        : [`${work.node} stepped down from "${election}" at ${inSeconds(line.at)}, although nobody had asked it`]
    })
  )
}

/** The shortest time for which a former leader sits out after a line about the end of its term. 0 after other lines. */
const leastWait = (
  { leaseDuration, priority, renewInterval }: Candidate,
  { at, kind }: Line,
  tenure: Tenure,
  isAsked: boolean
): number => {
  const vain = leaseDuration + 2 * renewInterval
  switch (kind) {
    case "handedOver":
      return (2 + (isAsked ? 10 : priority)) * renewInterval
    case "inVain":
      return vain
    case "lost":
      return tenure.held.filter((one) => one.at <= at).length === 1 ? vain : (2 + priority) * renewInterval
    default:
      return 0
  }
}

/** A former leader does not win again before it has sat out (E21). */
export const turns = (history: ElectionHistory): Texts =>
  history.candidates.flatMap((candidate) => {
    const { election, life: { node, number } } = candidate
    const tenures = tenuresOf(history, election).filter(({ held }) => held[0]!.life === number)
    const unprotected = unprotectedTimes(history)
    return linesOf(history, candidate).flatMap((line, index, lines) => {
      const { at } = line
      const own = tenures.findLast(({ held }) => held[0]!.at <= at)
      const next = tenures.find(({ held }) => held[0]!.at > at)
      if (own === undefined || next === undefined || isUnprotected(history, unprotected, own)) return []
      const since = lines.slice(0, index).findLastIndex(({ kind }) => kind === "elected")
      const isAsked = lines.slice(Math.max(0, since), index).some(({ kind }) =>
        kind === "unhealthy" || kind === "steppingDown"
      )
      const least = shortest(history, leastWait(candidate, line, own, isAsked)) - 2
      const wait = next.held[0]!.at - at
      return wait >= least ? [] : [
        `${node} won "${election}" ${inSeconds(wait)} after the end of its term at ${inSeconds(at)}, expected ${
          inSeconds(least)
        }`
      ]
    })
  })

/** Milliseconds at the end of a run, in which it must have had a leader. */
const calm = 22_000

/** Reports a run that proves nothing. A server that was paused until a short time ago explains it. */
export const happenings = ({ elections, end, facts, works }: ElectionHistory): Texts =>
  facts.disruptions.some(({ node, until }) => node === undefined && until > end - calm)
    ? []
    : elections.filter((election) => !works.some((one) => one.election === election)).map((election) =>
      `nobody has led "${election}"`
    )

export const all = (history: ElectionHistory): ReadonlyArray<Checks.Violation | string> => [
  ...oneLeader(history),
  ...leases(history),
  ...handOvers(history),
  ...overruns(history),
  ...progress(history),
  ...releases(history),
  ...reruns(history),
  ...campaigns(history),
  ...reports(history),
  ...health(history),
  ...requests(history),
  ...turns(history),
  ...happenings(history)
]
