/**
 * Runs client processes on one bucket of one server, kills clients and the server repeatedly, and returns the
 * operations of all clients as one history.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import { type ChildProcess, fork } from "node:child_process"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Operation } from "../../src/testing/Linearizability.ts"
import { type Line, temporaryFolder, whenProcessEnds } from "../../tools/natsServer/binaries.ts"
import { type NatsServer, startNatsServer } from "../../tools/natsServer/server.ts"
import { type ClientOptions, readLog } from "./clientLog.ts"
import { sharedMillis } from "./sharedClock.ts"

export interface Load {
  readonly line: Line
  /** The storage of the bucket. With `memory` it is lost when the server is killed. */
  readonly storage: "file" | "memory"
  readonly clients: number
  readonly keys: number
  readonly lasts: Duration.Duration
  /** Average interval between two kills of the server. */
  readonly serverDies: Duration.Duration
  /** Average interval between two kills of a client. */
  readonly clientDies: Duration.Duration
}

export interface Recorded {
  readonly version: string
  readonly history: ReadonlyArray<Operation>
  readonly serverKills: number
  readonly clientKills: number
  /** The number of clients that did not end in time. */
  readonly stuck: number
  /** The number of clients that ended with an error. Their histories are incomplete. */
  readonly broken: number
}

/** Time limit for a client to start, and to end after its time: longer than an operation may take. */
const patience = Duration.seconds(15)

/** Milliseconds without a server: from less than one reconnect interval of a client to several. */
const shortestOutage = 50
const longestOutage = 1200

/** Timeout of an operation: shorter than most intervals between two kills of the server. */
const timeout = Duration.seconds(2)

const clientScript = fileURLToPath(new URL("client.ts", import.meta.url))

interface Client {
  readonly process: ChildProcess
  readonly log: string
  readonly ready: Deferred.Deferred<void>
  readonly gone: Deferred.Deferred<void>
}

const runs = ({ process }: Client) => process.exitCode === null && process.signalCode === null

const broke = ({ process }: Client) => process.exitCode !== null && process.exitCode !== 0

/** Starts a client. Closing the scope kills it. */
const startClient = (options: ClientOptions): Effect.Effect<Client, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = fork(clientScript, [JSON.stringify(options)], { execArgv: [] })
      const client: Client = {
        process: child,
        log: options.log,
        ready: Deferred.makeUnsafe(),
        gone: Deferred.makeUnsafe()
      }
      child.once("message", () => Deferred.doneUnsafe(client.ready, Effect.void))
      child.once("exit", () => Deferred.doneUnsafe(client.gone, Effect.void))
      return { client, takeBack: whenProcessEnds(() => child.kill("SIGKILL")) }
    }),
    ({ client, takeBack }) => Effect.andThen(kill(client), Effect.sync(takeBack))
  ).pipe(Effect.map(({ client }) => client))

const kill = (client: Client) =>
  Effect.suspend(() => {
    if (runs(client)) client.process.kill("SIGKILL")
    return Deferred.await(client.gone)
  })

/** Repeats `run` at random intervals of `every` on average. `run` itself is not interrupted. */
const nowAndThen = <E, R>(every: Duration.Duration, run: Effect.Effect<void, E, R>) =>
  Effect.forever(
    Effect.gen(function*() {
      const part = yield* Random.nextBetween(0.5, 1.5)
      yield* Effect.sleep(Duration.times(every, part))
      yield* Effect.uninterruptible(run)
    })
  )

const killServer = (server: NatsServer) =>
  Effect.gen(function*() {
    yield* server.kill
    yield* Effect.sleep(Duration.millis(yield* Random.nextBetween(shortestOutage, longestOutage)))
    yield* server.restart
  })

/** Sends a client the time of its end when it is ready, unless it has been killed. */
const tellUntil = (client: Client, until: number) =>
  Effect.raceFirst(Deferred.await(client.ready), Deferred.await(client.gone)).pipe(
    Effect.andThen(Effect.sync(() => runs(client) && client.process.send(until)))
  )

const makeClients = Effect.fnUntraced(function*(load: Load, url: string) {
  const folder = yield* temporaryFolder("/tmp/effect-aegis-clients-")
  const clients: Array<Client> = []
  const start = Effect.fnUntraced(function*(name: string) {
    const client = yield* startClient({
      name,
      url,
      bucket: { bucket: "recorded", storage: load.storage, timeout: Duration.toMillis(timeout) },
      keys: load.keys,
      log: join(folder, `${name}.jsonl`)
    })
    clients.push(client)
    return client
  })
  const current = yield* Effect.forEach(Array.from({ length: load.clients }).keys(), (n) => start(`p${n}`))
  yield* Effect.forEach(current, ({ ready }) => Deferred.await(ready)).pipe(Effect.timeout(patience))
  let killed = 0
  return {
    all: clients as ReadonlyArray<Client>,
    killed: () => killed,
    begin: (until: number) => Effect.forEach(current, (client) => tellUntil(client, until)),
    /** Kills a random client and starts another in its place. */
    killOne: Effect.fnUntraced(function*(until: number) {
      const chosen = yield* Random.nextIntBetween(0, current.length, { halfOpen: true })
      yield* kill(current[chosen]!)
      current[chosen] = yield* start(`p${chosen}.${++killed}`)
      yield* Effect.forkScoped(tellUntil(current[chosen], until))
    })
  }
})

/** Runs the clients, kills clients and server, and reads the logs. */
export const record = Effect.fnUntraced(
  function*(load: Load) {
    const server = yield* startNatsServer({ line: load.line })
    const clients = yield* makeClients(load, server.url)
    const until = sharedMillis() + Duration.toMillis(load.lasts)
    yield* clients.begin(until)
    let serverKills = 0
    const faults = Effect.all([
      nowAndThen(load.serverDies, Effect.tap(killServer(server), () => Effect.sync(() => serverKills++))),
      nowAndThen(load.clientDies, clients.killOne(until))
    ], { concurrency: "unbounded", discard: true })
    yield* Effect.timeoutOption(faults, load.lasts)
    const end = Effect.forEach(clients.all, ({ gone }) => Deferred.await(gone))
    yield* Effect.timeoutOption(end, patience)
    const stuck = clients.all.filter(runs)
    yield* Effect.forEach(stuck, kill)
    const recorded: Recorded = {
      version: server.version,
      history: clients.all.flatMap(({ log }) => readLog(log)),
      serverKills,
      clientKills: clients.killed(),
      stuck: stuck.length,
      broken: clients.all.filter(broke).length
    }
    return recorded
  },
  Effect.scoped,
  Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
)
