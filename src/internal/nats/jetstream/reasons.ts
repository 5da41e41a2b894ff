/**
 * Maps failed requests to reasons of the store. Reads and writes differ in one
 * point: a write without an answer may have been stored (docs/protocols/kv.md, K9).
 */
import {
  BucketNotFound,
  InvalidConfig,
  type KVStoreReason,
  OutcomeUnknown,
  PermissionDenied,
  Rejected,
  RevisionMismatch,
  StorageFull,
  Unavailable,
  ValueTooLarge
} from "../../../KVStoreError.ts"
import type { Append } from "../../kv/backend.ts"
import { type NatsPort, type PortFailure, reported, type ServerInfo } from "../port.ts"
import type { AccountLimits, StreamInfo, StreamSettings } from "./api.ts"
import type { ApiAccess } from "./apiAccess.ts"

/** The JetStream error codes that are distinguished here. */
export const codes = {
  /** The status of a server before 2.11 for a batch: it ignores `multi_last`, so the request seems empty. */
  batchUnsupported: 408,
  accountResources: 10002,
  clusterWithoutLeader: 10008,
  consumerNotFound: 10014,
  /** Too many consumers, or a new stream that allows more consumers than its account. */
  mostConsumers: 10026,
  mostStreams: 10027,
  maxBytesRequired: 10113,
  noTier: 10120,
  maxBytesTooLarge: 10122,
  insufficientResources: 10023,
  memoryFull: 10028,
  notEnabledForAccount: 10039,
  storageFull: 10047,
  streamNotCreated: 10049,
  messageTooLarge: 10054,
  streamExists: 10058,
  streamNotFound: 10059,
  wrongLastSequence: 10071,
  notEnabled: 10076,
  /** The store refused a message: by a limit of the stream, or (before 2.15) because its disk is full. */
  storeFailed: 10077,
  /** The same refusal while another write of the key is in progress. Its text has no sequence. */
  wrongLastSequenceUnnamed: 10164
} as const

const fullScopes = new Map<number, StorageFull["scope"]>([
  [codes.storeFailed, "bucket"],
  [codes.accountResources, "account"],
  [codes.insufficientResources, "server"],
  [codes.memoryFull, "server"],
  [codes.storageFull, "server"]
])

/** What to do about errors that a retry cannot fix, if the server's description does not say it. */
const remedies = new Map<number, string>([
  [
    codes.mostConsumers,
    "each watch has a consumer: end other watches, or raise max_consumers of the stream or the account"
  ],
  [codes.mostStreams, "remove streams of this account, or raise its max_streams"],
  [codes.maxBytesRequired, "this account requires maxBytes: set it in the options of the bucket"],
  [
    codes.noTier,
    "the account has no limits for this number of replicas: change replicas, or add the tier to the account"
  ],
  [codes.maxBytesTooLarge, "choose a smaller maxBytes, or raise the limit of the account for one stream"],
  [
    codes.notEnabledForAccount,
    "this account has no JetStream: enable it for the account, log in as a user of another account, or set apiPrefix if " +
    "it imports that of another account"
  ],
  [codes.notEnabled, "this server runs without JetStream: start it with --jetstream, or connect to another server"],
  [codes.streamNotCreated, "look into the log of the server: its disk may be full, or its store_dir not writable"]
])

const finalReason = (code: number, description: string): KVStoreReason => {
  if (code === codes.streamNotFound) return new BucketNotFound({})
  if (code === codes.clusterWithoutLeader) return new Unavailable({ problem: description })
  const scope = fullScopes.get(code)
  if (scope !== undefined) return new StorageFull({ scope, code, description })
  const remedy = remedies.get(code)
  return new Rejected({ code, description: remedy === undefined ? description : `${description}: ${remedy}` })
}

/** The reason of an operation on a closed connection, which does not reconnect. */
export const connectionClosed = (cause: unknown): Unavailable =>
  new Unavailable({ problem: "the connection was closed", isClosed: true, ...reported(cause) })

/** The reason of an operation while there is no connection. */
export const notConnected = (port: Pick<NatsPort, "isClosed" | "outage">): Unavailable => {
  const outage = port.outage()
  if (port.isClosed()) return connectionClosed(outage?.cause)
  return new Unavailable({
    problem: outage === undefined ? "not connected" : `not connected; ${outage.problem}`,
    ...reported(outage?.cause)
  })
}

/**
 * The reason if no server answers a request about a stream. Only here does it count whether the connected server has
 * JetStream: in a cluster, another server may have it.
 */
export const unanswered = ({ cluster, jetstream }: ServerInfo, { isForeign, prefix }: ApiAccess): Unavailable => {
  if (isForeign) {
    return new Unavailable({
      problem: `no responders for ${prefix}: the account does not import it, or the domain cannot be reached`
    })
  }
  if (jetstream) {
    return new Unavailable({
      problem:
        "no responders: JetStream of the server is starting, ending, or was turned off after an error, see its log"
    })
  }
  const others = cluster === undefined ? "" : `, and no other server answers for it (cluster ${cluster})`
  return new Unavailable({
    problem:
      `no responders: the server has no JetStream${others}; start it with --jetstream, or on a leaf node set domain`
  })
}

/** Why a request to an existing stream has no responders. */
export const withoutLeader = ({ isForeign, prefix }: ApiAccess): string =>
  isForeign
    ? `no responders for the keys or the request (${prefix}): the account does not import them, or the stream has no leader`
    : "the stream has no leader"

