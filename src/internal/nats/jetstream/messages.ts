/**
 * Converts between the store's messages and JetStream messages: headers, and the
 * place of a delivered message, which is in its reply subject. Pure.
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

/** The place of a delivered message: its sequences in stream and consumer, and the number of messages that follow. */
export interface MessagePlace {
  readonly streamSequence: number
  readonly consumerSequence: number
  readonly created: number
  readonly pending: number
}

const ackPrefix = "$JS.ACK."

/**
 * Parses the reply subject `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<nanos>.<pending>`.
 * The longer form has a domain and an account before the stream, and a random token at the end.
 */
export const placeOf = (reply: string | undefined): MessagePlace | undefined => {
  if (reply === undefined || !reply.startsWith(ackPrefix)) return undefined
  const tokens = reply.split(".")
  const at = tokens.length === 9 ? 5 : tokens.length >= 11 ? 7 : undefined
  if (at === undefined) return undefined
  const nanos = tokens[at + 2]!
  const place = {
    streamSequence: Number(tokens[at]),
    consumerSequence: Number(tokens[at + 1]),
    // Nanoseconds since 1970 exceed the safe integers, milliseconds do not.
    created: Number(nanos.slice(0, -6)),
    pending: Number(tokens[at + 3])
  }
  const isNumeric = /^\d+$/.test(nanos) && place.streamSequence >= 0 && place.consumerSequence >= 0 &&
    place.pending >= 0
  return isNumeric ? place : undefined
}

export const fromDelivered = (message: NatsMessage, place: MessagePlace, prefix: string): StoredMessage => ({
  key: message.subject.slice(prefix.length),
  revision: place.streamSequence,
  created: place.created,
  operation: operationOf(message.header),
  value: message.data
})
