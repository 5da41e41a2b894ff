/**
 * The backend on a NATS server. A bucket is the stream `KV_<bucket>` in the layout
 * of all NATS KV clients, so other clients can read and write it too.
 */
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { KVStoreConfig } from "../../../KVStoreConfig.ts"
import { ConfigMismatch, type KVStoreReason, Unavailable, ValueTooLarge } from "../../../KVStoreError.ts"
import * as filters from "../../filters.ts"
import type { Backend, StoredMessage } from "../../kv/backend.ts"
import { SeenRevisions } from "../../kv/firstRevision.ts"
import { headersFor, largestCondition, sizeOfHeaders, subjectPrefix } from "../../kv/headers.ts"
import { watchRestarted } from "../../kv/metrics.ts"
import { everything } from "../../subjects.ts"
import * as jetstream from "../jetstream/api.ts"
import { ApiAccess } from "../jetstream/apiAccess.ts"
import { fromStored } from "../jetstream/messages.ts"
import * as operations from "../jetstream/operations.ts"
import { withoutLeader } from "../jetstream/reasons.ts"
import type { Requester } from "../jetstream/requester.ts"
import type { MessageHeaders, NatsPort, PortFailure } from "../port.ts"
import * as listing from "./listing.ts"
import * as opening from "./opening.ts"
import { make as makeReach, type Reach } from "./reach.ts"
import { canBatch, hasNoHistory, isNearestCurrent, isRecent, LastSeen, silentRemoval, whyNotGuarded } from "./seen.ts"
import * as storeClock from "./storeClock.ts"
import { mismatchOf, openedAs, settingsFor, settingsOfLost, streamName } from "./streamConfig.ts"
import { follow } from "./watch.ts"

const status = (
  port: NatsPort,
  bucket: string,
  info: jetstream.StreamInfo
) => ({
  bucket,
  backend: "nats" as const,
  messages: info.messages,
  bytes: info.bytes,
  lastRevision: info.lastRevision,
  created: DateTime.makeUnsafe(info.created),
  serverVersion: port.server().version,
  hasLeader: info.hasLeader,
  supportsExpiryMarkers: isRecent(info)
})

interface Access {
  readonly js: jetstream.JetStream
  readonly config: KVStoreConfig
  readonly lastSeen: LastSeen
  /** Recreates a lost bucket. */
  readonly again: operations.Operations
  readonly info: Effect.Effect<jetstream.StreamInfo, KVStoreReason>
  /** Like `info`, but fails if the stream has no leader: the answer can then be that of a copy that lags behind. */
  readonly leaderInfo: Effect.Effect<jetstream.StreamInfo, KVStoreReason>
  readonly saw: (revision: number) => void
  readonly reach: Reach
}

const subjectsIn = ({ config }: Access) => (key: string) => `${subjectPrefix(config.bucket)}${key}`

const timeoutOf = ({ config }: Access): number => Duration.toMillis(config.timeout)

/** Reads the last message of one key. */
const reads = (access: Access): Backend["last"] => {
  const { again, config, js, lastSeen } = access
  const stream = streamName(config.bucket)
  const prefix = subjectPrefix(config.bucket)
  const timeout = timeoutOf(access)
  const subjectOf = subjectsIn(access)
  return (key, currency) =>
    Effect.suspend(() => {
      const lastMessage = (from: "nearest" | "leader") => js.lastMessage(stream, subjectOf(key), from, timeout)
      // Suspended, because a usual read does not need this request.
      const atLeader = Effect.suspend(() => again.read(lastMessage("leader")))
      // A mirror may have answered that it has no message.
      const nearest = Effect.filterOrElse(
        again.readDirect(lastMessage("nearest"), atLeader),
        (message) => message !== undefined,
        () => atLeader
      )
      return Effect.map(
        currency === "seen" && lastSeen.isCurrent && !lastSeen.isMirrored && isNearestCurrent(lastSeen.now)
          ? nearest
          : atLeader,
        (message) => message === undefined ? Option.none() : Option.some(fromStored(message, prefix))
      )
    })
}

/** Reads the message with a revision, if it is one of the key. */
const readsAt = (access: Access): Backend["at"] => {
  const { again, config, js } = access
  const prefix = subjectPrefix(config.bucket)
  return (key, revision) =>
    Effect.map(
      again.read(js.messageAt(streamName(config.bucket), revision, timeoutOf(access))),
      (message) =>
        message === undefined || message.subject !== `${prefix}${key}`
          ? Option.none()
          : Option.some(fromStored(message, prefix))
    )
}

