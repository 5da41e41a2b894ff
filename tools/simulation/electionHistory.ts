/**
 * What the scenario of elections records: processes, candidates, the work of terms, health checks, and the log lines of the
 * library. All times are simulated milliseconds.
 */
import type * as Checks from "../../src/testing/Checks.ts"
import type { Facts } from "../../src/testing/Simulation.ts"

/** One process on a machine, from its start to its end. A restart begins another one. */
export interface Life {
  readonly node: string
  /** The number of this process in the run, from 0. Records carry it in their metadata. */
  readonly number: number
  readonly from: number
  /** When the process began to end by itself. */
  closing: number | undefined
  /** When it had ended: by itself, or by a crash. */
  until: number | undefined
}

/** A candidate in one process. Times are in milliseconds. */
export interface Candidate {
  readonly life: Life
  readonly election: string
  readonly leaseDuration: number
  readonly renewDeadline: number
  readonly renewInterval: number
  readonly stopTimeout: number
  readonly priority: number
  readonly healthFailures: number
  /** Whether its health check always succeeds in time. */
  readonly isHealthy: boolean
}

/** The work of one term. */
export interface Work extends Checks.Term {
  readonly candidate: Candidate
  readonly call: Call
  /** How the work has ended: by itself, or because it was interrupted. */
  readonly ended: "itself" | "interrupted" | undefined
}

/** One call of `whileLeader`. */
export interface Call {
  readonly candidate: Candidate
  readonly from: number
  until: number | undefined
  /** `finished`: with the result of the work. A text: how the call has failed. */
  outcome: "finished" | { readonly failure: string } | undefined
}

/** One run of a health check. */
export interface HealthCheck {
  readonly call: Call
  readonly from: number
  /** When it returned or had been interrupted. */
  until: number | undefined
  readonly isInterruptible: boolean
  /** The answer. Undefined if it returned none. */
  answer: boolean | undefined
}

/** The log lines that the checks know. */
const lines = {
  campaigning: /^campaigning for "(.+)"$/,
  elected: /^elected leader of "(.+)" in term \d+$/,
  handedOver: /^handed over the leadership of "(.+)"$/,
  notHandedOver: /^could not hand over the leadership of "(.+?)"/,
  lost: /^lost the leadership of "(.+?)" in term/,
  inVain: /^this candidate has won "(.+?)", but does not lead/,
  unhealthy: /^resigning the leadership of "(.+?)"/,
  steppingDown: /^stepping down as the leader of "(.+?)"/,
  overrun: /^the work of "(.+?)" still runs after its lease has ended/,
  overrunEnded: /^the work of "(.+?)" has stopped, /,
  stoppedLate: /^the work of "(.+?)" stopped only /
} as const

export type LineKind = keyof typeof lines

export interface Line {
  readonly at: number
  readonly life: Life
  readonly election: string
  readonly kind: LineKind
}

/** The kind and the election of a log line. Undefined for other lines. */
export const kindOf = (text: string): { readonly kind: LineKind; readonly election: string } | undefined => {
  for (const [kind, pattern] of Object.entries(lines)) {
    const election = pattern.exec(text)?.[1]
    if (election !== undefined) return { kind: kind as LineKind, election }
  }
  return undefined
}

/** A state of the record of an election, from `at` until the next one. */
export interface Version {
  readonly at: number
  /** `unknown`: the stream was rolled back. */
  readonly state: "held" | "vacant" | "unknown"
  readonly revision: number
  readonly nonce: string
  readonly leaseMillis: number
  readonly isReleasing: boolean
  /** The number of the process that wrote it. Undefined in a vacant record. */
  readonly life: number | undefined
}

export interface ElectionHistory {
  readonly facts: Facts
  readonly bucket: string
  readonly elections: ReadonlyArray<string>
  readonly lives: ReadonlyArray<Life>
  readonly candidates: ReadonlyArray<Candidate>
  readonly works: ReadonlyArray<Work>
  readonly calls: ReadonlyArray<Call>
  readonly healthChecks: ReadonlyArray<HealthCheck>
  readonly lines: ReadonlyArray<Line>
  /** Largest relative error of a clock. */
  readonly drift: number
  readonly end: number
}

const decoder = new TextDecoder()

interface Stored {
  readonly nonce: string
  readonly vacant: boolean
  readonly leaseMillis: number
  readonly state?: string
  readonly metadata: { readonly life?: number }
}

/** The states of the record of an election, in order. */
export const versionsOf = ({ bucket, facts }: ElectionHistory, election: string): ReadonlyArray<Version> => {
  const written = facts.stored.filter((one) => one.bucket === bucket && one.key === `election.${election}`).map(
    ({ at, revision, value }): Version => {
      const { leaseMillis, metadata, nonce, state, vacant } = JSON.parse(decoder.decode(value)) as Stored
      const isReleasing = state === "Releasing"
      return {
        at,
        state: vacant ? "vacant" : "held",
        revision,
        nonce,
        leaseMillis,
        isReleasing,
        life: metadata.life
      }
    }
  )
  const lost = facts.losses.filter((one) => one.bucket === bucket).map(({ at }): Version => ({
    at,
    state: "unknown",
    revision: 0,
    nonce: "",
    leaseMillis: Math.max(0, ...written.filter((one) => one.at <= at).map(({ leaseMillis }) => leaseMillis)),
    isReleasing: false,
    life: undefined
  }))
  return [...written, ...lost].toSorted((one, two) => one.at - two.at)
}

/**
 * Consecutive records of one nonce. A candidate that did not learn of its win, as it could not read, can win again with the
 * same nonce after others have led.
 */
export interface Tenure {
  readonly election: string
  readonly nonce: string
  readonly candidate: Candidate | undefined
  /** The held records, in order. */
  readonly held: ReadonlyArray<Version>
  /** The vacant record of the same nonce, if there is one. */
  readonly vacant: Version | undefined
  readonly work: Work | undefined
}

const consecutive = (versions: ReadonlyArray<Version>): ReadonlyArray<ReadonlyArray<Version>> => {
  const groups: Array<Array<Version>> = []
  for (const version of versions) {
    const last = groups.at(-1)
    if (last?.[0]?.nonce === version.nonce) last.push(version)
    else groups.push([version])
  }
  return groups
}

/** The tenures of an election, in order of their wins. */
export const tenuresOf = (history: ElectionHistory, election: string): ReadonlyArray<Tenure> => {
  const versions = versionsOf(history, election).filter(({ nonce }) => nonce !== "")
  const works = history.works.filter((one) => one.election === election)
  return consecutive(versions).flatMap((own) => {
    const held = own.filter(({ state }) => state === "held")
    const [won] = held
    if (won === undefined) return []
    return [{
      election,
      nonce: won.nonce,
      candidate: history.candidates.find((one) => one.life.number === won.life && one.election === election),
      held,
      vacant: own.find(({ state }) => state === "vacant"),
      work: works.find(({ candidate, since, token }) =>
        token.revision === won.revision && since >= won.at && candidate.life.number === won.life
      )
    }]
  })
}
