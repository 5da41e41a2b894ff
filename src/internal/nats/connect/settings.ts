/**
 * How to connect, checked: what `NatsClient`'s options come to.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { InvalidConfig } from "../../../KVStoreError.ts"
import * as options from "../../options.ts"
import { loginSettings, readLogin, type ResolvedLogin } from "./login.ts"
import { type ServerAddress, servers } from "./servers.ts"
import { readTls, type Tls, tlsSettings } from "./tls.ts"

export interface ConnectionSettings {
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

/** A subject without wildcards. */
const prefixForm = /^[^\s.*>]+(\.[^\s.*>]+)*$/

/** The longest is far beyond any use, and well inside what a timer can count. */
const time = options.duration(Duration.millis(1), Duration.hours(1))

const settings = {
  servers,
  name: options.optional(options.text),
  ...loginSettings,
  tls: options.optional(options.group(tlsSettings)),
  inboxPrefix: options.optional(
    options.textLike(prefixForm, "words with dots between, such as _INBOX_app, without spaces and wildcards")
  ),
  connectTimeout: options.withDefault(time, connectTimeout),
  reconnectWait: options.withDefault(time, reconnectWait),
  pingInterval: options.withDefault(time, pingInterval)
}

/** The names of all options of a connection. */
export const connectionNames: ReadonlyArray<string> = Object.keys(settings)

/** The servers as people are told of them. */
export const shownServers = ({ servers }: ConnectionSettings): string => servers.map(({ shown }) => shown).join(", ")

/** Checks everything; reads the files that are named. Nothing is sent. */
export const readSettings = Effect.fnUntraced(function*(
  given: unknown
): Effect.fn.Return<ConnectionSettings, InvalidConfig> {
  const values = yield* Effect.fromResult(options.read("the client", given, settings))
  const { connectTimeout, inboxPrefix, name, pingInterval, reconnectWait, servers } = values
  const login = yield* readLogin(values, servers.login)
  // A URL can ask for TLS, too.
  const asked = values.tls ?? (servers.tls ? {} : undefined)
  const tls = asked && (yield* readTls(asked))
  return { servers: servers.list, login, tls, name, inboxPrefix, connectTimeout, reconnectWait, pingInterval }
})
