/**
 * The record of one process under its key. Enrols, writes and removes it, one
 * operation at a time. `ownState.ts` decides what to do; this module executes its
 * commands (docs/protocols/registry.md, R7 to R18).
 */
import type * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import type { KVEvent } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import { Deregistered, DuplicateInstance, type RegistryReason } from "../../RegistryError.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import { refuse } from "../options.ts"
import { answeredWithin, conflictPause } from "../retry.ts"
import { recordLimit } from "../storedJson.ts"
import { monotonicMillis, wholeMillis } from "../time.ts"
import type { Access, LastOf } from "./access.ts"
import { connectedSleep } from "./connectedSleep.ts"
import { sameNames } from "./keys.ts"
import { legacyKeyOf } from "./legacyRecord.ts"
import {
  type Command,
  type EndReason,
  enrolling,
  type Event,
  isOver,
  type OnDuplicate,
  type State,
  transition,
  type WriteKind
} from "./ownState.ts"
import { changed, type HeartbeatTimes, type InstanceRecord, keyOf, toBytes } from "./record.ts"
import { reconnecting } from "./schedule.ts"

export interface OwnRecordOptions {
  readonly access: Access
  readonly instance: ServiceInstance
  /** Identifies the records of this process. */
  readonly nonce: string
  /** Timeout of a write, and of the read after a conflict. */
  readonly attemptTimeout: Duration.Duration
  /** The time between two heartbeats. */
  readonly interval: Duration.Duration
  /** Called when an operation finds that another process took the id or deregistered the instance, and by each one after that. */
  readonly onEnded?: (reason: RegistryReason) => Effect.Effect<void>
}

/** Returns the instance to write instead of the current one, or the reason to write nothing. */
export type InstanceChange = (current: ServiceInstance) => Result.Result<ServiceInstance, RegistryReason>

/** An enrolment, a write of the record, or its removal. */
interface Operation {
  /** Undefined for an enrolment, which writes the record unchanged, or nothing if the record is already stored. */
  readonly change: InstanceChange | undefined
  readonly onDuplicate: OnDuplicate
}

/** End of an operation: done, or to be repeated after waiting for another process's record to expire. */
type End = Extract<Command, { readonly _tag: "Done" | "Wait" }>

const done: End = { _tag: "Done" }

const removal: Operation = { change: undefined, onDuplicate: "fail" }

/**
 * A heartbeat counts as missed if the next one is stored this many intervals after the one before, and not before others
 * could have expired meanwhile: on a slow link all heartbeats are late.
 */
const missedAfter = 1.5

export class OwnRecord {
  readonly key: string
  readonly names: { readonly serviceName: string; readonly instanceId: string }

  private state: State
  /** Whether each record that is written from now on has the status `DRAINING`. */
  isDraining = false
  private isWaiting = false
  /** The time that the last answer took, in milliseconds. */
  private roundTrip = 0
  private readonly options: OwnRecordOptions
  private readonly clock: Clock.Clock
  /** Operations run one after the other. */
  private readonly queue = Semaphore.makeUnsafe(1)

  constructor(options: OwnRecordOptions, clock: Clock.Clock) {
    const { instance, nonce } = options
    this.options = options
    this.clock = clock
    this.key = keyOf(instance)
    this.names = { serviceName: instance.serviceName, instanceId: instance.instanceId }
    const times = { maxAge: undefined, streakSince: undefined, streakAfter: undefined }
    this.state = enrolling({ instance, nonce, rest: {}, times })
  }

  get label(): string {
    return `${this.names.serviceName}/${this.names.instanceId}`
  }

  /** The instance as last stored; before the first write, and while it drains, the instance to write. */
  get instance(): ServiceInstance {
    return this.withStatus(this.state.record.instance)
  }

  /** Why nothing can be written any more; undefined while something can. */
  get refusal(): RegistryReason | undefined {
    if (!isOver(this.state)) return undefined
    return this.errorOf(this.state._tag === "Ended" ? this.state.reason : "Deregistered")
  }

  /** Begins to drain. It lasts until the process leaves, also if no write succeeds. */
  get beginDraining(): Effect.Effect<void> {
    return Effect.sync(() => {
      this.isDraining = true
    })
  }

