/**
 * A stream: its copies, writes, expiry, consumers, and its leader elections.
 */
import type { MessageOperation } from "../../../internal/kv/backend.ts"
import type { ConsumerSettings } from "../../../internal/nats/jetstream/api.ts"
import { matcherOfAny, type Matches } from "../../../internal/subjects.ts"
import type { Timer } from "../world/environment.ts"
import { Ages } from "./ages.ts"
import { type Limits, limitsOf, type StreamConfig } from "./config.ts"
import { Copy } from "./copy.ts"
import { Crowd } from "./crowd.ts"
import { Duplicates } from "./duplicates.ts"
import { Follower } from "./follower.ts"
import type { Interest } from "./interest.ts"
import { type Kept, marker } from "./kept.ts"
import { PullConsumer } from "./pullConsumer.ts"
import type { Work } from "./work.ts"
import { type Target, Writes } from "./writes.ts"

export interface StoredPublication {
  readonly stream: string
  readonly subject: string
  readonly revision: number
  readonly operation: MessageOperation
  readonly value: Uint8Array
  /** Simulated time in milliseconds. */
  readonly at: number
  /** The time that the message carries, as simulated time: that of its proposal. */
  readonly stampedAt: number
}

/** Access of a stream to its server. */
export interface Surroundings {
  readonly work: Work
  readonly interest: Interest
  /** Whether the server is of the 2.10 line. */
  readonly isOld: boolean
  readonly epoch: number
  readonly stored: (event: StoredPublication) => void
  /** Called when consumers of a stream were removed that no client had deleted. */
  readonly consumersLost: (stream: string) => void
  /** Called when the leader of a stream has stepped down until a time because its storage is full. */
  readonly steppedDown: (stream: string, until: number) => void
}

/** The maximum difference between the wall clocks of two server nodes, in milliseconds. */
const clockSkew = 500

/** The number of nodes of a cluster: one is the leader, the others are followers. */
const nodes = 3

/** The probability that an election is caused by a node that died, not by one that came back. */
const nodeDied = 0.6

/** The probability that a server ends the pulls of a consumer that is lost. */
const announced = 0.5

/** The probability that the leader answers a direct get. */
const readsAtLeader = 1 / nodes

interface ElectionUnderWay {
  readonly began: number
  readonly end: Timer
  readonly endsAt: number
  /** Whether the leader has stepped down, and its node still runs. */
  readonly isStepDown: boolean
  isMet: boolean
}

export class SimulatedStream implements Target {
  readonly name: string
  readonly created: string
  readonly work: Work
  readonly interest: Interest
  readonly isOld: boolean
  readonly duplicates: Duplicates
  readonly consumers = new Map<string, PullConsumer>()
  readonly writes: Writes
  config: StreamConfig
  limits: Limits
  leader: Copy
  follower: Follower | undefined
  /** Whether the stream stores messages of a subject. */
  owns: Matches
  private readonly surroundings: Surroundings
  private readonly ages: Ages
  private crowd = new Crowd()
  /** The offsets of the nodes' wall clocks from simulated time, in milliseconds. */
  private readonly offsets: ReadonlyArray<number>
  private offset = 0
  private election: ElectionUnderWay | undefined
  private fullUntil = Number.NEGATIVE_INFINITY
  private isClosed = false
  /** The time from which a new replicated stream has its first leader. */
  private leadsFrom = 0

  constructor(surroundings: Surroundings, config: StreamConfig, created: string) {
    const { chance } = surroundings.work
    this.surroundings = surroundings
    this.work = surroundings.work
    this.interest = surroundings.interest
    this.isOld = surroundings.isOld
    this.name = config.name!
    this.created = created
    this.config = config
    this.limits = limitsOf(config, this.isOld)
    this.owns = matcherOfAny(config.subjects ?? [])
    this.leader = this.emptyCopy(this.limits.firstRevision)
    this.follower = this.emptyFollower(this.limits.firstRevision)
    this.duplicates = new Duplicates(this.work, this.limits.duplicateWindow)
    this.writes = new Writes(this)
    this.ages = new Ages({
      work: this.work,
      isOld: this.isOld,
      limits: () => this.limits,
      wall: () => this.wall,
      messages: () => this.leader.all(),
      expire: (message) => this.expire(message),
      hasLeader: () => this.hasLeader
    })
    const sign = chance.is(0.5) ? 1 : -1
    this.offsets = [0, sign * chance.between(0, clockSkew), sign * chance.between(0, clockSkew)]
  }

  get isReplicated(): boolean {
    return this.follower !== undefined
  }

  /** Unix milliseconds by the leader's clock. */
  get wall(): number {
    return this.surroundings.epoch + this.work.now + this.offset
  }

