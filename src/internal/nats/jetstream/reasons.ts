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
import { type PortFailure, reported } from "../port.ts"

/** The JetStream error codes that are distinguished here. */
export const codes = {
  /** The status of a server before 2.11 for a batch: it ignores `multi_last`, so the request seems empty. */
  batchUnsupported: 408,
  accountResources: 10002,
  clusterWithoutLeader: 10008,
  consumerNotFound: 10014,
  messageTooLarge: 10054,
  insufficientResources: 10023,
  memoryFull: 10028,
  notEnabledForAccount: 10039,
  storageFull: 10047,
  streamExists: 10058,
  streamNotFound: 10059,
  wrongLastSequence: 10071,
  notEnabled: 10076,
  bucketFull: 10077,
  /** The same refusal while another write of the key is in progress. Its text has no sequence. */
  wrongLastSequenceUnnamed: 10164
} as const

const fullScopes = new Map<number, StorageFull["scope"]>([
  [codes.bucketFull, "bucket"],
  [codes.accountResources, "account"],
  [codes.insufficientResources, "server"],
  [codes.memoryFull, "server"],
  [codes.storageFull, "server"]
])

/** What to do about errors that a retry cannot fix, if the server's description does not say it. */
const remedies = new Map<number, string>([
  [
    codes.notEnabledForAccount,
    "this account has no JetStream: enable it for the account, or log in as a user of another account"
  ],
  [codes.notEnabled, "this server runs without JetStream: enable it, or connect to a server with JetStream"]
])

const finalReason = (code: number, description: string): KVStoreReason => {
  if (code === codes.streamNotFound) return new BucketNotFound({})
  if (code === codes.clusterWithoutLeader) return new Unavailable({ problem: description })
  const scope = fullScopes.get(code)
  if (scope !== undefined) return new StorageFull({ scope, code, description })
  const remedy = remedies.get(code)
  return new Rejected({ code, description: remedy === undefined ? description : `${description}: ${remedy}` })
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
      return new Unavailable({ problem: "no responders: the stream has no leader, or JetStream is not enabled" })
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

export const writeReason = (failure: PortFailure, message: Append): KVStoreReason => {
  if (failure._tag === "Timeout") return new OutcomeUnknown({ problem: "no answer in time" })
  if (failure._tag === "ConnectionLost") return new OutcomeUnknown(problemOf(failure))
  if (failure._tag === "Denied" && failure.wasSent === true) {
    return new OutcomeUnknown({ problem: `permission for ${failure.subject} was denied`, ...reported(failure.cause) })
  }
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
