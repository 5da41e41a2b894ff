/**
 * A service under test: the leader of a fleet pays orders, one after the other, and records each payment in a bucket.
 * There are two versions of the payment: one with a bug that only a fault reveals, and one without it.
 */
import { Effect, Option } from "effect"
import { Election, KVStore } from "effect-aegis"

/** An external service. Every call pays, even if the order is paid already. */
export interface Bank {
  readonly pay: (order: number) => Effect.Effect<void>
}

/** Pays one order. Only the leader runs it. */
export type PayOne = (bank: Bank, order: number) => Effect.Effect<void, KVStore.KVStoreError, KVStore.KVStore>

const keyOf = (order: number) => `paid.${order}`

const note = new TextEncoder().encode("paid")

/** The bug: leadership can be lost between the read and the payment, and a retry after a lost answer pays again. */
export const lookThenPay: PayOne = (bank, order) =>
  Effect.gen(function*() {
    const store = yield* KVStore.KVStore
    if (Option.isSome(yield* store.get(keyOf(order)))) return
    yield* bank.pay(order)
    yield* store.put(keyOf(order), note)
  })

/** The store decides: of several claims to an order, it accepts exactly one. */
export const claimThenPay: PayOne = (bank, order) =>
  Effect.gen(function*() {
    const store = yield* KVStore.KVStore
    const isOurs = yield* store.put(keyOf(order), note, { createOnly: true }).pipe(
      Effect.as(true),
      Effect.catchReason("KVStoreError", "KeyAlreadyExists", () => Effect.succeed(false))
    )
    if (isOurs) yield* bank.pay(order)
  })

/** The leader pays twenty orders. It retries each order up to five times if the error is retryable. */
export const payouts = (bank: Bank, payOne: PayOne) =>
  Effect.gen(function*() {
    const election = yield* Election.Election
    return yield* election.whileLeader("payouts", () =>
      Effect.gen(function*() {
        for (let order = 1; order <= 20; order++) {
          yield* Effect.sleep("2 seconds")
          yield* Effect.retry(payOne(bank, order), { while: (error) => error.isRetryable, times: 5 })
        }
        return yield* Effect.never
      }))
  })
