/** Invalid options of a client are refused before anything is sent, with errors that show no secret. */
import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { KVStoreError } from "../../src/KVStoreError.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import { untyped } from "../../tools/values.ts"
import * as certificates from "../support/certificates.ts"
import { startListener } from "../support/listener.ts"
import { credentialsText, makeOperator, makeUser, seedOf } from "../support/operator.ts"
import { allShown } from "../support/shown.ts"
import { bare, nothingInIt, refusesAll } from "../support/wrongOptions.ts"

/** No error may contain this text. */
const secret = "tell-nobody-7"

const redacted = (value: unknown) => Redacted.make(value)

const wiped = () => {
  const value = Redacted.make(secret)
  Redacted.wipeUnsafe(value)
  return value
}

const { account } = makeOperator()
const user = makeUser(account)
const another = makeUser(account)
const accountSeed = seedOf(account)

/** A seed with one changed letter: its checksum is wrong. */
const damaged = user.seed.slice(0, 20) + (user.seed[20] === "A" ? "B" : "A") + user.seed.slice(21)

const block = (label: string, content: string) => `-----BEGIN ${label}-----\n${content}\n-----END ${label}-----\n`

/** One line of the private key, which identifies the key in an error. */
const keyText = certificates.client.key.text.split("\n")[1]!

const secrets = [secret, user.seed, another.seed, accountSeed, damaged, user.jwt, keyText]

const folder = mkdtempSync(join(tmpdir(), "effect-aegis-client-"))
process.once("exit", () => rmSync(folder, { recursive: true, force: true }))

const file = (name: string, text: string) => {
  const path = join(folder, name)
  writeFileSync(path, text)
  return path
}

type Options = { readonly [name: string]: unknown }

type Row = readonly [what: string, options: Options, ...words: ReadonlyArray<string>]

const logins: ReadonlyArray<Row> = [
  ["a password that is a plain string", { user: "u", password: secret }, "password", "Redacted", "a plain string"],
  ["a token that is a plain string", { token: secret }, "token", "Redacted"],
  ["an nkey that is a plain string", { nkey: user.seed }, "nkey", "Redacted"],
  ["credentials that are a plain string", { credentials: user.credentials }, "credentials", "Redacted"],
  ["a password that is null", { user: "u", password: null }, "password", "null"],
  ["a password without a user", { password: redacted(secret) }, "user", "none"],
  ["a user without a password", { user: "u" }, "password", "none"],
  ["a user without a name", { user: "", password: redacted(secret) }, "user", "an empty string"],
  ["a user that is a number", { user: 7, password: redacted(secret) }, "user", "a number"],
  ["a user that is Redacted", { user: redacted(secret), password: redacted(secret) }, "user", "a Redacted"],
  ["an empty password", { user: "u", password: redacted("") }, "password", "an empty string"],
  ["an empty token", { token: redacted("") }, "token", "an empty string"],
  ["a token of bytes", { token: redacted(Buffer.from(secret)) }, "token", "an object"],
  ["a token that is Redacted twice", { token: redacted(redacted(secret)) }, "token", "a Redacted"],
  ["a wiped token", { token: wiped() }, "token", "undefined"],
  ["an invalid nkey", { nkey: redacted(secret) }, "nkey", "SU"],
  ["an nkey with a wrong letter", { nkey: redacted(damaged) }, "nkey", "SU"],
  ["a truncated nkey", { nkey: redacted(user.seed.slice(0, 40)) }, "nkey", "SU"],
  ["a public nkey", { nkey: redacted(user.publicKey) }, "nkey", "seed"],
  ["an nkey of an account", { nkey: redacted(accountSeed) }, "nkey", "of a user"],
  ["invalid credentials", { credentials: redacted(secret) }, "credentials", "nsc"],
  ["credentials without a seed", { credentials: redacted(block("NATS USER JWT", user.jwt)) }, "credentials", "a seed"],
  [
    "credentials without a JWT",
    { credentials: redacted(block("USER NKEY SEED", user.seed)) },
    "credentials",
    "a JWT and a seed"
  ],
  [
    "credentials with an invalid JWT",
    { credentials: redacted(credentialsText(secret, user.seed)) },
    "credentials",
    "the JWT of a user"
  ],
  [
    "credentials with the JWT of an account",
    { credentials: redacted(credentialsText(accountJwt(), user.seed)) },
    "credentials",
    "the JWT of a user"
  ],
  [
    "credentials with an invalid seed",
    { credentials: redacted(credentialsText(user.jwt, damaged)) },
    "credentials",
    "SU"
  ],
  [
    "credentials with the seed of an account",
    { credentials: redacted(credentialsText(user.jwt, accountSeed)) },
    "credentials",
    "of a user's nkey"
  ],
  [
    "credentials of two users",
    { credentials: redacted(credentialsText(user.jwt, another.seed)) },
    "credentials",
    user.publicKey,
    another.publicKey
  ],
  ["a missing credentials file", { credentialsFile: join(folder, "none") }, "credentialsFile", "ENOENT"],
  ["a credentials file that is a folder", { credentialsFile: folder }, "credentialsFile", "EISDIR"],
  ["a credentials file with invalid content", { credentialsFile: file("a", secret) }, "credentialsFile", "nsc"],
  ["the text of credentials instead of a path", { credentialsFile: user.credentials }, "credentialsFile", "the path"],
  ["an empty path of a credentials file", { credentialsFile: "" }, "credentialsFile", "an empty string"],
  ["a credentials file that is Redacted", { credentialsFile: redacted(secret) }, "credentialsFile", "a Redacted"],
  ["a password under another name", { user: "u", pass: secret }, `"pass"`, "password"]
]

