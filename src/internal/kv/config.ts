/**
 * Checks the options of a bucket and adds the defaults. Nothing is sent.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type BucketOptions, KVStoreConfig } from "../../KVStoreConfig.ts"
import { type InvalidConfig, KVStoreError } from "../../KVStoreError.ts"
import * as options from "../options.ts"
import * as limits from "./limits.ts"

const settings = {
  bucket: options.textLike(limits.bucketForm, limits.bucketFormInWords),
  historySize: options.withDefault(options.integer(1, limits.longestHistory), 1),
  maxValueSize: options.withDefault(options.integer(1, limits.largestValue), 1024 * 1024),
  streamMaxAge: options.optional(options.duration(limits.shortestAge, limits.longestAge)),
  expiryMarkers: options.optional(options.duration(limits.shortestMarker, limits.longestAge)),
  maxBytes: options.optional(options.integer(1)),
  storage: options.withDefault(options.oneOf(["file", "memory"]), "file"),
  replicas: options.withDefault(options.integer(1, limits.mostReplicas), 1),
  guardedWrites: options.withDefault(options.flag, false),
  onMismatch: options.withDefault(options.oneOf(["fail", "update", "accept"]), "fail"),
  create: options.withDefault(options.flag, true),
  timeout: options.withDefault(options.duration(limits.shortestTimeout, limits.longestTimeout), Duration.seconds(5))
} satisfies { readonly [Name in keyof BucketOptions]-?: options.Setting<unknown> }

/** The bucket name in the options, for the error. Undefined if it is not a string. */
const bucketOf = (given: unknown): string | undefined => {
  const bucket: unknown = typeof given === "object" && given !== null ? Reflect.get(given, "bucket") : undefined
  return typeof bucket === "string" ? bucket : undefined
}

const failure = (given: unknown, reason: InvalidConfig): KVStoreError =>
  new KVStoreError({ bucket: bucketOf(given), operation: "configure", key: undefined, reason })

/**
 * Checks the options and adds the defaults. Fails with `InvalidConfig`, which
 * names the setting and the valid values.
 */
export const make = (given: BucketOptions): Effect.Effect<KVStoreConfig, KVStoreError> =>
  Effect.suspend(() =>
    Effect.fromResult(
      Result.mapBoth(options.read("the bucket", given, settings), {
        onFailure: (reason) => failure(given, reason),
        onSuccess: (values) => new KVStoreConfig(values)
      })
    )
  )
