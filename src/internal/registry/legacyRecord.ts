/**
 * Decodes the record of an instance that AegisSDK for Python wrote, under the key that it uses. The names come from the
 * record: they may contain the separator of the key (docs/protocols/registry.md, R31 and R32). Pure.
 */
import * as DateTime from "effect/DateTime"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { KVEntry } from "../../KVStore.ts"
import { shown } from "../options.ts"
import { decodeInstance, groupField, type InstanceRecord, type Names, parse } from "./record.ts"

export const legacyPrefix = "service-instances__"

export const legacyKeyOf = ({ instanceId, serviceName }: Names): string =>
  `${legacyPrefix}${serviceName}__${instanceId}`

/** The spellings of each field. The first one that has a value counts. */
const spellings = {
  serviceName: ["serviceName", "service_name"],
  instanceId: ["instanceId", "instance_id"],
  version: ["version"],
  status: ["status"],
  lastHeartbeat: ["lastHeartbeat", "last_heartbeat"],
  group: [groupField, "sticky_active_group"],
  metadata: ["metadata"]
} as const

const known: ReadonlySet<string> = new Set(Object.values(spellings).flat())

/** AegisSDK requires a version of this form. A reader that compares versions can read it, and takes it for the oldest. */
const unknownVersion = "0.0.0"

/** A time as Python writes it: with microseconds or without, and without a zone if it is a naive one, which is UTC. */
const time = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(Z|[+-]\d\d:?\d\d)?$/

/** Milliseconds since 1970; NaN if the value is not a time. */
const toTime = (value: unknown): number => {
  const found = typeof value === "string" ? time.exec(value) : null
  return found === null ? Number.NaN : Date.parse(`${found[0].replace(" ", "T")}${found[1] === undefined ? "Z" : ""}`)
}

/** The time of a record that has none is that at which the store stored it. */
const heartbeatOf = (value: unknown, { created }: KVEntry): Result.Result<DateTime.Utc, string> => {
  if (value === undefined) return Result.succeed(created)
  const millis = toTime(value)
  return Number.isNaN(millis)
    ? Result.fail(`lastHeartbeat: expected a time such as "2026-11-01T12:00:00.123456+00:00", got ${shown(value)}`)
    : Result.succeed(DateTime.makeUnsafe(millis))
}

const groupNames: ReadonlySet<string> = new Set(spellings.group)

/** A group that is not a text is kept with the unknown fields, as one under the key of this library is. */
const isUnknown = ([name, value]: readonly [name: string, value: unknown]): boolean =>
  !known.has(name) || (groupNames.has(name) && !Predicate.isString(value))

const read = (entry: KVEntry, stored: object): Result.Result<InstanceRecord, unknown> => {
  const valueOf = (field: keyof typeof spellings): unknown =>
    spellings[field]
      .map((name) => Object.hasOwn(stored, name) ? Reflect.get(stored, name) as unknown : undefined)
      .find((value) => value !== undefined && value !== null)
  const group = valueOf("group")
  return Result.flatMap(heartbeatOf(valueOf("lastHeartbeat"), entry), (lastHeartbeat) =>
    Result.map(
      decodeInstance({
        serviceName: valueOf("serviceName"),
        instanceId: valueOf("instanceId"),
        version: valueOf("version") ?? unknownVersion,
        status: valueOf("status") ?? "ACTIVE",
        lastHeartbeat: DateTime.formatIso(lastHeartbeat),
        metadata: valueOf("metadata") ?? {},
        ...Predicate.isString(group) && { group }
      }),
      (instance) => ({
        instance,
        times: { maxAge: undefined, streakSince: undefined, streakAfter: undefined },
        nonce: undefined,
        rest: Object.fromEntries(Object.entries(stored).filter(isUnknown)),
        isLegacy: true
      })
    ))
}

/** Decodes the entry of a key. Fails if the value is not a record of AegisSDK, or if the record names another key. */
export const decodeLegacy = (entry: KVEntry): Result.Result<InstanceRecord, unknown> =>
  parse(entry.value).pipe(
    Result.flatMap((stored) => read(entry, stored)),
    Result.filterOrFail(
      ({ instance }) => legacyKeyOf(instance) === entry.key,
      ({ instance }) => `the record names the key ${legacyKeyOf(instance)}`
    )
  )
