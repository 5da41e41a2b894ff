/**
 * What becomes of a message that somebody publishes to a stream: refused, known
 * already, stored at once (one replica), or proposed to the replicas and stored a
 * little later.
 */
import type { Limits, StreamConfig } from "./config.ts"
import type { Copy } from "./copy.ts"
import type { Duplicates } from "./duplicates.ts"
import type { Interest } from "./interest.ts"
import { Kept, sizeOfHeaders, sizeOfRecord } from "./kept.ts"
import { json, noResponders, type Refusal, refusals, refused, wrongLast } from "./messages.ts"
import type { Publication } from "./publication.ts"
import type { Work } from "./work.ts"

/** From a proposal to its commit, in milliseconds. */
const commitTime = [1, 4] as const

/** Commits keep their order. */
const behind = 0.001

/** Of what a stream without a leader had been sent before: how often the next still lands, and else is still taken up. */
const landed = 0.5
const takenUp = 0.67

/** Of what had landed when the leader went: how much had been answered. */
const answeredInTime = 0.3

/** The stream that is written to. */
export interface Target {
  readonly name: string
  readonly work: Work
  readonly interest: Interest
  readonly isOld: boolean
  readonly isReplicated: boolean
  readonly hasLeader: boolean
  /** Unix milliseconds by the leader's clock. */
  readonly wall: number
  readonly config: StreamConfig
  readonly limits: Limits
  readonly leader: Copy
  readonly duplicates: Duplicates
  /** When the election began that is going on. */
  readonly electionBegan: number | undefined
  readonly meetElection: () => void
  readonly store: (message: Kept, isRollup: boolean) => void
}

interface Proposal {
  readonly publication: Publication
  /** By the clock of the leader that took it up. */
  readonly created: number
  readonly due: number
}

export class Writes {
  private readonly stream: Target
  private readonly answerStart: string
  /** In the order of their commits. */
  private proposals: Array<Proposal> = []
  private lastDue = 0
  /** How many proposals write to a subject, or are guarded by it. */
  private readonly inFlight = new Map<string, number>()
  /** What becomes of what was on its way when the leader went: behind one that is lost nothing lands any more. */
  private fate: "lands" | "lost" | "told" = "told"

  constructor(stream: Target) {
    this.stream = stream
    this.answerStart = `{"stream":${JSON.stringify(stream.name)},"seq":`
  }

  isInFlight(subject: string): boolean {
    return this.inFlight.has(subject)
  }

  take(publication: Publication, arrivedAt: number): void {
    const { stream } = this
    if (!stream.hasLeader) return this.takeWithoutLeader(publication, arrivedAt)
    const verdict = this.verdictOn(publication)
    if (typeof verdict === "number") return this.acknowledge(publication, verdict, true)
    if (verdict !== undefined) return this.refuse(publication, verdict)
    if (stream.isReplicated) return this.propose(publication)
    this.acknowledge(publication, this.store(publication, stream.wall), false)
  }

  /** The leader has gone: what was on its way may have landed, in its order, and nobody is told. */
  abandon(): void {
    const { chance } = this.stream.work
    const { proposals } = this
    this.clear()
    let left = chance.below(proposals.length + 1)
    let isAnswered = true
    this.fate = left === proposals.length ? "lands" : "lost"
    for (const { created, publication } of proposals) {
      isAnswered = isAnswered && left > 0 && chance.is(answeredInTime)
      if (!isAnswered) this.stream.work.injected("unknown outcome in an election")
      if (left-- <= 0) continue
      const revision = this.store(publication, created)
      if (isAnswered) this.acknowledge(publication, revision, false)
    }
  }

  /** Nothing of it lands, and nobody is told. */
  clear(): void {
    this.proposals = []
    this.inFlight.clear()
  }

  private takeWithoutLeader(publication: Publication, arrivedAt: number): void {
    const { stream } = this
    const began = stream.electionBegan
    if (began !== undefined) stream.meetElection()
    if (began === undefined || arrivedAt >= began || this.nextFate() === "told") {
      if (publication.reply !== undefined) stream.interest.deliver(noResponders(publication.reply))
      return
    }
    stream.work.injected("unknown outcome in an election")
    if (this.fate === "lands" && this.verdictOn(publication) === undefined) this.store(publication, stream.wall)
  }

  private nextFate(): Writes["fate"] {
    const { chance } = this.stream.work
    if (this.fate === "lands" && !chance.is(landed)) this.fate = "lost"
    if (this.fate === "lost" && !chance.is(takenUp)) this.fate = "told"
    return this.fate
  }

  /** Where it is already, or why it is not taken; undefined: it is. */
  private verdictOn(publication: Publication): number | Refusal | undefined {
    return this.known(publication) ?? this.refusalOf(publication) ?? this.knownAfterCondition(publication)
  }

