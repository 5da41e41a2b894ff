/**
 * The environment variables of `Aegis.layerConfig`, one for each option. An option that
 * is given replaces its variable. A variable that is not known is reported.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"

/** The presets of timings, by name. */
const timingNames = ["resilient", "balanced", "fast"] as const

/** A function, so that a bundle without `layerConfig` does not contain it. */
const replicas = () =>
  Schema.String.check(
    Schema.makeFilter((text: string) => /^\s*[1-5]\s*$/.test(text) || "Expected a whole number from 1 to 5")
  ).pipe(Schema.decodeTo(Schema.FiniteFromString))

/** Effect's own `Config.Duration` does not say which texts are valid. */
const time = () =>
  Schema.String.check(
    Schema.makeFilter((text: string) =>
      Option.isSome(Duration.fromInput(text as Duration.Input)) || "Expected a time with its unit, such as 30 seconds"
    )
  ).pipe(Schema.decodeTo(Schema.DurationFromString))

const timeFrom = (name: string) => Config.schema(time(), name)

/** By the names of the options. A `Config` has no name that could be read, so each is listed with its variable. */
const options = {
  backend: ["AEGIS_BACKEND", (name: string) => Config.schema(Schema.Literals(["nats", "memory"]), name)],
  replicas: ["AEGIS_REPLICAS", (name: string) => Config.schema(replicas(), name)],
  onMismatch: [
    "AEGIS_ON_MISMATCH",
    (name: string) => Config.schema(Schema.Literals(["fail", "update", "accept"]), name)
  ],
  maxAge: ["AEGIS_MAX_AGE", timeFrom],
  heartbeat: ["AEGIS_HEARTBEAT", timeFrom],
  readLegacyKeys: ["AEGIS_READ_LEGACY_KEYS", Config.Boolean],
  timings: ["AEGIS_TIMINGS", (name: string) => Config.schema(Schema.Literals(timingNames), name)],
  leaveTimeout: ["AEGIS_LEAVE_TIMEOUT", timeFrom],
  registryBucket: ["AEGIS_REGISTRY_BUCKET", Config.String],
  electionBucket: ["AEGIS_ELECTION_BUCKET", Config.String]
} as const

const connection = {
  servers: ["AEGIS_NATS_URL", Config.String],
  name: ["AEGIS_NATS_NAME", Config.String],
  waitOnFirstConnect: ["AEGIS_NATS_WAIT_ON_FIRST_CONNECT", Config.Boolean],
  inboxPrefix: ["AEGIS_NATS_INBOX_PREFIX", Config.String],
  user: ["AEGIS_NATS_USER", Config.String],
  password: ["AEGIS_NATS_PASSWORD", Config.Redacted],
  token: ["AEGIS_NATS_TOKEN", Config.Redacted],
  nkey: ["AEGIS_NATS_NKEY", Config.Redacted],
  credentialsFile: ["AEGIS_NATS_CREDS", Config.String]
} as const

const tls = {
  caFile: ["AEGIS_NATS_CA", Config.String],
  certFile: ["AEGIS_NATS_CERT", Config.String],
  keyFile: ["AEGIS_NATS_KEY", Config.String]
} as const

type Options = typeof options

/** The value of an option from its variable. */
type ValueOf<Name extends keyof Options> = Config.Success<ReturnType<Options[Name][1]>>

/** The given value, else that of the variable, else undefined. */
export const orVariable = <Name extends keyof Options>(
  name: Name,
  given: ValueOf<Name> | undefined
): Config.Config<ValueOf<Name> | undefined> => {
  const [variable, read] = options[name]
  return given === undefined
    ? Config.withDefault(read(variable) as Config.Config<ValueOf<Name>>, undefined)
    : Config.succeed(given)
}

type Fields = { readonly [name: string]: unknown }

/** The given fields, completed by the variables of the other fields. */
const fillFrom = (
  given: object | undefined,
  byName: { readonly [name: string]: readonly [variable: string, read: (name: string) => Config.Config<unknown>] }
): Config.Config<Fields> =>
  Config.all(Object.fromEntries(
    Object.entries(byName).map(([name, [variable, read]]) => {
      const value: unknown = Reflect.get(given ?? {}, name)
      return [name, value === undefined ? Config.withDefault(read(variable), undefined) : Config.succeed(value)]
    })
  ))

