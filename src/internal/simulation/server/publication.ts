/**
 * What a publisher asks of the stream with headers.
 */
import type { Operation } from "../../kv/backend.ts"
import type { Headers } from "../../nats/port.ts"

export interface Publication {
  readonly subject: string
  readonly headers: Headers
  readonly value: Uint8Array
  readonly reply: string | undefined
  readonly operation: Operation
  /** The sequence that the last message of `guard` must have; 0: there is none. */
  readonly expected: number | undefined
  readonly guard: string
  readonly id: string | undefined
  readonly isRollup: boolean
  /** A guard without a sequence to expect. */
  readonly isIncomplete: boolean
}

const operations: Record<string, Operation> = { DEL: "delete", PURGE: "purge" }
const markers: Record<string, Operation> = { MaxAge: "expire", Purge: "purge", Remove: "delete" }

/** A 2.10 server does not know a guard: the sequence is that of the written subject then. */
export const publication = (
  subject: string,
  headers: Headers,
  value: Uint8Array,
  reply: string | undefined,
  isOld: boolean
): Publication => {
  let operation: Operation = "put"
  let expected: number | undefined
  let guard: string | undefined
  let id: string | undefined
  let isRollup = false
  for (const [name, text] of headers) {
    switch (name) {
      case "KV-Operation":
        operation = operations[text] ?? operation
        break
      case "Nats-Marker-Reason":
        operation = markers[text] ?? operation
        break
      case "Nats-Rollup":
        isRollup = text === "sub"
        break
      case "Nats-Msg-Id":
        id = text
        break
      case "Nats-Expected-Last-Subject-Sequence":
        expected = Number(text)
        break
      case "Nats-Expected-Last-Subject-Sequence-Subject":
        if (!isOld) guard = text
        break
    }
  }
  return {
    subject,
    headers,
    value,
    reply,
    operation,
    expected,
    guard: guard ?? subject,
    id,
    isRollup,
    isIncomplete: guard !== undefined && expected === undefined
  }
}
