/**
 * Converts JetStream messages into the store's messages: their headers, and the place
 * of a delivered message, which is in its reply subject. Pure.
 */
import type { MessageOperation, StoredMessage } from "../../kv/backend.ts"
import { markerHeader, operationHeader } from "../../kv/headers.ts"
import type { NatsMessage } from "../port.ts"

/** A stored message. */
export interface KeptMessage {
  readonly subject: string
  readonly revision: number
  /** Unix milliseconds, by the server's clock. */
  readonly created: number
  readonly header: (name: string) => string
  readonly data: Uint8Array
}

const operationNames = new Map<string, MessageOperation>([["DEL", "delete"], ["PURGE", "purge"]])
const markerReasons = new Map<string, MessageOperation>([["MaxAge", "expire"], ["Purge", "purge"], [
  "Remove",
  "delete"
]])

/** The reason of a marker takes precedence over an operation; a message with neither is a value (K16). */
const operationOf = (header: (name: string) => string): MessageOperation =>
  markerReasons.get(header(markerHeader)) ?? operationNames.get(header(operationHeader)) ?? "put"

/**
 * Whether an answer contains a stored message, even if it has a status: nats-server 2.10 stores the status of a
 * published message. The server appends the sequence to every stored message, and to nothing else (K32).
 */
export const isStored = (message: NatsMessage): boolean => message.header("Nats-Sequence") !== ""

export const fromStored = (message: KeptMessage, prefix: string): StoredMessage => ({
  key: message.subject.slice(prefix.length),
  revision: message.revision,
  created: message.created,
  operation: operationOf(message.header),
  value: message.data
})

/** The place of a delivered message: its sequences in stream and consumer, and the number of messages that follow. */
export interface MessagePlace {
  readonly streamSequence: number
  readonly consumerSequence: number
  readonly created: number
  readonly pending: number
}

const ackPrefix = "$JS.ACK."

/** The number of tokens before the stream sequence in the shorter form, and that of all tokens in it. */
const tokensBefore = 5
const shortTokens = 9

/** The same of the longer form, which has at least so many tokens. */
const longTokensBefore = 7
const longTokens = 11

/** The number of decimal digits that a time in nanoseconds has more than one in milliseconds. */
const nanosDigits = 6

const dot = 46
const zero = 48

/** Reads the digits of a text between two indexes; NaN if there is another character, or none. */
const digits = (text: string, from: number, to: number): number => {
  let number = from < to ? 0 : Number.NaN
  for (let at = from; at < to; at++) {
    const digit = text.charCodeAt(at) - zero
    if (digit < 0 || digit > 9) return Number.NaN
    number = number * 10 + digit
  }
  return number
}

/** The index of the next dot, or of the end. */
const endOfToken = (text: string, from: number): number => {
  let at = from
  while (at < text.length && text.charCodeAt(at) !== dot) at++
  return at
}

/** The index after `count` tokens and their dots. */
const afterTokens = (text: string, count: number): number => {
  let at = 0
  for (let n = 0; n < count; n++) at = endOfToken(text, at) + 1
  return at
}

/** The length of the part of a place that is the same for all messages of a consumer; undefined if it is no place. */
const commonLength = (reply: string): number | undefined => {
  if (!reply.startsWith(ackPrefix)) return undefined
  const count = reply.split(".").length
  if (count === shortTokens) return afterTokens(reply, tokensBefore)
  return count >= longTokens ? afterTokens(reply, longTokensBefore) : undefined
}

/** Reads the numbers of a place that begin at `from`. */
const readPlace = (reply: string, from: number): MessagePlace | undefined => {
  const afterStream = endOfToken(reply, from)
  const afterConsumer = endOfToken(reply, afterStream + 1)
  const afterNanos = endOfToken(reply, afterConsumer + 1)
  const place = {
    streamSequence: digits(reply, from, afterStream),
    consumerSequence: digits(reply, afterStream + 1, afterConsumer),
    // Nanoseconds since 1970 exceed the safe integers, milliseconds do not.
    created: digits(reply, afterConsumer + 1, afterNanos - nanosDigits),
    pending: digits(reply, afterNanos + 1, endOfToken(reply, afterNanos + 1))
  }
  const sum = place.streamSequence + place.consumerSequence + place.created + place.pending
  return Number.isNaN(sum) ? undefined : place
}

/**
 * Returns a parser of the reply subjects of one consumer:
 * `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<nanos>.<pending>`. The longer form has a domain
 * and an account before the stream, and a random token at the end. Every message has one, so the parser remembers the
 * part that stays the same, and creates no texts.
 */
export const placeReader = (): (reply: string | undefined) => MessagePlace | undefined => {
  let common = ""
  return (reply) => {
    if (reply === undefined) return undefined
    if (common !== "" && reply.startsWith(common)) return readPlace(reply, common.length)
    const length = commonLength(reply)
    if (length === undefined) return undefined
    common = reply.slice(0, length)
    return readPlace(reply, length)
  }
}

export const fromDelivered = (message: NatsMessage, place: MessagePlace, prefix: string): StoredMessage => ({
  key: message.subject.slice(prefix.length),
  revision: place.streamSequence,
  created: place.created,
  operation: operationOf(message.header),
  value: message.data
})
