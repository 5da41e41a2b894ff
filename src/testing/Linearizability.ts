/**
 * Whether what a store answered can be true: a checker of histories.
 *
 * A store of several clients is linearizable if every operation can be thought of
 * as done at one moment between its question and its answer. `recorder` writes
 * down who asked what, when, and what the answer was; `check` looks for such
 * moments, key by key, and shows the smallest part of a history for which there
 * are none. What it holds a key to is what `KVStore` promises: values, conditions
 * and revisions, also where a write was not answered and may have landed, now,
 * later, or never.
 *
 * @since 0.1.0
 */
import { check as checkHistory } from "../internal/testing/linearizability/check.ts"
import { format as formatVerdict } from "../internal/testing/linearizability/describe.ts"
import type { Operation, Options, Verdict } from "../internal/testing/linearizability/history.ts"
import { recorder as makeRecorder } from "../internal/testing/linearizability/recording.ts"
import type { KVStore } from "../KVStore.ts"

export type {
  Initial,
  Input,
  Linearizable,
  Malformed,
  NotLinearizable,
  Operation,
  Options,
  Outcome,
  Undecided,
  Verdict
} from "../internal/testing/linearizability/history.ts"

/**
 * Says whether there is an order of the operations of each key that explains all
 * answers, and that puts nothing before what was answered before it began.
 *
 * **Details**
 *
 * A key holds nothing (revision 0), a value or a tombstone. A landed write has a
 * greater revision than all before it. A removal's revision is not told: it is
 * whatever later answers leave possible. Conditions are those of `put`, `delete`
 * and `purge`; of `whenKey` only the write is looked at. Over all keys, no
 * revision is given twice, and none that is smaller than one that was known
 * before the write began.
 *
 * The algorithm is Wing and Gong's with Lowe's memory of points that lead
 * nowhere. Revisions tell most of the order, so that a history of hundreds of
 * thousands of operations takes a second or two. One that takes more than
 * `maxSteps` is `Undecided`, and never passed over.
 *
 * **Gotchas**
 *
 * What is no history (an answer before its question, a time that is no number) is
 * `Malformed`. The history must have every write to its keys, also those that failed on the
 * way. Values that age away are not known of: use a bucket without an age limit.
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
 * Writes a verdict for people: of a history that cannot be right a table of its
 * smallest part, process by process, with bars that show what overlaps.
 *
 * @category formatting
 * @since 0.1.0
 */
export const format: (verdict: Verdict) => string = formatVerdict

/**
 * What a recorder needs.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecorderOptions {
  /** Who asks. Several recorders may write to one history. */
  readonly process: string
  /** The time now, by a clock that all recorders of a history share and that never goes back. */
  readonly now: () => number
  /** Where operations go: each when it begins, and again in its place when it is answered. */
  readonly history: Array<Operation>
  /**
   * Told the same, with the operation's place in the history: of its beginning
   * before the store is asked. For who writes to a file, in case the process
   * itself does not come back.
   */
  readonly log?: ((operation: Operation, place: number) => void) | undefined
  /** Text for a value; different values need different texts. Default: UTF-8, and hexadecimal where it is none. */
  readonly encode?: ((value: Uint8Array) => string) | undefined
}

/**
 * Makes stores record: what is asked of the store that it gives with `get`, `put`,
 * `delete` and `purge` is in the history. All else goes on as before, unrecorded.
 *
 * **Details**
 *
 * A write that is interrupted has an unknown outcome. Failures other than
 * `OutcomeUnknown` and refusals count as having written nothing, as `KVStore`
 * promises.
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
