/**
 * Opens or creates a bucket and compares its configuration with the options.
 * Recreates a lost bucket with the configuration it was opened with
 * (docs/protocols/kv.md, K27 to K29).
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { KVStoreConfig } from "../../../KVStoreConfig.ts"
import { ConfigMismatch, type InvalidConfig, type KVStoreReason, StorageFull } from "../../../KVStoreError.ts"
import { isFixed, shownChange } from "../../kv/differences.ts"
import type { Revisions } from "../../kv/firstRevision.ts"
import { subjectPrefix } from "../../kv/headers.ts"
import { annotate } from "../../logs.ts"
import { noBytes } from "../../utf8.ts"
import type { JetStream, StreamInfo, StreamSettings } from "../jetstream/api.ts"
import type { Operations } from "../jetstream/operations.ts"
import { asNotEnabled, codes, isReservation, openingReason, reservationScope } from "../jetstream/reasons.ts"
import type { PortFailure } from "../port.ts"
import { isRecent, tooOld, unsupported } from "./seen.ts"
import {
  differences,
  differingLabels,
  firstKey,
  hasMarkers,
  isSupported,
  losesItsStart,
  mismatchOf,
  settingsFor,
  streamName
} from "./streamConfig.ts"

/** The settings of a stream, with its first revision. */
type SettingsFrom = (firstRevision: number) => StreamSettings

interface Opening {
  /** The current information of the stream. */
  readonly info: Effect.Effect<StreamInfo, KVStoreReason>
  /** Opens or creates the bucket. If it differs from the options: fails, updates it or accepts it, by `onMismatch`. */
  readonly open: Effect.Effect<StreamInfo, KVStoreReason>
  /** Creates the bucket with these settings if it is missing. Fails with `BucketNotFound` if `create` is false. */
  readonly makeAgain: (settings: SettingsFrom) => Effect.Effect<StreamInfo, KVStoreReason>
}

interface OpeningOptions {
  readonly js: JetStream
  readonly config: KVStoreConfig
  readonly operations: Operations
  /** The timeout of one request, in milliseconds. */
  readonly timeout: number
  readonly revisions: Revisions
}

/** What a server must support, and the refusal otherwise. */
interface Requirement {
  readonly connected: (version: string) => boolean
  readonly leader: (info: StreamInfo) => boolean
  readonly refusal: (connected: string) => InvalidConfig
}

/** Servers before 2.11 ignore the setting of the stream for some options, without an error. */
const recentFor = (option: string): Requirement => ({
  connected: hasMarkers,
  leader: isRecent,
  refusal: (connected) => tooOld(option, connected)
})

const supported: Requirement = {
  connected: isSupported,
  leader: ({ ts }) => ts !== undefined,
  refusal: unsupported
}

const requirementOf = ({ expiryMarkers, guardedWrites }: KVStoreConfig): Requirement =>
  expiryMarkers !== undefined ? recentFor("expiryMarkers") : guardedWrites ? recentFor("guardedWrites") : supported

/** Creates a stream, if the account limits consumers with the limit of the account. */
const creatingWithinLimits = ({ js, operations: { read }, timeout }: OpeningOptions) => (wanted: StreamSettings) =>
  Effect.catchIf(
    read(js.createStream(wanted, timeout)),
    (reason) => reason._tag === "Rejected" && reason.code === codes.mostConsumers,
    () => read(js.createStream({ ...wanted, max_consumers: accountLimit }, timeout))
  )

/** For a server: as many consumers as the account allows. */
const accountLimit = -1

/**
 * Creates a stream. If there is no space for its `maxBytes`, the limits of the account show whether the account or the
 * server has none; if they cannot be read, the server counts.
 */
const creating = (options: OpeningOptions) => (wanted: StreamSettings) =>
  Effect.catchTag(creatingWithinLimits(options)(wanted), "StorageFull", (full) =>
    isReservation(full)
      ? Effect.matchEffect(options.js.account(options.timeout), {
        onFailure: () => Effect.fail(full),
        onSuccess: (account) => {
          const { code, description } = full
          return Effect.fail(new StorageFull({ scope: reservationScope(account, wanted), code, description }))
        }
      })
      : Effect.fail(full))

