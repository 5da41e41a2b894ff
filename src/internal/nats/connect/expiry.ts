/**
 * When certificates and credentials expire, for errors only: whether they are valid is
 * decided by the other side of the connection, or by the TLS library.
 */
import { X509Certificate } from "node:crypto"
import type { DetailedPeerCertificate } from "node:tls"

/** An expired certificate of a server: the certificate of the server itself, or one of its issuers. */
export interface Lapsed {
  readonly name: string
  readonly expired: string
}

/** The end of a certificate's validity, in milliseconds; of the first one in the text. */
export const expiryOf = (pem: string): number => Date.parse(new X509Certificate(pem).validTo)

const shown = (time: number): string => new Date(time).toISOString()

/** The time as text if it has passed. */
export const expiredAt = (time: number | undefined, now: number): string | undefined =>
  time === undefined || time > now ? undefined : shown(time)

/** The first expired certificate of a chain. A root certificate is its own issuer. */
export const lapsedIn = (leaf: DetailedPeerCertificate, now: number): Lapsed | undefined => {
  const seen = new Set<DetailedPeerCertificate>()
  for (let one: DetailedPeerCertificate | undefined = leaf; one !== undefined; one = one.issuerCertificate) {
    if (seen.has(one)) return undefined
    seen.add(one)
    const expired = expiredAt(Date.parse(one.valid_to), now)
    if (expired !== undefined) {
      return { name: one === leaf ? "the certificate" : `the CA ${String(one.subject.CN)}`, expired }
    }
  }
  return undefined
}
