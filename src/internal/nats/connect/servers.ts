/**
 * Servers as people write them, and the login that a URL may carry. The client
 * would not hear of that login, nor of the `tls` in `tls://`: both are taken out
 * here, so that they count, and so that nothing the client says can show them.
 */
import * as Result from "effect/Result"
import type { InvalidConfig } from "../../../KVStoreError.ts"
import { kindOf, refuse, type Setting } from "../../options.ts"

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

const split = (servers: unknown): ReadonlyArray<unknown> =>
  Array.isArray(servers) ? servers : typeof servers === "string" ? servers.split(",") : [servers]

/** The login of a connection is one, whichever server it is made to. */
const oneLogin = (
  name: string,
  logins: ReadonlyArray<UrlLogin>
): Result.Result<UrlLogin | undefined, InvalidConfig> => {
  const [first, ...others] = logins
  if (others.some(({ password, user }) => user !== first!.user || password !== first!.password)) {
    return refuse(name, "the same login in every URL", "several")
  }
  return first?.user === ""
    ? refuse(name, "a user before the password in the URL", "none")
    : Result.succeed(first)
}

/** One URL, several with commas between, or a list. */
export const servers: Setting<Servers> = (name, given) => {
  const expected = "nats://host:port"
  const parsed: Array<Parsed> = []
  for (const one of split(given)) {
    const server = typeof one === "string" ? parse(one.trim()) : undefined
    if (server === undefined) return refuse(name, expected, shown(one))
    parsed.push(server)
  }
  if (parsed.length === 0) return refuse(name, expected, "none")
  return Result.map(oneLogin(name, parsed.flatMap(({ login }) => login ?? [])), (login) => ({
    list: parsed.map(({ server }) => server),
    tls: parsed.some(({ tls }) => tls),
    login
  }))
}
