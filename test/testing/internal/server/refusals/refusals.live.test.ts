/** The refusals of real servers, which the simulated one has to repeat. */
import { assert, describe, it } from "@effect/vitest"
import { connect, headers, type NatsConnection, PermissionViolationError } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { subjectsFor } from "../../../../../src/testing/internal/world/stores.ts"
import { type Line, lines } from "../../../../../tools/natsServer/binaries.ts"
import { openOnCluster } from "../../../../../tools/natsServer/cluster.ts"
import { startNatsServer } from "../../../../../tools/natsServer/server.ts"
import { consumerSettings, replicated, seconds, streamSettings } from "../../../../support/simulatedServer.ts"
import {
  type Answer,
  denied,
  type Fillable,
  full,
  fullReplicas,
  fullWithMarkers,
  type Peer,
  type Restricted,
  type Test
} from "./suite.ts"

const connected = (servers: ReadonlyArray<string>, user?: string): Effect.Effect<NatsConnection, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ servers: [...servers], ...(user === undefined ? {} : { user, pass: user }) })),
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

const requesting = (connection: NatsConnection) => (subject: string, body: object) =>
  Effect.promise(() => connection.request(`$JS.API.${subject}`, JSON.stringify(body), { timeout: 5000 }))

/** Creates streams, and returns a peer over the connection. */
const peerOver = Effect.fnUntraced(function*(
  connection: NatsConnection,
  ...streams: ReadonlyArray<ReturnType<typeof streamSettings>>
) {
  for (const settings of streams) {
    const answer = yield* requesting(connection)(`STREAM.CREATE.${settings.name}`, settings)
    assert.notInclude(answer.string(), "\"error\"")
  }
  const peer: Peer = {
    ask: (...asked) => Effect.promise(() => request(connection, ...asked)),
    pass: (millis) => Effect.promise(() => new Promise((resolve) => setTimeout(resolve, millis))),
    consume: Effect.promise(() => consume(connection))
  }
  return peer
})

/** A client, which fills the servers up with a second stream. */
const fillable = Effect.fnUntraced(function*(
  servers: ReadonlyArray<string>,
  stream: object,
  replicas: { readonly num_replicas?: number } = {}
) {
  const connection = yield* connected(servers)
  const other = { ...streamSettings(replicas), name: ballast, subjects: ["ballast.>"] }
  const peer = yield* peerOver(connection, streamSettings({ ...stream, ...replicas }), other)
  let filled = 0
  const fillOne = Effect.promise(() => request(connection, `ballast.${filled++}`, "x".repeat(10_000)))
  const own: Fillable = {
    ...peer,
    fill: Effect.asVoid(Effect.repeat(fillOne, { until: (answer) => answer?.text.includes("10023") !== false })),
    free: Effect.asVoid(requesting(connection)(`STREAM.DELETE.${ballast}`, {}))
  }
  return own
})

const user = (name: string, denied: ReadonlyArray<string>) =>
  `{ user: ${name}, password: ${name}, permissions: { publish: { deny: ${JSON.stringify(denied)} } } }`
const withUsers = (denied: ReadonlyArray<string>) =>
  `authorization { users: [ { user: other, password: other }, ${user("app", denied)} ] }`

/** A client of a user whose rights change. */
const restricted = (line: Line) =>
  Effect.gen(function*() {
    const { reload, url } = yield* startNatsServer({ line, config: withUsers([]) })
    const [app, other] = [yield* connected([url], "app"), yield* connected([url], "other")]
    const refused: Array<string> = []
    const follow = async () => {
      for await (const status of app.status()) {
        if (status.type === "error" && status.error instanceof PermissionViolationError) {
          refused.push(status.error.subject)
        }
      }
    }
    void follow()
    const peer: Restricted = {
      ...(yield* peerOver(app, streamSettings())),
      denied: refused,
      askAsOther: (...asked) => Effect.promise(() => request(other, ...asked)),
      revoke: (right) => Effect.orDie(reload(withUsers(subjectsFor[right]("b")))),
      giveBack: Effect.orDie(reload(withUsers([])))
    }
    return peer
  })

const limits = "jetstream { max_file_store: 300KB, max_memory_store: 300KB }"

const started = (line: Line) => (stream: object = {}) =>
  Effect.flatMap(startNatsServer({ line, config: limits }), ({ url }) => fillable([url], stream))

const onCluster = Effect.flatMap(
  openOnCluster(["2.15", "2.15", "2.15"], limits),
  ({ servers }) => fillable(servers.map(({ url }) => url), {}, replicated)
)

const test: Test = (title, body) => it.live(title, () => Effect.scoped(body()), 60_000)

describe.concurrent("a real server", () => {
  for (const line of lines) {
    const ofLine: Test = (title, body) => test(`${line}: ${title}`, body)
    full(ofLine, started(line))
    if (line === "2.15") fullWithMarkers(ofLine, started(line))
    denied(ofLine, restricted(line))
  }
  fullReplicas(test, onCluster)
})
