/**
 * A client's connection to the simulated server, as a port for the driver. It
 * detects a dead link after some time and then reconnects without a limit.
 */
import { sizeOfHeaders } from "../../../internal/kv/headers.ts"
import type { LinkEvent, NatsMessage, NatsPort } from "../../../internal/nats/port.ts"
import { type Outgoing, received } from "../server/messages.ts"
import type { Session, SimulatedServer } from "../server/server.ts"
import type { Timer } from "./environment.ts"
import { type Buffer, type Quality, Wire } from "./wire.ts"
import type { Actor, World } from "./world.ts"

/** A dead link is detected after two unanswered pings, 3 s apart, as `NatsClient.layer` configures. In milliseconds. */
const soonestNotice = 6000
const latestNotice = 9000

/** The time between two attempts to reconnect, as `NatsClient.layer` configures. In milliseconds. */
const shortestWait = 250
const longestWait = 1000

/** The probability that the server still handles a message in transit when the connection is lost. */
const arrivedAlready = 0.5

const maxPayload = 1024 * 1024

/** The bytes of a message on the link. The words of the protocol line are not counted. */
const sizeOf = ({ data, headers, reply, subject }: Outgoing): number =>
  subject.length + (reply?.length ?? 0) + sizeOfHeaders(headers) + data.length

/** The network of a connection's machine. */
interface Network {
  readonly quality: () => Quality
  readonly isCut: (direction: "requests" | "replies") => boolean
  /** Whether the server would answer a ping. */
  readonly isAlive: () => boolean
  /** The server has cut the connection. */
  readonly onServerCut: () => void
}

export interface SimulatedConnectionOptions {
  readonly world: World
  readonly server: SimulatedServer
  readonly version: string
  readonly network: Network
  readonly process: Actor
  /** The user as which the client logs in. */
  readonly user: string
  /** The limit of the server for the bytes that wait to be sent to this client. */
  readonly maxPending: number
  /** Letters and digits: the prefix of the names of inboxes and consumers. */
  readonly name: string
}

type OnMessage = (message: NatsMessage) => void

export class SimulatedConnection implements NatsPort {
  private readonly options: SimulatedConnectionOptions
  private readonly chance
  private readonly listeners = new Set<(event: LinkEvent) => void>()
  private readonly subscriptions = new Map<string, OnMessage>()
  private session: Session | undefined
  private up: Wire
  private down: Wire
  private hasClosed = false
  private inboxes = 0
  private doubts: Timer | undefined

  constructor(options: SimulatedConnectionOptions) {
    this.options = options
    this.chance = options.world.chance.fork(`connection ${options.name}`)
    this.up = this.makeWire("requests")
    this.down = this.makeWire("replies")
    this.connect()
  }

  private makeWire(direction: "requests" | "replies", buffer?: Buffer): Wire {
    const { network, process, world } = this.options
    return new Wire(world, this.chance, {
      direction,
      receiver: direction === "requests" ? undefined : process,
      quality: network.quality,
      isCut: () => network.isCut(direction),
      buffer
    })
  }

  private connect(): void {
    const up = this.makeWire("requests")
    const down = this.makeWire("replies", {
      limit: this.options.maxPending,
      onOverflow: () => this.cutByServer(up),
      onEnd: () => this.disconnect()
    })
    this.up = up
    this.down = down
    const deliver = (message: Outgoing, subscription: string) =>
      down.send(() => this.onMessage(message, subscription), sizeOf(message))
    const deny = (subject: string) => down.sendSurely(() => this.onDenied(session, subject))
    const session = this.options.server.connect({ deliver, deny }, this.options.user)
    this.session = session
    for (const subject of this.subscriptions.keys()) this.tellServer((session) => session.subscribe(subject))
  }

  /** The server cuts the connection as a slow consumer. Nothing passes any more, but the client does not know yet. */
  private cutByServer(up: Wire): void {
    const { network, world } = this.options
    world.injected("cut as a slow consumer")
    network.onServerCut()
    up.close(arrivedAlready)
  }

  private tellServer(say: (session: Session) => void): void {
    const { session } = this
    if (session !== undefined) this.up.sendSurely(() => say(session))
  }

  private onMessage(message: Outgoing, subscription: string): void {
    this.subscriptions.get(subscription)?.(received(message))
  }

