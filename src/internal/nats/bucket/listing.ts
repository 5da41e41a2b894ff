/**
 * Reads the last messages of many keys, and leaves nothing on the server: in one
 * request, in pages if one answer cannot hold all messages, or by a short-lived
 * consumer if the server or the stream does not support batches
 * (docs/protocols/kv.md, K15).
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import { type KVStoreReason, Unavailable } from "../../../KVStoreError.ts"
import type { Filters } from "../../filters.ts"
import type { Backend, BackendEvent, Currency, Follow, StoredMessage } from "../../kv/backend.ts"
import { everything } from "../../subjects.ts"
import type { JetStream, StreamInfo } from "../jetstream/api.ts"
import { fromStored } from "../jetstream/messages.ts"
import type { Operations } from "../jetstream/operations.ts"
import type { Batch } from "../jetstream/reads.ts"
import { codes } from "../jetstream/reasons.ts"
import { namesOf } from "./names.ts"
import { isUndisturbed } from "./seen.ts"
import type { FollowOptions } from "./watch.ts"
import { follow } from "./watch.ts"

/** Keys in one batch request. The server answers with at most 1,024 messages. */
const mostAtOnce = 1000

/** Bytes of names in one batch request. The default payload limit of a server is 1 MiB, and a lower one limits them. */
const mostNameBytes = 256 * 1024

/** Bytes of a batch request besides the names, and those of each name. */
const requestOverhead = 64
const nameOverhead = "\"\",".length

/** Concurrent requests for pages. */
const pagesAtOnce = 4

/** Concurrent reads of single keys. */
const readsAtOnce = 16

/**
 * A listing of names reads the last messages, because it leaves out keys whose last message is a marker. Up to this
 * estimated number of bytes it reads them with their values, in batches; above, by a consumer that omits the values.
 */
const mostValueBytes = 1024 * 1024

/** A consumer sends its first message after two requests, and the message takes its time too. Each has the timeout. */
const requestsBeforeMessage = 3

const silent = Stream.fail(new Unavailable({ problem: "the listing received nothing in time" }))

export interface ListingOptions {
  readonly js: JetStream
  readonly stream: string
  readonly prefix: string
  /** The timeout of one request, in milliseconds. */
  readonly timeout: number
  readonly read: Operations["read"]
  readonly readDirect: Operations["readDirect"]
  /** Whether the stream allows direct access and its leader supports batches, by the last STREAM.INFO. */
  readonly canBatch: () => boolean
  /** The bytes of the stream, by the last STREAM.INFO. */
  readonly bytes: () => number
  readonly last: Backend["last"]
  readonly followOptions: Omit<FollowOptions, "filters" | "from" | "purpose">
}

interface Listing {
  readonly lastOfEach: Backend["lastOfEach"]
  readonly lastOf: Backend["lastOf"]
  readonly streamOfEach: Backend["streamOfEach"]
  /** The messages that a watch emits before `Ready`. */
  readonly collect: (
    filters: Filters,
    from: Follow,
    headersOnly: boolean
  ) => Effect.Effect<ReadonlyArray<StoredMessage>, KVStoreReason>
}

const inOrder = (messages: Iterable<StoredMessage>): ReadonlyArray<StoredMessage> =>
  [...messages].toSorted((a, b) => a.revision - b.revision)

/** Splits names into pages of at most `mostAtOnce` names and about `mostBytes` bytes. */
const paged = (names: ReadonlyArray<string>, mostBytes: number): ReadonlyArray<ReadonlyArray<string>> => {
  const pages: Array<Array<string>> = []
  let bytes = Number.POSITIVE_INFINITY
  for (const name of names) {
    const page = pages[pages.length - 1]
    const size = name.length + nameOverhead
    if (page === undefined || page.length === mostAtOnce || bytes + size > mostBytes) {
      pages.push([name])
      bytes = size
    } else {
      page.push(name)
      bytes += size
    }
  }
  return pages
}

const nothingFit: Batch<never> = { messages: [], isComplete: false }

/** Whether there are no messages, or a mirror without them has answered. */
const hasNone = ({ isComplete, messages }: Batch<unknown>): boolean => isComplete && messages.length === 0