/**
 * Protects the stream from a restart of a server before 2.11 (see `losesItsStart`). Each process that opens the empty
 * bucket does this before its first write, because it cannot know whether another process has done it.
 */
const keepingStart = ({ config: { bucket }, js, operations: { read }, timeout }: OpeningOptions) =>
  Effect.fnUntraced(function*(found: StreamInfo) {
    if (!losesItsStart(found)) return
    const first = `${subjectPrefix(bucket)}${firstKey}`
    yield* read(js.publish(first, noBytes, [], timeout))
    yield* read(js.purgeSubject(streamName(bucket), { subject: first }, timeout))
  })

export const make = (options: OpeningOptions): Opening => {
  const { config, js, operations: { read }, revisions, timeout } = options
  const { bucket } = config
  const stream = streamName(bucket)
  const version = () => js.port.server().version

  const request = js.streamInfo(stream, timeout)
  const noting = (request: Effect.Effect<StreamInfo, PortFailure>) =>
    Effect.tap(read(request), ({ lastRevision }) => Effect.sync(() => revisions.saw(bucket, lastRevision)))
  const info = noting(request)
  /** The first request of an opening, which fails for good on a server without JetStream. */
  const firstInfo = noting(Effect.mapError(request, (failure) => asNotEnabled(failure, js.port.server(), js.access)))

  const own: SettingsFrom = (firstRevision) => settingsFor(config, firstRevision)

  const withFirst = (settings: SettingsFrom) =>
    Effect.map(Clock.currentTimeMillis, (now) => settings(revisions.first(bucket, now)))

  const create = (settings: SettingsFrom, created: Effect.Effect<void>) =>
    Effect.flatMap(withFirst(settings), creating(options)).pipe(
      Effect.andThen(annotate("KVStore", { bucket })(created)),
      // Another client created the bucket at the same time: open that one.
      Effect.catchIf(
        (reason) => reason._tag === "Rejected" && reason.code === codes.streamExists,
        () => Effect.void
      ),
      Effect.andThen(info)
    )

  const makeIfMissing = (found: typeof info, settings: SettingsFrom, created: Effect.Effect<void>) =>
    found.pipe(
      Effect.catchTag("BucketNotFound", (lost) => config.create ? create(settings, created) : Effect.fail(lost)),
      Effect.tap(keepingStart(options))
    )

  /**
   * Opens the bucket if its leader suffices, which may be another server than the connected one. A missing bucket is only
   * created if the connected one suffices, too.
   */
  const openIf = ({ connected, leader, refusal }: Requirement) => {
    const refuse = Effect.suspend(() => Effect.fail(refusal(version())))
    return Effect.suspend(() =>
      connected(version())
        ? makeIfMissing(firstInfo, own, Effect.logInfo(`created the bucket "${bucket}"`))
        : Effect.catchTag(firstInfo, "BucketNotFound", () => refuse)
    ).pipe(Effect.tap((found) => leader(found) ? Effect.void : refuse))
  }

  const open = Effect.gen(function*() {
    const found = yield* openIf(requirementOf(config))
    const wanted = own(0)
    const refused = mismatchOf(wanted, found.config)
    if (refused !== undefined) return yield* refused
    const { list, update } = differences(wanted, found.config)
    const labels = differingLabels(wanted, found.config)
    const differs = list.length > 0 || (config.onMismatch === "update" && Object.keys(labels).length > 0)
    if (!differs || config.onMismatch === "accept") return found
    if (config.onMismatch === "fail") return yield* new ConfigMismatch({ differences: list })
    const fixed = list.filter(isFixed)
    if (fixed.length > 0) return yield* new ConfigMismatch({ differences: fixed })
    yield* read(js.updateStream(stream, { ...update, ...labels }, timeout))
    yield* annotate("KVStore", { bucket })(Effect.logInfo(shownChange(bucket, list)))
    return yield* info
  }).pipe(Effect.mapError(openingReason))

  /** A lost bucket is empty afterwards: what depended on its contents has to know. */
  const makeAgain = (settings: SettingsFrom) =>
    makeIfMissing(
      info,
      settings,
      Effect.logWarning(`the bucket "${bucket}" was lost, and is recreated without its contents`)
    )

  return { info, open, makeAgain }
}
