/**
 * Requests whose failures are reasons of the store. While disconnected nothing is
 * sent. A write that may have been stored fails with `OutcomeUnknown`. If the bucket
 * was lost, it is recreated and the request repeated (docs/protocols/kv.md, K9 to
 * K12 and K29).
 */
import * as Effect from "effect/Effect"
import { type KVStoreReason, StorageFull, Unavailable } from "../../../KVStoreError.ts"
import type { Append } from "../../kv/backend.ts"
import type { PortFailure } from "../port.ts"
import type { JetStream, StreamInfo } from "./api.ts"
import {
  codes,
  connectionClosed,
  fullScope,
  notConnected,
  readReason,
  unanswered,
  withoutLeader,
  writeReason
} from "./reasons.ts"

export interface Operations {
  readonly read: <A>(request: Effect.Effect<A, PortFailure>) => Effect.Effect<A, KVStoreReason>
  /**
   * A request for direct access, which any replica answers. If none does although the stream exists, direct access was
   * turned off, and if a mirror does, its answer may be outdated: `otherwise` then replaces the request.
   */
  readonly readDirect: <A>(
    request: Effect.Effect<A, PortFailure>,
    otherwise: Effect.Effect<A, KVStoreReason>
  ) => Effect.Effect<A, KVStoreReason>
  readonly write: <A>(message: Append, request: Effect.Effect<A, PortFailure>) => Effect.Effect<A, KVStoreReason>
}

/**
 * `timeout` is in milliseconds. `unusable` returns why an existing stream cannot be used; undefined if it can.
 */
export const make = (
  js: JetStream,
  stream: string,
  timeout: number,
  unusable: (info: StreamInfo) => KVStoreReason | undefined = () => undefined
): Operations => {
  /** Without responders, only STREAM.INFO shows whether the stream exists and has the bucket's subjects (K12). */
  const usableInfo = js.streamInfo(stream, timeout).pipe(
    Effect.mapError((failure) =>
      failure._tag === "NoResponders" ? unanswered(js.port.server(), js.access) : readReason(failure)
    ),
    Effect.flatMap((info) => {
      const reason = unusable(info)
      return reason === undefined ? Effect.succeed(info) : Effect.fail(reason)
    })
  )
  const noLeader = Effect.andThen(usableInfo, Effect.fail(new Unavailable({ problem: withoutLeader(js.access) })))

  const run = <A>(
    request: Effect.Effect<A, PortFailure>,
    toReason: (failure: PortFailure) => KVStoreReason,
    otherwise?: Effect.Effect<A, KVStoreReason>
  ): Effect.Effect<A, KVStoreReason> => {
    const onFailure = (failure: PortFailure): Effect.Effect<A, KVStoreReason> => {
      if (failure._tag === "OtherStream" && otherwise !== undefined) return otherwise
      // A request under way when the connection was closed: no other attempt can succeed either.
      const isOver = failure._tag === "ConnectionLost" && js.port.isClosed()
      if (failure._tag !== "NoResponders") {
        const reason = toReason(failure)
        return Effect.fail(isOver && reason._tag === "Unavailable" ? connectionClosed(failure.cause) : reason)
      }
      return otherwise === undefined ? noLeader : Effect.andThen(usableInfo, otherwise)
    }
    return Effect.suspend(() =>
      js.port.isConnected()
        ? Effect.catch(request, onFailure)
        : Effect.fail(notConnected(js.port))
    )
  }

  /** Asks for the limits of the stream, because the code of the error does not show the full part. */
  const withScope = (size: number) => (reason: KVStoreReason): Effect.Effect<never, KVStoreReason> =>
    reason._tag === "StorageFull" && reason.code === codes.storeFailed
      ? Effect.matchEffect(js.streamInfo(stream, timeout), {
        onFailure: () => Effect.fail(reason),
        onSuccess: (info) =>
          Effect.fail(
            new StorageFull({ scope: fullScope(info, size), code: reason.code, description: reason.description })
          )
      })
      : Effect.fail(reason)

  return {
    read: (request) => run(request, readReason),
    readDirect: (request, otherwise) => run(request, readReason, otherwise),
    write: (message, request) =>
      Effect.catch(run(request, (failure) => writeReason(failure, message)), withScope(message.value.length))
  }
}

/** On `BucketNotFound`, recreates the bucket and repeats the operation once: nothing was read or written before. */
export const remaking = (plain: Operations, makeAgain: Effect.Effect<unknown, KVStoreReason>): Operations => {
  const again = <A>(operation: Effect.Effect<A, KVStoreReason>) =>
    Effect.catchIf(operation, (reason) => reason._tag === "BucketNotFound", () => Effect.andThen(makeAgain, operation))
  return {
    read: (request) => again(plain.read(request)),
    readDirect: (request, otherwise) => again(plain.readDirect(request, otherwise)),
    write: (message, request) => again(plain.write(message, request))
  }
}
