/** Requests over a connection that the test controls. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import type { Grant } from "../../../../src/internal/nats/jetstream/pullWindow.ts"
import { make, type Requester } from "../../../../src/internal/nats/jetstream/requester.ts"
import type { LinkEvent, NatsMessage, NatsPort, PortFailure } from "../../../../src/internal/nats/port.ts"
import { grow } from "../../../support/pullWindows.ts"

const nothing = new Uint8Array(0)

const makeLink = () => {
  const sent: Array<{ readonly subject: string; readonly reply: string | undefined }> = []
  const links = new Set<(event: LinkEvent) => void>()
  const pings: Array<(error?: unknown) => void> = []
  const inboxes = new Map<string, (message: NatsMessage) => void>()
  const state = { refuses: undefined as Error | undefined, released: false }
  const unused = (): never => assert.fail("a request must not call this")
  const port: NatsPort = {
    isConnected: unused,
    isClosed: unused,
    outage: unused,
    server: () => ({ version: "2.15.1", maxPayload: 100, jetstream: true, cluster: undefined }),
    inbox: () => "_INBOX.x",
    publish: (subject, _data, _headers, reply) => {
      if (state.refuses !== undefined) throw state.refuses
      sent.push({ subject, reply })
    },
    subscribe: (subject, onMessage) => {
      inboxes.set(subject, onMessage)
      return () => inboxes.delete(subject)
    },
    onLink: (listener) => {
      links.add(listener)
      return () => links.delete(listener)
    },
    ping: (done) => void pings.push(done),
    release: () => {
      state.released = true
    }
  }
  const tell = (event: LinkEvent) => [...links].forEach((listener) => listener(event))
  /** A client drops a subscription that the server denies. */
  const deny = () => {
    inboxes.delete("_INBOX.x.*")
    tell({ _tag: "Denied", operation: "subscription", subject: "_INBOX.x.*" })
  }
  /** Answers the n-th request. */
  const answer = (index: number, status = 0, data = "", header = (_name: string) => "") =>
    inboxes.get("_INBOX.x.*")?.({
      subject: sent[index]!.reply!,
      reply: undefined,
      status,
      description: "",
      header,
      data: new TextEncoder().encode(data)
    })
  return { port, sent, inboxes, links, pings, state, tell, deny, answer }
}

const many = (subject: string, expected = 1, what = "a listing") => ({ subject, what, expected, data: () => nothing })

const textOf = ({ data }: NatsMessage) => new TextDecoder().decode(data)

const ask = (requester: Requester, subject: string, timeout = 1000) =>
  Effect.forkScoped(Effect.map(requester.request(subject, nothing, [], timeout), textOf), { startImmediately: true })

/** The failure of a request, which must have ended already. */
const failureOf = <A>(fiber: Fiber.Fiber<A, PortFailure>) => {
  assert.isDefined(fiber.pollUnsafe(), "the request has ended")
  return Effect.flip(Fiber.join(fiber))
}

/** How many large pulls are granted now. */
const grantsOf = ({ window }: Requester) => {
  let granted = 0
  for (let n = 0; n < 20; n++) window.ask("large", { what: "", atLeast: 0, granted: () => granted++ })()
  return granted
}

const settle = Effect.replicateEffect(Effect.yieldNow, 5, { discard: true })

