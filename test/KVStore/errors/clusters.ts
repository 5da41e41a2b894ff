/** Clusters: a conflict has another error code (10164) and names no revision, and a server may have no JetStream. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as KVStore from "../../../src/KVStore.ts"
import { openOnCluster } from "../../../tools/natsServer/cluster.ts"
import { bytes, textOf } from "../../../tools/values.ts"
import { numbers } from "../../support/suite.ts"
import type { World } from "../../support/worlds.ts"
import { openAt, refused, type Test, until } from "./fixture.ts"

const tally = (tags: ReadonlyArray<string>) =>
  [...new Set(tags)].toSorted().map((tag) => [tag, tags.filter((one) => one === tag).length])

const outcome = <A>(effect: Effect.Effect<A, KVStore.KVStoreError>) =>
  Effect.match(effect, {
    onFailure: ({ isRetryable, reason }) => isRetryable ? `${reason._tag} (retryable)` : reason._tag,
    onSuccess: () => "done"
  })

type Cluster = Effect.Success<ReturnType<typeof openOnCluster>>

const failure = <A, R>(effect: Effect.Effect<A, KVStore.KVStoreError, R>) =>
  Effect.match(effect, { onFailure: ({ message }) => message, onSuccess: () => "" })

/** A server without JetStream opens the buckets of its cluster. If no other server answers, its errors say so. */
const withoutJetStream = Effect.fnUntraced(function*({ join, servers }: Cluster, { line }: World) {
  const { url } = yield* join(line)
  const opened = openAt(url, { bucket: "replicated", replicas: 3, timeout: "1 second" })
  // The other servers answer once the routes are up.
  const store = yield* Effect.fromResult(yield* until(Effect.result(opened), ({ _tag }) => _tag === "Success"))
  const write = store.put("a", bytes("1"))
  yield* until(failure(write), (message) => message === "")
  yield* Effect.forEach(servers, ({ kill }) => kill)
  const says = "the server has no JetStream, and no other server answers for it (cluster lab)"
  // Not final: the other servers may be starting again.
  const expected = { reason: "Unavailable", isRetryable: true, says: [says] } as const
  yield* until(failure(write), (message) => message.includes(says))
  yield* refused(write, { at: `put "a"`, ...expected })
  yield* refused(opened, { at: "open", ...expected })
})

export const clusters = (test: Test, world: World) => {
  test("with three replicas one of 100 concurrent conditioned writes succeeds, reads are current, and a server without JetStream opens the bucket", () =>
    Effect.gen(function*() {
      const cluster = yield* openOnCluster([world.line, world.line, world.line])
      const { store } = cluster
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

      yield* withoutJetStream(cluster, world)
    }))
}
