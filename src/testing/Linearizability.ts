/**
 * Checks that a key-value store with several clients is linearizable.
 *
 * A history is linearizable if every operation takes effect at one moment between its
 * call and its response. `recorder` records the operations of clients with their times
 * and responses. `check` searches for these moments, key by key. If it finds none, it
 * returns the smallest part of the history that is not linearizable.
 *
 * The check includes the guarantees of `KVStore` about values, conditions and
 * revisions. A write without a response may take effect at any later time, or never.
 *
 * @since 0.1.0
 */
import type { KVOptions, KVStore } from "../KVStore.ts"
import { check as checkHistory } from "./internal/linearizability/check.ts"
import { format as formatVerdict } from "./internal/linearizability/describe.ts"
import { recorder as makeRecorder } from "./internal/linearizability/recording.ts"

/**
 * The request of an operation on a key.
 *
 * **Details**
 *
 * Values are compared as text: two values are equal if their texts are equal.
 *
 * - `Get` reads the key
 * - `Put` writes a value, on the conditions in `options`
 * - `Remove` deletes or purges the key, on condition of `revision` if it is defined
 *
 * @category models
 * @since 0.1.0
 */
export type Input =
  | {
    /** Discriminator of `Input`. */
    readonly _tag: "Get"
  }
  | {
    /** Discriminator of `Input`. */
    readonly _tag: "Put"
    /** The value as text. */
    readonly value: string
    /** The options of the call, with its conditions. */
    readonly options?: KVOptions | undefined
  }
  | {
    /** Discriminator of `Input`. */
    readonly _tag: "Remove"
    /** The method that was called. */
    readonly operation: "delete" | "purge"
    /** The expected revision. Undefined: no condition. */
    readonly revision?: number | undefined
  }

/**
 * The response to an operation.
 *
 * **Details**
 *
 * - `None` and `Found`: responses to a get
 * - `Written`: the response to a put
 * - `Removed`: the response to a delete or purge. It does not contain the revision of the
 *   removal
 * - `Refused`: a condition did not hold, and nothing was written
 * - `Unknown`: the write may take effect at any time after its call, even after the
 *   response, or never
 * - `Failed`: nothing was read or written. `check` ignores the operation
 *
 * @category models
 * @since 0.1.0
 */
export type Outcome =
  | {
    /** Discriminator of `Outcome`. */
    readonly _tag: "None"
  }
  | {
    /** Discriminator of `Outcome`. */
    readonly _tag: "Found"
    /** The value that was read, as text. */
    readonly value: string
    /** The revision of the value. */
    readonly revision: number
  }
  | {
    /** Discriminator of `Outcome`. */
    readonly _tag: "Written"
    /** The revision of the write. */
    readonly revision: number
  }
  | {
    /** Discriminator of `Outcome`. */
    readonly _tag: "Removed"
  }
  | {
    /** Discriminator of `Outcome`. */
    readonly _tag: "Refused"
    /** The reason of the `KVStoreError`. */
    readonly reason: "KeyAlreadyExists" | "KeyNotFound" | "RevisionMismatch"
  }
  | {
    /** Discriminator of `Outcome`. */
    readonly _tag: "Unknown"
  }
  | {
    /** Discriminator of `Outcome`. */
    readonly _tag: "Failed"
  }

/**
 * One operation of one process.
 *
 * **Details**
 *
 * Times are numbers from ONE monotonic clock for the whole history, or another
 * increasing sequence. An operation that begins at the time at which another returned
 * counts as concurrent with it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Operation {
  /** The name of the client process. */
  readonly process: string
  /** The key. */
  readonly key: string
  /** When the operation was called. */
  readonly invoked: number
  /** When the operation returned. Undefined: there was no response, and `outcome` is ignored. */
  readonly returned: number | undefined
  /** The request. */
  readonly input: Input
  /** The response. */
  readonly outcome: Outcome
}

