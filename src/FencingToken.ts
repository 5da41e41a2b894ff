/**
 * Fencing tokens: each term of an election has a token, and a later term has a
 * higher token. A resource that receives the token with each write can refuse a
 * former leader.
 *
 * Tokens are ordered by the creation time of the bucket, then by the revision of
 * the write that won the term. The creation time comes first because a recreated
 * bucket may reuse revisions.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as order from "effect/Order"
import * as Schema from "effect/Schema"

const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

/**
 * The fencing token of one term of one election, as in `Leadership.token`.
 *
 * **When to use**
 *
 * Use with each resource to which a leader writes. A lease alone cannot stop a
 * process that was paused between a check and a write.
 *
 * **Details**
 *
 * The resource stores the highest token that it has accepted, and refuses a lower
 * token. It must compare and write in one atomic step.
 *
 * **Gotchas**
 *
 * A token protects from the first write of the new leader on. Work that reads
 * before it writes must store its token before its first read, or write on the
 * condition of what it has read.
 *
 * Tokens of two elections cannot be compared. A bucket that was restored from a
 * backup keeps its creation time, and can give the same token twice: delete and
 * recreate the bucket before candidates start.
 *
 * **Example** (A resource that refuses a former leader)
 *
 * ```ts
 * import { Data, Effect, Order, SynchronizedRef } from "effect"
 * import { Aegis, Election, FencingToken } from "effect-aegis"
 *
 * class StaleToken extends Data.TaggedError("StaleToken")<{ readonly token: FencingToken.FencingToken }> {}
 *
 * // Stores the highest token that it has accepted, and refuses a lower token.
 * const makeAccount = Effect.gen(function*() {
 *   const lowest = new FencingToken.FencingToken({ epoch: 0, revision: 0 })
 *   const state = yield* SynchronizedRef.make({ balance: 0, highest: lowest })
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
 *   // A write of the former leader, which was paused before its term ended.
 *   const refused = yield* Effect.flip(account.pay(100, former))
 *   return `${refused._tag}, balance ${yield* account.balance}`
 * })
 *
 * console.log(await Effect.runPromise(Effect.provide(program, Aegis.layerMemory())))
 * // => StaleToken, balance 150
 * ```
 *
 * **Example** (A bucket that refuses a former leader)
 *
 * ```ts
 * import { Data, Effect, Option, Schema } from "effect"
 * import { Aegis, Election, FencingToken, KVStore } from "effect-aegis"
 *
 * class StaleToken extends Data.TaggedError("StaleToken")<{ readonly highest: string }> {}
 *
 * // One value contains the balance and the highest token, so that one write checks and changes both.
 * const Account = Schema.Struct({ balance: Schema.Int, highest: Schema.String })
 *
 * // Reads the account, and returns the payment. A leader can be paused between the two.
 * const prepare = Effect.fnUntraced(function*(cents: number, token: FencingToken.FencingToken) {
 *   const accounts = KVStore.typed(yield* KVStore.KVStore, Account)
 *   const current = yield* accounts.get("account")
 *   const { balance, highest } = Option.getOrElse(
 *     Option.map(current, ({ value }) => value),
 *     () => ({ balance: 0, highest: "" })
 *   )
 *   const own = FencingToken.encode(token)
 *   if (own < highest) return yield* new StaleToken({ highest })
 *   const condition = Option.match(current, {
 *     onNone: () => KVStore.KVOptions.createOnly,
 *     onSome: ({ revision }) => KVStore.KVOptions.atRevision(revision)
 *   })
 *   return accounts.put("account", { balance: balance + cents, highest: own }, condition)
 * })
 *
 * const program = Effect.gen(function*() {
 *   const election = yield* Election.Election
 *   yield* election.whileLeader("payouts", ({ token }) => Effect.flatten(prepare(100, token)))
 *   const former = yield* election.whileLeader("payouts", ({ token }) =>
 *     Effect.map(prepare(100, token), (payment) => ({ token, payment })))
 *   yield* election.whileLeader("payouts", ({ token }) => Effect.flatten(prepare(50, token)))
 *   // The former leader was paused after its read: the account has another revision now.
 *   const late = yield* Effect.flip(former.payment)
 *   // If the former leader reads again, the account has a higher token.
 *   const again = yield* Effect.flip(prepare(100, former.token))
 *   return `${late.reason._tag}, then ${again._tag}`
 * }).pipe(
 *   Effect.provide(Aegis.layerMemory()),
 *   Effect.provide(KVStore.layerMemory({ bucket: "accounts" }))
 * )
 *
 * console.log(await Effect.runPromise(program))
 * // => RevisionMismatch, then StaleToken
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export class FencingToken extends Schema.Class<FencingToken>("effect-aegis/FencingToken")({
  /** The creation time of the bucket by the store's clock, in whole milliseconds since 1970. */
  epoch: Count,
  /** The revision of the write that won the term. */
  revision: Count
}) {}

/**
 * Orders tokens from the earliest to the latest term: by epoch, then by revision.
 *
 * @category instances
 * @since 0.1.0
 */
export const Order: order.Order<FencingToken> = order.combine(
  order.mapInput(order.Number, (token: FencingToken) => token.epoch),
  order.mapInput(order.Number, (token: FencingToken) => token.revision)
)

/** The number of digits of the largest epoch and revision. */
const width = String(Number.MAX_SAFE_INTEGER).length

const digits = (field: "epoch" | "revision", count: number): string => {
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError(`${field}: expected a whole number from 0 to ${Number.MAX_SAFE_INTEGER}, got ${count}`)
  }
  return String(count).padStart(width, "0")
}

/**
 * Encodes a token as a string of 33 characters, such as
 * `0001795400293793-1795400293793003`. The strings sort in the same order as the
 * tokens.
 *
 * Throws a `RangeError` for an object with a number that no token has, such as a negative
 * `epoch`: its string would sort in another order.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (token: FencingToken): string =>
  `${digits("epoch", token.epoch)}-${digits("revision", token.revision)}`

const pattern = new RegExp(`^(\\d{${width}})-(\\d{${width}})$`)

/**
 * Decodes a string that `encode` has returned. Returns none for any other string.
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
