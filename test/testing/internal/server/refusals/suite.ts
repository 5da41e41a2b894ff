/**
 * How a server refuses messages without space for them, and of users without a right. The same cases run on the simulated server and on real ones, by
 * the protocol alone.
 */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { MessageHeaders } from "../../../../../src/internal/nats/port.ts"
import { expecting, purge, tombstone } from "../../../../support/simulatedServer.ts"

export type Test = (title: string, body: () => Effect.Effect<void, unknown, Scope.Scope>) => void

export interface Answer {
  /** 0, or the status in its headers. */
  readonly status: number
  readonly text: string
}

/** A server with the stream KV_b, and a client. */
export interface Peer {
  /** Sends a request. Undefined: no answer within half a second. */
  readonly ask: (
    subject: string,
    body?: string | object,
    headers?: MessageHeaders
  ) => Effect.Effect<Answer | undefined>
  readonly pass: (millis: number) => Effect.Effect<void>
  /** Creates a consumer of all messages and pulls without end. Returns the keys that it delivers, and `idle`. */
  readonly consume: Effect.Effect<ReadonlyArray<string>>
}

/** A peer whose storage the test fills. */
export interface Fillable extends Peer {
  readonly fill: Effect.Effect<void>
  readonly free: Effect.Effect<void>
}

/** A peer whose client has a user of its own. */
export interface Restricted extends Peer {
  /** The subjects of the messages that the server has denied. */
  readonly denied: ReadonlyArray<string>
  readonly revoke: (right: "read" | "write") => Effect.Effect<void>
  readonly giveBack: Effect.Effect<void>
  /** Sends a request of another user. */
  readonly askAsOther: Peer["ask"]
}

interface Parsed {
  readonly seq?: number
  readonly duplicate?: boolean
  readonly success?: boolean
  readonly error?: { readonly err_code: number; readonly description: string }
  readonly state?: { readonly messages: number; readonly last_seq: number }
  readonly message?: { readonly seq: number }
}

const parsed = (answer: Answer | undefined): Parsed => answer === undefined ? {} : JSON.parse(answer.text)

const operations = ({ ask }: Peer) => ({
  /** The sequence of a stored message, its sequence as a negative number if it was a duplicate, or an error. */
  write: (key: string, value = "", headers: MessageHeaders = []) =>
    Effect.map(ask(`$KV.b.${key}`, value, headers), (answer) => {
      if (answer?.status === 503) return "no responders"
      const { duplicate, error, seq } = parsed(answer)
      return error?.err_code ?? (duplicate === true ? -seq! : seq)
    }),
  direct: (key: string) => Effect.map(ask(`$JS.API.DIRECT.GET.KV_b.$KV.b.${key}`), (answer) => answer?.text),
  atLeader: (key: string) =>
    Effect.map(ask("$JS.API.STREAM.MSG.GET.KV_b", { last_by_subj: `$KV.b.${key}` }), (answer) => parsed(answer)),
  state: Effect.map(ask("$JS.API.STREAM.INFO.KV_b"), (answer) => parsed(answer).state),
  purgeSubject: (key: string) =>
    Effect.map(ask("$JS.API.STREAM.PURGE.KV_b", { filter: `$KV.b.${key}` }), (answer) => parsed(answer).success)
})

/** Repeats an effect for up to ten seconds, until it returns the expected value. */
const becomes = <A>({ pass }: Peer, effect: Effect.Effect<A>, expected: A): Effect.Effect<void> =>
  Effect.gen(function*() {
    let last = yield* effect
    for (let left = 100; left > 0 && last !== expected; left--) {
      yield* pass(100)
      last = yield* effect
    }
    assert.deepStrictEqual(last, expected)
  })

const id = (text: string) => ["Nats-Msg-Id", text] as const

export const full = (test: Test, start: (stream?: object) => Effect.Effect<Fillable, unknown, Scope.Scope>) => {
  test("without space refuses every message, also markers, with error 10023, after all other checks", () =>
    Effect.gen(function*() {
      const peer = yield* start({ max_msg_size: 100 })
      const { state, write } = operations(peer)
      assert.strictEqual(yield* write("a", "1", [id("one")]), 1)
      yield* peer.fill
      const refused = [
        write("a", "2"),
        write("new"),
        write("a", "", expecting(1)),
        write("new", "", expecting(0)),
        write("a", "", tombstone),
        write("a", "", purge)
      ]
      for (const attempt of refused) assert.strictEqual(yield* attempt, 10_023)
      assert.strictEqual(yield* write("a", "", expecting(7)), 10_071)
      assert.strictEqual(yield* write("a", "x".repeat(101)), 10_054)
      assert.strictEqual(yield* write("a", "1", [id("one")]), -1)
      assert.deepInclude(yield* state, { messages: 1, last_seq: 1 })
      yield* peer.free
      assert.strictEqual(yield* write("a", "2", expecting(1)), 2)
    }))

  test("without space answers reads, delivers to consumers, and removes messages by request", () =>
    Effect.gen(function*() {
      const peer = yield* start()
      const { atLeader, direct, purgeSubject, write } = operations(peer)
      yield* write("a", "1")
      yield* write("b", "2")
      const before = yield* peer.consume
      yield* peer.fill
      const words = yield* peer.consume
      assert.deepStrictEqual([yield* direct("a"), (yield* atLeader("b")).message?.seq], ["1", 2])
      yield* peer.pass(2500)
      for (const heard of [before, words]) {
        assert.deepStrictEqual(heard.slice(0, 2), ["a", "b"])
        assert.isAtLeast(heard.filter((word) => word === "idle").length, 2)
      }
      assert.isTrue(yield* purgeSubject("b"))
      assert.isUndefined((yield* atLeader("b")).message)
      yield* peer.free
      yield* write("c")
      yield* peer.pass(100)
      for (const heard of [before, words]) assert.include(heard, "c")
    }))

  test("without space expires values, unless that needs a marker", () =>
    Effect.gen(function*() {
      const peer = yield* start({ max_age: 1_000_000_000 })
      const { state, write } = operations(peer)
      yield* peer.pass(10)
      yield* write("a")
      yield* peer.fill
      yield* becomes(peer, Effect.map(state, (now) => now?.messages), 0)
    }))
}

