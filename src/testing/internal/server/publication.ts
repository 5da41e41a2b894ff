/**
 * Reads the headers of a published message: operation, condition, id and roll-up.
 */
import type { MessageOperation } from "../../../internal/kv/backend.ts"
import type { MessageHeaders } from "../../../internal/nats/port.ts"

export interface Publication {
  readonly subject: string
  readonly headers: MessageHeaders
  readonly value: Uint8Array
  readonly reply: string | undefined
  readonly operation: MessageOperation
  /** The sequence that the last message of `guard` must have. 0: `guard` must have no message. */
  readonly expected: number | undefined
  readonly guard: string
  readonly id: string | undefined
  readonly isRollup: boolean
  /** Whether a guard was given without an expected sequence. */
  readonly isIncomplete: boolean
}

const operations: Record<string, MessageOperation> = { DEL: "delete", PURGE: "purge" }
const markers: Record<string, MessageOperation> = { MaxAge: "expire", Purge: "purge", Remove: "delete" }

/** A 2.10 server ignores the guard: the expected sequence then applies to the written subject. */
export const publication = (
  subject: string,
  headers: MessageHeaders,
  value: Uint8Array,
  reply: string | undefined,
  isOld: boolean
): Publication => {
  let operation: MessageOperation = "put"
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
