/** Conditions that do not hold, which the server refuses, and invalid input, which is never sent. */
import { assert } from "@effect/vitest"
import type { NatsConnection } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as KVStore from "../../../src/KVStore.ts"
import * as NatsClient from "../../../src/NatsClient.ts"
import { bytes, untyped } from "../../../tools/values.ts"
import { freshName } from "../../support/suite.ts"
import { shown } from "../suite/fixture.ts"
import { open, refused, type Shared } from "./fixture.ts"

const { atRevision, createOnly, updateOnly } = KVStore.KVOptions

export const conditions = (test: Shared) => {
  test("createOnly on an existing key fails with KeyAlreadyExists", () =>
    Effect.gen(function*() {
      const store = yield* open({ bucket: freshName() })
      const revision = yield* store.put("a", bytes("1"))
      const reason = yield* refused(store.put("a", bytes("2"), createOnly), {
        at: `put "a"`,
        reason: "KeyAlreadyExists",
        says: ["already has a value"]
      })
      assert.strictEqual(reason.revision, revision)
    }))

  test("put, delete and purge at a wrong revision fail with RevisionMismatch", () =>
    Effect.gen(function*() {
      const store = yield* open({ bucket: freshName() })
      const first = yield* store.put("a", bytes("1"))
      const second = yield* store.put("a", bytes("2"))
      const attempts = [
        ["put", store.put("a", bytes("3"), atRevision(first))],
        ["delete", store.delete("a", { revision: first })],
        ["purge", store.purge("a", { revision: first })]
      ] as const
      for (const [operation, attempt] of attempts) {
        const { actual, expected } = yield* refused<unknown, never, "RevisionMismatch">(attempt, {
          at: `${operation} "a"`,
          reason: "RevisionMismatch",
          says: [`expected revision ${first}`, `found ${second}`]
        })
        assert.deepStrictEqual([expected, actual], [first, second])
      }
    }))

  test("updateOnly on a missing key fails with KeyNotFound, and atRevision with RevisionMismatch", () =>
    Effect.gen(function*() {
      const store = yield* open({ bucket: freshName() })
      yield* refused(store.put("a", bytes("1"), updateOnly), {
        at: `put "a"`,
        reason: "KeyNotFound",
        says: ["has no value"]
      })
      const reason = yield* refused(store.put("a", bytes("1"), atRevision(7)), {
        at: `put "a"`,
        reason: "RevisionMismatch",
        says: ["expected revision 7", "found 0"]
      })
      assert.strictEqual(reason.actual, 0)
    }))

  test("delete of a missing key leaves a tombstone, and fails with RevisionMismatch if it has a revision", () =>
    Effect.gen(function*() {
      const store = yield* open({ bucket: freshName() })
      yield* store.delete("a")
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a"])
      yield* refused(store.delete("b", { revision: 7 }), {
        at: `delete "b"`,
        reason: "RevisionMismatch",
        says: ["expected revision 7", "found 0"]
      })
    }))

  test("invalid revisions fail with InvalidConfig", () =>
    Effect.gen(function*() {
      const store = yield* open({ bucket: freshName() })
      for (const revision of [-1, 0.5, Number.NaN, 2 ** 53]) {
        const says = ["whole number from 0", String(revision)]
        for (
          const [operation, attempt] of [
            ["put", store.put("a", bytes("1"), atRevision(revision))],
            ["delete", store.delete("a", { revision })],
            ["purge", store.purge("a", { revision })]
          ] as const
        ) {
          yield* refused<unknown, never, "InvalidConfig">(attempt, {
            at: `${operation} "a"`,
            reason: "InvalidConfig",
            says
          })
        }
      }
    }))

  test("invalid names of buckets fail with InvalidConfig", () =>
    Effect.gen(function*() {
      for (const bucket of ["", "a.b", "a b", "a*", "grüße", "x".repeat(201)]) {
        yield* refused(open({ bucket }), {
          at: "configure",
          reason: "InvalidConfig",
          says: ["bucket: expected 1 to 200 letters, digits, _ and -"]
        })
      }
      yield* refused(open(untyped({})), {
        at: "configure",
        reason: "InvalidConfig",
        says: ["bucket: expected 1 to 200 letters", "got undefined"]
      })
    }))

  test("invalid keys, also longer than a protocol line, fail with InvalidKey and leave the connection open", () =>
    Effect.gen(function*() {
      const store = yield* open({ bucket: freshName() })
      const { connection } = yield* NatsClient.NatsClient
      const reconnects = () => (connection as NatsConnection).stats().inMsgs
      const before = reconnects()
      for (const key of ["a..b", ".a", "a.", "*", "a b", "k".repeat(1025), "k".repeat(5000), "k".repeat(20_000)]) {
        for (
          const [operation, attempt] of [
            ["get", store.get(key)],
            ["put", store.put(key, bytes("1"))],
            ["delete", store.delete(key)],
            ["history", store.history(key)]
          ] as const
        ) {
          yield* refused<unknown, never, "InvalidKey">(attempt, {
            at: `${operation} "${key}"`,
            reason: "InvalidKey",
            says: ["1 to 1024", "single dots"]
          })
        }
      }
      assert.strictEqual(reconnects(), before, "nothing was received")
      yield* store.put("k".repeat(1024), bytes("1"))
      assert.isTrue(Option.isSome(yield* store.get("k".repeat(1024))))
    }))
}
