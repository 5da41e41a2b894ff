/**
 * The live instances as one process sees them: a state machine without effects. Each method applies one event, and
 * returns the changes that follow. Instances expire by connected time (`connectedTime.ts`), so a process that was cut
 * off, paused or blocked expires no instance (docs/protocols/registry.md, R25). Times are milliseconds of the monotonic
 * clock, unless they are called connected.
 */
import type * as DateTime from "effect/DateTime"
import type { RegistryEvent } from "../../Registry.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import { ConnectedTime } from "./connectedTime.ts"
import type { HeartbeatText } from "./heartbeatText.ts"
import { isLegacyKey, otherKeyOf, sameNames } from "./keys.ts"
import { changed, type Names, sameButTime } from "./record.ts"
import { asOne } from "./twoRecords.ts"

/** A change with its number. A subscriber skips the changes that its snapshot already contains. */
export interface ViewChange {
  readonly number: number
  readonly event: Exclude<RegistryEvent, { readonly _tag: "Ready" }>
}

/**
 * - `Loading`: the snapshot has not been read
 * - `Live`: instances expire by age
 * - `CutOff`: the store is out of reach. Ages do not advance
 * - `Settling`: the store is back. Until `until` (connected time) its instances have time to send a heartbeat
 */
export type Phase =
  | { readonly _tag: "Loading" }
  | { readonly _tag: "Live" }
  | { readonly _tag: "CutOff"; readonly since: number }
  | { readonly _tag: "Settling"; readonly until: number }

/** A record that was received. */
export interface Seen {
  readonly instance: ServiceInstance
  /** Identifies the registration. Undefined if another library wrote the record. */
  readonly nonce: string | undefined
  /** How long ago the store stored it, in milliseconds. */
  readonly age: number
  /** The age at which it is expired, in milliseconds. */
  readonly maxAge: number
  /** Recognises the next heartbeats. */
  readonly text: HeartbeatText | undefined
  readonly revision: number
}

/** A stored record whose instance is not live: expired, or not decodable. */
export interface Dead {
  readonly revision: number
  /** When the store stored it. */
  readonly storedAt: DateTime.Utc
  readonly isDecodable: boolean
  /** The names in the record. Undefined if the key has them, or if they are not known. */
  readonly names: Names | undefined
}

/** A live instance. Its heartbeats move the two times only. */
class Known {
  private latest: ServiceInstance
  readonly nonce: string | undefined
  readonly maxAge: number
  revision: number
  lastHeartbeat: DateTime.Utc
  /** The instance is expired after this connected time. */
  until: number
  readonly text: HeartbeatText | undefined

  constructor({ instance, maxAge, nonce, revision, text }: Seen, until: number) {
    this.latest = instance
    this.nonce = nonce
    this.maxAge = maxAge
    this.revision = revision
    this.lastHeartbeat = instance.lastHeartbeat
    this.until = until
    this.text = text
  }

  get names(): Names {
    return this.latest
  }

  /** The instance with its last heartbeat. */
  get instance(): ServiceInstance {
    const { lastHeartbeat, latest } = this
    if (latest.lastHeartbeat !== lastHeartbeat) this.latest = changed(latest, { lastHeartbeat })
    return this.latest
  }
}

export interface ViewTimes {
  readonly maxAge: number
  /** How long no instance expires after a return: a heartbeat, and the time that its owner needs to reconnect. */
  readonly settling: number
}

/** AegisSDK's keys first. */
const byRank = (key: string): number => isLegacyKey(key) ? 0 : 1

export class View {
  /** By key. An instance has two keys if it has a record of AegisSDK, too (R33). */
  readonly live = new Map<string, Known>()
  /** The stored records of instances that are not live, for the cleanup. */
  readonly dead = new Map<string, Dead>()
  number = 0
  phase: Phase = { _tag: "Loading" }
  /** The shortest maxAge of a live instance, or the own one if that is shorter. */
  private shortest: number
  /** The highest revision that was received. */
  lastRevision = 0
  /** When anything was received last, or could be received again. */
  private heardAt: number
  /** Whether the present silence of all instances has been explained. */
  private isExplained = false
  /** Whether the store is taken for out of reach because of the silence of all. */
  private isSuspect = false
  private readonly times: ViewTimes
  private readonly readsLegacy: boolean
  private readonly connected: ConnectedTime

  constructor(
    times: ViewTimes,
    now: number,
    { readsLegacy }: { readonly readsLegacy: boolean } = { readsLegacy: false }
  ) {
    this.times = times
    this.readsLegacy = readsLegacy
    this.shortest = times.maxAge
    this.connected = new ConnectedTime(now)
    this.heardAt = now
  }

