/**
 * What a fleet may never do, as functions over what was recorded of one.
 *
 * A history is plain data: who led, what a guarded resource accepted, what the
 * store took of each instance, and what observers were told. It may come from a
 * simulation or from real processes whose times are comparable. Each checker
 * answers with what was broken, the earliest first, each time with the few facts
 * that are enough to see it; with nothing where all is well.
 *
 * Nothing here reads a clock or runs an effect. A checker takes n log n time in
 * what was recorded, and each lookup as long as its service has
 * instances; of one instance it looks at each two lives.
 *
 * @since 0.1.0
 */
import type { FencingToken } from "../FencingToken.ts"
import { cleanups } from "../internal/testing/checksCleanup.ts"
import { leaders } from "../internal/testing/checksLeaders.ts"
import { lives } from "../internal/testing/checksLifetimes.ts"
import { lookups } from "../internal/testing/checksLookups.ts"
import { records } from "../internal/testing/checksRecords.ts"
import { report } from "../internal/testing/checksReport.ts"
import { vacancies } from "../internal/testing/checksVacancies.ts"
import { writes } from "../internal/testing/checksWrites.ts"
import { ifValid, ifWellFormed, registrySettings, withinSettings } from "../internal/testing/wellFormed.ts"

/**
 * What a history is held to.
 *
 * `one valid leader`, `one running leader` and `tokens grow` are judged by
 * `atMostOneLeader`, `an election has a leader` by `leaderWithin`, `no stale write` by
 * `noStaleWrite`, the others by `registryAccuracy`. `the history is well formed` is broken
 * where a number in what a checker is given is none: nothing else is judged then.
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
 * A rule that was broken, and the shortest history that breaks it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Violation {
  readonly rule: Rule
  /** When it could first be seen, in the milliseconds of the history. */
  readonly at: number
  /** Who did what that must not be, in one sentence. */
  readonly message: string
  /** The recorded facts that are enough to see it, in order of time: `  12.304 s  b  leads "job" with token 7-19`. */
  readonly history: ReadonlyArray<string>
}

/**
 * A node that was not running: paused (SIGSTOP) or frozen (its machine was
 * suspended). It could not be stopped meanwhile, and did not know the time.
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
 * One term of leadership as the work of it lived it.
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
 * What is recorded of elections.
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
 * A write that a resource was asked for by a leader who showed its token.
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
 * An instance's record was gone from the store.
 *
 * **Details**
 *
 * After a `lost` one nothing is known but ages: a stream that was rolled back
 * has old records again, one that was made anew has none.
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
  /** Its scope began to close, its node crashed, or its registration was lost to another; undefined: it still lived at the end. */
  readonly until: number | undefined
  /**
   * How it ended: it left by itself, others deregistered it, or its node crashed; undefined where it still lived, or was
   * lost to another.
   */
  readonly ended: "left" | "deregistered" | "crashed" | undefined
  /** Where it was told that it is over: as what, and when. */
  readonly lost?: { readonly as: "Deregistered" | "DuplicateInstance"; readonly at: number } | undefined
}

/**
 * A node that was stopped or cut off, or a store that took no writes.
 *
 * @category models
 * @since 0.1.0
 */
export interface Disruption {
  /** Undefined: the store, and so everybody. */
  readonly node: string | undefined
  /** Where not all of the store was in trouble: which bucket. Not looked at by checkers: leave out what is another's. */
  readonly bucket?: string | undefined
  readonly from: number
  readonly until: number
}

/**
 * What an observer was told of one service.
 *
 * @category models
 * @since 0.1.0
 */
export interface Lookup {
  readonly node: string
  /** When it was asked. */
  readonly from: number
  /** When it was answered. */
  readonly until: number
  readonly service: string
  /** `service/id` each, as in `Beat`. */
  readonly instances: ReadonlyArray<string>
  /** `watch`: a view that is kept from events. */
  readonly how: "list" | "watch"
}

/**
 * What is recorded of a registry.
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
   * Cleanups remove only what they have seen dead for so long, as `layerCleanup`'s do: a heartbeat there by the cleanup's
   * clock, so less by what that runs fast. Default 0: what one look shows is removed.
   */
  readonly confirmation?: number | undefined
  /** How far what `list` reads may be behind what the store took, on a replicated bucket; default 0. */
  readonly readLag?: number | undefined
}

