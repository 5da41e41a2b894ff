/**
 * How an instance leaves the registry: when its scope closes, and after it has drained
 * (docs/protocols/registry.md, R18 and R19).
 */
import type * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { KVStoreError, Unavailable } from "../../KVStoreError.ts"
import type { RegistryReason } from "../../RegistryError.ts"
import type { LeaveBudget } from "../leaving.ts"
import { causeOf } from "../logs.ts"
import { backoff } from "../retry.ts"
import type { Access } from "./access.ts"
import type { OwnRecord } from "./ownRecord.ts"
import { isFinal, isTransient } from "./reasons.ts"
import { retrying } from "./schedule.ts"

/** Backoff of a failed removal at the end, with jitter. */
const shortestLeaveRetry = Duration.millis(50)
const longestLeaveRetry = Duration.millis(250)

/** The time that an instance has to leave, which the services of a process can share. */
export interface Leaving {
  readonly budget: LeaveBudget
  readonly timeout: Duration.Duration
}

interface LeaveOptions {
  readonly access: Access
  readonly leaving: Leaving
}

/** Removes the record, for at most `leaveTimeout`: the store may come back within it. */
const leave = (
  { access: { store }, leaving: { budget, timeout } }: LeaveOptions,
  own: OwnRecord
): Effect.Effect<void, RegistryReason> =>
  Effect.suspend(() => {
    // Without a write there is nothing to remove, so a failed registration does not wait for the store.
    const { isOver: wasOver, mayBeStored } = own
    const left = Effect.retry(own.leave, {
      while: (reason) => mayBeStored && isTransient(reason),
      schedule: backoff(shortestLeaveRetry, longestLeaveRetry)
    })
    let hasAnswered = false
    const answered = Effect.sync(() => {
      hasAnswered = true
    })
    const late = new KVStoreError({
      bucket: store.config.bucket,
      operation: "delete",
      key: own.key,
      reason: new Unavailable({ problem: "no answer in time" })
    })
    return budget.run({ timeout, leave: Effect.andThen(left, answered), hasAnswered: () => hasAnswered }).pipe(
      Effect.flatMap((left) => Option.isSome(left) || !mayBeStored ? Effect.void : Effect.fail(late)),
      Effect.andThen(mayBeStored && !wasOver ? Effect.logInfo(`deregistered ${own.label}`) : Effect.void)
    )
  })

/** Removes the record at the end of the scope. */
export const deregister = (options: LeaveOptions, own: OwnRecord): Effect.Effect<void> => {
  const failed = (why: string, ...cause: ReadonlyArray<Cause.Cause<never>>) =>
    own.mayBeStored
      ? Effect.logWarning(
        `${own.label} could not be deregistered (${why}): it stays listed until its last heartbeat is older than maxAge`,
        ...cause
      )
      : Effect.void
  return leave(options, own).pipe(
    Effect.catch((reason) => failed(causeOf(reason))),
    Effect.catchCause((cause) => failed("a defect", cause))
  )
}

/** Writes the status, and repeats that after a failure: the store may come back while the work ends. */
const announceDraining = (
  { access: { maxAge, store }, leaving: { budget } }: LeaveOptions,
  own: OwnRecord
): Effect.Effect<void> =>
  retrying(own.write(Result.succeed), { store, maxAge, isFinal }).pipe(
    Effect.andThen(budget.answered),
    // The end of the registration is reported by its heartbeat, and by `drain` itself.
    Effect.ignore
  )

/**
 * Waits until the work has ended, or for `timeout`. Work that cannot be interrupted goes on: the instance leaves without it.
 */
const awaitWork = Effect.fnUntraced(function*(own: OwnRecord, work: Effect.Effect<void>, timeout: Duration.Duration) {
  const working = yield* Effect.forkDetach(work)
  const exit = yield* Fiber.await(working).pipe(
    Effect.timeoutOption(timeout),
    Effect.ensuring(Effect.sync(() => working.interruptUnsafe()))
  )
  // The instance is deregistered also if the work fails.
  if (Option.isSome(exit) && Exit.isFailure(exit.value)) {
    yield* Effect.logWarning(`the work of ${own.label} failed while the instance drained`, exit.value.cause)
  }
})

/**
 * Drains an instance: sets its status, waits for the work, and leaves. The work is waited for also if the status cannot be
 * written, for instance during an outage.
 */
export const drain = Effect.fnUntraced(function*(
  options: LeaveOptions,
  own: OwnRecord,
  work: Effect.Effect<void>,
  timeout: Duration.Duration
): Effect.fn.Return<void, RegistryReason> {
  if (own.refusal !== undefined) return yield* Effect.fail(own.refusal)
  yield* own.beginDraining
  yield* Effect.logInfo(`draining ${own.label} for at most ${Duration.format(timeout)}`)
  const announced = yield* Effect.forkChild(announceDraining(options, own))
  yield* awaitWork(own, work, timeout)
  yield* Fiber.interrupt(announced)
  // Another process may have taken the id or deregistered the instance meanwhile.
  if (own.refusal !== undefined) return yield* Effect.fail(own.refusal)
  yield* leave(options, own)
})
