/** createOnly and updateOnly with concurrent writers, and their outcome at the timeout. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import type { Append, Backend, StoredMessage } from "../../../src/internal/kv/backend.ts"
import * as Config from "../../../src/internal/kv/config.ts"
import * as writes from "../../../src/internal/kv/writes.ts"
import { KVOptions } from "../../../src/KVStore.ts"
import { type KVStoreReason, RevisionMismatch } from "../../../src/KVStoreError.ts"
import { bytes } from "../../../tools/values.ts"

const unused = Effect.die("not used in this test")

/** A backend with a scripted last message and scripted answers to writes. */
const scripted = Effect.fnUntraced(function*(
  last: Effect.Effect<Option.Option<StoredMessage>, KVStoreReason>,
  append: (message: Append) => Effect.Effect<number, KVStoreReason>
) {
  const backend: Backend = {
    config: yield* Config.make({ bucket: "orders", timeout: "5 seconds" }),
    clock: yield* Clock.Clock,
    last: () => last,
    append,
    history: () => unused,
    lastOfEach: () => unused,
    lastOf: () => unused,
    streamOfEach: () => Stream.die("not used in this test"),
    follow: () => Stream.die("not used in this test"),
    at: () => unused,
    removeUpTo: () => unused,
    status: unused,
    reachability: Stream.die("not used in this test"),
    valueLimit: () => assert.fail("not used in this test")
  }
  return writes.make(backend)
})

const message = (operation: StoredMessage["operation"], revision: number): StoredMessage => ({
  key: "a",
  revision,
  created: 0,
  operation,
  value: bytes("1")
})

const beaten = ({ condition }: Append) =>
  Effect.fail(new RevisionMismatch({ expected: condition?.revision ?? -1, actual: undefined }))

/** The error of the effect, and the time in milliseconds until it failed. */
const ended = Effect.fnUntraced(function*<A>(effect: Effect.Effect<A, KVStoreReason>) {
  const start = yield* Clock.currentTimeMillis
  const fiber = yield* Effect.forkScoped(
    Effect.flatMap(
      Effect.flip(effect),
      (reason) => Effect.map(Clock.currentTimeMillis, (now) => ({ reason, after: now - start }))
    )
  )
  yield* TestClock.adjust("1 minute")
  return yield* Fiber.join(fiber)
})

const conditions = [["createOnly", KVOptions.createOnly], ["updateOnly", KVOptions.updateOnly]] as const

describe("createOnly and updateOnly", () => {
  it.effect("updateOnly retries on the new revision after each conflict", () =>
    Effect.gen(function*() {
      let revision = 7
      const asked: Array<number | undefined> = []
      const put = yield* scripted(
        Effect.sync(() => Option.some(message("put", revision))),
        (write) => {
          asked.push(write.condition?.revision)
          return asked.length <= 3 ? Effect.suspend(() => (revision++, beaten(write))) : Effect.succeed(99)
        }
      )
      const fiber = yield* Effect.forkScoped(put("a", bytes("2"), KVOptions.updateOnly))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* Fiber.join(fiber), 99)
      assert.deepStrictEqual(asked, [7, 8, 9, 10])
    }))

  for (const [name, options] of conditions) {
    const left = name === "createOnly" ? "delete" : "put"

    it.effect(`${name} fails with Unavailable if it has conflicts until the timeout`, () =>
      Effect.gen(function*() {
        let attempts = 0
        const put = yield* scripted(
          Effect.sync(() => Option.some(message(left, ++attempts))),
          beaten
        )
        const { after, reason } = yield* ended(put("a", bytes("2"), options))
        assert.deepStrictEqual([reason._tag, after], ["Unavailable", 5000])
        assert.include(reason.message, "not completed within 5s")
        // The pause after each attempt grows from 10 to 250 ms.
        assert.isAbove(attempts, 15)
        assert.isBelow(attempts, 50)
      }))

    it.effect(`${name} fails with OutcomeUnknown if its write is not answered until the timeout`, () =>
      Effect.gen(function*() {
        const put = yield* scripted(Effect.succeedSome(message(left, 1)), () => Effect.never)
        const { after, reason } = yield* ended(put("a", bytes("2"), options))
        assert.deepStrictEqual([reason._tag, after], ["OutcomeUnknown", 5000])
      }))

    it.effect(`${name} fails with Unavailable if its read is not answered until the timeout`, () =>
      Effect.gen(function*() {
        const put = yield* scripted(Effect.never, beaten)
        const { after, reason } = yield* ended(put("a", bytes("2"), options))
        assert.deepStrictEqual([reason._tag, after], ["Unavailable", 5000])
      }))
  }
})