/**
 * Of one election at most one leads at a time.
 *
 * **Details**
 *
 * - `one valid leader`: where `isValid` was true of one term, no other's is true
 *   until it has been true of the first for the last time; not even at the same
 *   instant. A node that was stopped is no excuse: who wakes must find out before
 *   it answers.
 * - `one running leader`: the work of two terms never runs at one time, from
 *   `since` to `until`; one may begin at the instant at which the other has
 *   stopped. While its node is stopped, work is not held to this, nor after that
 *   until it has read `isValid` as true: a process that was stopped cannot be told
 *   to stop before it runs again, and what it does then is what fencing is for.
 *   Work that overruns its lease IS held to it.
 * - `tokens grow`: of two terms the one that began later has the higher token.
 *   Only one whose node was stopped after the other had begun may be late; and no
 *   two terms have the same token.
 *
 * **Gotchas**
 *
 * What no lease can give is reported too: a record that is purged by hand, or a
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
 * Each election, of those named and of those that were ever won, has a leader
 * wherever nothing hinders the fleet.
 *
 * **Details**
 *
 * A stretch without trouble (of any node, or of the store) in which no work of an
 * election runs is longer than `within` milliseconds. After a crash that is a
 * lease, what a watch needs that died at the same moment (2.5 s), and half a
 * second; add what clocks run apart by, and the pauses of work that ends by
 * itself.
 *
 * **Gotchas**
 *
 * It takes candidates for granted: one alive and standing at any time.
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
 * No resource accepts a token that is lower than one it has accepted.
 *
 * **Details**
 *
 * By the order of `at` for each resource; writes of one instant are taken in the
 * order in which they are given. What a resource refused does not count.
 *
 * @category checkers
 * @since 0.1.0
 */
export const noStaleWrite = (history: ReadonlyArray<GuardedWrite>): ReadonlyArray<Violation> =>
  report(ifWellFormed(history, () => writes(history)))

/**
 * Who lives is seen, who is gone is not, and who lives beats.
 *
 * **Details**
 *
 * The truth is what the STORE took; hosts' clocks do not count. Between what must
 * be and what must not, an answer is free: it may have been read at any moment
 * between the question and the answer, and be late by `tolerance`.
 *
 * - `live instances are listed`: whoever beat before the question, and is not older than
 *   `maxAge - tolerance` at the answer, and was not removed since, is in it.
 * - `expired instances are not listed`: whoever was older than `maxAge + tolerance` at the
 *   question, or removed before it and has not beaten since, is not in it.
 * - A `list` is not held to ages for `tolerance + 3 s` after trouble of its own node,
 *   and of the store right after that: a machine that was suspended has missed time,
 *   until it has asked the store for it.
 * - For a `watch` both are wider by another `tolerance`, and it is not judged while
 *   its node or the store had trouble, nor for `maxAge + tolerance + 3 s` after that:
 *   an observer that is cut off cannot tell the dead from the silent. Nor does it
 *   have to forget the silent where NO instance has beaten for half of `maxAge`: it
 *   may suspect the store.
 * - `live instances send heartbeats`: an instance that has lived without trouble for `heartbeat +
 *   2 x tolerance + 3 s` has beaten within the last `heartbeat + tolerance + 3 s`; so
 *   it is never forgotten, and comes back by itself. One that others deregister
 *   stays away. Who has missed a beat for trouble of the store alone is back within
 *   `tolerance + 5 s` after it.
 * - `ids are unique`: two lives of one instance do not both go on without
 *   trouble, or loss of the stream, for `heartbeat + 2 x tolerance + 3 s`: one is told.
 * - `deregistered instances stay away`: later than `tolerance + 3 s` after it began to
 *   deregister an instance does not beat, unless another life of it is there, or what
 *   that one sent before its end may land yet: `tolerance + 3 s` after its end, and 10 s
 *   more after trouble that it had then. Not judged where there was trouble within 10 s,
 *   nor where the stream was lost since. A life that others deregistered in such trouble,
 *   or with a stream that was lost, and that was never told, is there.
 * - `registrations are stored`: a registration is there within `maxAge`, for which
 *   it may wait for another process, `heartbeat + 2 x tolerance + 3 s`, where nothing
 *   hinders it.
 * - `losses have their true reason`: who is told that it was deregistered was; who is told that
 *   another has its id shares it with another life.
 * - `only expired instances are cleaned up`: who is cleaned up had not beaten for `maxAge - tolerance +
 *   confirmation`. Not judged where the stream was lost since the last beat.
 *
 * **Gotchas**
 *
 * On a replicated bucket what `list` reads may be behind: set `readLag`. Where the
 * stream is lost or rolled back, record a `lost` removal of EVERY instance that
 * ever was, or an old record that is back is taken for a lie.
 *
 * @category checkers
 * @since 0.1.0
 */
export const registryAccuracy = (history: RegistryHistory, times: RegistryTimes): ReadonlyArray<Violation> => {
  const judge = () => {
    const known = records(history)
    return [...lookups(history, times, known), ...lives(history, times, known), ...cleanups(history, times, known)]
  }
  return report(ifValid("times", times, registrySettings, () => ifWellFormed(history, judge)))
}
