/**
 * Checks of recorded histories: of elections, guarded writes and registries.
 *
 * A history is plain data: terms of leadership, the writes that a guarded resource
 * accepted, the writes of each instance that the store took, and what lookups
 * returned. It may come from a simulation, or from real processes whose times are
 * comparable. Each check returns its violations, the earliest first, each with the
 * facts that show it; an empty list where there are none.
 *
 * Checks read no clock and run no effect. A check takes n log n time in the length
 * of the history, each lookup time in the number of instances of its service, and
 * each instance time in the pairs of its lifetimes.
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
 * The rules that histories are checked by.
 *
 * `one valid leader`, `one running leader` and `tokens grow` are judged by
 * `atMostOneLeader`, `an election has a leader` by `leaderWithin`, `no stale write` by
 * `noStaleWrite`, the others by `registryAccuracy`. `the history is well formed` is violated
 * where the history or the options of a check are not valid: no other rule is checked then.
 *
 * @category models
 * @since 0.1.0
 */
export type Rule =
  | "one valid leader"
  | "one running leader"
  | "tokens grow"
  | "an election has a leader"
  | "no stale write"
  | "live instances are listed"
  | "expired instances are not listed"
  | "live instances send heartbeats"
  | "ids are unique"
  | "deregistered instances stay away"
  | "only expired instances are cleaned up"
  | "losses have their true reason"
  | "registrations are stored"
  | "the history is well formed"

/**
 * A violation of a rule, and the shortest history that shows it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Violation {
  readonly rule: Rule
  /** When it could first be seen, in the milliseconds of the history. */
  readonly at: number
  /** The violation in one sentence, with its nodes and instances. */
  readonly message: string
  /** The recorded facts that are enough to see it, in order of time: `  12.304 s  b  leads "job" with token 7-19`. */
  readonly history: ReadonlyArray<string>
}

/**
 * A time in which a node did not run: its process was paused (SIGSTOP), or its
 * machine was suspended. Work could not be interrupted there meanwhile.
 *
 * @category models
 * @since 0.1.0
 */
export interface Stop {
  readonly node: string
  readonly from: number
  readonly until: number
}

/**
 * One term of leadership, as its work saw it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Term {
  readonly election: string
  readonly node: string
  readonly candidateId: string
  readonly token: FencingToken
  /** The work began. */
  readonly since: number
  /** Its interruption began; undefined where it ended by itself, crashed, or still runs. */
  readonly toldToStop: number | undefined
  /** It had stopped, finalizers included, or its node had crashed; undefined: it still ran at the end. */
  readonly until: number | undefined
  /** The moments at which `isValid` was read and was true, in any order. */
  readonly validAt: ReadonlyArray<number>
}

/**
 * The history of elections.
 *
 * @category models
 * @since 0.1.0
 */
export interface LeaderHistory {
  readonly terms: ReadonlyArray<Term>
  readonly stops?: ReadonlyArray<Stop> | undefined
  /** When the recording began. Default 0. */
  readonly begin?: number | undefined
  /** When the recording ended. */
  readonly end: number
}

/**
 * A write that a leader asked a resource for, with its token.
 *
 * @category models
 * @since 0.1.0
 */
export interface GuardedWrite {
  readonly resource: string
  readonly node: string
  readonly token: FencingToken
  /** When the resource took it or refused it. */
  readonly at: number
  readonly accepted: boolean
  /** What was written, for the reader. */
  readonly what?: string | undefined
}

/**
 * The store took a write of an instance's record.
 *
 * @category models
 * @since 0.1.0
 */
export interface Heartbeat {
  /** `service/id`. */
  readonly instance: string
  readonly at: number
}

/**
 * The store lost an instance's record.
 *
 * **Details**
 *
 * After a `lost` one only ages are known: a stream that was rolled back has old
 * records again, one that was recreated has none.
 *
 * @category models
 * @since 0.1.0
 */
export interface Removal {
  readonly instance: string
  readonly at: number
  /** `expired`: by the store itself. `lost`: the stream was lost or rolled back. */
  readonly how: "deregistered" | "cleanedUp" | "expired" | "lost"
}

