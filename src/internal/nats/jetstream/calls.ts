/**
 * Requests of the JSON API of JetStream, and their answers.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { noBytes } from "../../utf8.ts"
import { type MessageHeaders, type NatsMessage, type PortFailure, reported } from "../port.ts"
import type { ApiAccess } from "./apiAccess.ts"
import type { Requester } from "./requester.ts"

/** The field of an answer that reports a failure. */
interface ApiError {
  readonly error?: { readonly code: number; readonly err_code?: number; readonly description?: string }
}

const encoder = new TextEncoder()
const decoder = new TextDecoder()
export const noHeaders: MessageHeaders = []

export const toJson = (value: unknown): Uint8Array => encoder.encode(JSON.stringify(value))

/** The failure for an answer that violates the protocol. A write may have been stored, as after a lost connection. */
export const unreadable = (cause: unknown): PortFailure => ({
  _tag: "ConnectionLost",
  problem: "the answer cannot be read",
  ...reported(cause)
})

/** Parses an answer. Fails if it contains an error. */
export const readAnswer = <A>(message: NatsMessage): Effect.Effect<A, PortFailure> => {
  const parsed = Result.try(() => JSON.parse(decoder.decode(message.data)) as A & ApiError)
  if (Result.isFailure(parsed)) return Effect.fail(unreadable(parsed.failure))
  const { error } = parsed.success
  return error === undefined ? Effect.succeed(parsed.success) : Effect.fail({
    _tag: "Api",
    code: error.err_code ?? error.code,
    description: error.description ?? "no description"
  })
}

/** Sends a request of the JSON API and parses its answer. */
export type Call = <A>(subject: string, body: unknown, timeout: number) => Effect.Effect<A, PortFailure>

export const callsOver =
  ({ request }: Requester, { prefix }: ApiAccess): Call => <A>(subject: string, body: unknown, timeout: number) =>
    Effect.flatMap(
      request(`${prefix}.${subject}`, body === undefined ? noBytes : toJson(body), noHeaders, timeout),
      readAnswer<A>
    )
