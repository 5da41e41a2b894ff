/**
 * The reasons of failed attempts to connect. `Unavailable` is retryable; the other
 * reasons require other options, credentials or certificates. If the client's error
 * does not show the cause, the server is asked again (`probes.ts`).
 */
import type * as Array from "effect/Array"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { InvalidConfig, type KVStoreReason, PermissionDenied, Unavailable } from "../../../KVStoreError.ts"
import { linkCauseOf } from "../client/natsIo.ts"
import { causeOf, type LinkCause, problemOf } from "../outage.ts"
import { expiredAt, expiryOf, type Lapsed } from "./expiry.ts"
import { askHandshake, askLapsed, askRefusal } from "./probes.ts"
import type { ServerAddress } from "./servers.ts"
import type { ConnectionSettings } from "./settings.ts"

/** The facts about an attempt, besides its cause. */
interface Known {
  readonly where: string
  readonly settings: ConnectionSettings
  /** The error of the client, or of a question to the server. */
  readonly error: unknown
  /** The present time, in milliseconds. */
  readonly now: number
  /** The expired certificate of a server, if it was asked for. */
  readonly lapsed?: Lapsed | undefined
}

const ofLogin = (said: string, { error, now, settings: { login }, where }: Known): PermissionDenied => {
  const expired = expiredAt(login.expires(), now)
  const since = expired === undefined ? "" : `, which expired on ${expired}`
  return new PermissionDenied({ subject: `${where} with ${login.shown}${since} (${said})`, cause: error })
}

const ofServerCertificate = ({ code, said }: Extract<LinkCause, { _tag: "ServerCertificate" }>, known: Known) => {
  const { lapsed, where } = known
  if (code === "CERT_HAS_EXPIRED") {
    const which = lapsed === undefined ? `the certificate of ${where}` : `${lapsed.name} of ${where}`
    const when = lapsed === undefined ? "" : ` on ${lapsed.expired}`
    return `tls: ${which} has expired${when} (${code}): expected a valid one; renew it on the server, or check the clock ` +
      "of this host"
  }
  return `tls: the certificate of ${where} cannot be verified (${code}: ${said}): expected a certificate for this host ` +
    "name or address, issued by a CA in tls.ca or by one that the system trusts"
}

const ofClientCertificate = (
  { alert, code }: Extract<LinkCause, { _tag: "ClientCertificate" }>,
  { error, now, settings, where }: Known
): PermissionDenied => {
  const cert = settings.tls?.texts.cert
  const expired = cert === undefined ? undefined : expiredAt(expiryOf(cert), now)
  const sent = cert === undefined
    ? "no client certificate"
    : expired !== undefined
    ? `this client certificate, which expired on ${expired} and must be renewed`
    : alert === "CERTIFICATE_EXPIRED"
    ? "this client certificate, which is not valid by the clock of the server"
    : "this client certificate"
  return new PermissionDenied({ subject: `${where} with ${sent} (${code})`, cause: error })
}

/** The reason of a cause that another attempt does not change; none for the others. */
const finalReason = (cause: LinkCause, known: Known): Option.Option<KVStoreReason> => {
  switch (cause._tag) {
    case "LoginRefused":
    case "LoginExpired":
      return Option.some(ofLogin(cause.said, known))
    case "ServerCertificate":
      return Option.some(new InvalidConfig({ problem: ofServerCertificate(cause, known) }))
    case "ClientCertificate":
      return Option.some(ofClientCertificate(cause, known))
    case "Handshake": {
      const first = known.settings.tls?.settings.handshakeFirst === true
        ? ": expected a server with handshake_first, or options without tls.handshakeFirst"
        : ""
      return Option.some(
        new InvalidConfig({ problem: `tls: the handshake with ${known.where} failed (${cause.code})${first}` })
      )
    }
    default:
      return Option.none()
  }
}

/**
 * Whether the error of the client may hide the cause. A server that refuses a client certificate or a connection ends the
 * connection, and the client waits until its timeout; a server beyond `max_connections` answers a handshake in plain text.
 */
