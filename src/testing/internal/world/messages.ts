/**
 * Messages between simulated clients and the simulated server.
 */
import type { MessageHeaders, NatsMessage } from "../../../internal/nats/port.ts"

/** A message from the server: to which of a client's subscriptions, and what it says. */
export interface Outgoing {
  readonly subject: string
  readonly reply: string | undefined
  /** 0 for a message of its own; else 100, 204, 404, 408, 413, 503. */
  readonly status: number
  readonly description: string
  readonly headers: MessageHeaders
  readonly data: Uint8Array
}

/** As a client's port hands it out. */
export const received = ({ headers, ...message }: Outgoing): NatsMessage => ({
  ...message,
  header: (name) => headers.find(([one]) => one === name)?.[1] ?? ""
})
