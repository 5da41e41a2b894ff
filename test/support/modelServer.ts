/**
 * A simple model of a stream with consumers: it delivers messages to pulls, ends pulls and sends heartbeats on virtual
 * time, and loses messages on request. Requests take time, and can fail before or after they are applied.
 */
import type * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { MessageOperation } from "../../src/internal/kv/backend.ts"
import type { ConsumerSettings, JetStream, PullSettings } from "../../src/internal/nats/jetstream/api.ts"
import { ApiAccess } from "../../src/internal/nats/jetstream/apiAccess.ts"
import { PullWindow } from "../../src/internal/nats/jetstream/pullWindow.ts"
import type { LinkEvent, NatsMessage, PortFailure } from "../../src/internal/nats/port.ts"
import { matcher } from "../../src/internal/subjects.ts"
import { nanosPerMilli } from "../../src/internal/time.ts"
import type { Chance } from "../../src/testing/internal/world/chance.ts"
import { bytes } from "../../tools/values.ts"

export const prefix = "$KV.b."

interface Kept {
  readonly key: string
  readonly revision: number
  readonly operation: MessageOperation
}

type Change = { readonly vanished: string } | Kept

/** The contents of a stream, or of a replica. */
class Copy {
  kept: ReadonlyArray<Kept> = []
  last: number
  private readonly historySize: number

  constructor(historySize: number, last: number) {
    this.historySize = historySize
    this.last = last
  }

  of(key: string): ReadonlyArray<Kept> {
    return this.kept.filter((message) => message.key === key)
  }

  apply(change: Change): void {
    if ("vanished" in change) {
      this.kept = this.kept.filter(({ key }) => key !== change.vanished)
      return
    }
    const older = change.operation === "purge" ? [] : this.of(change.key).slice(-this.historySize + 1 || Infinity)
    this.kept = [...this.kept.filter(({ key }) => key !== change.key), ...older, change]
      .toSorted((a, b) => a.revision - b.revision)
    this.last = change.revision
  }
}

interface Pull {
  readonly settings: PullSettings
  readonly replyTo: string
  readonly begun: number
}

interface Consumer {
  readonly settings: ConsumerSettings
  readonly copy: Copy
  readonly matches: (key: string) => boolean
  /** Last message of each key, without those already delivered. Everything from `position` on follows. */
  snapshot: ReadonlyArray<number>
  position: number
  delivered: number
  pull: Pull | undefined
  lastSaid: number
}

/** The probability that a pull ends before the next message: that does not fit, or the pull has all its messages. */
const full = 0.2

/** Every message fits into a pull of this many bytes. */
const fitsAny = 64 * 1024 * 1024

const status = { heartbeat: 100, noMessages: 404, timeout: 408, conflict: 409, noResponders: 503 }

