/**
 * Full storage of a server, of an account, and of a disk: the error says whose storage is full and what to do, and that
 * works.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type * as KVStore from "../../src/KVStore.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { makeSmallDisk, whyNoSmallDisk } from "../../tools/natsServer/smallDisk.ts"
import { bytes } from "../../tools/values.ts"
import { nameOf, type World, worlds } from "../support/worlds.ts"
import { managerAt, named, openAt, refused, server, type Test, until } from "./errors/fixture.ts"

type Store = KVStore.KVStore["Service"]

const value = new Uint8Array(10_000)

/** Writes values until a write fails, and returns the number of values. */
const fill = Effect.fnUntraced(function*(store: Store) {
  let count = 0
  yield* Effect.flip(Effect.forever(Effect.suspend(() => store.put(`k.${count++}`, value))))
  return count
})

/** Reads and watches need no space. */
const readsWork = Effect.fnUntraced(function*(store: Store) {
  assert.isTrue(Option.isSome(yield* store.get("k.0")))
  assert.isAbove((yield* store.keys()).length, 5)
  assert.strictEqual((yield* store.history("k.0")).length, 1)
  yield* Stream.runDrain(Stream.take(store.watch("k.0"), 2))
})

const codes = { file: 10_047, memory: 10_028 }

const limits = (test: Test, world: World) => {
  for (const storage of ["file", "memory"] as const) {
    test(`with a full ${storage} store of the server writes fail with StorageFull, until a stream is removed`, () =>
      Effect.gen(function*() {
        const config = `jetstream { max_file_store: 300KB, max_memory_store: 300KB }`
        const { openAs, url } = yield* server(world, config)
        const open = (bucket: string, maxBytes?: number) =>
          openAs(undefined, { bucket, storage, ...(maxBytes === undefined ? {} : { maxBytes }) })
        const [store, other] = [yield* open("orders"), yield* open("prices")]
        yield* other.put("a", new Uint8Array(50_000))
        assert.isAbove(yield* fill(store), 10)
        const says = ["the server's storage is full", "10023", "remove streams on the server", "max_file_store"]
        const expected = { reason: "StorageFull", says } as const
        const attempts = [
          [`put "another"`, store.put("another", value)],
          [`put "another"`, store.put("another", value, { createOnly: true })],
          [`delete "k.0"`, store.delete("k.0")]
        ] as const
        for (const [at, attempt] of attempts) {
          const { scope } = yield* refused<unknown, never, "StorageFull">(attempt, { at, ...expected })
          assert.strictEqual(scope, "server")
        }
        // Servers from 2.11 on create a stream, and refuse its first message.
        const opened = Effect.flatMap(open("new"), (store) => store.put("a", value))
        yield* refused(opened, { at: world.line === "2.10" ? "open" : `put "a"`, ...expected })
        const { code, scope } = yield* refused(open("reserved", 1_000_000), {
          at: "open",
          reason: "StorageFull",
          says: ["the server has not enough space left for the maxBytes", "choose a smaller maxBytes"]
        })
        assert.deepStrictEqual([code, scope], [codes[storage], "server"])
        yield* readsWork(store)
        const manager = yield* managerAt(url)
        yield* Effect.promise(() => manager.streams.delete("KV_prices"))
        yield* store.put("another", value)
      }))

    test(`with a full ${storage} store of the account writes fail with StorageFull, until a value is deleted`, () =>
      Effect.gen(function*() {
        const limit = `{ max_file: 200KB, max_mem: 200KB }`
        const accounts = `accounts { SMALL: { users: [ { user: small, password: small } ], jetstream: ${limit} } }`
        const { openAs } = yield* server(world, accounts)
        const open = (bucket: string, maxBytes?: number) =>
          openAs(named("small"), { bucket, storage, ...(maxBytes === undefined ? {} : { maxBytes }) })
        const store = yield* open("orders")
        yield* fill(store)
        const { scope } = yield* refused(store.put("another", value), {
          at: `put "another"`,
          reason: "StorageFull",
          says: ["the account's storage limit is reached", "10002", "delete values"]
        })
        assert.strictEqual(scope, "account")
        const reserved = yield* refused(open("reserved", 1_000_000), {
          at: "open",
          reason: "StorageFull",
          says: ["the account has not enough space left for the maxBytes", "choose a smaller maxBytes"]
        })
        assert.deepStrictEqual([reserved.code, reserved.scope], [codes[storage], "account"])
        yield* open("reserved", 50_000)
        yield* readsWork(store)
        yield* store.delete("k.0")
        yield* store.put("another", value)
      }))
  }

  test("a full bucket is full itself, although the server has the same code for a full disk", () =>
    Effect.gen(function*() {
      const { openAs } = yield* server(world)
      const store = yield* openAs(undefined, { bucket: "orders", maxBytes: 50_000, maxValueSize: 20_000 })
      yield* fill(store)
      const { scope } = yield* refused(store.put("another", value), {
        at: `put "another"`,
        reason: "StorageFull",
        says: ["the bucket is full", "10077", "raise maxBytes"]
      })
      assert.strictEqual(scope, "bucket")
    }))
}

