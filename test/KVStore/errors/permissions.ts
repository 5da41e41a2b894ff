/** Denied permissions: the operation fails at once with PermissionDenied, which has the subject; others succeed. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as NatsKVStore from "../../../src/NatsKVStore.ts"
import { bytes } from "../../../tools/values.ts"
import type { World } from "../../support/worlds.ts"
import { named, refused, server, type Test } from "./fixture.ts"

const user = (name: string, permissions: string) =>
  `{ user: ${name}, password: ${name}, permissions: { ${permissions} } }`
const may = (...users: ReadonlyArray<string>) =>
  `authorization { users: [ { user: all, password: all }, ${users.join(", ")} ] }`

/** Starts a server where the user `all` has all permissions, and `app` the given ones. */
const as = Effect.fnUntraced(function*(world: World, permissions: string) {
  const { clientFor, openAs } = yield* server(world, may(user("app", permissions)))
  const all = yield* openAs(named("all"), { bucket: "orders", historySize: 5 })
  yield* all.put("a", bytes("1"))
  return {
    all,
    clientFor,
    opened: openAs(named("app"), { bucket: "orders", historySize: 5 }),
    other: openAs(named("app"), { bucket: "prices" })
  }
})

export const permissions = (test: Test, world: World) => {
  test("a write of a denied key fails with PermissionDenied", () =>
    Effect.gen(function*() {
      const { all, opened } = yield* as(world, `publish: { deny: "$KV.orders.secret.>" }`)
      const store = yield* opened
      yield* store.put("open.1", bytes("1"))
      for (
        const [operation, attempt] of [
          ["put", store.put("secret.1", bytes("1"))],
          ["put", store.put("secret.1", bytes("1"), { createOnly: true })],
          ["delete", store.delete("secret.1")],
          ["purge", store.purge("secret.1")]
        ] as const
      ) {
        const { subject } = yield* refused<unknown, never, "PermissionDenied">(attempt, {
          at: `${operation} "secret.1"`,
          reason: "PermissionDenied",
          says: ["$KV.orders.secret.1"]
        })
        assert.strictEqual(subject, "$KV.orders.secret.1")
      }
      assert.isTrue(Option.isNone(yield* all.get("secret.1")))
    }))

  test("a user that may not write can read and watch", () =>
    Effect.gen(function*() {
      const { opened } = yield* as(world, `publish: { deny: "$KV.>" }`)
      const store = yield* opened
      assert.deepStrictEqual(yield* store.keys(), ["a"])
      assert.strictEqual((yield* Stream.runCollect(Stream.take(store.watch(), 2))).length, 2)
      yield* refused(store.put("a", bytes("1")), {
        at: `put "a"`,
        reason: "PermissionDenied",
        says: ["$KV.orders.a"]
      })
    }))

  test("a denied read fails with PermissionDenied", () =>
    Effect.gen(function*() {
      const { opened } = yield* as(world, `publish: { deny: ["$JS.API.DIRECT.GET.>", "$JS.API.STREAM.MSG.GET.>"] }`)
      const store = yield* opened
      yield* refused(store.get("a"), {
        at: `get "a"`,
        reason: "PermissionDenied",
        says: ["$JS.API.DIRECT.GET.KV_orders.$KV.orders.a"]
      })
      yield* refused(store.put("a", bytes("1"), { updateOnly: true }), {
        at: `put "a"`,
        reason: "PermissionDenied",
        says: ["$JS.API.STREAM.MSG.GET.KV_orders"]
      })
      yield* store.put("a", bytes("1"))
    }))

  test("a denied watch or history fails with PermissionDenied", () =>
    Effect.gen(function*() {
      const { opened } = yield* as(world, `publish: { deny: "$JS.API.CONSUMER.CREATE.>" }`)
      const store = yield* opened
      const says = ["$JS.API.CONSUMER.CREATE.KV_orders"]
      yield* refused(Stream.runDrain(store.watch()), { at: `watch ">"`, reason: "PermissionDenied", says })
      yield* refused(store.history("a"), { at: `history "a"`, reason: "PermissionDenied", says })
      assert.isTrue(Option.isSome(yield* store.get("a")))
    }))

  test("a watch whose pulls are denied fails with PermissionDenied", () =>
    Effect.gen(function*() {
      const { opened } = yield* as(world, `publish: { deny: "$JS.API.CONSUMER.MSG.NEXT.>" }`)
      const store = yield* opened
      const says = ["$JS.API.CONSUMER.MSG.NEXT.KV_orders."]
      yield* refused(Stream.runDrain(store.watch()), { at: `watch ">"`, reason: "PermissionDenied", says })
      yield* refused(Stream.runDrain(store.watch("no.key")), { at: `watch "no.key"`, reason: "PermissionDenied", says })
      yield* refused(store.history("a"), { at: `history "a"`, reason: "PermissionDenied", says })
      assert.isTrue(Option.isSome(yield* store.get("a")))
    }))

  test("opening without permission for STREAM.INFO fails with PermissionDenied", () =>
    Effect.gen(function*() {
      const { opened } = yield* as(world, `publish: { deny: "$JS.API.STREAM.INFO.>" }`)
      yield* refused(opened, {
        at: "open",
        reason: "PermissionDenied",
        says: ["orders", "$JS.API.STREAM.INFO.KV_orders"]
      })
    }))

  test("creating a bucket without permission fails with PermissionDenied, and opening an existing one succeeds", () =>
    Effect.gen(function*() {
      const { opened, other } = yield* as(world, `publish: { deny: "$JS.API.STREAM.CREATE.>" }`)
      yield* opened
      yield* refused(other, {
        at: "open",
        reason: "PermissionDenied",
        says: ["prices", "$JS.API.STREAM.CREATE.KV_prices"]
      })
    }))

  test("opening with a denied inbox fails with PermissionDenied", () =>
    Effect.gen(function*() {
      const { clientFor } = yield* as(world, `subscribe: { allow: "_INBOX_app.>" }`)
      const client = yield* Layer.build(clientFor(named("app")))
      // On the first request, and once the denied inbox is known.
      for (const bucket of ["orders", "prices"]) {
        const opened = Layer.build(Layer.provide(NatsKVStore.layer({ bucket }), Layer.succeedContext(client)))
        yield* refused(opened, { at: "open", reason: "PermissionDenied", says: [bucket, "_INBOX."] })
      }
    }))

  // With the legacy client, the program connects itself and gets the error from that client.
  if (world.client === "legacy") return

  test("connecting with a wrong password or an unknown user fails with PermissionDenied", () =>
    Effect.gen(function*() {
      const { clientFor } = yield* as(world, "")
      for (const who of [{ user: "all", password: "wrong" }, named("unknown")]) {
        const { subject } = yield* refused(Layer.build(clientFor(who)), {
          at: "connect",
          reason: "PermissionDenied",
          says: ["127.0.0.1:"]
        })
        assert.notInclude(subject, "wrong")
      }
    }))
}
