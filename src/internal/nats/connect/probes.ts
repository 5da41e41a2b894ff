/**
 * Questions to a server without logging in, after an attempt has failed without its
 * cause. Each question opens another connection and closes it.
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { connect as connectTcp, isIP, type Socket } from "node:net"
import { connect as connectTls, type TLSSocket } from "node:tls"
import { tooManyConnections } from "../outage.ts"
import { type Lapsed, lapsedIn } from "./expiry.ts"
import type { ServerAddress } from "./servers.ts"
import type { ConnectionSettings } from "./settings.ts"

/** The INFO message, the first message of a server. */
interface Info {
  readonly tls_required?: boolean
  readonly tls_available?: boolean
}

const infoForm = /^INFO\s+([^\r\n]+)\r\n/

const parseInfo = (received: string): Info | undefined => {
  const text = infoForm.exec(received)?.[1]
  return text === undefined ? undefined : Result.getOrElse(Result.try((): Info => JSON.parse(text)), () => undefined)
}

/** Connects, and closes the socket at the end. `listen` gets the socket, and ends the question with its answer. */
const ask = <A>(
  { host, port }: ServerAddress,
  listen: (socket: Socket, end: (answer: Option.Option<A>) => void) => void
): Effect.Effect<Option.Option<A>> =>
  Effect.acquireUseRelease(
    Effect.sync(() => connectTcp(port, host)),
    (socket) =>
      Effect.callback<Option.Option<A>>((resume) => listen(socket, (answer) => resume(Effect.succeed(answer)))),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** Calls `onInfo` with the INFO of the server. */
const whenGreeted = (socket: Socket, onInfo: (info: Info) => void): void => {
  let received = ""
  const onData = (data: Uint8Array) => {
    received += String(data)
    const info = parseInfo(received)
    if (info === undefined) return
    socket.off("data", onData)
    onInfo(info)
  }
  socket.on("data", onData)
}

const nameOf = ({ host }: ServerAddress): string => isIP(host) === 0 ? host : ""

/** Whether the server expects the TLS handshake before its INFO. */
const isFirst = ({ tls }: ConnectionSettings): boolean => tls?.settings.handshakeFirst === true

/** Starts a TLS handshake over a connected socket. */
const shakeHands = (socket: Socket, server: ServerAddress, { tls }: ConnectionSettings): TLSSocket =>
  connectTls({
    ...tls?.texts,
    ...(tls === undefined ? {} : { checkServerIdentity: tls.settings.checkServerIdentity }),
    socket,
    servername: nameOf(server)
  })

type Handshake = { readonly _tag: "Failed"; readonly error: unknown } | { readonly _tag: "NoTls" }

/**
 * Performs a TLS handshake, and returns the error if it fails. The client can miss that error: in TLS 1.3 the refusal of a
 * client certificate arrives after the handshake, when the client no longer listens for errors, and the client reports a
 * timeout.
 */
export const askHandshake = (
  server: ServerAddress,
  settings: ConnectionSettings
): Effect.Effect<Option.Option<Handshake>> =>
  ask<Handshake>(server, (socket, end) => {
    const failed = (error: unknown) => end(Option.some({ _tag: "Failed", error }))
    const closed = () => end(Option.none())
    socket.on("error", failed).on("close", closed)
    const shake = () => shakeHands(socket, server, settings).on("error", failed).on("close", closed)
    const onInfo = (info: Info) => {
      if (info.tls_required === true || info.tls_available === true) shake()
      else end(settings.tls === undefined ? Option.none() : Option.some({ _tag: "NoTls" }))
    }
    if (isFirst(settings)) socket.on("connect", shake)
    else whenGreeted(socket, onInfo)
  })

const refusalForm = new RegExp(`^-ERR\\s+'?(${tooManyConnections})`, "im")

/**
 * Returns the error with which a server refuses any connection, in plain text before the login and the TLS handshake.
 * Other errors do not count: a server also refuses this connection some time later, because it does not log in.
 */
export const askRefusal = (server: ServerAddress): Effect.Effect<Option.Option<string>> =>
  ask<string>(server, (socket, end) => {
    let received = ""
    socket.on("data", (data) => {
      received += String(data)
      const said = refusalForm.exec(received)?.[1]
      if (said !== undefined) end(Option.some(said))
    }).on("error", () => end(Option.none())).on("close", () => end(Option.none()))
  })

/** Asks a server for its certificates, and returns an expired one. They are read only. */
export const askLapsed = Effect.fnUntraced(function*(
  server: ServerAddress,
  settings: ConnectionSettings,
  within: Duration.Duration
): Effect.fn.Return<Lapsed | undefined> {
  const now = yield* Clock.currentTimeMillis
  const asked = ask<Lapsed>(server, (socket, end) => {
    const none = () => end(Option.none())
    const shake = () => {
      // Without the client's certificate, which a server that is not verified does not get.
      const secure = connectTls({ socket, servername: nameOf(server), rejectUnauthorized: false })
      secure.on("error", none).on("close", none).on("secureConnect", () => {
        end(Option.fromUndefinedOr(lapsedIn(secure.getPeerCertificate(true), now)))
      })
    }
    socket.on("error", none).on("close", none)
    if (isFirst(settings)) socket.on("connect", shake)
    else whenGreeted(socket, shake)
  })
  const answer = yield* Effect.timeoutOption(asked, within)
  return Option.getOrUndefined(Option.flatten(answer))
})
