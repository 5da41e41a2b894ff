/**
 * Reads and checks the options of `NatsClient`.
 */
import type * as Array from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { InvalidConfig } from "../../../KVStoreError.ts"
import * as options from "../../options.ts"
import { prefixForm } from "../../subjects.ts"
import { loginSettings, readLogin, type ResolvedLogin } from "./login.ts"
import { type ServerAddress, servers } from "./servers.ts"
import { readTls, type Tls, tlsSettings } from "./tls.ts"

export interface ConnectionSettings {
  readonly servers: Array.NonEmptyReadonlyArray<ServerAddress>
  readonly login: ResolvedLogin
  /** Undefined: TLS is used only if the server requires it, with the CAs of the system. */
  readonly tls: Tls | undefined
  readonly name: string | undefined
  readonly inboxPrefix: string | undefined
  readonly connectTimeout: Duration.Duration
  readonly reconnectWait: Duration.Duration
  readonly pingInterval: Duration.Duration
  readonly waitOnFirstConnect: boolean
}

/** The timeout of one attempt to connect. A server on the same continent answers within a tenth of it. */
const connectTimeout = Duration.seconds(2)
/** The minimum wait between two attempts to reconnect; `dial.ts` adds up to three times as much at random. */
const reconnectWait = Duration.millis(250)
/** A frozen server is noticed after two unanswered pings: after 6 to 9 s, with the client's default after minutes. */
const pingInterval = Duration.seconds(3)

/** The range of all times. Its maximum is well below the limit of Node's timers (24 days). */
const time = options.duration(Duration.millis(1), Duration.hours(1))

const settings = {
  servers,
  name: options.optional(options.textLike(/^[\s\S]{1,256}$/, "a text of 1 to 256 characters")),
  ...loginSettings,
  tls: options.optional(options.group(tlsSettings)),
  inboxPrefix: options.optional(
    options.textLike(prefixForm, "words separated by dots, such as _INBOX_app, without spaces and wildcards")
  ),
  connectTimeout: options.withDefault(time, connectTimeout),
  reconnectWait: options.withDefault(time, reconnectWait),
  pingInterval: options.withDefault(time, pingInterval),
  waitOnFirstConnect: options.withDefault(options.flag, false)
}

/** The names of all connection options. */
export const connectionNames: ReadonlyArray<string> = Object.keys(settings)

/** The servers as errors show them. */
export const shownServers = ({ servers }: ConnectionSettings): string => servers.map(({ shown }) => shown).join(", ")

/** Checks all options, and reads the files that they name. Nothing is sent. */
export const readSettings = Effect.fnUntraced(function*(
  given: unknown
): Effect.fn.Return<ConnectionSettings, InvalidConfig> {
  const values = yield* Effect.fromResult(options.read("the client", given, settings))
  const { connectTimeout, inboxPrefix, name, pingInterval, reconnectWait, servers, waitOnFirstConnect } = values
  const login = yield* readLogin(values, servers.login)
  // A `tls://` URL requires TLS, too.
  const asked = values.tls ?? (servers.tls ? {} : undefined)
  const tls = asked && (yield* readTls(asked))
  return {
    servers: servers.list,
    login,
    tls,
    name,
    inboxPrefix,
    connectTimeout,
    reconnectWait,
    pingInterval,
    waitOnFirstConnect
  }
})
