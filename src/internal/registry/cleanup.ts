/**
 * One run of the cleanup. It judges all records first, then purges each expired
 * record on the condition of its revision: a record that has received a heartbeat
 * since is kept (docs/protocols/registry.md, R20 to R22).
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type { KVEntry } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import { registryCleanup } from "../../Metrics.ts"
import type { CleanupReport } from "../../Registry.ts"
import { Repeated } from "../logs.ts"
import { update } from "../metrics.ts"
import { shortened } from "../texts.ts"
import type { Access } from "./access.ts"
import { isLegacyKey } from "./keys.ts"
import { legacyPrefix } from "./legacyRecord.ts"
import { type Aged, ages } from "./outages.ts"
import { type Names, namesOf } from "./record.ts"
import type { RegistryView } from "./view.ts"

/**
 * Self-preservation applies to services with at least this many records: all instances
 * of a smaller one can crash at once.
 */
const smallestGuarded = 10

/** Number of concurrent removals. */
const removalsAtOnce = 16

/** A record and whether to remove it. */
export interface Judged {
  readonly key: string
  readonly serviceName: string
  /** The instance in the report. Undefined if the key has its names. */
  readonly label?: string | undefined
  readonly revision: number
  /** Why to remove the record; undefined to keep it. */
  readonly reason: string | undefined
}

export interface RemovalPlan {
  readonly remove: ReadonlyArray<Judged>
  /** Services skipped because too many of their instances look expired. */
  readonly preserved: ReadonlyArray<string>
}

/**
 * Chooses the records to remove. Self-preservation skips a service if too many of its instances look expired (R22), unless it
 * has done so for too long.
 */
export const plan = (
  judged: ReadonlyArray<Judged>,
  maxRemovalRatio: number,
  mayPreserve: (serviceName: string) => boolean
): RemovalPlan => {
  const services = Map.groupBy(judged, (one) => one.serviceName)
  const preserved = new Set<string>()
  for (const [serviceName, known] of services) {
    const going = known.filter((one) => one.reason !== undefined).length
    const isMost = known.length >= smallestGuarded && going > known.length * maxRemovalRatio
    if (isMost && mayPreserve(serviceName)) preserved.add(serviceName)
  }
  return {
    remove: judged.filter((one) => one.reason !== undefined && !preserved.has(one.serviceName)),
    preserved: [...preserved]
  }
}

/** By key: the expired revision that earlier runs found, and the time of the first of these runs. */
export type Suspects = Map<string, { readonly revision: number; readonly since: number }>

/**
 * Stores the records to remove as suspects, and returns those found at the same
 * revision at least `after` ms ago (R21).
 */
export const confirm = (suspects: Suspects, remove: ReadonlyArray<Judged>, now: number, after: number) => {
  const confirmed: Array<Judged> = []
  const next: Suspects = new Map()
  for (const one of remove) {
    const known = suspects.get(one.key)
    const since = known?.revision === one.revision ? known.since : now
    next.set(one.key, { revision: one.revision, since })
    if (since !== now && now - since >= after) confirmed.push(one)
  }
  suspects.clear()
  for (const [key, suspect] of next) suspects.set(key, suspect)
  return confirmed
}

/** Self-preservation of a service ends after this many times maxAge: its instances are dead. */
const longestPreservation = 10

/** What a registry remembers between two runs. It counts only while the store stays in reach. */
export class Memory {
  private readonly suspects: Suspects = new Map()
  /** Logs a service that is skipped once a minute. */
  readonly skips = new Repeated()
  /** By service: when a run skipped it first. */
  private readonly preserved = new Map<string, number>()

  confirm(remove: ReadonlyArray<Judged>, now: number, after: number): ReadonlyArray<Judged> {
    return confirm(this.suspects, remove, now, after)
  }

  mayPreserve(serviceName: string, now: number, maxAge: number): boolean {
    const since = this.preserved.get(serviceName)
    return since === undefined || now - since < maxAge * longestPreservation
  }

  /** These services were skipped, and no others. */
  skipped(services: ReadonlyArray<string>, now: number): void {
    for (const known of this.preserved.keys()) if (!services.includes(known)) this.preserved.delete(known)
    for (const service of services) if (!this.preserved.has(service)) this.preserved.set(service, now)
  }

  /** The store was out of reach: the instances had no chance to send a heartbeat. */
  forget(): void {
    this.suspects.clear()
    this.preserved.clear()
  }
}

const shown = ({ instanceId, serviceName }: Names): string => `${serviceName}/${instanceId}`

const instanceName = ({ key, label }: Judged): string => label ?? shown(namesOf(key))

/** AegisSDK's records that do not decode: their service is not known, so self-preservation counts them together. */
const unnamed = `${legacyPrefix}*`

/** The service of a record, and how a report names the instance. `names`: those in a record of AegisSDK that decodes. */
const subjectOf = (key: string, names: Names | undefined): Pick<Judged, "key" | "serviceName" | "label"> => {
  if (!isLegacyKey(key)) return { key, serviceName: namesOf(key).serviceName }
  return { key, serviceName: names?.serviceName ?? unnamed, label: names === undefined ? key : shown(names) }
}

const seconds = (millis: number): string => `${Math.round(millis / 100) / 10}s`

interface JudgedRecord extends Judged {
  readonly invalid: boolean
}

const unreadable = "the record does not decode and has not been written for maxAge"