  get hasLeader(): boolean {
    return this.election === undefined && this.work.now >= this.leadsFrom && !this.isClosed
  }

  get electionBegan(): number | undefined {
    return this.election?.began
  }

  /** Whether the stream has no leader because it has stepped down: every node answers STREAM.INFO then. */
  get hasSteppedDown(): boolean {
    return this.election?.isStepDown === true
  }

  /** Leaves a new stream without a leader for `millis`. */
  delayFirstLeader(millis: number): void {
    this.leadsFrom = this.work.now + millis
  }

  /** Records that a request arrived while the stream had no leader. */
  meetElection(): void {
    if (this.election === undefined || this.election.isMet) return
    this.election.isMet = true
    this.work.injected("no store leader")
  }

  get isFull(): boolean {
    return this.work.now < this.fullUntil
  }

  /** Leaves the servers without free storage for `millis`. */
  fill(millis: number): void {
    this.fullUntil = Math.max(this.fullUntil, this.work.now + millis)
    this.work.note(() => `the storage of ${this.name} is full for ${millis} ms`)
  }

  /**
   * Records that a message was refused because the storage is full. The leader of a replicated stream then steps down, and no
   * other node becomes leader before there is space (observed on 2.15.1). Consumers continue.
   */
  refusedAsFull(): void {
    this.work.injected("store full")
    if (!this.isReplicated) return
    const until = this.fullUntil
    this.elect(until - this.work.now, { isStepDown: true })
    this.surroundings.steppedDown(this.name, until)
  }

  store(message: Kept, isRollup: boolean): void {
    this.leader.store(message, isRollup)
    this.follower?.hears(isRollup ? "rollup" : "store", message)
    this.ages.stored(message)
    const { created, operation, revision, subject, value } = message
    const at = this.work.now
    const stampedAt = at - Math.max(0, this.wall - created)
    this.surroundings.stored({ stream: this.name, subject, revision, operation, value, at, stampedAt })
    this.work.note(() => `${subject} @${revision} ${operation}`)
  }

  remove(message: Kept): void {
    this.leader.remove(message)
    this.follower?.hears("remove", message)
  }

  /** Removes all matching messages without markers; returns their number. */
  /** Removes the messages that match, up to a revision. */
  purge(matches: Matches, upTo = Number.POSITIVE_INFINITY): number {
    const found = this.leader.all().filter(({ revision, subject }) => matches(subject) && revision <= upTo)
    for (const message of found) this.remove(message)
    this.work.note(() => `${found.length} messages purged`)
    return found.length
  }

  /** The copy that answers a direct get, a follower's or the leader's; undefined if a single replica has no leader. */
  reader(): Copy | undefined {
    const { follower } = this
    if (follower === undefined) return this.hasLeader ? this.leader : undefined
    follower.catchUp()
    if (!this.hasLeader) return follower.copy
    return this.work.chance.is(readsAtLeader) ? this.leader : follower.copy
  }

  update(config: StreamConfig): void {
    this.config = config
    this.limits = limitsOf(config, this.isOld)
    this.owns = matcherOfAny(config.subjects ?? [])
    this.duplicates.window = this.limits.duplicateWindow
    this.leader.historySize = this.limits.historySize
    this.scale()
    if (this.follower !== undefined) this.follower.copy.historySize = this.limits.historySize
    for (const message of this.leader.all()) {
      if (this.leader.countOf(message.subject) > this.limits.historySize) this.remove(message)
    }
    this.ages.lookAgain()
  }

  /** Adds or removes the followers after a change of the replicas. A new follower receives all messages, with its delay. */
  private scale(): void {
    if ((this.config.num_replicas ?? 1) > 1 === this.isReplicated) return
    const { num_replicas: replicas = 1 } = this.config
    this.work.note(() => `${this.name} has ${replicas} replicas`)
    if (this.isReplicated) this.dropConsumers()
    this.follower?.close()
    this.follower = this.emptyFollower(this.limits.firstRevision)
    for (const message of this.leader.all()) this.follower?.hears("store", message)
  }

  addConsumer(settings: ConsumerSettings): PullConsumer {
    const { interest, isOld, work } = this
    const { follower } = this
    follower?.catchUp()
    const home = follower !== undefined && work.chance.below(nodes) > 0 ? follower : undefined
    const consumer = new PullConsumer({
      stream: this.name,
      settings,
      copy: home?.copy ?? this.leader,
      work,
      interest,
      isOld,
      keepsOne: () => this.limits.historySize === 1,
      onAbandoned: (abandoned) => {
        this.removeConsumer(abandoned, true)
        this.surroundings.consumersLost(this.name)
      }
    })
    this.consumers.set(settings.name, consumer)
    ;(home?.crowd ?? this.crowd).add(consumer)
    follower?.watch()
    return consumer
  }

