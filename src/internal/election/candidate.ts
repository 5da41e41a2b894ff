/** Checks the options of elections and candidates, before a request is sent. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { CandidateOptions, Options, StepDownOptions, Timings } from "../../Election.ts"
import {
  ElectionError,
  type ElectionReason,
  type InvalidConfig,
  InvalidName,
  ValueTooLarge
} from "../../ElectionError.ts"
import type { KVStore } from "../../KVStore.ts"
import type { Metadata } from "../../ServiceInstance.ts"
import { healthCheckSetting, healthFailuresSetting } from "../healthCheck.ts"
import { makeIdSuffix, ProcessName } from "../identity.ts"
import { leaveTimeout } from "../leaving.ts"
import { toMetadata } from "../metadata.ts"
import {
  anything,
  duration,
  group,
  hintFor,
  integer,
  optional,
  read,
  refuse,
  type Setting,
  shown,
  text,
  withDefault
} from "../options.ts"
import { recordLimit } from "../storedJson.ts"
import { valueLimitOf } from "../valueLimit.ts"
import type { Candidate } from "./campaign.ts"
import { largestPriority } from "./challenger.ts"
import { largestSize, longestLease } from "./record.ts"
import { shortestDeadline } from "./requests.ts"
import type { TermTimings } from "./tenure.ts"

/** A name is one token of a NATS subject, so it has no dots, wildcards or spaces. Slashes are allowed. */
const namePattern = /^[a-zA-Z0-9_/-]{1,200}$/

/** The name for error messages. It may be any value in untyped code. */
const nameOf = (election: unknown): string => typeof election === "string" ? election : shown(election)

export const failure = (operation: string, election: string | undefined) => (reason: ElectionReason): ElectionError =>
  new ElectionError({ operation, election: election === undefined ? undefined : nameOf(election), reason })

export const checkName = (election: string): InvalidName | undefined =>
  typeof election === "string" && namePattern.test(election)
    ? undefined
    : new InvalidName({ field: "election", value: nameOf(election), expected: "1 to 200 letters, digits, _, - and /" })

/**
 * In milliseconds. A shorter interval has no time for two attempts on a slow network (docs/protocols/election.md,
 * E26).
 */
const shortestRenewal = 10

const timingSettings = group({
  leaseDuration: duration(Duration.zero, Duration.millis(longestLease)),
  renewDeadline: duration(Duration.zero),
  renewInterval: duration(Duration.zero)
})

const timingsSetting: Setting<TermTimings> = (name, value) =>
  Result.flatMap(timingSettings(name, value), (timings) => {
    const leaseDuration = Duration.toMillis(timings.leaseDuration)
    const renewDeadline = Duration.toMillis(timings.renewDeadline)
    const renewInterval = Duration.toMillis(timings.renewInterval)
    const given = `${leaseDuration} / ${renewDeadline} / ${renewInterval} ms${hintFor(Object(value).leaseDuration)}`
    if (leaseDuration <= renewDeadline || renewInterval < shortestRenewal) {
      const expected = `leaseDuration > renewDeadline, and renewInterval >= ${shortestRenewal} ms`
      return refuse(name, expected, given)
    }
    const shortest = Math.max(2 * renewInterval, shortestDeadline({ renewInterval }))
    return renewDeadline < shortest
      ? refuse(
        name,
        `renewDeadline >= ${shortest} ms, so that two attempts and two pauses fit after a renewInterval of ${renewInterval} ms`,
        given
      )
      : Result.succeed({ leaseDuration, renewDeadline, renewInterval })
  })

export const toTimes = (timings: Timings): Effect.Effect<TermTimings, InvalidConfig> =>
  Effect.fromResult(timingsSetting("timings", timings))

/** Sooner, a candidate that comes back would begin with the first term again. */
const removeVacantAfter = withDefault(duration(Duration.hours(1)), Duration.days(1))

