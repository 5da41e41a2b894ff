/**
 * The settings of a scenario and of its checks, for `internal/options.ts`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type { InvalidConfig } from "../../../AegisError.ts"
import {
  flag,
  group,
  integer,
  optional,
  read as readOptions,
  refuse,
  type Setting,
  shown,
  thatIs,
  type Values,
  withDefault
} from "../../../internal/options.ts"
import * as Faults from "../../Faults.ts"
import type { Scenario } from "../../Scenario.ts"
import { bucketOptions, limit, maxPending, server, time } from "../world/settings.ts"
import { buckets, kinds, maxFaults, nodes, planDuration } from "./plan.ts"

/** The default targets: all buckets, the first or the second bucket. */
const anyBucket: ReadonlyArray<string> = ["*", "#0", "#1"]

const share: Setting<number> = (name, value) =>
  typeof value === "number" && value >= 0 && value < 1
    ? Result.succeed(value)
    : refuse(name, "a number from 0 to below 1", shown(value))

const isSetup = (value: unknown): value is Scenario["setup"] => Effect.isEffect(value)

const settings = {
  nodes,
  warmUp: withDefault(time, Duration.zero),
  duration: withDefault(planDuration, Duration.minutes(2)),
  settleTime: withDefault(time, Duration.seconds(30)),
  faults: withDefault(kinds(Faults.Fault), Faults.survivable),
  maxFaults: withDefault(maxFaults, Faults.defaultMaxFaults),
  buckets: withDefault(buckets, anyBucket),
  offset: withDefault(time, Duration.days(1)),
  drift: withDefault(share, 0.1),
  simulation: group({
    server: optional(server),
    bucket: optional(bucketOptions),
    maxPending: optional(maxPending),
    limit: optional(limit)
  }),
  setup: thatIs(isSetup, "an Effect")
}

/** A valid scenario with defaults. */
export type ScenarioSettings = Values<typeof settings>

export const read = (scenario: Scenario): Result.Result<ScenarioSettings, InvalidConfig> =>
  readOptions("scenario", scenario, settings)

export const runSettings = { timeline: withDefault(flag, false) }

const seed: Setting<number> = (name, value) =>
  typeof value === "number" && Number.isSafeInteger(value)
    ? Result.succeed(value)
    : refuse(name, "a whole number", shown(value))

/** A plan as JSON. */
const replay: Setting<Faults.Plan> = (name, value) =>
  Option.match(typeof value === "string" ? Faults.decode(value) : Option.none(), {
    onNone: () => refuse(name, "the text after \"replay: \" in a failure of this scenario", shown(value)),
    onSome: Result.succeed
  })

export const checkSettings = {
  runs: withDefault(integer(1), 100),
  seed: withDefault(seed, 1),
  replay: optional(replay),
  maxShrinks: withDefault(integer(0), 200)
}
