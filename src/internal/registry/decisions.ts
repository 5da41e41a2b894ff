/**
 * What a process that registers, or has registered, does about the last message
 * of its key (docs/protocols/registry.md, R7 to R11). Pure; `ownState.ts` has the states in which each is asked.
 */
import type { InstanceRecord } from "./record.ts"

/** The last message of an instance's key. */
export type LastSeen =
  | { readonly _tag: "Nothing" }
  | { readonly _tag: "Removed"; readonly revision: number; readonly reason: "delete" | "purge" | "expire" | "reset" }
  | { readonly _tag: "Live"; readonly revision: number; readonly record: InstanceRecord }
  /** Something lives there that is no record. */
  | { readonly _tag: "Undecodable"; readonly revision: number }

/** What a heartbeat that lost its compare-and-set means. */
export type HeartbeatDecision =
  /** Our own write at another revision: one that landed late, or an update. Go on from there. */
  | { readonly _tag: "Adopt"; readonly revision: number; readonly record: InstanceRecord }
  /** Forgotten by age or cleaned up: register again, on exactly the message that was read. */
  | { readonly _tag: "RegisterAgain"; readonly revision: number }
  /** Another process has the id. */
  | { readonly _tag: "Taken" }
  /** Somebody deregistered us on purpose. */
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

/** What a process that wants to register finds. */
export type RegisterDecision =
  /** Nothing, or a record whose owner has sent no heartbeat for too long: write, on exactly that message. */
  | { readonly _tag: "Write"; readonly revision: number }
  /** Our own first write, whose answer was lost. */
  | { readonly _tag: "Own"; readonly revision: number; readonly record: InstanceRecord }
  /** Another process, and it may be alive. */
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

/** The meaning of the last message for a process that leaves. */
export type LeaveDecision =
  /** Our own record: delete it, on exactly that revision. */
  | { readonly _tag: "Delete"; readonly revision: number }
  /** An unanswered write of ours is conditioned on exactly this message: it may land. */
  | { readonly _tag: "MayLand" }
  /** Nothing of ours is there, and nothing of ours can come. */
  | { readonly _tag: "Gone" }

/** `mayLandOn`: the condition of an unanswered write, 0 for a key without a message. */
export const whileLeaving = (nonce: string, seen: LastSeen, mayLandOn: number | undefined): LeaveDecision => {
  if (seen._tag === "Live" && seen.record.nonce === nonce) return { _tag: "Delete", revision: seen.revision }
  const shown = seen._tag === "Nothing" ? 0 : seen.revision
  return { _tag: mayLandOn === shown ? "MayLand" : "Gone" }
}
