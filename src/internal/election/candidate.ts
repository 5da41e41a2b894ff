/**
 * What a candidate asks for, checked before anything is sent.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { CandidateOptions, Timings } from "../../Election.ts"
import { ElectionError, type ElectionReason, InvalidConfig, InvalidName, InvalidValue } from "../../ElectionError.ts"
import { Metadata } from "../../ServiceInstance.ts"
import { ProcessName, randomName } from "../names.ts"
import type { Candidate } from "./campaign.ts"
import type { Times } from "./tenure.ts"

/** A name is a token of a NATS subject, or several with slashes between. */
const namePattern = /^[a-zA-Z0-9_/-]{1,200}$/

const idLength = 8

export const failure = (operation: string, election: string | undefined) => (reason: ElectionReason): ElectionError =>
  new ElectionError({ operation, election: election === undefined ? undefined : String(election), reason })

export const checkName = (election: string): InvalidName | undefined =>
  typeof election === "string" && namePattern.test(election)
    ? undefined
    : new InvalidName({ field: "election", value: String(election), expected: "1 to 200 letters, digits, _, - and /" })

const millisOf = (input: Duration.Input): number =>
  Option.match(Duration.fromInput(input), { onNone: () => Number.NaN, onSome: Duration.toMillis })

/** Below this a renewal has no time for two attempts on a slow network. */
const shortestRenewal = 10

export const toTimes = (timings: Timings): Effect.Effect<Times, InvalidConfig> => {
  const leaseDuration = millisOf(timings.leaseDuration)
  const renewDeadline = millisOf(timings.renewDeadline)
  const renewInterval = millisOf(timings.renewInterval)
  const isRight = Number.isFinite(leaseDuration) && leaseDuration > renewDeadline &&
    renewDeadline >= 2 * renewInterval &&
    renewInterval >= shortestRenewal
  return isRight
    ? Effect.succeed({ leaseDuration, renewDeadline, renewInterval })
    : Effect.fail(
      new InvalidConfig({
        problem: `timings need leaseDuration > renewDeadline >= 2 x renewInterval >= ${2 * shortestRenewal} ms, ` +
          `got ${leaseDuration} / ${renewDeadline} / ${renewInterval} ms`
      })
    )
}

const makeId = Effect.map(
  Effect.all([ProcessName, randomName(idLength)]),
  ([process, name]) => `${process}-${name}`
)

export const toCandidate = (
  election: string,
  options: CandidateOptions,
  timings: Timings
): Effect.Effect<Candidate, ElectionReason> =>
  Effect.gen(function*() {
    const wrong = checkName(election)
    if (wrong !== undefined) return yield* wrong
    const candidateId = options.candidateId ?? (yield* makeId)
    if (typeof candidateId !== "string" || candidateId === "") {
      return yield* new InvalidConfig({ problem: "candidateId must be a text that is not empty" })
    }
    const priority = options.priority ?? 0
    if (!Number.isSafeInteger(priority) || priority < 0) {
      return yield* new InvalidConfig({ problem: `priority must be a whole number from 0, got ${priority}` })
    }
    return {
      election,
      candidateId,
      priority,
      times: yield* toTimes(options.timings ?? timings),
      metadata: yield* toMetadata(options.metadata ?? {}),
      healthCheck: options.healthCheck
    }
  })

export const toMetadata = (metadata: unknown): Effect.Effect<Metadata, InvalidValue> =>
  Effect.mapError(
    Schema.decodeUnknownEffect(Metadata)(metadata),
    (error) => new InvalidValue({ problem: `metadata: ${error.message}` })
  )