const removals = (access: Access): Backend["removeUpTo"] => {
  const { again, config, js } = access
  const subjectOf = subjectsIn(access)
  return (key, upTo) =>
    again.read(js.purgeSubject(streamName(config.bucket), { subject: subjectOf(key), upTo }, timeoutOf(access)))
}

/** Another stream has taken the bucket's subjects and stored the message. */
const storedBy = (stream: string, prefix: string): ConfigMismatch =>
  new ConfigMismatch({
    differences: [{ setting: "subjects", expected: `${prefix}${everything}`, actual: `stored by the stream ${stream}` }]
  })

/** Whether a write was sent and not answered, also because it was interrupted. */
const isUnknown = (exit: Exit.Exit<unknown, KVStoreReason>): boolean =>
  Exit.isFailure(exit) &&
  Option.match(Exit.findErrorOption(exit), { onNone: () => true, onSome: ({ _tag }) => _tag === "OutcomeUnknown" })

const writes = (access: Access): Backend["append"] => {
  const { again, config, info, js, lastSeen, saw } = access
  const stream = streamName(config.bucket)
  const timeout = timeoutOf(access)
  const subjectOf = subjectsIn(access)

  /**
   * Fails unless every copy of the stream supports the condition on another key. Before number 0, STREAM.INFO is requested
   * again: a server that ignores the other key would apply it to the written key, where it often holds.
   */
  const checkGuard = (revision: number): Effect.Effect<void, KVStoreReason> => {
    const connected = js.port.server().version
    const check = Effect.suspend(() => {
      const refused = whyNotGuarded(lastSeen.now, { connected, guardedWrites: config.guardedWrites })
      return refused === undefined ? Effect.void : Effect.fail(refused)
    })
    return lastSeen.isCurrent && revision !== 0 ? check : Effect.andThen(info, check)
  }

  /**
   * The server refuses a message by the current limit of the stream, which may differ from the one at opening. If
   * STREAM.INFO fails, the refusal counts without the limit.
   */
  const withLimit = (refused: ValueTooLarge, headers: MessageHeaders): Effect.Effect<never, KVStoreReason> =>
    Effect.matchEffect(info, {
      onFailure: () => Effect.fail(refused),
      onSuccess: ({ config: { max_msg_size: limit = -1 } }) =>
        Effect.fail(
          limit < 0
            ? refused
            : new ValueTooLarge({ size: refused.size, limit: Math.max(0, limit - sizeOfHeaders(headers)) })
        )
    })

  const doubtIfUnknown = (exit: Exit.Exit<unknown, KVStoreReason>): Effect.Effect<void> =>
    isUnknown(exit) ? Effect.sync(() => lastSeen.doubt()) : Effect.void

  return (message) =>
    Effect.suspend(() => {
      const headers = headersFor(message, subjectOf)
      const { condition, key, value } = message
      const write = again.write(message, js.publish(subjectOf(key), value, headers, timeout))
      const isGuarded = condition !== undefined && condition.key !== key
      const written = isGuarded ? Effect.andThen(checkGuard(condition.revision), write) : write
      return Effect.matchEffect(Effect.onExit(written, doubtIfUnknown), {
        onFailure: (reason) =>
          reason._tag === "ValueTooLarge" && reason.limit === undefined
            ? withLimit(reason, headers)
            : Effect.fail(reason),
        onSuccess: (stored) => {
          if (stored.stream !== stream) return Effect.fail(storedBy(stored.stream, subjectPrefix(config.bucket)))
          saw(stored.seq)
          return Effect.succeed(stored.seq)
        }
      })
    })
}

const notingMirrors = <A>(request: Effect.Effect<A, PortFailure>, lastSeen: LastSeen): Effect.Effect<A, PortFailure> =>
  Effect.tapErrorTag(request, "OtherStream", () => Effect.sync(() => lastSeen.sawMirror()))

/** The stream's requests, with each STREAM.INFO answer and each answer of a mirror noted in `lastSeen`. */
const noting = (js: jetstream.JetStream, lastSeen: LastSeen): jetstream.JetStream => ({
  ...js,
  lastMessage: (stream, subject, from, timeout) =>
    notingMirrors(js.lastMessage(stream, subject, from, timeout), lastSeen),
  lastMessages: (request, timeout, read) => notingMirrors(js.lastMessages(request, timeout, read), lastSeen),
  streamInfo: (stream, timeout) =>
    Effect.suspend(() => {
      const note = lastSeen.ask()
      return Effect.tap(js.streamInfo(stream, timeout), (info) => Effect.sync(() => note(info)))
    })
})