/**
 * Options for `check`.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /**
   * The content of keys at the beginning of the history: `nothing`, or `anything` for a bucket that was used before.
   * Default `"nothing"`.
   */
  readonly initial?: Initial | undefined
  /**
   * Whether a `RevisionMismatch` is also accepted if another write to the key was in progress between the call and the
   * response, whatever its outcome. Replicated NATS servers refuse writes in this case. Use false for a single server.
   * Default true.
   */
  readonly conflictsInFlight?: boolean | undefined
  /** The maximum number of search steps for a key before the result is `Undecided`. Default 2,000,000. */
  readonly maxSteps?: number | undefined
}

/**
 * The content of keys at the beginning of a history: nothing, or unknown values.
 *
 * @category models
 * @since 0.1.0
 */
export type Initial = "nothing" | "anything"

/**
 * The result of `check`.
 *
 * @category models
 * @since 0.1.0
 */
export type Verdict = Linearizable | NotLinearizable | Undecided | Malformed

/**
 * The history is linearizable: for every key, one order of its operations explains all
 * responses.
 *
 * @category models
 * @since 0.1.0
 */
export interface Linearizable {
  /** Discriminator of `Verdict`. */
  readonly _tag: "Linearizable"
  /** The number of keys. */
  readonly keys: number
  /** The number of operations. */
  readonly operations: number
}

/**
 * The history is not linearizable: no order of the operations explains all responses.
 *
 * @category models
 * @since 0.1.0
 */
export interface NotLinearizable {
  /** Discriminator of `Verdict`. */
  readonly _tag: "NotLinearizable"
  /** The key. Undefined if the revisions of different keys contradict each other. */
  readonly key: string | undefined
  /**
   * The smallest part of the history that is not linearizable. `check` with the same options and this `initial` reports
   * it as `NotLinearizable` too. A write that returned after the end of this part, or began before its start, has the
   * outcome `Unknown`.
   */
  readonly shortest: ReadonlyArray<Operation>
  /** The content of keys at the beginning of `shortest`. */
  readonly initial: Initial
  /** The contradiction in one sentence. */
  readonly explanation: string
}

/**
 * The history or an option is invalid: nothing was checked.
 *
 * @category models
 * @since 0.1.0
 */
export interface Malformed {
  /** Discriminator of `Verdict`. */
  readonly _tag: "Malformed"
  /** The first invalid operation. Undefined if an option, or the history as a whole, is invalid. */
  readonly operation: Operation | undefined
  /** The invalid field, with its expected and its actual value. */
  readonly explanation: string
}

/**
 * The search exceeded `maxSteps` for some keys. The other keys are linearizable.
 *
 * @category models
 * @since 0.1.0
 */
export interface Undecided {
  /** Discriminator of `Verdict`. */
  readonly _tag: "Undecided"
  /** The keys without a result. */
  readonly keys: ReadonlyArray<string>
  /** The number of operations in the history. */
  readonly operations: number
  /** The keys without a result, in one sentence. */
  readonly explanation: string
}

/**
 * Options for `recorder`.
 *
 * @category models
 * @since 0.1.0
 */
export interface RecorderOptions {
  /** The name of the client process. Several recorders may share one history. */
  readonly process: string
  /** Returns the current time. All recorders of a history share one monotonic clock. */
  readonly now: () => number
  /** Receives the operations. The recorder adds an operation at its call and replaces it at its response. */
  readonly history: Array<Operation>
  /**
   * Receives each operation and its index in `history`, first before the call of the store and again with the response.
   * A log in a file preserves the history if the process crashes.
   */
  readonly log?: ((operation: Operation, place: number) => void) | undefined
  /**
   * Converts a value to text. Different values must have different texts. Default: UTF-8, or `hex:` and hexadecimal
   * digits for other bytes.
   */
  readonly encode?: ((value: Uint8Array) => string) | undefined
}