const disks = (test: Test, line: Line) => {
  test("on a full disk writes fail, and succeed when it has space again", () =>
    Effect.gen(function*() {
      const disk = yield* makeSmallDisk(8_000_000)
      const { folder: storeDir, through } = disk
      const { restart, url } = yield* startNatsServer({ line, storeDir, through })
      // A limit that is far away shows that the bucket is not full.
      const [store, limited] = [
        yield* openAt(url, { bucket: "orders", timeout: "500 millis" }),
        yield* openAt(url, { bucket: "limited", timeout: "500 millis", maxBytes: 5_000_000 })
      ]
      yield* store.put("a", bytes("1"))
      yield* limited.put("a", bytes("1"))
      yield* disk.fill
      for (const one of [store, limited]) {
        const write = one.put("b", new Uint8Array(50_000))
        if (line === "2.10") {
          const { scope } = yield* refused(write, {
            at: `put "b"`,
            reason: "StorageFull",
            says: ["no space left on device", "a larger disk"]
          })
          assert.strictEqual(scope, "server")
        } else {
          // The server writes the cause to its log only: it answers no write to this stream until it is restarted.
          yield* refused(write, { at: `put "b"`, reason: "OutcomeUnknown", says: ["not answered"] })
        }
        assert.isTrue(Option.isSome(yield* one.get("a")))
      }
      const { code } = yield* refused(openAt(url, { bucket: "new", timeout: "500 millis" }), {
        at: "open",
        reason: "Rejected",
        says: ["its disk may be full"]
      })
      assert.strictEqual(code, 10_049)
      yield* disk.free
      if (line !== "2.10") {
        yield* refused(store.put("b", bytes("1")), { at: `put "b"`, reason: "OutcomeUnknown" })
        yield* restart
      }
      // The client reconnects after the restart.
      yield* until(Effect.result(store.put("b", new Uint8Array(50_000))), ({ _tag }) => _tag === "Success")
      assert.strictEqual(Option.getOrThrow(yield* store.get("b")).value.length, 50_000)
      yield* openAt(url, { bucket: "new" })
    }))
}

const withoutDisk = await Effect.runPromise(whyNoSmallDisk)

// Each test has its own server, so the tests run concurrently.
describe.concurrent("storage", () => {
  for (const world of worlds) limits((title, body) => it.live(`${nameOf(world)}: ${title}`, body), world)
  for (const line of lines) {
    disks((title, body) => {
      if (withoutDisk === undefined) it.live(`${line}: ${title}`, body)
      else it.skip(`${line}: ${title} (left out, no small disk: ${withoutDisk})`, () => {})
    }, line)
  }
})