/**
 * One registration of an instance by one process.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lifetime {
  readonly instance: string
  readonly node: string
  /** `register` was called: from here on its first write may land. Where left out, 3 s before `from`. */
  readonly registering?: number | undefined
  /** `register` returned; where it never did, the same as `until`. */
  readonly from: number
  /** Its scope began to close, its node crashed, or its registration was lost to another; undefined: it went on at the end. */
  readonly until: number | undefined
  /**
   * How it ended: it left by itself, others deregistered it, or its node crashed; undefined where it went on, or was
   * lost to another.
   */
  readonly ended: "left" | "deregistered" | "crashed" | undefined
  /** Where the registration reported that it was lost: the reason, and when. */
  readonly lost?: { readonly as: "Deregistered" | "DuplicateInstance"; readonly at: number } | undefined
}

/**
 * A time in which a node was stopped or cut off, or the store took no writes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Disruption {
  /** Undefined: the store, and so every node. */
  readonly node: string | undefined
  /** The bucket, where not the whole store was disrupted. Checks do not read it: leave out disruptions of other buckets. */
  readonly bucket?: string | undefined
  readonly from: number
  readonly until: number
}

/**
 * What a lookup of one service returned.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lookup {
  readonly node: string
  /** When the lookup began. */
  readonly from: number
  /** When it returned. */
  readonly until: number
  readonly service: string
  /** `service/id` each, as in `Heartbeat`. */
  readonly instances: ReadonlyArray<string>
  /** `watch`: a view that is kept from events. */
  readonly how: "list" | "watch"
}

/**
 * The history of a registry.
 *
 * @category models
 * @since 0.1.0
 */
export interface RegistryHistory {
  readonly heartbeats: ReadonlyArray<Heartbeat>
  readonly removals: ReadonlyArray<Removal>
  readonly lifetimes: ReadonlyArray<Lifetime>
  readonly disruptions: ReadonlyArray<Disruption>
  readonly lookups: ReadonlyArray<Lookup>
  /** When the recording ended. */
  readonly end: number
}

/**
 * The times of a registry, in milliseconds.
 *
 * @category models
 * @since 0.1.0
 */
export interface RegistryTimes {
  readonly maxAge: number
  readonly heartbeat: number
  /** How late ages, clock readings and deliveries may be. */
  readonly tolerance: number
  /**
   * How long a cleanup has to see an instance expired before it removes it: for `layerCleanup` a heartbeat by the
   * cleanup's clock, which may run fast. Default 0: expired instances are removed at once.
   */
  readonly confirmation?: number | undefined
  /** How far `list` may lag behind the store, on a replicated bucket. Default 0. */
  readonly readLag?: number | undefined
}

/**
 * Checks that each election has at most one leader at a time.
 *
 * **Details**
 *
 * - `one valid leader`: where `isValid` was true of one term, no other's is true
 *   until it has been true of the first for the last time; not even at the same
 *   instant. This holds for a node that was stopped, too: it has to read its clocks
 *   before it answers.
 * - `one running leader`: the work of two terms never runs at one time, from
 *   `since` to `until`; one may begin at the instant at which the other has
 *   stopped. While its node is stopped, work is not held to this, nor after that
 *   until it has read `isValid` as true: work in a process that was stopped cannot be
 *   interrupted before it runs again, and fencing is for what it does then. Work
 *   that overruns its lease is not exempt.
 * - `tokens grow`: of two terms the one that began later has the higher token.
 *   Only one whose node was stopped after the other had begun may be late; and no
 *   two terms have the same token.
 *
 * **Gotchas**
 *
 * Violations that no lease can prevent are reported too: a record that is purged by hand, or a
 * stream that is lost, while its leader is cut off lets another lead at the same
 * time, for `renewDeadline` at most; a stream that is rolled back gives tokens
 * twice. Check the histories of such runs with `noStaleWrite`.
 *
 * **Example** (Two leaders)
 *
 * ```ts
 * const [violation] = Checks.atMostOneLeader({ terms, stops, end: 60_000 })
 * // violation.message: "b (token 7-19) and c (token 7-23) both ran the work of "job" for 0.250 s"
 * ```
 *
 * @category checkers
 * @since 0.1.0
 */
export const atMostOneLeader = (history: LeaderHistory): ReadonlyArray<Violation> =>
  report(ifWellFormed(history, () => leaders(history)))

