/**
 * Checks of recorded histories: elections, guarded writes and registries.
 *
 * A history is plain data: terms of leadership, writes that a guarded resource
 * accepted, stored heartbeats of instances, and results of lookups.
 * `History` records one in a simulation. It can also come from real processes with
 * synchronized clocks.
 *
 * Each check is a pure function that returns the violations, the earliest first, or an
 * empty list. A violation contains the recorded facts that prove it.
 *
 * Times are milliseconds on one clock for the whole history. A check takes
 * O(n log n) time for a history of length n. Each lookup adds the number of instances of
 * its service, and each instance adds the number of pairs of its lifetimes.
 *
 * @since 0.1.0
 */
import type { FencingToken } from "../FencingToken.ts"
import { leaders, writes } from "./internal/checks/leaders.ts"
import { lifetimes } from "./internal/checks/lifetimes.ts"
import { lookups } from "./internal/checks/lookups.ts"
import { cleanups } from "./internal/checks/removals.ts"
import { report } from "./internal/checks/report.ts"
import { records } from "./internal/checks/timelines.ts"
import { vacancies } from "./internal/checks/vacancies.ts"
import { ifValid, ifWellFormed, registrySettings, withinSettings } from "./internal/checks/wellFormed.ts"

/**
 * The name of a rule that a check verifies.
 *
 * **Details**
 *
 * - `atMostOneLeader`: `one valid leader`, `one running leader`, `tokens grow`
 * - `leaderWithin`: `elections have a leader`
 * - `noStaleWrite`: `no stale write`
 * - `registryAccuracy`: all other rules except `the history is well formed`
 *
 * Every check reports `the history is well formed` if the history or an option is
 * invalid, and then verifies no other rule.
 *
 * @category models
 * @since 0.1.0
 */
export type Rule =
  | "one valid leader"
  | "one running leader"
  | "tokens grow"
  | "elections have a leader"
  | "no stale write"
  | "live instances are listed"
  | "observers keep live instances"
  | "expired instances are not listed"
  | "live instances send heartbeats"
  | "ids are unique"
  | "deregistered instances send no heartbeats"
  | "only expired instances are cleaned up"
  | "losses have their true reason"
  | "registrations are stored"
  | "the history is well formed"

/**
 * A violation of a rule, with the shortest history that proves it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Violation {
  /** The violated rule. */
  readonly rule: Rule
  /** The earliest time at which the violation could be seen, in milliseconds of the history. */
  readonly at: number
  /** One sentence about the violation, with the nodes and instances involved. */
  readonly message: string
  /** The recorded facts that prove the violation, in order of time: `  12.304 s  b  leads "job" with token 7-19`. */
  readonly history: ReadonlyArray<string>
}

/**
 * A time during which a node did not run: its process was paused (SIGSTOP), or its
 * machine was suspended. Work on the node cannot be interrupted during a stop.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stop {
  /** The id of the node. */
  readonly node: string
  /** When the stop began, in milliseconds. */
  readonly from: number
  /** When the stop ended, in milliseconds. */
  readonly until: number
}

/**
 * One term of leadership, as recorded by its work.
 *
 * @category models
 * @since 0.1.0
 */
export interface Term {
  /** The name of the election. */
  readonly election: string
  /** The id of the leader's node. */
  readonly node: string
  /** The candidate id of the leader. */
  readonly candidateId: string
  /** The fencing token of the term. */
  readonly token: FencingToken
  /** When the work began, in milliseconds. */
  readonly since: number
  /** When the interruption of the work began. Undefined if the work ended without one, crashed, or is still running. */
  readonly toldToStop: number | undefined
  /** When the work and its finalizers had ended, or the node crashed. Undefined if the work is still running. */
  readonly until: number | undefined
  /** The times at which `isValid` was read as true, in any order. */
  readonly validAt: ReadonlyArray<number>
}

/**
 * The history of one or several elections.
 *
 * @category models
 * @since 0.1.0
 */
export interface LeaderHistory {
  /** The terms of all elections, in any order. */
  readonly terms: ReadonlyArray<Term>
  /** The stops of nodes. Default: none. */
  readonly stops?: ReadonlyArray<Stop> | undefined
  /** When the recording began, in milliseconds. Default 0. */
  readonly begin?: number | undefined
  /** When the recording ended, in milliseconds. */
  readonly end: number
}

/**
 * A write that a leader sent to a guarded resource.
 *
 * @category models
 * @since 0.1.0
 */