function accountJwt(): string {
  const payload = { sub: account.getPublicKey(), name: "x", nats: { type: "account" } }
  return `e30.${Buffer.from(JSON.stringify(payload)).toString("base64url")}.sig`
}

const ways: ReadonlyArray<readonly [name: string, options: Options]> = [
  ["user and password", { user: "u", password: redacted(secret) }],
  ["token", { token: redacted(secret) }],
  ["nkey", { nkey: redacted(user.seed) }],
  ["credentials", { credentials: redacted(user.credentials) }],
  ["credentialsFile", { credentialsFile: file("good.creds", user.credentials) }]
]

const twoLogins: ReadonlyArray<Row> = ways.flatMap(([first, one], index) =>
  ways.slice(index + 1).map(([second, other]): Row => [
    `${first} together with ${second}`,
    { ...one, ...other },
    "one way to log in",
    first,
    second
  ])
)

const { client, stranger } = certificates
const clientKey = redacted(client.key.text)

/** Invalid values of the option `tls`. */
const tls: ReadonlyArray<Row> = [
  ["true", untyped(true), "tls", "an object", "a boolean"],
  ["null", untyped(null), "tls", "an object", "null"],
  ["an option that would turn off verification", { rejectUnauthorized: false }, `"tls.rejectUnauthorized"`, "tls.ca"],
  [
    "a CA as a text and as a file",
    { ca: certificates.ca.text, caFile: certificates.ca.file },
    "tls.ca",
    "tls.caFile",
    "both"
  ],
  ["an invalid CA", { ca: secret }, "tls.ca", "PEM"],
  ["an empty CA", { ca: "" }, "tls.ca", "an empty string"],
  ["a path instead of the text of a CA", { ca: certificates.ca.file }, "tls.ca", "PEM"],
  ["a damaged CA", { ca: block("CERTIFICATE", "bm90IGEgY2VydGlmaWNhdGU=") }, "tls.ca", "PEM"],
  ["a private key instead of a CA", { caFile: client.key.file }, "tls.caFile", "BEGIN CERTIFICATE"],
  ["a missing CA file", { caFile: join(folder, "none") }, "tls.caFile", "ENOENT"],
  ["the text of a CA instead of a path", { caFile: certificates.ca.text }, "tls.caFile", "the path", "tls.ca"],
  ["a certificate without its key", { cert: client.cert.text }, "tls", "key", "none"],
  ["a key without its certificate", { key: clientKey }, "tls", "cert", "none"],
  [
    "a key as a text and as a file",
    { certFile: client.cert.file, key: clientKey, keyFile: client.key.file },
    "tls.key",
    "both"
  ],
  ["a key that is a plain string", { cert: client.cert.text, key: client.key.text }, "tls.key", "Redacted"],
  ["an invalid key", { cert: client.cert.text, key: redacted(secret) }, "tls.key", "PEM"],
  [
    "a certificate instead of a key",
    { cert: client.cert.text, key: redacted(client.cert.text) },
    "tls.key",
    "private key"
  ],
  [
    "the text of a key instead of a path",
    { cert: client.cert.text, keyFile: client.key.text },
    "tls.keyFile",
    "the path"
  ],
  [
    "an encrypted key",
    { certFile: client.cert.file, keyFile: certificates.encryptedKey.file },
    "not encrypted"
  ],
  ["a key of another certificate", { cert: stranger.cert.text, key: clientKey }, "tls", "another one"],
  ["an invalid certificate", { cert: secret, key: clientKey }, "tls.cert", "PEM"],
  ["a certificate file with invalid content", { certFile: file("b", secret), key: clientKey }, "tls.certFile", "PEM"],
  ["a handshakeFirst that is not a boolean", { handshakeFirst: "yes" }, "tls.handshakeFirst", "true or false"]
]

