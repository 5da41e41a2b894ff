/**
 * The record of one process under its key: written one write at a time, each a
 * compare-and-set on the revision written last. What a lost one means is decided
 * in `protocol.ts`.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import { Deregistered, DuplicateInstance, type RegistryReason } from "../../RegistryError.ts"
import type { ServiceInstance } from "../../ServiceInstance.ts"
import { answeredWithin, conflictPause } from "../retry.ts"
import { monotonicMillis } from "../time.ts"
import type { Access, LastOf } from "./access.ts"
import { afterLostHeartbeat } from "./decisions.ts"
import { changed, type InstanceRecord, keyOf, toBytes } from "./record.ts"

export interface OwnRecordOptions {
  readonly access: Access
  readonly instance: ServiceInstance
  /** Tells this process from another under the same id. */
  readonly nonce: string
  /** An attempt is cut off after this long. */
  readonly attemptTimeout: Duration.Duration
}

/** What to write instead of the instance as it is, or why nothing is written. */
export type InstanceChange = (current: ServiceInstance) => Result.Result<ServiceInstance, RegistryReason>

/** Who leaves with a write under way looks so often, a conflict's pause apart, whether it has landed. */
const leaveLooks = 5

/** Cuts off a request that is not answered in time. */
const answered = <A, E>(
  { access: { store }, attemptTimeout, instance }: OwnRecordOptions,
  operation: "put" | "history",
  request: Effect.Effect<A, E>
): Effect.Effect<A, E | RegistryReason> =>
  answeredWithin(request, attemptTimeout, {
    bucket: store.config.bucket,
    operation,
    key: keyOf(instance),
    kind: operation === "put" ? "write" : "read"
  })

export class OwnRecord {
  readonly key: string
  readonly names: { readonly serviceName: string; readonly instanceId: string }
  /** What we know to be stored, or mean to store. */
  record: InstanceRecord
  /** Undefined until a write of ours is known to have landed. */
  revision: number | undefined
  /** Why there is nothing more to write. */
  ended: RegistryReason | undefined
  /** Monotonic milliseconds at which the last write known to have landed was sent: the store has it since then at best. */
  landedAt = 0

  /** What an unanswered write was conditioned on: while the key still shows that, it may land. */
  private outstanding: number | undefined
  private readonly options: OwnRecordOptions
  private readonly clock: Clock.Clock
  private readonly one = Semaphore.makeUnsafe(1)

  constructor(options: OwnRecordOptions, clock: Clock.Clock) {
    const { instance, nonce } = options
    this.options = options
    this.clock = clock
    this.key = keyOf(instance)
    this.names = { serviceName: instance.serviceName, instanceId: instance.instanceId }
    this.record = { instance, nonce, rest: {} }
  }

  get label(): string {
    return `${this.names.serviceName}/${this.names.instanceId}`
  }

  readonly last: Effect.Effect<LastOf, RegistryReason> = Effect.suspend(() => this.options.access.lastOf(this.key))

  /** One attempt, cut off: what was sent and not answered in time has an unknown outcome. */
  put(record: InstanceRecord, revision: number): Effect.Effect<void, RegistryReason | "conflict"> {
    const { store } = this.options.access
    return Effect.gen({ self: this }, function*() {
      const now = yield* DateTime.now
      const stamped = { ...record, instance: changed(record.instance, { lastHeartbeat: now }) }
      const bytes = yield* Effect.fromResult(toBytes(stamped, store.config.maxValueSize))
      const sentAt = monotonicMillis(this.clock)
      const put = Effect.mapError(
        store.put(this.key, bytes, { revision }),
        (error) => error.reason._tag === "RevisionMismatch" ? "conflict" as const : error
      )
      this.outstanding = revision
      const written = yield* Effect.tapError(answered(this.options, "put", put), (reason) =>
        Effect.sync(() => {
          if (reason === "conflict") this.outstanding = undefined
        }))
      this.outstanding = undefined
      this.landed(stamped, written, monotonicMillis(this.clock) - sentAt)
    })
  }

  /** It may have been there for so many milliseconds. */
  landed(record: InstanceRecord, revision: number, silentFor: number): void {
    this.record = record
    this.revision = revision
    this.landedAt = monotonicMillis(this.clock) - Math.max(0, silentFor)
  }

  /** Writes our record, changed; goes on until it is decided whose the key is. */
  write(f: InstanceChange): Effect.Effect<void, RegistryReason> {
    const attempt: Effect.Effect<void, RegistryReason> = Effect.suspend(() => {
      if (this.ended !== undefined) return Effect.fail(this.ended)
      return Effect.flatMap(Effect.fromResult(f(this.record.instance)), (next) =>
        Effect.catchIf(
          this.put({ ...this.record, instance: next }, this.revision ?? 0),
          (reason) => reason === "conflict",
          () => Effect.andThen(Effect.andThen(this.sortOut, conflictPause), attempt)
        ))
    })
    return this.one.withPermits(1)(attempt)
  }

  /** A lost compare-and-set: reads back, and puts us where we stand, or ends. */
  private readonly sortOut: Effect.Effect<void, RegistryReason> = Effect.suspend(() =>
    Effect.flatMap(answered(this.options, "history", this.last), ({ seen }): Effect.Effect<void, RegistryReason> => {
      const decision = afterLostHeartbeat(this.options.nonce, seen)
      switch (decision._tag) {
        case "Adopt":
          this.record = decision.record
          this.revision = decision.revision
          return Effect.void
        case "RegisterAgain":
          this.revision = decision.revision
          return Effect.logInfo(`${this.label} was forgotten: it registers again`)
        case "Taken":
          return this.end(new DuplicateInstance(this.names))
        case "Deregistered":
          return this.end(new Deregistered(this.names))
      }
    })
  )

  private end(reason: RegistryReason): Effect.Effect<never, RegistryReason> {
    this.ended = reason
    return Effect.fail(reason)
  }

  /** Writes nothing more, and removes our own record, past late writes of our own; never another's. */
  readonly leave: Effect.Effect<void, RegistryReason> = Effect.suspend(() => {
    this.ended = this.ended ?? new Deregistered(this.names)
    return this.one.withPermits(1)(this.remove(leaveLooks))
  })

  private remove(looks: number): Effect.Effect<void, RegistryReason> {
    return Effect.flatMap(this.last, ({ seen }) => {
      if (seen._tag !== "Live" || seen.record.nonce !== this.options.nonce) {
        const mayLand = this.outstanding === (seen._tag === "Nothing" ? 0 : seen.revision)
        return mayLand && looks > 0 ? Effect.andThen(conflictPause, this.remove(looks - 1)) : Effect.void
      }
      return Effect.catchIf(
        this.options.access.store.delete(this.key, { revision: seen.revision }),
        ({ reason }) => reason._tag === "RevisionMismatch" || reason._tag === "OutcomeUnknown",
        () => Effect.andThen(conflictPause, this.remove(looks))
      )
    })
  }
}
