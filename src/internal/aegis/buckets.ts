/**
 * The buckets of the registry and of elections. A rollout can change settings while old
 * and new processes run, so a bucket that exists is used as it is: differences are
 * logged, and a `streamMaxAge` is raised, never lowered.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AccountOptions, Buckets } from "../../Buckets.ts"
import type { KVStore } from "../../KVStore.ts"
import type { BucketOptions, KVStoreConfig } from "../../KVStoreConfig.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import * as config from "../kv/config.ts"
import { differences } from "../kv/differences.ts"
import { longestAge } from "../kv/limits.ts"
import { annotate } from "../logs.ts"

type Store = KVStore["Service"]

/** The bucket removes the records that no cleanup removed after this multiple of maxAge. */
const agesKept = 10

/** The age at which the bucket of a registry removes records. */
export const ageOfRecords = (maxAge: Duration.Duration): Duration.Duration =>
  Duration.min(Duration.times(maxAge, agesKept), longestAge)

/** Two processes that start at once can raise the age to different values, so each looks at the result. */
const mostRaises = 3

const shown = (list: ReturnType<typeof differences>): string =>
  list.map(({ actual, expected, setting }) => `${setting} is ${actual}, not ${expected}`).join("; ")

/** Logs how the bucket differs from the options. */
const reportDifferences = (asked: KVStoreConfig, found: KVStoreConfig, remedy: string): Effect.Effect<void> => {
  const list = differences(asked, found)
  return list.length === 0 ? Effect.void : Effect.logWarning(
    `the bucket "${asked.bucket}" differs from the options and is used as it is (${shown(list)}): ` +
      `set ${remedy} to change it`
  )
}

const ofBucket = `onMismatch: "update"`
const ofServices = `${ofBucket} (AEGIS_ON_MISMATCH=update)`

/** The options that change nothing but the age of a bucket. */
const withAge = (options: BucketOptions, found: KVStoreConfig, streamMaxAge: Duration.Duration): BucketOptions => ({
  ...options,
  historySize: found.historySize,
  maxValueSize: found.maxValueSize ?? "unlimited",
  maxBytes: found.maxBytes,
  expiryMarkers: found.expiryMarkers,
  storage: found.storage,
  replicas: found.replicas,
  streamMaxAge,
  onMismatch: "update"
})

/**
 * Raises the age of a bucket to that of the options, if it is lower. A failure is logged, and does not fail the start: the
 * registry decides whether the lower age suffices.
 */
const raiseAge = (buckets: Buckets["Service"], options: BucketOptions, asked: KVStoreConfig) => {
  const raise = (left: number): Effect.Effect<void, KVStoreError> =>
    Effect.flatMap(Effect.scoped(buckets.open(options)), ({ config: found }) => {
      const [from, to] = [found.streamMaxAge, asked.streamMaxAge]
      const isEnough = from === undefined || to === undefined || Duration.isGreaterThanOrEqualTo(from, to)
      if (isEnough || left === 0) return Effect.void
      const change = `of the bucket "${options.bucket}" from ${Duration.format(from)} to ${Duration.format(to)}`
      return Effect.scoped(buckets.open(withAge(options, found, to))).pipe(
        Effect.matchEffect({
          onFailure: (error) => Effect.logWarning(`could not raise streamMaxAge ${change}: ${error.message}`),
          // The bucket logs the change.
          onSuccess: () => raise(left - 1)
        })
      )
    })
  return raise(mostRaises)
}

/**
 * Opens the bucket of a service. Without `onMismatch`, a bucket that exists is accepted, and its `streamMaxAge` is raised to
 * that of the options.
 */
export const open = (
  buckets: Buckets["Service"],
  options: BucketOptions,
  remedy = ofServices
): Effect.Effect<Store, KVStoreError, Scope.Scope> => {
  if (options.onMismatch !== undefined) return buckets.open(options)
  const accepting = { ...options, onMismatch: "accept" } as const
  return Effect.gen(function*() {
    const asked = yield* config.make(accepting)
    if (asked.streamMaxAge !== undefined) yield* raiseAge(buckets, accepting, asked)
    const store = yield* buckets.open(accepting)
    yield* reportDifferences(asked, store.config, remedy)
    return store
  }).pipe(annotate("Aegis", { bucket: options.bucket }))
}

/** The settings that the program's own buckets have by default. */
export type Placement = Pick<BucketOptions, "replicas" | "domain" | "apiPrefix">

const differsInReplicas = ({ reason }: KVStoreError): boolean =>
  reason._tag === "ConfigMismatch" && reason.differences.every(({ setting }) => setting === "replicas")

/** The domain or the prefix by default, unless one of them is given. */
const withAccess = <A extends AccountOptions>(
  options: A | undefined,
  { apiPrefix, domain }: Placement
): A | undefined =>
  options?.domain === undefined && options?.apiPrefix === undefined && (domain ?? apiPrefix) !== undefined
    ? { ...options, domain, apiPrefix } as A
    : options

/**
 * The buckets of the program, beside those of the services. A bucket that exists with another number of copies than the default
 * is used as it is, because a rollout can change that number.
 */
export const placed = (buckets: Buckets["Service"], placement: Placement): Buckets["Service"] => ({
  open: (given) => {
    const options = withAccess(given, placement) ?? given
    const { replicas } = placement
    if (replicas === undefined || typeof options !== "object" || options?.replicas !== undefined) {
      return buckets.open(options)
    }
    const asked = { ...options, replicas }
    return Effect.catchIf(
      buckets.open(asked),
      differsInReplicas,
      () => open(buckets, { ...asked, onMismatch: undefined }, ofBucket)
    )
  },
  list: (options) => buckets.list(withAccess(options, placement)),
  destroy: (bucket, options) => buckets.destroy(bucket, withAccess(options, placement))
})
