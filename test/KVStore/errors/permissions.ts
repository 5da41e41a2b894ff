/** What a user may not do: told at once, by the subject, and by nothing else. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as NatsKVStore from "../../../src/NatsKVStore.ts"
import { bytes } from "../../../tools/values.ts"
import { named, refused, server, type Test, type World } from "./fixture.ts"

const user = (name: string, permissions: string) =>
  `{ user: ${name}, password: ${name}, permissions: { ${permissions} } }`
const may = (...users: ReadonlyArray<string>) =>
  `authorization { users: [ { user: all, password: all }, ${users.join(", ")} ] }`

/** On a server of the test's own, where the user `all` may do all. */
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
  test("writing some keys", () =>
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

  test("writing at all: it reads and watches as everybody", () =>
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

  test("reading", () =>
    Effect.gen(function*() {
      const { opened } = yield* as(world, `publish: { deny: "$JS.API.DIRECT.GET.>" }`)
      const store = yield* opened
      yield* refused(store.get("a"), {
        at: `get "a"`,
        reason: "PermissionDenied",
        says: ["$JS.API.DIRECT.GET.KV_orders.$KV.orders.a"]
      })
      yield* refused(store.put("a", bytes("1"), { updateOnly: true }), {
        at: `put "a"`,
        reason: "PermissionDenied",
        says: ["$JS.API.DIRECT.GET.KV_orders"]
      })
      yield* store.put("a", bytes("1"))
    }))

  test("watching", () =>
    Effect.gen(function*() {
      const { opened } = yield* as(world, `publish: { deny: "$JS.API.CONSUMER.CREATE.>" }`)
      const store = yield* opened
      const says = ["$JS.API.CONSUMER.CREATE.KV_orders"]
      yield* refused(Stream.runDrain(store.watch()), { at: `watch ">"`, reason: "PermissionDenied", says })
      yield* refused(store.history("a"), { at: `history "a"`, reason: "PermissionDenied", says })
      assert.isTrue(Option.isSome(yield* store.get("a")))
    }))

  test("asking for a bucket's state: it cannot be opened", () =>
    Effect.gen(function*() {
      const { opened } = yield* as(world, `publish: { deny: "$JS.API.STREAM.INFO.>" }`)
      yield* refused(opened, {
        at: "open",
        reason: "PermissionDenied",
        says: ["orders", "$JS.API.STREAM.INFO.KV_orders"]
      })
    }))

  test("making a bucket: those that are there are opened", () =>
    Effect.gen(function*() {
      const { opened, other } = yield* as(world, `publish: { deny: "$JS.API.STREAM.CREATE.>" }`)
      yield* opened
      yield* refused(other, {
        at: "open",
        reason: "PermissionDenied",
        says: ["prices", "$JS.API.STREAM.CREATE.KV_prices"]
      })
    }))

  test("being answered: an inbox that is not its own", () =>
    Effect.gen(function*() {
      const { clientFor } = yield* as(world, `subscribe: { allow: "_INBOX_app.>" }`)
      const client = yield* Layer.build(clientFor(named("app")))
      // The first time that it asks, and when it knows.
      for (const bucket of ["orders", "prices"]) {
        const opened = Layer.build(Layer.provide(NatsKVStore.layer({ bucket }), Layer.succeedContext(client)))
        yield* refused(opened, { at: "open", reason: "PermissionDenied", says: [bucket, "_INBOX."] })
      }
    }))

  // Who connects by itself is told by its own client.
  if (world.client === "legacy") return

  test("coming in: a wrong password, and a user that there is not", () =>
    Effect.gen(function*() {
      const { clientFor } = yield* as(world, "")
      for (const who of [{ user: "all", password: "wrong" }, named("nobody")]) {
        const { subject } = yield* refused(Layer.build(clientFor(who)), {
          at: "connect",
          reason: "PermissionDenied",
          says: ["127.0.0.1:"]
        })
        assert.notInclude(subject, "wrong")
      }
    }))
}
