/**
 * Certificates for tests, valid until 2126 except the expired ones: a CA with servers and a client, and another CA. Their private keys are
 * public and must not be used for anything else.
 */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const folder = new URL("./certificates/", import.meta.url)

const fileOf = (name: string): string => fileURLToPath(new URL(`${name}.pem`, folder))

const pem = (name: string) => ({ file: fileOf(name), text: readFileSync(fileOf(name), "utf8") })

const pair = (name: string) => ({ cert: pem(name), key: pem(`${name}-key`) })

export const ca = pem("ca")
export const otherCa = pem("other-ca")
/** Certificate of a server, for the address 127.0.0.1 only. */
export const address = pair("address")
/** Certificate of a server, for the name `localhost` only. */
export const localhost = pair("localhost")
/** Certificate of the client orders@example.com. */
export const client = pair("client")
/** Certificate of the same client, issued by the other CA. */
export const stranger = pair("stranger")
/**
 * A CA whose two certificates, of a server with the address 127.0.0.1 and of a client, have expired. They were signed with
 * `openssl ca -startdate 20190101000000Z -enddate 20200102030405Z`.
 */
export const expiredCa = pem("expired-ca")
export const expiredAddress = pair("expired-address")
export const expiredClient = pair("expired-client")
/** When both certificates have expired. */
export const expiry = "2020-01-02T03:04:05.000Z"
/** The client's key, encrypted with a passphrase. */
export const encryptedKey = pem("encrypted-key")

/** The TLS block of a server's configuration. */
export const serverTls = ({ cert, key }: typeof address, more = "", caFile = ca.file): string =>
  `tls { cert_file: "${cert.file}", key_file: "${key.file}", ca_file: "${caFile}", timeout: 5, ${more} }`