export interface GuardedWrite {
  /** The name of the resource. */
  readonly resource: string
  /** The id of the leader's node. */
  readonly node: string
  /** The fencing token of the write. */
  readonly token: FencingToken
  /** When the resource accepted or refused the write, in milliseconds. */
  readonly at: number
  /** Whether the resource accepted the write. */
  readonly accepted: boolean
  /** The written value, for reports. */
  readonly what?: string | undefined
}

/**
 * A heartbeat: a write of an instance's record that the store accepted.
 *
 * @category models
 * @since 0.1.0
 */
export interface Heartbeat {
  /** The instance as `service/id`. */
  readonly instance: string
  /** When the store accepted the write, in milliseconds. */
  readonly at: number
  /** The time that the store gave the write, from which its age counts, in milliseconds. Default: `at`. */
  readonly stampedAt?: number | undefined
}

/**
 * A removal of an instance's record from the store.
 *
 * **Details**
 *
 * After a `lost` removal the state of the record is unknown: a stream that was rolled
 * back contains old records again, a recreated stream contains none. Until the next
 * heartbeat or removal, checks then consider only ages.
 *
 * @category models
 * @since 0.1.0
 */
export interface Removal {
  /** The instance as `service/id`. */
  readonly instance: string
  /** When the record was removed, in milliseconds. */
  readonly at: number
  /**
   * `deregistered`: by a deregistration. `cleanedUp`: by a cleanup. `expired`: by the store because of its age. `lost`:
   * the stream was lost, recreated or rolled back.
   */
  readonly how: "deregistered" | "cleanedUp" | "expired" | "lost"
}

/**
 * One registration of an instance by one process.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lifetime {
  /** The instance as `service/id`. */
  readonly instance: string
  /** The id of the node. */
  readonly node: string
  /** When `register` was called: its first write may be stored from then on. Default: 3 s before `from`. */
  readonly registering?: number | undefined
  /** When `register` returned. Equal to `until` if it never returned. */
  readonly from: number
  /**
   * When the scope of the registration began to close, the node crashed, another process deregistered the instance, or
   * the registration reported its loss. Undefined if the lifetime has not ended.
   */
  readonly until: number | undefined
  /**
   * How the lifetime ended: `left` by its own deregistration, `deregistered` by another process, or `crashed`.
   * Undefined if it has not ended, or if it was lost to another process with the same id.
   */
  readonly ended: "left" | "deregistered" | "crashed" | undefined
  /** The loss that the registration reported, if any. */
  readonly lost?: {
    /** The reported reason. */
    readonly as: "Deregistered" | "DuplicateInstance"
    /** When the registration reported the loss, in milliseconds. */
    readonly at: number
  } | undefined
}

/**
 * A time during which a node was stopped or disconnected, its link was degraded, it had
 * no right to use the store, or the store accepted no writes. A step of a node's wall clock
 * is a disruption without a duration.
 *
 * @category models
 * @since 0.1.0
 */
export interface Disruption {
  /** The id of the node. Undefined if the store was disrupted, which affects every node. */
  readonly node: string | undefined
  /** The disrupted bucket. Undefined for all buckets. Checks do not read it: omit disruptions of other buckets. */
  readonly bucket?: string | undefined
  /** When the disruption began, in milliseconds. */
  readonly from: number
  /** When the disruption ended, in milliseconds. */
  readonly until: number
  /**
   * The operations that failed. `writes`: only writes. `requests`: writes, reads and new watches; running watches
   * continued. Default `everything`.
   */
  readonly affects?: "everything" | "requests" | "writes" | undefined
}

/**
 * A call by which a process deregisters an instance of another process.
 *
 * **Details**
 *
 * A deregistration may purge a record that is expired or in doubt instead of leaving a delete marker. The store then
 * shows a `cleanedUp` removal that no cleanup has made.
 *
 * @category models
 * @since 0.1.0
 */
export interface Deregistration {
  /** The instance as `service/id`. */
  readonly instance: string
  /** When the call began, in milliseconds. */
  readonly from: number
  /** When the call ended, in milliseconds. If it has not ended: the end of the recording. */
  readonly until: number
  /**
   * Whether the call failed, was interrupted or has not ended. Its removal may then be stored after `until`, unless the
   * store accepts a heartbeat before: removals are conditioned on the revision that the call has read.
   */
  readonly failed: boolean
}