export const makeModel = (
  chance: Chance,
  { historySize, isReplicated, waitsForStart }: {
    readonly historySize: number
    readonly isReplicated: boolean
    readonly waitsForStart: boolean
  }
) => {
  const life = { number: 1, created: "2026-11-01T00:00:01Z" }
  const state = {
    isLinkUp: true,
    /** Requests: percentage that fail, and longest duration in milliseconds. */
    failing: 0,
    slowness: 0,
    /** The server delivers nothing. */
    frozen: false,
    /** The replica receives no changes. */
    lagging: false
  }
  let leader = new Copy(historySize, 0)
  let follower = new Copy(historySize, 0)
  let unheard: Array<Change> = []
  const consumers = new Map<string, Consumer>()
  const inboxes = new Map<string, (message: NatsMessage) => void>()
  const links = new Set<(event: LinkEvent) => void>()
  let names = 0

  const change = (one: Change) => {
    leader.apply(one)
    unheard.push(one)
  }
  const write = (key: string, operation: MessageOperation) => change({ key, operation, revision: leader.last + 1 })

  const hear = (most: number) => {
    for (const one of unheard.splice(0, most)) follower.apply(one)
  }

  /** Replaces the stream by a new one or by an earlier state, and removes the consumers. */
  const beginAnew = (isMadeAnew: boolean, kept: ReadonlyArray<Kept>, last: number) => {
    life.number++
    if (isMadeAnew) life.created = `2026-11-01T00:${String(life.number).padStart(2, "0")}:00Z`
    consumers.clear()
    unheard = []
    leader = new Copy(historySize, last)
    follower = new Copy(historySize, last)
    leader.kept = kept
    follower.kept = kept
  }

  const remaining = (consumer: Consumer): ReadonlyArray<Kept> =>
    consumer.copy.kept.filter(({ key, revision }) =>
      consumer.matches(key) && (revision >= consumer.position || consumer.snapshot.includes(revision))
    )

  const say = (name: string, message: Partial<NatsMessage>) => {
    if (!state.isLinkUp) return
    inboxes.get(`_INBOX.${name}.*`)?.({
      subject: "",
      reply: undefined,
      status: 0,
      description: "",
      header: () => "",
      data: new Uint8Array(0),
      ...message
    })
  }

  const sayStatus = (name: string, replyTo: string, code: number, headers: Record<string, string> = {}) =>
    say(name, { subject: replyTo, status: code, header: (header) => headers[header] ?? "" })

  const operationHeaders: Partial<Record<MessageOperation, string>> = { delete: "DEL", purge: "PURGE" }

  const deliver = (consumer: Consumer, { key, operation, revision }: Kept, pending: number) => {
    consumer.snapshot = consumer.snapshot.filter((one) => one > revision)
    if (consumer.snapshot.length === 0) consumer.position = Math.max(consumer.position, revision + 1)
    consumer.delivered++
    say(consumer.settings.name, {
      subject: `${prefix}${key}`,
      reply: `$JS.ACK.KV_b.c.1.${revision}.${consumer.delivered}.1000000.${pending}`,
      header: (name) => name === "KV-Operation" ? operationHeaders[operation] ?? "" : "",
      data: bytes(String(life.number))
    })
  }

  /**
   * What nats-server 2.10.27 and 2.15.1 do with a message that does not fit into a pull, if it is one of the last messages
   * of each key: they skip it, unless the stream keeps one message of each key.
   */
  const skip = (consumer: Consumer, { revision }: Kept) => {
    if (historySize === 1 || consumer.snapshot.length === 0) return
    consumer.snapshot = consumer.snapshot.filter((one) => one > revision)
  }

  const endPull = (consumer: Consumer, { replyTo }: Pull, code: number) => {
    consumer.pull = undefined
    sayStatus(consumer.settings.name, replyTo, code, code === status.conflict ? { "Nats-Pending-Bytes": "1" } : {})
  }

  const beat = (consumer: Consumer, { replyTo }: Pull) =>
    sayStatus(consumer.settings.name, replyTo, status.heartbeat, {
      "Nats-Last-Consumer": String(consumer.delivered),
      "Nats-Last-Stream": String(remaining(consumer).length === 0 ? consumer.copy.last : 0)
    })

  const takePull = (consumer: Consumer, pull: Pull, now: number) => {
    const { expires = Number.POSITIVE_INFINITY, idle_heartbeat = Number.POSITIVE_INFINITY, no_wait } = pull.settings
    for (let more = chance.below(6); more > 0; more--) {
      const [message, ...rest] = remaining(consumer)
      if (message === undefined) {
        if (no_wait === true) return endPull(consumer, pull, status.noMessages)
        break
      }
      if (chance.is(full)) {
        if (pull.settings.max_bytes < fitsAny) skip(consumer, message)
        return endPull(consumer, pull, status.conflict)
      }
      deliver(consumer, message, rest.length)
      consumer.lastSaid = now
    }
    if (now - pull.begun >= expires / nanosPerMilli) return endPull(consumer, pull, status.timeout)
    if (now - Math.max(pull.begun, consumer.lastSaid) < idle_heartbeat / nanosPerMilli) return
    beat(consumer, pull)
    consumer.lastSaid = now
  }

  /** One step of the server. */
  const turn = (now: number) => {
    if (!state.lagging) hear(chance.below(6))
    if (state.frozen) return
    for (const consumer of consumers.values()) if (consumer.pull !== undefined) takePull(consumer, consumer.pull, now)
  }

  const timedOut = Effect.fail<PortFailure>({ _tag: "Timeout" })

  /** Applies a request after a delay, and answers after another one, unless the request or the answer is lost. */
  const request = <A>(work: () => A | PortFailure): Effect.Effect<A, PortFailure> => {
    const wait = Effect.suspend(() => {
      const millis = chance.below(state.slowness + 1)
      return millis === 0 ? Effect.void : Effect.sleep(millis)
    })
    const lost = Effect.suspend(() => chance.below(100) < state.failing ? timedOut : Effect.void)
    const done = Effect.suspend(() => {
      const answer = work()
      return typeof answer === "object" && answer !== null && "_tag" in answer
        ? Effect.fail(answer)
        : Effect.succeed(answer as A)
    })
    return wait.pipe(Effect.andThen(lost), Effect.andThen(done), Effect.tap(wait), Effect.tap(lost))
  }

  const notFound = (code: number): PortFailure => ({ _tag: "Api", code, description: "not found" })

  const createConsumer = (settings: ConsumerSettings, now: number): number => {
    const isFar = isReplicated && chance.is(0.5)
    const copy = isFar ? follower : leader
    const matches = matcher(settings.filter_subject!.slice(prefix.length))
    const start = settings.opt_start_seq
    const lastOfEach = copy.kept.filter((message) => matches(message.key) && copy.of(message.key).at(-1) === message)
    const consumer: Consumer = {
      settings,
      copy,
      matches,
      snapshot: start === undefined ? lastOfEach.map(({ revision }) => revision) : [],
      position: start === undefined ? copy.last + 1 : waitsForStart ? start : Math.min(start, copy.last + 1),
      delivered: 0,
      pull: undefined,
      lastSaid: now
    }
    consumers.set(settings.name, consumer)
    return remaining(consumer).length
  }

  const unused = (): never => {
    throw new Error("a watch does not call this")
  }

  const pull = (name: string, settings: PullSettings, replyTo: string, begun: number) => {
    if (!state.isLinkUp || chance.below(100) < state.failing) return
    const consumer = consumers.get(name)
    if (consumer === undefined) return sayStatus(name, replyTo, status.noResponders)
    // The smallest pull is a sign of life only: no message fits.
    if (settings.max_bytes > 1) {
      consumer.pull = { settings, replyTo, begun }
      return
    }
    const [message] = remaining(consumer)
    if (message !== undefined) skip(consumer, message)
  }

  const js = (clock: Clock.Clock): JetStream => ({
    access: new ApiAccess(),
    port: {
      isConnected: () => state.isLinkUp,
      isClosed: () => false,
      outage: () => undefined,
      server: () => ({ version: "2.15.1", maxPayload: 1024 * 1024, jetstream: true, cluster: undefined }),
      inbox: () => `_INBOX.${++names}`,
      publish: unused,
      subscribe: (subject, onMessage) => {
        inboxes.set(subject, onMessage)
        return () => inboxes.delete(subject)
      },
      onLink: (listener) => {
        links.add(listener)
        return () => links.delete(listener)
      },
      ping: unused,
      release: unused
    },
    window: new PullWindow(clock),
    pullSubject: (_stream, consumer) => consumer,
    // The answer to a pull never arrives before `pull` returns.
    pull: (_stream, name, settings, replyTo) => {
      queueMicrotask(() => pull(name, settings, replyTo, clock.currentTimeMillisUnsafe()))
    },
    publish: unused,
    lastMessage: (_stream, subject) =>
      request(() => {
        const kept = leader.of(subject.slice(prefix.length)).at(-1)
        if (kept === undefined) return undefined
        return { subject, revision: kept.revision, created: 0, header: () => "", data: new Uint8Array(0) }
      }),
    messageAt: unused,
    lastMessages: unused,
    account: unused,
    createStream: unused,
    updateStream: unused,
    deleteStream: unused,
    streamNames: unused,
    purgeSubject: unused,
    streamInfo: () =>
      request(() => ({
        config: { num_replicas: isReplicated ? 3 : 1, max_msgs_per_subject: historySize },
        created: life.created,
        ts: undefined,
        messages: leader.kept.length,
        bytes: 0,
        lastRevision: leader.last,
        deleted: 0,
        hasLeader: true
      })),
    subjects: (_stream, subject) =>
      request(() => {
        const matches = matcher(subject.slice(prefix.length))
        const present = new Set(leader.kept.map(({ key }) => key).filter(matches))
        return { names: [...present].map((key) => `${prefix}${key}`), lastRevision: leader.last, meanSize: 0 }
      }),
    createConsumer: (_stream, settings) => request(() => createConsumer(settings, clock.currentTimeMillisUnsafe())),
    consumerInfo: (_stream, name) => Effect.asVoid(request(() => consumers.has(name) ? true : notFound(10014))),
    deleteConsumer: (_stream, name) => Effect.asVoid(request(() => consumers.delete(name) ? true : notFound(10014)))
  })

  const setLink = (isUp: boolean) => {
    if (state.isLinkUp === isUp) return
    state.isLinkUp = isUp
    for (const listener of Array.from(links)) listener({ _tag: isUp ? "Connected" : "Disconnected" })
  }

  return {
    js,
    state,
    life,
    turn,
    setLink,
    put: (key: string) => write(key, "put"),
    remove: (key: string) => write(key, chance.pick(["delete", "purge"])),
    /** Removes a key without a tombstone, as expiry or a stream purge does. */
    vanish: (key: string) => change({ vanished: key }),
    recreate: (first: number) => beginAnew(true, [], first - 1),
    rollBack: (by: number) => {
      const last = Math.max(0, leader.last - by)
      beginAnew(false, leader.kept.filter(({ revision }) => revision <= last), last)
    },
    dropConsumers: () => consumers.clear(),
    /** Loses one message of each consumer. */
    loseOne: () => {
      for (const consumer of consumers.values()) consumer.delivered++
    },
    catchUp: () => hear(Number.POSITIVE_INFINITY),
    last: () => leader.last,
    /** Revisions of the live values, by key. */
    live: (matches: (key: string) => boolean): ReadonlyMap<string, number> =>
      new Map(
        leader.kept.flatMap((message) =>
          message.operation === "put" && matches(message.key) && leader.of(message.key).at(-1) === message
            ? [[message.key, message.revision]]
            : []
        )
      ),
    left: () => ({ consumers: consumers.size, inboxes: inboxes.size, links: links.size })
  }
}

export type Model = ReturnType<typeof makeModel>
