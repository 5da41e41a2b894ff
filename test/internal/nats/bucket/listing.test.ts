/** The requests of a listing, to a server with prepared answers. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Semaphore from "effect/Semaphore"
import { one } from "../../../../src/internal/filters.ts"
import { make } from "../../../../src/internal/nats/bucket/listing.ts"
import type { JetStream } from "../../../../src/internal/nats/jetstream/api.ts"
import { ApiAccess } from "../../../../src/internal/nats/jetstream/apiAccess.ts"
import type { KeptMessage } from "../../../../src/internal/nats/jetstream/messages.ts"
import type { PullWindow } from "../../../../src/internal/nats/jetstream/pullWindow.ts"
import type { Batch } from "../../../../src/internal/nats/jetstream/reads.ts"
import { readReason } from "../../../../src/internal/nats/jetstream/reasons.ts"
import type { PortFailure } from "../../../../src/internal/nats/port.ts"
import type { KVStoreReason } from "../../../../src/KVStoreError.ts"
import { Unavailable } from "../../../../src/KVStoreError.ts"
import { type FakeConsumer, makeServer as makeFakeServer, pass, settle } from "../../../support/fakeServer.ts"

const prefix = "$KV.b."

const kept = (subject: string, revision: number): KeptMessage => ({
  subject,
  revision,
  created: 0,
  header: () => "",
  data: new Uint8Array(0)
})

/** A server that has these keys, and answers a batch request with the result of `give`. */
const makeServer = (
  names: ReadonlyArray<string>,
  give: (subjects: ReadonlyArray<string>) => Batch<KeptMessage> | PortFailure,
  maxPayload = 1_000_000
) => {
  const state = { canBatch: true }
  const asked: Array<ReadonlyArray<string>> = []
  const singles: Array<string> = []
  const unused = (): never => assert.fail("a listing must not call this here")
  const js: JetStream = {
    access: new ApiAccess(),
    port: {
      outage: unused,
      server: () => ({ version: "2.11.0", maxPayload, jetstream: true, cluster: undefined }),
      isConnected: unused,
      isClosed: unused,
      inbox: unused,
      publish: unused,
      subscribe: unused,
      onLink: unused,
      ping: unused,
      release: unused
    },
    window: { singles: Semaphore.makeUnsafe(16) } as PullWindow,
    pull: unused,
    pullSubject: unused,
    publish: unused,
    lastMessage: unused,
    messageAt: unused,
    lastMessages: ({ subjects }, _timeout, read) =>
      Effect.suspend(() => {
        asked.push(subjects)
        const given = give(subjects)
        return "_tag" in given
          ? Effect.fail(given)
          : Effect.succeed({ isComplete: given.isComplete, messages: given.messages.map(read) })
      }),
    streamInfo: unused,
    account: unused,
    createStream: unused,
    updateStream: unused,
    deleteStream: unused,
    streamNames: unused,
    purgeSubject: unused,
    subjects: () => Effect.succeed({ names: names.map((name) => `${prefix}${name}`), lastRevision: 100, meanSize: 10 }),
    createConsumer: unused,
    consumerInfo: unused,
    deleteConsumer: unused
  }
  const read = <A>(request: Effect.Effect<A, PortFailure>): Effect.Effect<A, KVStoreReason> =>
    Effect.mapError(request, readReason)
  const listing = make({
    js,
    stream: "KV_b",
    prefix,
    timeout: 1000,
    read,
    readDirect: (request, otherwise) =>
      Effect.catch(
        request,
        (failure) => failure._tag === "NoResponders" ? otherwise : Effect.fail(readReason(failure))
      ),
    canBatch: () => state.canBatch,
    bytes: () => 0,
    last: (key) =>
      Effect.sync(() => {
        singles.push(key)
        const message = { key, revision: 1, created: 0, operation: "put" as const, value: new Uint8Array(0) }
        return names.includes(key) ? Option.some(message) : Option.none()
      }),
    followOptions: {
      js,
      stream: "KV_b",
      prefix,
      timeout: 1000,
      read,
      info: Effect.never,
      silentRemoval: () => "purge",
      reach: { watch: unused },
      saw: unused,
      onRestart: () => Effect.void
    }
  })
  return { listing, asked, singles, state }
}

const isPattern = (subjects: ReadonlyArray<string>) => subjects[0] === `${prefix}>`