/** Servers with markers. */
export const fullWithMarkers = (
  test: Test,
  start: (stream?: object) => Effect.Effect<Fillable, unknown, Scope.Scope>
) => {
  test("without space for its marker a value does not expire; it does as soon as there is space", () =>
    Effect.gen(function*() {
      const peer = yield* start({
        max_age: 1_000_000_000,
        allow_msg_ttl: true,
        subject_delete_marker_ttl: 60_000_000_000
      })
      const { direct, state, write } = operations(peer)
      yield* write("a", "1")
      yield* peer.fill
      yield* peer.pass(2500)
      assert.deepStrictEqual([yield* direct("a"), (yield* state)?.last_seq], ["1", 1])
      yield* peer.free
      yield* becomes(peer, Effect.map(state, (now) => now?.last_seq), 2)
      assert.strictEqual(yield* direct("a"), "")
    }))
}

/** Three replicas. */
export const fullReplicas = (test: Test, start: Effect.Effect<Fillable, unknown, Scope.Scope>) => {
  test("with replicas and without space the leader steps down after a refused message; consumers go on", () =>
    Effect.gen(function*() {
      const peer = yield* start
      const { ask } = peer
      const { atLeader, direct, write } = operations(peer)
      assert.strictEqual(yield* write("a", "1"), 1)
      const heard = yield* peer.consume
      const leader = Effect.map(ask("$JS.API.STREAM.INFO.KV_b"), (answer) => {
        const { cluster, state } = JSON.parse(answer!.text)
        return [state.last_seq, cluster.leader === undefined || cluster.leader === "" ? "no leader" : "a leader"]
      })
      yield* becomes(peer, direct("a"), "1")
      assert.deepStrictEqual(yield* leader, [1, "a leader"])
      yield* peer.fill
      assert.strictEqual(yield* write("a", "2"), 10_023)
      yield* peer.pass(100)
      for (let second = 0; second < 5; second++) {
        assert.strictEqual(yield* write("a", "3"), "no responders")
        assert.deepStrictEqual(yield* leader, [1, "no leader"])
        assert.isUndefined((yield* atLeader("a")).message)
        assert.strictEqual(yield* direct("a"), "1")
        yield* peer.pass(1000)
      }
      assert.isAtLeast(heard.filter((word) => word === "idle").length, 4)
      yield* peer.free
      yield* becomes(peer, write("a", "4"), 2)
      yield* becomes(peer, Effect.sync(() => heard.filter((word) => word === "a").length), 2)
    }))
}

export const denied = (test: Test, start: Effect.Effect<Restricted, unknown, Scope.Scope>) => {
  test("drops messages of a user without the right to write, and reports them; reads and consumers go on", () =>
    Effect.gen(function*() {
      const peer = yield* start
      const { ask, askAsOther } = peer
      const { direct, state, write } = operations(peer)
      assert.strictEqual(yield* write("a", "1"), 1)
      const heard = yield* peer.consume
      yield* peer.revoke("write")
      for (const headers of [[], expecting(1), tombstone]) {
        assert.isUndefined(yield* ask("$KV.b.a", "2", headers))
      }
      assert.deepStrictEqual(peer.denied, ["$KV.b.a", "$KV.b.a", "$KV.b.a"])
      assert.strictEqual(yield* direct("a"), "1")
      assert.deepInclude(yield* state, { last_seq: 1 })
      assert.isDefined(yield* askAsOther("$KV.b.b", "2"))
      yield* peer.pass(1500)
      assert.deepStrictEqual([...new Set(heard)].toSorted(), ["a", "b", "idle"])
      yield* peer.giveBack
      assert.strictEqual(yield* write("a", "3", expecting(1)), 3)
      assert.strictEqual(peer.denied.length, 3)
    }))

  test("drops requests of a user without the right to read, and reports them; its running pull goes on", () =>
    Effect.gen(function*() {
      const peer = yield* start
      const { ask, askAsOther } = peer
      const { direct, write } = operations(peer)
      yield* write("a", "1")
      const heard = yield* peer.consume
      yield* becomes(peer, Effect.sync(() => heard[0]), "a")
      yield* peer.revoke("read")
      const subjects = [
        "$JS.API.STREAM.INFO.KV_b",
        "$JS.API.STREAM.MSG.GET.KV_b",
        "$JS.API.DIRECT.GET.KV_b.$KV.b.a",
        "$JS.API.DIRECT.GET.KV_b",
        "$JS.API.CONSUMER.CREATE.KV_b.new.$KV.b.>",
        "$JS.API.CONSUMER.INFO.KV_b.new",
        "$JS.API.CONSUMER.MSG.NEXT.KV_b.new",
        "$JS.API.CONSUMER.DELETE.KV_b.new"
      ]
      for (const subject of subjects) assert.isUndefined(yield* ask(subject, {}))
      assert.deepStrictEqual(peer.denied, subjects)
      assert.strictEqual(yield* write("a", "2"), 2)
      assert.isDefined(yield* askAsOther("$KV.b.b", "2"))
      yield* becomes(peer, Effect.sync(() => heard.filter((word) => word !== "idle").join()), "a,a,b")
      yield* peer.giveBack
      assert.strictEqual(yield* direct("a"), "2")
    }))
}
