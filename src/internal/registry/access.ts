/**
 * Reads records and measures their age by the registry's `clock` option
 * (docs/protocols/registry.md, R4 to R6).
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { KVEntry, KVHistoryEvent, KVStore } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import { annotate, Undecodables } from "../logs.ts"
import { isOlder } from "../time.ts"
import type { Beside, LastSeen } from "./decisions.ts"
import { isLegacyKey, type Keys, keysOf, sameNames } from "./keys.ts"
import { decodeLegacy, legacyKeyOf } from "./legacyRecord.ts"
import type { Aged } from "./outages.ts"
import { changed, decode, type InstanceRecord, type Names } from "./record.ts"

export interface Access {
  readonly store: KVStore["Service"]
  /** The keys under which instances are read. */
  readonly keys: Keys
  readonly maxAge: Duration.Duration
  /** The clock that measures ages. */
  readonly clock: Clock.Clock
  /**
   * Decodes an entry. With `clock: "store"` its `lastHeartbeat` becomes the time at which
   * the store stored the entry.
   */
  readonly decode: (entry: KVEntry) => Result.Result<InstanceRecord, unknown>
  /** The current time of the registry's clock. */
  readonly now: () => number
  /** The time of a heartbeat whose record has the time `sent`, in milliseconds since 1970. */
  readonly heartbeatAt: (entry: KVEntry, sent: number) => DateTime.Utc
  /** Milliseconds since a heartbeat. */
  readonly ageAt: (heartbeat: DateTime.Utc) => number
  /** Milliseconds since the last heartbeat. */
  readonly ageOf: (record: InstanceRecord) => number
  /** The age at which an instance is expired, in milliseconds: that of its owner, within bounds (R5). */
  readonly maxAgeOf: (record: InstanceRecord) => number
  /** The time of the last heartbeat of a record, and the age at which it is expired. */
  readonly aged: (record: InstanceRecord) => Aged
  /** Expiry by the age of the record alone. */
  readonly expired: (record: InstanceRecord, maxAge: Duration.Duration) => boolean
  /** Expiry of a record that does not decode: its only known time is the store's. */
  readonly expiredByStore: (entry: Pick<KVEntry, "created">, maxAge?: Duration.Duration | undefined) => boolean
  /** The entries of a service, or of all: those whose keys can be of one of its instances. */
  readonly entries: (serviceName: string | undefined) => Effect.Effect<ReadonlyArray<KVEntry>, KVStoreError>
  readonly lastOf: (key: string) => Effect.Effect<LastOf, KVStoreError>
  /**
   * The record that AegisSDK has stored for an instance, or a value under its key that does not decode. Undefined if the key
   * has neither, or is not read.
   */
  readonly besides: (names: Names) => Effect.Effect<Beside | undefined, KVStoreError>
  /** Logs an entry that does not decode, once per revision. */
  readonly reportUndecodable: (entry: KVEntry, cause: unknown) => Effect.Effect<void>
}

/** The last message of a key. */
export interface LastOf {
  readonly seen: LastSeen
  /** Milliseconds since the last heartbeat. Infinite if the key has no value, 0 if the time of the value is unknown. */
  readonly silentFor: number
  /** The age at which it is expired, in milliseconds. */
  readonly maxAge: number
}

/** The least maxAge that a registry of this library can have, in milliseconds. */
const leastMaxAge = 200

/** A maxAge of another process counts up to this many times the own one. */
const largestFactor = 10

/** The largest maxAge of another process that counts: its record must not be removed by age while it is live. */
const largestMaxAge = (own: number, streamMaxAge: Duration.Duration | undefined): number =>
  Math.max(
    own,
    Math.min(
      own * largestFactor,
      streamMaxAge === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(streamMaxAge) / 2
    )
  )

const since = (clock: Clock.Clock, time: DateTime.Utc): number =>
  clock.currentTimeMillisUnsafe() - time.epochMilliseconds

const lastOf = (
  last: KVHistoryEvent | undefined,
  { ageOf, decode, maxAgeOf, ownMaxAge, storeNow }: Pick<Access, "decode" | "ageOf" | "maxAgeOf"> & {
    readonly ownMaxAge: number
    readonly storeNow: Clock.Clock
  }
): LastOf => {
  const gone = (seen: LastSeen): LastOf => ({ seen, silentFor: Number.POSITIVE_INFINITY, maxAge: ownMaxAge })
  const undecodable = (revision: number, silentFor: number): LastOf => ({
    seen: { _tag: "Undecodable", revision },
    silentFor,
    maxAge: ownMaxAge
  })
  if (last === undefined) return gone({ _tag: "Nothing" })
  if (last._tag === "Removed") return gone({ _tag: "Removed", revision: last.revision, reason: last.reason })
  if (last._tag === "Undecodable") return undecodable(last.revision, 0)
  const { entry } = last
  return Result.match(decode(entry), {
    onFailure: () => undecodable(entry.revision, since(storeNow, entry.created)),
    onSuccess: (record): LastOf => ({
      seen: { _tag: "Live", revision: entry.revision, record },
      silentFor: ageOf(record),
      maxAge: maxAgeOf(record)
    })
  })
}

