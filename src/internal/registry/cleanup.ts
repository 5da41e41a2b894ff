/**
 * One run of the cleanup: what to remove is decided as a whole, and then done
 * one compare-and-purge at a time, so that an instance that sends a heartbeat
 * in between is kept (docs/protocols/registry.md, R20 to R22).
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { KVEntry } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import type { CleanupReport } from "../../Registry.ts"
import type { Access } from "./access.ts"
import { keyPrefix, namesOf } from "./record.ts"

/** Below this many known instances a service is small enough for all of it to be gone. */
const smallestGuarded = 10

/** How many removals are under way at once. */
const removalsAtOnce = 16

/** One record, judged. */
export interface Judged {
  readonly key: string
  readonly serviceName: string
  readonly revision: number
  /** Why it goes; undefined: it stays. */
  readonly reason: string | undefined
}

export interface RemovalPlan {
  readonly remove: ReadonlyArray<Judged>
  /** Services of which too many would go: nothing of theirs is removed. */
  readonly preserved: ReadonlyArray<string>
}

/** Self-preservation: where much of a service looks expired at once, none of it is removed. */
export const plan = (judged: ReadonlyArray<Judged>, maxRemovalRatio: number): RemovalPlan => {
  const services = Map.groupBy(judged, (one) => one.serviceName)
  const preserved = new Set<string>()
  for (const [serviceName, known] of services) {
    const going = known.filter((one) => one.reason !== undefined).length
    if (known.length >= smallestGuarded && going > known.length * maxRemovalRatio) preserved.add(serviceName)
  }
  return {
    remove: judged.filter((one) => one.reason !== undefined && !preserved.has(one.serviceName)),
    preserved: [...preserved]
  }
}

/** What an earlier run saw, by key. */
export type Suspects = Map<string, { readonly revision: number; readonly since: number }>

/** Remembers the records that are to go, and returns those that an earlier run saw unchanged at least `after` ms before. */
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

const instanceName = (key: string): string => {
  const { instanceId, serviceName } = namesOf(key)
  return `${serviceName}/${instanceId}`
}

const seconds = (millis: number): string => `${Math.round(millis / 100) / 10}s`

/** What does not decode goes by its age too: a record of a newer version that is still written is kept. */
const judge = (access: Access, entry: KVEntry, maxAge: Access["maxAge"]): Judged & { readonly invalid: boolean } => {
  const { serviceName } = namesOf(entry.key)
  const base = { key: entry.key, serviceName, revision: entry.revision }
  return Result.match(access.decode(entry), {
    onFailure: () => ({
      ...base,
      invalid: true,
      reason: access.expiredByStore(entry, maxAge)
        ? "it does not decode, and has not been written for maxAge"
        : undefined
    }),
    onSuccess: (record) => ({
      ...base,
      invalid: false,
      reason: access.expired(record.instance, maxAge)
        ? `expired: no heartbeat for ${seconds(access.ageOf(record))}`
        : undefined
    })
  })
}

export interface CleanupRun {
  readonly maxAge: Access["maxAge"]
  readonly dryRun: boolean
  readonly maxRemovalRatio: number
  /** Which of these an earlier run saw as well. */
  readonly confirmed: (remove: ReadonlyArray<Judged>) => ReadonlyArray<Judged>
}

type RemovalOutcome = "removed" | "conflict" | KVStoreError

/** One that cannot be removed does not stop the others. */
const remove = (access: Access, one: Judged): Effect.Effect<RemovalOutcome> =>
  Effect.match(access.store.purge(one.key, { revision: one.revision }), {
    onSuccess: () => "removed" as const,
    onFailure: (error) => error.reason._tag === "RevisionMismatch" ? "conflict" as const : error
  })

export const run = Effect.fnUntraced(function*(
  access: Access,
  options: CleanupRun
): Effect.fn.Return<CleanupReport, KVStoreError> {
  const entries = yield* access.store.entries(`${keyPrefix}.*.*`)
  const judged = entries.map((entry) => judge(access, entry, options.maxAge))
  const { preserved, remove: all } = plan(judged, options.maxRemovalRatio)
  for (const serviceName of preserved) {
    yield* Effect.logWarning(
      `preserved ${serviceName}: more of it looks expired than maxRemovalRatio (${options.maxRemovalRatio}) lets one run remove`
    )
  }
  const going = options.confirmed(all)
  const outcomes = options.dryRun
    ? going.map((): RemovalOutcome => "removed")
    : yield* Effect.forEach(going, (one) => remove(access, one), { concurrency: removalsAtOnce })
  return {
    scanned: entries.length,
    removed: going.flatMap((one, index) =>
      outcomes[index] === "removed" ? [{ instance: instanceName(one.key), reason: one.reason! }] : []
    ),
    conflicts: outcomes.filter((outcome) => outcome === "conflict").length,
    failed: outcomes.flatMap((outcome, index) =>
      typeof outcome === "string" ? [] : [{ instance: instanceName(going[index]!.key), reason: outcome.message }]
    ),
    undecodable: judged.filter((one) => one.invalid).map((one) => instanceName(one.key)),
    preserved
  }
})
