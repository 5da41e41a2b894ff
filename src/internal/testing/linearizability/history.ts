/**
 * What a history of a store says, and what a checker says of it.
 */
import type { KVOptions } from "../../../KVStore.ts"

/**
 * What was asked of a key. Values are text: two are the same value where their
 * texts are equal.
 *
 * @category models
 * @since 0.1.0
 */
export type Input =
  | { readonly _tag: "Get" }
  | { readonly _tag: "Put"; readonly value: string; readonly options?: KVOptions | undefined }
  | { readonly _tag: "Remove"; readonly operation: "delete" | "purge"; readonly revision?: number | undefined }

/**
 * What the caller was told.
 *
 * **Details**
 *
 * - `None` and `Found` answer a get, `Written` a put, `Removed` a delete or a
 *   purge, whose own revision is not told
 * - `Refused`: a condition did not hold, and nothing was written
 * - `Unknown`: a write that may have landed at any time from its invocation on,
 *   also after the answer, or never
 * - `Failed`: nothing was read, and nothing was written. It constrains nothing
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome =
  | { readonly _tag: "None" }
  | { readonly _tag: "Found"; readonly value: string; readonly revision: number }
  | { readonly _tag: "Written"; readonly revision: number }
  | { readonly _tag: "Removed" }
  | { readonly _tag: "Refused"; readonly reason: "KeyAlreadyExists" | "KeyNotFound" | "RevisionMismatch" }
  | { readonly _tag: "Unknown" }
  | { readonly _tag: "Failed" }

/**
 * One operation of one process. Its times are numbers by ONE clock that never
 * goes back, or any other stamps that are in order; what begins at the very time
 * at which another ended counts as overlapping it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Operation {
  readonly process: string
  readonly key: string
  readonly invoked: number
  /** Undefined: there was no answer, and the outcome is not looked at. */
  readonly returned: number | undefined
  readonly input: Input
  readonly outcome: Outcome
}

/**
 * How to check.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * What keys hold when the history begins: nothing (default), or anything, for
   * a bucket that was used before.
   */
  readonly initial?: Initial | undefined
  /**
   * Whether a `RevisionMismatch` is also right where another write to the key
   * was under way at some time between question and answer, whatever became of
   * it. A replicated server refuses so. Default true; false is stricter, and
   * right for a server on its own.
   */
  readonly conflictsInFlight?: boolean | undefined
  /** How many steps to try with one key before it is `Undecided`. Default 2,000,000. */
  readonly maxSteps?: number | undefined
}

/**
 * What keys hold when a history begins.
 *
 * @category models
 * @since 0.1.0
 */
export type Initial = "nothing" | "anything"

/**
 * What a checker found.
 *
 * @category models
 * @since 0.1.0
 */
export type Verdict = Linearizable | NotLinearizable | Undecided | Malformed

/**
 * For every key there is an order of its operations that explains all answers.
 *
 * @category models
 * @since 0.1.0
 */
export interface Linearizable {
  readonly _tag: "Linearizable"
  readonly keys: number
  readonly operations: number
}

/**
 * No order explains the answers. `shortest` is what is left of the history when
 * everything is taken away that need not be there: `check` refuses it too, with
 * the same options and this `initial`.
 *
 * **Details**
 *
 * A write that was answered after the end of what is left, or begun before its
 * start, is there as one of unknown outcome. `key` is undefined where the
 * revisions of different keys contradict each other.
 *
 * @category models
 * @since 0.1.0
 */
export interface NotLinearizable {
  readonly _tag: "NotLinearizable"
  readonly key: string | undefined
  readonly shortest: ReadonlyArray<Operation>
  readonly initial: Initial
  readonly explanation: string
}

/**
 * What was given is no history: nothing can be said of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Malformed {
  readonly _tag: "Malformed"
  /** The first operation that is none, where one is to blame. */
  readonly operation: Operation | undefined
  readonly explanation: string
}

/**
 * These keys took more than `maxSteps`; the others are linearizable.
 *
 * @category models
 * @since 0.1.0
 */
export interface Undecided {
  readonly _tag: "Undecided"
  readonly keys: ReadonlyArray<string>
  readonly operations: number
  readonly explanation: string
}
