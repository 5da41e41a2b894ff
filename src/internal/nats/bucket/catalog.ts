/**
 * The buckets of an account: lists and destroys them.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { KVStoreReason } from "../../../KVStoreError.ts"
import type { Access } from "../../kv/config.ts"
import { allSubjects } from "../../kv/headers.ts"
import * as jetstream from "../jetstream/api.ts"
import { ApiAccess } from "../jetstream/apiAccess.ts"
import { changeReason, notConnected, readReason, unanswered } from "../jetstream/reasons.ts"
import type { Requester } from "../jetstream/requester.ts"
import type { PortFailure } from "../port.ts"
import { streamName } from "./streamConfig.ts"

/** Sends a request about the streams of an account. Nothing is sent while disconnected. */
const request = <A>(
  requester: Requester,
  access: Access,
  run: (js: jetstream.JetStream, timeout: number) => Effect.Effect<A, PortFailure>,
  reasonOf: (failure: PortFailure) => KVStoreReason
): Effect.Effect<A, KVStoreReason> =>
  Effect.suspend(() => {
    const { port } = requester
    if (!port.isConnected()) return Effect.fail(notConnected(port))
    const js = jetstream.make(requester, new ApiAccess(access))
    return Effect.mapError(
      run(js, Duration.toMillis(access.timeout)),
      (failure) => failure._tag === "NoResponders" ? unanswered(port.server(), js.access) : reasonOf(failure)
    )
  })

const prefix = streamName("")

/** The names of the buckets, also of other clients, sorted. */
export const list = (requester: Requester, access: Access): Effect.Effect<ReadonlyArray<string>, KVStoreReason> =>
  Effect.map(
    request(requester, access, (js, timeout) => js.streamNames(allSubjects, timeout), readReason),
    (streams) => streams.filter((name) => name.startsWith(prefix)).map((name) => name.slice(prefix.length)).toSorted()
  )

export const destroy = (requester: Requester, bucket: string, access: Access): Effect.Effect<void, KVStoreReason> =>
  request(requester, access, (js, timeout) => js.deleteStream(streamName(bucket), timeout), changeReason)