export interface LayerOptions {
  readonly times: TermTimings
  readonly leaveTimeout: Duration.Duration
  readonly removeVacantAfter: Duration.Duration
}

/** The options of the service. Its timings are those in `options`, or else `otherwise`. */
export const toLayerOptions = (
  options: Options | undefined,
  otherwise: Timings
): Effect.Effect<LayerOptions, InvalidConfig> =>
  Effect.fromResult(read("options", options, { timings: optional(timingsSetting), leaveTimeout, removeVacantAfter }))
    .pipe(
      Effect.flatMap(({ timings, ...rest }) =>
        Effect.map(
          timings === undefined ? toTimes(otherwise) : Effect.succeed(timings),
          (times) => ({ times, ...rest })
        )
      )
    )

/** One failure can be a pause of the process. A leader that is unhealthy resigns within two `renewInterval`. */
const defaultHealthFailures = 2

const longestStop = Duration.hours(1)

const stepDownSettings = { timeout: optional(duration(Duration.zero, Duration.hours(1))) }

export const toStepDownOptions = (options: StepDownOptions | undefined) => read("options", options, stepDownSettings)

const candidateSettings = {
  candidateId: optional(text),
  timings: optional(timingsSetting),
  // `toMetadata` reads it: metadata is data, not a setting.
  metadata: anything,
  priority: withDefault(integer(0, largestPriority), 0),
  healthCheck: optional(healthCheckSetting),
  healthFailures: healthFailuresSetting(defaultHealthFailures),
  stopTimeout: optional(duration(Duration.zero, longestStop))
}

const makeId = Effect.map(
  Effect.all([ProcessName, makeIdSuffix]),
  ([process, name]) => `${process}-${name}`
)

/** The largest record that the bucket can store and the connection can send, in bytes. */
export const sizeLimit = (store: KVStore["Service"]): number => Math.min(recordLimit(store.config), valueLimitOf(store))

/** Returns an effect that makes a default `candidateId` when it is needed first, and keeps it. */
export const makeDefaultId = (): Effect.Effect<string> => {
  let id: string | undefined
  return Effect.suspend(() => id === undefined ? Effect.map(makeId, (made) => id ??= made) : Effect.succeed(id))
}

/** What candidates of one service have in common, unless they set their own. */
export interface CandidateDefaults {
  readonly candidateId: Effect.Effect<string>
  readonly times: TermTimings
}

/** `limit` is that of a record. */
export const toCandidate = (
  election: string,
  options: CandidateOptions | undefined,
  defaults: CandidateDefaults,
  limit: number
): Effect.Effect<Candidate, ElectionReason> =>
  Effect.gen(function*() {
    const wrong = checkName(election)
    if (wrong !== undefined) return yield* wrong
    const given = yield* Effect.fromResult(read("options", options, candidateSettings))
    const own = given.timings ?? defaults.times
    const candidate: Candidate = {
      election,
      candidateId: given.candidateId ?? (yield* defaults.candidateId),
      priority: given.priority,
      times: own,
      stopTimeout: given.stopTimeout === undefined ? own.leaseDuration : Duration.toMillis(given.stopTimeout),
      metadata: yield* Effect.fromResult(toMetadata(given.metadata === undefined ? {} : given.metadata)),
      healthCheck: given.healthCheck,
      healthFailures: given.healthFailures
    }
    yield* checkSize(candidate, candidate.metadata, limit)
    return candidate
  })

/** Fails if the largest record does not fit: a later renewal would be refused (E1). */
export const checkSize = (
  { candidateId, times }: Pick<Candidate, "candidateId" | "times">,
  metadata: Metadata,
  limit: number
): Effect.Effect<void, ValueTooLarge> =>
  Effect.suspend(() => {
    const size = largestSize({ candidateId, leaseMillis: times.leaseDuration, metadata })
    return size > limit ? Effect.fail(new ValueTooLarge({ size, limit })) : Effect.void
  })
