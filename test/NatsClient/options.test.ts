/** Options of a client that are none: each is refused before anything is sent, in words that show no secret. */
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

/** Whatever is made up of it must never be shown. */
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

/** One letter of a seed is another: its checksum tells. */
const damaged = user.seed.slice(0, 20) + (user.seed[20] === "A" ? "B" : "A") + user.seed.slice(21)

const block = (label: string, content: string) => `-----BEGIN ${label}-----\n${content}\n-----END ${label}-----\n`

/** Long enough to be found by, and part of every private key here. */
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
  ["a token that was wiped", { token: wiped() }, "token", "undefined"],
  ["an nkey that is none", { nkey: redacted(secret) }, "nkey", "SU"],
  ["an nkey with a wrong letter", { nkey: redacted(damaged) }, "nkey", "SU"],
  ["an nkey that is cut off", { nkey: redacted(user.seed.slice(0, 40)) }, "nkey", "SU"],
  ["an nkey that is public", { nkey: redacted(user.publicKey) }, "nkey", "seed"],
  ["an nkey of an account", { nkey: redacted(accountSeed) }, "nkey", "of a user"],
  ["credentials that are none", { credentials: redacted(secret) }, "credentials", "nsc"],
  ["credentials without a seed", { credentials: redacted(block("NATS USER JWT", user.jwt)) }, "credentials", "a seed"],
  [
    "credentials without a JWT",
    { credentials: redacted(block("USER NKEY SEED", user.seed)) },
    "credentials",
    "a JWT and a seed"
  ],
  [
    "credentials with a JWT that is none",
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
    "credentials with a seed that is none",
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
  ["a credentials file that is not there", { credentialsFile: join(folder, "none") }, "credentialsFile", "ENOENT"],
  ["a credentials file that is a folder", { credentialsFile: folder }, "credentialsFile", "EISDIR"],
  ["a credentials file that is none", { credentialsFile: file("a", secret) }, "credentialsFile", "nsc"],
  ["credentials in the place of their file", { credentialsFile: user.credentials }, "credentialsFile", "the path"],
  ["a credentials file without a name", { credentialsFile: "" }, "credentialsFile", "an empty string"],
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
    `${first} beside ${second}`,
    { ...one, ...other },
    "one way to log in",
    first,
    second
  ])
)

const { client, stranger } = certificates
const clientKey = redacted(client.key.text)

/** What `tls` is given. */
const tls: ReadonlyArray<Row> = [
  ["true", untyped(true), "tls", "an object", "a boolean"],
  ["null", untyped(null), "tls", "an object", "null"],
  ["an option that would turn checks off", { rejectUnauthorized: false }, `"tls.rejectUnauthorized"`, "tls.ca"],
  ["a CA twice", { ca: certificates.ca.text, caFile: certificates.ca.file }, "tls.ca", "tls.caFile", "both"],
  ["a CA that is none", { ca: secret }, "tls.ca", "PEM"],
  ["a CA without text", { ca: "" }, "tls.ca", "an empty string"],
  ["a CA that is a path", { ca: certificates.ca.file }, "tls.ca", "PEM"],
  ["a CA that is broken", { ca: block("CERTIFICATE", "bm90IGEgY2VydGlmaWNhdGU=") }, "tls.ca", "PEM"],
  ["a CA that is a key", { caFile: client.key.file }, "tls.caFile", "BEGIN CERTIFICATE"],
  ["a CA file that is not there", { caFile: join(folder, "none") }, "tls.caFile", "ENOENT"],
  ["a text in the place of a CA file", { caFile: certificates.ca.text }, "tls.caFile", "the path", "tls.ca"],
  ["a certificate without its key", { cert: client.cert.text }, "tls", "key", "none"],
  ["a key without its certificate", { key: clientKey }, "tls", "cert", "none"],
  ["a key twice", { certFile: client.cert.file, key: clientKey, keyFile: client.key.file }, "tls.key", "both"],
  ["a key that is a plain string", { cert: client.cert.text, key: client.key.text }, "tls.key", "Redacted"],
  ["a key that is none", { cert: client.cert.text, key: redacted(secret) }, "tls.key", "PEM"],
  [
    "a key that is a certificate",
    { cert: client.cert.text, key: redacted(client.cert.text) },
    "tls.key",
    "private key"
  ],
  ["a key in the place of its file", { cert: client.cert.text, keyFile: client.key.text }, "tls.keyFile", "the path"],
  [
    "a key under a passphrase",
    { certFile: client.cert.file, keyFile: certificates.encryptedKey.file },
    "not encrypted"
  ],
  ["a key of another certificate", { cert: stranger.cert.text, key: clientKey }, "tls", "another one"],
  ["a certificate that is none", { cert: secret, key: clientKey }, "tls.cert", "PEM"],
  ["a certificate file that is none", { certFile: file("b", secret), key: clientKey }, "tls.certFile", "PEM"],
  ["a handshake first that is no yes or no", { handshakeFirst: "yes" }, "tls.handshakeFirst", "true or false"]
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
  ["an option that there is not", { maxReconnectAttempts: 3 }, `"maxReconnectAttempts"`, "servers", "pingInterval"],
  ["a name without letters", { name: "" }, "name", "a text"],
  ["a name that is a number", { name: 7 }, "name", "a number"],
  ...["", " ", "a b", "a.*", ">", ".a", "a.", "a..b", "a\r\nPUB", 7, null].map((inboxPrefix): Row => [
    `the prefix ${JSON.stringify(inboxPrefix)} for inboxes`,
    { inboxPrefix },
    "inboxPrefix",
    "_INBOX_app"
  ])
]

