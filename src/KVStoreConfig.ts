/**
 * The options of a bucket, and the configuration with all defaults.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import * as limits from "./internal/kv/limits.ts"

/**
 * The options of a bucket. Only `bucket` is required. They are checked before
 * anything is sent to a server.
 *
 * @category models
 * @since 0.1.0
 */
export interface BucketOptions {
  /** The name of the bucket: 1 to 200 letters, digits, `_` and `-`. */
  readonly bucket: string
  /** Number of messages kept per key, values and markers, 1 to 64. Default 1: only the latest one. */
  readonly historySize?: number | undefined
  /**
   * Maximum size of a value in bytes, 1 byte to 64 MiB, or `"unlimited"`: then only the
   * limit of the server applies, `max_payload`, which may also be the lower one. Default
   * 1 MiB.
   */
  readonly maxValueSize?: number | "unlimited" | undefined
  /**
   * Maximum age of EVERY message in the bucket, the latest value of a key included.
   * Older messages are removed. 100 ms to 366 days. Default: no limit.
   */
  readonly streamMaxAge?: Duration.Input | undefined
  /**
   * Lifetime of the marker that an expired value leaves. Watches report such a
   * marker as `Removed` with the reason `"expire"`. 1 s to 366 days. Needs the memory
   * backend or nats-server 2.11 or later. Default: no markers. A watch then
   * reports that a value expired within a minute, not at once.
   */
  readonly expiryMarkers?: Duration.Input | undefined
  /** Maximum size of the whole bucket in bytes. Default: only the limits of the account and the server. */
  readonly maxBytes?: number | undefined
  /**
   * Storage of the bucket on the server. Default `"file"`. The memory backend only counts the bytes of a message as a
   * server with this storage does.
   */
  readonly storage?: "file" | "memory" | undefined
  /** Number of copies of the bucket in a NATS cluster, 1 to 5. Default 1. The memory backend only compares it. */
  readonly replicas?: number | undefined
  /** Text about the bucket for operators, up to 4 KiB. Not compared with that of an existing bucket. Ignored by the memory backend. */
  readonly description?: string | undefined
  /**
   * Metadata of the bucket's stream for operators and tools: texts by name, together up to
   * 64 KiB. Names must not begin with `_nats`. Not compared with that of an existing
   * bucket; `onMismatch: "update"` sets it, and the description. Ignored by the memory
   * backend.
   */
  readonly metadata?: { readonly [name: string]: string } | undefined
  /**
   * States that the cluster of a replicated bucket has no nats-server before 2.11,
   * and will have none, not even during an upgrade or a downgrade. `whenKey` on a
   * bucket with several replicas needs this: an earlier server silently drops such a
   * write, although the other replicas have acknowledged it, and values are lost when
   * it becomes the leader. Opening fails with `InvalidConfig` if the server of the
   * bucket is seen to be earlier. Not needed with one replica. Default false. Ignored
   * by the memory backend.
   */
  readonly guardedWrites?: boolean | undefined
  /**
   * The JetStream domain of the bucket, for instance that of the hub for a client of a
   * leaf node. Not together with `apiPrefix`. Default: that of the connected server.
   * Ignored by the memory backend.
   */
  readonly domain?: string | undefined
  /**
   * The prefix with which the account of the connection imports the JetStream API of
   * the bucket's account, and its keys: `"fromA"` if `$JS.API.>` of the other account is
   * imported as `fromA.>`, and `$KV.>` as `fromA.$KV.>`. Default `$JS.API`, the own
   * account. Ignored by the memory backend.
   */
  readonly apiPrefix?: string | undefined
  /**
   * What to do with an existing bucket that has another configuration. Default
   * `"fail"`.
   *
   * - `"fail"`: fail with `ConfigMismatch`
   * - `"update"`: change the settings that differ
   * - `"accept"`: use the settings of the existing bucket
   *
   * A mirror, a stream with sources, without the subjects of the bucket, with `no_ack`,
   * with `persist_mode: "async"`, with a `retention` other than `limits`, or with
   * `discard_new_per_subject`, always fails with `ConfigMismatch`.
   */
  readonly onMismatch?: "fail" | "update" | "accept" | undefined
  /**
   * Whether the store creates a missing bucket, and recreates the bucket after it
   * was destroyed. Default true.
   */
  readonly create?: boolean | undefined
  /**
   * Timeout of each request to the server, connected or not, and of the retries
   * after conflicts (`createOnly`, `updateOnly`, `modify`). A listing takes several
   * requests, and so does an operation that has to recreate a lost bucket. 1 ms to
   * 1 hour. Default 5 s.
   */
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
 * The checked configuration of a bucket, with all defaults. The fields are those
 * of `BucketOptions`, and `discard`.
 *
 * @category models
 * @since 0.1.0
 */
export class KVStoreConfig extends Schema.Class<KVStoreConfig>("effect-aegis/KVStoreConfig")({
  /** The name of the bucket. */
  bucket: Schema.String.check(Schema.isPattern(limits.bucketForm, { expected: limits.bucketFormInWords })),
  /** Number of messages kept per key. */
  historySize: intBetween(1, limits.longestHistory),
  /** Maximum size of a value in bytes; undefined if only the limit of the server applies. */
  maxValueSize: Schema.UndefinedOr(intBetween(1, Number.MAX_SAFE_INTEGER)),
  /** Maximum age of a message; undefined if there is no limit. */
  streamMaxAge: Schema.UndefinedOr(durationBetween(limits.shortestAge, limits.longestAge)),
  /** Lifetime of expiry markers; undefined if expired values leave no marker. */
  expiryMarkers: Schema.UndefinedOr(durationBetween(limits.shortestMarker, limits.longestAge)),
  /** Maximum size of the bucket in bytes; undefined if the bucket has no limit. */
  maxBytes: Schema.UndefinedOr(intBetween(1, Number.MAX_SAFE_INTEGER)),
  /**
   * Whether a full bucket refuses new values, or removes old ones to store them: an accepted bucket of another client can
   * do that. Elections and registries refuse such a bucket.
   */
  discard: Schema.Literals(["new", "old"]),
  /** Storage of the bucket on the server. */
  storage: Schema.Literals(["file", "memory"]),
  /** Number of copies of the bucket in a NATS cluster. */
  replicas: intBetween(1, limits.mostReplicas),
  /** Text about the bucket; undefined if the options have none. */
  description: Schema.UndefinedOr(Schema.String),
  /** Metadata of the bucket's stream; undefined if the options have none. */
  metadata: Schema.UndefinedOr(Schema.Record(Schema.String, Schema.String)),
  /** Whether every server of a replicated bucket is stated to be 2.11 or later. */
  guardedWrites: Schema.Boolean,
  /** The JetStream domain of the bucket; undefined for that of the connected server. */
  domain: Schema.UndefinedOr(Schema.String),
  /** The prefix of the JetStream API of another account; undefined for the own account. */
  apiPrefix: Schema.UndefinedOr(Schema.String),
  /** What to do with an existing bucket that has another configuration. */
  onMismatch: Schema.Literals(["fail", "update", "accept"]),
  /** Whether the store creates a missing bucket. */
  create: Schema.Boolean,
  /** Timeout of each request, and of the retries after conflicts. A listing takes several requests. */
  timeout: durationBetween(limits.shortestTimeout, limits.longestTimeout)
}) {}
