/** Rights that are taken away while a store is open, and given back: which operations fail, and that all work again. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as KVStore from "../../src/KVStore.ts"
import { bytes } from "../../tools/values.ts"
import { record } from "../support/suite.ts"
import { nameOf, type World, worlds } from "../support/worlds.ts"
import { named, server, until } from "./errors/fixture.ts"

const user = (name: string, permissions: string) =>
  `{ user: ${name}, password: ${name}, permissions: { ${permissions} } }`
const may = (permissions: string) =>
  `authorization { users: [ { user: all, password: all }, ${user("app", permissions)} ] }`

/** A store of a user whose rights the test changes, and one of a user with all rights. */
const open = Effect.fnUntraced(function*(world: World) {
  const { openAs, reload } = yield* server(world, may(""))
  const options = { bucket: "orders", historySize: 2 }
  const all = yield* openAs(named("all"), options)
  const app = yield* openAs(named("app"), options)
  yield* app.put("a", bytes("1"))
  const withRights = (permissions: string) => reload(may(permissions))
  return { all, app, withRights, giveBack: withRights("") }
})

/** The tag of the reason of a failure, or `success`. */
const tagOf = <A>(attempt: Effect.Effect<A, KVStore.KVStoreError>) =>
  Effect.match(attempt, { onSuccess: () => "success", onFailure: ({ reason }) => reason._tag })

/** Repeats an attempt until it has this outcome, for up to 15 s. */
const untilIt = <A>(attempt: Effect.Effect<A, KVStore.KVStoreError>, outcome: string) =>
  until(tagOf(attempt), (tag) => tag === outcome)

describe.concurrent("reloaded rights", () => {
  for (const world of worlds) {
    const test = (title: string, body: () => Effect.Effect<void, unknown, Scope.Scope>) =>
      it.live(`${nameOf(world)}: ${title}`, body, 40_000)

    test("a denied inbox: a write under way is OutcomeUnknown, others are refused, and all work when it is allowed", () =>
      Effect.gen(function*() {
        const { all, app, giveBack, withRights } = yield* open(world)
        // Writes are under way at any time, so some have been executed when the inbox is denied.
        const outcomes: Array<readonly [number, string]> = []
        let count = 0
        const write = Effect.suspend(() => {
          const index = ++count
          return Effect.map(tagOf(app.put(`k${index}`, bytes("1"))), (tag) => void outcomes.push([index, tag]))
        })
        const writer = yield* Effect.forkScoped(
          Effect.forEach(Array.from({ length: 8 }), () => Effect.forever(Effect.andThen(write, Effect.yieldNow)), {
            concurrency: 8
          })
        )
        yield* until(Effect.sync(() => count), (count) => count > 50)
        yield* withRights(`subscribe: { deny: ["_INBOX.>"] }`)
        yield* until(Effect.sync(() => outcomes.some(([, tag]) => tag === "PermissionDenied")), (seen) => seen)
        yield* Fiber.interrupt(writer)
        const stored = new Set(yield* all.keys())
        for (const [index, tag] of outcomes) {
          if (tag === "success") assert.isTrue(stored.has(`k${index}`), `k${index}`)
          else if (tag === "PermissionDenied") assert.isFalse(stored.has(`k${index}`), `k${index} was stored`)
          else assert.strictEqual(tag, "OutcomeUnknown")
        }
        assert.strictEqual(yield* tagOf(app.get("a")), "PermissionDenied")
        yield* giveBack
        yield* untilIt(app.get("a"), "success")
        yield* app.put("a", bytes("2"))
        assert.strictEqual((yield* app.history("a")).length, 2)
      }))

    const publishing: ReadonlyArray<
      readonly [subject: string, (store: KVStore.KVStore["Service"]) => Effect.Effect<unknown, KVStore.KVStoreError>]
    > = [
      ["$JS.API.DIRECT.GET.KV_orders.>", (store) => store.get("a")],
      ["$KV.orders.>", (store) => store.put("a", bytes("2"))],
      ["$KV.orders.>", (store) => store.delete("b")],
      ["$JS.API.STREAM.MSG.GET.KV_orders", (store) => store.get("a", { fromLeader: true })],
      ["$JS.API.CONSUMER.CREATE.KV_orders.>", (store) => store.history("a")],
      ["$JS.API.CONSUMER.MSG.NEXT.KV_orders.*", (store) => store.history("a")],
      ["$JS.API.STREAM.INFO.KV_orders", (store) => store.status],
      // The name of the stream alone is the subject of batches, which servers from 2.11 on support.
      ...(world.line === "2.10" ? [] : [
        ["$JS.API.DIRECT.GET.KV_orders", (store: KVStore.KVStore["Service"]) => store.entries()] as const,
        ["$JS.API.DIRECT.GET.KV_orders", (store: KVStore.KVStore["Service"]) => store.getMany(["a"])] as const
      ])
    ]
    test("a denied publish fails with PermissionDenied at once, and the rest works", () =>
      Effect.gen(function*() {
        const { app, giveBack, withRights } = yield* open(world)
        for (const [subject, attempt] of publishing) {
          yield* withRights(`publish: { deny: ["${subject}"] }`)
          const error = yield* Effect.flip(attempt(app))
          assert.strictEqual(error.reason._tag, "PermissionDenied", `${subject}: ${error.message}`)
          assert.isFalse(error.isRetryable)
          yield* giveBack
          yield* attempt(app)
        }
      }))

    test("a watch whose pulls or inbox are denied fails with PermissionDenied, and others are not affected", () =>
      Effect.gen(function*() {
        const { all, app, giveBack, withRights } = yield* open(world)
        for (
          const rights of [
            `publish: { deny: ["$JS.API.CONSUMER.MSG.NEXT.KV_orders.*"] }`,
            `subscribe: { deny: ["_INBOX.>"] }`
          ]
        ) {
          const others = yield* record(all.watch())
          const seen: Array<string> = []
          const watch = yield* Effect.forkScoped(Stream.runForEach(app.watch("w.>"), ({ _tag }) =>
            Effect.sync(() => {
              seen.push(_tag)
            })))
          yield* until(Effect.sync(() => seen.length), (count) => count > 0)
          yield* withRights(rights)
          // A watch learns that its pulls are denied at the next one.
          yield* Effect.forkScoped(Effect.forever(Effect.andThen(all.put("w.1", bytes("1")), Effect.sleep(20))))
          const ended = yield* Fiber.await(watch).pipe(Effect.timeout("20 seconds"))
          assert.isTrue(Exit.isFailure(ended))
          const error = Option.getOrThrow(Exit.findErrorOption(ended))
          assert.strictEqual(error.reason._tag, "PermissionDenied", error.message)
          assert.isTrue(others.events.some(({ _tag }) => _tag === "Ready"))
          yield* giveBack
          yield* untilIt(Stream.runDrain(Stream.take(app.watch("w.1"), 1)), "success")
        }
      }))
  }
})
