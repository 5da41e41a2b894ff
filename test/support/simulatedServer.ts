/**
 * A simulated server on a clock that the test advances, and a client on a link
 * without delay: only the server is tested.
 */
import { assert } from "@effect/vitest"
import type { PullSettings } from "../../src/internal/nats/jetstream/api.ts"
import { placeReader } from "../../src/internal/nats/jetstream/messages.ts"
import type { MessageHeaders } from "../../src/internal/nats/port.ts"
import { type Outgoing, received } from "../../src/testing/internal/server/messages.ts"
import { type ServerOptions, type Session, SimulatedServer } from "../../src/testing/internal/server/server.ts"
import { Chance } from "../../src/testing/internal/world/chance.ts"
import type { Environment, Timer } from "../../src/testing/internal/world/environment.ts"

const encoder = new TextEncoder()
const decoder = new TextDecoder()

export const epoch = Date.UTC(2026, 10, 1)

interface Due {
  readonly at: number
  readonly run: () => void
  isOff: boolean
}

/** An environment on virtual time, which the test advances. */
class Time implements Environment {
  readonly chance: Chance
  readonly faults = new Map<string, number>()
  readonly lines: Array<string> = []
  private time = 0
  private due: Array<Due> = []

  constructor(seed: number) {
    this.chance = new Chance(seed)
  }

  readonly now = (): number => this.time

  readonly after = (millis: number, run: () => void): Timer => {
    const one: Due = { at: this.time + Math.max(0, millis), run, isOff: false }
    const index = this.due.findLastIndex(({ at }) => at <= one.at)
    this.due.splice(index + 1, 0, one)
    return {
      cancel: () => {
        one.isOff = true
      }
    }
  }

  readonly injected = (fault: string): void => {
    this.faults.set(fault, this.count(fault) + 1)
  }

  readonly note = (_who: string, what: () => string): void => void this.lines.push(what())

  count(fault: string): number {
    return this.faults.get(fault) ?? 0
  }

  pass(millis: number): void {
    const end = this.time + millis
    while (this.due.length > 0 && this.due[0]!.at <= end) this.step()
    this.time = end
  }

  /** Runs the next timer. Returns false without one. */
  step(): boolean {
    const next = this.due.shift()
    if (next === undefined) return false
    this.time = Math.max(this.time, next.at)
    if (!next.isOff) next.run()
    return true
  }
}

interface Answer {
  readonly status: number
  readonly text: string
  /** The parsed text; undefined if it is not JSON. */
  readonly json: Json
  readonly header: (name: string) => string
}

// oxlint-disable-next-line typescript/no-explicit-any -- each test knows the type of its answer
type Json = any

const parsed = (text: string): Json => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const answer = (message: Outgoing): Answer => {
  const text = decoder.decode(message.data)
  return { status: message.status, text, json: parsed(text), header: received(message).header }
}

class Client {
  readonly session: Session
  private readonly time: Time
  private readonly handlers = new Map<string, (message: Outgoing) => void>()
  /** The subjects of the messages that the server has denied. */
  readonly denied: Array<string> = []
  private asked = 0
  private readonly inbox: string

  constructor(time: Time, server: SimulatedServer, name: string) {
    this.time = time
    this.inbox = `_INBOX.${name}`
    this.session = server.connect({
      deliver: (message, to) => this.handlers.get(to)?.(message),
      deny: (subject) => this.denied.push(subject)
    }, name)
    this.session.subscribe(`${this.inbox}.*`)
    this.handlers.set(`${this.inbox}.*`, (message) => this.handlers.get(message.subject)?.(message))
  }

  /** Sends a request and returns the growing list of its answers. */
  send(subject: string, body: unknown = undefined, headers: MessageHeaders = []): Array<Outgoing> {
    const reply = `${this.inbox}.${++this.asked}`
    const answers: Array<Outgoing> = []
    this.handlers.set(reply, (message) => answers.push(message))
    const text = typeof body === "string" ? body : body === undefined ? "" : JSON.stringify(body)
    this.session.publish(subject, headers, encoder.encode(text), reply)
    return answers
  }

  /** Sends a request and returns the first answer within `within` milliseconds, else undefined. */
  ask(subject: string, body?: unknown, headers: MessageHeaders = [], within = 100): Answer | undefined {
    const answers = this.send(subject, body, headers)
    const end = this.time.now() + within
    while (answers.length === 0 && this.time.now() < end) this.time.pass(0.1)
    return answers[0] === undefined ? undefined : answer(answers[0])
  }

  api(subject: string, body?: unknown): Json {
    return this.ask(`$JS.API.${subject}`, body)?.json
  }

  /** Sends a request with several answers and returns all of them. */
  askMany(subject: string, body: unknown): ReadonlyArray<Answer> {
    const answers = this.send(subject, body)
    this.time.pass(10)
    return answers.map(answer)
  }

  put(key: string, value = "", headers: MessageHeaders = []): number {
    return this.write(key, value, headers)?.json?.seq ?? assert.fail(`${key} was not written`)
  }