  private onDenied(session: Session, subject: string): void {
    // The message of the server belongs to its connection.
    if (this.session !== session) return
    const cause = new Error(`Permissions Violation for Publish to "${subject}"`)
    this.emit({ _tag: "Denied", operation: "publish", subject, cause })
  }

  private emit(event: LinkEvent): void {
    for (const listener of Array.from(this.listeners)) listener(event)
  }

  /** To be called when the link may be dead: disconnects after the ping timeout if it is still dead then. */
  doubt(): void {
    if (this.doubts !== undefined || this.session === undefined || this.hasClosed) return
    const { network, process, world } = this.options
    this.doubts = world.schedule(process, this.chance.between(soonestNotice, latestNotice), () => {
      this.doubts = undefined
      if (!network.isAlive()) this.disconnect()
    })
  }

  /** Sends held messages in the directions that are not cut. `isWhole`: neither is cut, so pings are answered. */
  heal(isWhole: boolean): void {
    if (isWhole) {
      this.doubts?.cancel()
      this.doubts = undefined
    }
    this.up.heal()
    this.down.heal()
  }

  /** To be called when the bandwidth has changed or a cut has begun. */
  sendAgain(): void {
    this.down.sendAgain()
  }

  /** Breaks the connection and tries to reconnect until it succeeds. */
  disconnect(): void {
    const { session } = this
    if (session === undefined || this.hasClosed) return
    this.session = undefined
    this.options.world.injected("disconnected")
    this.up.drop(arrivedAlready)
    this.down.drop(0)
    session.close()
    this.emit({ _tag: "Disconnected" })
    this.tryAgain()
  }

  private tryAgain(): void {
    const { network, process, world } = this.options
    this.emit({ _tag: "Reconnecting" })
    world.schedule(process, this.chance.between(shortestWait, longestWait), () => {
      if (this.hasClosed || this.session !== undefined) return
      if (!network.isAlive()) return this.tryAgain()
      this.connect()
      this.emit({ _tag: "Connected" })
    })
  }

  /** Closes the connection for good, as draining it does. */
  close(): void {
    if (this.hasClosed) return
    this.hasClosed = true
    const { session } = this
    this.session = undefined
    // Messages published before are flushed first.
    if (session !== undefined) this.up.sendSurely(() => session.close())
    this.subscriptions.clear()
    this.emit({ _tag: "Closed" })
    this.listeners.clear()
  }

  /** Ends the connection when its process crashes: nothing is flushed, and listeners are not called. */
  vanish(): void {
    this.hasClosed = true
    this.up.drop(arrivedAlready)
    this.down.drop(0)
    this.session?.close()
    this.session = undefined
    this.subscriptions.clear()
    this.listeners.clear()
  }

  // ------------------------------------------------------------ as the driver's port

  readonly isConnected = (): boolean => this.session !== undefined

  readonly isClosed = (): boolean => this.hasClosed

  readonly server = () => ({ version: this.options.version, maxPayload, jetstream: true, cluster: undefined })

  /** A simulated link has no error. */
  readonly outage = () => undefined

  readonly inbox = (): string => `_INBOX.${this.options.name}x${++this.inboxes}`

  readonly publish: NatsPort["publish"] = (subject, data, headers, reply) => {
    if (this.hasClosed) throw new Error("the connection is closed")
    // A copy, since the caller may reuse the buffer before the message arrives.
    const sent = data.slice()
    const { session } = this
    if (session !== undefined) this.up.send(() => session.publish(subject, headers, sent, reply))
  }

  readonly subscribe: NatsPort["subscribe"] = (subject, onMessage) => {
    if (this.hasClosed) throw new Error("the connection is closed")
    this.subscriptions.set(subject, onMessage)
    this.tellServer((session) => session.subscribe(subject))
    return () => {
      if (this.subscriptions.get(subject) !== onMessage) return
      this.subscriptions.delete(subject)
      this.tellServer((session) => session.unsubscribe(subject))
    }
  }

  readonly ping: NatsPort["ping"] = (done) => {
    const { down } = this
    this.tellServer(() => down.send(() => done(), 0))
  }

  readonly onLink: NatsPort["onLink"] = (listener) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  readonly release = (): void => {}
}
