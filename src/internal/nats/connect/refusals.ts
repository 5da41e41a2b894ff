/**
 * The reasons of failed attempts to connect. `Unavailable` is retryable; the other
 * reasons require other options, credentials or certificates.
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

/** Node's error codes for a server certificate that is not trusted or belongs to another server. */
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

/** Error codes for TLS alerts of a server that refuses the client certificate, or requires one and got none. */
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

/** Whether a code is an error of TLS itself (versions, ciphers, handshake order). Retrying cannot help then. */
const isTlsCode = (code: string): boolean => /^ERR_(SSL|TLS|OSSL)_/.test(code)

const codeOf = (cause: unknown): string => {
  const code: unknown = cause instanceof Error ? Reflect.get(cause, "code") : undefined
  if (typeof code === "string") return code
  return cause instanceof Error && cause.cause !== undefined ? codeOf(cause.cause) : ""
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause)).trim()

/** The reason by error class and code; none if they do not show a final reason. */
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
    const problem = `tls: the certificate of ${where} cannot be verified (${code}: ${messageOf(cause)}): ` +
      "expected a certificate for this host name or address, issued by a CA in tls.ca or by one that the system trusts"
    return Option.some(new InvalidConfig({ problem }))
  }
  if (!isTlsCode(code)) return Option.none()
  const first = settings.tls?.settings.handshakeFirst === true
    ? ": expected a server with handshake_first, or options without tls.handshakeFirst"
    : ""
  return Option.some(new InvalidConfig({ problem: `tls: the handshake with ${where} failed (${code})${first}` }))
}

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

/** Starts a TLS handshake over a connected socket. */
const shakeHands = (socket: Socket, server: ServerAddress, { tls }: ConnectionSettings): TLSSocket =>
  connectTls({
    ...tls?.texts,
    ...(tls === undefined ? {} : { checkServerIdentity: tls.settings.checkServerIdentity }),
    socket,
    servername: isIP(server.host) === 0 ? server.host : ""
  })

/**
 * Performs a TLS handshake with a server, without logging in, and returns the
 * reason if it fails. The client can miss that reason: in TLS 1.3 the refusal of a
 * client certificate arrives after the handshake, when the client no longer listens
 * for errors, and the client reports a timeout.
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
      const problem = `tls: ${server.shown} does not offer TLS: expected a server with TLS, or options without it`
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

/**
 * The timeout of the extra handshake, as a fraction of `connectTimeout`. A running server answers much sooner; one that
 * does not answer has already used up the timeout of the attempt.
 */
const askFor = 0.5

/** The reason of a failed attempt. If the client's error does not show it, each server is asked. */
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
    ? "; if the server is configured with handshake_first, set tls.handshakeFirst to true"
    : ""
  return `no answer within ${Duration.format(connectTimeout)}${first}`
}
