/** What a server counts of its connections. */
import { connect } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

/** Only the system account can ask a server for its connections. Other clients connect without credentials. */
export const withSystemAccount = `accounts {
  SYSTEM: { users: [ { user: system, password: system } ] }
  APP: { jetstream: enabled, users: [ { user: app, password: app } ] }
}
system_account: SYSTEM
no_auth_user: app`

/** More than the connections of any test: a server returns 1,024 by default. */
const mostConnections = 1024

/** The server omits a number that is 0, and the name of a connection without one. */
const Connections = Schema.fromJsonString(Schema.Struct({
  data: Schema.Struct({
    connections: Schema.Array(
      Schema.Struct({
        name: Schema.optionalKey(Schema.String),
        subscriptions: Schema.optionalKey(Schema.Int),
        in_msgs: Schema.optionalKey(Schema.Int)
      })
    )
  })
}))

/** The subscriptions of one connection, and the messages that the server has received from it. */
interface Counters {
  readonly subscriptions: number
  readonly received: number
}

const request = JSON.stringify({ account: "APP", limit: mostConnections })

/**
 * Connects to a server that was configured with `withSystemAccount`. Returns an effect that reads the counters of all
 * connections, by their names.
 */
export const countersOf = (port: number) =>
  Effect.acquireRelease(
    Effect.promise(() => connect({ servers: `127.0.0.1:${port}`, user: "system", pass: "system" })),
    (system) => Effect.promise(() => system.close())
  ).pipe(Effect.map((system) =>
    Effect.promise(() => system.request("$SYS.REQ.SERVER.PING.CONNZ", request)).pipe(
      Effect.flatMap((answer) => Schema.decodeEffect(Connections)(answer.string())),
      Effect.map(({ data }) => (name: string): Counters => {
        const found = data.connections.find((connection) => connection.name === name)
        if (found === undefined) throw new Error(`the server has no connection "${name}"`)
        return { subscriptions: found.subscriptions ?? 0, received: found.in_msgs ?? 0 }
      })
    )
  ))