  /** Draining is final. */
  private kept(instance: ServiceInstance): Result.Result<ServiceInstance, RegistryReason> {
    return this.isDraining && instance.status !== "DRAINING"
      ? refuse("status", "\"DRAINING\", because the instance drains", `"${instance.status}"`)
      : Result.succeed(instance)
  }

  private withStatus(instance: ServiceInstance): ServiceInstance {
    return this.isDraining ? changed(instance, { status: "DRAINING" }) : instance
  }

  /**
   * When the last write known to have landed was sent, in monotonic milliseconds. The
   * store stored it at this time or later.
   */
  get landedAt(): number {
    return this.state.landedAt
  }

  /** Whether a record of this process may be stored. False before the first write. */
  get mayBeStored(): boolean {
    return this.state._tag !== "Enrolling"
  }

  get isLeaving(): boolean {
    return this.state._tag === "Leaving"
  }

  /** Whether this process has stopped writing the record. */
  get isOver(): boolean {
    return isOver(this.state)
  }

  /**
   * Writes the record for the first time, unless it is already stored. If the write gets
   * no answer, this fails and the write may still land.
   */
  enroll(onDuplicate: OnDuplicate): Effect.Effect<void, RegistryReason> {
    const operation: Operation = { change: undefined, onDuplicate }
    const enroll: Effect.Effect<void, RegistryReason> = Effect.flatMap(
      this.queue.withPermits(1)(Effect.suspend(() => this.enrolled(operation))),
      // The wait is outside the queue, so that leaving does not wait for it.
      (end) =>
        end._tag === "Wait"
          ? Effect.andThen(this.waiting(end.maxAge), Effect.andThen(this.silence(end), enroll))
          : Effect.void
    )
    return enroll
  }

  /**
   * Writes the record with a change; enrols it first if necessary. Fails if a live record
   * of another process has the id.
   */
  write(change: InstanceChange): Effect.Effect<void, RegistryReason> {
    const operation: Operation = { change, onDuplicate: "fail" }
    return Effect.asVoid(
      this.queue.withPermits(1)(Effect.suspend(() => this.advance({ _tag: "Asked" }, operation)))
    )
  }

  /**
   * Stops all writes, then removes the own record, including late writes of this process.
   * Keeps the record of another process.
   */
  get leave(): Effect.Effect<void, RegistryReason> {
    return Effect.suspend(() => Effect.asVoid(this.advance({ _tag: "LeaveAsked" }, removal)))
  }

  private advance(event: Event, operation: Operation): Effect.Effect<End, RegistryReason> {
    return this.run(this.apply(event), operation)
  }

  private apply(event: Event): Command {
    const { command, next } = transition(this.options.nonce, this.state, event)
    this.state = next
    return command
  }

  private run(command: Command, operation: Operation): Effect.Effect<End, RegistryReason> {
    const askAgain = Effect.suspend(() => this.advance({ _tag: "Asked" }, operation))
    switch (command._tag) {
      case "Done":
      case "Wait":
        return Effect.succeed(command)
      case "Refuse":
        return this.refused(this.errorOf(command.reason))
      case "Enroll":
        return this.enrolled(operation)
      case "EnrollAgain":
        return Effect.andThen(conflictPause, this.enrolled(operation))
      case "Enrolled":
        return operation.change === undefined ? Effect.succeed(done) : askAgain
      case "Write":
        return this.put(command.on, command.as, operation)
      case "ReadBack":
        return this.readBack(operation, command.looks)
      case "ReadBackAgain":
        return Effect.andThen(conflictPause, this.readBack(operation, command.looks))
      case "WriteAgain":
        return Effect.andThen(conflictPause, askAgain)
      case "RegisterAgain":
        return Effect.andThen(
          Effect.logInfo(`the record of ${this.label} is missing: registering the instance again`),
          askAgain
        )
      case "Remove":
        return this.queue.withPermits(1)(this.look(command.looks))
      case "LookAgain":
        return Effect.andThen(conflictPause, this.look(command.looks))
      case "Delete":
        return this.delete(command.revision, command.looks)
    }
  }

  private refused(reason: RegistryReason): Effect.Effect<never, RegistryReason> {
    const { onEnded } = this.options
    const failed = Effect.fail(reason)
    return this.state._tag === "Ended" && onEnded !== undefined ? Effect.andThen(onEnded(reason), failed) : failed
  }