/**
 * Checks that each election has a leader within a time in which nothing disrupts
 * the fleet: of the elections that are named, and of those that were ever won.
 *
 * **Details**
 *
 * A violation is a time longer than `within` milliseconds in which no work of an
 * election runs, without a disruption of any node or of the store. After a crash
 * the next leader needs a lease, the time of a watch that is restarted at the same
 * moment (2.5 s), and half a second; add the drift of clocks, and the pauses of
 * work that ends by itself.
 *
 * **Gotchas**
 *
 * At least one candidate has to campaign at any time.
 *
 * @category checkers
 * @since 0.1.0
 */
export const leaderWithin = (
  history: LeaderHistory & { readonly disruptions: ReadonlyArray<Disruption> },
  options: { readonly elections: ReadonlyArray<string>; readonly within: number }
): ReadonlyArray<Violation> =>
  report(
    ifValid("options", options, withinSettings, () =>
      ifWellFormed(history, () =>
        vacancies(history, history.disruptions, options.within, options.elections)))
  )

/**
 * Checks that no resource accepts a token lower than one that it accepted before.
 *
 * **Details**
 *
 * Writes of a resource are in the order of `at`, and in the order of the history
 * where that is equal. Writes that a resource refused do not count.
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
 * Ages are counted from the writes that the STORE took; hosts' clocks do not count.
 * A lookup may have read at any moment from its beginning to its end, and be late
 * by `tolerance`: between what a rule demands and what it forbids, both are right.
 *
 * - `live instances are listed`: an instance that sent a heartbeat before the lookup,
 *   is not older than `maxAge - tolerance` at its end, and was not removed since, is
 *   listed.
 * - `expired instances are not listed`: an instance that was older than `maxAge +
 *   tolerance` at the beginning of the lookup, or was removed before it and sent no
 *   heartbeat since, is not listed.
 * - Ages in a `list` are not checked for `tolerance + 3 s` after a disruption of its
 *   own node, and of the store right after that: a machine that was suspended has
 *   missed time, until it has asked the store for it.
 * - For a `watch` both tolerances are wider by another `tolerance`. It is not checked
 *   while its node or the store is disrupted, nor for `maxAge + tolerance + 3 s` after
 *   that: an observer that is cut off receives no heartbeats. It may keep expired
 *   instances while NO instance has sent a heartbeat for half of `maxAge`: the store
 *   may be at fault.
 * - `live instances send heartbeats`: an instance that was registered for `heartbeat +
 *   2 x tolerance + 3 s` without a disruption has sent a heartbeat within the last
 *   `heartbeat + tolerance + 3 s`; so it does not expire, and registers again by itself.
 *   One that others deregister stays away. One that missed a heartbeat in a disruption
 *   of the store alone is back within `tolerance + 5 s` after it.
 * - `ids are unique`: two lifetimes of one instance do not both go on without a
 *   disruption, or loss of the stream, for `heartbeat + 2 x tolerance + 3 s`: one of
 *   them is lost.
 * - `deregistered instances stay away`: an instance sends no heartbeat later than
 *   `tolerance + 3 s` after its deregistration began, unless another lifetime of it
 *   goes on, or a heartbeat which that one sent before its end may still land: for
 *   `tolerance + 3 s` after its end, and 10 s more after a disruption at that time. Not
 *   checked where there was a disruption within 10 s, nor where the stream was lost
 *   since. A lifetime that others deregistered in such a disruption, or with a stream
 *   that was lost, and that did not report its loss, goes on.
 * - `registrations are stored`: a registration is stored within `maxAge`, for which it
 *   may wait for another process, `heartbeat + 2 x tolerance + 3 s`, without a
 *   disruption.
 * - `losses have their true reason`: an instance that reports `Deregistered` was
 *   deregistered; one that reports `DuplicateInstance` shares its id with another
 *   lifetime.
 * - `only expired instances are cleaned up`: an instance that is cleaned up has sent no
 *   heartbeat for `maxAge - tolerance + confirmation`. Not checked where the stream was
 *   lost since its last heartbeat.
 *
 * **Gotchas**
 *
 * On a replicated bucket `list` may lag behind: set `readLag`. Where the stream is
 * lost or rolled back, record a `lost` removal of EVERY instance that ever
 * registered: otherwise an old record that is back is a violation.
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
