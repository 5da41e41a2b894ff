/**
 * Converts the login options to an authenticator of the client. At most one
 * authentication method is allowed. Secrets are captured in closures, so that
 * printing an object does not show them.
 */
import {
  type Authenticator,
  jwtAuthenticator,
  nkeyAuthenticator,
  nkeys,
  tokenAuthenticator,
  usernamePasswordAuthenticator
} from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { readFileSync } from "node:fs"
import type { InvalidConfig } from "../../../KVStoreError.ts"
import { invalidConfig, optional, refuse, secret, type Settings, text, type Values } from "../../options.ts"
import { fileText, path } from "./files.ts"
import type { UrlLogin } from "./servers.ts"

export interface ResolvedLogin {
  /** The login as errors show it: the method, and the user or the public key. */
  readonly shown: string
  /** When the credentials expire, in milliseconds; undefined if never, or if unknown. */
  readonly expires: () => number | undefined
  /** `report` receives problems that occur during later reconnects. */
  readonly authenticator: (report: (problem: string) => void) => Authenticator | undefined
}

/** The settings of the login options. */
export const loginSettings = {
  user: optional(text),
  password: optional(secret),
  token: optional(secret),
  nkey: optional(secret),
  credentials: optional(secret),
  credentialsFile: optional(path("credentials"))
} satisfies Settings

type LoginOptions = Values<typeof loginSettings>

const encoder = new TextEncoder()

// -----------------------------------------------------------------------------
// passwords and tokens
// -----------------------------------------------------------------------------

/** Passwords, tokens and nkeys do not expire. */
const never = () => undefined

const withPassword = (user: string, password: string): ResolvedLogin => ({
  shown: `user ${JSON.stringify(user)}`,
  expires: never,
  authenticator: () => usernamePasswordAuthenticator(user, password)
})

const withToken = (token: string): ResolvedLogin => ({
  shown: "a token",
  expires: never,
  authenticator: () => tokenAuthenticator(token)
})

const fromUrl = ({ password, user }: UrlLogin): ResolvedLogin =>
  password === undefined ? withToken(user) : withPassword(user, password)

const nobody: ResolvedLogin = { shown: "no login", expires: never, authenticator: () => undefined }

// -----------------------------------------------------------------------------
// keys
// -----------------------------------------------------------------------------

/** Public keys of users begin with U. Keys of accounts, servers and operators cannot log in. */
const isOfUser = (publicKey: string): boolean => publicKey.startsWith("U")

/** The public key of a user's seed; none for any other text. */
const publicKeyOf = (seed: string): Option.Option<string> =>
  Result.try(() => nkeys.fromSeed(encoder.encode(seed)).getPublicKey()).pipe(
    Result.getOrElse(() => ""),
    Option.liftPredicate(isOfUser)
  )

const seedForm = "the seed of a user's nkey (58 letters and digits, beginning with SU)"

const withNkey = (given: string): Result.Result<ResolvedLogin, InvalidConfig> => {
  const seed = given.trim()
  return Option.match(publicKeyOf(seed), {
    onNone: () => Result.fail(invalidConfig(`nkey: expected ${seedForm}`)),
    onSome: (publicKey) =>
      Result.succeed({
        shown: `nkey ${publicKey}`,
        expires: never,
        authenticator: () => nkeyAuthenticator(encoder.encode(seed))
      })
  })
}

// -----------------------------------------------------------------------------
// credentials: the JWT and the seed of a user
// -----------------------------------------------------------------------------

interface Credentials {
  readonly shown: string
  readonly jwt: string
  readonly seed: string
  /** In milliseconds. */
  readonly expires: number | undefined
}

const Claims = Schema.fromJsonString(Schema.Struct({
  sub: Schema.String,
  /** When the JWT expires, in seconds; 0 or missing: never. */
  exp: Schema.optionalKey(Schema.Finite),
  name: Schema.optionalKey(Schema.String),
  nats: Schema.Struct({ type: Schema.Literal("user") })
}))

const claimsOf = (jwt: string): Option.Option<typeof Claims.Type> =>
  Base64Url.decodeString(jwt.split(".")[1] ?? "").pipe(
    Result.getOrElse(() => ""),
    Schema.decodeOption(Claims)
  )

/** A block of a credentials file: content between two lines with a label in dashes, with any line ending. */
const block = /-{3,}[^\n]*-{3,}\r?\n\s*(\S+)\s*\n\s*-{3,}[^\n]*-{3,}/g