  private change(key: string, given: ViewChange["event"]): ViewChange | undefined {
    const event = this.readsLegacy ? asOne(given, this.besides(key, given.instance)) : given
    return event === undefined ? undefined : { number: ++this.number, event }
  }

  /** The other live record of an instance. */
  private besides(key: string, instance: ServiceInstance) {
    const other = this.live.get(otherKeyOf(key, instance))
    return {
      isLegacy: isLegacyKey(key),
      other: other !== undefined && sameNames(other.names, instance) ? other.instance : undefined
    }
  }

  /** The live instances, each once. */
  get instances(): ReadonlyArray<ServiceInstance> {
    if (!this.readsLegacy) return Array.from(this.live.values(), ({ instance }) => instance)
    return Array.from(this.live).flatMap(([key, { instance }]) =>
      isLegacyKey(key) && this.besides(key, instance).other !== undefined ? [] : [instance]
    )
  }

  // ---------------------------------------------------------------------------
  // the process
  // ---------------------------------------------------------------------------

  /** The snapshot has been read. */
  loaded(): void {
    if (this.phase._tag === "Loading") this.phase = { _tag: "Live" }
  }

  /** The store has been out of reach since `at`. */
  cutOff(at: number): void {
    if (!this.connected.isConnected) return
    this.connected.cut(at)
    if (this.phase._tag !== "Loading") this.phase = { _tag: "CutOff", since: at }
  }

  /** The store is in reach again. */
  back(now: number): void {
    if (this.connected.isConnected) return
    this.connected.resume(now)
    // While it was away, nothing could be heard.
    this.heardAt = now
    if (this.phase._tag !== "Loading") {
      this.phase = { _tag: "Settling", until: this.connected.at(now) + this.times.settling }
    }
  }

  // ---------------------------------------------------------------------------
  // the silence of all
  // ---------------------------------------------------------------------------

  /** A message of the registry has been received. */
  heard(revision: number, now: number): void {
    this.lastRevision = Math.max(this.lastRevision, revision)
    this.heardAt = now
    this.isExplained = false
    if (!this.isSuspect) return
    this.isSuspect = false
    this.back(now)
  }

  /**
   * When the silence of all has to be explained: instances that are silent together may have a store that takes no writes. Also
   * while the view settles: the next wake, which ends that, can be as late as an expiry.
   */
  private get askAt(): number | undefined {
    return this.isJudging && this.live.size > 1 && !this.isExplained
      ? this.heardAt + this.shortest / 2
      : undefined
  }

  /** Whether no instance has been heard of for half of the shortest maxAge, and the reason is not known. */
  isSilent(now: number): boolean {
    const { askAt } = this
    return askAt !== undefined && now > askAt
  }

  /** The store answers and has received nothing either: the instances are silent. */
  explained(): void {
    this.isExplained = true
  }

  /** The store does not answer, or has messages that were not received: the instances may live. */
  suspected(): void {
    this.isSuspect = true
    this.isExplained = true
    this.cutOff(this.heardAt)
  }

  /** The suspicion is over, although nothing was received. */
  unsuspected(now: number): void {
    if (!this.isSuspect) return
    this.isSuspect = false
    this.back(now)
  }

  // ---------------------------------------------------------------------------
  // pauses
  // ---------------------------------------------------------------------------

  /** The process did not run since `from`: what arrived meanwhile has not been read. */
  paused(from: number, now: number): void {
    if (!this.connected.isConnected) return
    this.cutOff(from)
    this.back(now)
  }

  // ---------------------------------------------------------------------------
  // the records
  // ---------------------------------------------------------------------------

  /**
   * A record has been received. What a watch replays after a gap is as old as it is: an instance that is not known is not
   * live with a record older than maxAge.
   */
  seen(key: string, seen: Seen, now: number): ViewChange | undefined {
    const { age, instance, maxAge, nonce } = seen
    const known = this.live.get(key)
    if (known === undefined && age > maxAge) {
      this.dead.set(key, this.deadOf(key, instance, seen.revision))
      return undefined
    }
    this.dead.delete(key)
    this.shortest = Math.min(this.shortest, maxAge)
    const until = this.untilOf(seen, now)
    this.live.set(key, new Known(seen, Math.max(until, known?.until ?? until)))
    if (known === undefined) return this.change(key, { _tag: "Up", instance })
    const previous = known.instance
    // AegisSDK's records have no nonce, so they do not show a restart.
    const restarted = nonce !== undefined && known.nonce !== undefined && nonce !== known.nonce
    return !restarted && sameButTime(previous, instance)
      ? undefined
      : this.change(key, { _tag: "Changed", instance, previous, restarted })
  }

  private deadOf(key: string, instance: ServiceInstance, revision: number): Dead {
    const { instanceId, lastHeartbeat, serviceName } = instance
    const names = this.readsLegacy && isLegacyKey(key) ? { serviceName, instanceId } : undefined
    return { revision, storedAt: lastHeartbeat, isDecodable: true, names }
  }