/**
 * Checks whether a history is linearizable. A pure function.
 *
 * **Details**
 *
 * A history is linearizable if, for each key, one order of its operations explains all
 * responses, and no operation is ordered before an operation that returned before it
 * was called.
 *
 * A key has no value (revision 0), a value, or a tombstone. A write has a higher revision
 * than all earlier writes to the key. A removal has any revision that later responses
 * allow. The conditions of `put`, `delete` and `purge` must explain refusals; for
 * `whenKey` only the write is checked. Over all keys, no revision is assigned twice, and
 * a write has a higher revision than every revision that was known before its call.
 *
 * The algorithm is that of Wing and Gong, with Lowe's cache of visited states. Revisions
 * determine most of the order, so hundreds of thousands of operations take one or two
 * seconds.
 *
 * **Gotchas**
 *
 * The history must contain every write to its keys, including failed writes. Values that
 * expire are not modelled: use a bucket without `streamMaxAge`. An invalid history (a response
 * before its call, a time that is NaN) or an invalid option is `Malformed`.
 *
 * **Example** (A lost write)
 *
 * ```ts
 * import * as assert from "node:assert/strict"
 * import { Linearizability } from "effect-aegis/testing"
 *
 * const put: Linearizability.Operation = {
 *   process: "a",
 *   key: "x",
 *   invoked: 0,
 *   returned: 1,
 *   input: { _tag: "Put", value: "1" },
 *   outcome: { _tag: "Written", revision: 1 }
 * }
 * const get: Linearizability.Operation = {
 *   process: "b",
 *   key: "x",
 *   invoked: 2,
 *   returned: 3,
 *   input: { _tag: "Get" },
 *   outcome: { _tag: "None" }
 * }
 *
 * assert.equal(Linearizability.check([put, get])._tag, "NotLinearizable")
 * ```
 *
 * @category checking
 * @since 0.1.0
 */
export const check: (history: ReadonlyArray<Operation>, options?: Options) => Verdict = checkHistory

/**
 * Formats the result of `check` as text. `NotLinearizable` is formatted as a table of its
 * smallest part, one row per operation, sorted by process and time. Bars beside the rows
 * show which operations overlap.
 *
 * @category formatting
 * @since 0.1.0
 */
export const format: (verdict: Verdict) => string = formatVerdict

/**
 * Returns a function that wraps a store and records each `get`, `put`, `delete` and
 * `purge` in a history. Other operations are not recorded.
 *
 * **Details**
 *
 * A write that is interrupted, dies, or fails with `OutcomeUnknown` has the outcome
 * `Unknown`. A condition that did not hold is `Refused`. All other failures are `Failed`:
 * `KVStore` guarantees that such a write has written nothing. Invalid options do not
 * throw; the recorded operations fail with `InvalidConfig`.
 *
 * **Example** (Two processes)
 *
 * ```ts
 * import * as assert from "node:assert/strict"
 * import * as Effect from "effect/Effect"
 * import { KVStore } from "effect-aegis"
 * import { Linearizability } from "effect-aegis/testing"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* KVStore.KVStore
 *   const history: Array<Linearizability.Operation> = []
 *   const recordedBy = (process: string) =>
 *     Linearizability.recorder({ process, history, now: () => performance.now() })(store)
 *   const a = recordedBy("a")
 *   const b = recordedBy("b")
 *   yield* Effect.all([a.put("x", new Uint8Array([1])), b.get("x")], { concurrency: "unbounded" })
 *   return Linearizability.check(history)
 * }).pipe(Effect.provide(KVStore.layerMemory({ bucket: "jobs" })))
 *
 * const verdict = await Effect.runPromise(program)
 * assert.equal(verdict._tag, "Linearizable")
 * ```
 *
 * @category recording
 * @since 0.1.0
 */
export const recorder: (options: RecorderOptions) => (store: KVStore["Service"]) => KVStore["Service"] = makeRecorder