const parseCredentials = (text: string): Result.Result<Credentials, string> => {
  const [jwt, seed] = Array.from(text.matchAll(block), ([, content]) => content!)
  if (jwt === undefined || seed === undefined) {
    return Result.fail("expected a JWT and a seed, each between lines of dashes, as written by nsc")
  }
  const claims = claimsOf(jwt)
  if (Option.isNone(claims)) return Result.fail("expected the JWT of a user in the first part")
  const publicKey = publicKeyOf(seed)
  if (Option.isNone(publicKey)) return Result.fail(`expected ${seedForm} in the second part`)
  const { exp = 0, name = "a user", sub } = claims.value
  return sub === publicKey.value
    ? Result.succeed({
      shown: `credentials of ${name} (${sub})`,
      jwt,
      seed,
      expires: exp === 0 ? undefined : exp * 1000
    })
    : Result.fail(
      `expected the JWT and the seed of the same user, got the JWT of ${sub} and the seed of ${publicKey.value}`
    )
}

const credentialsOf = (name: string, text: string): Result.Result<Credentials, InvalidConfig> =>
  Result.mapError(parseCredentials(text), (problem) => invalidConfig(`${name}: ${problem}`))

const withCredentials = ({ expires, jwt, seed, shown }: Credentials): ResolvedLogin => ({
  shown,
  expires: () => expires,
  authenticator: () => jwtAuthenticator(jwt, encoder.encode(seed))
})

/**
 * Reads the file again for every connect, so that renewed credentials are used. If
 * the file cannot be read, the previous credentials are used: an authenticator that
 * throws would close the connection permanently.
 */
const withFile = (file: string, first: Credentials): ResolvedLogin => {
  let last = first
  const authenticator: ResolvedLogin["authenticator"] = (report) => {
    const latest = () => {
      const parsed = Result.flatMap(
        Result.mapError(Result.try(() => readFileSync(file, "utf8")), () => "the file cannot be read"),
        parseCredentials
      )
      if (Result.isSuccess(parsed)) last = parsed.success
      else report(`credentialsFile ${JSON.stringify(file)}: ${parsed.failure}; using the credentials read before`)
      return last
    }
    return (nonce) => {
      const { jwt, seed } = latest()
      return jwtAuthenticator(jwt, encoder.encode(seed))(nonce)
    }
  }
  return { shown: first.shown, expires: () => last.expires, authenticator }
}

// -----------------------------------------------------------------------------
// the choice of the method
// -----------------------------------------------------------------------------

const byPassword = ({ password, user }: LoginOptions): Result.Result<ResolvedLogin, InvalidConfig> => {
  if (user === undefined) return refuse("user", "a user together with password", "none")
  if (password === undefined) return refuse("password", "a password together with user", "none")
  return Result.succeed(withPassword(user, password))
}

const byFile = Effect.fnUntraced(function*(file: string): Effect.fn.Return<ResolvedLogin, InvalidConfig> {
  const text = yield* fileText("credentialsFile", file)
  return withFile(file, yield* Effect.fromResult(credentialsOf("credentialsFile", text)))
})

/** The login in the options; undefined if they have none. */
const optionsLogin = (given: LoginOptions): Effect.Effect<ResolvedLogin, InvalidConfig> | undefined => {
  const { credentials, credentialsFile, nkey, token } = given
  if (token !== undefined) return Effect.succeed(withToken(token))
  if (nkey !== undefined) return Effect.fromResult(withNkey(nkey))
  if (credentials !== undefined) {
    return Effect.fromResult(Result.map(credentialsOf("credentials", credentials), withCredentials))
  }
  if (credentialsFile !== undefined) return byFile(credentialsFile)
  return given.user === undefined && given.password === undefined ? undefined : Effect.fromResult(byPassword(given))
}

/** The options of each authentication method. */
const ways: ReadonlyArray<ReadonlyArray<keyof LoginOptions>> = [
  ["user", "password"],
  ["token"],
  ["nkey"],
  ["credentials"],
  ["credentialsFile"]
]

/** The login in the options or in the URLs. More than one method fails with `InvalidConfig`. */
export const readLogin = (
  given: LoginOptions,
  url: UrlLogin | undefined
): Effect.Effect<ResolvedLogin, InvalidConfig> => {
  const used = ways.filter((names) => names.some((name) => given[name] !== undefined))
  const named = [...used.map((names) => names.join(" and ")), ...(url === undefined ? [] : ["the URL of servers"])]
  if (named.length > 1) return Effect.fail(invalidConfig(`expected one way to log in, got ${named.join(", ")}`))
  return optionsLogin(given) ?? Effect.succeed(url === undefined ? nobody : fromUrl(url))
}