/** Judges what an open view knows. The run needs no request to read the records then. */
const judgeKnown = (
  access: Access,
  { dead, live }: NonNullable<ReturnType<RegistryView["known"]>>
): ReadonlyArray<JudgedRecord> => {
  const judged = new Map<string, JudgedRecord>()
  const add = (key: string, names: Names | undefined, one: Pick<JudgedRecord, "revision" | "invalid" | "reason">) =>
    judged.set(key, { ...subjectOf(key, names), ...one })
  for (const [key, { names }] of live) add(key, names, { revision: 0, invalid: false, reason: undefined })
  for (const [key, { isDecodable, names, revision, storedAt }] of dead) {
    const reason = isDecodable
      ? `expired: no heartbeat for ${seconds(access.ageAt(storedAt))}`
      : access.expiredByStore({ created: storedAt })
      ? unreadable
      : undefined
    add(key, names, { revision, invalid: !isDecodable, reason })
  }
  return [...judged.values()]
}

/** A record that does not decode is judged by its age too: a newer version of this library may still be writing it. */
const judgeAll = (
  access: Access,
  entries: ReadonlyArray<KVEntry>,
  { maxAge, view }: Pick<CleanupRun, "view" | "maxAge">
): ReadonlyArray<JudgedRecord> => {
  const decoded = entries.map((entry) => ({ entry, record: Result.map(access.decode(entry), access.aged) }))
  const ageOf = ages(decoded.flatMap(({ record }) => Result.isSuccess(record) ? [record.success] : []), access.now())
  const isExpired = (key: string, one: Aged): boolean =>
    maxAge === undefined ? ageOf(one) > one.maxAge && view()?.isLive(key) !== true : access.expired(one.record, maxAge)
  return decoded.map(({ entry, record }) => {
    const { key, revision } = entry
    return Result.match(record, {
      onFailure: () => ({
        ...subjectOf(key, undefined),
        revision,
        invalid: true,
        reason: access.expiredByStore(entry, maxAge)
          ? unreadable
          : undefined
      }),
      onSuccess: (one) => ({
        ...subjectOf(key, one.record.instance),
        revision,
        invalid: false,
        reason: isExpired(key, one)
          ? `expired: no heartbeat for ${seconds(access.ageOf(one.record))}`
          : undefined
      })
    })
  })
}

export interface CleanupRun {
  /** An age for all records, which then are judged by it alone. Undefined: the age of each, without outages. */
  readonly maxAge: Access["maxAge"] | undefined
  /** The open view of this process. */
  readonly view: () => RegistryView | undefined
  readonly dryRun: boolean
  readonly maxRemovalRatio: number
  /** Whether to remove only what an earlier run found, too. */
  readonly confirm: boolean
  readonly memory: Memory
  /** The monotonic time, in milliseconds. */
  readonly now: () => number
  /** The least time between two runs that find a record, in milliseconds. */
  readonly confirmAfter: number
}

/** The attributes of the span of a run. */
export const attributesOf = <E>(exit: Exit.Exit<CleanupReport, E>) => {
  if (Exit.isFailure(exit)) return {}
  const { conflicts, failed, removed, scanned } = exit.value
  return {
    "registry.scanned": scanned,
    "registry.removed": removed.length,
    "registry.conflicts": conflicts,
    "registry.failed": failed.length
  }
}

type RemovalOutcome = "removed" | "conflict" | KVStoreError

/** Purges one record. Returns an error as a value, so that it does not stop the other removals. */
const remove = (access: Access, one: Judged, view: CleanupRun["view"]): Effect.Effect<RemovalOutcome> =>
  Effect.match(access.store.purge(one.key, { revision: one.revision }), {
    onSuccess: () => {
      view()?.removed(one.key)
      return "removed" as const
    },
    onFailure: (error) => error.reason._tag === "RevisionMismatch" ? "conflict" as const : error
  })

export const run = Effect.fnUntraced(function*(
  access: Access,
  options: CleanupRun
): Effect.fn.Return<CleanupReport, KVStoreError> {
  const { memory } = options
  const known = options.maxAge === undefined ? options.view()?.known() : undefined
  const judged = known === undefined
    ? judgeAll(access, yield* access.entries(undefined), options)
    : judgeKnown(access, known)
  const now = options.now()
  const maxAge = Duration.toMillis(access.maxAge)
  const { preserved, remove: all } = plan(
    judged,
    options.maxRemovalRatio,
    (serviceName) => memory.mayPreserve(serviceName, now, maxAge)
  )
  memory.skipped(preserved, now)
  for (const serviceName of preserved) {
    yield* memory.skips.log(
      serviceName,
      Effect.logWarning(
        `the cleanup skips ${
          shortened(serviceName)
        }: its share of expired instances is above maxRemovalRatio (${options.maxRemovalRatio})`
      )
    )
  }
  const going = options.confirm ? memory.confirm(all, now, options.confirmAfter) : all
  const outcomes = options.dryRun
    ? going.map((): RemovalOutcome => "removed")
    : yield* Effect.forEach(going, (one) => remove(access, one, options.view), { concurrency: removalsAtOnce })
  const report = {
    scanned: judged.length,
    removed: going.flatMap((one, index) =>
      outcomes[index] === "removed" ? [{ instance: instanceName(one), reason: one.reason! }] : []
    ),
    conflicts: outcomes.filter((outcome) => outcome === "conflict").length,
    failed: outcomes.flatMap((outcome, index) =>
      typeof outcome === "string" ? [] : [{ instance: instanceName(going[index]!), reason: outcome.message }]
    ),
    undecodable: judged.filter((one) => one.invalid).map(instanceName),
    preserved
  }
  if (!options.dryRun) {
    yield* update(registryCleanup, { outcome: "removed" }, report.removed.length)
    yield* update(registryCleanup, { outcome: "failed" }, report.failed.length)
  }
  yield* update(registryCleanup, { outcome: "preserved" }, preserved.length)
  return report
})