describe("requests", () => {
  it.effect("report a lost connection to the window, whose pause ends in time", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      yield* settle
      grow(requester.window)
      assert.strictEqual(grantsOf(requester), 6)
      link.tell({ _tag: "Disconnected" })
      yield* settle
      assert.strictEqual(grantsOf(requester), 0)
      yield* TestClock.adjust("1 second")
      link.tell({ _tag: "Connected" })
      assert.isAbove(grantsOf(requester), 0)
    }))

  it.effect("a request without time left ends at once and is not sent; later requests still time out", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      // The timer waits for the first request.
      yield* settle
      const late = yield* ask(requester, "a", -1)
      assert.deepStrictEqual(yield* failureOf(late), { _tag: "Timeout" })
      assert.deepStrictEqual(link.sent, [])
      const next = yield* ask(requester, "b", 500)
      yield* TestClock.adjust(500)
      assert.deepStrictEqual(yield* failureOf(next), { _tag: "Timeout" })
    }))

  it.effect("each answer reaches its request, in any order", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const first = yield* ask(requester, "a")
      const second = yield* ask(requester, "b")
      assert.deepStrictEqual(link.sent.map(({ subject }) => subject), ["a", "b"])
      link.answer(1, 0, "for b")
      link.answer(0, 0, "for a")
      link.answer(0, 0, "again")
      assert.deepStrictEqual([yield* Fiber.join(first), yield* Fiber.join(second)], ["for a", "for b"])
    }))

  it.effect("all requests share one subscription", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      for (const subject of ["a", "b", "c"]) yield* ask(requester, subject)
      assert.deepStrictEqual([...link.inboxes.keys()], ["_INBOX.x.*"])
    }))

  it.effect("each request times out at its deadline, and not before", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const long = yield* ask(requester, "long", 5000)
      yield* TestClock.adjust("50 millis")
      const short = yield* ask(requester, "short", 1000)
      yield* TestClock.adjust("999 millis")
      assert.isUndefined(short.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* failureOf(short), { _tag: "Timeout" })
      yield* TestClock.adjust("3949 millis")
      assert.isUndefined(long.pollUnsafe())
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* failureOf(long), { _tag: "Timeout" })
      // The timer continues after a time without requests.
      const next = yield* ask(requester, "next", 1000)
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(yield* failureOf(next), { _tag: "Timeout" })
    }))

  it.effect("a request with a shorter timeout than the pending ones times out at most 100 ms late", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      yield* ask(requester, "long", 5000)
      yield* TestClock.adjust("1 millis")
      const short = yield* ask(requester, "short", 10)
      yield* TestClock.adjust("110 millis")
      assert.deepStrictEqual(yield* failureOf(short), { _tag: "Timeout" })
    }))

  const cause = new Error("reported by the client")

  const endings: ReadonlyArray<readonly [string, LinkEvent, PortFailure]> = [
    ["the connection is lost", { _tag: "Disconnected" }, {
      _tag: "ConnectionLost",
      problem: "the connection was lost"
    }],
    ["the connection is closed", { _tag: "Closed" }, { _tag: "ConnectionLost", problem: "the connection was closed" }],
    [
      "its subject is refused",
      { _tag: "Denied", operation: "publish", subject: "a" },
      { _tag: "Denied", subject: "a" }
    ],
    [
      "its inbox is refused",
      { _tag: "Denied", operation: "subscription", subject: "_INBOX.x.*" },
      { _tag: "Denied", subject: "_INBOX.x.*", wasSent: true }
    ],
    [
      "the connection is lost for a reason that the client reports",
      { _tag: "Disconnected", cause },
      { _tag: "ConnectionLost", problem: "the connection was lost", cause }
    ],
    [
      "the connection is closed for a reason that the client reports",
      { _tag: "Closed", cause },
      { _tag: "ConnectionLost", problem: "the connection was closed", cause }
    ],
    [
      "its subject is refused, which the client reports",
      { _tag: "Denied", operation: "publish", subject: "a", cause },
      { _tag: "Denied", subject: "a", cause }
    ]
  ]

  for (const [how, event, failure] of endings) {
    it.effect(`a pending request ends at once when ${how}`, () =>
      Effect.gen(function*() {
        const link = makeLink()
        const requester = yield* make(link.port)
        const fiber = yield* ask(requester, "a")
        link.tell(event)
        yield* settle
        assert.deepStrictEqual(yield* failureOf(fiber), failure)
      }))
  }

  it.effect("a request that is repeated as soon as it has failed is a new request", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const twice = Effect.catch(
        requester.request("a", nothing, [], 1000),
        () => requester.request("a", nothing, [], 1000)
      )
      const fiber = yield* Effect.forkScoped(Effect.map(twice, textOf), { startImmediately: true })
      link.tell({ _tag: "Denied", operation: "publish", subject: "a" })
      yield* settle
      link.answer(1, 0, "fine")
      assert.strictEqual(yield* Fiber.join(fiber), "fine")
    }))

  it.effect("the refusal of another subject or inbox does not end a request", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const fiber = yield* ask(requester, "a")
      link.tell({ _tag: "Denied", operation: "publish", subject: "b" })
      link.tell({ _tag: "Denied", operation: "subscription", subject: "_INBOX.y.*" })
      link.answer(0, 0, "fine")
      assert.strictEqual(yield* Fiber.join(fiber), "fine")
    }))

  it.effect("of several requests with a denied subject any may have been executed", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const fibers = [yield* ask(requester, "a"), yield* ask(requester, "a")]
      link.tell({ _tag: "Denied", operation: "publish", subject: "a" })
      yield* settle
      for (const fiber of fibers) {
        assert.deepStrictEqual(yield* failureOf(fiber), { _tag: "Denied", subject: "a", wasSent: true })
      }
    }))

  const refusedA: LinkEvent = { _tag: "Denied", operation: "publish", subject: "a" }
  const unclear: PortFailure = { _tag: "Denied", subject: "a", wasSent: true }
  const clear: PortFailure = { _tag: "Denied", subject: "a" }

  it.effect("a denial can be that of an earlier request, which was given up before its answer", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      yield* Fiber.interrupt(yield* ask(requester, "a"))
      const second = yield* ask(requester, "a")
      link.tell(refusedA)
      assert.deepStrictEqual(yield* failureOf(second), unclear)
      // One of the two was denied, so another denial may be that of the other one.
      const third = yield* ask(requester, "a")
      link.tell(refusedA)
      assert.deepStrictEqual(yield* failureOf(third), unclear)
      const timedOut = yield* ask(requester, "a")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(yield* failureOf(timedOut), { _tag: "Timeout" })
      const other = yield* ask(requester, "b")
      link.tell({ ...refusedA, subject: "b" })
      assert.deepStrictEqual(yield* failureOf(other), { ...clear, subject: "b" })
    }))

  it.effect("a denial is that of the request, if all earlier ones were answered, are long ago, or were on another connection", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const refused = Effect.gen(function*() {
        const fiber = yield* ask(requester, "a")
        link.tell(refusedA)
        return yield* failureOf(fiber)
      })
      const giveUp = Effect.flatMap(ask(requester, "a"), Fiber.interrupt)
      yield* giveUp
      link.answer(0, 0, "late")
      assert.deepStrictEqual(yield* refused, clear)
      yield* giveUp
      yield* TestClock.adjust("31 seconds")
      assert.deepStrictEqual(yield* refused, clear)
      yield* giveUp
      link.tell({ _tag: "Disconnected" })
      link.tell({ _tag: "Connected" })
      assert.deepStrictEqual(yield* refused, clear)
      // Two requests and two denials: nothing is left.
      const both = [yield* ask(requester, "a"), yield* ask(requester, "a")]
      link.tell(refusedA)
      for (const fiber of both) assert.deepStrictEqual(yield* failureOf(fiber), unclear)
      link.tell(refusedA)
      assert.deepStrictEqual(yield* refused, clear)
    }))

  const denied: PortFailure = { _tag: "Denied", subject: "_INBOX.x.*" }

  it.effect("while its inbox is denied no request is sent, until the next connection, which has the inbox again", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      link.deny()
      assert.deepStrictEqual(yield* Effect.flip(requester.request("a", nothing, [], 1000)), denied)
      assert.deepStrictEqual(link.sent, [])
      link.tell({ _tag: "Connected" })
      const fiber = yield* ask(requester, "a")
      link.answer(0, 0, "fine")
      assert.strictEqual(yield* Fiber.join(fiber), "fine")
    }))

  it.effect("a denied inbox is subscribed again after 2 s, and requests are sent when the server has answered a ping", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      link.deny()
      yield* TestClock.adjust(1999)
      assert.deepStrictEqual(yield* Effect.flip(requester.request("a", nothing, [], 1000)), denied)
      assert.deepStrictEqual([link.inboxes.size, link.pings.length], [0, 0])
      yield* TestClock.adjust(1)
      const fibers = [yield* ask(requester, "a"), yield* ask(requester, "b")]
      assert.deepStrictEqual([link.inboxes.size, link.pings.length, link.sent.length], [1, 1, 0])
      link.pings[0]!()
      yield* settle
      assert.deepStrictEqual(link.sent.map(({ subject }) => subject), ["a", "b"])
      for (const [index, fiber] of fibers.entries()) {
        link.answer(index, 0, `fine ${index}`)
        assert.strictEqual(yield* Fiber.join(fiber), `fine ${index}`)
      }
    }))

  it.effect("an inbox that is denied again is subscribed at most every 10 s", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      link.deny()
      yield* TestClock.adjust(2000)
      for (const tries of [1, 2, 3]) {
        const fiber = yield* ask(requester, "a")
        assert.strictEqual(link.pings.length, tries)
        link.deny()
        link.pings.at(-1)!()
        assert.deepStrictEqual(yield* failureOf(fiber), denied)
        yield* TestClock.adjust(9999)
        assert.deepStrictEqual(yield* Effect.flip(requester.request("a", nothing, [], 1000)), denied)
        assert.strictEqual(link.pings.length, tries)
        yield* TestClock.adjust(1)
      }
      assert.deepStrictEqual(link.sent, [])
    }))

  const unanswered: ReadonlyArray<readonly [string, (link: ReturnType<typeof makeLink>) => void, string]> = [
    ["the server does not answer the ping", () => undefined, "the server does not answer a ping"],
    ["the connection is lost", ({ tell }) => tell({ _tag: "Disconnected" }), "the connection was lost"],
    ["the client cannot ping", ({ pings }) => pings[0]!(new Error("closing")), "the connection was lost"]
  ]
  for (const [when, happen, problem] of unanswered) {
    it.effect(`a request that waits for its inbox was not sent if ${when}`, () =>
      Effect.gen(function*() {
        const link = makeLink()
        const requester = yield* make(link.port)
        link.deny()
        yield* TestClock.adjust(2000)
        const fiber = yield* ask(requester, "a")
        happen(link)
        yield* TestClock.adjust(1000)
        const failure = yield* failureOf(fiber)
        assert.strictEqual(failure._tag, "NotSent")
        assert.deepInclude(failure, { problem })
        assert.deepStrictEqual(link.sent, [])
        link.tell({ _tag: "Connected" })
        link.pings[0]!()
        const later = yield* ask(requester, "a")
        link.answer(0, 0, "fine")
        assert.strictEqual(yield* Fiber.join(later), "fine")
      }))
  }

  it.effect("an interrupted request does not wait for its inbox", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      link.deny()
      yield* TestClock.adjust(2000)
      yield* Fiber.interrupt(yield* ask(requester, "a"))
      link.pings[0]!()
      yield* settle
      assert.deepStrictEqual(link.sent, [])
    }))

  it.effect("status 503 is NoResponders, and an empty answer is an answer", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const nobody = yield* ask(requester, "a")
      const empty = yield* ask(requester, "b")
      link.answer(0, 503)
      link.answer(1)
      yield* settle
      assert.deepStrictEqual(yield* failureOf(nobody), { _tag: "NoResponders" })
      assert.strictEqual(yield* Fiber.join(empty), "")
    }))

  it.effect("a stored message is an answer, whatever status it was published with", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const sequence = (name: string) => name === "Nats-Sequence" ? "7" : ""
      const one = yield* ask(requester, "a")
      const all = yield* Effect.forkScoped(requester.requestMany(many("b"), 1000, textOf), {
        startImmediately: true
      })
      link.answer(0, 503, "", sequence)
      link.answer(1, 404, "1", sequence)
      link.answer(1, 204)
      assert.strictEqual(yield* Fiber.join(one), "")
      assert.deepStrictEqual((yield* Fiber.join(all)).answers, ["1"])
    }))

  it.effect("a request that the client refuses is NotSent", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      link.state.refuses = new Error("draining")
      const failure = yield* Effect.flip(requester.request("a", nothing, [], 1000))
      assert.deepStrictEqual(failure, { _tag: "NotSent", problem: "draining", cause: link.state.refuses })
    }))

  it.effect("a request whose headers and data exceed max_payload is TooLarge, and is not sent", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const headers = [["N", "1"]] as const
      const headerSize = "NATS/1.0\r\nN: 1\r\n\r\n".length
      const failure = yield* Effect.flip(requester.request("a", new Uint8Array(101 - headerSize), headers, 1000))
      assert.deepStrictEqual(failure, { _tag: "TooLarge", size: 101, limit: 100 })
      assert.deepStrictEqual(link.sent, [])
      yield* Effect.forkScoped(requester.request("a", new Uint8Array(100 - headerSize), headers, 1000), {
        startImmediately: true
      })
      assert.strictEqual(link.sent.length, 1)
    }))

  it.effect("an interrupted request ignores answers, events and its deadline", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const fiber = yield* ask(requester, "a")
      yield* Fiber.interrupt(fiber)
      link.answer(0, 0, "late")
      link.tell({ _tag: "Disconnected" })
      yield* TestClock.adjust("1 minute")
    }))

  it.effect("requestMany returns all answers before the one with a status", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const fiber = yield* Effect.forkScoped(requester.requestMany(many("a"), 1000, textOf), {
        startImmediately: true
      })
      link.answer(0, 0, "1")
      link.answer(0, 0, "2")
      link.answer(0, 204)
      link.answer(0, 0, "3")
      const { answers, end } = yield* Fiber.join(fiber)
      assert.deepStrictEqual([answers, end.status], [["1", "2"], 204])
    }))

  it.effect("requestMany returns no answers if the first one has a status", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const fiber = yield* Effect.forkScoped(requester.requestMany(many("a"), 1000, textOf), {
        startImmediately: true
      })
      link.answer(0, 404)
      const { answers, end } = yield* Fiber.join(fiber)
      assert.deepStrictEqual([answers, end.status], [[], 404])
    }))

  it.effect("requestMany times out when no answer has come for its timeout, however long it took until then", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const fiber = yield* Effect.forkScoped(requester.requestMany(many("a"), 1000, textOf), {
        startImmediately: true
      })
      for (const n of [1, 2, 3, 4, 5]) {
        yield* TestClock.adjust("900 millis")
        link.answer(0, 0, `${n}`)
      }
      yield* TestClock.adjust("900 millis")
      assert.isUndefined(fiber.pollUnsafe())
      yield* TestClock.adjust("200 millis")
      assert.deepStrictEqual(yield* failureOf(fiber), { _tag: "Timeout" })
    }))

  it.effect("requestMany waits for its part of the window, and gives it back with the last answer", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const limits: Array<number> = []
      const listing = (n: number) =>
        Effect.forkScoped(
          requester.requestMany(
            {
              ...many(`${n}`, 3_000_000),
              data: (limit) => {
                limits.push(limit)
                return nothing
              }
            },
            1000,
            textOf
          ),
          { startImmediately: true }
        )
      const first = yield* listing(1)
      const second = yield* listing(2)
      const small = yield* Effect.forkScoped(requester.requestMany(many("small", 1000), 1000, textOf), {
        startImmediately: true
      })
      assert.deepStrictEqual(link.sent.map(({ subject }) => subject), ["1", "small"])
      link.answer(1, 204)
      yield* Fiber.join(small)
      link.answer(0, 0, "1")
      link.answer(0, 204)
      yield* Fiber.join(first)
      assert.deepStrictEqual(link.sent.map(({ subject }) => subject), ["1", "small", "2"])
      link.answer(2, 204)
      yield* Fiber.join(second)
      assert.deepStrictEqual(limits, [1024 * 1024, 1024 * 1024])
    }))

  it.effect("requestMany that waits for the window ends with its timeout, with the connection, and with its caller", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const listing = Effect.forkScoped(requester.requestMany(many("a", 3_000_000), 1000, textOf), {
        startImmediately: true
      })
      const grants: Array<Grant> = []
      const ask = () =>
        requester.window.ask("large", { what: "", atLeast: 1024 * 1024, granted: (grant) => grants.push(grant) })
      ask()
      const late = yield* listing
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* failureOf(late), { _tag: "Timeout" })
      const lost = yield* listing
      link.tell({ _tag: "Disconnected" })
      yield* settle
      assert.strictEqual((yield* failureOf(lost))._tag, "ConnectionLost")
      // Large reads pause after the loss.
      yield* TestClock.adjust("1 second")
      ask()
      yield* Fiber.interrupt(yield* listing)
      grants.forEach((grant) => grant.end())
      assert.deepStrictEqual(link.sent, [])
      ask()
      assert.strictEqual(grants.length, 3)
    }))

  it.effect("requestMany keeps its part of the window until the last answer, also if its caller was interrupted", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const listing = Effect.forkScoped(requester.requestMany(many("a", 3_000_000), 1000, textOf), {
        startImmediately: true
      })
      yield* Fiber.interrupt(yield* listing)
      const next = yield* listing
      assert.strictEqual(link.sent.length, 1)
      link.answer(0, 0, "1")
      assert.strictEqual(link.sent.length, 1)
      link.answer(0, 204)
      assert.strictEqual(link.sent.length, 2)
      yield* Fiber.interrupt(next)
      const last = yield* listing
      yield* TestClock.adjust("1 second")
      assert.strictEqual(link.sent.length, 3)
      link.answer(2, 204)
      assert.deepStrictEqual((yield* Fiber.join(last)).answers, [])
    }))

  it.effect("requestMany times out if no answer has a status", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const requester = yield* make(link.port)
      const fiber = yield* Effect.forkScoped(requester.requestMany(many("a"), 1000, textOf), {
        startImmediately: true
      })
      link.answer(0, 0, "1")
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(yield* failureOf(fiber), { _tag: "Timeout" })
    }))

  it.effect("closing the scope removes the subscription and the listener, and ends pending requests", () =>
    Effect.gen(function*() {
      const link = makeLink()
      const scope = yield* Scope.make()
      const requester = yield* Scope.provide(make(link.port), scope)
      const fiber = yield* ask(requester, "a")
      yield* Scope.close(scope, Exit.void)
      yield* settle
      assert.strictEqual((yield* failureOf(fiber))._tag, "ConnectionLost")
      assert.deepStrictEqual([link.inboxes.size, link.links.size, link.state.released], [0, 0, true])
    }))
})
