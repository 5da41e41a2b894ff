/**
 * The last messages of many keys, without leftovers on the server: in one
 * request where it can, page by page where they are more than it gives at once,
 * and by a short-lived consumer elsewhere (docs/protocols/kv.md, K15).
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { KVStoreReason } from "../../../KVStoreError.ts"
import type { Backend, Follow, StoredMessage } from "../../kv/backend.ts"
import type { JetStream } from "../jetstream/api.ts"
import { fromStored } from "../jetstream/messages.ts"
import type { Operations } from "../jetstream/operations.ts"
import { hasMarkers } from "./streamConfig.ts"
import type { FollowOptions } from "./watch.ts"
import { follow } from "./watch.ts"

/** The server gives no more at once (measured: 1,024). */
const mostAtOnce = 1000

/** Names are sent in requests of about this many bytes, below any usual limit of a payload. */
const mostNameBytes = 256 * 1024

/** Pages, and single reads, that are under way at once. */
const pagesAtOnce = 4
const readsAtOnce = 16

/** Names are listed with the values where these are few bytes; else by a consumer that leaves them out. */
const mostValueBytes = 1024 * 1024

export interface ListingOptions {
  readonly js: JetStream
  readonly stream: string
  readonly prefix: string
  /** Milliseconds for one request. */
  readonly timeout: number
  readonly read: Operations["read"]
  /** Whether the stream can be asked without going to its leader. */
  readonly isDirect: boolean
  readonly last: Backend["last"]
  readonly followOptions: Omit<FollowOptions, "filter" | "from" | "purpose">
}

interface Listing {
  readonly lastOfEach: Backend["lastOfEach"]
  readonly lastOf: Backend["lastOf"]
  /** What a watch gives until it is ready. */
  readonly collect: (
    filter: string,
    from: Follow,
    headersOnly: boolean
  ) => Effect.Effect<ReadonlyArray<StoredMessage>, KVStoreReason>
}

const inOrder = (messages: Iterable<StoredMessage>): ReadonlyArray<StoredMessage> =>
  [...messages].toSorted((a, b) => a.revision - b.revision)

/** Pages of names, none with too many and none with too much. */
const paged = (names: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const pages: Array<Array<string>> = []
  let bytes = Number.POSITIVE_INFINITY
  for (const name of names) {
    const page = pages[pages.length - 1]
    if (page === undefined || page.length === mostAtOnce || bytes + name.length > mostNameBytes) {
      pages.push([name])
      bytes = name.length
    } else {
      page.push(name)
      bytes += name.length
    }
  }
  return pages
}

/** Reads by names, of which one request takes only so many: page by page, and one by one what no answer has room for. */
const pagesOf = ({ js, last, prefix, read, stream, timeout }: ListingOptions) => {
  const toMessage = (kept: Parameters<typeof fromStored>[0]) => fromStored(kept, prefix)
  const batch = (subjects: ReadonlyArray<string>) => read(js.lastMessages(stream, subjects, timeout, toMessage))
  const keyOf = (subject: string) => subject.slice(prefix.length)

  const single = (key: string) => Effect.map(last(key), Option.toArray)
  const singles = (keys: ReadonlyArray<string>) =>
    Effect.map(Effect.forEach(keys, single, { concurrency: readsAtOnce }), (found) => found.flat())

  /** One page of names; what an answer leaves out for want of room is asked for again. */
  const page: (subjects: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<StoredMessage>, KVStoreReason> = (
    subjects
  ) =>
    Effect.flatMap(batch(subjects), ({ isComplete, messages: found }) => {
      if (isComplete) return Effect.succeed(found)
      const answered = new Set(found.map(({ key }) => key))
      const rest = subjects.filter((subject) => !answered.has(keyOf(subject)))
      const more = found.length === 0 ? singles(rest.map(keyOf)) : page(rest)
      return Effect.map(more, (others) => [...found, ...others])
    })

  const pages = (subjects: ReadonlyArray<string>) =>
    Effect.map(
      Effect.forEach(paged(subjects), page, { concurrency: pagesAtOnce }),
      (all) => inOrder(all.flat())
    )

  return { batch, keyOf, pages, singles }
}

export const make = (options: ListingOptions): Listing => {
  const { js, prefix, read, stream, timeout } = options
  const { batch, keyOf, pages, singles } = pagesOf(options)
  const canBatch = () => options.isDirect && hasMarkers(js.port.server().version)
  const subjectsOf = (filter: string) => read(js.subjects(stream, `${prefix}${filter}`, timeout))

  const byBatch = (filter: string) =>
    Effect.flatMap(batch([`${prefix}${filter}`]), ({ isComplete, messages }) =>
      isComplete
        ? Effect.succeed(inOrder(messages))
        : Effect.flatMap(subjectsOf(filter), ({ names }) => pages(names)))

  const namesByBatch = Effect.fnUntraced(function*(filter: string) {
    const { meanSize, names } = yield* subjectsOf(filter)
    if (names.length === 0) return []
    return meanSize * names.length > mostValueBytes ? yield* byConsumer(filter, true) : yield* pages(names)
  })

  const collect: Listing["collect"] = (filter, from, headersOnly) =>
    follow({ ...options.followOptions, filter, from, headersOnly, purpose: "listing" }).pipe(
      Stream.takeWhile((event) => event._tag !== "Ready"),
      Stream.runCollect,
      Effect.map((events) => events.flatMap((event) => event._tag === "Message" ? [event.message] : []))
    )

  /**
   * While others write, a snapshot may give a key twice: the later message is the last. A key that was written again
   * before its turn came may be missing: it has a name in the stream, and is asked for by it.
   */
  const byConsumer = Effect.fnUntraced(function*(filter: string, headersOnly: boolean) {
    const byKey = new Map<string, StoredMessage>()
    for (const message of yield* collect(filter, "snapshot", headersOnly)) byKey.set(message.key, message)
    const { names } = yield* subjectsOf(filter)
    const missing = yield* singles(names.map(keyOf).filter((key) => !byKey.has(key)))
    for (const message of missing) byKey.set(message.key, message)
    return inOrder(byKey.values())
  })

  return {
    collect,
    lastOfEach: (filter, want) =>
      Effect.suspend(() =>
        canBatch() ? want === "names" ? namesByBatch(filter) : byBatch(filter) : byConsumer(filter, want === "names")
      ),
    lastOf: (keys) =>
      Effect.suspend(() =>
        canBatch()
          ? pages(keys.map((key) => `${prefix}${key}`))
          : Effect.map(singles(keys), inOrder)
      )
  }
}
