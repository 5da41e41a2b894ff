/** The state machine of a watch: its states, and what to do when its consumer has nothing left. */
import { assert, describe, it } from "@effect/vitest"
import {
  type CaughtUp,
  type CaughtUpStep,
  nextState,
  type WatchChange,
  WatchProgress,
  type WatchState,
  whenCaughtUp
} from "../../../../src/internal/nats/bucket/watchState.ts"
import type { StreamInfo } from "../../../../src/internal/nats/jetstream/api.ts"

const states: ReadonlyArray<WatchState> = ["First", "Snapshot", "Live", "Resuming", "Resetting"]
const changes: ReadonlyArray<WatchChange> = ["same stream", "another stream", "caught up"]

describe("the next state of a watch", () => {
  const table: Record<WatchState, readonly [same: WatchState, another: WatchState, caughtUp: WatchState]> = {
    First: ["Snapshot", "Snapshot", "First"],
    Snapshot: ["Snapshot", "Resetting", "Live"],
    Live: ["Resuming", "Resetting", "Live"],
    Resuming: ["Resuming", "Resetting", "Live"],
    Resetting: ["Resetting", "Resetting", "Live"]
  }
  for (const state of states) {
    for (const [index, change] of changes.entries()) {
      it(`after ${state} and "${change}" is ${table[state][index]}`, () =>
        assert.strictEqual(nextState(state, change), table[state][index]))
    }
  }
})

describe("when the consumer has nothing left, a watch", () => {
  const nothing: CaughtUp = {
    hasMore: false,
    owesComparison: false,
    waitsForEnd: true,
    hasEnd: false,
    isComplete: false
  }
  const beforeReady: ReadonlyArray<readonly [known: Partial<CaughtUp>, step: CaughtUpStep]> = [
    [{}, "find end"],
    [{ owesComparison: true }, "find end"],
    [{ hasEnd: true }, "wait"],
    [{ hasEnd: true, owesComparison: true }, "wait"],
    [{ hasEnd: true, isComplete: true }, "become ready"],
    [{ hasEnd: true, isComplete: true, owesComparison: true }, "become ready"],
    [{ waitsForEnd: false }, "become ready"],
    [{ waitsForEnd: false, owesComparison: true }, "become ready"],
    [{ hasMore: true }, "wait"],
    [{ hasMore: true, waitsForEnd: false }, "wait"],
    [{ hasMore: true, hasEnd: true, isComplete: true }, "wait"]
  ]
  const table: ReadonlyArray<readonly [WatchState, Partial<CaughtUp>, CaughtUpStep]> = [
    ...(["First", "Snapshot", "Resetting"] as const).flatMap((state) =>
      beforeReady.map(([known, step]) => [state, known, step] as const)
    ),
    ["Live", {}, "nothing"],
    ["Live", { owesComparison: true }, "compare"],
    ["Live", { hasMore: true }, "nothing"],
    ["Resuming", {}, "compare"],
    ["Resuming", { owesComparison: true }, "compare"]
  ]
  for (const [state, known, step] of table) {
    it(`in ${state} with ${JSON.stringify(known)}: ${step}`, () =>
      assert.strictEqual(whenCaughtUp(state, { ...nothing, ...known }), step))
  }
})

describe("the next consumer of a watch", () => {
  const info = (config: StreamInfo["config"]): StreamInfo => ({
    config: { num_replicas: 1, ...config },
    created: "2026-11-01T00:00:00Z",
    ts: undefined,
    messages: 0,
    bytes: 0,
    lastRevision: 100,
    deleted: 0,
    hasLeader: true
  })
  const put = (revision: number) => ({
    key: "a",
    revision,
    created: 0,
    operation: "put" as const,
    value: new Uint8Array()
  })

  it("continues a snapshot after the cursor if the stream keeps one message per key, else starts it again", () => {
    for (const [max_msgs_per_subject, startAt] of [[1, 51], [5, undefined], [-1, undefined]] as const) {
      const progress = new WatchProgress("snapshot", "watch")
      progress.begin(info({ max_msgs_per_subject }))
      assert.isUndefined(progress.startAt)
      progress.passed(put(50), "a")
      progress.begin(info({ max_msgs_per_subject }))
      assert.strictEqual(progress.startAt, startAt)
      progress.caughtUp()
      assert.strictEqual(progress.startAt, 51)
    }
  })

  it("continues after messages that the reader does not want, and does not count their keys as given", () => {
    const progress = new WatchProgress("snapshot", "watch")
    progress.begin(info({ max_msgs_per_subject: 1 }))
    progress.skipped(60)
    assert.strictEqual(progress.startAt, 61)
    assert.isFalse(progress.hasGiven)
    assert.isTrue(progress.isAnother({ ...info({ max_msgs_per_subject: 1 }), lastRevision: 59 }))
  })

  it("starts with a snapshot on another stream", () => {
    const progress = new WatchProgress("snapshot", "watch")
    progress.begin(info({ max_msgs_per_subject: 1 }))
    progress.passed(put(50), "a")
    progress.caughtUp()
    assert.strictEqual(progress.begin({ ...info({ max_msgs_per_subject: 1 }), lastRevision: 10 }), "reset")
    assert.deepStrictEqual([progress.state, progress.startAt], ["Resetting", undefined])
    assert.deepStrictEqual(progress.formerNotIn(new Set(["b"])), [{ subject: "a", revision: 50 }])
  })

  it("after two resets reports the keys of both former streams, each with its last revision", () => {
    const progress = new WatchProgress("snapshot", "watch")
    progress.begin(info({}))
    progress.passed(put(50), "a")
    progress.passed(put(60), "b")
    assert.strictEqual(progress.begin({ ...info({}), lastRevision: 30 }), "reset")
    progress.passed(put(21), "c")
    assert.strictEqual(progress.begin({ ...info({}), lastRevision: 10 }), "reset")
    const gone = () => progress.formerNotIn(new Set()).map(({ revision, subject }) => `${subject}@${revision}`)
    assert.deepStrictEqual(gone(), ["c@21", "a@50", "b@60"])
    progress.passed(put(4), "a")
    assert.deepStrictEqual(gone(), ["c@21", "b@60"])
    assert.strictEqual(progress.begin({ ...info({}), lastRevision: 3 }), "reset")
    assert.deepStrictEqual(gone(), ["a@4", "c@21", "b@60"])
  })
})
