/** A bucket with three replicas, where a conflict has another error code (10164) and names no revision. */
import { assert } from "@effect/vitest"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { type AddressInfo, createServer } from "node:net"
import * as KVStore from "../../../src/KVStore.ts"
import * as NatsClient from "../../../src/NatsClient.ts"
import * as NatsKVStore from "../../../src/NatsKVStore.ts"
import { startNatsServer } from "../../../tools/natsServer/server.ts"
import { bytes, textOf } from "../../../tools/values.ts"
import { freshName, numbers } from "../../support/suite.ts"
import type { Test, World } from "./fixture.ts"

/** Servers of a cluster need each other's ports before they start. */
const freePort = Effect.callback<number>((resume) => {
  const probe = createServer()
  probe.listen(0, "127.0.0.1", () => {
    const { port } = probe.address() as AddressInfo
    probe.close(() => resume(Effect.succeed(port)))
  })
})

const startServers = (world: World) =>
  Effect.gen(function*() {
    const ports = yield* Effect.replicateEffect(freePort, 3)
    const routes = ports.map((port) => `"nats-route://127.0.0.1:${port}"`).join(", ")
    const servers = yield* Effect.forEach(ports, (port, index) =>
      startNatsServer({
        line: world.line,
        config: `server_name: n${index}\ncluster { name: lab, host: "127.0.0.1", port: ${port}, routes: [ ${routes} ] }`
      }), { concurrency: 3 })
    return servers.map(({ url }) => url)
  })

/**
 * A leader places replicas only on servers whose statistics it has received; until then it answers "no suitable peers
 * for placement" (10005). A server sends its statistics 0.25, 0.75, 1.75, 3.75, 7.75 and 15.75 s after its start
 * (`heartbeatStatsz` in the source of nats-server 2.10.27). On an idle machine a cluster is ready after 3 s.
 */
const readyWithin = Duration.seconds(20)

class NotReady extends Data.TaggedError("NotReady")<{ readonly message: string }> {}

/** Opens a bucket with three replicas, retrying until the servers have formed a cluster. */
const openReplicated = Effect.fnUntraced(function*(servers: ReadonlyArray<string>) {
  const client = yield* Layer.build(NatsClient.layer({ servers }))
  return yield* NatsKVStore.make({ bucket: freshName(), replicas: 3, timeout: "2 seconds" }).pipe(
    Effect.provideContext(client),
    Effect.retry(Schedule.spaced("100 millis")),
    Effect.timeoutOrElse({
      duration: readyWithin,
      orElse: () => new NotReady({ message: `the cluster was not ready within ${Duration.format(readyWithin)}` })
    })
  )
})

/** Runs an effect in a child scope, which closes with the test, or at once if the effect fails. */
const inChildScope = Effect.fnUntraced(function*<A, E, R>(effect: Effect.Effect<A, E, R | Scope.Scope>) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  return yield* effect.pipe(
    Scope.provide(scope),
    Effect.onError((cause) => Scope.close(scope, Exit.failCause(cause)))
  )
})

/**
 * Starts a cluster of three servers and opens a bucket on it. There are two reasons to start another cluster: another
 * process has taken one of the free ports, and two servers were candidates in the first election. After such an election
 * the meta leader of nats-server 2.10.27 may count two peers ("Decreasing our clustersize: 3 -> 2" in its log): it then
 * never places three replicas (observed in 2 of 48 clusters started on a busy machine).
 */
const openOnCluster = (world: World) =>
  inChildScope(Effect.flatMap(startServers(world), openReplicated)).pipe(
    Effect.retry({
      times: 3,
      while: ({ _tag, message }) => _tag === "NotReady" || message.includes("address already in use")
    })
  )

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
      const store = yield* openOnCluster(world)
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
