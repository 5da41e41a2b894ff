/** Processes that are candidates of elections, as their parent sees them. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type Commanded, holds, startCommanded } from "./commanded.ts"

/** Milliseconds. */
export interface Times {
  readonly leaseDuration: number
  readonly renewDeadline: number
  readonly renewInterval: number
}

export interface CandidateOptions {
  readonly name: string
  readonly url: string
  readonly bucket: string
  readonly timings: Times
  /** The module of the etcd client. With it, the process is a candidate of etcd's elections. */
  readonly etcd?: string
}

/**
 * How leadership ends: a scope is closed, work ends, or SIGTERM interrupts work whose finalizer never ends.
 */
export type How = "scope" | "work" | "hangs"

export type Command =
  /** Campaigns, in each election. */
  | {
    readonly _tag: "Campaign"
    readonly elections: ReadonlyArray<string>
    readonly how: How
    readonly stopTimeout?: number
  }
  /** Hands over, in each election. */
  | { readonly _tag: "HandOver"; readonly elections: ReadonlyArray<string> }
  /** From now on, reads `isValid` of all leaderships as soon as the process runs again after a pause. */
  | { readonly _tag: "Sample" }
  | { readonly _tag: "Report" }

export interface Report {
  /** Processor time of the process so far. */
  readonly processorMillis: number
  /** The elections whose leadership is valid. */
  readonly valid: ReadonlyArray<string>
  /** The metric of overruns. */
  readonly overruns: number
  /** The lines that were logged as errors. */
  readonly errors: ReadonlyArray<string>
}

/** Times are by the clock that all processes share. */
export type Message =
  | { readonly _tag: "Led"; readonly election: string; readonly at: number }
  | { readonly _tag: "Leaving"; readonly election: string; readonly at: number }
  | { readonly _tag: "Woken"; readonly election: string; readonly isValid: boolean }
  | { readonly _tag: "Done"; readonly report: Report }
  | { readonly _tag: "Failed"; readonly why: string }

export interface Candidate extends Commanded<Command, Report> {
  /** When the process was elected, for each of its terms. */
  readonly led: ReadonlyArray<{ readonly election: string; readonly at: number }>
  /** When it began to hand over, the last time in each election. */
  readonly leaving: ReadonlyMap<string, number>
  /** The first readings of `isValid` after a pause. */
  readonly woken: ReadonlyArray<{ readonly election: string; readonly isValid: boolean }>
}

const scripts = {
  own: new URL("electionCandidate.ts", import.meta.url),
  etcd: new URL("etcdCandidate.ts", import.meta.url)
}

export const startCandidate = Effect.fnUntraced(function*(options: CandidateOptions) {
  const led: Array<Candidate["led"][number]> = []
  const leaving = new Map<string, number>()
  const woken: Array<Candidate["woken"][number]> = []
  const receive = (message: Message): Result.Result<Report, string> | undefined => {
    switch (message._tag) {
      case "Led":
        led.push(message)
        return undefined
      case "Leaving":
        leaving.set(message.election, message.at)
        return undefined
      case "Woken":
        woken.push(message)
        return undefined
      case "Done":
        return Result.succeed(message.report)
      case "Failed":
        return Result.fail(message.why)
    }
  }
  const script = options.etcd === undefined ? scripts.own : scripts.etcd
  const commanded = yield* startCommanded<Command, Report, Message>({ name: options.name, script, options, receive })
  const candidate: Candidate = { ...commanded, led, leaving, woken }
  return candidate
})

/** How long a measurement waits for an event: longer than any bound. */
const patience = 60_000

export const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}-${n}`)

/** Starts candidates of one bucket. */
export const starter = ({ url }: { readonly url: string }, bucket: string, timings: Times) => (name: string) =>
  startCandidate({ name, url, bucket, timings })

export type Start = ReturnType<typeof starter>

export const startAll = (start: Start, names: ReadonlyArray<string>) =>
  Effect.forEach(names, (name) => start(name), { concurrency: 2 })

export const failedWait = (what: string) => new Error(`${what} not within ${patience} ms`)

export const waitFor = (what: string, condition: () => boolean) =>
  Effect.map(holds(condition, patience), (held) => {
    if (!held) throw failedWait(what)
  })

export const ledSince = ({ led }: Candidate, election: string, since: number) =>
  led.find((term) => term.election === election && term.at >= since)

export const leads = ({ led }: Candidate, elections: ReadonlyArray<string>) =>
  elections.every((election) => led.some((term) => term.election === election))

/** Campaigns, and waits until this candidate leads all elections. */
export const takeLead = Effect.fnUntraced(function*(
  candidate: Candidate,
  elections: ReadonlyArray<string>,
  how: How,
  stopTimeout?: number
) {
  yield* candidate.tell({ _tag: "Campaign", elections, how, ...stopTimeout === undefined ? {} : { stopTimeout } })
  yield* waitFor(`${candidate.name} leads ${elections.length} elections`, () => leads(candidate, elections))
})

export const standBy = (candidates: ReadonlyArray<Candidate>, elections: ReadonlyArray<string>) =>
  Effect.forEach(candidates, (candidate) => candidate.tell({ _tag: "Campaign", elections, how: "work" }))

/** When one of the candidates has led each election first, after a moment. Undefined for an election without a leader. */
export const followed = Effect.fnUntraced(function*(
  candidates: ReadonlyArray<Candidate>,
  elections: ReadonlyArray<string>,
  since: number
) {
  const firstOf = (election: string) =>
    candidates.flatMap((candidate) => ledSince(candidate, election, since)?.at ?? []).toSorted((a, b) => a - b)[0]
  yield* holds(() => elections.every((election) => firstOf(election) !== undefined), patience)
  return elections.map(firstOf)
})
