/** An operator, accounts and users with signed JWTs: the part of `nsc` that tests need. */
import { nkeys } from "@nats-io/transport-node"

type KeyPair = ReturnType<typeof nkeys.createUser>

const base64Url = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString("base64url")

const sign = (issuer: KeyPair, subject: KeyPair, name: string, claims: object, expires?: number): string => {
  const header = base64Url(JSON.stringify({ typ: "JWT", alg: "ed25519-nkey" }))
  const body = base64Url(JSON.stringify({
    jti: `${name}-${subject.getPublicKey()}`,
    iat: 1_700_000_000,
    iss: issuer.getPublicKey(),
    sub: subject.getPublicKey(),
    name,
    ...(expires === undefined ? {} : { exp: expires }),
    nats: { version: 2, ...claims }
  }))
  return `${header}.${body}.${base64Url(issuer.sign(Buffer.from(`${header}.${body}`)))}`
}

const unlimited = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1 }
const withJetStream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 }

/** Returns the seed of a key pair as text. */
export const seedOf = (pair: KeyPair): string => Buffer.from(pair.getSeed()).toString()

/** Formats a credentials file. */
export const credentialsText = (jwt: string, seed: string): string =>
  `-----BEGIN NATS USER JWT-----
${jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.

-----BEGIN USER NKEY SEED-----
${seed}
------END USER NKEY SEED------

*************************************************************
`

/** Creates a user of an account: its JWT, seed, and credentials file. */
export const makeUser = (account: KeyPair, expires?: number) => {
  const user = nkeys.createUser()
  const claims = { type: "user", pub: {}, sub: {}, subs: -1, data: -1, payload: -1 }
  const jwt = sign(account, user, "orders", claims, expires)
  return { publicKey: user.getPublicKey(), jwt, seed: seedOf(user), credentials: credentialsText(jwt, seedOf(user)) }
}

/** Creates an operator and an account with JetStream, and the configuration of a server that trusts the operator. */
export const makeOperator = () => {
  const operator = nkeys.createOperator()
  const system = nkeys.createAccount()
  const account = nkeys.createAccount()
  const accountJwt = (pair: KeyPair, name: string, limits: object) =>
    sign(operator, pair, name, { type: "account", limits, default_permissions: { pub: {}, sub: {} } })
  return {
    account,
    config: `operator: ${sign(operator, operator, "tests", { type: "operator" })}
      system_account: ${system.getPublicKey()}
      resolver: MEMORY
      resolver_preload: {
        ${system.getPublicKey()}: ${accountJwt(system, "SYS", unlimited)}
        ${account.getPublicKey()}: ${accountJwt(account, "ORDERS", { ...unlimited, ...withJetStream })}
      }`
  }
}
