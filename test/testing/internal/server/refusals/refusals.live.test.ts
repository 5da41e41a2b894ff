/** The refusals of real servers, which the simulated one has to repeat. */
import { assert, describe, it } from "@effect/vitest"
import { connect, headers, type NatsConnection } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Line, lines } from "../../../../../tools/natsServer/binaries.ts"
import { openOnCluster } from "../../../../../tools/natsServer/cluster.ts"
import { startNatsServer } from "../../../../../tools/natsServer/server.ts"
import { consumerSettings, replicated, seconds, streamSettings } from "../../../../support/simulatedServer.ts"
import { type Answer, type Fillable, full, fullReplicas, fullWithMarkers, type Peer, type Test } from "./suite.ts"

const connected = (servers: ReadonlyArray<string>): Effect.Effect<NatsConnection, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ servers: [...servers] })),
    (connection) => Effect.promise(() => connection.close())
  )

const request = async (
  connection: NatsConnection,
  ...[subject, body = "", given = []]: Parameters<Peer["ask"]>
): Promise<Answer | undefined> => {
  const list = headers()
  for (const [name, value] of given) list.set(name, value)
  const text = typeof body === "string" ? body : JSON.stringify(body)
  return new Promise((resolve) => {
    const inbox = `_INBOX.${Math.random().toString(36).slice(2)}`
    const subscription = connection.subscribe(inbox, {
      timeout: 500,
      max: 1,
      callback: (error, message) =>
        resolve(error === null ? { status: message.headers?.code ?? 0, text: message.string() } : undefined)
    })
    subscription.closed.then(() => resolve(undefined))
    connection.publish(subject, text, { headers: list, reply: inbox })
  })
}

/** Pulls without end, and returns the keys that are delivered. */
const consume = async (connection: NatsConnection): Promise<ReadonlyArray<string>> => {
  const words: Array<string> = []
  const name = `c${Math.random().toString(36).slice(2)}`
  const config = consumerSettings(name)
  const subject = `$JS.API.CONSUMER.CREATE.KV_b.${name}.${config.filter_subject}`
  await connection.request(subject, JSON.stringify({ stream_name: "KV_b", config }), { timeout: 2000 })
  const inbox = `_INBOX.${name}`
  connection.subscribe(inbox, {
    callback: (_, { headers, subject }) => {
      if (headers?.code === 100) words.push("idle")
      else if ((headers?.code ?? 0) === 0) words.push(subject.slice("$KV.b.".length))
    }
  })
  const pull = { batch: 1000, expires: seconds(60), idle_heartbeat: seconds(1) }
  connection.publish(`$JS.API.CONSUMER.MSG.NEXT.KV_b.${name}`, JSON.stringify(pull), { reply: inbox })
  return words
}

const ballast = "KV_ballast"

/** A client, which fills the servers up with a second stream. */
const peerOf = Effect.fnUntraced(function*(
  servers: ReadonlyArray<string>,
  stream: object,
  replicas: { readonly num_replicas?: number } = {}
) {
  const connection = yield* connected(servers)
  const api = (subject: string, body: object = {}) =>
    Effect.promise(() => connection.request(`$JS.API.${subject}`, JSON.stringify(body), { timeout: 5000 }))
  const create = (settings: ReturnType<typeof streamSettings>) =>
    Effect.map(api(`STREAM.CREATE.${settings.name}`, settings), (answer) => {
      assert.notInclude(answer.string(), "\"error\"")
    })
  yield* create(streamSettings({ ...stream, ...replicas }))
  yield* create({ ...streamSettings(replicas), name: ballast, subjects: ["ballast.>"] })
  let filled = 0
  const fillOne = Effect.promise(() => request(connection, `ballast.${filled++}`, "x".repeat(10_000)))
  const peer: Fillable = {
    ask: (...asked) => Effect.promise(() => request(connection, ...asked)),
    pass: (millis) => Effect.promise(() => new Promise((resolve) => setTimeout(resolve, millis))),
    consume: Effect.promise(() => consume(connection)),
    fill: Effect.asVoid(Effect.repeat(fillOne, { until: (answer) => answer?.text.includes("10023") !== false })),
    free: Effect.asVoid(api(`STREAM.DELETE.${ballast}`))
  }
  return peer
})

const limits = "jetstream { max_file_store: 300KB, max_memory_store: 300KB }"

const started = (line: Line) => (stream: object = {}) =>
  Effect.flatMap(startNatsServer({ line, config: limits }), ({ url }) => peerOf([url], stream))

const onCluster = Effect.flatMap(
  openOnCluster(["2.15", "2.15", "2.15"], limits),
  ({ servers }) => peerOf(servers.map(({ url }) => url), {}, replicated)
)

const test: Test = (title, body) => it.live(title, () => Effect.scoped(body()), 60_000)

describe.concurrent("a real server", () => {
  for (const line of lines) {
    const ofLine: Test = (title, body) => test(`${line}: ${title}`, body)
    full(ofLine, started(line))
    if (line === "2.15") fullWithMarkers(ofLine, started(line))
  }
  fullReplicas(test, onCluster)
})
