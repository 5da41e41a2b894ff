/** Clusters of three servers for tests and measurements. */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { type AddressInfo, createServer } from "node:net"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import type { Line } from "./binaries.ts"
import { startNatsServer } from "./server.ts"

/** Servers of a cluster need each other's ports before they start. */
export const freePort = Effect.callback<number>((resume) => {
  const probe = createServer()
  probe.listen(0, "127.0.0.1", () => {
    const { port } = probe.address() as AddressInfo
    probe.close(() => resume(Effect.succeed(port)))
  })
})

/** The line of each server of a cluster. */
type Lines = readonly [Line, Line, Line]

/** Starts the servers, each with `config` in its configuration. `join` adds a server without JetStream. */
const startServers = (lines: Lines, config: string) =>
  Effect.gen(function*() {
    const ports = yield* Effect.replicateEffect(freePort, lines.length)
    const routes = ports.map((port) => `"nats-route://127.0.0.1:${port}"`).join(", ")
    const start = (line: Line, name: string, port: number, more = "") =>
      startNatsServer({
        line,
        config:
          `server_name: ${name}\ncluster { name: lab, host: "127.0.0.1", port: ${port}, routes: [ ${routes} ] }\n${more}`
      })
    const servers = yield* Effect.forEach(
      ports,
      (port, index) => start(lines[index]!, `n${index}`, port, config),
      { concurrency: lines.length }
    )
    const join = (line: Line) => start(line, "joined", -1, "jetstream: disabled")
    return { servers, join }
  })

/**
 * A leader places replicas only on servers whose statistics it has received; until then it answers "no suitable peers
 * for placement" (10005). A server sends its statistics 0.25, 0.75, 1.75, 3.75, 7.75 and 15.75 s after its start
 * (`heartbeatStatsz` in the source of nats-server 2.10.27). On an idle machine a cluster is ready after 3 s.
 */
const readyWithin = Duration.seconds(20)

class NotReady extends Data.TaggedError("NotReady")<{ readonly message: string }> {}

/** Opens a bucket with three replicas, retrying until the servers have formed a cluster. */
const openReplicated = Effect.fnUntraced(function*(cluster: Effect.Success<ReturnType<typeof startServers>>) {
  const client = yield* Layer.build(NatsClient.layer({ servers: cluster.servers.map(({ url }) => url) }))
  const store = yield* NatsKVStore.make({ bucket: "replicated", replicas: 3, timeout: "2 seconds" }).pipe(
    Effect.provideContext(client),
    Effect.retry(Schedule.spaced("100 millis")),
    Effect.timeoutOrElse({
      duration: readyWithin,
      orElse: () => new NotReady({ message: `the cluster was not ready within ${Duration.format(readyWithin)}` })
    })
  )
  return { client, store, ...cluster }
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
 * Starts a cluster with one server of each line, and opens a bucket on it. There are two reasons to start another cluster: another
 * process has taken one of the free ports, and two servers were candidates in the first election. After such an election
 * the meta leader of nats-server 2.10.27 may count two peers ("Decreasing our clustersize: 3 -> 2" in its log): it then
 * never places three replicas (observed in 2 of 48 clusters started on a busy machine).
 */
export const openOnCluster = (lines: Lines, config = "") =>
  inChildScope(Effect.flatMap(startServers(lines, config), openReplicated)).pipe(
    Effect.retry({
      times: 3,
      while: ({ _tag, message }) => _tag === "NotReady" || message.includes("address already in use")
    })
  )