/** Reads keys by their names in pages. Messages that do not fit into an answer are read one by one. */
const pagesOf = ({ bytes, canBatch, js, last, prefix, readDirect, stream, timeout }: ListingOptions) => {
  const toMessage = (kept: Parameters<typeof fromStored>[0]) => fromStored(kept, prefix)
  /** Whether an answer had no room for all messages: then the bytes of the last STREAM.INFO are too few. */
  let hasExceeded = false
  const received = (answer: Batch<StoredMessage>) => {
    if (!answer.isComplete) hasExceeded = true
    return answer
  }
  /** Undefined if batches are not supported: by the stream, by the replica that answered, or by an export of the account. */
  const batch = (subjects: ReadonlyArray<string>): Effect.Effect<Batch<StoredMessage> | undefined, KVStoreReason> =>
    Effect.suspend(() => {
      if (!canBatch()) return Effect.undefined
      const expected = hasExceeded ? Number.POSITIVE_INFINITY : bytes()
      const asked = js.lastMessages({ stream, subjects, expected }, timeout, toMessage)
      return Effect.catchIf(
        readDirect<Batch<StoredMessage> | undefined>(
          Effect.catchTag(Effect.map(asked, received), "TooLarge", () => Effect.succeed(nothingFit)),
          Effect.undefined
        ),
        (reason) => reason._tag === "Rejected" && reason.code === codes.batchUnsupported,
        () => Effect.undefined
      )
    })
  const keyOf = (subject: string) => subject.slice(prefix.length)

  const singles = (keys: ReadonlyArray<string>, currency: Currency = "seen") => {
    const single = (key: string) => js.window.singles.withPermit(Effect.map(last(key, currency), Option.toArray))
    return Effect.map(Effect.forEach(keys, single, { concurrency: readsAtOnce }), (found) => found.flat())
  }

  /**
   * Reads one page. Messages that the answer had no room for are requested again. If it had room for none, its first
   * message is too large, or the request was: then the page is halved, and one or two keys are read one by one.
   */
  const page: (subjects: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<StoredMessage>, KVStoreReason> = (
    subjects
  ) =>
    Effect.flatMap(batch(subjects), (answer) => {
      if (answer === undefined) return singles(subjects.map(keyOf))
      const { isComplete } = answer
      if (hasNone(answer)) return singles(subjects.map(keyOf), "decides")
      // To a server the name of the key `*` is a pattern: it answers with other keys, too.
      const requested = new Set(subjects.map(keyOf))
      const found = answer.messages.filter(({ key }) => requested.has(key))
      if (isComplete) return Effect.succeed(found)
      const answered = new Set(found.map(({ key }) => key))
      const rest = subjects.filter((subject) => !answered.has(keyOf(subject)))
      const half = Math.ceil(rest.length / 2)
      const more = found.length > 0
        ? page(rest)
        : half > 1
        ? Effect.zipWith(page(rest.slice(0, half)), page(rest.slice(half)), (one, other) => [...one, ...other])
        : singles(rest.map(keyOf))
      return Effect.map(more, (others) => [...found, ...others])
    })

  const pagesFor = (subjects: ReadonlyArray<string>) =>
    paged(subjects, Math.min(mostNameBytes, js.port.server().maxPayload - requestOverhead))

  const pages = (subjects: ReadonlyArray<string>) =>
    Effect.map(
      Effect.forEach(pagesFor(subjects), page, { concurrency: pagesAtOnce }),
      (all) => inOrder(all.flat())
    )

  return { batch, keyOf, page, pages, pagesFor, singles }
}

/** Pages that are read before the reader asks for them. */
const pagesAhead = 1

const isMessage = (event: BackendEvent): event is Extract<BackendEvent, { readonly _tag: "Message" }> =>
  event._tag === "Message"

/** Reads one page ahead of the reader. */
const streaming = (
  { canBatch, keyOf, messagesOf, page, pagesFor, subjectsOf }: {
    readonly canBatch: () => boolean
    readonly keyOf: (subject: string) => string
    readonly messagesOf: (
      filters: Filters,
      from: Follow,
      headersOnly: boolean
    ) => Stream.Stream<StoredMessage, KVStoreReason>
    readonly page: (subjects: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<StoredMessage>, KVStoreReason>
    readonly pagesFor: (subjects: ReadonlyArray<string>) => ReadonlyArray<ReadonlyArray<string>>
    readonly subjectsOf: (filters: Filters) => Effect.Effect<{ readonly names: ReadonlyArray<string> }, KVStoreReason>
  }
): Backend["streamOfEach"] => {
  const pages = (names: ReadonlyArray<string>) =>
    Stream.fromIterable(pagesFor(names)).pipe(
      Stream.mapEffect(page),
      Stream.bufferArray({ capacity: pagesAhead }),
      Stream.flatMap(Stream.fromIterable)
    )

  const byNames = (filters: Filters) => Stream.unwrap(Effect.map(subjectsOf(filters), ({ names }) => pages(names)))

  /** A key that the snapshot repeats is emitted as it came first. Missing keys are found by the names in the stream. */
  const byConsumer = (filters: Filters) =>
    Stream.suspend(() => {
      const found = new Set<string>()
      const emitted = new Set<string>()
      const isFirst = ({ key, operation }: StoredMessage) => {
        found.add(key)
        return operation === "put" && !emitted.has(key) && emitted.add(key).size > 0
      }
      const missing = Effect.map(
        subjectsOf(filters),
        ({ names }) => pages(names.filter((subject) => !found.has(keyOf(subject))))
      )
      return Stream.concat(Stream.filter(messagesOf(filters, "snapshot", false), isFirst), Stream.unwrap(missing))
    })

  return (filters) => Stream.suspend(() => canBatch() ? byNames(filters) : byConsumer(filters))
}

/** Reads messages by a short-lived consumer. */
const byConsumerOf = (options: ListingOptions) => {
  const { followOptions, timeout } = options
  const { info } = followOptions

  const messagesOf = (filters: Filters, from: Follow, headersOnly: boolean, firstInfo: FollowOptions["info"] = info) =>
    follow({ ...followOptions, filters, from, headersOnly, info: firstInfo, purpose: "listing" }).pipe(
      Stream.takeWhile((event) => event._tag !== "Ready"),
      Stream.timeoutOrElse({ duration: timeout * requestsBeforeMessage, orElse: () => silent }),
      Stream.filter(isMessage),
      Stream.map(({ message }) => message)
    )

  /** The last messages, and whether no key can be missing or repeated, because the stream has not changed. */
  const snapshot = Effect.fnUntraced(function*(filters: Filters, headersOnly: boolean) {
    let before: StreamInfo | undefined
    const firstInfo = Effect.tap(info, (found) =>
      Effect.sync(() => {
        before ??= found
      }))
    const messages = yield* Stream.runCollect(messagesOf(filters, "snapshot", headersOnly, firstInfo))
    return { messages, isComplete: isUndisturbed(before, yield* info) }
  })

  return { messagesOf, snapshot }
}

export const make = (options: ListingOptions): Listing => {
  const { canBatch, prefix } = options
  const { batch, keyOf, page, pages, pagesFor, singles } = pagesOf(options)
  const { messagesOf, snapshot } = byConsumerOf(options)
  const subjectsOf = (filters: Filters) => namesOf(options, filters)

  const byBatch = (filters: Filters, want: "values" | "names") =>
    Effect.flatMap(batch(filters.list.map((filter) => `${prefix}${filter}`)), (answer) =>
      answer === undefined
        ? byConsumer(filters, want)
        : hasNone(answer)
        ? unlessEmpty(filters, byConsumer(filters, want))
        : answer.isComplete
        ? Effect.succeed(inOrder(answer.messages))
        : want === "names"
        ? namesByNames(filters)
        : Effect.flatMap(subjectsOf(filters), ({ names }) => pages(names)))

  const unlessEmpty = (filters: Filters, listing: ReturnType<Backend["lastOfEach"]>) =>
    Effect.flatMap(subjectsOf(filters), ({ names }) => names.length === 0 ? Effect.succeed([]) : listing)

  /** Reads the last messages by their names, or by a consumer without their values if these are large together. */
  const namesByNames = Effect.fnUntraced(function*(filters: Filters) {
    const { meanSize, names } = yield* subjectsOf(filters)
    if (names.length === 0) return []
    return meanSize * names.length > mostValueBytes ? yield* byConsumer(filters, "names") : yield* pages(names)
  })

  /** The names of all keys of a large stream are as large as its messages without values, so they are not read first. */
  const names = (filters: Filters) =>
    options.bytes() <= mostValueBytes
      ? byBatch(filters, "names")
      : filters.list[0] === everything
      ? byConsumer(filters, "names")
      : namesByNames(filters)

  const collect: Listing["collect"] = (filters, from, headersOnly) =>
    Stream.runCollect(messagesOf(filters, from, headersOnly))

  /**
   * During concurrent writes a snapshot can contain a key twice; the later message counts. A key that is rewritten
   * before the consumer reaches it can be missing from the snapshot. Missing keys are found by the names in the stream,
   * and read one by one, unless the stream has not changed.
   */
  const byConsumer = Effect.fnUntraced(function*(filters: Filters, want: "values" | "names") {
    const { isComplete, messages } = yield* snapshot(filters, want === "names")
    if (isComplete) return messages
    const byKey = new Map(messages.map((message) => [message.key, message]))
    const { names } = yield* subjectsOf(filters)
    const missing = yield* singles(names.map(keyOf).filter((key) => !byKey.has(key)))
    for (const message of missing) byKey.set(message.key, message)
    return inOrder(byKey.values())
  })

  return {
    collect,
    streamOfEach: streaming({ canBatch, keyOf, messagesOf, page, pagesFor, subjectsOf }),
    lastOfEach: (filters, want) =>
      Effect.suspend(() =>
        canBatch() ? want === "names" ? names(filters) : byBatch(filters, want) : byConsumer(filters, want)
      ),
    lastOf: (keys) =>
      Effect.suspend(() =>
        canBatch()
          ? pages(keys.map((key) => `${prefix}${key}`))
          : Effect.map(singles(keys), inOrder)
      )
  }
}
