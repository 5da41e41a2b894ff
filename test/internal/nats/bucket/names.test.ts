/** The requests for the names that match filters, to a server with prepared answers. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as filters from "../../../../src/internal/filters.ts"
import { namesOf } from "../../../../src/internal/nats/bucket/names.ts"
import { readReason } from "../../../../src/internal/nats/jetstream/reasons.ts"
import { matcher } from "../../../../src/internal/subjects.ts"
import { makeServer } from "../../../support/fakeServer.ts"

const prefix = "$KV.b."

/** Reads the names of a stream that has these keys. The last revision grows with each request. */
const namesFor = Effect.fnUntraced(function*(keys: ReadonlyArray<string>, given: ReadonlyArray<string>) {
  const { js } = yield* makeServer
  const asked: Array<string> = []
  const subjects: typeof js.subjects = (_stream, subject) =>
    Effect.sync(() => {
      const names = keys.map((key) => `${prefix}${key}`).filter(matcher(subject))
      return { names, lastRevision: 10 + asked.push(subject.slice(prefix.length)), meanSize: 5 }
    })
  const found = yield* namesOf(
    { js: { ...js, subjects }, stream: "KV_b", prefix, timeout: 1000, read: Effect.mapError(readReason) },
    Result.getOrThrow(filters.read(given))
  )
  return { asked, names: found.names.map((name) => name.slice(prefix.length)), lastRevision: found.lastRevision }
})

describe("the names that match filters", () => {
  it.effect("are those of one request for each filter, and as old as the first answer", () =>
    Effect.gen(function*() {
      const { asked, lastRevision, names } = yield* namesFor(["a.b", "a.c", "c.b", "d"], ["a.*", "*.b", "x"])
      assert.deepStrictEqual(asked, ["a.*", "*.b", "x"])
      assert.deepStrictEqual(names, ["a.b", "a.c", "c.b"])
      assert.strictEqual(lastRevision, 11)
    }))

  it.effect("of many filters are those of one request that match", () =>
    Effect.gen(function*() {
      const many = Array.from({ length: 17 }, (_, index) => `a.${index}`)
      const { asked, names } = yield* namesFor(["a.1", "a.x", "a.16", "b"], many)
      assert.deepStrictEqual(asked, ["a.*"])
      assert.deepStrictEqual(names, ["a.1", "a.16"])
    }))
})
