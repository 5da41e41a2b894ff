/**
 * Why a connection cannot be made, or is down. Each client converts its own errors to
 * causes; errors of the system and of TLS have codes. `connect/` makes reasons of
 * causes, and the port makes one text of all causes since the connection was lost.
 */
import { type Outage, reported } from "./port.ts"

/** A cause, by the class or the code of the error. `said` is the text of the server or of the system. */
export type LinkCause =
  /** The server refuses the login. */
  | { readonly _tag: "LoginRefused"; readonly said: string }
  /** The credentials have expired while they were used. */
  | { readonly _tag: "LoginExpired"; readonly said: string }
  /** The server refuses the connection for another reason, such as its `max_connections`. */
  | { readonly _tag: "ServerRefuses"; readonly said: string }
  /** This host does not accept the server's certificate. */
  | { readonly _tag: "ServerCertificate"; readonly code: string; readonly said: string }
  /** The server does not accept the client's certificate, or got none. `alert` is the name of its TLS alert. */
  | { readonly _tag: "ClientCertificate"; readonly code: string; readonly alert: string }
  /** The TLS handshake failed. Another attempt would fail, too. */
  | { readonly _tag: "Handshake"; readonly code: string }
  | { readonly _tag: "NoAnswer" }
  /** The server ended the connection without an error. */
  | { readonly _tag: "Reset"; readonly said: string }
  /** `code` is empty if the client itself gave up, for instance because the server offers no TLS. */
  | { readonly _tag: "Unreachable"; readonly code: string; readonly said: string }

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

/** The TLS alerts of a server that refuses the client certificate, or requires one and got none. */
const refusedCertificate = new Set([
  "ACCESS_DENIED",
  "BAD_CERTIFICATE",
  "CERTIFICATE_EXPIRED",
  "CERTIFICATE_REQUIRED",
  "CERTIFICATE_REVOKED",
  "CERTIFICATE_UNKNOWN",
  "DECRYPT_ERROR",
  "UNKNOWN_CA",
  "UNSUPPORTED_CERTIFICATE"
])

/** Codes of a connection that the other side ended. */
const ended = new Set(["ECONNRESET", "EPIPE"])

/**
 * The name of a TLS alert in a code. Its prefix depends on the version of OpenSSL: the alert of an expired certificate is
 * `ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED` or `ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED`.
 */
const alertOf = (code: string): string | undefined => /^ERR_SSL_.*_ALERT_(\w+)$/.exec(code)?.[1]

/** Whether a code is an error of TLS itself (versions, ciphers, handshake order). */
const isTlsCode = (code: string): boolean => /^ERR_(SSL|TLS|OSSL)_/.test(code)

/** The error under an error of a client: both clients wrap errors of the system, in different fields. */
const underlying = (error: Error): unknown => error.cause ?? Reflect.get(error, "chainedError")

/** The code of the system or of TLS; empty if the error has no code. */
const systemCode = (error: unknown): string => {
  if (!(error instanceof Error)) return ""
  const below = underlying(error)
  if (below !== undefined) return systemCode(below)
  const code: unknown = Reflect.get(error, "code")
  return typeof code === "string" ? code : ""
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).trim()

/** The cause of an error. `ofClient` knows the errors of the client itself. */
export const causeOf = (error: unknown, ofClient: (error: unknown) => LinkCause | undefined): LinkCause => {
  const own = ofClient(error)
  if (own !== undefined) return own
  const code = systemCode(error)
  const said = messageOf(error)
  if (unverified.has(code)) return { _tag: "ServerCertificate", code, said }
  const alert = alertOf(code)
  if (alert !== undefined && refusedCertificate.has(alert)) return { _tag: "ClientCertificate", code, alert }
  if (isTlsCode(code)) return { _tag: "Handshake", code }
  if (ended.has(code)) return { _tag: "Reset", said }
  return { _tag: "Unreachable", code, said: code === "ECONNREFUSED" ? "connection refused" : said }
}

/** The server's error for a connection beyond `max_connections`. The protocol has no code for it. */
export const tooManyConnections = "maximum connections exceeded"

/** A server beyond `max_connections` answers a TLS handshake in plain text. */
const answeredPlainly = new Set(["ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_PACKET_LENGTH_TOO_LONG"])

const ofServerCertificate = (code: string): string => {
  if (code === "CERT_HAS_EXPIRED") return `the server's certificate has expired (${code}): renew it`
  return code === "CERT_NOT_YET_VALID"
    ? `the server's certificate is not valid yet (${code}): check the clock of this host`
    : `the server's certificate cannot be verified (${code}): correct it, or tls.ca`
}

