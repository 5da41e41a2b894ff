/**
 * Requests whose failures are reasons of the store. While disconnected nothing is
 * sent. A write that may have been stored fails with `OutcomeUnknown`. If the bucket
 * was lost, it is recreated and the request repeated (docs/protocols/kv.md, K9 to
 * K12 and K29).
 */
import * as Effect from "effect/Effect"
import { type KVStoreReason, Unavailable } from "../../../KVStoreError.ts"
import type { Append } from "../../kv/backend.ts"
import type { PortFailure } from "../port.ts"
import type { JetStream } from "./api.ts"
import { readReason, writeReason } from "./reasons.ts"

export interface Operations {
  readonly read: <A>(request: Effect.Effect<A, PortFailure>) => Effect.Effect<A, KVStoreReason>
  readonly write: (message: Append, request: Effect.Effect<number, PortFailure>) => Effect.Effect<number, KVStoreReason>
}

/** `timeout` is in milliseconds. */
export const make = (js: JetStream, stream: string, timeout: number): Operations => {
  /** Without responders, the stream has no leader or does not exist. Only its INFO shows which (K12). */
  const whyNobodyAnswers = js.streamInfo(stream, timeout).pipe(
    Effect.mapError(readReason),
    Effect.andThen(Effect.fail(new Unavailable({ problem: "the stream has no leader" })))
  )

  const run = <A>(
    request: Effect.Effect<A, PortFailure>,
    toReason: (failure: PortFailure) => KVStoreReason
  ): Effect.Effect<A, KVStoreReason> =>
    Effect.suspend(() =>
      js.port.isConnected()
        ? Effect.catch(
          request,
          (failure): Effect.Effect<A, KVStoreReason> =>
            failure._tag === "NoResponders" ? whyNobodyAnswers : Effect.fail(toReason(failure))
        )
        : Effect.fail(new Unavailable({ problem: "not connected" }))
    )

  return {
    read: (request) => run(request, readReason),
    write: (message, request) => run(request, (failure) => writeReason(failure, message))
  }
}

/** On `BucketNotFound`, recreates the bucket and repeats the operation once: nothing was read or written before. */
export const remaking = (plain: Operations, makeAgain: Effect.Effect<unknown, KVStoreReason>): Operations => {
  const again = <A>(operation: Effect.Effect<A, KVStoreReason>) =>
    Effect.catchIf(operation, (reason) => reason._tag === "BucketNotFound", () => Effect.andThen(makeAgain, operation))
  return {
    read: (request) => again(plain.read(request)),
    write: (message, request) => again(plain.write(message, request))
  }
}
