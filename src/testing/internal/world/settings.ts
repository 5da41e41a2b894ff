/**
 * The options of a simulation as settings of `internal/options.ts`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { InvalidConfig } from "../../../AegisError.ts"
import {
  between,
  duration,
  flag,
  integer,
  oneOf,
  optional,
  refuse,
  type Setting,
  shown,
  textLike,
  thatIs,
  withDefault
} from "../../../internal/options.ts"
import type { BucketOptions } from "../../../KVStoreConfig.ts"

/** In timelines `store` is the server, and `test` is the program that controls the simulation. */
export const nodeId: Setting<string> = textLike(
  /^(?!(?:store|test)$)[a-zA-Z0-9_-]+$/,
  "an id of letters, digits, _ and -, and neither \"store\" nor \"test\""
)

/** The target buckets of a fault. */
export const bucketTarget: Setting<string> = textLike(
  /^(?:\*|#\d+|[a-zA-Z0-9_-]{1,200})$/,
  "a bucket's name, \"*\" for all or \"#1\" for the second"
)

export const time: Setting<Duration.Duration> = duration(Duration.zero)

/** How far a clock is set forward, or back if negative: at most 366 days. */
export const step: Setting<Duration.Duration> = duration(Duration.days(-366), Duration.days(366))

const isAboveZero = (value: unknown): value is number =>
  typeof value === "number" && Number.isFinite(value) && value > 0

const aboveZero: Setting<number> = (name, value) =>
  isAboveZero(value) ? Result.succeed(value) : refuse(name, "a number above 0", shown(value))

export const nodeSettings = {
  offset: withDefault(step, Duration.zero),
  rate: withDefault(aboveZero, 1)
}

const chance = withDefault(between(0, 1), 0)

export const linkSettings = {
  minDelay: optional(time),
  maxDelay: optional(time),
  loss: chance,
  reordering: chance,
  /** Bytes per second. */
  bandwidth: withDefault(aboveZero, Number.POSITIVE_INFINITY)
}

export const right = oneOf(["read", "write"])

/** A right of a user to a bucket. */
export type Right = "read" | "write"

export const direction = oneOf(["requests", "replies", "both"])

const isSeed = (value: unknown): value is string | number =>
  typeof value === "string" || (typeof value === "number" && Number.isFinite(value))

const seed: Setting<string | number> = (name, value) =>
  isSeed(value) ? Result.succeed(value) : refuse(name, "a number or a text", shown(value))

/** Checks only the name: the other options are checked with the bucket's configuration. */
const isBucket = (value: unknown): value is BucketOptions =>
  typeof value === "object" && value !== null && "bucket" in value && typeof value.bucket === "string"

export const server = oneOf(["2.10", "2.15"])

export const bucketOptions: Setting<BucketOptions> = thatIs(isBucket, "an object with the name of a bucket")

/** Bytes. */
export const maxPending = integer(1)

/** The default `max_pending` of nats-server. */
const defaultMaxPending = 64 * 1024 * 1024

/** Long limits are allowed, since simulated time passes fast. */
export const limit: Setting<Duration.Duration> = duration(Duration.zero, Duration.days(100_000))

export const runSettings = {
  seed: withDefault(seed, 1),
  server: withDefault(server, "2.15"),
  bucket: withDefault<BucketOptions>(bucketOptions, { bucket: "simulation" }),
  maxPending: withDefault(maxPending, defaultMaxPending),
  limit: withDefault(limit, Duration.hours(1)),
  timeline: withDefault(flag, false)
}

/** Runs a function on the value of an argument, or fails if that value is invalid. */
export const withSetting = <A>(
  setting: Setting<A>,
  name: string,
  value: unknown,
  act: (value: A) => void
): Effect.Effect<void, InvalidConfig> =>
  Effect.suspend(() => {
    const result = setting(name, value)
    return Result.isFailure(result) ? Effect.fail(result.failure) : Effect.sync(() => act(result.success))
  })
