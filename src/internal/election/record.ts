/** The record of an election as it is stored, and the states of its key. Pure. */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { KVEntry } from "../../KVStore.ts"
import { Metadata } from "../../ServiceInstance.ts"
import { nonceLength } from "../identity.ts"
import { frozen } from "../metadata.ts"
import { largestRecord, textOfRecord } from "../storedJson.ts"

export const keyPrefix = "election"

export const keyOf = (election: string): string => `${keyPrefix}.${election}`

export const electionOf = (key: string): string => key.slice(keyPrefix.length + 1)

/** The key that the terms of an election will be guarded by. No version writes it yet. */
export const termKeyOf = (election: string): string => `term.${election}`

export const stepDownPrefix = "stepdown"

/** The key of a request that the leader of an election hands over (E30). */
export const stepDownKeyOf = (election: string): string => `${stepDownPrefix}.${election}`

export const isStepDownKey = (key: string): boolean => key.startsWith(`${stepDownPrefix}.`)

export const stepDownElectionOf = (key: string): string => key.slice(stepDownPrefix.length + 1)

const Counter = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** Counters must be able to grow: a record with a larger counter is from another writer, and cannot be decoded. */
export const largestCounter = 2 ** 52

/**
 * The longest lease that a candidate can configure, in milliseconds. A longer lease, from another writer, counts as this:
 * it would block the election, and outlive the removal of its record (E5).
 */
export const longestLease = Duration.toMillis(Duration.hours(1))

export const StoredRecord = Schema.Struct({
  candidateId: Schema.String,
  /**
   * New for every campaign: a restarted process with the same `candidateId` must not take its former record for its
   * own (E2).
   */
  nonce: Schema.String,
  term: Counter,
  /** The number of this write among the writes of this nonce: it shows WHICH attempt landed (E3). */
  attempt: Counter,
  leaseMillis: Schema.Finite.check(Schema.isGreaterThan(0)),
  /** By the winner's wall clock, for display. */
  electedAt: Schema.DateTimeUtc,
  /** The revision of the write that won. Absent in that write itself. */
  electedRevision: Schema.optionalKey(Counter),
  /** True after a hand-over. The key is kept so that `term` continues (E4). */
  vacant: Schema.Boolean,
  /** `Releasing` while the work of the leader stops; absent otherwise. Later versions may have other states. */
  state: Schema.optionalKey(Schema.String),
  metadata: Metadata
})

/** The `state` of a record that was written while the work of the leader stops. */
export const releasing = "Releasing"

export type StoredRecord = typeof StoredRecord.Type

const json = Schema.fromJsonString(Schema.toCodecJson(StoredRecord))
const encodeText = Schema.encodeSync(json)
const decodeText = Schema.decodeUnknownResult(json)

export const encode = (record: StoredRecord): Uint8Array => new TextEncoder().encode(encodeText(record))

/**
 * The size in bytes of the largest record that a candidate may have to write. `term`, `attempt` and `electedRevision`
 * grow while it leads, and the record must still fit at each renewal.
 */
export const largestSize = (fields: Pick<StoredRecord, "candidateId" | "leaseMillis" | "metadata">): number =>
  encode({
    ...fields,
    nonce: "n".repeat(nonceLength),
    term: Number.MAX_SAFE_INTEGER,
    attempt: Number.MAX_SAFE_INTEGER,
    electedAt: DateTime.makeUnsafe(0),
    electedRevision: Number.MAX_SAFE_INTEGER,
    vacant: false,
    state: releasing
  }).length

/** The state of the key. `Held`: not vacant. `Undecodable` counts as held by an unknown leader (E5). */
export type Seen =
  | { readonly _tag: "Absent" }
  | { readonly _tag: "Held"; readonly revision: number; readonly created: DateTime.Utc; readonly record: StoredRecord }
  | {
    readonly _tag: "Vacant"
    readonly revision: number
    readonly created: DateTime.Utc
    readonly record: StoredRecord
  }
  | {
    readonly _tag: "Undecodable"
    readonly revision: number
    readonly created: DateTime.Utc
    /** The largest positive `leaseMillis` in the text; undefined without one. */
    readonly leaseMillis: number | undefined
    readonly cause: unknown
  }

export type Held = Extract<Seen, { readonly _tag: "Held" }>
export type Vacant = Extract<Seen, { readonly _tag: "Vacant" }>

export const absent: Seen = { _tag: "Absent" }

const hasRoom = ({ attempt, term }: StoredRecord): boolean => term <= largestCounter && attempt <= largestCounter

const decode = (value: Uint8Array): Result.Result<StoredRecord, unknown> =>
  textOfRecord(value).pipe(
    Result.flatMap(decodeText),
    Result.map((record) => ({ ...record, metadata: frozen(record.metadata) })),
    Result.filterOrFail(hasRoom, () => "a counter is too large")
  )

const leases = /"leaseMillis"\s*:\s*(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/g

/**
 * The lease in a record that cannot be decoded: the record of a leader of a later version, or one that was damaged or cut
 * off, so its text need not be JSON. Reads no more than the size of a record.
 */
const leaseIn = (value: Uint8Array): number | undefined => {
  const text = new TextDecoder().decode(value.subarray(0, largestRecord))
  const found = Array.from(text.matchAll(leases), ([, digits]) => Number(digits)).filter((millis) => millis > 0)
  return found.length === 0 ? undefined : found.reduce((largest, millis) => Math.max(largest, millis))
}

export const fromEntry = (entry: KVEntry): Seen => {
  const { created, revision } = entry
  return Result.match(decode(entry.value), {
    onFailure: (cause): Seen => ({
      _tag: "Undecodable",
      revision,
      created,
      leaseMillis: leaseIn(entry.value),
      cause
    }),
    onSuccess: (record): Seen => ({ _tag: record.vacant ? "Vacant" : "Held", revision, created, record })
  })
}

export const fromRead = (entry: Option.Option<KVEntry>): Seen =>
  Option.match(entry, { onNone: () => absent, onSome: fromEntry })

/** The milliseconds for which a lease in a record counts. */
export const leaseFor = (leaseMillis: number): number => Math.min(leaseMillis, longestLease)

/** The revision of the write that won this term (E25). */
export const electedRevisionOf = (seen: Extract<Seen, { readonly record: StoredRecord }>): number =>
  seen.record.electedRevision ?? seen.revision
