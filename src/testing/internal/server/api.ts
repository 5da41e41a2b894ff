/**
 * Dispatches the requests of the JetStream API to the streams, and answers for
 * streams without a leader.
 */
import type { StreamConfig } from "./config.ts"
import * as consumerApi from "./consumerApi.ts"
import { directGet, directGetMany } from "./direct.ts"
import type { Interest } from "./interest.ts"
import { json, noResponders, type Refusal, refusals, refused } from "./messages.ts"
import type { SimulatedStream } from "./stream.ts"
import * as streamApi from "./streamApi.ts"
import type { Work } from "./work.ts"

export const prefix = "$JS.API."
export const directPrefix = `${prefix}DIRECT.GET.`

/** The probability that a request to a stream without a leader gets an error. Otherwise it gets no answer. */
const saysSo = 0.5

/** The time to create a replicated stream, in milliseconds. */
const electingFirst = [5, 20] as const

/**
 * The probability that a new replicated stream has no leader yet when the creation is answered, and the longest time
 * until it has one, in milliseconds. Observed: 1 of 30 creations, up to 5 ms.
 */
const leadsLate = 0.033
const latest = 5

/** Access of the API to its server. */
export interface Streams {
  readonly work: Work
  readonly interest: Interest
  readonly isOld: boolean
  readonly stream: (name: string) => SimulatedStream | undefined
  readonly names: () => ReadonlyArray<string>
  readonly make: (config: StreamConfig) => SimulatedStream
  readonly remove: (stream: SimulatedStream) => void
}

const information = "STREAM.INFO."

type Handler = (api: Api, stream: SimulatedStream, rest: string, body: unknown) => streamApi.Answer

/** Requests that the stream's leader handles. The rest is the text after the name of the stream. */
const handlers: ReadonlyArray<readonly [string, Handler]> = [
  ["STREAM.MSG.GET.", (_api, stream, _rest, body) => streamApi.messageGet(stream, body as {})],
  [information, (_api, stream, _rest, body) => streamApi.info(stream, body as {})],
  ["CONSUMER.INFO.", (_api, stream, rest) => consumerApi.info(stream, rest)],
  ["CONSUMER.CREATE.", (_api, stream, _rest, body) => consumerApi.create(stream, body as {})],
  ["CONSUMER.DELETE.", (_api, stream, rest) => consumerApi.remove(stream, rest)],
  ["STREAM.PURGE.", (_api, stream, _rest, body) => streamApi.purge(stream, body as {})],
  ["STREAM.UPDATE.", (_api, stream, _rest, body) => streamApi.update(stream, body as StreamConfig)],
  ["STREAM.DELETE.", (api, stream) => api.remove(stream)]
]

const creation = "STREAM.CREATE."
const listing = "STREAM.NAMES"
const pull = "CONSUMER.MSG.NEXT."

const decoder = new TextDecoder()

const bodyOf = (data: Uint8Array): unknown => data.length === 0 ? {} : JSON.parse(decoder.decode(data))

/** Splits a text at the first dot after `from`: the token before it, and the rest. */
const splitOff = (text: string, from: number): readonly [string, string] => {
  const dot = text.indexOf(".", from)
  return dot === -1 ? [text.slice(from), ""] : [text.slice(from, dot), text.slice(dot + 1)]
}

export class Api {
  private readonly streams: Streams

  constructor(streams: Streams) {
    this.streams = streams
  }

  handle(subject: string, data: Uint8Array, reply: string): void {
    if (subject.startsWith(directPrefix)) return this.direct(subject, data, reply)
    if (subject.startsWith(creation, prefix.length)) return this.create(data, reply)
    if (subject.startsWith(pull, prefix.length)) return this.pull(subject, data, reply)
    if (subject === `${prefix}${listing}`) {
      return this.answer(reply, streamApi.names(this.streams.names(), bodyOf(data) as {}))
    }
    for (const [verb, handler] of handlers) {
      if (!subject.startsWith(verb, prefix.length)) continue
      const [name, rest] = splitOff(subject, prefix.length + verb.length)
      const stream = this.streams.stream(name)
      if (stream === undefined) return this.answer(reply, refusals.noStream)
      if (stream.hasSteppedDown && verb === information) {
        return this.answer(reply, streamApi.infoOfCopy(stream, bodyOf(data) as {}))
      }
      if (stream.electionBegan !== undefined) return this.withoutLeader(stream, reply)
      return this.answer(reply, handler(this, stream, rest, bodyOf(data)))
    }
    this.streams.interest.deliver(noResponders(reply))
  }

  remove(stream: SimulatedStream): streamApi.Answer {
    this.streams.remove(stream)
    return `{"success":true}`
  }

  private direct(subject: string, data: Uint8Array, reply: string): void {
    const [name, wanted] = splitOff(subject, directPrefix.length)
    const stream = this.streams.stream(name)
    if (wanted === "") directGetMany(stream, data, reply, this.streams.interest)
    else directGet(stream, wanted, reply, this.streams.interest)
  }

  /** A pull goes to the consumer, which can be on another node than the stream's leader. */
  private pull(subject: string, data: Uint8Array, reply: string): void {
    const [name, rest] = splitOff(subject, prefix.length + pull.length)
    const consumer = this.streams.stream(name)?.consumers.get(rest)
    if (consumer === undefined) this.streams.interest.deliver(noResponders(reply))
    else consumer.pull(bodyOf(data) as {}, reply)
  }

  private create(data: Uint8Array, reply: string): void {
    const { isOld, work } = this.streams
    const asked = bodyOf(data) as Parameters<typeof streamApi.creation>[1]
    const existing = this.streams.stream(asked.name)
    if (existing?.electionBegan !== undefined) return this.withoutLeader(existing, reply)
    const wanted = streamApi.creation(existing, asked, isOld)
    if (wanted !== undefined && "err_code" in wanted) return this.answer(reply, wanted)
    if (wanted === undefined) return this.answer(reply, streamApi.info(existing!, {}))
    const stream = this.streams.make(wanted)
    if (!stream.isReplicated) return this.answer(reply, streamApi.info(stream, {}))
    const making = work.chance.between(...electingFirst)
    stream.delayFirstLeader(making + (work.chance.is(leadsLate) ? work.chance.between(0, latest) : 0))
    work.after(making, () => this.answer(reply, streamApi.info(stream, {})))
  }

  private withoutLeader(stream: SimulatedStream, reply: string): void {
    stream.meetElection()
    if (this.streams.work.chance.is(saysSo)) this.answer(reply, refusals.noLeader)
  }

  private answer(reply: string, answer: string | Refusal): void {
    this.streams.interest.deliver(typeof answer === "string" ? json(reply, answer) : refused(reply, answer))
  }
}
