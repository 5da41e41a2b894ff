/**
 * The bucket that a layer opens or creates: checked before anything is sent.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as limits from "./internal/kv/limits.ts"

/**
 * What may be asked of a bucket. Only `bucket` is needed.
 *
 * @category models
 * @since 0.1.0
 */
export interface BucketOptions {
  /** 1 to 200 of letters, digits, `_` and `-`. */
  readonly bucket: string
  /** Values kept per key, 1 to 64. Default 1. */
  readonly historySize?: number | undefined
  /** Largest value in bytes. Default 1 MiB. A server's own limit may be lower. */
  readonly maxValueSize?: number | undefined
  /**
   * Removes EVERY value this long after it was written, the latest one too.
   * At least 100 ms. Default: values stay.
   */
  readonly streamMaxAge?: Duration.Input | undefined
  /**
   * Server 2.11+: watchers are told of expiry by a marker that lives this long.
   * At least 1 s. Default: expiry is silent.
   */
  readonly expiryMarkers?: Duration.Input | undefined
  /** Largest size of the whole bucket in bytes. Default: no limit of its own. */
  readonly maxBytes?: number | undefined
  /** Where the server keeps it. Default `"file"`. The memory backend keeps it in the process. */
  readonly storage?: "file" | "memory" | undefined
  /** Copies in a cluster, 1 to 5. Default 1. */
  readonly replicas?: number | undefined
  /** A bucket that exists with another configuration: refuse it, change it, or take it as it is. Default `"fail"`. */
  readonly onMismatch?: "fail" | "update" | "accept" | undefined
  /** Whether this layer may make the bucket, also again after it was deleted. Default true. */
  readonly create?: boolean | undefined
  /** The end of every operation, connected or not. Default 5 s. */
  readonly timeout?: Duration.Input | undefined
}

const intBetween = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const durationBetween = (minimum: Duration.Duration, maximum: Duration.Duration) =>
  Schema.Duration.check(
    Schema.makeFilter((duration) =>
      Duration.isGreaterThanOrEqualTo(duration, minimum) && Duration.isLessThanOrEqualTo(duration, maximum)
        ? undefined
        : `expected a time from ${Duration.format(minimum)} to ${Duration.format(maximum)}, got ${
          Duration.format(duration)
        }`
    )
  )

/**
 * A checked configuration, every default filled in.
 *
 * @category models
 * @since 0.1.0
 */
export class KVStoreConfig extends Schema.Class<KVStoreConfig>("effect-aegis/KVStoreConfig")({
  bucket: Schema.String.check(Schema.isPattern(limits.bucketForm, { expected: limits.bucketFormInWords })),
  historySize: intBetween(1, limits.longestHistory),
  maxValueSize: intBetween(1, limits.largestValue),
  streamMaxAge: Schema.UndefinedOr(durationBetween(limits.shortestAge, limits.longestAge)),
  expiryMarkers: Schema.UndefinedOr(durationBetween(limits.shortestMarker, limits.longestAge)),
  maxBytes: Schema.UndefinedOr(intBetween(1, Number.MAX_SAFE_INTEGER)),
  storage: Schema.Literals(["file", "memory"]),
  replicas: intBetween(1, limits.mostReplicas),
  onMismatch: Schema.Literals(["fail", "update", "accept"]),
  create: Schema.Boolean,
  timeout: durationBetween(limits.shortestTimeout, limits.longestTimeout)
}) {}
