/**
 * What a scenario and a plan must be: checked before anything runs. Pure.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import { InvalidSimulation } from "../simulation/models.ts"

/** A scenario, as far as it is checked. */
export interface Given {
  readonly nodes: ReadonlyArray<string>
  readonly buckets: ReadonlyArray<string>
  readonly kinds: ReadonlyArray<string | readonly [kind: string, buckets: ReadonlyArray<string>]>
  readonly knownKinds: ReadonlyArray<string>
  readonly durations: { readonly [name: string]: Duration.Input }
  readonly drift: number
  readonly mostFaults: number
}

/** A fault, as far as it names something. */
interface Aimed {
  readonly _tag: string
  readonly node?: string
  readonly bucket?: string
}

const bucketPattern = /^(?:\*|#\d+|[a-zA-Z0-9_-]{1,200})$/

const nodePattern = /^[a-zA-Z0-9_-]+$/

/** The server's name in a timeline, and that of the program that directs the test. */
const taken = new Set(["store", "test"])

const isMoment = (input: Duration.Input): boolean =>
  Option.exists(Duration.fromInput(input), (duration) => {
    const millis = Duration.toMillis(duration)
    return Number.isFinite(millis) && millis >= 0
  })

const nodesProblem = (nodes: ReadonlyArray<string>): string | undefined => {
  if (nodes.length === 0) return "nodes: expected at least one id, got none"
  const wrong = nodes.find((id) => !nodePattern.test(id) || taken.has(id))
  if (wrong !== undefined) {
    return `nodes: expected ids of letters, digits, _ and -, and none of ${[...taken].join(", ")}; got "${wrong}"`
  }
  const twice = nodes.find((id, index) => nodes.indexOf(id) !== index)
  return twice === undefined ? undefined : `nodes: expected each id once, got "${twice}" twice`
}

const bucketsProblem = (where: string, buckets: ReadonlyArray<string>): string | undefined => {
  if (buckets.length === 0) return `${where}: expected at least one bucket, or "*" for all, got none`
  const wrong = buckets.find((name) => !bucketPattern.test(name))
  return wrong === undefined ? undefined : `${where}: expected names of buckets, or "*", got "${wrong}"`
}

const kindsProblem = ({ kinds, knownKinds }: Given): string | undefined => {
  for (const one of kinds) {
    const [kind, buckets] = typeof one === "string" ? [one, undefined] : one
    if (!knownKinds.includes(kind)) return `faults: expected some of ${knownKinds.join(", ")}, got "${kind}"`
    const problem = buckets === undefined ? undefined : bucketsProblem(`faults, ${kind}`, buckets)
    if (problem !== undefined) return problem
  }
  return undefined
}

const numbersProblem = ({ drift, durations, mostFaults }: Given): string | undefined => {
  for (const [name, input] of Object.entries(durations)) {
    if (!isMoment(input)) return `${name}: expected a time from 0 such as "2 minutes", got ${String(input)}`
  }
  if (!(drift >= 0 && drift < 1)) return `drift: expected a share from 0 to below 1, got ${drift}`
  return Number.isSafeInteger(mostFaults) && mostFaults >= 0
    ? undefined
    : `mostFaults: expected a whole number from 0, got ${mostFaults}`
}

export const checkScenario = (given: Given): InvalidSimulation | undefined => {
  const problem = nodesProblem(given.nodes) ?? bucketsProblem("buckets", given.buckets) ?? kindsProblem(given) ??
    numbersProblem(given)
  return problem === undefined ? undefined : new InvalidSimulation({ problem })
}

/** A plan that was written by hand may name what is not there. */
export const checkPlan = (
  nodes: ReadonlyArray<string>,
  faults: ReadonlyArray<Aimed>
): InvalidSimulation | undefined => {
  const wrong = faults.find(({ node }) => node !== undefined && !nodes.includes(node))
  return wrong === undefined
    ? undefined
    : new InvalidSimulation({
      problem: `plan: ${wrong._tag} strikes "${wrong.node}", and there are ${nodes.join(", ")}`
    })
}