/**
 * At opening, no responders mean the same as the error 10076 if the server has no JetStream, and no cluster in which
 * another server could have it.
 */
export const asNotEnabled = (
  failure: PortFailure,
  { cluster, jetstream }: ServerInfo,
  { isForeign }: ApiAccess
): PortFailure =>
  failure._tag === "NoResponders" && !isForeign && !jetstream && cluster === undefined
    ? { _tag: "Api", code: codes.notEnabled, description: "JetStream not enabled" }
    : failure

/** At opening, a server or an account without JetStream is a mistake of the configuration. */
export const openingReason = (reason: KVStoreReason): KVStoreReason =>
  reason._tag === "Rejected" && (reason.code === codes.notEnabled || reason.code === codes.notEnabledForAccount)
    ? new InvalidConfig({ problem: `${reason.description} (code ${reason.code})` })
    : reason

/** More bytes than a stored message has besides its value: its subject and its headers. */
const besidesValue = 2048

/**
 * Whose storage is full after the error `storeFailed` for a value of this size. The server has the same code for a limit of the
 * stream and for an error of its disk; a stream that is below its limits leaves only the disk.
 */
export const fullScope = ({ bytes, config, messages }: StreamInfo, size: number): StorageFull["scope"] => {
  const { discard_new_per_subject = false, max_bytes = -1, max_msgs = -1 } = config
  const isFull = (max_bytes > 0 && bytes + size + besidesValue > max_bytes) ||
    (max_msgs > 0 && messages >= max_msgs) || discard_new_per_subject
  return isFull ? "bucket" : "server"
}

/** Whether a new stream was refused because its `max_bytes` cannot be reserved. */
export const isReservation = ({ code }: StorageFull): boolean => code === codes.storageFull || code === codes.memoryFull

/** Whose limit a new stream exceeds: the server has the same codes for its own limit and for the account's. */
export const reservationScope = (
  account: AccountLimits,
  { max_bytes, num_replicas, storage }: Pick<StreamSettings, "max_bytes" | "num_replicas" | "storage">
): StorageFull["scope"] => {
  const tier = account.tiers?.[`R${num_replicas}`]
  const { limits, reserved_memory = 0, reserved_storage = 0 } = tier ?? account
  const [limit, reserved] = storage === "memory"
    ? [limits.max_memory, reserved_memory]
    : [limits.max_storage, reserved_storage]
  // The limit of a tier counts each stream once, the limit for all streams counts each replica.
  const asked = tier === undefined ? max_bytes * num_replicas : max_bytes
  return limit >= 0 && reserved + asked > limit ? "account" : "server"
}

const problemOf = ({ cause, problem }: Extract<PortFailure, { readonly problem: string }>) => ({
  problem,
  ...reported(cause)
})

const tooLarge = ({ limit, size }: Extract<PortFailure, { readonly _tag: "TooLarge" }>): string =>
  `a request of ${size} bytes exceeds the limit of the server, ${limit} bytes: raise max_payload of the server, or use ` +
  "a shorter bucket name, key, filter, description or metadata"

export const readReason = (failure: PortFailure): KVStoreReason => {
  switch (failure._tag) {
    case "Api":
      return finalReason(failure.code, failure.description)
    case "Denied":
      return new PermissionDenied({ subject: failure.subject, ...reported(failure.cause) })
    case "NoResponders":
      return new Unavailable({ problem: "no responders: the stream has no leader" })
    case "Timeout":
      return new Unavailable({ problem: "no answer in time" })
    case "OtherStream":
      return new Unavailable({ problem: `the stream ${failure.stream} has answered, which is a mirror of the bucket` })
    case "TooLarge":
      return new InvalidConfig({ problem: tooLarge(failure) })
    case "NotSent":
    case "ConnectionLost":
      return new Unavailable(problemOf(failure))
  }
}

/** The sequence in the text of error 10071. It is only for error messages. */
const namedSequence = (description: string): number | undefined => {
  const digits = /(\d+)\s*$/.exec(description)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** The reason of a request that may have changed something although it failed; undefined if it certainly has not. */
const unknownOutcome = (failure: PortFailure): OutcomeUnknown | undefined => {
  if (failure._tag === "Timeout") return new OutcomeUnknown({ problem: "no answer in time" })
  if (failure._tag === "ConnectionLost") return new OutcomeUnknown(problemOf(failure))
  return failure._tag === "Denied" && failure.wasSent === true
    ? new OutcomeUnknown({ problem: `permission for ${failure.subject} was denied`, ...reported(failure.cause) })
    : undefined
}

/** The reason of a failed request that changes a stream. */
export const changeReason = (failure: PortFailure): KVStoreReason => unknownOutcome(failure) ?? readReason(failure)

export const writeReason = (failure: PortFailure, message: Append): KVStoreReason => {
  const unknown = unknownOutcome(failure)
  if (unknown !== undefined) return unknown
  if (failure._tag === "TooLarge") {
    const size = message.value.length
    return new ValueTooLarge({ size, limit: Math.max(0, failure.limit - (failure.size - size)) })
  }
  if (failure._tag !== "Api") return readReason(failure)
  const { code, description } = failure
  if (code === codes.messageTooLarge) return new ValueTooLarge({ size: message.value.length })
  if (message.condition !== undefined) {
    const expected = message.condition.revision
    if (code === codes.wrongLastSequence) {
      return new RevisionMismatch({ expected, actual: namedSequence(description) })
    }
    if (code === codes.wrongLastSequenceUnnamed) return new RevisionMismatch({ expected })
  }
  return finalReason(code, description)
}
