/** Each client watches the writes of the other. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { bytes } from "../../../tools/values.ts"
import { record } from "../../support/suite.ts"
import { shown } from "../suite/fixture.ts"
import { oursAndTheirs, type Test, until } from "./sides.ts"
import { they, toldByUs, watchTheirs } from "./theirs.ts"

export const watches = (test: Test) => {
  test("watches of both clients report every put, delete and purge of the other, in order", () =>
    Effect.gen(function*() {
      const { kv, store } = yield* oursAndTheirs({ historySize: 5 })
      yield* store.put("before.ours", bytes("1"))
      yield* they(() => kv.put("before.theirs", "1"))
      yield* they(() => kv.put("gone", "1"))
      yield* they(() => kv.delete("gone"))
      const theirs = yield* watchTheirs(kv)
      const watch = yield* record(store.watch())
      const words = Effect.sync(() => watch.events.map(shown))
      yield* until(words, (all) => all.includes("ready"))
      assert.deepStrictEqual(yield* words, ["before.ours=1", "before.theirs=1", "ready"])
      for (
        const { by, remove } of [
          { by: "ours", remove: "delete" },
          { by: "theirs", remove: "delete" },
          { by: "ours", remove: "purge" },
          { by: "theirs", remove: "purge" }
        ] as const
      ) {
        const key = `${by}.${remove}`
        yield* by === "ours" ? store.put(key, bytes("1")) : they(() => kv.put(key, "1"))
        // Without this wait the purge could remove the value before the watches receive it.
        yield* until(words, (all) => all.includes(`${key}=1`))
        yield* until(Effect.sync(() => theirs.map((told) => told.key)), (all) => all.includes(key))
        yield* by === "ours" ? store[remove](key) : they(() => kv[remove](key))
        yield* until(words, (all) => all.includes(`${remove} ${key}`))
      }
      assert.deepStrictEqual((yield* words).slice(3), [
        "ours.delete=1",
        "delete ours.delete",
        "theirs.delete=1",
        "delete theirs.delete",
        "ours.purge=1",
        "purge ours.purge",
        "theirs.purge=1",
        "purge theirs.purge"
      ])
      const changes = watch.events.slice(3).flatMap((event) => event._tag === "Ready" ? [] : [toldByUs(event)])
      // The snapshot of `@nats-io/kv` contains tombstones too.
      const told = yield* until(Effect.succeed(theirs), (all) => all.at(-1)?.operation === "PURGE")
      assert.deepStrictEqual(told.slice(3), changes)
    }))
}
