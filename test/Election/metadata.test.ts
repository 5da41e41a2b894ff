/** The metadata of a candidate: it is copied, and work cannot write to the copy. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import * as Aegis from "../../src/Aegis.ts"
import * as Election from "../../src/Election.ts"
import { logged } from "../support/suite.ts"

const layer = Layer.provideMerge(Aegis.layerMemory(), logged().layer)

const published = Effect.map(
  Election.Election.use((election) => election.leader("x")),
  Option.match({ onNone: () => undefined, onSome: ({ metadata }) => metadata })
)

const writes: ReadonlyArray<readonly [what: string, write: (metadata: unknown) => void]> = [
  ["a field", (metadata) => Object.assign(Object(metadata), { zone: "b" })],
  ["a value that is no JSON", (metadata) => Object.assign(Object(metadata), { zone: 1n })],
  ["a new field", (metadata) => Object.assign(Object(metadata), { more: 1 })],
  ["a nested field", (metadata) => Object.assign(Object(metadata).nested, { a: 2 })],
  ["a nested list", (metadata) => Object(metadata).nested.list.push(2)]
]

describe("the metadata of a leader", () => {
  for (const [what, write] of writes) {
    it.effect(`cannot be changed by its work, which writes ${what}`, () =>
      Effect.gen(function*() {
        const election = yield* Election.Election
        const began = yield* Deferred.make<Election.Leadership>()
        const metadata = { zone: "a", nested: { a: 1, list: [1] } }
        const work = (leadership: Election.Leadership) =>
          Effect.andThen(Deferred.succeed(began, leadership), Effect.never)
        const fiber = yield* Effect.forkChild(election.whileLeader("x", work, { metadata }))
        const leadership = yield* Deferred.await(began)
        assert.throws(() => write(leadership.metadata), TypeError)
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* published, metadata)
        assert.isTrue(yield* leadership.isValid)
        yield* Fiber.interrupt(fiber)
      }).pipe(Effect.provide(layer)))
  }

  it.effect("without metadata cannot be changed, either", () =>
    Effect.gen(function*() {
      const election = yield* Election.Election
      const { metadata } = yield* election.campaign("x")
      assert.throws(() => Object.assign(metadata, { zone: "b" }), TypeError)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* published, {})
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.effect("is that of the options when the effect begins", () =>
    Effect.gen(function*() {
      const election = yield* Election.Election
      const metadata = { zone: "a" }
      const campaign = election.campaign("x", { metadata })
      metadata.zone = "b"
      const leadership = yield* campaign
      metadata.zone = "c"
      yield* leadership.proclaim({ zone: "d" })
      assert.deepStrictEqual(leadership.metadata, { zone: "b" })
      assert.deepStrictEqual(yield* published, { zone: "d" })
    }).pipe(Effect.scoped, Effect.provide(layer)))
})