  private errorOf(reason: EndReason): DuplicateInstance | Deregistered {
    return reason === "DuplicateInstance" ? new DuplicateInstance(this.names) : new Deregistered(this.names)
  }

  private get last(): Effect.Effect<LastOf, RegistryReason> {
    return Effect.suspend(() => this.options.access.lastOf(this.key))
  }

  private enrolled(operation: Operation): Effect.Effect<End, RegistryReason> {
    const read = Effect.zip(this.last, Effect.suspend(() => this.options.access.besides(this.names)))
    return Effect.flatMap(read, ([{ maxAge, seen, silentFor }, beside]) =>
      this.advance({
        _tag: "Found",
        seen,
        silentFor,
        maxAge,
        beside,
        now: monotonicMillis(this.clock),
        onDuplicate: operation.onDuplicate
      }, operation))
  }

  /** Logs that another registration has the id, once. */
  private waiting(maxAge: number): Effect.Effect<void> {
    if (this.isWaiting) return Effect.void
    this.isWaiting = true
    return Effect.logWarning(
      `${this.label} has another registration, whose last heartbeat is not older than maxAge ` +
        `(${
          Duration.format(Duration.millis(maxAge))
        }): waiting until it expires. If this is not a restart, give each ` +
        "registration its own instanceId"
    )
  }

  /**
   * Whether an event shows that another process keeps the id. One that drains is about to leave, and a record of AegisSDK
   * can be of another instance.
   */
  private isHeld(event: KVEvent): boolean {
    if (event._tag !== "Put") return event._tag !== "Removed"
    return Result.match(this.options.access.decode(event.entry), {
      onFailure: () => true,
      onSuccess: ({ instance }) => instance.status !== "DRAINING" && sameNames(instance, this.names)
    })
  }

  /**
   * Waits until the process with the id has sent no heartbeat for maxAge, or until its
   * record is removed. Fails with DuplicateInstance if it sends a heartbeat (R8).
   */
  private silence(
    { isLegacy, maxAge, revision, silentFor }: Extract<End, { readonly _tag: "Wait" }>
  ): Effect.Effect<void, RegistryReason> {
    const { store } = this.options.access
    const key = isLegacy ? legacyKeyOf(this.names) : this.key
    const heartbeats = store.watch(key, { from: { revision: revision + 1 } }).pipe(
      Stream.filter((event) => event._tag !== "Ready"),
      Stream.runHead,
      Effect.map(Option.exists((event) => this.isHeld(event)))
    )
    // One millisecond more, because a record that is exactly maxAge old is live.
    const millis = maxAge - silentFor + 1
    // After an outage the owner needs time for a heartbeat, too.
    const grace = Duration.toMillis(this.options.interval) + reconnecting
    const silent = Effect.as(connectedSleep(store, { millis, grace }), false)
    return Effect.flatMap(
      Effect.raceFirst(heartbeats, silent),
      (isLive) => isLive ? Effect.fail(this.errorOf("DuplicateInstance")) : Effect.void
    )
  }

  /**
   * Sends one write. After a failure other than a conflict the write may still land, so
   * the state stays `Unanswered`.
   */
  private put(on: number, as: WriteKind, operation: Operation): Effect.Effect<End, RegistryReason> {
    const { store } = this.options.access
    return Effect.gen({ self: this }, function*() {
      const at = monotonicMillis(this.clock)
      const { bytes, record } = yield* Effect.fromResult(this.composed(operation, yield* DateTime.now, at))
      const command = this.apply({ _tag: "Sent", on })
      if (command._tag === "Refuse") return yield* this.run(command, operation)
      const request = store.put(this.key, bytes, { revision: on }).pipe(
        Effect.map((revision): Event => ({ _tag: "Landed", record, revision, at })),
        Effect.catchIf(
          ({ reason }) => reason._tag === "RevisionMismatch",
          () => Effect.succeed<Event>({ _tag: "Conflict", as, on })
        )
      )
      const event = yield* this.landing(request)
      if (event._tag === "Landed" && as === "replacement") {
        yield* Effect.logInfo(`replaced another registration of ${this.label}`)
      }
      return yield* this.advance(event, operation)
    })
  }

