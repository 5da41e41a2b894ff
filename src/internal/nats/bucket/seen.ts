/**
 * The last STREAM.INFO answer of a store, and the decisions that it makes. The
 * settings of a stream can change while the store is open, so each operation decides
 * by the last answer (docs/protocols/kv.md, K34).
 */
import { InvalidConfig } from "../../../KVStoreError.ts"
import type { Filters } from "../../filters.ts"
import type { SilentRemoval } from "../../kv/backend.ts"
import type { StreamInfo } from "../jetstream/api.ts"
import { hasMarkers, hasSafeFilters, keptPerKey } from "./streamConfig.ts"

// -----------------------------------------------------------------------------
// decisions
// -----------------------------------------------------------------------------

/** The part of a STREAM.INFO answer that decides. */
export type Seen = Pick<StreamInfo, "config" | "version">

const replicasOf = ({ config }: Seen): number => config.num_replicas ?? 1

/** Whether the stream's leader runs 2.11 or later. With several replicas that says nothing about the others. */
export const isRecent = ({ version }: Seen): boolean => version !== undefined && hasMarkers(version)

/** With several replicas, the nearest one may not have our own last write yet (K13). */
export const isNearestCurrent = (seen: Seen): boolean => seen.config.allow_direct === true && replicasOf(seen) === 1

/** Whether a batch is worth a try. Another replica can be older than the leader, and refuse it (K15). */
export const canBatch = (seen: Seen): boolean => seen.config.allow_direct === true && isRecent(seen)

/** Bytes of the request for a consumer besides its filters, and those of a filter besides its subject. */
const consumerOverhead = 512
const filterOverhead = "\"\",".length

/**
 * The most filters of one consumer, and the most tokens of each. nats-server 2.15.1 takes a time for a consumer that grows
 * with the square of their number, and jumps above 32 tokens: 1.6 s for 1,000 filters of 33 tokens, in which it answers no
 * other request of the account.
 */
const mostFilters = 16
const mostTokens = 32

/**
 * Whether a consumer can have several filters. On 2.10.27 it then skips messages when one of its keys is purged (2.15.1
 * does not), and any server of a cluster can have the consumer.
 */
export const canFilter = (
  { list }: Filters,
  seen: Seen,
  { maxPayload, prefix }: { readonly maxPayload: number; readonly prefix: string }
): boolean => {
  const size = list.reduce((sum, filter) => sum + prefix.length + filter.length + filterOverhead, consumerOverhead)
  if (list.length > mostFilters) return false
  if (list.some((filter) => `${prefix}${filter}`.split(".").length > mostTokens)) return false
  return replicasOf(seen) === 1 && seen.version !== undefined && hasSafeFilters(seen.version) && size <= maxPayload
}

/** The reason to report for keys that were removed without a message (K23). */
export const silentRemoval = ({ config }: Seen): SilentRemoval =>
  (config.max_age ?? 0) > 0 || (config.subject_delete_marker_ttl ?? 0) > 0 ? "expire" : "purge"

/** Whether a key has no other message than its last one. */
export const hasNoHistory = ({ config }: Seen): boolean => keptPerKey(config) === 1

/** Whether a stream has the same messages: each of these numbers changes with every stored or removed message. */
export const isSame = (one: StreamInfo | undefined, other: StreamInfo): boolean =>
  one !== undefined && one.messages === other.messages && one.lastRevision === other.lastRevision &&
  one.deleted === other.deleted

/**
 * Whether the snapshot of a consumer is complete if the stream was `before` at its beginning and `after` at its end: no
 * key can have been overwritten before its turn, and no replica can lag behind.
 */
export const isUndisturbed = (before: StreamInfo | undefined, after: StreamInfo): boolean =>
  replicasOf(after) === 1 && before?.created === after.created && isSame(before, after)

/** The refusal of a server that this library does not support. Only servers from 2.10 on send their time. */
export const unsupported = (version: string): InvalidConfig =>
  new InvalidConfig({
    problem:
      `expected nats-server 2.10 or later on every server of the bucket, got an earlier one (connected to ${version}): ` +
      "upgrade the servers"
  })

/** The refusal of an option that needs 2.11. `connected` is the version of the connected server. */
export const tooOld = (option: string, connected: string): InvalidConfig =>
  new InvalidConfig({
    problem: `${option}: expected nats-server 2.11 or later on every server of the bucket, got an earlier one ` +
      `(connected to ${connected}): upgrade the servers, or leave the option out`
  })

/**
 * The reason to refuse a write with `whenKey`, which every copy of the stream must support (K6). `connected` is the
 * version of the connected server, for the error.
 */
export const whyNotGuarded = (
  seen: Seen,
  { connected, guardedWrites }: { readonly connected: string; readonly guardedWrites: boolean }
): InvalidConfig | undefined => {
  if (!isRecent(seen)) return tooOld("whenKey", connected)
  const replicas = replicasOf(seen)
  return replicas === 1 || guardedWrites ? undefined : new InvalidConfig({
    problem: `whenKey: expected guardedWrites: true, because the bucket has ${replicas} replicas and a server before ` +
      "2.11 would drop the write: set it if the cluster has no such server and will have none"
  })
}

// -----------------------------------------------------------------------------
// the last answer
// -----------------------------------------------------------------------------

/** Holds the last STREAM.INFO answer of a store. */
export class LastSeen {
  private seen: Seen = { config: {}, version: undefined }
  /** The number of STREAM.INFO requests, and the number of the one that `seen` is the answer of. */
  private asked = 0
  private answered = 0
  /** The number of requests that were sent before the last doubt. */
  private doubted = 0

  /** The bytes of the stream. */
  bytes = 0
  private hasMirror = false

  get now(): Seen {
    return this.seen
  }

  /** Whether STREAM.INFO was requested since the last doubt, and answered. */
  get isCurrent(): boolean {
    return this.answered > this.doubted
  }

  /** Whether a mirror has answered a direct read. It may do so again, also after other answers. */
  get isMirrored(): boolean {
    return this.hasMirror
  }

  /** To be called when a mirror has answered a direct read. */
  sawMirror(): void {
    this.hasMirror = true
  }

  /** To be called before each request. Returns the function that takes its answer. */
  ask(): (info: StreamInfo) => void {
    const number = ++this.asked
    return ({ bytes, config, version }) => {
      // The answers of concurrent requests can arrive in another order.
      if (number < this.answered) return
      this.answered = number
      this.seen = { config, version }
      this.bytes = bytes
    }
  }

  /** To be called if the stream may be another one by now: after a reconnect, and after a write of unknown outcome. */
  doubt(): void {
    this.doubted = this.asked
  }
}