/**
 * The result of a lookup of one service.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lookup {
  /** The id of the node that performed the lookup. */
  readonly node: string
  /** When the lookup began, in milliseconds. */
  readonly from: number
  /** When the lookup returned, in milliseconds. */
  readonly until: number
  /** The name of the service. */
  readonly service: string
  /** The instances in the result as `service/id`. */
  readonly instances: ReadonlyArray<string>
  /** `list`: a call of `Registry.list`. `watch`: a view that the node updates from watch events. */
  readonly how: "list" | "watch"
  /**
   * When the view began: milliseconds, for `watch`. Lookups with the same `node`, `service` and `since` show one view.
   * They must contain each change of it: only then can a check tell that the view removed an instance, and when.
   * Default: the lookup is checked alone.
   */
  readonly since?: number | undefined
}

/**
 * The history of a registry.
 *
 * @category models
 * @since 0.1.0
 */
export interface RegistryHistory {
  /** The stored heartbeats of all instances, in any order. */
  readonly heartbeats: ReadonlyArray<Heartbeat>
  /** The removals of records, in any order. */
  readonly removals: ReadonlyArray<Removal>
  /** The registrations, in any order. */
  readonly lifetimes: ReadonlyArray<Lifetime>
  /** The calls that deregistered instances of other processes, in any order. Default: none. */
  readonly deregistrations?: ReadonlyArray<Deregistration> | undefined
  /** The disruptions of nodes and of the store, in any order. */
  readonly disruptions: ReadonlyArray<Disruption>
  /** The times at which consumers of watches were lost in the store: milliseconds, in any order. Default: none. */
  readonly interruptions?: ReadonlyArray<number> | undefined
  /** The lookups, in any order. */
  readonly lookups: ReadonlyArray<Lookup>
  /** When the recording ended, in milliseconds. */
  readonly end: number
}

/**
 * The configured times of a registry, and the tolerances of `registryAccuracy`, in
 * milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface RegistryTimes {
  /** The age at which instances expire. */
  readonly maxAge: number
  /** The interval of heartbeats. */
  readonly heartbeat: number
  /** The largest error of an age or a clock reading, and the largest delay of a delivery. */
  readonly tolerance: number
  /**
   * The minimum time between the moment at which a cleanup first sees an instance as expired and its removal. For
   * `Registry.layerCleanup`: one heartbeat interval, minus the error of a fast clock of the cleanup. Default 0: an
   * expired instance may be removed at once.
   */
  readonly confirmation?: number | undefined
  /** The largest lag of `Registry.list` behind the store while it has a leader, on a replicated bucket. Default 0. */
  readonly readLag?: number | undefined
}

/**
 * Checks that each election has at most one leader at a time.
 *
 * **Details**
 *
 * - `one valid leader`: a term is considered valid from its first to its last reading of
 *   `isValid` as true. During this time no other term reads `isValid` as true, not even
 *   at the first or last instant. Stops of nodes make no difference: `isValid` reads the
 *   clocks before it returns.
 * - `one running leader`: the work of two terms never runs at the same time, from
 *   `since` to `until`. A term may begin at the instant at which another ends. Work is
 *   exempt during a stop of its node, and after the stop until it reads `isValid` as
 *   true: a stopped process cannot be interrupted, and fencing tokens protect against
 *   its late writes. Work that exceeds its lease is not exempt.
 * - `tokens grow`: a term that begins later has a higher token. A term may begin late
 *   with a lower token if its node was stopped after the term with the higher token
 *   began. No two terms have the same token.
 *
 * **Gotchas**
 *
 * Some violations cannot be prevented by any lease. If the leader's record is purged by
 * hand, or the stream is lost, while the leader is disconnected, another candidate can
 * lead at the same time, for `renewDeadline` at most. A stream that is rolled back
 * assigns tokens again. Check histories of such runs with `noStaleWrite`.
 *
 * **Example** (Two leaders at the same time)
 *
 * ```ts
 * import * as assert from "node:assert/strict"
 * import { FencingToken } from "effect-aegis"
 * import { Checks } from "effect-aegis/testing"
 *
 * const term = (node: string, revision: number, since: number, until: number): Checks.Term => ({
 *   election: "job",
 *   node,
 *   candidateId: `${node}-1`,
 *   token: new FencingToken.FencingToken({ epoch: 7, revision }),
 *   since,
 *   toldToStop: undefined,
 *   until,
 *   validAt: []
 * })
 *
 * const violations = Checks.atMostOneLeader({
 *   terms: [term("b", 19, 1_000, 9_250), term("c", 23, 9_000, 20_000)],
 *   end: 60_000
 * })
 * assert.equal(
 *   violations[0]?.message,
 *   "b (token 7-19) and c (token 7-23) both ran the work of \"job\" for 0.250 s"
 * )
 * ```
 *
 * @category checkers
 * @since 0.1.0
 */
