/**
 * Direct gets. Any replica can answer them, so the answer can be stale.
 */
import { hasWildcard } from "../../../internal/subjects.ts"
import type { Copy } from "./copy.ts"
import type { Interest } from "./interest.ts"
import type { Kept } from "./kept.ts"
import { noResponders, statusOf } from "./messages.ts"
import type { SimulatedStream } from "./stream.ts"

/** A batch with more results is refused with status 413. */
const mostResults = 1024

const defaultMaxBytes = 64 * 1024 * 1024

interface BatchRequest {
  readonly multi_last?: ReadonlyArray<string>
  readonly max_bytes?: number
}

const decoder = new TextDecoder()

const give = (
  interest: Interest,
  stream: SimulatedStream,
  reply: string,
  message: Kept,
  place: ReadonlyArray<readonly [string, string]> = []
): void => {
  interest.deliver({
    subject: reply,
    reply: undefined,
    status: 0,
    description: "",
    headers: [...message.directHeaders(stream.name), ...place],
    data: message.value
  })
}

/** Returns the copy that answers; answers with 503 without such a copy. */
const readerOf = (stream: SimulatedStream | undefined, interest: Interest, reply: string): Copy | undefined => {
  const copy = stream?.config.allow_direct === true ? stream.reader() : undefined
  if (stream?.hasLeader === false) stream.meetElection()
  if (copy === undefined) interest.deliver(noResponders(reply))
  return copy
}

export const directGet = (
  stream: SimulatedStream | undefined,
  subject: string,
  reply: string,
  interest: Interest
): void => {
  const copy = readerOf(stream, interest, reply)
  if (stream === undefined || copy === undefined) return
  const message = copy.last(subject)
  if (copy !== stream.leader && message !== stream.leader.last(subject)) stream.work.injected("stale read")
  if (message === undefined) interest.deliver(statusOf(reply, 404, "Message Not Found"))
  else give(interest, stream, reply, message)
}

/** The last message of each requested subject, in order of revision. */
const lastOf = (copy: Copy, filters: ReadonlyArray<string>): ReadonlyArray<Kept> => {
  if (filters.length === 1) return copy.lastOfEach(filters[0]!)
  const found = new Set<Kept>()
  for (const filter of filters) {
    if (hasWildcard(filter)) {
      for (const message of copy.lastOfEach(filter)) found.add(message)
    } else {
      const message = copy.last(filter)
      if (message !== undefined) found.add(message)
    }
  }
  return [...found].toSorted((a, b) => a.revision - b.revision)
}

const isSame = (some: ReadonlyArray<Kept>, others: ReadonlyArray<Kept>): boolean =>
  some.length === others.length && some.every((message, index) => message === others[index])

export const directGetMany = (
  stream: SimulatedStream | undefined,
  data: Uint8Array,
  reply: string,
  interest: Interest
): void => {
  const copy = readerOf(stream, interest, reply)
  if (stream === undefined || copy === undefined) return
  const { max_bytes: maxBytes = defaultMaxBytes, multi_last: filters } = JSON.parse(
    decoder.decode(data) || "{}"
  ) as BatchRequest
  if (filters === undefined || stream.isOld) return void interest.deliver(statusOf(reply, 408, "Bad Request"))
  const found = lastOf(copy, filters)
  if (copy !== stream.leader && !isSame(found, lastOf(stream.leader, filters))) stream.work.injected("stale read")
  if (found.length > mostResults) return void interest.deliver(statusOf(reply, 413, "Too Many Results"))
  if (found.length === 0) return void interest.deliver(statusOf(reply, 404, "No Results"))
  let bytes = 0
  let given = 0
  // Each message has the sequence of the message before it in a header, so that clients can notice a lost one.
  let before = 0
  for (const message of found) {
    if (given > 0 && bytes + message.size > maxBytes) break
    bytes += message.size
    given++
    give(interest, stream, reply, message, [
      ["Nats-Num-Pending", String(found.length - given)],
      ["Nats-Last-Sequence", String(before)]
    ])
    before = message.revision
  }
  const left = String(found.length - given)
  interest.deliver(
    statusOf(reply, 204, "EOB", [["Nats-Num-Pending", left], ["Nats-Last-Sequence", String(before)]])
  )
}
