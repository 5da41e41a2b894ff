/**
 * Checks that the answers of a store are linearizable.
 *
 * A store with several clients is linearizable if every operation can be placed at
 * one moment between its invocation and its answer. `recorder` records each operation
 * with its client, its times and its answer; `check` searches for such moments, key
 * by key, and returns the smallest part of a history for which there are none. It
 * checks the guarantees of `KVStore`: values, conditions and revisions, also where a
 * write was not answered and may have landed, now, later, or never.
 *
 * @since 0.1.0
 */
import type { KVOptions, KVStore } from "../KVStore.ts"
import { check as checkHistory } from "./internal/linearizability/check.ts"
import { format as formatVerdict } from "./internal/linearizability/describe.ts"
import { recorder as makeRecorder } from "./internal/linearizability/recording.ts"

/**
 * An operation on a key. Values are text: two are the same value where their
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
 * The answer to an operation.
 *
 * **Details**
 *
 * - `None` and `Found` answer a get, `Written` a put, `Removed` a delete or a
 *   purge, whose own revision is not in the answer
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
  /** Undefined: there was no answer, and the outcome does not count. */
  readonly returned: number | undefined
  readonly input: Input
  readonly outcome: Outcome
}

/**
 * The options of a check.
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
 * The result of a check.
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
 * The history or the options are not valid: nothing was checked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Malformed {
  readonly _tag: "Malformed"
  /** The first operation that is not valid; undefined where an option is not. */
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

/**
 * The options of a recorder.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecorderOptions {
  /** The name of the client. Several recorders may write to one history. */
  readonly process: string
  /** The time now, by a clock that all recorders of a history share and that never goes back. */
  readonly now: () => number
  /** Takes the operations: each when it begins, and again in its place when it is answered. */
  readonly history: Array<Operation>
  /**
   * Called with each operation and its place in the history: at its beginning before the
   * store is asked, and again with its answer. For a log in a file, in case the process
   * crashes.
   */
  readonly log?: ((operation: Operation, place: number) => void) | undefined
  /** Text for a value; different values need different texts. Default: UTF-8, and hexadecimal where it is none. */
  readonly encode?: ((value: Uint8Array) => string) | undefined
}

/**
 * Checks whether there is an order of the operations of each key that explains all
 * answers, and in which no operation comes before one that was answered before it
 * began. Pure.
 *
 * **Details**
 *
 * A key holds nothing (revision 0), a value or a tombstone. A landed write has a
 * greater revision than all before it. A removal's revision is not in its answer: it is
 * any that later answers leave possible. Conditions are those of `put`, `delete`
 * and `purge`; of `whenKey` only the write is checked. Over all keys, no
 * revision is given twice, and none that is smaller than one that was known
 * before the write began.
 *
 * The algorithm is Wing and Gong's with Lowe's memory of points that lead
 * nowhere. Revisions decide most of the order, so that a history of hundreds of
 * thousands of operations takes a second or two. One that takes more than
 * `maxSteps` is `Undecided`.
 *
 * **Gotchas**
 *
 * A history that is not valid (an answer before its invocation, a time that is no
 * number), and options that are not, are `Malformed`. The history must have every write to its keys, also those that failed on the
 * way. Values that expire are not modelled: use a bucket without an age limit.
 *
 * **Example** (A lost write)
 *
 * ```ts
 * const put = { process: "a", key: "x", invoked: 0, returned: 1, input: { _tag: "Put", value: "1" },
 *   outcome: { _tag: "Written", revision: 1 } } as const
 * const get = { process: "b", key: "x", invoked: 2, returned: 3, input: { _tag: "Get" },
 *   outcome: { _tag: "None" } } as const
 * Linearizability.check([put, get])._tag // => "NotLinearizable"
 * ```
 *
 * @category checking
 * @since 0.1.0
 */
export const check: (history: ReadonlyArray<Operation>, options?: Options) => Verdict = checkHistory

/**
 * Formats a verdict as text: of a history that is not linearizable a table of its
 * smallest part, process by process, with bars that show what overlaps.
 *
 * @category formatting
 * @since 0.1.0
 */
export const format: (verdict: Verdict) => string = formatVerdict

/**
 * Makes stores that record: each `get`, `put`, `delete` and `purge` is added to the
 * history. Other operations are not recorded.
 *
 * **Details**
 *
 * A write that is interrupted has an unknown outcome. Failures other than
 * `OutcomeUnknown` and refusals count as having written nothing, as `KVStore`
 * guarantees. Options that are not valid do not throw: the recorded operations fail
 * with `InvalidConfig`.
 *
 * **Example** (Two processes)
 *
 * ```ts
 * const history: Array<Linearizability.Operation> = []
 * const recorded = (process: string) =>
 *   Linearizability.recorder({ process, history, now: () => performance.now() })
 * const a = recorded("a")(store)
 * const b = recorded("b")(store)
 * ```
 *
 * @category recording
 * @since 0.1.0
 */
export const recorder: (options: RecorderOptions) => (store: KVStore["Service"]) => KVStore["Service"] = makeRecorder