const hides = (cause: LinkCause): boolean =>
  cause._tag === "NoAnswer" || cause._tag === "Reset" || cause._tag === "Handshake" ||
  (cause._tag === "Unreachable" && cause.code === "")

/** The first effect that returns a reason; none if none does. */
const either = (
  ...effects: ReadonlyArray<Effect.Effect<Option.Option<KVStoreReason>>>
): Effect.Effect<Option.Option<KVStoreReason>> =>
  Effect.option(Effect.raceAll(effects.map(Effect.flatMap(Effect.fromOption))))

const askServer = (server: ServerAddress, known: Known): Effect.Effect<Option.Option<KVStoreReason>> => {
  const { settings } = known
  const within = Duration.times(settings.connectTimeout, askFor)
  const refusal = Effect.map(
    askRefusal(server),
    Option.map((said): KVStoreReason => {
      const cause: LinkCause = { _tag: "ServerRefuses", said }
      return new Unavailable({ problem: `${server.shown}: ${problemOf(cause)}`, cause: known.error })
    })
  )
  const handshake = Effect.map(
    askHandshake(server, settings),
    Option.flatMap((answer) => {
      if (answer._tag === "NoTls") {
        const problem = `tls: ${server.shown} does not offer TLS: expected a server with TLS, or options without it`
        return Option.some<KVStoreReason>(new InvalidConfig({ problem }))
      }
      const cause = causeOf(answer.error, linkCauseOf)
      // A failed handshake is no answer yet: the server may refuse the connection in plain text.
      return cause._tag === "Handshake"
        ? Option.none()
        : finalReason(cause, { ...known, error: answer.error })
    })
  )
  return Effect.map(Effect.timeoutOption(either(refusal, handshake), within), Option.flatten)
}

/**
 * The timeout of the questions to a server, as a fraction of `connectTimeout`. A running server answers much sooner; one
 * that does not answer has already used up the timeout of the attempt.
 */
const askFor = 0.5

/** The reason of a failed attempt at a server. If the client's error does not show it, the server is asked. */
export const explain = Effect.fnUntraced(function*(
  error: unknown,
  server: ServerAddress,
  settings: ConnectionSettings
): Effect.fn.Return<KVStoreReason> {
  const cause = causeOf(error, linkCauseOf)
  const known: Known = { where: server.shown, settings, error, now: yield* Clock.currentTimeMillis }
  if (cause._tag === "ServerCertificate" && cause.code === "CERT_HAS_EXPIRED") {
    const lapsed = yield* askLapsed(server, settings, Duration.times(settings.connectTimeout, askFor))
    return new InvalidConfig({ problem: ofServerCertificate(cause, { ...known, lapsed }) })
  }
  const asked = hides(cause) ? yield* askServer(server, known) : Option.none()
  return Option.firstSomeOf([asked, finalReason(cause, known)]).pipe(
    Option.getOrElse(() =>
      new Unavailable({ problem: `${server.shown}: ${unanswered(cause, settings)}`, cause: error })
    )
  )
})

/**
 * The reason of an attempt at several servers: the first one that another attempt does not change, else all together.
 * `reasons` are in the order of the servers.
 */
export const combine = ([first, ...others]: Array.NonEmptyReadonlyArray<KVStoreReason>): KVStoreReason => {
  const final = [first, ...others].find(({ _tag }) => _tag !== "Unavailable")
  if (final !== undefined || first._tag !== "Unavailable") return final ?? first
  const problems = others.flatMap((reason) => reason._tag === "Unavailable" ? [reason.problem] : [])
  return new Unavailable({ problem: [first.problem, ...problems].join("; "), cause: first.cause })
}

const unanswered = (cause: LinkCause, { connectTimeout, tls }: ConnectionSettings): string => {
  if (cause._tag !== "NoAnswer") return problemOf(cause)
  const first = tls !== undefined && tls.settings.handshakeFirst === undefined
    ? "; if the server is configured with handshake_first, set tls.handshakeFirst to true"
    : ""
  return `no answer within ${Duration.format(connectTimeout)}${first}`
}
