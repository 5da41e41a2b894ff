/** Invalid servers and connections are refused before anything is sent, also to a valid server in the same list. */
import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { type AddressInfo, createServer } from "node:net"
import type { KVStoreError } from "../../src/KVStoreError.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import { untyped } from "../../tools/values.ts"

/** A listening port that counts its connections. */
const listener = Effect.acquireRelease(
  Effect.callback<{ readonly address: string; readonly visits: () => number; readonly close: () => void }>(
    (resume) => {
      let visits = 0
      const server = createServer((socket) => {
        visits++
        socket.destroy()
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        resume(Effect.succeed({
          address: `127.0.0.1:${port}`,
          visits: () => visits,
          close: () => void server.close()
        }))
      })
    }
  ),
  ({ close }) => Effect.sync(close)
)

/** Far less than the timeout of a connection attempt. */
const atOnce = Effect.timeout("500 millis")

const refused = Effect.fnUntraced(function*<A, E extends { readonly _tag: string }>(
  client: Layer.Layer<A, KVStoreError | E>
) {
  const error = yield* Effect.flip(atOnce(Layer.build(client)))
  assert.strictEqual(error._tag, "KVStoreError")
  const { bucket, isRetryable, key, message, operation, reason } = error as KVStoreError
  assert.deepStrictEqual([reason._tag, bucket, key, isRetryable], ["InvalidConfig", undefined, undefined, false])
  return { message, operation }
})

type Servers = (good: string) => unknown

const badServers: ReadonlyArray<readonly [what: string, servers: Servers, shown: string]> = [
  ["undefined", () => undefined, "undefined"],
  ["null", () => null, "null"],
  ["an empty text", () => "", `""`],
  ["a blank", () => " ", `" "`],
  ["a number", () => 4222, "4222"],
  ["an object", () => ({ host: "127.0.0.1", port: 4222 }), "an object"],
  ["an instance of URL", () => new URL("nats://127.0.0.1:4222"), "an object"],
  ["an empty list", () => [], "none"],
  ["a text with spaces", () => "not a server", "not a server"],
  ["two servers without a comma between them", (good) => `${good} ${good}`, "127.0.0.1"],
  ["a protocol without a host", () => "nats://", "nats://"],
  ["a port without a host", () => "nats://:4222", ":4222"],
  ["another protocol", () => "http://127.0.0.1:4222", "http://"],
  ["a WebSocket URL", () => "wss://127.0.0.1:4222", "wss://"],
  ["a port out of range", () => "nats://127.0.0.1:99999", "99999"],
  ["a port that is text", () => "127.0.0.1:nats", "127.0.0.1:..."],
  ["a line break followed by a NATS command", () => "127.0.0.1:4222\r\nPUB a 1\r\n1", "127.0.0.1:..."],
  ["an invalid server after a valid one", (good) => [good, "a b"], "a b"],
  ["an invalid server before a valid one", (good) => ["http://127.0.0.1", good], "http://127.0.0.1"],
  ["undefined among valid servers", (good) => [good, undefined, good], "undefined"],
  ["a number among valid servers", (good) => [good, 7], "7"],
  ["a list in a list", (good) => [[good], good], "a list"]
]

describe("invalid servers", () => {
  for (const [what, servers, shown] of badServers) {
    it.live(`NatsClient.layer refuses ${what}, and does not connect`, () =>
      Effect.gen(function*() {
        const { address, visits } = yield* listener
        const { message, operation } = yield* refused(NatsClient.layer({ servers: untyped(servers(address)) }))
        assert.strictEqual(operation, "connect")
        for (const words of ["servers", "nats://host:port", shown]) assert.include(message, words)
        assert.strictEqual(visits(), 0)
      }))
  }

  it.live("a password in an invalid URL is not shown", () =>
    Effect.gen(function*() {
      for (const servers of ["http://u:secret-7@127.0.0.1:4222", "u:secret-7@a b", ["nats://u:secret-7@h:99999"]]) {
        const { message } = yield* refused(NatsClient.layer({ servers }))
        assert.notInclude(message, "secret-7")
      }
    }))

  for (const [what, options] of [["undefined", undefined], ["null", null], ["a text", "127.0.0.1:4222"]] as const) {
    it.live(`NatsClient.layer refuses ${what} as options`, () =>
      Effect.gen(function*() {
        const { message } = yield* refused(NatsClient.layer(untyped(options)))
        assert.include(message, "servers")
      }))
  }

  it.live("layerConfig refuses an invalid URL in the configuration", () =>
    Effect.gen(function*() {
      const config = ConfigProvider.layer(ConfigProvider.fromUnknown({ AEGIS_NATS_URL: "http://127.0.0.1:4222" }))
      const client = NatsClient.layerConfig({ servers: Config.String("AEGIS_NATS_URL") })
      const { message } = yield* refused(Layer.provide(client, config))
      assert.include(message, "http://127.0.0.1:4222")
    }))
})

describe("invalid connections", () => {
  const fake = { subscribe: () => undefined, request: () => undefined }
  const bad: ReadonlyArray<readonly [what: string, connection: unknown]> = [
    ["undefined", undefined],
    ["null", null],
    ["a text", "nats://127.0.0.1:4222"],
    ["a promise of a connection", Promise.resolve(fake)],
    ["an object with some methods of a connection", fake],
    ["a function", () => fake]
  ]
  for (const [what, connection] of bad) {
    it.live(`NatsClient.layerFromConnection refuses ${what}`, () =>
      Effect.gen(function*() {
        const { message, operation } = yield* refused(NatsClient.layerFromConnection(connection))
        assert.strictEqual(operation, "layerFromConnection")
        assert.include(message, "NatsConnection")
      }))
  }
})
