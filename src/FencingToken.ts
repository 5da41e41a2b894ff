/**
 * What a leader shows to a resource, so that the resource can refuse a leader
 * that has been replaced without knowing it.
 *
 * Tokens grow with every term: first by the time at which the election's bucket
 * was made (a bucket that was lost and made anew starts its revisions again),
 * then by the revision of the write that won.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as order from "effect/Order"
import * as Schema from "effect/Schema"

const Count = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }))

/**
 * One term of one election.
 *
 * @category models
 * @since 0.1.0
 */
export class FencingToken extends Schema.Class<FencingToken>("effect-aegis/FencingToken")({
  /** When the bucket was made, in whole milliseconds since 1970, by the server. */
  epoch: Count,
  /** The revision of the write that won. */
  revision: Count
}) {}

/**
 * Older first: by epoch, then by revision.
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
 * A string that sorts as tokens do: `0001795400293793-1795400293793003`.
 *
 * @category encoding
 * @since 0.1.0
 */
export const encode = (token: FencingToken): string =>
  `${String(token.epoch).padStart(width, "0")}-${String(token.revision).padStart(width, "0")}`

const pattern = new RegExp(`^(\\d{${width}})-(\\d{${width}})$`)

/**
 * Reads what `encode` wrote; none where it is something else.
 *
 * @category encoding
 * @since 0.1.0
 */
export const decode = (text: string): Option.Option<FencingToken> => {
  const [, epoch, revision] = pattern.exec(text) ?? []
  return Schema.decodeOption(Schema.toType(Schema.Struct(FencingToken.fields)))({
    epoch: Number(epoch),
    revision: Number(revision)
  }).pipe(Option.map((fields) => new FencingToken(fields)))
}
