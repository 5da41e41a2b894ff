/**
 * The requests of the JetStream API for streams.
 */
import type { StreamSettings } from "../../../internal/nats/jetstream/api.ts"
import { matcher } from "../../../internal/subjects.ts"
import { completed, invalid, shown, type StreamConfig } from "./config.ts"
import type { Copy } from "./copy.ts"
import { rfc3339 } from "./kept.ts"
import { invalidConfig, refusals } from "./messages.ts"
import type { Refusal } from "./messages.ts"
import type { SimulatedStream } from "./stream.ts"

/** The JSON of an answer, or a refusal. */
export type Answer = string | Refusal

/** The maximum number of subjects in one answer. */
const pageSize = 100_000

interface InfoRequest {
  readonly subjects_filter?: string
  readonly offset?: number
}

const subjectsOf = (copy: Copy, { offset = 0, subjects_filter: filter }: InfoRequest) => {
  if (filter === undefined) return { total: 0, subjects: undefined }
  const all = copy.subjects(matcher(filter)).toSorted()
  const page = all.slice(offset, offset + pageSize)
  return { total: all.length, subjects: Object.fromEntries(page.map((one) => [one, copy.countOf(one)])) }
}

/** The state of one copy. The answer for a replicated stream names its leader, if it has one. */
const infoOf = (stream: SimulatedStream, copy: Copy, request: InfoRequest): Answer => {
  const { config, consumers, created, electionBegan, isOld, isReplicated, name, wall } = stream
  const { subjects, total } = subjectsOf(copy, request)
  const firstRevision = copy.firstFrom(0, () => true)?.revision ?? copy.lastRevision + 1
  return JSON.stringify({
    type: "io.nats.jetstream.api.v1.stream_info_response",
    ...(subjects === undefined ? {} : { total, offset: request.offset ?? 0, limit: pageSize }),
    config: { name, ...shown(config, isOld) },
    created,
    state: {
      messages: copy.size,
      bytes: copy.bytes,
      first_seq: firstRevision,
      last_seq: copy.lastRevision,
      num_deleted: copy.lastRevision - firstRevision + 1 - copy.size,
      num_subjects: copy.subjectCount,
      consumer_count: consumers.size,
      ...(subjects === undefined ? {} : { subjects })
    },
    ...(isReplicated
      ? { cluster: { name: "simulation", ...(electionBegan === undefined ? { leader: "n0" } : {}) } }
      : {}),
    ts: rfc3339(wall)
  })
}

export const info = (stream: SimulatedStream, request: InfoRequest): Answer => infoOf(stream, stream.leader, request)

/** What any node answers if the leader has stepped down: the state of its copy, which may lag behind. */
export const infoOfCopy = (stream: SimulatedStream, request: InfoRequest): Answer =>
  infoOf(stream, stream.reader()!, request)

/** The maximum number of names of streams in one answer. */
const namesInPage = 1024

/** All streams of a simulation are buckets, so the subject of the request selects all. */
export const names = (all: ReadonlyArray<string>, { offset = 0 }: { readonly offset?: number }): Answer => {
  const page = all.toSorted().slice(offset, offset + namesInPage)
  return JSON.stringify({ total: all.length, offset, limit: namesInPage, streams: page.length === 0 ? null : page })
}

const isSame = (one: StreamConfig, other: StreamConfig): boolean => JSON.stringify(one) === JSON.stringify(other)

/** Checks a request to create a stream. Returns undefined if a stream with this configuration exists already. */
export const creation = (
  existing: SimulatedStream | undefined,
  asked: StreamSettings,
  isOld: boolean
): StreamConfig | Refusal | undefined => {
  const config = completed(asked, isOld)
  if (existing !== undefined) return isSame(existing.config, config) ? undefined : refusals.nameInUse
  const problem = invalid(config)
  return problem === undefined ? config : invalidConfig(problem)
}

export const update = (stream: SimulatedStream, asked: StreamConfig): Answer => {
  const config = completed(asked, stream.isOld)
  const before = stream.config
  const problem = invalid(config) ??
    (config.storage === before.storage ? undefined : "stream configuration update can not change storage type") ??
    (before.allow_msg_ttl !== true || config.allow_msg_ttl === true
      ? undefined
      : "message TTL status can not be disabled") ??
    (stream.isOld && config.max_consumers !== before.max_consumers
      ? "stream configuration update can not change MaxConsumers"
      : undefined)
  if (problem !== undefined) return invalidConfig(problem)
  stream.update(config)
  return info(stream, {})
}

export const purge = (
  stream: SimulatedStream,
  { filter = ">", seq }: { readonly filter?: string; readonly seq?: number }
): Answer => `{"success":true,"purged":${stream.purge(matcher(filter), seq === undefined ? undefined : seq - 1)}}`

export const messageGet = (
  stream: SimulatedStream,
  { last_by_subj: subject, seq }: { readonly last_by_subj?: string; readonly seq?: number }
): Answer => {
  if (subject === undefined && seq === undefined) return refusals.badRequest
  const message = subject === undefined ? stream.leader.at(seq!) : stream.leader.last(subject)
  return message === undefined ? refusals.noMessage : `{"message":${message.json()}}`
}
