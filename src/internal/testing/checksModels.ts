/**
 * What is recorded of a fleet for the checkers, and what they answer. Plain
 * objects; every time is milliseconds of true time since any one moment.
 */
import type { FencingToken } from "../../FencingToken.ts"

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
