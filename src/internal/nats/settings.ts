/**
 * How to connect, checked: what `NatsClient`'s options come to.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { InvalidConfig } from "../../KVStoreError.ts"
import { checkNames, invalid, kindOf, text, time } from "./given.ts"
import { loginNames, readLogin, type ResolvedLogin } from "./login.ts"
import { parseServers, type ServerAddress } from "./servers.ts"
import { readTls, type Tls } from "./tls.ts"

export interface Settings {
  readonly servers: ReadonlyArray<ServerAddress>
  readonly login: ResolvedLogin
  /** Undefined: a server that wants TLS gets it, with the certificates that the system trusts. */
  readonly tls: Tls | undefined
  readonly name: string | undefined
  readonly inboxPrefix: string | undefined
  readonly connectTimeout: Duration.Duration
  readonly reconnectWait: Duration.Duration
  readonly pingInterval: Duration.Duration
}

/** One attempt to connect ends after this long; a server on the same continent answers in a tenth of it. */
const connectTimeout = Duration.seconds(2)
/** Between two attempts, to which up to three times as much is added: a restart is not met by everybody at once. */
const reconnectWait = Duration.millis(250)
/** With two unanswered pings a frozen server is noticed after 6 to 9 s; the client's own default is minutes. */
const pingInterval = Duration.seconds(3)

const names = [
  "servers",
  "name",
  ...loginNames,
  "tls",
  "inboxPrefix",
  "connectTimeout",
  "reconnectWait",
  "pingInterval"
]

/** A subject without wildcards. */
const prefixForm = /^[^\s.*>]+(\.[^\s.*>]+)*$/

const readPrefix = Effect.fnUntraced(function*(prefix: unknown): Effect.fn.Return<string, InvalidConfig> {
  if (typeof prefix === "string" && prefixForm.test(prefix)) return prefix
  const got = typeof prefix === "string" ? JSON.stringify(prefix) : kindOf(prefix)
  return yield* invalid(`inboxPrefix: expected words with dots between, such as _INBOX_app, got ${got}`)
})

/** The servers as people are told of them. */
export const shownServers = ({ servers }: Settings): string => servers.map(({ shown }) => shown).join(", ")

/** Checks everything; reads the files that are named. Nothing is sent. */
export const readSettings = Effect.fnUntraced(function*(
  options: unknown
): Effect.fn.Return<Settings, InvalidConfig> {
  const given = yield* checkNames("", options, names)
  const servers = yield* parseServers(given.servers)
  // A URL can ask for TLS, too.
  const tls = given.tls === undefined && servers.tls ? {} : given.tls
  return {
    servers: servers.list,
    login: yield* readLogin(given, servers.login),
    tls: tls === undefined ? undefined : yield* readTls(tls),
    name: given.name === undefined ? undefined : yield* text("name", given.name),
    inboxPrefix: given.inboxPrefix === undefined ? undefined : yield* readPrefix(given.inboxPrefix),
    connectTimeout: yield* time("connectTimeout", given.connectTimeout, connectTimeout),
    reconnectWait: yield* time("reconnectWait", given.reconnectWait, reconnectWait),
    pingInterval: yield* time("pingInterval", given.pingInterval, pingInterval)
  }
})
