/**
 * The record of an election as it is stored, and what a look at its key shows.
 * Pure.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import { identity } from "effect/Function"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { KVEntry } from "../../KVStore.ts"
import { Metadata } from "../../ServiceInstance.ts"
import { nonceLength } from "../identity.ts"
import { longest } from "../options.ts"

export const keyPrefix = "election"

export const keyOf = (election: string): string => `${keyPrefix}.${election}`

export const electionOf = (key: string): string => key.slice(keyPrefix.length + 1)

const Counter = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))

/** What is counted on from is far from the end of the safe integers: a record with more is another writer's. */
const largestCounter = 2 ** 52

/** As long as a candidate may ask for: a longer one, of another writer, would hold an election for ever. */
const longestLease = Duration.toMillis(longest)

export const StoredRecord = Schema.Struct({
  candidateId: Schema.String,
  /** New for every campaign: a restarted process with the same id is a stranger to its old self (E2). */
  nonce: Schema.String,
  term: Counter,
  /** Numbers this nonce's attempts, so that who reads it back knows WHICH attempt landed (E3). */
  attempt: Counter,
  leaseMillis: Schema.Finite.check(Schema.isGreaterThan(0), Schema.isLessThanOrEqualTo(longestLease)),
  /** Informational: the winner's own clock. */
  electedAt: Schema.DateTimeUtc,
  /** The revision of the write that won; absent in that write itself. */
  electedRevision: Schema.optionalKey(Counter),
  /** Leadership is handed over: the key stays, so that `term` goes on counting (E4). */
  vacant: Schema.Boolean,
  metadata: Metadata
})

export type StoredRecord = typeof StoredRecord.Type

const json = Schema.fromJsonString(Schema.toCodecJson(StoredRecord))
const encodeText = Schema.encodeSync(json)
const decodeText = Schema.decodeUnknownResult(json)

export const encode = (record: StoredRecord): Uint8Array => new TextEncoder().encode(encodeText(record))

/**
 * The size in bytes of the largest record that a candidate may have to write:
 * `term`, `attempt` and `electedRevision` grow while it leads, and what fitted
 * when it campaigned must fit at every renewal.
 */
export const largestSize = (fields: Pick<StoredRecord, "candidateId" | "leaseMillis" | "metadata">): number =>
  encode({
    ...fields,
    nonce: "n".repeat(nonceLength),
    term: Number.MAX_SAFE_INTEGER,
    attempt: Number.MAX_SAFE_INTEGER,
    electedAt: DateTime.makeUnsafe(0),
    electedRevision: Number.MAX_SAFE_INTEGER,
    vacant: false
  }).length

/** What a look at the key shows. `Held` is live; what does not decode counts as held, by whom is not known (E5). */
export type Seen =
  | { readonly _tag: "Absent" }
  | { readonly _tag: "Held"; readonly revision: number; readonly created: DateTime.Utc; readonly record: StoredRecord }
  | {
    readonly _tag: "Vacant"
    readonly revision: number
    readonly created: DateTime.Utc
    readonly record: StoredRecord
  }
  | { readonly _tag: "Undecodable"; readonly revision: number; readonly created: DateTime.Utc }

export type Held = Extract<Seen, { readonly _tag: "Held" }>

export const absent: Seen = { _tag: "Absent" }

const hasRoom = ({ attempt, term }: StoredRecord): boolean => term <= largestCounter && attempt <= largestCounter

const decode = (value: Uint8Array): Result.Result<StoredRecord, unknown> =>
  // Bytes that are no UTF-8 are no JSON either: what stands for them does not parse, or is not what we wrote. JSON that is
  // nested too deep throws.
  Result.flatMap(Result.try(() => decodeText(new TextDecoder().decode(value))), identity).pipe(
    Result.filterOrFail(hasRoom, () => "a count that has no next")
  )

export const fromEntry = (entry: KVEntry): Seen => {
  const { created, revision } = entry
  return Result.match(decode(entry.value), {
    onFailure: (): Seen => ({ _tag: "Undecodable", revision, created }),
    onSuccess: (record): Seen => ({ _tag: record.vacant ? "Vacant" : "Held", revision, created, record })
  })
}

export const fromRead = (entry: Option.Option<KVEntry>): Seen =>
  Option.match(entry, { onNone: () => absent, onSome: fromEntry })

/** The revision of the write that won this term (E25). */
export const electedRevisionOf = (seen: Extract<Seen, { readonly record: StoredRecord }>): number =>
  seen.record.electedRevision ?? seen.revision
