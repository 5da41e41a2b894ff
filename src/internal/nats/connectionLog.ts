/**
 * Logs and measures what happens to a connection: one line for each change, and one for
 * each new reason of failed attempts to reconnect, at most one a minute.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import { natsConnected, natsDisconnects } from "../../Metrics.ts"
import { annotate } from "../logs.ts"
import { series, update } from "../metrics.ts"
import { monotonicMillis } from "../time.ts"
import type { LinkEvent, NatsPort } from "./port.ts"

/** A reason that stays the same is not logged again; reasons that alternate are logged this often. */
const quietFor = Duration.toMillis(Duration.minutes(1))

const shownServer = (port: NatsPort): string => {
  const { address, version } = port.server()
  return address === undefined ? `a nats-server ${version}` : `${address} (nats-server ${version})`
}

/** The current outage, as far as it is logged. */
interface OutageLog {
  readonly since: number
  problem: string | undefined
  reportedAt: number
}

class ConnectionLog {
  private readonly port: NatsPort
  private readonly clock: Clock.Clock
  private outage: OutageLog | undefined

  constructor(port: NatsPort, clock: Clock.Clock) {
    this.port = port
    this.clock = clock
  }

  /** The line for an event; undefined if it says nothing new. */
  lineOf(event: LinkEvent): Effect.Effect<void> | undefined {
    const now = monotonicMillis(this.clock)
    switch (event._tag) {
      case "Disconnected":
        return this.outage === undefined ? this.disconnected(now) : undefined
      case "Reconnecting":
        return this.outage === undefined ? this.disconnected(now) : this.stillDown(this.outage, now)
      case "Connected":
        return this.connected(now)
      case "Closed":
        return Effect.logWarning(
          "the connection is closed and does not reconnect: the program, or its limit of attempts, has ended it"
        )
      case "Denied":
        return undefined
    }
  }

  private disconnected(now: number): Effect.Effect<void> {
    const problem = this.port.outage()?.problem
    this.outage = { since: now, problem, reportedAt: now }
    const why = problem === undefined ? "" : `: ${problem}`
    return Effect.logWarning(`disconnected from ${shownServer(this.port)}${why}; reconnecting`)
  }

  private stillDown(outage: OutageLog, now: number): Effect.Effect<void> | undefined {
    const problem = this.port.outage()?.problem
    const isNew = problem !== undefined && problem !== outage.problem
    const isFirst = outage.reportedAt === outage.since
    if (!isNew || (!isFirst && now - outage.reportedAt < quietFor)) return undefined
    outage.problem = problem
    outage.reportedAt = now
    return Effect.logWarning(`cannot reconnect: ${problem}`)
  }

  private connected(now: number): Effect.Effect<void> | undefined {
    const { outage } = this
    if (outage === undefined) return undefined
    this.outage = undefined
    const lasted = Duration.format(Duration.millis(Math.round((now - outage.since) / 100) * 100))
    return Effect.logInfo(`reconnected to ${shownServer(this.port)} after ${lasted}`)
  }
}

/** Counts the losses of a connection, and keeps the gauge of its state. */
const measure = Effect.fnUntraced(function*(port: NatsPort, connection: string) {
  // Of several connections with one name, the series shows one that is down.
  const connected = yield* series(natsConnected, { connection }, Math.min)
  const setState = Effect.suspend(() => connected.set(port.isConnected() ? 1 : 0))
  yield* setState
  let wasConnected = port.isConnected()
  return Effect.suspend(() => {
    const isLost = wasConnected && !port.isConnected()
    wasConnected = port.isConnected()
    return Effect.andThen(setState, isLost ? update(natsDisconnects, { connection }) : Effect.void)
  })
})

/** Logs and measures that the connection is up, and what happens to it until the scope closes. */
export const observeConnection = Effect.fnUntraced(function*(
  port: NatsPort,
  name: string
): Effect.fn.Return<void, never, Scope.Scope> {
  const log = new ConnectionLog(port, yield* Clock.Clock)
  const measured = yield* measure(port, name)
  const events = yield* Queue.unbounded<LinkEvent>()
  yield* Effect.acquireRelease(
    Effect.sync(() => port.onLink((event) => Queue.offerUnsafe(events, event))),
    (end) => Effect.sync(end)
  )
  if (port.isConnected()) yield* Effect.logInfo(`connected to ${shownServer(port)}`)
  yield* Effect.forkScoped(
    Effect.forever(Effect.flatMap(
      Queue.take(events),
      (event) => Effect.andThen(measured, log.lineOf(event) ?? Effect.void)
    ))
  )
}, annotate("NatsClient"))