/** Reads the record of AegisSDK for an instance. */
const besidesOf = (
  store: KVStore["Service"],
  keys: Keys,
  lastOf: (entry: KVEntry) => LastOf
) =>
(names: Names): Effect.Effect<Beside | undefined, KVStoreError> =>
  keys.readsLegacy
    ? Effect.map(store.get(legacyKeyOf(names), { fromLeader: true }), (entry) => {
      if (Option.isNone(entry)) return undefined
      const { maxAge, seen, silentFor } = lastOf(entry.value)
      const isAnother = seen._tag === "Live" && !sameNames(seen.record.instance, names)
      return isAnother ? undefined : { revision: entry.value.revision, silentFor, maxAge }
    })
    : Effect.undefined

/** The entries whose keys can be those of instances. */
const entriesOf = (store: KVStore["Service"], keys: Keys) => (serviceName: string | undefined) => {
  const entries = store.entries(keys.filter(serviceName))
  return keys.readsLegacy
    ? Effect.map(entries, (all) => all.filter(({ key }) => keys.mayBeOf(key, serviceName)))
    : entries
}

export interface AccessOptions {
  readonly maxAge: Duration.Duration
  readonly clock: "store" | "local"
  readonly readLegacyKeys: boolean
}

/** With the store's clock, the time of a heartbeat is that at which the store stored it. */
const decoder = ({ clock, readLegacyKeys }: AccessOptions): Access["decode"] => {
  const decodeAny: Access["decode"] = readLegacyKeys
    ? (entry) => isLegacyKey(entry.key) ? decodeLegacy(entry) : decode(entry)
    : decode
  return clock === "local" ? decodeAny : (entry) =>
    Result.map(decodeAny(entry), (record) => ({
      ...record,
      instance: changed(record.instance, { lastHeartbeat: entry.created })
    }))
}

export const make = Effect.fnUntraced(function*(
  store: KVStore["Service"],
  options: AccessOptions
): Effect.fn.Return<Access> {
  const clock = options.clock === "store" ? store.clock : yield* Clock.Clock
  const decodeEntry = decoder(options)
  const keys = keysOf(options.readLegacyKeys)
  const ageOf = (record: InstanceRecord) => since(clock, record.instance.lastHeartbeat)

  const undecodables = new Undecodables()
  const { bucket, streamMaxAge } = store.config
  const ownMaxAge = Duration.toMillis(options.maxAge)
  const most = largestMaxAge(ownMaxAge, streamMaxAge)
  const maxAgeOf = ({ times: { maxAge } }: InstanceRecord) =>
    maxAge === undefined ? ownMaxAge : Math.max(leastMaxAge, Math.min(maxAge, most))
  const ages = { decode: decodeEntry, ageOf, maxAgeOf, ownMaxAge, storeNow: store.clock }
  return {
    store,
    keys,
    entries: entriesOf(store, keys),
    besides: besidesOf(store, keys, (entry) => lastOf({ _tag: "Put", entry }, ages)),
    reportUndecodable: ({ key, revision }, cause) =>
      annotate("Registry", { bucket })(undecodables.log(key, revision, cause)),
    maxAge: options.maxAge,
    clock,
    decode: decodeEntry,
    heartbeatAt: (entry, sent) => options.clock === "store" ? entry.created : DateTime.makeUnsafe(sent),
    ageAt: (heartbeat) => since(clock, heartbeat),
    now: () => clock.currentTimeMillisUnsafe(),
    ageOf,
    maxAgeOf,
    aged: (record) => ({
      record,
      heartbeatAt: record.instance.lastHeartbeat.epochMilliseconds,
      maxAge: maxAgeOf(record)
    }),
    expired: (record, maxAge) => ageOf(record) > Duration.toMillis(maxAge),
    expiredByStore: (entry, maxAge) => isOlder(store.clock, maxAge ?? options.maxAge)(entry.created),
    lastOf: (key) =>
      Effect.map(
        store.history(key, { fromLeader: true }),
        ([last]) => lastOf(last, ages)
      )
  }
})
