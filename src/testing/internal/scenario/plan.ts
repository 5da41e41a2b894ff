/**
 * The settings of generated plans, for `internal/options.ts`, and the validation of plans that were written by hand.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import { duration, integer, kindOf, refuse, type Setting, shown } from "../../../internal/options.ts"
import type * as Faults from "../../Faults.ts"
import { bucketTarget, nodeId } from "../world/settings.ts"

type Kinds = NonNullable<Faults.PlanOptions["kinds"]>

const listOf = <A>(item: Setting<A>, expected: string, minLength: number): Setting<ReadonlyArray<A>> => (name, value) =>
  !Array.isArray(value)
    ? refuse(name, expected, kindOf(value))
    : value.length < minLength
    ? refuse(name, expected, "an empty list")
    : Result.all(value.map((one, index) => item(`${name}[${index}]`, one)))

const ids = listOf(nodeId, "a list with at least one id", 1)

export const nodes: Setting<ReadonlyArray<string>> = (name, value) =>
  Result.flatMap(ids(name, value), (all) => {
    const twice = all.find((id, index) => all.indexOf(id) !== index)
    return twice === undefined ? Result.succeed(all) : refuse(name, "each id only once", `"${twice}" twice`)
  })

export const buckets: Setting<ReadonlyArray<string>> = listOf(bucketTarget, "a list with at least one bucket", 1)

export const maxFaults = integer(0)

/** The longest plan, and the latest time of a fault: one day in milliseconds. */
export const longestPlan = 24 * 60 * 60 * 1000

export const planDuration = duration(Duration.zero, Duration.millis(longestPlan))

/** A list of kinds of faults. A pair limits a kind to the given buckets. */
export const kinds = (fault: typeof Faults.Fault): Setting<Kinds> => {
  const known = fault.members.map(({ fields }) => fields._tag.schema.literal)
  const inBuckets = fault.members.flatMap(({ fields }) => "bucket" in fields ? [fields._tag.schema.literal] : [])
  const isKind = (value: unknown): value is Faults.Kind => known.some((kind) => kind === value)
  const item: Setting<Kinds[number]> = (name, value) => {
    if (!Array.isArray(value)) {
      return isKind(value) ? Result.succeed(value) : refuse(name, `one of ${known.join(", ")}`, shown(value))
    }
    const [kind, targets, ...more]: ReadonlyArray<unknown> = value
    if (!isKind(kind) || !inBuckets.some((one) => one === kind) || more.length > 0) {
      return refuse(name, `a pair of one of ${inBuckets.join(", ")} and its buckets`, `a list with ${shown(kind)}`)
    }
    return Result.map(buckets(`${name}[1]`, targets), (names) => [kind, names] as const)
  }
  return listOf(item, "a list of kinds", 0)
}

/** The decoding error as one line. Undefined: the value is valid. */
export const problemOf = <A>(decoded: Result.Result<A, Schema.SchemaError>): string | undefined =>
  Result.isSuccess(decoded) ? undefined : decoded.failure.message.replaceAll(/\s+/g, " ")

/** A fault with its targets. */
interface Aimed {
  readonly _tag: string
  readonly node?: string
  readonly bucket?: string
}

/** Describes the first fault with an unknown node or an invalid bucket name. Undefined: all targets are valid. */
export const aimProblem = (ids: ReadonlyArray<string>, faults: ReadonlyArray<Aimed>): string | undefined => {
  for (const { _tag, bucket, node } of faults) {
    if (node !== undefined && !ids.includes(node)) {
      return `${_tag}: expected one of the nodes ${ids.join(", ")}, got "${node}"`
    }
    const target = bucket === undefined ? undefined : bucketTarget(_tag, bucket)
    if (target !== undefined && Result.isFailure(target)) return target.failure.problem
  }
  return undefined
}
