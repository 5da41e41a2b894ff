/** Servers and accounts without JetStream, or at a JetStream limit. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { bytes } from "../../../tools/values.ts"
import type { World } from "../../support/worlds.ts"
import { named, refused, server, type Test, until } from "./fixture.ts"

const limited = `accounts {
  SMALL: { users: [ { user: small, password: small } ], jetstream: { max_file: 200KB, max_mem: 200KB, max_streams: 1 } }
  NONE: { users: [ { user: none, password: none } ] }
}`

/** One of three servers of a cluster, whose other servers never start. */
const alone = `server_name: alone
cluster { name: lab, host: "127.0.0.1", port: -1
  routes: [ "nats-route://127.0.0.1:1", "nats-route://127.0.0.1:2" ] }`

export const accounts = (test: Test, world: World) => {
  test("opening a bucket on a server without JetStream fails with InvalidConfig", () =>
    Effect.gen(function*() {
      for (const accounts of ["", limited.replaceAll(/, jetstream: {[^}]*}/g, "")]) {
        const { openAs } = yield* server(world, `jetstream: disabled\n${accounts}`)
        yield* refused(openAs(accounts === "" ? undefined : named("small"), { bucket: "orders" }), {
          at: "open",
          reason: "InvalidConfig",
          says: ["orders", "this server runs without JetStream", "start it with --jetstream", "10076"]
        })
      }
    }))

  test("opening a bucket in an account without JetStream fails with InvalidConfig", () =>
    Effect.gen(function*() {
      const { openAs } = yield* server(world, limited)
      yield* refused(openAs(named("none"), { bucket: "orders" }), {
        at: "open",
        reason: "InvalidConfig",
        says: ["orders", "this account has no JetStream", "enable it for the account", "10039"]
      })
    }))

  test("opening a bucket beyond the account's limit of streams fails with Rejected", () =>
    Effect.gen(function*() {
      const { openAs } = yield* server(world, limited)
      const store = yield* openAs(named("small"), { bucket: "orders" })
      yield* store.put("a", bytes("1"))
      const { code } = yield* refused(openAs(named("small"), { bucket: "prices" }), {
        at: "open",
        reason: "Rejected",
        says: ["prices", "maximum number of streams", "10027"]
      })
      assert.strictEqual(code, 10027)
    }))

  test("a put beyond the account's storage limit fails with StorageFull", () =>
    Effect.gen(function*() {
      const { openAs } = yield* server(world, limited)
      const store = yield* openAs(named("small"), { bucket: "orders" })
      const fill = (n: number): Effect.Effect<never, Effect.Error<ReturnType<typeof store.put>>> =>
        Effect.flatMap(store.put(`k.${n}`, new Uint8Array(10_000)), () => fill(n + 1))
      yield* Effect.flip(fill(0))
      const { code } = yield* refused(store.put("another", new Uint8Array(10_000)), {
        at: `put "another"`,
        reason: "StorageFull",
        says: ["resource limits exceeded for account", "10002"]
      })
      assert.strictEqual(code, 10002)
      assert.isAbove((yield* store.keys()).length, 5)
    }))

  test("opening a bucket in a cluster without a leader fails with Unavailable", () =>
    Effect.gen(function*() {
      const { openAs } = yield* server(world, alone)
      const opened = openAs(undefined, { bucket: "orders", timeout: "1 second" })
      // A server that has just started waits about 10 s for the others, and does not answer until then.
      const error = yield* until(Effect.flip(opened), ({ message }) => message.includes("temporarily unavailable"))
      assert.deepStrictEqual([error.reason._tag, error.operation, error.isRetryable], ["Unavailable", "open", true])
    }))
}