describe("a listing", () => {
  it.effect("is one request if the answer has all messages, and returns them in order of revisions", () =>
    Effect.gen(function*() {
      const server = makeServer(["a", "b"], () => ({
        isComplete: true,
        messages: [kept(`${prefix}b`, 2), kept(`${prefix}a`, 1)]
      }))
      const messages = yield* server.listing.lastOfEach(one(">"), "values")
      assert.deepStrictEqual(messages.map(({ key }) => key), ["a", "b"])
      assert.deepStrictEqual(server.asked, [[`${prefix}>`]])
    }))

  it.effect("reads pages of names if one answer cannot hold all messages", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 2500 }, (_, index) => `k${index}`)
      const server = makeServer(names, (subjects) =>
        isPattern(subjects)
          ? { isComplete: false, messages: [] }
          : { isComplete: true, messages: subjects.map((subject) => kept(subject, Number(subject.slice(6)))) })
      const messages = yield* server.listing.lastOfEach(one(">"), "values")
      assert.deepStrictEqual(messages.map(({ key }) => key), names)
      assert.deepStrictEqual(server.asked.map((subjects) => subjects.length), [1, 1000, 1000, 500])
    }))

  it.effect("requests again only the messages that an answer had no room for", () =>
    Effect.gen(function*() {
      const names = ["a", "b", "c", "d", "e"]
      const server = makeServer(names, (subjects) => ({
        isComplete: !isPattern(subjects) && subjects.length <= 2,
        messages: isPattern(subjects) ? [] : subjects.slice(0, 2).map((subject) => kept(subject, 1))
      }))
      const messages = yield* server.listing.lastOf(names)
      assert.deepStrictEqual(messages.map(({ key }) => key).toSorted(), names)
      assert.deepStrictEqual(server.asked.map((subjects) => subjects.length), [5, 3, 1])
    }))

  it.effect("reads keys one by one if an answer has no message", () =>
    Effect.gen(function*() {
      const server = makeServer(["a", "b"], () => ({ isComplete: false, messages: [] }))
      const messages = yield* server.listing.lastOf(["a", "b", "c"])
      assert.deepStrictEqual(messages.map(({ key }) => key), ["a", "b"])
      assert.deepStrictEqual(server.singles, ["a", "b", "c"])
    }))

  const refusals: ReadonlyArray<readonly [string, PortFailure]> = [
    ["an older replica answers with status 408", { _tag: "Api", code: 408, description: "Empty Request" }],
    ["no replica answers, because direct access is off", { _tag: "NoResponders" }]
  ]
  for (const [when, refusal] of refusals) {
    it.effect(`reads the keys of a page one by one if ${when}`, () =>
      Effect.gen(function*() {
        const names = Array.from({ length: 1500 }, (_, index) => `k${index}`)
        const server = makeServer(names, (subjects) =>
          subjects.length === 1000
            ? refusal
            : { isComplete: true, messages: subjects.map((subject) => kept(subject, 1)) })
        const messages = yield* server.listing.lastOf(names)
        assert.deepStrictEqual(messages.map(({ key }) => key).toSorted(), names.toSorted())
        assert.deepStrictEqual(server.singles, names.slice(0, 1000))
      }))
  }

  it.effect("requests no further batch once batches are known not to be supported", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 3 }, (_, index) => `k${index}`)
      const server = makeServer(names, () => {
        server.state.canBatch = false
        return { isComplete: false, messages: [kept(`${prefix}k0`, 1)] }
      })
      assert.strictEqual((yield* server.listing.lastOf(names)).length, 3)
      assert.deepStrictEqual([server.asked.length, server.singles], [1, ["k1", "k2"]])
    }))

  it.effect("fails with another refusal of the server", () =>
    Effect.gen(function*() {
      const server = makeServer(["a"], () => ({ _tag: "Api", code: 10026, description: "a limit" }))
      assert.strictEqual((yield* Effect.flip(server.listing.lastOf(["a"])))._tag, "Rejected")
    }))

  it.effect("halves a page whose request is too large, or whose first message is, and reads only the rest one by one", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 100 }, (_, index) => `k${index}`)
      const server = makeServer(names, (subjects) =>
        subjects.length > 30
          ? { _tag: "TooLarge", size: 600, limit: 512 }
          : subjects[0] === `${prefix}k50`
          ? { isComplete: false, messages: [] }
          : { isComplete: true, messages: subjects.map((subject) => kept(subject, 1)) })
      const messages = yield* server.listing.lastOf(names)
      assert.deepStrictEqual(messages.map(({ key }) => key).toSorted(), names.toSorted())
      assert.deepStrictEqual(server.singles, ["k50", "k51"])
      assert.isBelow(server.asked.length, 20)
    }))

  it.effect("sends no request for no keys", () =>
    Effect.gen(function*() {
      const server = makeServer([], () => assert.fail("no request is expected"))
      assert.deepStrictEqual(yield* server.listing.lastOf([]), [])
    }))

  it.effect("of names is one request in a small bucket, and reads pages of names if the answer has not all", () =>
    Effect.gen(function*() {
      const names = ["a", "b", "c"]
      const messages = names.map((name, n) => kept(`${prefix}${name}`, n + 1))
      const small = makeServer(names, () => ({ isComplete: true, messages }))
      assert.strictEqual((yield* small.listing.lastOfEach(one(">"), "names")).length, 3)
      assert.deepStrictEqual(small.asked, [[`${prefix}>`]])
      const grown = makeServer(
        names,
        (subjects) => isPattern(subjects) ? { isComplete: false, messages: [] } : { isComplete: true, messages }
      )
      assert.strictEqual((yield* grown.listing.lastOfEach(one(">"), "names")).length, 3)
      assert.deepStrictEqual(grown.asked, [[`${prefix}>`], names.map((name) => `${prefix}${name}`)])
    }))

  /** Starts a listing by a consumer of a server that the test controls. */
  const collect = Effect.fnUntraced(function*(pending: number) {
    const server = yield* makeFakeServer
    server.state.pending = pending
    const unused = (): never => assert.fail("a listing by a consumer must not call this")
    const read = <A, E>(request: Effect.Effect<A, E>): Effect.Effect<A, KVStoreReason> =>
      Effect.mapError(request, () => new Unavailable({ problem: "not connected" }))
    const info = Effect.succeed({
      ...server.stream,
      config: {},
      ts: undefined,
      messages: 0,
      bytes: 0,
      deleted: 0,
      hasLeader: true
    })
    const common = { js: server.js, stream: "KV_b", prefix, timeout: 1000, read }
    const saw = () => undefined
    const listing = make({
      ...common,
      readDirect: unused,
      canBatch: () => false,
      bytes: () => 0,
      last: unused,
      followOptions: {
        ...common,
        info,
        silentRemoval: () => "purge",
        reach: { watch: unused },
        saw,
        onRestart: () => Effect.void
      }
    })
    const fiber = yield* Effect.forkScoped(listing.collect(one(">"), "snapshot", false))
    yield* settle
    return { server, fiber }
  })

  it.effect("by a consumer ends with the first message that was stored after its beginning", () =>
    Effect.gen(function*() {
      const { fiber, server } = yield* collect(2)
      const [{ value }] = server.consumers as [FakeConsumer]
      value(50, 1, 1)
      yield* settle
      assert.isUndefined(fiber.pollUnsafe())
      // Clients write as fast as the listing reads, so nothing pending is never reported.
      value(101, 2, 5)
      yield* settle
      assert.deepStrictEqual((yield* Fiber.join(fiber)).map(({ key }) => key), ["k50", "k101"])
      assert.deepStrictEqual(server.deleted, [server.consumers[0]!.settings.name])
    }))

  it.effect("by a consumer that delivers nothing fails with Unavailable after three timeouts", () =>
    Effect.gen(function*() {
      const { fiber } = yield* collect(1)
      yield* pass(2900)
      assert.isUndefined(fiber.pollUnsafe())
      yield* pass(200)
      assert.strictEqual((yield* Effect.flip(Fiber.join(fiber)))._tag, "Unavailable")
    }))
})

