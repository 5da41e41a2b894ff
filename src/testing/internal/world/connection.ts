/**
 * A client's connection to the simulated server, as the driver sees one: it
 * notices after a while that its link is dead, and connects again for ever.
 */
import type { LinkEvent, NatsMessage, NatsPort } from "../../../internal/nats/port.ts"
import { type Outgoing, received } from "../server/messages.ts"
import type { Session, SimulatedServer } from "../server/server.ts"
import type { Timer } from "./environment.ts"
import { type Quality, Wire } from "./wire.ts"
import type { Actor, World } from "./world.ts"

/** Two pings of 3 s without an answer: what `NatsClient.layer` sets. Milliseconds. */
const soonestNotice = 6000
const latestNotice = 9000

/** Between two attempts to connect again, as `NatsClient.layer` does it. */
const shortestWait = 250
const longestWait = 1000

/** What had reached the other side's kernel when the connection went is still taken up by chance. */
const arrivedAlready = 0.5

const maxPayload = 1024 * 1024

/** What a connection needs of its machine. */
interface Network {
  readonly quality: () => Quality
  readonly isCut: (direction: "requests" | "replies") => boolean
  /** Whether somebody would answer a ping. */
  readonly isAlive: () => boolean
}

export interface SimulatedConnectionOptions {
  readonly world: World
  readonly server: SimulatedServer
  readonly version: string
  readonly network: Network
  readonly process: Actor
  /** Letters and digits: inboxes begin with it, and so do the names of consumers. */
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

  private makeWire(direction: "requests" | "replies"): Wire {
    const { network, process, world } = this.options
    return new Wire(world, this.chance, {
      direction,
      receiver: direction === "requests" ? undefined : process,
      quality: network.quality,
      isCut: () => network.isCut(direction)
    })
  }

  private connect(): void {
    this.up = this.makeWire("requests")
    const down = this.makeWire("replies")
    this.down = down
    const deliver = (message: Outgoing, subscription: string) => down.send(() => this.onMessage(message, subscription))
    this.session = this.options.server.connect({ deliver })
    for (const subject of this.subscriptions.keys()) this.tellServer((session) => session.subscribe(subject))
  }

  private tellServer(say: (session: Session) => void): void {
    const { session } = this
    if (session !== undefined) this.up.sendSurely(() => say(session))
  }

  private onMessage(message: Outgoing, subscription: string): void {
    this.subscriptions.get(subscription)?.(received(message))
  }

  private emit(event: LinkEvent): void {
    for (const listener of Array.from(this.listeners)) listener(event)
  }

  /** Something may be wrong with the link: it is noticed once pings have gone unanswered for long enough. */
  doubt(): void {
    if (this.doubts !== undefined || this.session === undefined || this.hasClosed) return
    const { network, process, world } = this.options
    this.doubts = world.schedule(process, this.chance.between(soonestNotice, latestNotice), () => {
      this.doubts = undefined
      if (!network.isAlive()) this.disconnect()
    })
  }

  /** What was held back is on its way, where it passes again; and where both ways are whole, pings are answered. */
  heal(isWhole: boolean): void {
    if (isWhole) {
      this.doubts?.cancel()
      this.doubts = undefined
    }
    this.up.heal()
    this.down.heal()
  }

  /** The connection is gone; the next is tried for until there is one. */
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

  /** For good: drained, or the process has ended. */
  close(): void {
    if (this.hasClosed) return
    this.hasClosed = true
    const { session } = this
    this.session = undefined
    // What was published before is flushed first.
    if (session !== undefined) this.up.sendSurely(() => session.close())
    this.subscriptions.clear()
    this.emit({ _tag: "Closed" })
    this.listeners.clear()
  }

  /** The machine was switched off: nothing is flushed, and nobody is told. */
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

  readonly server = () => ({ version: this.options.version, maxPayload })

  readonly inbox = (): string => `_INBOX.${this.options.name}x${++this.inboxes}`

  readonly publish: NatsPort["publish"] = (subject, data, headers, reply) => {
    if (this.hasClosed) throw new Error("the connection is closed")
    // As they are now: the caller may use them for something else before they arrive.
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

  readonly onLink: NatsPort["onLink"] = (listener) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  readonly release = (): void => {}
}
