/**
 * Parses the URLs of servers. The client ignores the login in a URL and the scheme
 * `tls://`. This module extracts both, so that they take effect, and so that errors
 * of the client cannot show the login.
 */
import * as Array from "effect/Array"
import * as Result from "effect/Result"
import type { InvalidConfig } from "../../../KVStoreError.ts"
import { kindOf, refuse, type Setting } from "../../options.ts"

export interface ServerAddress {
  /** A host name or an IP address; an IPv6 address without its brackets. */
  readonly host: string
  readonly port: number
  /** `host:port`, for the client and for messages. */
  readonly shown: string
}

/** The login in a URL. A user without a password is a token, as in the tools of NATS. */
export interface UrlLogin {
  readonly user: string
  readonly password: string | undefined
}

export interface Servers {
  readonly list: Array.NonEmptyReadonlyArray<ServerAddress>
  /** Whether one of the URLs has the scheme `tls://`. */
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

/** `URL` drops the default port of its scheme: parsed as http, port 80 is missing, so parse it as https, too. */
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
  // `decodeURIComponent` throws for an invalid escape such as `%zz`.
  const login = Result.try(() => loginOf(url))
  if (Result.isFailure(login) || port === "0") return undefined
  return {
    server: { host: url.hostname.replace(/^\[|\]$/g, ""), port: Number(port), shown: `${url.hostname}:${port}` },
    tls: scheme?.toLowerCase() === "tls",
    login: login.success
  }
}

/** An invalid URL as an error shows it: without the password that it may contain, before an `@` or after a colon. */
const shown = (one: unknown): string => {
  if (typeof one === "number") return String(one)
  if (typeof one !== "string") return kindOf(one)
  return one.includes("@")
    ? "a URL with a login, not shown here"
    : JSON.stringify(one.replace(/:(?!\/\/|\d+$).*$/s, ":..."))
}

const split = (servers: unknown): ReadonlyArray<unknown> =>
  typeof servers === "string"
    ? servers.split(",").filter((one) => one.trim() !== "")
    : Array.isArray(servers)
    ? servers
    : [servers]

/** The login in the URLs: a connection has one login, so all logins must be equal. Undefined if no URL has one. */
const oneLogin = (
  name: string,
  logins: ReadonlyArray<UrlLogin>
): Result.Result<UrlLogin | undefined, InvalidConfig> => {
  const [first, ...others] = logins
  if (others.some(({ password, user }) => user !== first!.user || password !== first!.password)) {
    return refuse(name, "the same login in every URL", "different logins")
  }
  return first?.user === ""
    ? refuse(name, "a user before the password in the URL", "none")
    : Result.succeed(first)
}

/** One URL, several URLs separated by commas, or a list of URLs. */
export const servers: Setting<Servers> = (name, given) => {
  const expected = "nats://host:port"
  const parsed: globalThis.Array<Parsed> = []
  for (const one of split(given)) {
    const server = typeof one === "string" ? parse(one.trim()) : undefined
    if (server === undefined) return refuse(name, expected, shown(one))
    parsed.push(server)
  }
  // A comma within a login splits it, and its first part would be looked up as a host.
  if (parsed.findIndex(({ login }) => login !== undefined) > 0) {
    return refuse(
      name,
      "the login in the first URL too, with a comma within it written as %2C",
      "a later URL with a login"
    )
  }
  if (!Array.isArrayNonEmpty(parsed)) return refuse(name, expected, typeof given === "string" ? shown(given) : "none")
  return Result.map(oneLogin(name, parsed.flatMap(({ login }) => login ?? [])), (login) => ({
    list: Array.map(parsed, ({ server }) => server),
    tls: parsed.some(({ tls }) => tls),
    login
  }))
}
