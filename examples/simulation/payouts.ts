/**
 * A service as its users write one: the leader of a fleet pays orders, one after
 * the other, and notes in a bucket what is paid. Twice: with a bug that no test
 * on a good day finds, and without it.
 */
import * as Election from "effect-aegis/Election"
import * as KVStore from "effect-aegis/KVStore"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/** An outside service, which pays as often as it is called. */
export interface Bank {
  readonly pay: (order: number) => Effect.Effect<void>
}

/** How one order is paid, by who leads. */
export type PayOne = (bank: Bank, order: number) => Effect.Effect<void, KVStore.KVStoreError, KVStore.KVStore>

const keyOf = (order: number) => `paid.${order}`

const note = new TextEncoder().encode("paid")

/** Only the leader comes here, so nobody else pays meanwhile. Or does somebody? */
export const lookThenPay: PayOne = (bank, order) =>
  Effect.gen(function*() {
    const store = yield* KVStore.KVStore
    if (Option.isSome(yield* store.get(keyOf(order)))) return
    yield* bank.pay(order)
    yield* store.put(keyOf(order), note)
  })

/** Whoever may pay is decided by the store, which lets exactly one claim an order. */
export const claimThenPay: PayOne = (bank, order) =>
  Effect.gen(function*() {
    const store = yield* KVStore.KVStore
    const isOurs = yield* store.put(keyOf(order), note, { createOnly: true }).pipe(
      Effect.as(true),
      Effect.catchReason("KVStoreError", "KeyAlreadyExists", () => Effect.succeed(false))
    )
    if (isOurs) yield* bank.pay(order)
  })

/** Orders come in; the leader pays them. A store that is away for a while is no reason to end. */
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