const defined = (fields: object): Fields =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))

/** The options of the connection: the given ones, completed by variables. */
export const connectionFrom = /* @__PURE__ */ Effect.fnUntraced(function*(
  given: { readonly tls?: object | undefined } | undefined
): Effect.fn.Return<Fields, Config.ConfigError> {
  const ofTls = { ...given?.tls, ...defined(yield* fillFrom(given?.tls, tls)) }
  return {
    ...given,
    ...defined(yield* fillFrom(given, connection)),
    ...(Object.keys(ofTls).length === 0 && given?.tls === undefined ? {} : { tls: ofTls })
  }
})

/** The variables by the names that errors give to their options. */
const variables = (): ReadonlyMap<string, string> => {
  const named = (prefix: string, all: object) =>
    Object.entries(all).map(([name, [variable]]) => [`${prefix}${name}`, variable as string] as const)
  const { electionBucket, registryBucket, ...others } = options
  return new Map([
    ...named("", others),
    ["registry.bucket", registryBucket[0]],
    ["election.bucket", electionBucket[0]],
    ...named("", connection),
    ...named("tls.", tls)
  ])
}

/** A name, or several names joined by "and", before the colon of a problem. */
const namesForm = /^([\w.]+)( and [\w.]+)*(?=: )/

/** Adds the variables to the names of options with which a problem begins, but for options that were given. */
export const withVariables = (problem: string, isGiven: (option: string) => boolean): string => {
  const known = variables()
  return problem.replace(namesForm, (names) =>
    names.split(" and ").map((name) => {
      const variable = known.get(name)
      return variable === undefined || isGiven(name) ? name : `${name} (${variable})`
    }).join(" and "))
}

/** Memory must be requested: it is no fallback for a missing URL. */
export const noServers = () =>
  new Config.ConfigError(
    new Schema.SchemaError(
      new SchemaIssue.Pointer(
        ["AEGIS_NATS_URL"],
        new SchemaIssue.InvalidValue(
          {
            expected:
              "nats://host:port of the servers, or AEGIS_BACKEND=memory to coordinate in this process's memory only"
          },
          undefined,
          {}
        )
      )
    )
  )

const prefix = "AEGIS"

/** The names of all variables below a path. The provider of the environment splits names at underscores. */
const namesBelow = (
  provider: ConfigProvider.ConfigProvider,
  path: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<string>, ConfigProvider.SourceError> =>
  Effect.flatMap(provider.load(path), (node) => {
    const name = path.join("_")
    if (node === undefined) return Effect.succeed([])
    if (node._tag === "Value") return Effect.succeed([name])
    const own = node.value === undefined ? [] : [name]
    if (node._tag === "Array") return Effect.succeed([...own, name])
    const keys = [...node.keys].filter((key) => path.length > 0 || key === prefix || key.startsWith(`${prefix}_`))
    return Effect.map(
      Effect.forEach(keys, (key) => namesBelow(provider, [...path, key])),
      (below) => [...own, ...below.flat()]
    )
  })

/** Warns of variables that no option has: a misspelt name would otherwise be ignored. */
export const reportUnknown: Effect.Effect<void, Config.ConfigError> = /* @__PURE__ */ Effect.gen(function*() {
  const known = new Set<string>(
    [options, connection, tls].flatMap((all) => Object.values(all).map(([variable]) => variable))
  )
  const names = yield* Effect.mapError(
    namesBelow(yield* ConfigProvider.ConfigProvider, []),
    (error) => new Config.ConfigError(error)
  )
  const unknown = [...new Set(names)].filter((name) => name.startsWith(`${prefix}_`) && !known.has(name))
  if (unknown.length === 0) return
  yield* Effect.logWarning(
    `unknown variables are ignored: ${unknown.toSorted().join(", ")}; known are ${[...known].join(", ")}`
  )
})