export const atMostOneLeader = (history: LeaderHistory): ReadonlyArray<Violation> =>
  report(ifWellFormed(history, () => leaders(history)))

/**
 * Checks that no election is without a leader for longer than a given time in which
 * nothing disrupts the fleet.
 *
 * **Details**
 *
 * Checks the elections in `options.elections` and those with a recorded term. Reports a
 * time longer than `options.within` milliseconds without a leader of the election and
 * without a disruption of any node or of the store (`elections have a leader`). A node
 * leads while its work runs, until the interruption of the work begins. A time in which
 * writes are refused is a disruption.
 *
 * After a crash, the next leader needs the lease, up to 2.5 s if its watch restarts at
 * that moment, and half a second. Add the drift of clocks, the time that the work needs to
 * stop, and the pauses between terms if the work ends without a loss of leadership.
 *
 * **Gotchas**
 *
 * At least one candidate must campaign at any time.
 *
 * @category checkers
 * @since 0.1.0
 */
export const leaderWithin = (
  history: LeaderHistory & {
    /** The disruptions of nodes and of the store, in any order. */
    readonly disruptions: ReadonlyArray<Disruption>
  },
  options: {
    /** The names of elections that must have a leader, even if no term was recorded. */
    readonly elections: ReadonlyArray<string>
    /** The longest time without a leader, in milliseconds. */
    readonly within: number
  }
): ReadonlyArray<Violation> =>
  report(
    ifValid("options", options, withinSettings, () =>
      ifWellFormed(history, () =>
        vacancies(history, history.disruptions, options.within, options.elections)))
  )

/**
 * Checks that no resource accepts a token lower than a token that it accepted before
 * (`no stale write`).
 *
 * **Details**
 *
 * The writes of a resource are ordered by `at`, and by their order in the history if
 * `at` is equal. Refused writes are ignored.
 *
 * @category checkers
 * @since 0.1.0
 */
export const noStaleWrite = (history: ReadonlyArray<GuardedWrite>): ReadonlyArray<Violation> =>
  report(ifWellFormed(history, () => writes(history)))

