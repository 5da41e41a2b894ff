/**
 * Reads records and measures their age by the registry's `clock` option
 * (docs/protocols/registry.md, R4 to R6).
 */
import * as Clock from "effect/Clock"
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { KVEntry, KVStore } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import { annotate, Undecodables } from "../logs.ts"
import { isOlder } from "../time.ts"
import type { LastSeen } from "./decisions.ts"
import { changed, decode, type InstanceRecord } from "./record.ts"

export interface Access {
  readonly store: KVStore["Service"]
  readonly maxAge: Duration.Duration
  /**
   * Decodes an entry. With `clock: "store"` its `lastHeartbeat` becomes the time at which
   * the store stored the entry.
   */
  readonly decode: (entry: KVEntry) => Result.Result<InstanceRecord, unknown>
  /** Milliseconds since the last heartbeat. */
  readonly ageOf: (record: InstanceRecord) => number
  /** Whether a silence of `silentFor` milliseconds is more than maxAge. */
  readonly isTooOld: (silentFor: number) => boolean
  readonly expired: (
    subject: { readonly lastHeartbeat: DateTime.Utc | undefined },
    maxAge?: Duration.Duration | undefined
  ) => boolean
  /** Expiry of a record that does not decode: its only known time is the store's. */
  readonly expiredByStore: (entry: KVEntry, maxAge?: Duration.Duration | undefined) => boolean
  readonly lastOf: (key: string) => Effect.Effect<LastOf, KVStoreError>
  /** Logs an entry that does not decode, once per revision. */
  readonly reportUndecodable: (entry: KVEntry, cause: unknown) => Effect.Effect<void>
}

/** The last message of a key. */
export interface LastOf {
  readonly seen: LastSeen
  /** Milliseconds since the last heartbeat. Infinite if the key has no value, 0 if the time of the value is unknown. */
  readonly silentFor: number
}

const gone = (seen: LastSeen): LastOf => ({ seen, silentFor: Number.POSITIVE_INFINITY })

export const make = Effect.fnUntraced(function*(
  store: KVStore["Service"],
  options: { readonly maxAge: Duration.Duration; readonly clock: "store" | "local" }
): Effect.fn.Return<Access> {
  const clock = options.clock === "store" ? store.clock : yield* Clock.Clock
  const decodeEntry = (entry: KVEntry) =>
    options.clock === "store"
      ? Result.map(decode(entry), (record) => ({
        ...record,
        instance: changed(record.instance, { lastHeartbeat: entry.created })
      }))
      : decode(entry)
  const since = (from: Clock.Clock, time: DateTime.Utc) => from.currentTimeMillisUnsafe() - time.epochMilliseconds

  const undecodables = new Undecodables()
  const { bucket } = store.config
  return {
    store,
    reportUndecodable: ({ key, revision }, cause) =>
      annotate("Registry", { bucket })(undecodables.log(key, revision, cause)),
    maxAge: options.maxAge,
    decode: decodeEntry,
    ageOf: (record) => since(clock, record.instance.lastHeartbeat),
    isTooOld: (silentFor) => silentFor > Duration.toMillis(options.maxAge),
    expired: (subject, maxAge) => isOlder(clock, maxAge ?? options.maxAge)(subject.lastHeartbeat),
    expiredByStore: (entry, maxAge) => isOlder(store.clock, maxAge ?? options.maxAge)(entry.created),
    lastOf: (key) =>
      Effect.map(store.history(key, { fromLeader: true }), ([last]): LastOf => {
        if (last === undefined) return gone({ _tag: "Nothing" })
        if (last._tag === "Removed") return gone({ _tag: "Removed", revision: last.revision, reason: last.reason })
        if (last._tag === "Undecodable") return { seen: { _tag: "Undecodable", revision: last.revision }, silentFor: 0 }
        const { entry } = last
        return Result.match(decodeEntry(entry), {
          onFailure: (): LastOf => ({
            seen: { _tag: "Undecodable", revision: entry.revision },
            silentFor: since(store.clock, entry.created)
          }),
          onSuccess: (record): LastOf => ({
            seen: { _tag: "Live", revision: entry.revision, record },
            silentFor: since(clock, record.instance.lastHeartbeat)
          })
        })
      })
  }
})
