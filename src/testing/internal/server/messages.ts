/**
 * Messages from the simulated server to its clients: JSON answers, refusals, and
 * messages with only a status.
 */
import type { MessageHeaders, NatsMessage } from "../../../internal/nats/port.ts"
import { noBytes } from "../../../internal/utf8.ts"

/** A message from the server to the subscriptions of a subject. */
export interface Outgoing {
  readonly subject: string
  readonly reply: string | undefined
  /** 0 for a regular message; otherwise 100, 204, 404, 408, 413 or 503. */
  readonly status: number
  readonly description: string
  readonly headers: MessageHeaders
  readonly data: Uint8Array
}

/** Converts a message to the form that a client's port delivers. */
export const received = ({ headers, ...message }: Outgoing): NatsMessage => ({
  ...message,
  header: (name) => headers.findLast(([one]) => one === name)?.[1] ?? ""
})

const encoder = new TextEncoder()
const noHeaders: MessageHeaders = []

export const json = (reply: string, text: string): Outgoing => ({
  subject: reply,
  reply: undefined,
  status: 0,
  description: "",
  headers: noHeaders,
  data: encoder.encode(text)
})

export const statusOf = (
  subject: string,
  status: number,
  description: string,
  headers: MessageHeaders = noHeaders,
  reply: string | undefined = undefined
): Outgoing => ({ subject, reply, status, description, headers, data: noBytes })

/** Nothing handles the request: there is no stream, or the stream has no leader. */
export const noResponders = (reply: string): Outgoing => statusOf(reply, 503, "")

export interface Refusal {
  readonly code: number
  readonly err_code: number
  readonly description: string
}

export const refusals = {
  badRequest: { code: 400, err_code: 10003, description: "bad request" },
  noLeader: { code: 503, err_code: 10008, description: "JetStream system temporarily unavailable" },
  noSpace: { code: 503, err_code: 10023, description: "insufficient resources" },
  noConsumer: { code: 404, err_code: 10014, description: "consumer not found" },
  tooManyConsumers: { code: 400, err_code: 10026, description: "maximum consumers limit reached" },
  noMessage: { code: 404, err_code: 10037, description: "no message found" },
  tooLarge: { code: 400, err_code: 10054, description: "message size exceeds maximum allowed" },
  nameInUse: {
    code: 400,
    err_code: 10058,
    description: "stream name already in use with a different configuration"
  },
  noStream: { code: 404, err_code: 10059, description: "stream not found" },
  full: { code: 503, err_code: 10077, description: "maximum bytes exceeded" },
  noRollups: { code: 500, err_code: 10111, description: "rollup not permitted" },
  duplicateInProcess: { code: 409, err_code: 10158, description: "duplicate message id is in process" },
  inFlight: { code: 400, err_code: 10164, description: "wrong last sequence" },
  subjectAlone: {
    code: 400,
    err_code: 10193,
    description: "missing sequence for expected last sequence per subject"
  }
} as const satisfies Record<string, Refusal>

export const wrongLast = (actual: number): Refusal => ({
  code: 400,
  err_code: 10071,
  description: `wrong last sequence: ${actual}`
})

export const invalidConfig = (description: string): Refusal => ({ code: 500, err_code: 10052, description })

export const refused = (reply: string, error: Refusal): Outgoing => json(reply, `{"error":${JSON.stringify(error)}}`)
