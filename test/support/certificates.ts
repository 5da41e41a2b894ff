/**
 * Certificates for tests, valid until 2126: a CA, servers and clients of it, and what comes of another CA. Their
 * private keys are no secret, and are for nothing else.
 */
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const folder = new URL("./certificates/", import.meta.url)

const fileOf = (name: string): string => fileURLToPath(new URL(`${name}.pem`, folder))

const pem = (name: string) => ({ file: fileOf(name), text: readFileSync(fileOf(name), "utf8") })

const pair = (name: string) => ({ cert: pem(name), key: pem(`${name}-key`) })

export const ca = pem("ca")
export const otherCa = pem("other-ca")
/** A server's, for the address 127.0.0.1 and for no name. */
export const address = pair("address")
/** A server's, for the name `localhost` and for no address. */
export const localhost = pair("localhost")
/** A client's, for orders@example.com. */
export const client = pair("client")
/** The same by another CA. */
export const stranger = pair("stranger")
/** The client's key under a passphrase. */
export const encryptedKey = pem("encrypted-key")

/** TLS in a server's configuration. */
export const serverTls = ({ cert, key }: typeof address, more = ""): string =>
  `tls { cert_file: "${cert.file}", key_file: "${key.file}", ca_file: "${ca.file}", timeout: 5, ${more} }`
