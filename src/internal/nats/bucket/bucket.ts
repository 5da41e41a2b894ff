/**
 * The backend on a NATS server. A bucket is the stream `KV_<bucket>` in the layout
 * of all NATS KV clients, so other clients can read and write it too.
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { KVStoreConfig } from "../../../KVStoreConfig.ts"
import { InvalidConfig, type KVStoreReason, ValueTooLarge } from "../../../KVStoreError.ts"
import type { Append, Backend } from "../../kv/backend.ts"
import { SeenRevisions } from "../../kv/firstRevision.ts"
import { watchRestarted } from "../../kv/metrics.ts"
import * as jetstream from "../jetstream/api.ts"
import { fromStored, headersFor } from "../jetstream/messages.ts"
import * as operations from "../jetstream/operations.ts"
import type { Requester } from "../jetstream/requester.ts"
import type { MessageHeaders, NatsPort } from "../port.ts"
import * as listing from "./listing.ts"
import * as opening from "./opening.ts"
import * as storeClock from "./storeClock.ts"
import { hasMarkers, openedAs, streamName, subjectPrefix } from "./streamConfig.ts"
import { follow, type FollowOptions } from "./watch.ts"

/** An upper bound for the bytes that the headers add to a message. */
const sizeOfHeaders = (headers: MessageHeaders): number =>
  headers.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 32)

/** The reason to refuse a message that the connected server does not support or that exceeds its payload limit. */
const refusal = (port: NatsPort, message: Append, headers: MessageHeaders): KVStoreReason | undefined => {
  const { maxPayload, version } = port.server()
  if (message.condition !== undefined && message.condition.key !== message.key && !hasMarkers(version)) {
    // Older servers ignore the header with the other key, and compare the revision with the written key (K6).
    return new InvalidConfig({ problem: `whenKey needs nats-server 2.11 or later, the connected server is ${version}` })
  }
  return message.value.length + sizeOfHeaders(headers) > maxPayload
    ? new ValueTooLarge({ size: message.value.length, limit: maxPayload - sizeOfHeaders(headers) })
    : undefined
}

const status = (
  port: NatsPort,
  bucket: string,
  { bytes, created, lastRevision, messages }: jetstream.StreamInfo
) => {
  const { version } = port.server()
  return {
    bucket,
    backend: "nats" as const,
    messages: messages,
    bytes,
    lastRevision,
    created: DateTime.makeUnsafe(created),
    serverVersion: version,
    supportsExpiryMarkers: hasMarkers(version)
  }
}

/** Reads of one key, and writes. `again` recreates a lost bucket. */
const readsAndWrites = (options: {
  readonly js: jetstream.JetStream
  readonly config: KVStoreConfig
  readonly isDirect: boolean
  readonly again: operations.Operations
  readonly saw: (revision: number) => void
}): Pick<Backend, "append" | "last"> => {
  const { again, config, isDirect, js, saw } = options
  const timeout = Duration.toMillis(config.timeout)
  const stream = streamName(config.bucket)
  const prefix = subjectPrefix(config.bucket)
  const subjectOf = (key: string) => `${prefix}${key}`
  // With several replicas, the nearest one may not have our own last write yet (K13).
  const from = isDirect && config.replicas === 1 ? "nearest" : "leader"
  return {
    last: (key) =>
      Effect.map(
        again.read(js.lastMessage(stream, subjectOf(key), from, timeout)),
        (message) => message === undefined ? Option.none() : Option.some(fromStored(message, prefix))
      ),
    append: (message) => {
      const headers = headersFor(message, subjectOf)
      const refused = refusal(js.port, message, headers)
      if (refused !== undefined) return Effect.fail(refused)
      return Effect.map(
        again.write(message, js.publish(subjectOf(message.key), message.value, headers, timeout)),
        (revision) => {
          saw(revision)
          return revision
        }
      )
    }
  }
}

export const make = Effect.fnUntraced(function*(
  requester: Requester,
  asked: KVStoreConfig
): Effect.fn.Return<Backend, KVStoreReason, Scope.Scope> {
  const { port } = requester
  const { bucket } = asked
  const timeout = Duration.toMillis(asked.timeout)
  const stream = streamName(bucket)
  const prefix = subjectPrefix(bucket)
  const revisions = yield* SeenRevisions
  const saw = (revision: number) => revisions.saw(bucket, revision)

  const js = jetstream.make(requester)
  const plain = operations.make(js, stream, timeout)
  const door = opening.make({ js, config: asked, operations: plain, timeout, revisions })
  const found = yield* door.open
  const config = openedAs(asked, found.config)
  const again = operations.remaking(plain, door.makeAgain(config))
  const info = again.read(js.streamInfo(stream, timeout))
  const isDirect = found.config.allow_direct === true

  const { append, last } = readsAndWrites({ js, config, isDirect, again, saw })

  const followOptions: listing.ListingOptions["followOptions"] = {
    js,
    stream,
    prefix,
    timeout,
    info,
    saw,
    read: again.read,
    silentRemoval: config.streamMaxAge === undefined && config.expiryMarkers === undefined ? "purge" : "expire",
    onRestart: watchRestarted(bucket)
  }
  const lists = listing.make({ js, stream, prefix, timeout, isDirect, last, read: again.read, followOptions })

  return {
    config,
    clock: yield* storeClock.make(port, info),
    last,
    append,
    lastOfEach: lists.lastOfEach,
    lastOf: lists.lastOf,
    follow: (filter, from) => follow({ ...followOptions, filter, from, purpose: "watch" } satisfies FollowOptions),
    history: (key) =>
      config.historySize === 1
        ? Effect.map(last(key), Option.toArray)
        : lists.collect(key, { revision: 1 }, false),
    status: Effect.map(info, (now) => status(port, bucket, now))
  }
})
