/**
 * The TLS options: checked before anything is sent, then converted to the client's
 * options. The client reads the files again on every connect, so that renewed
 * certificates are used.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto"
import { Socket } from "node:net"
import { checkServerIdentity as compare, type ConnectionOptions, type PeerCertificate } from "node:tls"
import type { InvalidConfig } from "../../../KVStoreError.ts"
import { flag, invalidConfig, optional, secret, type Settings, text, type Values } from "../../options.ts"
import { fileText, path } from "./files.ts"

/** TLS options of the client, and of Node, to which the client passes them. */
interface TlsSettings {
  readonly handshakeFirst?: true
  readonly ca?: string
  readonly caFile?: string
  readonly cert?: string
  readonly certFile?: string
  readonly key?: string
  readonly keyFile?: string
  readonly checkServerIdentity: typeof compare
}

/** The client's TLS options, and the texts of all parts for the extra handshake of `refusals.ts`. */
export interface Tls {
  readonly settings: TlsSettings
  readonly texts: { readonly ca?: string; readonly cert?: string; readonly key?: string }
}

const certificate = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g

/** The settings of the option `tls`. */
export const tlsSettings = {
  ca: optional(text),
  caFile: optional(path("tls.ca")),
  cert: optional(text),
  certFile: optional(path("tls.cert")),
  key: optional(secret),
  keyFile: optional(path("tls.key")),
  handshakeFirst: optional(flag)
} satisfies Settings

type GivenTls = Partial<Values<typeof tlsSettings>>

type Part = "ca" | "cert" | "key"

/** Reads a part from its text or its file; undefined if neither is given. */
const readPart = Effect.fnUntraced(function*(
  given: GivenTls,
  part: Part
): Effect.fn.Return<{ readonly text: string; readonly setting: Partial<TlsSettings> } | undefined, InvalidConfig> {
  const [text, file] = [given[part], given[`${part}File`]]
  if (text !== undefined && file !== undefined) {
    return yield* invalidConfig(`expected tls.${part} or tls.${part}File, got both`)
  }
  if (file !== undefined) {
    return { text: yield* fileText(`tls.${part}File`, file), setting: { [`${part}File`]: file } }
  }
  return text === undefined ? undefined : { text, setting: { [part]: text } }
})

const certificatesOf = (name: string, pem: string): Effect.Effect<ReadonlyArray<X509Certificate>, InvalidConfig> => {
  const read = Result.try(() => Array.from(pem.matchAll(certificate), ([block]) => new X509Certificate(block)))
  return Result.isSuccess(read) && read.success.length > 0
    ? Effect.succeed(read.success)
    : Effect.fail(invalidConfig(`${name}: expected certificates in PEM (-----BEGIN CERTIFICATE-----)`))
}

/** The names of all TLS options. */
export const tlsNames: ReadonlyArray<string> = Object.keys(tlsSettings)

const privateKeyOf = (name: string, pem: string): Effect.Effect<KeyObject, InvalidConfig> =>
  Effect.try({
    try: () => createPrivateKey(pem),
    catch: () => invalidConfig(`${name}: expected a private key in PEM, not encrypted (-----BEGIN PRIVATE KEY-----)`)
  })

const checkPair = Effect.fnUntraced(function*(
  certificates: ReadonlyArray<X509Certificate> | undefined,
  key: KeyObject | undefined
): Effect.fn.Return<void, InvalidConfig> {
  if (certificates === undefined && key === undefined) return
  if (certificates === undefined) {
    return yield* invalidConfig("tls: expected a client certificate (cert) together with key, got none")
  }
  if (key === undefined) {
    return yield* invalidConfig("tls: expected the certificate's private key (key) together with cert, got none")
  }
  if (!certificates[0]!.checkPrivateKey(key)) {
    return yield* invalidConfig("tls: expected the private key of the client certificate, got another one")
  }
})

/**
 * Checks the server's certificate. If the URL has an IP address, the client passes
 * no name to Node, and Node would compare the certificate with `localhost`: it would
 * refuse a certificate for the address and accept one for `localhost`.
 */
function checkServerIdentity(this: ConnectionOptions, hostname: string, certificate: PeerCertificate) {
  const address = this.socket instanceof Socket ? this.socket.remoteAddress : undefined
  return compare(this.servername || this.host || address || hostname, certificate)
}

/** Makes the private key not enumerable, so that logged options do not show it. The client reads it by name. */
const withHiddenKey = (settings: TlsSettings): TlsSettings =>
  settings.key === undefined
    ? settings
    : Object.defineProperty({ ...settings }, "key", { value: settings.key, enumerable: false })

/** Reads the named files and checks their contents. */
export const readTls = Effect.fnUntraced(function*(
  given: GivenTls
): Effect.fn.Return<Tls, InvalidConfig> {
  const ca = yield* readPart(given, "ca")
  const cert = yield* readPart(given, "cert")
  const key = yield* readPart(given, "key")
  const nameOf = (part: Part) => given[part] === undefined ? `tls.${part}File` : `tls.${part}`
  if (ca !== undefined) yield* certificatesOf(nameOf("ca"), ca.text)
  yield* checkPair(
    cert === undefined ? undefined : yield* certificatesOf(nameOf("cert"), cert.text),
    key === undefined ? undefined : yield* privateKeyOf(nameOf("key"), key.text)
  )
  return {
    settings: withHiddenKey({
      ...(given.handshakeFirst === true ? { handshakeFirst: true } : {}),
      ...ca?.setting,
      ...cert?.setting,
      ...key?.setting,
      checkServerIdentity
    }),
    texts: {
      ...(ca === undefined ? {} : { ca: ca.text }),
      ...(cert === undefined ? {} : { cert: cert.text }),
      ...(key === undefined ? {} : { key: key.text })
    }
  }
})
