/**
 * Who a connection is, by exactly one of the ways that NATS has: turned into
 * what the client calls an authenticator, which gives the secret when the server
 * asks for it. A secret is in there, and nowhere that anybody looks.
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
  /** For people: whom the server was told of. */
  readonly shown: string
  /** `report` is told of what goes wrong later on, while it connects again. */
  readonly authenticator: (report: (problem: string) => void) => Authenticator | undefined
}

/** Options that log in. */
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

const withPassword = (user: string, password: string): ResolvedLogin => ({
  shown: `user ${JSON.stringify(user)}`,
  authenticator: () => usernamePasswordAuthenticator(user, password)
})

const withToken = (token: string): ResolvedLogin => ({
  shown: "a token",
  authenticator: () => tokenAuthenticator(token)
})

const fromUrl = ({ password, user }: UrlLogin): ResolvedLogin =>
  password === undefined ? withToken(user) : withPassword(user, password)

const nobody: ResolvedLogin = { shown: "no login", authenticator: () => undefined }

// -----------------------------------------------------------------------------
// keys
// -----------------------------------------------------------------------------

/** Public keys of users begin so; those of accounts, servers and operators do not, and log nobody in. */
const isOfUser = (publicKey: string): boolean => publicKey.startsWith("U")

/** The public key that belongs to the seed of a user. */
const publicKeyOf = (seed: string): Option.Option<string> =>
  Result.try(() => nkeys.fromSeed(encoder.encode(seed)).getPublicKey()).pipe(
    Result.getOrElse(() => ""),
    Option.liftPredicate(isOfUser)
  )

const seedForm = "the seed of a user's nkey (58 letters and digits that begin with SU)"

const withNkey = (given: string): Result.Result<ResolvedLogin, InvalidConfig> => {
  const seed = given.trim()
  return Option.match(publicKeyOf(seed), {
    onNone: () => Result.fail(invalidConfig(`nkey: expected ${seedForm}`)),
    onSome: (publicKey) =>
      Result.succeed({
        shown: `nkey ${publicKey}`,
        authenticator: () => nkeyAuthenticator(encoder.encode(seed))
      })
  })
}

// -----------------------------------------------------------------------------
// credentials: a user's JWT and the seed that belongs to it
// -----------------------------------------------------------------------------

interface Credentials {
  readonly shown: string
  readonly jwt: string
  readonly seed: string
}

const Claims = Schema.fromJsonString(Schema.Struct({
  sub: Schema.String,
  name: Schema.optionalKey(Schema.String),
  nats: Schema.Struct({ type: Schema.Literal("user") })
}))

const claimsOf = (jwt: string): Option.Option<typeof Claims.Type> =>
  Base64Url.decodeString(jwt.split(".")[1] ?? "").pipe(
    Result.getOrElse(() => ""),
    Schema.decodeOption(Claims)
  )

/** A line of dashes, what it is about, and another: as `nsc` writes it, on every system. */
const block = /-{3,}[^\n]*-{3,}\r?\n\s*(\S+)\s*\n\s*-{3,}[^\n]*-{3,}/g

const parseCredentials = (text: string): Result.Result<Credentials, string> => {
  const [jwt, seed] = Array.from(text.matchAll(block), ([, content]) => content!)
  if (jwt === undefined || seed === undefined) {
    return Result.fail("expected a JWT and a seed, each between lines of dashes, as nsc writes them")
  }
  const claims = claimsOf(jwt)
  if (Option.isNone(claims)) return Result.fail("expected the JWT of a user in the first part")
  const publicKey = publicKeyOf(seed)
  if (Option.isNone(publicKey)) return Result.fail(`expected ${seedForm} in the second part`)
  const { name = "a user", sub } = claims.value
  return sub === publicKey.value
    ? Result.succeed({ shown: `credentials of ${name} (${sub})`, jwt, seed })
    : Result.fail(`expected the JWT and the seed of one user, got the JWT of ${sub} and the seed of ${publicKey.value}`)
}

const credentialsOf = (name: string, text: string): Result.Result<Credentials, InvalidConfig> =>
  Result.mapError(parseCredentials(text), (problem) => invalidConfig(`${name}: ${problem}`))

const withCredentials = ({ jwt, seed, shown }: Credentials): ResolvedLogin => ({
  shown,
  authenticator: () => jwtAuthenticator(jwt, encoder.encode(seed))
})

/**
 * Read again for every connection, so that credentials which were renewed in time
 * are used. An authenticator that throws would end the client for good: where
 * they cannot be read, those of the last time go on.
 */
const withFile = (file: string, first: Credentials): ResolvedLogin => ({
  shown: first.shown,
  authenticator: (report) => {
    let last = first
    const latest = () => {
      const parsed = Result.flatMap(
        Result.mapError(Result.try(() => readFileSync(file, "utf8")), () => "it cannot be read"),
        parseCredentials
      )
      if (Result.isSuccess(parsed)) last = parsed.success
      else report(`credentialsFile ${JSON.stringify(file)}: ${parsed.failure}; those read before are used`)
      return last
    }
    return (nonce) => {
      const { jwt, seed } = latest()
      return jwtAuthenticator(jwt, encoder.encode(seed))(nonce)
    }
  }
})

// -----------------------------------------------------------------------------
// exactly one of them
// -----------------------------------------------------------------------------

const byPassword = ({ password, user }: LoginOptions): Result.Result<ResolvedLogin, InvalidConfig> => {
  if (user === undefined) return refuse("user", "one beside password", "none")
  if (password === undefined) return refuse("password", "one beside user", "none")
  return Result.succeed(withPassword(user, password))
}

const byFile = Effect.fnUntraced(function*(file: string): Effect.fn.Return<ResolvedLogin, InvalidConfig> {
  const text = yield* fileText("credentialsFile", file)
  return withFile(file, yield* Effect.fromResult(credentialsOf("credentialsFile", text)))
})

/** The login that the options ask for; undefined where they ask for none. */
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

/** The options that belong together, by way to log in. */
const ways: ReadonlyArray<ReadonlyArray<keyof LoginOptions>> = [
  ["user", "password"],
  ["token"],
  ["nkey"],
  ["credentials"],
  ["credentialsFile"]
]

/** The one way to log in that is used; that of a URL is one of them. */
export const readLogin = (
  given: LoginOptions,
  url: UrlLogin | undefined
): Effect.Effect<ResolvedLogin, InvalidConfig> => {
  const used = ways.filter((names) => names.some((name) => given[name] !== undefined))
  const named = [...used.map((names) => names.join(" and ")), ...(url === undefined ? [] : ["the URL of servers"])]
  if (named.length > 1) return Effect.fail(invalidConfig(`expected one way to log in, got ${named.join(", ")}`))
  return optionsLogin(given) ?? Effect.succeed(url === undefined ? nobody : fromUrl(url))
}