const timings = ["connectTimeout", "reconnectWait", "pingInterval"].flatMap((name) =>
  [0, -1, Number.NaN, Number.POSITIVE_INFINITY, "soon", "0 seconds", "2 hours", null, {}, "infinity"].map((
    value
  ): Row => [
    `${name} ${String(value)}`,
    { [name]: value },
    name,
    "expected a time"
  ])
)

const others: ReadonlyArray<Row> = [
  ["an unknown option", { maxReconnectAttempts: 3 }, `"maxReconnectAttempts"`, "servers", "pingInterval"],
  ["an empty name", { name: "" }, "name", "a text"],
  ["a name that is a number", { name: 7 }, "name", "1 to 256 characters"],
  ...["", " ", "a b", "a.*", ">", ".a", "a.", "a..b", "a\r\nPUB", 7, null].map((inboxPrefix): Row => [
    `the inbox prefix ${JSON.stringify(inboxPrefix)}`,
    { inboxPrefix },
    "inboxPrefix",
    "_INBOX_app"
  ])
]

/** The error message of options that are refused at once. Asserts that the error shows no secret. */
const refusal = Effect.fnUntraced(function*(options: Options) {
  const error = yield* Effect.flip(Effect.timeout(Layer.build(NatsClient.layer(untyped(options))), "1 second"))
  assert.strictEqual(error._tag, "KVStoreError")
  const { bucket, isRetryable, key, operation, reason } = error as KVStoreError
  assert.deepStrictEqual(
    [reason._tag, operation, bucket, key, isRetryable],
    ["InvalidConfig", "connect", undefined, undefined, false]
  )
  const shown = allShown(error)
  for (const one of secrets) assert.notInclude(shown, one)
  return error.message
})