  /**
   * Waits for the answer of a write, at most `attemptTimeout`. The answer of a slow store is taken later, too: then the next
   * write knows what is stored.
   */
  private landing(request: Effect.Effect<Event, KVStoreError>): Effect.Effect<Event, KVStoreError | RegistryReason> {
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.forkDetach(restore(request)), (sent) => {
        const began = monotonicMillis(this.clock)
        const takeLate = Effect.sync(() => {
          sent.addObserver((exit) => {
            if (Exit.isFailure(exit)) return
            this.roundTrip = monotonicMillis(this.clock) - began
            if (exit.value._tag === "Landed" && this.state._tag !== "Ended") this.apply(exit.value)
          })
        })
        return restore(this.answered("put", Fiber.join(sent))).pipe(
          Effect.tapError(() => takeLate),
          Effect.onInterrupt(() => Fiber.interrupt(sent))
        )
      })
    )
  }

  /** The record to write, with the operation's change and the current time, and its bytes. */
  private composed(
    { change }: Operation,
    now: DateTime.Utc,
    at: number
  ): Result.Result<{ readonly record: InstanceRecord; readonly bytes: Uint8Array }, RegistryReason> {
    const { record } = this.state
    const { access: { store: { config } }, instance: { startedAt } } = this.options
    return Result.flatMap(
      change === undefined
        ? Result.succeed(this.instance)
        : Result.flatMap(change(this.instance), (next) => this.kept(next)),
      (instance) => {
        const stamped = {
          ...record,
          instance: changed(instance, { lastHeartbeat: now, startedAt }),
          times: this.timesOf(at)
        }
        return Result.map(toBytes(stamped, recordLimit(config)), (bytes) => ({ record: stamped, bytes }))
      }
    )
  }

  /** What the record tells of the heartbeats, if it is written at a monotonic time. */
  private timesOf(at: number): HeartbeatTimes {
    const { access, interval } = this.options
    const { landedAt, record: { times } } = this.state
    const maxAge = Duration.toMillis(access.maxAge)
    const silentFor = at - landedAt
    const now = access.now()
    if (!Number.isFinite(silentFor)) return { maxAge, streakSince: now, streakAfter: undefined }
    const missed = Math.max(Duration.toMillis(interval) * missedAfter, maxAge - Duration.toMillis(interval))
    if (silentFor <= missed) return { ...times, maxAge }
    return { maxAge, streakSince: now, streakAfter: now - silentFor }
  }

  private readBack(operation: Operation, looks: number): Effect.Effect<End, RegistryReason> {
    return Effect.flatMap(
      this.answered("history", this.last),
      ({ seen, silentFor }) => {
        // A negative silence means that the clocks differ: the heartbeat counts as stored now.
        const at = monotonicMillis(this.clock) - Math.max(0, silentFor)
        return this.advance({ _tag: "ReadBack", seen, at, looks }, operation)
      }
    )
  }

  /** Fails if the request has no answer within `attemptTimeout`, or within twice the last round trip of a slow store. */
  private answered<A, E>(
    operation: "put" | "history",
    request: Effect.Effect<A, E>
  ): Effect.Effect<A, E | RegistryReason> {
    const { access: { maxAge, store }, attemptTimeout } = this.options
    const slow = Duration.min(wholeMillis(this.roundTrip * 2), Duration.divideUnsafe(maxAge, 2))
    const timed = Effect.map(Effect.timed(request), ([took, answer]) => {
      this.roundTrip = Duration.toMillis(took)
      return answer
    })
    return answeredWithin(timed, Duration.max(attemptTimeout, slow), {
      bucket: store.config.bucket,
      operation,
      key: this.key,
      kind: operation === "put" ? "write" : "read"
    })
  }

  private look(looks: number): Effect.Effect<End, RegistryReason> {
    return Effect.flatMap(this.last, ({ seen }) => this.advance({ _tag: "Looked", seen, looks }, removal))
  }

  private delete(revision: number, looks: number): Effect.Effect<End, RegistryReason> {
    const mayBeThere = ({ reason }: KVStoreError) =>
      reason._tag === "RevisionMismatch" || reason._tag === "OutcomeUnknown"
    return this.options.access.store.delete(this.key, { revision }).pipe(
      Effect.as(done),
      Effect.catchIf(mayBeThere, () => Effect.andThen(conflictPause, this.look(looks)))
    )
  }
}