/** The error of options that are refused at once, of which it is made sure that it shows no secret. */
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

describe("a client's options", () => {
  const refuses = (what: string, options: Options, words: ReadonlyArray<string>) => {
    it.live(`refuses ${what}, says what is wrong, and connects nowhere`, () =>
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
    ["a percent sign that stands for nothing", (port) => `nats://u:${secret}%zz@127.0.0.1:${port}`, "not shown"],
    ["a password with a slash", (port) => `nats://u:${secret}/x@127.0.0.1:${port}`, "not shown"],
    ["a password and no host", () => `nats://u:${secret}`, "nats://host:port"],
    ["a password and a port that is none", () => `nats://u:${secret}@127.0.0.1:none`, "not shown"],
    ["a path", (port) => `nats://127.0.0.1:${port}/bucket`, "nats://host:port"],
    ["port 0", () => "nats://127.0.0.1:0", "127.0.0.1:0"]
  ]
  for (const [what, servers, word] of urls) {
    it.live(`refuses URLs with ${what}, and connects nowhere`, () =>
      Effect.gen(function*() {
        const { port, taken } = yield* startListener()
        assert.include(yield* refusal({ servers: servers(port) }), word)
        assert.strictEqual(taken(), 0)
      }))
  }

  for (const [name, options] of ways) {
    it.live(`refuses a login in the URL beside ${name}`, () =>
      Effect.gen(function*() {
        const { port } = yield* startListener()
        const message = yield* refusal({ servers: `nats://${secret}@127.0.0.1:${port}`, ...options })
        for (const word of ["one way to log in", name, "the URL"]) assert.include(message, word)
      }))
  }

  it.live("are each refused by name whatever is given for them, and nothing is connected to", () =>
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

  it.live("from configuration are refused where a plain value stands for a Config", () =>
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

  it("do not compile with a plain string for a secret, two logins, or half of one", () => {
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
      // @ts-expect-error A user has a password.
      { servers, user: "u" },
      // @ts-expect-error A password has a user.
      { servers, password: token },
      // @ts-expect-error One login.
      { servers, user: "u", password: token, token },
      // @ts-expect-error One login.
      { servers, nkey: token, credentials: token },
      // @ts-expect-error One login.
      { servers, credentials: token, credentialsFile: "a.creds" },
      // @ts-expect-error There is no such option.
      { servers, pass: token },
      // @ts-expect-error Nobody turns the checks of TLS off.
      { servers, tls: { rejectUnauthorized: false } },
      // @ts-expect-error A client needs servers.
      { token }
    ]
    assert.strictEqual(none.length, 13)
  })
})
