/** Expired certificates in a chain. */
import { assert, describe, it } from "@effect/vitest"
import type { DetailedPeerCertificate } from "node:tls"
import { expiredAt, expiryOf, lapsedIn } from "../../../../src/internal/nats/connect/expiry.ts"
import { untyped } from "../../../../tools/values.ts"
import * as certificates from "../../../support/certificates.ts"

const now = Date.UTC(2026, 0, 1)

describe("expiry", () => {
  it("of a certificate is the end of its validity", () => {
    assert.strictEqual(expiredAt(expiryOf(certificates.expiredClient.cert.text), now), certificates.expiry)
    assert.isUndefined(expiredAt(expiryOf(certificates.client.cert.text), now))
  })

  it("without a time, or with a later one, is undefined", () => {
    assert.isUndefined(expiredAt(undefined, now))
    assert.isUndefined(expiredAt(now + 1, now))
    assert.strictEqual(expiredAt(now, now), "2026-01-01T00:00:00.000Z")
  })

  it("of a chain is that of its first expired certificate, which can be the one of a CA", () => {
    const [valid, expired] = ["Jan  1 00:00:00 2100 GMT", "Jan  2 03:04:05 2020 GMT"]
    const chain = (leaf: string, issuer: string): DetailedPeerCertificate => {
      const ca: Record<string, unknown> = { subject: { CN: "the issuer" }, valid_to: issuer }
      ca.issuerCertificate = ca
      return untyped({ subject: { CN: "a server" }, valid_to: leaf, issuerCertificate: ca })
    }
    const found = (leaf: string, issuer: string) => lapsedIn(chain(leaf, issuer), now)
    assert.isUndefined(found(valid, valid))
    assert.deepStrictEqual(found(expired, expired), {
      name: "the certificate",
      expired: certificates.expiry
    })
    assert.propertyVal(found(valid, expired), "name", "the CA the issuer")
  })
})