  /**
   * The record of another instance is about to be received under a key of AegisSDK: the names of two can give the same key, if
   * they contain its separator.
   */
  overwritten(key: string, names: Names): ViewChange | undefined {
    const known = this.live.get(key)
    return known === undefined || sameNames(known.names, names) ? undefined : this.gone(key, "deregistered")
  }

  /** When an instance expires whose last heartbeat was stored `age` ago, by connected time. */
  private untilOf({ age, maxAge }: Pick<Seen, "age" | "maxAge">, now: number): number {
    return this.connected.at(now) + maxAge - Math.max(0, age)
  }

  /** The time in a record, if it is that of a live instance and differs in nothing else; otherwise undefined. */
  heartbeatIn(key: string, bytes: Uint8Array): number | undefined {
    return this.live.get(key)?.text?.timeIn(bytes)
  }

  /** A heartbeat of a live instance, which has changed nothing else, has been received, `age` after the store stored it. */
  beat(
    key: string,
    { age, lastHeartbeat, revision }: {
      readonly lastHeartbeat: DateTime.Utc
      readonly age: number
      readonly revision: number
    },
    now: number
  ): void {
    const known = this.live.get(key)
    if (known === undefined) return
    known.revision = revision
    known.lastHeartbeat = lastHeartbeat
    known.until = Math.max(known.until, this.untilOf({ age, maxAge: known.maxAge }, now))
  }

  /** A record that does not decode has been received. */
  unreadable(key: string, revision: number, storedAt: DateTime.Utc): void {
    this.dead.set(key, { revision, storedAt, isDecodable: false, names: undefined })
  }

  /** The record of a key has been removed: the instance is gone, unless its record was lost. */
  removed(
    key: string,
    reason: "deregistered" | "expired" | "cleanedUp" | "reset",
    revision: number
  ): ViewChange | undefined {
    this.dead.delete(key)
    // A removal by age has a marker, with a revision of its own. Without one the record may have been lost, for instance with all
    // messages of the stream; if it was that old, the timer removes the instance.
    const isLost = reason === "reset" || (reason === "expired" && revision <= (this.live.get(key)?.revision ?? 0))
    return isLost ? undefined : this.gone(key, reason)
  }

  private gone(key: string, reason: "deregistered" | "expired" | "cleanedUp"): ViewChange | undefined {
    const known = this.live.get(key)
    if (known === undefined) return undefined
    this.live.delete(key)
    return this.change(key, { _tag: "Down", instance: known.instance, reason })
  }

  // ---------------------------------------------------------------------------
  // expiry
  // ---------------------------------------------------------------------------

  /** The connected time at which an instance expires: later while the view settles, but not by more than maxAge. */
  private dueAt({ maxAge, until }: Known): number {
    return this.phase._tag === "Settling" ? Math.max(until, Math.min(this.phase.until, until + maxAge)) : until
  }

  private get isJudging(): boolean {
    return this.phase._tag === "Live" || this.phase._tag === "Settling"
  }

  /** Removes the instances that are expired. At exactly its time an instance is still live. */
  expire(now: number): ReadonlyArray<ViewChange> {
    if (!this.isJudging) return []
    const connected = this.connected.at(now)
    const due = [...this.live].filter(([, known]) => connected > this.dueAt(known))
    if (this.phase._tag === "Settling" && connected > this.phase.until) this.phase = { _tag: "Live" }
    // An instance with two expired records goes once: with that of this library, which is the one that is seen.
    const ordered = this.readsLegacy ? due.toSorted(([one], [other]) => byRank(one) - byRank(other)) : due
    return ordered.flatMap(([key, { instance, revision }]) => {
      if (!this.dead.has(key)) this.dead.set(key, this.deadOf(key, instance, revision))
      return this.gone(key, "expired") ?? []
    })
  }

  /** When an instance expires, if nothing changes. None does while the view does not judge. */
  expiryOf(key: string, now: number): number {
    const known = this.live.get(key)
    return known === undefined || !this.isJudging
      ? Number.POSITIVE_INFINITY
      : now + this.dueAt(known) - this.connected.at(now)
  }

  /** When there is something to do: the next expiry, or a silence to explain; undefined while there is nothing. */
  nextWake(now: number): number | undefined {
    if (!this.isJudging) return undefined
    let next: number | undefined
    this.shortest = this.times.maxAge
    for (const known of this.live.values()) {
      this.shortest = Math.min(this.shortest, known.maxAge)
      const at = this.dueAt(known)
      if (next === undefined || at < next) next = at
    }
    if (next === undefined) return undefined
    return Math.min(now + next - this.connected.at(now), this.askAt ?? Number.POSITIVE_INFINITY)
  }
}