const ofClientCertificate = (code: string, alert: string): string => {
  if (alert === "CERTIFICATE_EXPIRED") return `the client certificate has expired (${code}): renew it`
  return alert === "CERTIFICATE_REQUIRED"
    ? `the server requires a client certificate (${code}): set tls.cert and tls.key`
    : `the server refuses the client certificate (${code}): use one of its CA`
}

/** The cause and its remedy, as a text. */
export const problemOf = (cause: LinkCause): string => {
  switch (cause._tag) {
    case "LoginRefused":
      return `the server refuses the login (${cause.said}): correct the login, or the server's users`
    case "LoginExpired":
      return `the credentials have expired (${cause.said}): renew them`
    case "ServerRefuses":
      return cause.said.toLowerCase() === tooManyConnections
        ? `the server refuses the connection (${cause.said}): raise its max_connections, or close other connections`
        : `the server refuses the connection (${cause.said})`
    case "ServerCertificate":
      return ofServerCertificate(cause.code)
    case "ClientCertificate":
      return ofClientCertificate(cause.code, cause.alert)
    case "Handshake":
      return answeredPlainly.has(cause.code)
        ? `the server answers without TLS (${cause.code}): it has no TLS, or has reached its max_connections`
        : `the TLS handshake failed (${cause.code})`
    case "NoAnswer":
      return "no answer in time"
    case "Reset":
      return `the server ended the connection (${cause.said}): its log says why, for instance max_connections`
    case "Unreachable":
      return cause.said
  }
}

interface Failure {
  readonly cause: LinkCause
  /** The error of the client. */
  readonly error: unknown
}

/** Servers in the text. The client can know many servers of a cluster. */
const mostServers = 3

/** Causes of a lost connection that the attempts to reconnect do not show again. */
const explainsLoss = ({ _tag }: LinkCause): boolean => _tag === "LoginExpired" || _tag === "ServerRefuses"

/**
 * Whether a later failure has a vaguer cause than an earlier one. A server that refuses a client certificate ends the
 * connection, and its alert can be lost on the way. Expired credentials are refused like wrong ones in later attempts.
 */
const isVaguer = (before: LinkCause, now: LinkCause): boolean =>
  (now._tag === "Reset" && !isSilent(before)) || (now._tag === "LoginRefused" && before._tag === "LoginExpired")

/** Whether the server itself has said or shown nothing: a server that ends a connection later is not down any more. */
const isSilent = ({ _tag }: LinkCause): boolean => _tag === "Unreachable" || _tag === "NoAnswer"

/**
 * Both clients have an error of their own where Node gives none: the server has ended the connection. The older one takes it for
 * a refused connection.
 */
export const endedWithoutError = (error: unknown): LinkCause | undefined =>
  error instanceof Error && [error, underlying(error)].some((one) => withoutError.test(messageOf(one)))
    ? { _tag: "Reset", said: "without an error" }
    : undefined

const withoutError = /node provided an undefined error/

const later = (before: Failure | undefined, now: Failure): Failure =>
  before !== undefined && isVaguer(before.cause, now.cause) ? { ...before, error: now.error } : now

/** The failures since the connection was lost: of the connection, and of the last attempt at each server. */
export class Failures {
  private lost: Failure | undefined
  private last: unknown
  private readonly byServer = new Map<string, Failure>()

  /** The connection was lost. */
  lose(failure: Failure | undefined): void {
    this.clear()
    this.lost = failure
    this.last = failure?.error
  }

  /** An attempt to reconnect has failed. */
  fail(server: string, failure: Failure): void {
    const kept = later(this.byServer.get(server), failure)
    // The server of the last attempt is the last one in the map.
    this.byServer.delete(server)
    this.byServer.set(server, kept)
    this.last = kept.error
  }

  clear(): void {
    this.lost = undefined
    this.last = undefined
    this.byServer.clear()
  }

  /** The cause of the lost connection, if the attempts since then do not show it. */
  private get lossToTell(): LinkCause | undefined {
    const cause = this.lost?.cause
    if (cause === undefined || this.byServer.size === 0) return cause
    const isShown = Array.from(this.byServer.values()).some((failure) => failure.cause._tag === cause._tag)
    return explainsLoss(cause) && !isShown ? cause : undefined
  }

  /** Undefined if no failure is known. */
  get outage(): Outage | undefined {
    const attempts = Array.from(this.byServer, ([server, { cause }]) => `${server}: ${problemOf(cause)}`)
    const lost = this.lossToTell === undefined ? [] : [problemOf(this.lossToTell)]
    const more = attempts.length - mostServers
    const parts = [...lost, ...attempts.slice(-mostServers), ...more > 0 ? [`${more} more servers failed`] : []]
    return parts.length === 0 ? undefined : { problem: parts.join("; "), ...reported(this.last) }
  }
}
