/**
 * Checks the options of a bucket and adds the defaults. Nothing is sent.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { type BucketOptions, KVStoreConfig } from "../../KVStoreConfig.ts"
import { type InvalidConfig, KVStoreError } from "../../KVStoreError.ts"
import * as options from "../options.ts"
import { prefixForm, tokenForm } from "../subjects.ts"
import * as limits from "./limits.ts"

const size = options.integer(1, limits.largestValue)

/** Undefined for "unlimited". */
const sizeOrUnlimited: options.Setting<number | undefined> = (name, value) =>
  value === "unlimited"
    ? Result.succeed(undefined)
    : Result.mapError(
      size(name, value),
      ({ problem }) => options.invalidConfig(problem.replace(/, got /, ", or \"unlimited\", got "))
    )

const byteLength = (text: string): number => new TextEncoder().encode(text).length

const describing: options.Setting<string> = (name, value) =>
  Result.flatMap(
    options.text(name, value),
    (text) =>
      byteLength(text) <= limits.longestDescription
        ? Result.succeed(text)
        : options.refuse(name, `a text of at most ${limits.longestDescription} bytes`, `one of ${byteLength(text)}`)
  )

const isLabels = (value: unknown): value is { readonly [name: string]: string } =>
  typeof value === "object" && value !== null && !Array.isArray(value) &&
  Object.entries(value).every(([name, text]) => typeof text === "string" && !name.startsWith("_nats"))

const labels: options.Setting<{ readonly [name: string]: string }> = (name, value) =>
  !isLabels(value)
    ? options.refuse(name, "texts by names that do not begin with _nats", options.kindOf(value))
    : byteLength(JSON.stringify(value)) > limits.largestMetadata
    ? options.refuse(name, `at most ${limits.largestMetadata} bytes of JSON`, "more")
    // A copy: the caller's object can change later.
    : Result.succeed({ ...value })

/** How the JetStream of a bucket is reached, and how long a request may take. */
const access = {
  apiPrefix: options.optional(
    options.textLike(prefixForm, "words separated by dots, such as fromA, without spaces and wildcards")
  ),
  domain: options.optional(options.textLike(tokenForm, "one word without dots, spaces and wildcards")),
  timeout: options.withDefault(options.duration(limits.shortestTimeout, limits.longestTimeout), Duration.seconds(5))
}

/** Where a bucket is, and the timeout of a request. */
export type Access = options.Values<typeof access>

const bucketName = options.textLike(limits.bucketForm, limits.bucketFormInWords)

const settings = {
  bucket: bucketName,
  historySize: options.withDefault(options.integer(1, limits.longestHistory), 1),
  maxValueSize: options.withDefault(sizeOrUnlimited, 1024 * 1024),
  streamMaxAge: options.optional(options.duration(limits.shortestAge, limits.longestAge)),
  expiryMarkers: options.optional(options.duration(limits.shortestMarker, limits.longestAge)),
  maxBytes: options.optional(options.integer(1)),
  storage: options.withDefault(options.oneOf(["file", "memory"]), "file"),
  replicas: options.withDefault(options.integer(1, limits.mostReplicas), 1),
  description: options.optional(describing),
  metadata: options.optional(labels),
  guardedWrites: options.withDefault(options.flag, false),
  onMismatch: options.withDefault(options.oneOf(["fail", "update", "accept"]), "fail"),
  create: options.withDefault(options.flag, true),
  ...access
} satisfies { readonly [Name in keyof BucketOptions]-?: options.Setting<unknown> }

/** The bucket name in the options, for the error. Undefined if it is not a string. */
const bucketOf = (given: unknown): string | undefined => {
  const bucket: unknown = typeof given === "object" && given !== null ? Reflect.get(given, "bucket") : undefined
  return typeof bucket === "string" ? bucket : undefined
}

const failure = (given: unknown, reason: InvalidConfig): KVStoreError =>
  new KVStoreError({ bucket: bucketOf(given), operation: "configure", key: undefined, reason })

/** A bucket has either another domain or another account. */
const checkAccess = <A extends Access>(where: string, values: A): Result.Result<A, InvalidConfig> =>
  values.apiPrefix === undefined || values.domain === undefined
    ? Result.succeed(values)
    : Result.fail(options.invalidConfig(`${where}: expected at most one of apiPrefix and domain, got both`))

/**
 * Checks the options and adds the defaults. Fails with `InvalidConfig`, which
 * names the setting and the valid values.
 */
export const make = (given: BucketOptions): Effect.Effect<KVStoreConfig, KVStoreError> =>
  Effect.suspend(() =>
    options.read("the bucket", given, settings).pipe(
      Result.flatMap((values) => checkAccess("the bucket", values)),
      Result.map((values) => new KVStoreConfig({ ...values, discard: "new" })),
      Result.mapError((reason) => failure(given, reason)),
      Effect.fromResult
    )
  )

/** Checks the options of a request about the buckets of an account, and adds the defaults. */
export const readAccess = (given: unknown): Result.Result<Access, InvalidConfig> =>
  Result.flatMap(options.read("Buckets", given, access), (values) => checkAccess("Buckets", values))

export const readName = (given: unknown): Result.Result<string, InvalidConfig> => bucketName("bucket", given)
