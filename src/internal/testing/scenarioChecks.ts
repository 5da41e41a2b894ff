/**
 * What a scenario and a plan must be: checked before anything runs. Pure.
 */
import type * as Duration from "effect/Duration"
import type * as Faults from "../../testing/Faults.ts"
import type { InvalidSimulation } from "../../testing/SimulationError.ts"
import { invalid, isBucket, isNodeId, takenNames, timeExpected, timeIn } from "../simulation/given.ts"

/** Kinds of faults, or kinds with the only buckets that they strike. */
export interface CheckedKinds {
  readonly kinds: ReadonlyArray<string | readonly [kind: string, buckets: ReadonlyArray<string>]>
  readonly knownKinds: ReadonlyArray<string>
  /** Of these those that strike buckets. */
  readonly kindsInBuckets: ReadonlyArray<string>
}

/** A scenario, as far as it is checked. */
export interface CheckedScenario extends CheckedKinds {
  readonly nodes: ReadonlyArray<string>
  readonly buckets: ReadonlyArray<string>
  readonly durations: { readonly [name: string]: Duration.Input }
  readonly drift: number
  readonly maxFaults: number
}

/** A fault, as far as it names something. */
interface Aimed {
  readonly _tag: string
  readonly node?: string
  readonly bucket?: string
}

export const nodesProblem = (nodes: ReadonlyArray<string>): string | undefined => {
  if (nodes.length === 0) return "nodes: expected at least one id, got none"
  const wrong = nodes.find((id) => !isNodeId(id))
  if (wrong !== undefined) {
    return `nodes: expected ids of letters, digits, _ and -, and none of ${takenNames.join(", ")}; got "${wrong}"`
  }
  const twice = nodes.find((id, index) => nodes.indexOf(id) !== index)
  return twice === undefined ? undefined : `nodes: expected each id once, got "${twice}" twice`
}

export const bucketsProblem = (where: string, buckets: ReadonlyArray<string>): string | undefined => {
  if (buckets.length === 0) return `${where}: expected at least one bucket, or "*" for all, got none`
  const wrong = buckets.find((name) => !isBucket(name))
  return wrong === undefined ? undefined : `${where}: expected names of buckets, or "*", got "${wrong}"`
}

/** The kinds that strike buckets. */
export const kindsInBuckets = (fault: typeof Faults.Fault): ReadonlyArray<string> =>
  fault.members.flatMap(({ fields }) => "bucket" in fields ? [fields._tag.schema.literal] : [])

export const kindsProblem = ({ kinds, kindsInBuckets, knownKinds }: CheckedKinds): string | undefined => {
  for (const one of kinds) {
    const [kind, buckets] = typeof one === "string" ? [one, undefined] : one
    if (!knownKinds.includes(kind)) return `faults: expected some of ${knownKinds.join(", ")}, got "${kind}"`
    if (buckets === undefined) continue
    if (!kindsInBuckets.includes(kind)) {
      return `faults: expected buckets with ${kindsInBuckets.join(", ")} only, got some with ${kind}`
    }
    const problem = bucketsProblem(`faults, ${kind}`, buckets)
    if (problem !== undefined) return problem
  }
  return undefined
}

export const maxFaultsProblem = (maxFaults: number): string | undefined =>
  Number.isSafeInteger(maxFaults) && maxFaults >= 0
    ? undefined
    : `maxFaults: expected a whole number from 0, got ${maxFaults}`

/** Plans count the times of faults in milliseconds of a day. */
export const longestPlan = 24 * 60 * 60 * 1000

export const durationProblem = (duration: Duration.Input): string | undefined => {
  const millis = timeIn(duration)
  return millis === undefined
    ? timeExpected("duration", duration)
    : millis > longestPlan
    ? `duration: expected a day at most, got ${String(duration)}`
    : undefined
}

const numbersProblem = ({ drift, durations, maxFaults }: CheckedScenario): string | undefined => {
  for (const [name, input] of Object.entries(durations)) {
    if (timeIn(input) === undefined) return timeExpected(name, input)
  }
  const tooLong = durationProblem(durations["duration"] ?? 0)
  if (tooLong !== undefined) return tooLong
  if (!(drift >= 0 && drift < 1)) return `drift: expected a share from 0 to below 1, got ${drift}`
  return maxFaultsProblem(maxFaults)
}

export const checkScenario = (given: CheckedScenario): InvalidSimulation | undefined => {
  const problem = nodesProblem(given.nodes) ?? bucketsProblem("buckets", given.buckets) ?? kindsProblem(given) ??
    numbersProblem(given)
  return problem === undefined ? undefined : invalid(problem)
}

/** A plan that was written by hand may name what cannot be there. */
export const aimProblem = (nodes: ReadonlyArray<string>, faults: ReadonlyArray<Aimed>): string | undefined => {
  for (const { _tag, bucket, node } of faults) {
    if (node !== undefined && !nodes.includes(node)) {
      return `${_tag} strikes "${node}", and there are ${nodes.join(", ")}`
    }
    if (bucket !== undefined && !isBucket(bucket)) return bucketsProblem(_tag, [bucket])
  }
  return undefined
}
