/**
 * Decides from the last message of an instance's key what a process does next: when
 * it registers, after a conflict, and when it leaves (docs/protocols/registry.md, R7
 * to R11, R18). Pure. `ownState.ts` calls these functions.
 */
import type { InstanceRecord } from "./record.ts"

/** The last message of an instance's key. */
export type LastSeen =
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Removed"; readonly revision: number; readonly reason: "delete" | "purge" | "expire" | "reset" }
  | { readonly _tag: "Live"; readonly revision: number; readonly record: InstanceRecord }
  /** The key has a value that is not a record. */
  | { readonly _tag: "Undecodable"; readonly revision: number }

/** A record of AegisSDK for the same instance, under another key (R35). */
export interface Beside {
  readonly revision: number
  /** Milliseconds since the last heartbeat. */
  readonly silentFor: number
  /** The age at which it is expired, in milliseconds. */
  readonly maxAge: number
}

/** What to do after a heartbeat lost its compare-and-set. */
export type HeartbeatDecision =
  /** The record is this process's own, at another revision: a late write, or an update. Continue from that revision. */
  | { readonly _tag: "Adopt"; readonly revision: number; readonly record: InstanceRecord }
  /**
   * The record was removed by age, by a cleanup, or with the bucket: register again, on the condition of the message
   * that was read.
   */
  | { readonly _tag: "RegisterAgain"; readonly revision: number }
  /** Another process has the id. */
  | { readonly _tag: "Taken" }
  /** Another process deregistered the instance. */
  | { readonly _tag: "Deregistered" }

export const afterLostHeartbeat = (nonce: string, seen: LastSeen): HeartbeatDecision => {
  switch (seen._tag) {
    case "Nothing":
      return { _tag: "RegisterAgain", revision: 0 }
    case "Removed":
      return seen.reason === "delete"
        ? { _tag: "Deregistered" }
        : { _tag: "RegisterAgain", revision: seen.revision }
    case "Live":
      return seen.record.nonce === nonce
        ? { _tag: "Adopt", revision: seen.revision, record: seen.record }
        : { _tag: "Taken" }
    case "Undecodable":
      return { _tag: "Taken" }
  }
}

/** What to do before the first write. */
export type RegisterDecision =
  /** The key is free, or its record is expired: write, on the condition of the message that was read. */
  | { readonly _tag: "Write"; readonly revision: number }
  /** The record is this process's own first write, whose answer was lost. */
  | { readonly _tag: "Own"; readonly revision: number; readonly record: InstanceRecord }
  /** A live record of another process, or a value that does not decode and is not expired. */
  | { readonly _tag: "Occupied"; readonly revision: number }

export const beforeRegistering = (nonce: string, seen: LastSeen, expired: boolean): RegisterDecision => {
  switch (seen._tag) {
    case "Nothing":
      return { _tag: "Write", revision: 0 }
    case "Removed":
      return { _tag: "Write", revision: seen.revision }
    case "Live":
      if (seen.record.nonce === nonce) return { _tag: "Own", revision: seen.revision, record: seen.record }
      return { _tag: expired ? "Write" : "Occupied", revision: seen.revision }
    case "Undecodable":
      return { _tag: expired ? "Write" : "Occupied", revision: seen.revision }
  }
}

/** How `deregister` removes a record. After a purge the owner's next heartbeat registers it again. */
export type RemovalDecision = "delete" | "purge" | "keep"

export const removalOf = (
  { isExpired, isInDoubt, onlyIfExpired }: {
    readonly isExpired: boolean
    /** Whether the instance may live although it looks dead, or the record cannot be read. */
    readonly isInDoubt: boolean
    readonly onlyIfExpired: boolean
  }
): RemovalDecision => {
  if (isExpired) return "purge"
  if (onlyIfExpired) return "keep"
  return isInDoubt ? "purge" : "delete"
}

/** What to do while leaving. */
export type LeaveDecision =
  /** The record is this process's own: delete it, on the condition of that revision. */
  | { readonly _tag: "Delete"; readonly revision: number }
  /** An unanswered write of this process has this message as its condition and may still land. */
  | { readonly _tag: "MayLand" }
  /** The key has no record of this process, and no write of this process can still land. */
  | { readonly _tag: "Gone" }

/** `mayLandOn`: revision that an unanswered write is conditioned on; 0 for a key without a message. */
export const whileLeaving = (nonce: string, seen: LastSeen, mayLandOn: number | undefined): LeaveDecision => {
  if (seen._tag === "Live" && seen.record.nonce === nonce) return { _tag: "Delete", revision: seen.revision }
  const shown = seen._tag === "Nothing" ? 0 : seen.revision
  return { _tag: mayLandOn === shown ? "MayLand" : "Gone" }
}
