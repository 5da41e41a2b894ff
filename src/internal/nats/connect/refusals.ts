/**
 * Why a server did not take a connection: whether another attempt may help, or
 * the options have to be mended first.
 */
import { errors } from "@nats-io/transport-node"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import { connect as connectTcp, isIP, type Socket } from "node:net"
import { connect as connectTls, type TLSSocket } from "node:tls"
import { InvalidConfig, type KVStoreReason, PermissionDenied, Unavailable } from "../../../KVStoreError.ts"
import { isAuthorizationFailure } from "../client/natsIo.ts"
import type { ServerAddress } from "./servers.ts"
import { type ConnectionSettings, shownServers } from "./settings.ts"

/** What Node says of a server's certificate that it does not trust, or that is another server's. */
const unverified = new Set([
  "CERT_CHAIN_TOO_LONG",
  "CERT_HAS_EXPIRED",
  "CERT_NOT_YET_VALID",
  "CERT_REJECTED",
  "CERT_REVOKED",
  "CERT_SIGNATURE_FAILURE",
  "CERT_UNTRUSTED",
  "DEPTH_ZERO_SELF_SIGNED_CERT",
  "ERR_TLS_CERT_ALTNAME_INVALID",
  "HOSTNAME_MISMATCH",
  "INVALID_CA",
  "INVALID_PURPOSE",
  "PATH_LENGTH_EXCEEDED",
  "SELF_SIGNED_CERT_IN_CHAIN",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
])

/** What a server says of a client's certificate: it has none, or one that the server does not trust. */
const refusedCertificate = new Set([
  "ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE",
  "ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED",
  "ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED",
  "ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN",
  "ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
  "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
  "ERR_SSL_TLSV1_ALERT_ACCESS_DENIED",
  "ERR_SSL_TLSV1_ALERT_DECRYPT_ERROR",
  "ERR_SSL_TLSV1_ALERT_UNKNOWN_CA"
])

/** Nothing that TLS itself refuses gets better by itself: the versions, the ciphers, or who speaks first. */
const isTlsCode = (code: string): boolean => /^ERR_(SSL|TLS|OSSL)_/.test(code)

const codeOf = (cause: unknown): string => {
  const code: unknown = cause instanceof Error ? Reflect.get(cause, "code") : undefined
  if (typeof code === "string") return code
  return cause instanceof Error && cause.cause !== undefined ? codeOf(cause.cause) : ""
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).trim()

/** By class and by code; none where they say nothing, and another attempt is worth it. */
const finalReason = (cause: unknown, where: string, settings: ConnectionSettings): Option.Option<KVStoreReason> => {
  if (isAuthorizationFailure(cause)) {
    const subject = `${where} with ${settings.login.shown} (${messageOf(cause)})`
    return Option.some(new PermissionDenied({ subject, cause }))
  }
  const code = codeOf(cause)
  if (refusedCertificate.has(code)) {
    const sent = settings.tls?.texts.cert === undefined ? "no client certificate" : "this client certificate"
    return Option.some(new PermissionDenied({ subject: `${where} with ${sent} (${code})`, cause }))
  }
  if (unverified.has(code)) {
    const problem = `tls: the certificate of ${where} does not verify (${code}: ${messageOf(cause)}): ` +
      "expected one of a CA in tls.ca (or one that the system trusts), for this host name or address"
    return Option.some(new InvalidConfig({ problem }))
  }
  if (!isTlsCode(code)) return Option.none()
  const first = settings.tls?.settings.handshakeFirst === true
    ? ": expected a server with handshake_first, or options without tls.handshakeFirst"
    : ""
  return Option.some(new InvalidConfig({ problem: `tls: ${where} and this client do not agree (${code})${first}` }))
}

/** What a server says of itself before anything else. */
interface Info {
  readonly tls_required?: boolean
  readonly tls_available?: boolean
}

const infoForm = /^INFO\s+([^\r\n]+)\r\n/

const parseInfo = (received: string): Info | undefined => {
  const text = infoForm.exec(received)?.[1]
  return text === undefined ? undefined : Result.getOrElse(Result.try((): Info => JSON.parse(text)), () => undefined)
}

/** Shakes hands over a connection that is there, and waits for what comes of it. */
const shakeHands = (socket: Socket, server: ServerAddress, { tls }: ConnectionSettings): TLSSocket =>
  connectTls({
    ...tls?.texts,
    ...(tls === undefined ? {} : { checkServerIdentity: tls.settings.checkServerIdentity }),
    socket,
    servername: isIP(server.host) === 0 ? server.host : ""
  })

/**
 * Asks a server for its last word on TLS, and logs nobody in. The client is not
 * told: that a certificate of ours is refused comes after the handshake of TLS
 * 1.3, when the client has stopped listening for it, and it sees a timeout.
 */
const listenTo = (
  socket: Socket,
  server: ServerAddress,
  settings: ConnectionSettings
): Effect.Effect<Option.Option<KVStoreReason>> =>
  Effect.callback<Option.Option<KVStoreReason>>((resume) => {
    const end = (reason: Option.Option<KVStoreReason>) => resume(Effect.succeed(reason))
    const failed = (cause: unknown) => end(finalReason(cause, server.shown, settings))
    const ended = () => end(Option.none())
    let received = ""
    const onData = (data: Uint8Array) => {
      received += String(data)
      const info = parseInfo(received)
      if (info === undefined) return
      socket.off("data", onData)
      if (info.tls_required === true || info.tls_available === true) {
        shakeHands(socket, server, settings).on("error", failed).on("close", ended)
        return
      }
      const problem = `tls: ${server.shown} offers none: expected a server with TLS, or options without it`
      end(settings.tls === undefined ? Option.none() : Option.some(new InvalidConfig({ problem })))
    }
    socket.on("data", onData).on("error", failed).on("close", ended)
  })

const askServer = (server: ServerAddress, settings: ConnectionSettings): Effect.Effect<Option.Option<KVStoreReason>> =>
  Effect.acquireUseRelease(
    Effect.sync(() => connectTcp(server.port, server.host)),
    (socket) =>
      listenTo(socket, server, settings).pipe(
        Effect.timeoutOption(Duration.times(settings.connectTimeout, askFor)),
        Effect.map(Option.flatten)
      ),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** A server that is there answers far sooner; one that is not has had its time. */
const askFor = 0.5

/** The reason for a failed attempt. Where the client's word leaves it open, the servers are asked. */
export const explain = Effect.fnUntraced(function*(
  cause: unknown,
  settings: ConnectionSettings
): Effect.fn.Return<KVStoreReason> {
  const where = shownServers(settings)
  const told = finalReason(cause, where, settings)
  if (Option.isSome(told)) return told.value
  const open = cause instanceof errors.TimeoutError || cause instanceof errors.ConnectionError
  const asked = open && codeOf(cause) === ""
    ? yield* Effect.forEach(settings.servers, (server) => askServer(server, settings), { concurrency: "unbounded" })
    : []
  return Option.getOrElse(
    Option.firstSomeOf(asked),
    () => new Unavailable({ problem: `${where}: ${unanswered(cause, settings)}`, cause })
  )
})

const unanswered = (cause: unknown, { connectTimeout, tls }: ConnectionSettings): string => {
  if (!(cause instanceof errors.TimeoutError)) return messageOf(cause)
  const first = tls !== undefined && tls.settings.handshakeFirst === undefined
    ? "; one with handshake_first waits for tls.handshakeFirst"
    : ""
  return `no answer within ${Duration.format(connectTimeout)}${first}`
}