describe("pages of names", () => {
  const sizes = Effect.fnUntraced(function*(names: ReadonlyArray<string>, maxPayload?: number) {
    const { asked, listing } = makeServer(names, (subjects) => ({
      isComplete: true,
      messages: subjects.map((subject, index) => kept(subject, index))
    }), maxPayload)
    const found = yield* listing.lastOf(names)
    assert.deepStrictEqual(found.map(({ key }) => key).toSorted(), names.toSorted())
    assert.deepStrictEqual(asked.flat(), names.map((name) => `${prefix}${name}`))
    return asked.map((page) => page.length)
  })

  it.effect("have at most 1,000 names and 256 KiB", () =>
    Effect.gen(function*() {
      const short = Array.from({ length: 2001 }, (_, index) => `k${index}`)
      assert.deepStrictEqual(yield* sizes(short), [1000, 1000, 1])
      const long = Array.from({ length: 600 }, (_, index) => String(index).padStart(1024 - prefix.length, "k"))
      assert.deepStrictEqual(yield* sizes(long), [255, 255, 90])
      assert.deepStrictEqual(yield* sizes([]), [])
    }))

  it.effect("have at most as many bytes as the server accepts", () =>
    Effect.gen(function*() {
      const names = Array.from({ length: 20 }, (_, index) => String(index).padStart(97 - prefix.length, "k"))
      assert.deepStrictEqual(yield* sizes(names, 512), [4, 4, 4, 4, 4])
      assert.deepStrictEqual(yield* sizes(names, 64), names.map(() => 1))
    }))
})
