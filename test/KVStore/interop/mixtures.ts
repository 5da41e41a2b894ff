/** Random operations by both clients, which have to report the same state in the end. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { bytes } from "../../../tools/values.ts"

import { record, type Store } from "../../support/suite.ts"
import { keys, Model, operations, run } from "./operations.ts"
import { oursAndTheirs, type Test, theirsAndOurs, until } from "./sides.ts"
import { agree, ourView, type Told, toldByUs, watchTheirs } from "./theirs.ts"

const many = 200

/** The last event of each key. */
const finalStates = (told: ReadonlyArray<Told>) => new Map(told.map((one) => [one.key, one]))

const inOrder = (told: ReadonlyArray<Told>, whose: string) => {
  const revisions = told.map(({ revision }) => revision)
  assert.deepStrictEqual(revisions, [...new Set(revisions)].toSorted((a, b) => a - b), whose)
}

/** Starts a watch of each client, before anything is written. */
const watchBoth = Effect.fnUntraced(function*(store: Store, kv: Parameters<typeof watchTheirs>[0]) {
  const ours = yield* record(store.watch(undefined, { from: "updates" }))
  const theirs = yield* watchTheirs(kv, { include: "updates" })
  yield* until(Effect.sync(() => ours.events.length), (length) => length === 1)
  return { ours: ours.events, theirs }
})

/** Asserts that both watches have emitted the current state of every key, in order. */
const endAlike = Effect.fnUntraced(function*(store: Store, watches: Effect.Success<ReturnType<typeof watchBoth>>) {
  yield* store.put("end", bytes("1"))
  const told = Effect.sync(() => watches.ours.flatMap((event) => event._tag === "Ready" ? [] : [toldByUs(event)]))
  const byUs = yield* until(told, (all) => all.at(-1)?.key === "end")
  const byThem = yield* until(Effect.succeed(watches.theirs), (all) => all.at(-1)?.key === "end")
  inOrder(byUs, "ours")
  inOrder(byThem, "theirs")
  assert.deepStrictEqual(finalStates(byUs), finalStates(byThem))
  for (const [key, last] of finalStates(byUs)) assert.deepStrictEqual((yield* ourView(store, key)).last, last)
})

export const mixtures = (test: Test) => {
  const histories = [["larch", 1], ["alder", 5], ["rowan", 64]] as const
  const worlds: ReadonlyArray<readonly [seed: string, where: string, open: ReturnType<typeof oursAndTheirs>]> = [
    ...histories.map(([seed, historySize]) =>
      [seed, `a bucket of KVStore with history ${historySize}`, oursAndTheirs({ historySize })] as const
    ),
    // Read from the stream's leader, whose answers have another form.
    ["hazel", "a bucket of @nats-io/kv without direct access", theirsAndOurs({ history: 5, allow_direct: false })]
  ]
  for (const [seed, where, open] of worlds) {
    test(`both clients report the same state after ${many} operations in ${where} (seed ${seed})`, () =>
      Effect.gen(function*() {
        const { kv, store } = yield* open
        const watches = yield* watchBoth(store, kv)
        const model = new Model()
        let last = (yield* store.status).lastRevision
        const outcomes = { done: 0, refused: 0 }
        for (const [index, operation] of (yield* operations(seed, many)).entries()) {
          const isDone = yield* run(store, kv, operation, model.expected(operation))
          assert.strictEqual(isDone, model.allows(operation), `${index}: ${JSON.stringify(operation)}`)
          outcomes[isDone ? "done" : "refused"]++
          if (isDone) model.done(operation, ++last)
          assert.strictEqual((yield* store.status).lastRevision, last, `${index}: ${JSON.stringify(operation)}`)
        }
        assert.isAbove(outcomes.done, many / 2)
        assert.isAbove(outcomes.refused, many / 10)
        yield* agree(store, kv, keys)
        yield* endAlike(store, watches)
      }))
  }

  test(`both clients report the same state after ${many} operations, 16 at a time`, () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs({ historySize: 5 })
      const watches = yield* watchBoth(store, kv)
      const done = yield* Effect.forEach(
        yield* operations("birch", many),
        (operation) => run(store, kv, operation, undefined),
        { concurrency: 16 }
      )
      const before = (yield* store.status).lastRevision
      yield* agree(store, kv, keys)
      assert.isAbove(done.filter(Boolean).length, many / 2)
      yield* endAlike(store, watches)
      assert.strictEqual((yield* store.status).lastRevision, before + 1)
    }))
}
