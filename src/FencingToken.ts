/**
 * Fencing tokens: a number for each term of an election, with which a resource
 * can refuse a leader that has been replaced without knowing it.
 *
 * Tokens grow with each term: first by the time at which the bucket of the
 * election was created (a bucket that was lost and recreated begins its revisions
 * again), then by the revision of the write that won.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as order from "effect/Order"
import * as Schema from "effect/Schema"

const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

/**
 * The token of one term of one election, as `Leadership.token` has it.
 *
 * **When to use**
 *
 * For what the leader writes to: a lease alone cannot stop a process that was
 * paused between a check and a write.
 *
 * **Gotchas**
 *
 * Tokens of two elections cannot be compared. A bucket that was restored from a
 * backup keeps its creation time, and may give a token twice: delete and recreate
 * it before candidates start.
 *
 * **Example** (A resource that refuses)
 *
 * ```ts
 * import { Data, Effect, Order, SynchronizedRef } from "effect"
 * import { Aegis, Election, FencingToken } from "effect-aegis"
 *
 * class StaleToken extends Data.TaggedError("StaleToken")<{ readonly token: FencingToken.FencingToken }> {}
 *
 * // Remembers the highest token that it has seen, and refuses a lower one.
 * const makeAccount = Effect.gen(function*() {
 *   const none = new FencingToken.FencingToken({ epoch: 0, revision: 0 })
 *   const state = yield* SynchronizedRef.make({ balance: 0, highest: none })
 *   const pay = (cents: number, token: FencingToken.FencingToken) =>
 *     SynchronizedRef.updateEffect(state, ({ balance, highest }) =>
 *       Order.isLessThan(FencingToken.Order)(token, highest)
 *         ? Effect.fail(new StaleToken({ token }))
 *         : Effect.succeed({ balance: balance + cents, highest: token }))
 *   return { pay, balance: Effect.map(SynchronizedRef.get(state), ({ balance }) => balance) }
 * })
 *
 * const program = Effect.gen(function*() {
 *   const election = yield* Election.Election
 *   const account = yield* makeAccount
 *   const former = yield* election.whileLeader("payouts", ({ token }) => Effect.as(account.pay(100, token), token))
 *   yield* election.whileLeader("payouts", ({ token }) => account.pay(50, token))
 *   // A former leader that was paused, and does not know that its term has ended.
 *   const refused = yield* Effect.flip(account.pay(100, former))
 *   return `${refused._tag}, balance ${yield* account.balance}`
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
 * // => StaleToken, balance 150
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export class FencingToken extends Schema.Class<FencingToken>("effect-aegis/FencingToken")({
  /** When the bucket was created, by the store's clock: whole milliseconds since 1970. */
  epoch: Count,
  /** The revision of the write that won. */
  revision: Count
}) {}

/**
 * Orders tokens from the oldest term to the newest: by epoch, then by revision.
 *
 * @category instances
 * @since 0.1.0
 */
export const Order: order.Order<FencingToken> = order.combine(
  order.mapInput(order.Number, (token: FencingToken) => token.epoch),
  order.mapInput(order.Number, (token: FencingToken) => token.revision)
)

/** Digits of the largest number that both parts can be. */
const width = String(Number.MAX_SAFE_INTEGER).length

/**
 * Encodes a token as a string of 33 characters that sorts as tokens do:
 * `0001795400293793-1795400293793003`.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (token: FencingToken): string =>
  `${String(token.epoch).padStart(width, "0")}-${String(token.revision).padStart(width, "0")}`

const pattern = new RegExp(`^(\\d{${width}})-(\\d{${width}})$`)

/**
 * Decodes a string that `encode` returned; none for any other string.
 *
 * @category encoding
 * @since 0.1.0
 */
export const decode = (text: string): Option.Option<FencingToken> => {
  const [, epoch, revision] = typeof text === "string" ? pattern.exec(text) ?? [] : []
  return Schema.decodeOption(Schema.toType(Schema.Struct(FencingToken.fields)))({
    epoch: Number(epoch),
    revision: Number(revision)
  }).pipe(Option.map((fields) => new FencingToken(fields)))
}
