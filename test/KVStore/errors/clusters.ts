/** A bucket with three replicas, where a conflict has another error code (10164) and names no revision. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as KVStore from "../../../src/KVStore.ts"
import { openOnCluster } from "../../../tools/natsServer/cluster.ts"
import { bytes, textOf } from "../../../tools/values.ts"
import { numbers } from "../../support/suite.ts"
import type { World } from "../../support/worlds.ts"
import type { Test } from "./fixture.ts"

const tally = (tags: ReadonlyArray<string>) =>
  [...new Set(tags)].toSorted().map((tag) => [tag, tags.filter((one) => one === tag).length])

const outcome = <A>(effect: Effect.Effect<A, KVStore.KVStoreError>) =>
  Effect.match(effect, {
    onFailure: ({ isRetryable, reason }) => isRetryable ? `${reason._tag} (retryable)` : reason._tag,
    onSuccess: () => "done"
  })

export const clusters = (test: Test, world: World) => {
  test("with three replicas one of 100 concurrent conditioned writes succeeds, and reads are current", () =>
    Effect.gen(function*() {
      const { store } = yield* openOnCluster([world.line, world.line, world.line])
      const atOnce = 100
      const together = { concurrency: "unbounded" } as const

      const created = yield* Effect.forEach(
        numbers(atOnce),
        (n) => outcome(store.put("a", bytes(`${n}`), KVStore.KVOptions.createOnly)),
        together
      )
      assert.deepStrictEqual(tally(created), [["KeyAlreadyExists", atOnce - 1], ["done", 1]])

      const { revision } = Option.getOrThrow(yield* store.get("a"))
      const errors = yield* Effect.forEach(
        numbers(atOnce),
        (n) => Effect.result(store.put("a", bytes(`${n}`), KVStore.KVOptions.atRevision(revision))),
        together
      )
      const lost = errors.flatMap((result) => result._tag === "Failure" ? [result.failure] : [])
      assert.deepStrictEqual(tally(lost.map(({ reason }) => reason._tag)), [["RevisionMismatch", atOnce - 1]])
      const unnamed = lost.filter(({ reason }) => reason._tag === "RevisionMismatch" && reason.actual === undefined)
      assert.isTrue(unnamed.every(({ message }) => message.includes("found another revision")))
      // Checks that the case occurred: the server used the code that names no revision.
      if (world.line !== "2.10") assert.isAbove(unnamed.length, 0)

      // With replicas a read goes to the leader, so it is never older than this client's own write.
      for (const n of numbers(100)) {
        yield* store.put("own", bytes(`${n}`))
        assert.strictEqual(textOf(Option.getOrThrow(yield* store.get("own")).value), `${n}`)
      }
    }))
}