/**
 * Checks that a registry lists live instances and no expired ones, and that live
 * instances send heartbeats.
 *
 * **Details**
 *
 * Ages count from the times that the STORE gave the heartbeats. A lookup may read at
 * any moment between its beginning and its end, and its ages may be wrong by `tolerance`.
 * An instance that no rule requires or forbids may be listed or not.
 *
 * Lookups:
 *
 * - `live instances are listed`: a lookup lists an instance if the last heartbeat before
 *   the lookup is at most `maxAge - tolerance` old at the end of the lookup and the
 *   instance was not removed since.
 * - `expired instances are not listed`: a lookup does not list an instance if its last
 *   heartbeat is older than `maxAge + tolerance` at the beginning of the lookup, or if it
 *   was removed before the lookup and has sent no heartbeat since.
 * - after missed heartbeats: a lookup may contain an instance that is too old if two other
 *   instances of its service missed a heartbeat at that time, and have sent one within
 *   `maxAge + tolerance` before the lookup. The store may have been down.
 * - `list` after a disruption: a list may contain instances that are too old from the
 *   beginning of a disruption of the node itself until `tolerance + 3 s` after it, and
 *   after disruptions that follow within that time. A suspended machine misses time until
 *   it reads the store's clock.
 *   A list on a node with a view may contain what the view lists. Without a recorded view, it may contain
 *   what a view may, if the node or the store was disturbed: a list starts a view.
 * - `watch`: ages may be wrong by `2 x tolerance`, and a view may show a write `tolerance`
 *   late (a list `readLag`). A view is disturbed during a disruption of the node or the
 *   store, after an interruption and after a loss of the stream, and until
 *   `tolerance + 3 s` after each. A disruption that affects only requests or writes does not
 *   disturb a view, but a disturbed view stays so while requests fail. It need not list instances that it did not list before
 *   while it is disturbed, nor for `maxAge + tolerance + 3 s` afterwards.
 * - A view may list an instance without heartbeats for `maxAge + 2 x tolerance` of connected
 *   time: the time that is later than 3 s after the last disturbance. It may also list it
 *   until it has settled: `heartbeat + 2.5 s + tolerance` of connected time at one stretch.
 *   After `2 x maxAge + 2 x tolerance` of connected time it must not, even if it never
 *   settles. A time counts as a disturbance if NO instance sends a heartbeat for
 *   half of `maxAge`, because the store may be down, from the last heartbeat on and for at most
 *   `maxAge` after the store can have answered. This does not apply to a registry with only one instance.
 * - A view adds an instance only if its last heartbeat is at most `maxAge + 2 x tolerance` old,
 *   except in the times in which a list may contain instances that are too old.
 * - `observers keep live instances`: a view (see `Lookup.since`) removes an instance only if
 *   its record was removed or lost, or if the store has accepted none of its heartbeats for
 *   `maxAge - 2 x tolerance`. Disruptions of the observer are no reason, however long they
 *   are. Outages of the store of 3 s or more, which affect everything, do not count as time
 *   without heartbeats, and
 *   until the instances have had `heartbeat + 2.5 s` after one, the limit is
 *   `2 x (maxAge - tolerance)`. Outages before the view listed the instance do not count. If
 *   no instance sends a heartbeat for half of `maxAge` and requests fail then, a view with
 *   several instances removes none until `maxAge - 2 x tolerance` after requests succeed
 *   again, or until the instances have had `heartbeat + 2.5 s - tolerance` after a message. A
 *   list contains the instances that a view of its node lists before and after it.
 *
 * Lifetimes:
 *
 * - `live instances send heartbeats`: once an instance is registered for `heartbeat +
 *   2 x tolerance + 3 s` without a disruption, its last heartbeat is never older than
 *   `heartbeat + tolerance + 3 s`. Expired instances register again. An instance that
 *   another process deregisters is exempt from then on. An instance that missed a
 *   heartbeat in a disruption of only the store sends one within `tolerance + 5 s` after it.
 * - `ids are unique`: if two lifetimes of one instance overlap, one of them reports a loss
 *   within `heartbeat + 2 x tolerance + 3 s` without a disruption and without a loss of the
 *   stream.
 * - `registrations are stored`: a registration is stored within `maxAge + heartbeat +
 *   2 x tolerance + 3 s` without a disruption. It may wait `maxAge` for another process
 *   with the same id.
 * - `losses have their true reason`: an instance that reports `Deregistered` was
 *   deregistered. An instance that reports `DuplicateInstance` shares its id with another
 *   lifetime.
 *
 * Removals:
 *
 * - `deregistered instances send no heartbeats`: the store accepts no heartbeat of an
 *   instance later than `tolerance + 3 s` after its deregistration began. Exempt are
 *   heartbeats of another lifetime of the instance, up to `tolerance + 3 s` after the end
 *   of that lifetime; or, if there was a disruption within 10 s of that end, up to
 *   `tolerance + 13 s` after the later end of the two. Not checked if there was a
 *   disruption within 10 s of the deregistration, or if the stream was lost since. A
 *   lifetime that another process deregistered during such a disruption, or whose
 *   deregistration was lost with the stream, lasts until it reports the loss.
 * - `only expired instances are cleaned up`: an instance that is cleaned up has sent no
 *   heartbeat for `maxAge - tolerance + confirmation`. Not checked if the stream was lost
 *   since its last heartbeat.
 *
 * **Gotchas**
 *
 * On a replicated bucket `Registry.list` may lag behind the store: set `readLag`. Times in which
 * a disruption of the store affects only requests do not count for lags: a replicated bucket has
 * no leader then, and its copies may lack what it stored last. If a
 * stream is lost or rolled back, record a `lost` removal for EVERY instance that ever
 * registered. Otherwise an old record that is restored is reported as a violation.
 *
 * @category checkers
 * @since 0.1.0
 */
export const registryAccuracy = (history: RegistryHistory, times: RegistryTimes): ReadonlyArray<Violation> => {
  const judge = () => {
    const known = records(history)
    return [...lookups(history, times, known), ...lifetimes(history, times, known), ...cleanups(history, times, known)]
  }
  return report(ifValid("times", times, registrySettings, () => ifWellFormed(history, judge)))
}
