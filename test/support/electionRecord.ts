/** Election records, for table tests of the election's decisions. */
import * as DateTime from "effect/DateTime"
import type { StoredRecord } from "../../src/internal/election/record.ts"
import { type Seen } from "../../src/internal/election/record.ts"

export const created = DateTime.makeUnsafe(2_000_000)

export const recordOf = (fields: Partial<StoredRecord> = {}): StoredRecord => ({
  candidateId: "a",
  nonce: "mine",
  term: 3,
  attempt: 5,
  leaseMillis: 20_000,
  electedAt: DateTime.makeUnsafe(1_000_000),
  vacant: false,
  metadata: {},
  ...fields
})

export type Held = Extract<Seen, { readonly _tag: "Held" }>
export type Vacant = Extract<Seen, { readonly _tag: "Vacant" }>

export const held = (revision: number, fields?: Partial<StoredRecord>): Held => ({
  _tag: "Held",
  revision,
  created,
  record: recordOf(fields)
})

export const vacant = (revision: number, fields?: Partial<StoredRecord>): Vacant => ({
  _tag: "Vacant",
  revision,
  created,
  record: recordOf({ ...fields, vacant: true })
})

export const undecodable = (revision: number, leaseMillis?: number): Seen => ({
  _tag: "Undecodable",
  revision,
  created,
  leaseMillis,
  cause: "not a record"
})