  /** Which of the two is asked first depends on the version and on the replicas (measured). */
  private get idGoesFirst(): boolean {
    return this.stream.isReplicated !== this.stream.isOld
  }

  /** Where the id goes first: where the message is already, or that it is under way. */
  private known(publication: Publication): number | Refusal | undefined {
    return publication.id !== undefined && this.idGoesFirst
      ? this.duplicateOf(publication.id, "duplicate before the condition")
      : undefined
  }

  private knownAfterCondition(publication: Publication): number | Refusal | undefined {
    return publication.id !== undefined && !this.idGoesFirst
      ? this.duplicateOf(publication.id, "duplicate after the condition")
      : undefined
  }

  private duplicateOf(id: string, fault: string): number | Refusal | undefined {
    const revision = this.stream.duplicates.revisionOf(id)
    if (revision !== undefined) {
      this.stream.work.injected(fault)
      return revision
    }
    return this.proposals.some(({ publication }) => publication.id === id) ? refusals.duplicateInProcess : undefined
  }

  private refusalOf(publication: Publication): Refusal | undefined {
    const { config, leader, limits } = this.stream
    const { expected, guard, headers, isIncomplete, isRollup, value } = publication
    const headerSize = sizeOfHeaders(headers)
    if (headerSize + value.length > limits.maxMessageSize) return refusals.tooLarge
    if (isRollup && config.allow_rollup_hdrs !== true) return refusals.noRollups
    if (isIncomplete) return refusals.subjectAlone
    if (expected !== undefined) {
      if (this.inFlight.has(guard)) {
        this.stream.work.injected("conflict in flight")
        return refusals.inFlight
      }
      const actual = leader.last(guard)?.revision ?? 0
      if (actual !== expected) return wrongLast(actual)
    }
    return limits.maxBytes !== Number.POSITIVE_INFINITY && this.isFullFor(publication, headerSize)
      ? refusals.full
      : undefined
  }

  /** Only a value is refused for want of room; what it replaces makes room for it, but not on 2.10. */
  private isFullFor({ operation, subject, value }: Publication, headerSize: number): boolean {
    const { config, isOld, leader, limits } = this.stream
    if (operation !== "put" || config.discard !== "new") return false
    const replaces = !isOld && leader.countOf(subject) >= limits.historySize
    const freed = replaces ? leader.oldest(subject)?.size ?? 0 : 0
    return leader.bytes + sizeOfRecord(subject, headerSize, value) - freed > limits.maxBytes
  }

  private propose(publication: Publication): void {
    const { stream } = this
    const { work } = stream
    const { guard, subject } = publication
    this.lastDue = Math.max(this.lastDue + behind, work.now + work.chance.between(...commitTime))
    const proposal = { publication, created: stream.wall, due: this.lastDue }
    this.proposals.push(proposal)
    this.count(subject, 1)
    if (guard !== subject) this.count(guard, 1)
    work.after(this.lastDue - work.now, () => this.commit(proposal))
  }

  private commit(proposal: Proposal): void {
    // It has been abandoned, or a stream that was held up has committed it with a later one.
    if (!this.proposals.includes(proposal)) return
    while (this.proposals.length > 0) {
      const next = this.proposals.shift()!
      const { guard, subject } = next.publication
      this.count(subject, -1)
      if (guard !== subject) this.count(guard, -1)
      this.acknowledge(next.publication, this.store(next.publication, next.created), false)
      if (next === proposal) return
    }
  }

  private count(subject: string, by: 1 | -1): void {
    const count = (this.inFlight.get(subject) ?? 0) + by
    if (count === 0) this.inFlight.delete(subject)
    else this.inFlight.set(subject, count)
  }

  private store({ headers, id, isRollup, operation, subject, value }: Publication, created: number): number {
    const { stream } = this
    const revision = stream.leader.lastRevision + 1
    stream.store(new Kept(subject, revision, created, operation, headers, value), isRollup)
    if (id !== undefined) stream.duplicates.remember(id, revision)
    return revision
  }

  private acknowledge({ reply }: Publication, revision: number, isDuplicate: boolean): void {
    if (reply === undefined) return
    const end = isDuplicate ? `${revision},"duplicate":true}` : `${revision}}`
    this.stream.interest.deliver(json(reply, this.answerStart + end))
  }

  private refuse({ reply, subject }: Publication, refusal: Refusal): void {
    this.stream.work.note(() => `${subject} refused: ${refusal.err_code} ${refusal.description}`)
    if (reply !== undefined) this.stream.interest.deliver(refused(reply, refusal))
  }
}