/** After a reconnect, the stream may have another server or other settings. The store's clock then requests both. */
const doubtAfterReconnect = (port: NatsPort, lastSeen: LastSeen) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      port.onLink(({ _tag }) => {
        if (_tag === "Connected") lastSeen.doubt()
      })
    ),
    (end) => Effect.sync(end)
  )

/** A replica that lags behind can still have the messages before a purge or an expiry. */
const removesHistory = ({ operation }: StoredMessage): boolean => operation === "purge" || operation === "expire"

const isBefore = (one: StoredMessage) => ({ revision }: StoredMessage): boolean => revision < one.revision

/** Reads of several messages: listings, histories and watches. */
const readsOfMany = (access: Access, last: Backend["last"]) => {
  const { again, config, info, js, lastSeen, leaderInfo, reach, saw } = access
  const stream = streamName(config.bucket)
  const prefix = subjectPrefix(config.bucket)
  const timeout = timeoutOf(access)
  const following = {
    js,
    reach,
    stream,
    prefix,
    timeout,
    info,
    saw,
    read: again.read,
    // The age limit of the stream can change while a watch is open.
    silentRemoval: () => silentRemoval(lastSeen.now),
    onRestart: watchRestarted(config.bucket)
  }
  const { collect, lastOf, lastOfEach, streamOfEach } = listing.make({
    js,
    stream,
    prefix,
    timeout,
    canBatch: () => js.access.passesSeveral && !lastSeen.isMirrored && canBatch(lastSeen.now),
    bytes: () => lastSeen.bytes,
    last,
    read: again.read,
    readDirect: again.readDirect,
    followOptions: following
  })

  /** A consumer can be on a replica that lags behind, so the last message is read apart if the read decides. */
  const history: Backend["history"] = Effect.fnUntraced(function*(key, currency) {
    if (hasNoHistory(lastSeen.now)) return Option.toArray(yield* last(key, currency))
    const kept = yield* collect(filters.one(key), { revision: 1 }, false)
    if (currency === "seen") return kept
    return Option.match(yield* last(key, currency), {
      onNone: () => [],
      onSome: (message) => [...removesHistory(message) ? [] : kept.filter(isBefore(message)), message]
    })
  })

  const watch: Backend["follow"] = (wanted, from) =>
    follow({ ...following, info: leaderInfo, filters: wanted, from, purpose: "watch" })

  return { follow: watch, history, lastOf, lastOfEach, streamOfEach }
}

export const make = Effect.fnUntraced(function*(
  requester: Requester,
  asked: KVStoreConfig
): Effect.fn.Return<Backend, KVStoreReason, Scope.Scope> {
  const { port } = requester
  const { bucket } = asked
  const timeout = Duration.toMillis(asked.timeout)
  const stream = streamName(bucket)
  const revisions = yield* SeenRevisions
  const lastSeen = new LastSeen()
  yield* doubtAfterReconnect(port, lastSeen)
  const js = noting(jetstream.make(requester, new ApiAccess(asked)), lastSeen)
  const wanted = settingsFor(asked, 0)
  const plain = operations.make(js, stream, timeout, (info) => mismatchOf(wanted, info.config))
  const door = opening.make({ js, config: asked, operations: plain, timeout, revisions })
  const found = yield* door.open
  const config = openedAs(asked, found.config)
  const again = operations.remaking(
    plain,
    door.makeAgain((firstRevision) => settingsOfLost(config, lastSeen.now.config, firstRevision))
  )
  const info = again.read(js.streamInfo(stream, timeout))
  const leaderInfo = Effect.filterOrFail(
    info,
    ({ hasLeader }) => hasLeader,
    () => new Unavailable({ problem: withoutLeader(js.access) })
  )

  const reach = yield* makeReach(port, yield* Clock.Clock)
  const saw = (revision: number) => revisions.saw(bucket, revision)
  const access = { js, config, lastSeen, again, info, leaderInfo, reach, saw }
  const last = reads(access)
  return {
    config,
    clock: yield* storeClock.make(port, info),
    last,
    at: readsAt(access),
    append: writes(access),
    removeUpTo: removals(access),
    ...readsOfMany(access, last),
    status: Effect.map(info, (now) => status(port, bucket, now)),
    reachability: reach.changes,
    valueLimit: () => port.server().maxPayload - sizeOfHeaders(largestCondition)
  }
})
