/**
 * Handles messages published to a stream: refuses a message, acknowledges a
 * duplicate, stores a message at once (one replica), or proposes it to the
 * replicas and stores it when it is committed.
 */
import { sizeOfHeaders, sizeOfStored } from "../../../internal/kv/headers.ts"
import type { Limits, StreamConfig } from "./config.ts"
import type { Copy } from "./copy.ts"
import type { Duplicates } from "./duplicates.ts"
import type { Interest } from "./interest.ts"
import { Kept } from "./kept.ts"
import { json, noResponders, type Refusal, refusals, refused, wrongLast } from "./messages.ts"
import type { Publication } from "./publication.ts"
import type { Work } from "./work.ts"

/** The time from a proposal to its commit, in milliseconds. */
const commitTime = [1, 4] as const

/** The minimum time between two commits, in milliseconds: it keeps them in order. */
const behind = 0.001

/**
 * Probabilities for a message that arrived before the leader was lost and was not handled yet. `landed`: it is still
 * stored, if all before it were. `takenUp`: otherwise it is lost without an answer, not refused.
 */
const landed = 0.5
const takenUp = 0.67

/** The probability that a proposal committed by a lost leader had also been acknowledged. */
const answeredInTime = 0.3

/** The stream to which messages are written. */
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
  /** The start of the election in progress; undefined without an election. */
  readonly electionBegan: number | undefined
  readonly meetElection: () => void
  /** Whether the storage of the servers is full. */
  readonly isFull: boolean
  /** To be called when a message was refused because the storage is full. */
  readonly refusedAsFull: () => void
  readonly store: (message: Kept, isRollup: boolean) => void
}

interface Proposal {
  readonly publication: Publication
  /** Unix milliseconds by the clock of the leader that proposed it. */
  readonly created: number
  readonly due: number
}

export class Writes {
  private readonly stream: Target
  private readonly answerStart: string
  /** Proposals in the order of their commits. */
  private proposals: Array<Proposal> = []
  private lastDue = 0
  /** The number of proposals that write to a subject or are guarded by it. */
  private readonly inFlight = new Map<string, number>()
  /**
   * The fate of messages that arrived before the leader was lost: stored, lost without an answer, or refused ("told").
   * After a lost message no later one is stored.
   */
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
    if (verdict !== undefined) {
      this.refuse(publication, verdict)
      if (verdict === refusals.noSpace) stream.refusedAsFull()
      return
    }
    if (stream.isReplicated) return this.propose(publication)
    this.acknowledge(publication, this.store(publication, stream.wall), false)
  }

  /**
   * To be called when the leader is lost. Stores a random number of proposals, in order, and acknowledges some of the
   * first of these. Drops the others.
   */
  abandon(): void {
    const { chance } = this.stream.work
    const { proposals } = this
    this.clear()
    let left = chance.below(proposals.length + 1)
    let isAnswered = true
    this.fate = left === proposals.length ? "lands" : "lost"
    for (const { created, publication } of proposals) {
      isAnswered = isAnswered && left > 0 && chance.is(answeredInTime)
      if (!isAnswered) this.stream.work.injected("write without an answer as the leader changes")
      if (left-- <= 0) continue
      const revision = this.store(publication, created)
      if (isAnswered) this.acknowledge(publication, revision, false)
    }
  }

  /** Drops all proposals without an answer. */
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
    stream.work.injected("write without an answer as the leader changes")
    if (this.fate === "lands" && this.verdictOn(publication) === undefined) this.store(publication, stream.wall)
  }

  private nextFate(): Writes["fate"] {
    const { chance } = this.stream.work
    if (this.fate === "lands" && !chance.is(landed)) this.fate = "lost"
    if (this.fate === "lost" && !chance.is(takenUp)) this.fate = "told"
    return this.fate
  }

  /** The revision of a duplicate, a refusal, or undefined if the message is accepted. */
  private verdictOn(publication: Publication): number | Refusal | undefined {
    return this.known(publication) ?? this.refusalOf(publication) ?? this.knownAfterCondition(publication) ??
      // After all other checks, as observed on 2.10.27 and 2.15.1.
      (this.stream.isFull ? refusals.noSpace : undefined)
  }

  /** Whether the server checks the message id before the condition: 2.15 does with replicas, 2.10 with one replica. */
  private get idGoesFirst(): boolean {
    return this.stream.isReplicated !== this.stream.isOld
  }

  /** The check of the message id before the condition. */
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

  /**
   * A message, also a marker, that does not fit into the free space may only replace one that is at least as large (K7).
   * 2.10 needs one byte more, and in its file storage a larger one.
   */
  private isFullFor({ subject, value }: Publication, headerSize: number): boolean {
    const { config, isOld, leader, limits } = this.stream
    if (config.discard !== "new") return false
    const replaced = leader.countOf(subject) >= limits.historySize ? leader.oldest(subject)?.size ?? 0 : 0
    const size = sizeOfStored(limits.storage, subject, headerSize, value)
    const fits = isOld ? leader.bytes + size < limits.maxBytes : leader.bytes + size <= limits.maxBytes
    const fitsInto = isOld && limits.storage === "file" ? size < replaced : size <= replaced
    return !fits && !fitsInto
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
    // The proposal was abandoned, or already committed along with a later one after a pause of the server.
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
    stream.store(new Kept(subject, revision, created, operation, headers, value, stream.limits.storage), isRollup)
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