describe("a NatsClient layer", () => {
  const refuses = (what: string, options: Options, words: ReadonlyArray<string>) => {
    it.live(`refuses ${what} with an error that names the option, and does not connect`, () =>
      Effect.gen(function*() {
        const listener = yield* startListener()
        const message = yield* refusal({ servers: listener.url, ...options })
        for (const word of words) assert.include(message, word)
        assert.strictEqual(listener.taken(), 0)
      }))
  }
  for (const [what, options, ...words] of [...logins, ...twoLogins, ...timings, ...others]) {
    refuses(what, options, words)
  }
  for (const [what, options, ...words] of tls) refuses(`${what} in tls`, { tls: options }, words)

  const urls: ReadonlyArray<readonly [what: string, servers: (port: number) => unknown, word: string]> = [
    [
      "different logins",
      (port) => `nats://u:${secret}@127.0.0.1:${port},nats://u:other@127.0.0.1:${port}`,
      "same login"
    ],
    ["a password and no user", (port) => `nats://:${secret}@127.0.0.1:${port}`, "a user before the password"],
    ["an invalid percent escape", (port) => `nats://u:${secret}%zz@127.0.0.1:${port}`, "not shown"],
    ["a password with a slash", (port) => `nats://u:${secret}/x@127.0.0.1:${port}`, "not shown"],
    ["a password and no host", () => `nats://u:${secret}`, "nats://host:port"],
    ["a password and an invalid port", () => `nats://u:${secret}@127.0.0.1:none`, "not shown"],
    ["a path", (port) => `nats://127.0.0.1:${port}/bucket`, "nats://host:port"],
    ["port 0", () => "nats://127.0.0.1:0", "127.0.0.1:0"]
  ]
  it.live("refuses a login in a later URL only, which may be the rest of a login with a comma, and does not show it", () =>
    Effect.gen(function*() {
      for (const servers of ["nats://S3cret,x@127.0.0.1:1", "nats://a:S3cret,x@127.0.0.1:1"]) {
        const message = yield* refusal({ servers })
        assert.notInclude(message.toLowerCase(), "s3cret")
      }
      assert.include(yield* refusal({ servers: "nats://S3cret,x@127.0.0.1:1" }), "%2C")
    }))

  for (const [what, servers, word] of urls) {
    it.live(`refuses URLs with ${what}, and does not connect`, () =>
      Effect.gen(function*() {
        const { port, taken } = yield* startListener()
        assert.include(yield* refusal({ servers: servers(port) }), word)
        assert.strictEqual(taken(), 0)
      }))
  }

  for (const [name, options] of ways) {
    it.live(`refuses a login in the URL together with ${name}`, () =>
      Effect.gen(function*() {
        const { port } = yield* startListener()
        const message = yield* refusal({ servers: `nats://${secret}@127.0.0.1:${port}`, ...options })
        for (const word of ["one way to log in", name, "the URL"]) assert.include(message, word)
      }))
  }

  it.live("refuses every option with a wrong value, with an error that names it, and does not connect", () =>
    Effect.gen(function*() {
      const { taken, url } = yield* startListener()
      const files = { caFile: certificates.ca.file, certFile: client.cert.file, keyFile: client.key.file }
      const texts = { ca: certificates.ca.text, cert: client.cert.text, key: clientKey }
      const rights: ReadonlyArray<Options> = [
        { name: "orders", inboxPrefix: "_INBOX_orders" },
        { connectTimeout: "1 second", reconnectWait: "1 second", pingInterval: "1 second" },
        { tls: {} },
        ...ways.map(([, login]) => login)
      ]
      const knows = ["servers", "name", "user", "password", "token", "nkey", "credentials", "credentialsFile"]
        .concat(["tls", "inboxPrefix", "connectTimeout", "reconnectWait", "pingInterval"])
      const run = (options: never) => Layer.build(NatsClient.layer(options))
      const milliseconds = { connectTimeout: [1.5], reconnectWait: [1.5], pingInterval: [1.5] }
      for (const right of rights) {
        yield* refusesAll({
          name: "NatsClient.layer",
          run,
          right: { servers: url, ...right },
          knows,
          needs: ["servers"],
          takes: {
            servers: ["wrong"],
            name: ["wrong"],
            user: ["wrong"],
            inboxPrefix: ["wrong"],
            tls: [nothingInIt, bare],
            ...milliseconds
          }
        })
      }
      for (const right of [files, texts, { handshakeFirst: true }]) {
        yield* refusesAll({
          name: "tls of NatsClient.layer",
          run: (tls) => run(untyped({ servers: url, tls })),
          right,
          prefix: "tls.",
          knows: ["ca", "caFile", "cert", "certFile", "key", "keyFile", "handshakeFirst"],
          takes: { handshakeFirst: [false] }
        })
      }
      assert.strictEqual(taken(), 0)
    }))

  it.live("from configuration refuses a plain value in the place of a Config, and does not connect", () =>
    Effect.gen(function*() {
      const { taken, url } = yield* startListener()
      const servers = Config.succeed(url)
      const wrong: ReadonlyArray<readonly [config: unknown, ...words: ReadonlyArray<string>]> = [
        [null, "an object with a Config for each option", "null"],
        [undefined, "an object with a Config for each option", "undefined"],
        ["127.0.0.1", "an object with a Config for each option"],
        [[servers], "an object with a Config for each option", "a list"],
        [{ servers: url }, "servers", "a Config", "a plain string"],
        [{ servers: null }, "servers", "a Config", "null"],
        [{ servers: [url] }, "servers", "a Config", "a list"],
        [{ servers, token: redacted(secret) }, "token", "a Config"],
        [{ servers, token: secret }, "token", "a Config", "a plain string"],
        [{ servers, tls: { ca: 7 } }, "ca", "a Config", "a number"],
        [{ servers, tls: null }, "tls", "a Config", "null"],
        [{ servers, passwd: Config.succeed("x") }, `"passwd"`, "password"],
        [{ servers, name: undefined, inboxPrefix: Config.succeed("a b") }, "inboxPrefix", "a b"]
      ]
      for (const [config, ...words] of wrong) {
        const error = yield* Effect.flip(Layer.build(NatsClient.layerConfig(untyped(config))))
        assert.isTrue(error._tag === "KVStoreError" && error.reason._tag === "InvalidConfig")
        for (const word of words) assert.include(error.message, word)
        assert.notInclude(allShown(error), secret)
      }
      assert.strictEqual(taken(), 0)
    }))

  it("does not compile with a plain string for a secret, with two logins, or with an incomplete login", () => {
    const servers = "nats://127.0.0.1:4222"
    const token = Redacted.make(secret)
    const none: ReadonlyArray<NatsClient.Options> = [
      // @ts-expect-error A password is Redacted.
      { servers, user: "u", password: secret },
      // @ts-expect-error A token is Redacted.
      { servers, token: secret },
      // @ts-expect-error A seed is Redacted.
      { servers, nkey: user.seed },
      // @ts-expect-error The text of a credentials file is Redacted; its path is another option.
      { servers, credentials: user.credentials },
      // @ts-expect-error A private key is Redacted.
      { servers, tls: { cert: client.cert.text, key: client.key.text } },
      // @ts-expect-error A user requires a password.
      { servers, user: "u" },
      // @ts-expect-error A password requires a user.
      { servers, password: token },
      // @ts-expect-error Only one login is allowed.
      { servers, user: "u", password: token, token },
      // @ts-expect-error Only one login is allowed.
      { servers, nkey: token, credentials: token },
      // @ts-expect-error Only one login is allowed.
      { servers, credentials: token, credentialsFile: "a.creds" },
      // @ts-expect-error The option is unknown.
      { servers, pass: token },
      // @ts-expect-error The verification of TLS cannot be turned off.
      { servers, tls: { rejectUnauthorized: false } },
      // @ts-expect-error A client requires servers.
      { token }
    ]
    assert.strictEqual(none.length, 13)
  })
})
