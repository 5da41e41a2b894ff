/**
 * The options of a bucket, checked, with every default filled in. Nothing is sent.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { format } from "effect/Formatter"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { type BucketOptions, KVStoreConfig } from "../../KVStoreConfig.ts"
import { InvalidConfig, KVStoreError } from "../../KVStoreError.ts"

const toDuration = (input: Duration.Input | undefined): unknown =>
  input === undefined ? undefined : Option.getOrElse(Duration.fromInput(input), () => input)

const invalid = (bucket: unknown, problem: string): KVStoreError =>
  new KVStoreError({
    bucket: typeof bucket === "string" ? bucket : undefined,
    operation: "configure",
    key: undefined,
    reason: new InvalidConfig({ problem })
  })

/** The type says all this; who calls from JavaScript is told, since a setting of another name would go unheard. */
const checkNames = (options: unknown): Effect.Effect<void, KVStoreError> => {
  const names = Object.keys(KVStoreConfig.fields)
  if (typeof options !== "object" || options === null) {
    return Effect.fail(invalid(undefined, `expected an object with a bucket's name, got ${format(options)}`))
  }
  const unknown = Object.keys(options).find((name) => !names.includes(name))
  return unknown === undefined
    ? Effect.void
    : Effect.fail(invalid(Reflect.get(options, "bucket"), `no setting "${unknown}": there are ${names.join(", ")}`))
}

/**
 * Checks options and fills in the defaults. Fails with `InvalidConfig`, which
 * names the setting and what would be right.
 */
export const make = (options: BucketOptions): Effect.Effect<KVStoreConfig, KVStoreError> =>
  Effect.flatMap(checkNames(options), () => decode(options))

const decode = (
  {
    create = true,
    historySize = 1,
    maxValueSize = 1024 * 1024,
    onMismatch = "fail",
    replicas = 1,
    storage = "file",
    timeout = "5 seconds",
    ...options
  }: BucketOptions
): Effect.Effect<KVStoreConfig, KVStoreError> =>
  Schema.decodeUnknownEffect(Schema.toType(Schema.Struct(KVStoreConfig.fields)))({
    bucket: options.bucket,
    historySize,
    maxValueSize,
    streamMaxAge: toDuration(options.streamMaxAge),
    expiryMarkers: toDuration(options.expiryMarkers),
    maxBytes: options.maxBytes,
    storage,
    replicas,
    onMismatch,
    create,
    timeout: toDuration(timeout)
  }).pipe(
    Effect.map((fields) => new KVStoreConfig(fields)),
    Effect.mapError((error) => invalid(options.bucket, error.message))
  )
