/**
 * Servers as people write them, and the login that a URL may carry. The client
 * would not hear of that login, nor of the `tls` in `tls://`: both are taken out
 * here, so that they count, and so that nothing the client says can show them.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { InvalidConfig } from "../../KVStoreError.ts"
import { invalid, kindOf } from "./given.ts"

export interface ServerAddress {
  /** An address of IPv6 is without its brackets. */
  readonly host: string
  readonly port: number
  /** `host:port`, for the client and for people. */
  readonly shown: string
}

/** A user alone is a token, as in NATS's own tools. */
export interface UrlLogin {
  readonly user: string
  readonly password: string | undefined
}

export interface Servers {
  readonly list: ReadonlyArray<ServerAddress>
  /** One of them asked for it. */
  readonly tls: boolean
  readonly login: UrlLogin | undefined
}

interface Parsed {
  readonly server: ServerAddress
  readonly tls: boolean
  readonly login: UrlLogin | undefined
}

const form = /^(?:(nats|tls):\/\/)?([^/?#\s]+)\/?$/i

const defaultPort = "4222"

/** A URL drops the port that its scheme stands for, so it is read under two that differ in it. */
const portOf = (url: URL, authority: string): string =>
  url.port === "" ? URL.parse(`https://${authority}`)?.port || defaultPort : url.port

const loginOf = (url: URL): UrlLogin | undefined =>
  url.username === "" && url.password === "" ? undefined : {
    user: decodeURIComponent(url.username),
    password: url.password === "" ? undefined : decodeURIComponent(url.password)
  }

const parse = (text: string): Parsed | undefined => {
  const [, scheme, authority] = form.exec(text) ?? []
  const url = authority === undefined ? null : URL.parse(`http://${authority}`)
  if (authority === undefined || url === null || url.hostname === "") return undefined
  const port = portOf(url, authority)
  // A percent sign that stands for nothing throws.
  const login = Result.try(() => loginOf(url))
  if (Result.isFailure(login) || port === "0") return undefined
  return {
    server: { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(port), shown: `${url.hostname}:${port}` },
    tls: scheme?.toLowerCase() === "tls",
    login: login.success
  }
}

/** What is no URL may still have a password in it: before an `@`, or where a port should be. */
const shown = (one: unknown): string => {
  if (typeof one === "number") return String(one)
  if (typeof one !== "string") return kindOf(one)
  return one.includes("@")
    ? "one with a login in it, not shown here"
    : JSON.stringify(one.replace(/:(?!\/\/|\d+$).*$/s, ":..."))
}

const expected = (got: string): InvalidConfig => invalid(`servers: expected nats://host:port, got ${got}`)

const split = (servers: unknown): ReadonlyArray<unknown> =>
  Array.isArray(servers) ? servers : typeof servers === "string" ? servers.split(",") : [servers]

/** The login of a connection is one, whichever server it is made to. */
const oneLogin = (logins: ReadonlyArray<UrlLogin>): Effect.Effect<UrlLogin | undefined, InvalidConfig> => {
  const [first, ...others] = logins
  if (others.some(({ password, user }) => user !== first!.user || password !== first!.password)) {
    return Effect.fail(invalid("servers: expected the same login in every URL, got several"))
  }
  return first?.user === ""
    ? Effect.fail(invalid("servers: expected a user before the password in the URL, got none"))
    : Effect.succeed(first)
}

/** Reads one URL, several with commas between, or a list. */
export const parseServers = Effect.fnUntraced(function*(
  servers: unknown
): Effect.fn.Return<Servers, InvalidConfig> {
  const parsed: Array<Parsed> = []
  for (const one of split(servers)) {
    const server = typeof one === "string" ? parse(one.trim()) : undefined
    if (server === undefined) return yield* expected(shown(one))
    parsed.push(server)
  }
  if (parsed.length === 0) return yield* expected("none")
  return {
    list: parsed.map(({ server }) => server),
    tls: parsed.some(({ tls }) => tls),
    login: yield* oneLogin(parsed.flatMap(({ login }) => login ?? []))
  }
})