  write(key: string, value = "", headers: MessageHeaders = []): Answer | undefined {
    return this.ask(`$KV.b.${key}`, value, headers)
  }

  /** Writes and returns the error code; 0 if the write succeeds. */
  refusal(key: string, value = "", headers: MessageHeaders = []): number {
    return this.write(key, value, headers)?.json?.error?.err_code ?? 0
  }

  /** Records the messages delivered to a subject. Heartbeats appear as `idle <last sequence>`, ends of pulls as their text. */
  listen(subject: string): Heard {
    const heard: Heard = { messages: [], words: [], raw: [] }
    const placeOf = placeReader()
    this.session.subscribe(subject)
    this.handlers.set(subject, (message) => {
      heard.raw.push(message)
      const { header } = received(message)
      if (message.status !== 0) {
        const isIdle = message.status === 100
        heard.words.push(isIdle ? `idle ${header("Nats-Last-Consumer")}` : `${message.status} ${message.description}`)
        return
      }
      const { consumerSequence, pending, streamSequence } = placeOf(message.reply)!
      heard.words.push(`${message.subject.slice("$KV.b.".length)}@${streamSequence} #${consumerSequence} -${pending}`)
      heard.messages.push(message)
    })
    return heard
  }

  unlisten(subject: string): void {
    this.session.unsubscribe(subject)
    this.handlers.delete(subject)
  }

  consume(name: string, settings: object = {}): Heard & { readonly answer: Json } {
    const heard = this.listen(`_deliver.${name}`)
    const answer = this.createConsumer(name, settings)
    this.pull(name)
    return { ...heard, answer }
  }

  private createConsumer(name: string, settings: object): Json {
    const config = consumerSettings(name, settings)
    return this.api(`CONSUMER.CREATE.KV_b.${name}.${config.filter_subject}`, { stream_name: "KV_b", config })
  }

  /** Creates a consumer and pulls without end. Returns the keys that it delivers, and `idle` for each heartbeat. */
  follow(): ReadonlyArray<string> {
    const words: Array<string> = []
    const name = `c${++this.asked}`
    this.session.subscribe(`_deliver.${name}`)
    this.handlers.set(`_deliver.${name}`, ({ status, subject }) => {
      if (status === 100) words.push("idle")
      else if (status === 0) words.push(subject.slice("$KV.b.".length))
    })
    this.createConsumer(name, {})
    this.pull(name)
    return words
  }

  /** Pulls messages of a consumer that `consume` has created, without a limit unless the settings have one. */
  pull(name: string, settings: Partial<PullSettings> = { expires: seconds(1000), idle_heartbeat: seconds(1) }): void {
    const pull = { batch: 1000, max_bytes: 1e9, ...settings } satisfies PullSettings
    this.session.publish(
      `$JS.API.CONSUMER.MSG.NEXT.KV_b.${name}`,
      [],
      encoder.encode(JSON.stringify(pull)),
      `_deliver.${name}`
    )
  }
}

interface Heard {
  readonly messages: Array<Outgoing>
  readonly words: Array<string>
  readonly raw: Array<Outgoing>
}

export const consumerSettings = (name: string, settings: object = {}) => ({
  name,
  filter_subject: "$KV.b.>",
  deliver_policy: "last_per_subject",
  ack_policy: "none",
  inactive_threshold: 10_000_000_000,
  mem_storage: true,
  num_replicas: 1,
  ...settings
})

export const streamSettings = (settings: object = {}) => ({
  name: "KV_b",
  subjects: ["$KV.b.>"],
  max_msgs_per_subject: 1,
  discard: "new",
  allow_direct: true,
  allow_rollup_hdrs: true,
  ...settings
})

export const expecting = (
  revision: number
): MessageHeaders => [["Nats-Expected-Last-Subject-Sequence", String(revision)]]
export const guardedBy = (key: string, revision: number): MessageHeaders => [
  ...expecting(revision),
  ["Nats-Expected-Last-Subject-Sequence-Subject", `$KV.b.${key}`]
]
export const tombstone: MessageHeaders = [["KV-Operation", "DEL"]]
export const purge: MessageHeaders = [["KV-Operation", "PURGE"], ["Nats-Rollup", "sub"]]

export interface Given {
  readonly seed?: number
  readonly version?: ServerOptions["version"]
  /** Added to the default configuration of the stream. */
  readonly stream?: object
}

/** Starts a server with one stream, and a client. */
export const start = ({ seed = 1, stream = {}, version = "2.15.1" }: Given = {}) => {
  const time = new Time(seed)
  const server = new SimulatedServer(time, { version, epoch })
  const stored: Array<string> = []
  server.onStored(({ operation, revision, subject }) => {
    stored.push(`${operation} ${subject.slice("$KV.b.".length)}@${revision}`)
  })
  const client = new Client(time, server, "a")
  assert.isUndefined(client.api("STREAM.CREATE.KV_b", streamSettings(stream)).error)
  time.pass(10)
  return { time, server, client, stored, another: (name: string) => new Client(time, server, name) }
}

export const replicated = { num_replicas: 3 }

export const seconds = (count: number) => count * 1_000_000_000
