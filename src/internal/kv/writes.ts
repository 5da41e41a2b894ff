/**
 * Translates the condition of a `put` into the one revision that the log checks
 * (docs/protocols/kv.md, K4 to K6).
 */
import * as Effect from "effect/Effect"
import type { KVOptions } from "../../KVStore.ts"
import { KeyAlreadyExists, KeyNotFound, type KVStoreReason } from "../../KVStoreError.ts"
import { retryConflicts } from "../retry.ts"
import type { Append, Backend } from "./backend.ts"
import { isLive, revisionOf } from "./entries.ts"

type Decision = Effect.Effect<number, KVStoreReason>
type AppendMessage = (message: Append) => Decision

export const put = (key: string, value: Uint8Array, revision: number | undefined): Append => ({
  key,
  operation: "put",
  value,
  condition: revision === undefined ? undefined : { key, revision }
})

export const make = (backend: Backend) => {
  const settle = (attempt: (write: AppendMessage) => Decision): Decision =>
    retryConflicts({
      timeout: backend.config.timeout,
      isConflict: (reason) => reason._tag === "RevisionMismatch",
      tooLate: (reason) => reason,
      attempt: (writing) => attempt((message) => writing(backend.append(message)))
    })

  /**
   * A key whose last message is a marker has no value: the write is then conditioned on the marker's revision (K5). The
   * read decides that the key exists, so an outdated answer would be a wrong refusal; so it is with `updateOnly`.
   */
  const createOnly = (key: string, value: Uint8Array): Decision =>
    settle((write) =>
      Effect.catchIf(
        write(put(key, value, 0)),
        (reason) => reason._tag === "RevisionMismatch",
        () =>
          Effect.flatMap(backend.last(key, "decides"), (last) =>
            isLive(last)
              ? Effect.fail(new KeyAlreadyExists({ revision: last.value.revision }))
              : write(put(key, value, revisionOf(last))))
      )
    )

  const updateOnly = (key: string, value: Uint8Array): Decision =>
    settle((write) =>
      Effect.flatMap(
        backend.last(key, "decides"),
        (last) => isLive(last) ? write(put(key, value, last.value.revision)) : Effect.fail(new KeyNotFound({}))
      )
    )

  return (key: string, value: Uint8Array, options: KVOptions | undefined): Decision =>
    options?.createOnly === true
      ? createOnly(key, value)
      : options?.updateOnly === true
      ? updateOnly(key, value)
      : options?.whenKey !== undefined
      ? backend.append({ ...put(key, value, undefined), condition: options.whenKey })
      : backend.append(put(key, value, options?.revision))
}
