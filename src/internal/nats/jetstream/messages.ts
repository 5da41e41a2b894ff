/**
 * Converts between the store's messages and JetStream messages: headers, and the
 * place of a pushed message, which is in its reply subject. Pure.
 */
import type { Append, MessageOperation, StoredMessage } from "../../kv/backend.ts"
import type { MessageHeaders, NatsMessage } from "../port.ts"
import type { KeptMessage } from "./api.ts"

const operationHeader = "KV-Operation"
const markerHeader = "Nats-Marker-Reason"

const operationNames = new Map<string, MessageOperation>([["DEL", "delete"], ["PURGE", "purge"]])
const markerReasons = new Map<string, MessageOperation>([["MaxAge", "expire"], ["Purge", "purge"], [
  "Remove",
  "delete"
]])

/** The reason of a marker takes precedence over an operation; a message with neither is a value (K16). */
const operationOf = (header: (name: string) => string): MessageOperation =>
  markerReasons.get(header(markerHeader)) ?? operationNames.get(header(operationHeader)) ?? "put"

export const headersFor = (message: Append, subjectOf: (key: string) => string): MessageHeaders => {
  const headers: Array<readonly [string, string]> = []
  if (message.operation === "delete") headers.push([operationHeader, "DEL"])
  if (message.operation === "purge") headers.push([operationHeader, "PURGE"], ["Nats-Rollup", "sub"])
  const { condition } = message
  if (condition !== undefined) {
    headers.push(["Nats-Expected-Last-Subject-Sequence", String(condition.revision)])
    if (condition.key !== message.key) {
      headers.push(["Nats-Expected-Last-Subject-Sequence-Subject", subjectOf(condition.key)])
    }
  }
  return headers
}

/** Parses a block of headers in wire format. */
export const headerReader = (block: string): (name: string) => string => {
  const headers = new Map(
    block.split("\r\n").slice(1).flatMap((line) => {
      const colon = line.indexOf(":")
      return colon < 1 ? [] : [[line.slice(0, colon), line.slice(colon + 1).trim()] as const]
    })
  )
  return (name) => headers.get(name) ?? ""
}

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

/** The place of a pushed message: its sequences in stream and consumer, and the number of messages still to push. */
export interface MessagePlace {
  readonly streamSequence: number
  readonly consumerSequence: number
  readonly created: number
  readonly pending: number
}

/**
 * Parses the reply subject `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<nanos>.<pending>`.
 * The longer form has a domain and an account before the stream, and a random token at the end.
 */
export const placeOf = (reply: string | undefined): MessagePlace | undefined => {
  const tokens = reply?.split(".") ?? []
  const long = tokens.length >= 11
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK" || (!long && tokens.length !== 9)) return undefined
  const numbers = tokens.slice(long ? 7 : 5)
  const [streamSequence, consumerSequence, nanos, pending] = numbers
  if (pending === undefined || nanos === undefined || !/^\d+$/.test(nanos)) return undefined
  return {
    streamSequence: Number(streamSequence),
    consumerSequence: Number(consumerSequence),
    // Nanoseconds since 1970 exceed the safe integers.
    created: Number(BigInt(nanos) / 1_000_000n),
    pending: Number(pending)
  }
}

export const fromPushed = (message: NatsMessage, place: MessagePlace, prefix: string): StoredMessage => ({
  key: message.subject.slice(prefix.length),
  revision: place.streamSequence,
  created: place.created,
  operation: operationOf(message.header),
  value: message.data
})