  /** With `isAnnounced` the pulls of the consumer end with a message; otherwise its server has died. */
  removeConsumer(consumer: PullConsumer, isAnnounced: boolean): void {
    consumer.close(isAnnounced)
    this.consumers.delete(consumer.name)
    this.crowd.remove(consumer)
    this.follower?.crowd.remove(consumer)
  }

  dropConsumers(isLost: () => boolean = () => true): void {
    let lost = 0
    for (const consumer of this.consumers.values()) {
      if (!isLost()) continue
      this.removeConsumer(consumer, this.work.chance.is(announced))
      lost++
    }
    if (lost === 0) return
    this.work.injected("consumers lost")
    this.work.note(() => `${lost} consumers of ${this.name} lost`)
    this.surroundings.consumersLost(this.name)
  }

  /**
   * Leaves the stream without a leader for `gapMillis`. An election in progress does not end earlier because of that. A leader
   * that does not step down is lost with its node, and with consumers.
   */
  elect(gapMillis: number, { isStepDown } = { isStepDown: false }): void {
    const { chance, now } = this.work
    const endsAt = Math.max(now + gapMillis, this.election?.endsAt ?? now)
    const began = this.election?.began ?? now
    const isMet = this.election?.isMet === true
    this.election?.end.cancel()
    if (this.election === undefined) {
      this.work.note(() => `${this.name} has no leader for ${gapMillis} ms`)
      this.follower?.catchUp()
      this.writes.abandon()
      if (isStepDown) this.work.note(() => `the leader of ${this.name} steps down`)
      else if (!this.isReplicated) this.dropConsumers()
      else if (chance.is(nodeDied)) this.dropConsumers(() => chance.below(nodes) === 0)
    }
    const end = this.work.after(endsAt - now, () => this.endElection(end))
    this.election = { began, isMet, end, endsAt, isStepDown: isStepDown && this.election?.isStepDown !== false }
  }

  private endElection(end: Timer): void {
    if (this.isClosed || this.election?.end !== end) return
    this.election = undefined
    if (this.isReplicated) this.offset = this.work.chance.pick(this.offsets)
    this.work.note(() => `${this.name} has a leader, its clock is off by ${Math.round(this.offset)} ms`)
    this.follower?.watch()
    this.ages.lookAgain()
  }

  /** Removes the last `messages` revisions. Messages that history had already dropped are not restored. */
  rollBack(messages: number): void {
    const last = Math.max(this.limits.firstRevision - 1, this.leader.lastRevision - messages)
    if (last === this.leader.lastRevision) return
    const kept = this.leader.all().filter(({ revision }) => revision <= last)
    this.dropConsumers()
    this.writes.clear()
    this.duplicates.forgetAfter(last)
    const lag = this.follower?.lag ?? 0
    this.follower?.close()
    this.crowd = new Crowd()
    this.leader = this.emptyCopy(last + 1)
    this.follower = this.emptyFollower(last + 1)
    if (this.follower !== undefined) this.follower.lag = lag
    for (const copy of [this.leader, this.follower?.copy]) {
      for (const message of kept) copy?.store(message, false)
      if (copy !== undefined) copy.lastRevision = last
    }
    this.ages.lookAgain()
    this.work.injected("rolled back")
    this.work.note(() => `${this.name} rolled back to revision ${last}`)
  }

  close(): void {
    this.dropConsumers()
    this.isClosed = true
    this.election?.end.cancel()
    this.writes.clear()
    this.ages.close()
    this.follower?.close()
  }

  private emptyCopy(firstRevision: number): Copy {
    return new Copy(firstRevision, this.limits.historySize, this.crowd)
  }

  private emptyFollower(firstRevision: number): Follower | undefined {
    return (this.config.num_replicas ?? 1) > 1
      ? new Follower(this.work, firstRevision, this.limits.historySize, () => this.hasLeader)
      : undefined
  }

  /**
   * Removes an expired message and stores a marker if the stream requires one. Returns false, and does nothing, while a
   * write to the subject is in flight, and while the storage has no space for the marker (observed on 2.15.1).
   */
  private expire(message: Kept): boolean {
    const { operation, subject } = message
    if (this.writes.isInFlight(subject)) return false
    const wasLast = this.leader.last(subject) === message
    const { markerAge } = this.limits
    const needsMarker = wasLast && markerAge !== Number.POSITIVE_INFINITY &&
      (operation === "put" || operation === "delete")
    if (needsMarker && this.isFull) return false
    this.remove(message)
    this.work.note(() => `${subject} @${message.revision} expired`)
    if (!needsMarker) return true
    this.work.injected("marker")
    this.store(marker(subject, this.leader.lastRevision + 1, this.wall, markerAge, this.limits.storage), true)
    return true
  }
}
