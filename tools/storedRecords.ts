/**
 * Hostile records: mutations of valid records of instances and leaders, as another
 * writer could store them, and the check that no function of this library throws on
 * one.
 */
import * as DateTime from "effect/DateTime"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Result from "effect/Result"
import * as electionRecord from "../src/internal/election/record.ts"
import * as instanceRecord from "../src/internal/registry/record.ts"
import { Chance } from "../src/testing/internal/world/chance.ts"

const instance = {
  serviceName: "orders",
  instanceId: "one",
  version: "1.2.3",
  status: "ACTIVE",
  lastHeartbeat: "2026-01-01T00:00:00.000Z",
  metadata: { zone: "a", ports: [80, 443] },
  stickyActiveGroup: "eu",
  nonce: "mine"
}

const leader = {
  candidateId: "one",
  nonce: "mine",
  term: 3,
  attempt: 5,
  leaseMillis: 20_000,
  electedAt: "2026-01-01T00:00:00.000Z",
  electedRevision: 7,
  vacant: false,
  metadata: { zone: "a" }
}

const levels = [1, 100, 253, 254, 255, 256, 257, 1000, 1500, 2500, 4000, 9000]

const nested = (open: string, close: string) => (count: number) => `${open.repeat(count)}1${close.repeat(count)}`
const lists = nested("[", "]")
const objects = nested(`{"a":`, "}")

const values: ReadonlyArray<(chance: Chance) => string> = [
  () => "null",
  () => "true",
  () => "-0",
  () => "1e400",
  () => "1e-400",
  () => "9007199254740991",
  () => "9007199254740992",
  () => "-1",
  () => "1.5",
  () => "\"\"",
  () => "\"\\ud800\"",
  () => "\"\\u0000\"",
  () => "\"a.b\"",
  () => "\"one\"",
  () => "\"ACTIVE\"",
  () => "\"+275760-09-13T00:00:00.001Z\"",
  () => "\"-271821-04-20T00:00:00.000Z\"",
  () => "[]",
  () => "{}",
  () => "{\"__proto__\":{\"a\":1},\"constructor\":1,\"toJSON\":2,\"then\":3,\"_tag\":\"x\"}",
  () => `"${"x".repeat(5000)}"`,
  (chance) => lists(chance.pick(levels)),
  (chance) => objects(chance.pick(levels)),
  (chance) => `{"a":${lists(chance.pick(levels))},"b":"${"[".repeat(600)}"}`
]

const encoder = new TextEncoder()

/** Returns the fields as JSON text, with some of them replaced, repeated, removed or added. */
const changedText = (fields: object, chance: Chance): string => {
  const texts = Object.entries(fields).map(([name, value]) => [name, JSON.stringify(value)] as const)
  const names = [...texts.map(([name]) => name), "other", "__proto__", "toJSON", "group", "then"]
  const changes = Array.from(
    { length: 1 + chance.below(3) },
    () => [chance.pick(names), chance.pick(values)(chance)] as const
  )
  const removed = chance.below(4) === 0 ? chance.pick(names) : undefined
  const all = [...texts.filter(([name]) => name !== removed), ...changes]
  return `{${all.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(",")}}`
}

/** Changes single bytes, or cuts the end off. */
const damaged = (bytes: Uint8Array, chance: Chance): Uint8Array => {
  if (chance.below(3) === 0) return bytes.slice(0, chance.below(bytes.length + 1))
  const copy = bytes.slice()
  for (let n = 0; n <= chance.below(4); n++) copy[chance.below(copy.length)] = chance.below(256)
  return copy
}

/** A record as JSON text with other fields, or with other bytes. */
export const hostile = (fields: object, chance: Chance): Uint8Array => {
  const bytes = encoder.encode(changedText(fields, chance))
  return chance.below(4) === 0 ? damaged(bytes, chance) : bytes
}

const created = DateTime.makeUnsafe(0)

const walks = (value: unknown, same: unknown) => {
  Equal.equals(value, same)
  Hash.hash(value)
  JSON.stringify(value)
}

const checkInstance = (value: Uint8Array): boolean => {
  const entry = { key: "service-instances.orders.one", value, revision: 1, created }
  const [one, other] = [instanceRecord.decode(entry), instanceRecord.decode(entry)]
  if (Result.isFailure(one) || Result.isFailure(other)) return false
  walks(one.success.instance, other.success.instance)
  const fields = { lastHeartbeat: created }
  walks(instanceRecord.changed(one.success.instance, fields), instanceRecord.changed(other.success.instance, fields))
  instanceRecord.encode(one.success)
  return true
}

const checkLeader = (value: Uint8Array): boolean => {
  const entry = { key: "election.orders", value, revision: 1, created }
  const [one, other] = [electionRecord.fromEntry(entry), electionRecord.fromEntry(entry)]
  if (one._tag !== "Held" && one._tag !== "Vacant") return false
  walks(one, other)
  electionRecord.encode({ ...one.record, term: one.record.term + 1, attempt: one.record.attempt + 1 })
  return true
}

/** The numbers of records that were decoded, and of those that were refused. */
export interface Checked {
  readonly decoded: number
  readonly refused: number
}

/** Checks `count` hostile records. Throws if a function throws, with the record in the error. */
export const checkRecords = (count: number, seed: number): Checked => {
  const chance = new Chance(seed)
  let decoded = 0
  for (let n = 0; n < count; n++) {
    const [fields, check] = n % 2 === 0 ? [instance, checkInstance] as const : [leader, checkLeader] as const
    const value = hostile(fields, chance)
    try {
      if (check(value)) decoded++
    } catch (cause) {
      throw new Error(`record ${n} of seed ${seed} throws: ${new TextDecoder().decode(value).slice(0, 2000)}`, {
        cause
      })
    }
  }
  return { decoded, refused: count - decoded }
}
