/**
 * What every backend promises of an `Election`, as one suite: memory on virtual time and real servers run the same
 * cases with the same short times. A process is an election layer of its own, on a link of its own to the bucket that
 * all share; a fault is done on that link, so that one leader can be cut off while the others look on.
 */
import { assert, layer } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Order from "effect/Order"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Election from "../src/Election.ts"
import * as FencingToken from "../src/FencingToken.ts"
import { encode, fromEntry, fromRead, keyOf, type Seen } from "../src/internal/election/record.ts"
import * as KVStore from "../src/KVStore.ts"
import type * as Config from "../src/KVStoreConfig.ts"
import { Buckets, bytes, eventually, freshName, record } from "./KVStoreSuite.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/** A backend. */
export interface Backend {
  readonly kind: "memory" | "nats"
  /** Whether its time is the TestClock's. */
  readonly virtual: boolean
  readonly buckets: Layer.Layer<Buckets, unknown>
}

export type Store = KVStore.KVStore["Service"]

type Test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) => void

/** One request to the store. */
export interface Call {
  readonly operation: "get" | "put" | "delete" | "purge" | "history" | "keys" | "entries" | "watch" | "status"
  /** The key, or the filter. */
  readonly key: string
  /** When it was sent: milliseconds that only differences are taken of. */
  readonly sentAt: number
  /** What a put would write, and on which condition. */
  readonly seen?: Seen
  readonly options?: KVStore.KVOptions | undefined
}

/** What is done in place of a request; `run` does it. */
export type Fault = <A>(
  call: Call,
  run: Effect.Effect<A, KVStore.KVStoreError>
) => Effect.Effect<A, KVStore.KVStoreError>

// -----------------------------------------------------------------------------
// times
// -----------------------------------------------------------------------------

/** Milliseconds. Short, for the sake of the real clock; a busy machine may miss a renewal, and must not lose by it. */
export const lease = 2000
export const renewDeadline = 1400
export const renewEvery = 300

export const timings: Election.Timings = { lease, renewDeadline, renewEvery }

/** How long after a lease a crashed leader is replaced at the latest. */
const takeover = 500

/** Monotonic milliseconds of the test's own clock: subtract one from another. */
export const now: Effect.Effect<number> = Clock.clockWith((clock) =>
  Effect.sync(() => Number(clock.monotonicTimeNanosUnsafe()) / 1e6)
)

export type Until = ReturnType<typeof eventually>

/** Runs an effect while time goes on, and gives what it gives; one that does not end fails the test. */
export const finisher = (until: Until) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined), (hasEnded) => hasEnded)
    return yield* Fiber.join(fiber)
  })

// -----------------------------------------------------------------------------
// faults
// -----------------------------------------------------------------------------

const failing = (reason: KVStore.KVStoreReason): Fault => ({ key, operation }) =>
  Effect.fail(new KVStore.KVStoreError({ bucket: "faulty", operation, key, reason }))

/** The store cannot be reached: nothing is sent. */
export const away: Fault = failing(new KVStore.Unavailable({ problem: "cut off" }))

/** Nothing is sent, and nothing is answered. */
export const silent: Fault = () => Effect.never

/** It is done, and the answer says that nobody knows. */
export const answerLost: Fault = (call, run) =>
  Effect.andThen(run, failing(new KVStore.OutcomeUnknown({ problem: "the answer was lost" }))(call, run))

/** It is done, and never answered. */
export const unanswered: Fault = (_, run) => Effect.andThen(run, Effect.never)

/** It is done, and answered as if it had met another's write. */
export const answeredAsConflict: Fault = (call, run) =>
  Effect.andThen(run, failing(new KVStore.RevisionMismatch({ expected: 1 }))(call, run))

/** Nobody wrote, and it is not done: under concurrency servers answer so to most. */
export const conflict: Fault = failing(new KVStore.RevisionMismatch({ expected: 1 }))

export const denied: Fault = failing(new KVStore.PermissionDenied({ subject: "faulty" }))

/** Only these operations are faulty. */
export const on =
  (operations: Call["operation"] | ReadonlyArray<Call["operation"]>, fault: Fault): Fault => (call, run) =>
    operations.includes(call.operation) ? fault(call, run) : run

/** Faulty so many times, and then no more. */
export const times = (count: number, operation: Call["operation"], fault: Fault): Fault => {
  let left = count
  return (call, run) => Effect.suspend(() => call.operation === operation && left-- > 0 ? fault(call, run) : run)
}

/** The way of one process to the store, which may be disturbed. */
export interface Link {
  readonly layer: Layer.Layer<KVStore.KVStore, never, KVStore.KVStore>
  /** From now on; `undefined`: nothing is wrong any more. */
  readonly set: (fault: Fault | undefined) => Effect.Effect<void>
  /** Before a watch tells of anything. */
  readonly lag: (pause: Effect.Effect<void>) => Effect.Effect<void>
  /** Every watch that is open fails. */
  readonly loseWatches: Effect.Effect<void>
  /** What has been asked for. */
  readonly calls: Array<Call>
  /** The puts that have been answered well, the last one last. */
  readonly landed: Array<Call>
}

export const makeLink = (): Link => {
  let current: Fault | undefined
  let lag = Effect.void
  let watching = Deferred.makeUnsafe<never, KVStore.KVStoreError>()
  const calls: Array<Call> = []
  const landed: Array<Call> = []
  const through = <A>(call: Omit<Call, "sentAt">, run: Effect.Effect<A, KVStore.KVStoreError>) =>
    Effect.flatMap(now, (sentAt) => {
      const sent = { ...call, sentAt }
      calls.push(sent)
      const answer = current === undefined ? run : current(sent, run)
      return call.operation === "put" ? Effect.tap(answer, () => Effect.sync(() => landed.push(sent))) : answer
    })
  return {
    calls,
    landed,
    set: (fault) =>
      Effect.sync(() => {
        current = fault
      }),
    lag: (pause) =>
      Effect.sync(() => {
        lag = pause
      }),
    loseWatches: Effect.suspend(() => {
      const lost = watching
      watching = Deferred.makeUnsafe()
      return Effect.asVoid(Deferred.complete(lost, away({ operation: "watch", key: "", sentAt: 0 }, Effect.never)))
    }),
    layer: Layer.effect(
      KVStore.KVStore,
      Effect.map(KVStore.KVStore, (store) => ({
        config: store.config,
        clock: store.clock,
        get: (key) => through({ operation: "get", key }, store.get(key)),
        put: (key, value, options) => {
          const seen = fromEntry({ key, value, revision: 0, created: undefined as never })
          return through({ operation: "put", key, seen, options }, store.put(key, value, options))
        },
        delete: (key, options) => through({ operation: "delete", key }, store.delete(key, options)),
        purge: (key, options) => through({ operation: "purge", key }, store.purge(key, options)),
        history: (key) => through({ operation: "history", key }, store.history(key)),
        keys: (filter = ">") => through({ operation: "keys", key: filter }, store.keys(filter)),
        entries: (filter = ">") => through({ operation: "entries", key: filter }, store.entries(filter)),
        watch: (filter = ">", options) =>
          Stream.unwrap(through({ operation: "watch", key: filter }, Effect.sync(() => store.watch(filter, options))))
            .pipe(
              Stream.tap(() => lag),
              Stream.interruptWhen(Effect.suspend(() => Deferred.await(watching)))
            ),
        status: through({ operation: "status", key: "" }, store.status)
      }))
    )
  }
}

export const countOf = (link: Link, operation: Call["operation"]): number =>
  link.calls.filter((call) => call.operation === operation).length

/** Writes that were sent, and whether they were to hand over. */
export const vacantSent = (link: Link): boolean => link.calls.some(({ seen }) => seen?._tag === "Vacant")

/** Requests that are under way until the gate opens, whatever becomes of who waits for them. */
export const delayed = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const gate = Latch.makeUnsafe(false)
  const outcomes: Array<string> = []
  const fault: Fault = (_, run) =>
    Effect.flatMap(
      Effect.forkIn(
        gate.await.pipe(
          Effect.andThen(run),
          Effect.tap(() => Effect.sync(() => outcomes.push("landed"))),
          Effect.tapError((error) => Effect.sync(() => outcomes.push(error.reason._tag)))
        ),
        scope
      ),
      Fiber.join
    )
  return { fault, outcomes, open: gate.open }
})

// -----------------------------------------------------------------------------
// processes
// -----------------------------------------------------------------------------

/** A bucket of its own for a test, such as elections are held in. */
export const openBucket = Effect.fnUntraced(function*(options: Partial<Config.BucketOptions> = {}) {
  const context = yield* Layer.build((yield* Buckets).layer({ bucket: freshName(), ...options }))
  return Context.get(context, KVStore.KVStore)
})

/** An election layer with a link of its own to the store, on the clock of its host. */
export const startProcess = Effect.fnUntraced(function*(
  store: Store,
  options: { readonly timings?: Election.Timings; readonly clock?: Clock.Clock | undefined } = {}
) {
  const link = makeLink()
  const clock = options.clock ?? (yield* Clock.Clock)
  const context = yield* Layer.build(
    Election.layer({ timings: options.timings ?? timings }).pipe(
      Layer.provide(link.layer),
      Layer.provide(Layer.succeed(KVStore.KVStore, store))
    )
  ).pipe(Effect.provideService(Clock.Clock, clock))
  // What the layer asks of a bucket is not what a test counts.
  link.calls.length = 0
  return { link, clock, election: Context.get(context, Election.Election) }
})

export type Process = Effect.Success<ReturnType<typeof startProcess>>

/** The election that a test holds if it holds only one. */
export const only = "orders"

/** At the end of a test links are mended, and time goes on until everything is closed. */
const atLast = (process: Process, finish: Finish, close: Effect.Effect<unknown>) =>
  Effect.addFinalizer(() => Effect.andThen(process.link.set(undefined), finish(close)))

export type Finish = ReturnType<typeof finisher>

/** A candidate in the background, and what becomes of it. */
export const stand = Effect.fnUntraced(function*(
  process: Process,
  finish: Finish,
  candidateId: string,
  options: Election.CandidateOptions & { readonly election?: string } = {}
) {
  const closing = Deferred.makeUnsafe<void>()
  const own = yield* Clock.Clock
  const nowUnsafe = () => Number(own.monotonicTimeNanosUnsafe()) / 1e6
  const seen: {
    leadership?: Election.Leadership
    wonAt?: number
    reason?: Election.LossReason
    lostAt?: number
  } = {}
  const fiber = yield* Effect.gen(function*() {
    const leadership = yield* process.election.campaign(options.election ?? only, { candidateId, ...options })
    seen.leadership = leadership
    seen.wonAt = nowUnsafe()
    yield* Effect.forkScoped(Effect.map(leadership.lost, (reason) => {
      seen.reason = reason
      seen.lostAt = nowUnsafe()
    }))
    yield* Deferred.await(closing)
  }).pipe(Effect.scoped, Effect.provideService(Clock.Clock, process.clock), Effect.forkScoped)
  const close = Effect.andThen(Deferred.succeed(closing, undefined), Fiber.await(fiber))
  yield* atLast(process, finish, Effect.andThen(Deferred.succeed(closing, undefined), Fiber.interrupt(fiber)))
  return {
    seen,
    fiber,
    process,
    /** Undefined while it has not won. */
    leadership: () => seen.leadership!,
    hasWon: Effect.sync(() => seen.leadership !== undefined),
    isValid: Effect.suspend(() => seen.leadership?.isValid ?? Effect.succeed(false)),
    whyLost: Effect.sync(() => seen.reason),
    /** Closes the scope in which it leads, and waits until that is done. */
    close: finish(close),
    interrupt: finish(Fiber.interrupt(fiber))
  }
})

export type Seat = Effect.Success<ReturnType<typeof stand>>

/** Work in the background that runs while its candidate leads, and how it ends. */
export const employ = Effect.fnUntraced(function*<A, E>(
  process: Process,
  finish: Finish,
  candidateId: string,
  work: (leadership: Election.Leadership) => Effect.Effect<A, E, Scope.Scope>,
  options: Election.CandidateOptions & { readonly election?: string } = {}
) {
  const fiber = yield* process.election.whileLeader(
    options.election ?? only,
    (leadership) => Effect.scoped(work(leadership)),
    { candidateId, ...options }
  ).pipe(Effect.provideService(Clock.Clock, process.clock), Effect.forkScoped)
  yield* atLast(process, finish, Fiber.interrupt(fiber))
  return {
    process,
    fiber,
    hasEnded: Effect.sync(() => fiber.pollUnsafe() !== undefined),
    ending: finish(Fiber.await(fiber)),
    interrupt: finish(Fiber.interrupt(fiber))
  }
})

/** Of these, those who believe that they lead; never two. */
export const believers = (seats: ReadonlyArray<{ readonly isValid: Effect.Effect<boolean> }>) =>
  Effect.map(Effect.forEach(seats, (seat) => seat.isValid), (valid) => {
    const count = valid.filter(Boolean).length
    assert.isAtMost(count, 1, `${count} believe that they lead`)
    return count
  })

export const seenIn = (store: Store, election = only): Effect.Effect<Seen, KVStore.KVStoreError> =>
  Effect.map(store.get(keyOf(election)), fromRead)

export const tagIn = (store: Store, election = only) => Effect.map(seenIn(store, election), ({ _tag }) => _tag)

/** The record that is stored, live or handed over; the test fails where there is none. */
export const recordIn = (store: Store, election = only) =>
  Effect.map(seenIn(store, election), (seen) => "record" in seen ? seen.record : assert.fail(`it is ${seen._tag}`))

/** Writes a record that another candidate might have written, whatever is there. */
export const usurp = Effect.fnUntraced(function*(store: Store, fields: { readonly vacant?: boolean } = {}) {
  const known = yield* recordIn(store)
  const usurped = { ...known, candidateId: "usurper", nonce: "usurper", beat: 1, term: known.term + 1, ...fields }
  yield* store.put(keyOf(only), encode(usurped))
})

/** Who leads, in a word. */
export const shown = (leader: Option.Option<Election.LeaderRecord>): string =>
  Option.match(leader, {
    onNone: () => "nobody",
    onSome: ({ candidateId, metadata, term }) => {
      const more = Object.keys(metadata).length === 0 ? "" : ` ${JSON.stringify(metadata)}`
      return `${candidateId} in term ${term}${more}`
    }
  })

/** What the changes of an election have told so far, in words. */
export const told = (process: Process, election = only) =>
  Effect.map(
    record(Stream.map(process.election.changes(election), shown)),
    ({ events }) => ({ events, all: Effect.sync(() => [...events]) })
  )

type ReasonOf<Tag> = Extract<Election.ElectionReason, { readonly _tag: Tag }>

/** The reason for which an effect fails: this one, or the test fails. */
export const reasonOf = <A, R, Tag extends Election.ElectionReason["_tag"]>(
  effect: Effect.Effect<A, Election.ElectionError | KVStore.KVStoreError, R>,
  tag: Tag
): Effect.Effect<ReasonOf<Tag>, never, R> =>
  Effect.match(effect, {
    onFailure: (error) => {
      assert.strictEqual(error._tag, "ElectionError", error.message)
      assert.strictEqual(error.reason._tag, tag, error.message)
      return error.reason as ReasonOf<Tag>
    },
    onSuccess: (value) => assert.fail(`${tag} was expected, and it succeeded with ${JSON.stringify(value)}`)
  })

export const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

const isTrue = (value: boolean) => value

const is = <A>(expected: A) => (value: A) => value === expected

const last = <A>(expected: A) => (all: ReadonlyArray<A>) => all.at(-1) === expected

/** What the library says in passing is not what is tested, and a test that fails says enough. */
export const quiet = Logger.layer([])

// -----------------------------------------------------------------------------
// the suite
// -----------------------------------------------------------------------------

interface Tools {
  readonly test: Test
  readonly backend: Backend
  readonly until: Until
  readonly finish: Finish
  readonly wait: (millis: number) => Effect.Effect<void>
}

/** Runs every case against the backend; those on the real clock all at once, as most of their time is waiting. */
export const suite = (name: string, backend: Backend): void =>
  layer(backend.buckets, { excludeTestServices: true, timeout: "30 seconds", concurrent: !backend.virtual })(
    name,
    (it) => {
      const until = eventually(backend.virtual)
      const services = backend.virtual ? Layer.merge(TestClock.layer(), quiet) : quiet
      const tools: Tools = {
        backend,
        until,
        finish: finisher(until),
        wait: (millis) => backend.virtual ? TestClock.adjust(millis) : Effect.sleep(millis),
        test: (title, body) =>
          it.effect(title, () => {
            const run = body().pipe(Effect.scoped, Effect.provide(services))
            return backend.virtual ? Random.withSeed(run, title) : run
          })
      }
      winning(tools)
      handingOver(tools)
      crashing(tools)
      answersLost(tools)
      byHand(tools)
      interrupting(tools)
      working(tools)
      health(tools)
      proclaiming(tools)
      priorities(tools)
      many(tools)
      refusing(tools)
    }
  )

/** Within two steps of the virtual time; on the real clock well before any lease could have run. */
const atOnce = (backend: Backend, millis: number) => assert.isAtMost(millis, backend.virtual ? 20 : lease / 2)

const winning = ({ backend, finish, test, until }: Tools) => {
  test("the first candidate wins at once", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      const began = yield* now
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      atOnce(backend, one.seen.wonAt! - began)
      assert.isTrue(yield* one.isValid)
      assert.strictEqual(one.leadership().term, 1)
    }))

  test("a second candidate waits for as long as the first renews", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      const { landed } = one.process.link
      // Renewals for well over a lease.
      yield* until(Effect.map(believers([one, two]), () => landed.length), (count) => count > 8)
      assert.isAbove(landed.at(-1)!.sentAt - landed[0]!.sentAt, lease)
      assert.isTrue(yield* one.isValid)
      assert.isFalse(yield* two.hasWon)
    }))

  test("term, token, candidate and metadata are the same for the leader, for who asks, and for who is told", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const observer = yield* startProcess(store)
      const one = yield* stand(yield* startProcess(store), finish, "one", { metadata: { zone: "a", ports: [80] } })
      yield* until(one.hasWon, isTrue)
      const { candidateId, electedAt, election, metadata, term, token } = one.leadership()
      const { created } = yield* store.status
      assert.deepStrictEqual([election, candidateId, term], [only, "one", 1])
      assert.deepStrictEqual(metadata, { zone: "a", ports: [80] })
      assert.strictEqual(token.epoch, Math.floor(created.epochMilliseconds))
      const expected = { ...new Election.LeaderRecord({ election, candidateId, term, token, electedAt, metadata }) }
      const asIs = (leader: Option.Option<Election.LeaderRecord>) => ({ ...Option.getOrThrow(leader) })
      assert.deepStrictEqual(asIs(yield* observer.election.leader(only)), expected)
      const first = Effect.map(Stream.runHead(observer.election.changes(only)), Option.flatten)
      assert.deepStrictEqual(asIs(yield* finish(first)), expected)
      // A renewal is another revision, and the same token.
      const { landed } = one.process.link
      yield* until(Effect.sync(() => landed.length), (count) => count >= 3)
      assert.isAbove(Option.getOrThrow(yield* store.get(keyOf(only))).revision, token.revision)
      assert.deepStrictEqual(asIs(yield* observer.election.leader(only)), expected)
      assert.deepStrictEqual(asIs(yield* finish(first)), expected)
    }))

  test("the token's revision is that of the write that won", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const { events } = yield* record(store.watch(`election.>`))
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const puts = yield* until(
        Effect.sync(() => events.flatMap((event) => event._tag === "Put" ? [event.entry.revision] : [])),
        (revisions) => revisions.length > 0
      )
      assert.strictEqual(one.leadership().token.revision, puts[0])
    }))

  test("where nobody has ever stood there is no leader, and the changes begin by saying so", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      assert.isTrue(Option.isNone(yield* process.election.leader(only)))
      const changes = yield* told(process)
      yield* until(changes.all, last("nobody"))
      const one = yield* stand(process, finish, "one")
      yield* until(changes.all, last("one in term 1"))
      yield* one.close
      yield* until(changes.all, last("nobody"))
      assert.deepStrictEqual(changes.events, ["nobody", "one in term 1", "nobody"])
    }))

  test("renewals are no changes", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const observer = yield* startProcess(store)
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const changes = yield* told(observer)
      const { landed } = one.process.link
      yield* until(Effect.sync(() => landed.length), (count) => count > 8)
      yield* finish(one.close)
      // Whatever the watch has told of the renewals, it has told it before this.
      yield* until(changes.all, last("nobody"))
      assert.deepStrictEqual(changes.events, ["one in term 1", "nobody"])
    }))

  test("the changes end a leader who has not renewed for a lease, and so does the leader", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const observer = yield* startProcess(store)
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const changes = yield* told(observer)
      yield* until(changes.all, last("one in term 1"))
      yield* one.process.link.set(silent)
      yield* until(changes.all, last("nobody"))
      const { landed } = one.process.link
      const silence = (yield* now) - landed.at(-1)!.sentAt
      assert.isAtLeast(silence, lease - 1)
      assert.isAtMost(silence, lease + takeover)
      yield* until(observer.election.leader(only), Option.isNone)
      assert.strictEqual(yield* tagIn(store), "Held")
    }))

  test("changes that are asked for later begin with the leader of that time", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const first = Effect.map(Stream.runHead(process.election.changes(only)), (head) => shown(Option.flatten(head)))
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      assert.strictEqual(yield* finish(first), "one in term 1")
      // With it goes the watch: what this process has seen last is a live record.
      yield* one.close
      assert.strictEqual(yield* finish(first), "nobody")
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(two.hasWon, isTrue)
      assert.strictEqual(yield* finish(first), "two in term 2")
    }))
}

const handingOver = ({ backend, finish, test, until }: Tools) => {
  test("closing the scope leaves a vacant record, and the key stays", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* one.close
      const { candidateId, term, vacant } = yield* recordIn(store)
      assert.deepStrictEqual([candidateId, term, vacant], ["one", 1, true])
      assert.isTrue(Option.isNone(yield* process.election.leader(only)))
      assert.isFalse(yield* one.isValid)
      assert.strictEqual(yield* one.leadership().lost, "resigned")
      assert.deepStrictEqual([countOf(process.link, "delete"), countOf(process.link, "purge")], [0, 0])
    }))

  test("closing the scope hands over at once, and terms and tokens count on", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const seats: Array<Seat> = []
      for (const name of ["one", "two", "three"]) {
        seats.push(yield* stand(yield* startProcess(store), finish, name))
        yield* until(seats[0]!.hasWon, isTrue)
      }
      for (const [index, seat] of seats.entries()) {
        yield* until(Effect.tap(seat.hasWon, () => believers(seats)), isTrue)
        const waiting = seats.slice(index + 1)
        const closedAt = yield* now
        yield* seat.close
        if (waiting.length === 0) break
        const [next] = yield* until(
          Effect.map(believers(seats), () => waiting.filter(({ seen }) => seen.leadership !== undefined)),
          (winners) => winners.length > 0
        )
        atOnce(backend, next!.seen.wonAt! - closedAt)
        seats.splice(index + 1, waiting.length, next!, ...waiting.filter((other) => other !== next))
      }
      const won = seats.map((seat) => seat.leadership())
      assert.deepStrictEqual(won.map(({ term }) => term), [1, 2, 3])
      const tokens = won.map(({ token }) => token)
      assert.deepStrictEqual(tokens.toSorted(FencingToken.Order), tokens)
      assert.isTrue(Order.isLessThan(FencingToken.Order)(tokens[0]!, tokens[2]!))
    }))

  test("resigning hands over at once, while the scope stays open", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      const { link } = two.process
      yield* until(Effect.sync(() => countOf(link, "get")), (reads) => reads > 0)
      const resignedAt = yield* now
      yield* finish(one.leadership().resign)
      assert.isFalse(yield* one.isValid)
      yield* until(two.hasWon, isTrue)
      atOnce(backend, two.seen.wonAt! - resignedAt)
      yield* until(one.whyLost, is<unknown>("resigned"))
      // Once more is no harm.
      yield* finish(one.leadership().resign)
      assert.strictEqual((yield* recordIn(store)).candidateId, "two")
      assert.isTrue(yield* two.isValid)
    }))

  test("a candidate that has resigned sits out two renewals", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      const resignedAt = yield* now
      yield* finish(one.leadership().resign)
      const again = yield* stand(process, finish, "one")
      yield* until(again.hasWon, isTrue)
      const pause = again.seen.wonAt! - resignedAt
      assert.isAtLeast(pause, 2 * renewEvery)
      atOnce(backend, pause - 2 * renewEvery)
      assert.strictEqual(again.leadership().term, 2)
    }))

  test("a candidate that has resigned lets others of lower priority go first", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two", { priority: 1 })
      yield* finish(one.leadership().resign)
      const again = yield* stand(process, finish, "one")
      yield* until(Effect.tap(two.hasWon, () => believers([again, two])), isTrue)
      assert.isFalse(yield* again.hasWon)
    }))

  const releases: ReadonlyArray<readonly [how: string, release: (one: Seat) => Effect.Effect<unknown>]> = [
    ["closing its scope", (one) => one.close],
    ["resigning", (one) => finish(one.leadership().resign)],
    ["interrupting it", (one) => one.interrupt]
  ]
  for (const [how, release] of releases) {
    test(`a leader is not valid any more when it sends the hand-over: ${how}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const process = yield* startProcess(store)
        const one = yield* stand(process, finish, "one")
        yield* until(one.hasWon, isTrue)
        const valid: Array<boolean> = []
        yield* process.link.set((call, run) =>
          call.seen?._tag === "Vacant" ? Effect.andThen(Effect.map(one.isValid, (is) => valid.push(is)), run) : run
        )
        yield* release(one)
        assert.deepStrictEqual(valid, [false])
        assert.strictEqual(yield* tagIn(store), "Vacant")
      }))
  }

  test("a hand-over whose answer is lost is a hand-over, and is not sent again", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* one.process.link.set(times(1, "put", answerLost))
      yield* one.close
      assert.strictEqual(yield* one.leadership().lost, "resigned")
      const before = yield* seenIn(store)
      assert.strictEqual(before._tag, "Vacant")
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(two.hasWon, isTrue)
      assert.strictEqual(two.leadership().term, 2)
    }))

  for (const [how, fault] of [["fails", away], ["hangs", silent]] as const) {
    test(`where the store ${how}, a leader that would hand over ends at its deadline, and its record runs out`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* until(one.hasWon, isTrue)
        const { landed, set } = one.process.link
        yield* set(fault)
        yield* one.close
        assert.strictEqual(yield* one.leadership().lost, "expired")
        const since = (yield* now) - landed.at(-1)!.sentAt
        // The last attempt, and a pause, may still run.
        assert.isAtLeast(since, renewDeadline - 3)
        assert.isBelow(since, lease + takeover)
        assert.strictEqual(yield* tagIn(store), "Held")
      }))
  }

  test("a renewal that lands late is adopted by the hand-over", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      let late: Effect.Effect<unknown, KVStore.KVStoreError> | undefined
      yield* one.process.link.set((call, run) => {
        if (call.seen?._tag === "Held") {
          late ??= run
          return Effect.never
        }
        if (call.seen?._tag !== "Vacant" || late === undefined) return run
        const landing = late
        late = undefined
        return Effect.andThen(landing, run)
      })
      yield* until(Effect.sync(() => late !== undefined), isTrue)
      yield* one.close
      assert.strictEqual(yield* one.leadership().lost, "resigned")
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("a hand-over leaves alone what another has written", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* usurp(store)
      yield* one.close
      assert.strictEqual((yield* recordIn(store)).candidateId, "usurper")
      assert.strictEqual(yield* tagIn(store), "Held")
      assert.strictEqual(yield* one.leadership().lost, "superseded")
    }))
}

const crashing = ({ finish, test, until }: Tools) => {
  const faults = [["reaches the store no more", away], ["gets no answer any more", silent]] as const
  for (const [how, fault] of faults) {
    test(`a leader that ${how} ends before its lease, and the next begins after it`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* until(one.hasWon, isTrue)
        const two = yield* stand(yield* startProcess(store), finish, "two")
        const { landed, set } = one.process.link
        yield* until(Effect.sync(() => landed.length), (count) => count > 2)
        yield* set(fault)
        yield* until(Effect.tap(two.hasWon, () => believers([one, two])), isTrue)
        const { sentAt } = landed.at(-1)!
        assert.strictEqual(one.seen.reason, "expired")
        // The leader noted the time a moment before the link did, and its wall clock tells whole milliseconds.
        assert.isAtLeast(one.seen.lostAt! - sentAt, renewDeadline - 3)
        assert.isBelow(one.seen.lostAt! - sentAt, lease)
        assert.isAtLeast(two.seen.wonAt! - sentAt, lease)
        assert.isAtMost(two.seen.wonAt! - sentAt, lease + takeover)
        assert.strictEqual(two.leadership().term, 2)
        assert.isTrue(Order.isLessThan(FencingToken.Order)(one.leadership().token, two.leadership().token))
      }))
  }

  test("a leader that was cut off comes back as a stranger: it is not valid, and writes no more", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* one.process.link.set(silent)
      yield* until(two.hasWon, isTrue)
      yield* one.process.link.set(undefined)
      const writes = countOf(one.process.link, "put")
      const { landed } = two.process.link
      yield* until(Effect.map(believers([one, two]), () => landed.length), (count) => count > 4)
      assert.strictEqual(countOf(one.process.link, "put"), writes)
      assert.isFalse(yield* one.isValid)
      assert.isTrue(yield* two.isValid)
    }))

  test("a process that is started again under its old name is a stranger to its old self", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* one.process.link.set(silent)
      const again = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(Effect.tap(again.hasWon, () => believers([one, again])), isTrue)
      const { sentAt } = one.process.link.landed.at(-1)!
      assert.isAtLeast(again.seen.wonAt! - sentAt, lease)
      assert.strictEqual(again.leadership().term, 2)
    }))

  test("a short outage costs nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      const { calls, landed, set } = one.process.link
      yield* set(away)
      const before = calls.length
      yield* until(Effect.sync(() => calls.length), (count) => count > before)
      yield* set(undefined)
      const outage = landed.length
      yield* until(Effect.map(believers([one, two]), () => landed.length), (count) => count > outage + 3)
      assert.isTrue(yield* one.isValid)
      assert.isFalse(yield* two.hasWon)
      assert.strictEqual((yield* recordIn(store)).term, 1)
    }))
}

const answersLost = ({ finish, test, until }: Tools) => {
  const faults = [
    ["is answered as unknown", answerLost],
    ["is not answered", unanswered],
    ["is answered as a conflict", answeredAsConflict]
  ] as const

  for (const [how, fault] of faults) {
    test(`a winning write that ${how} has won`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const process = yield* startProcess(store)
        yield* process.link.set(times(1, "put", fault))
        const one = yield* stand(process, finish, "one")
        yield* until(one.hasWon, isTrue)
        assert.isTrue(yield* one.isValid)
        assert.strictEqual(one.leadership().term, 1)
        const first = process.link.calls.find(({ operation }) => operation === "put")
        assert.deepStrictEqual(first!.options, { createOnly: true })
        // What was found is the first attempt, and no second one was sent.
        assert.strictEqual((yield* store.status).lastRevision, one.leadership().token.revision)
      }))

    test(`a take-over of a vacant seat that ${how} has won`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const before = yield* stand(yield* startProcess(store), finish, "before")
        yield* until(before.hasWon, isTrue)
        yield* before.close
        const process = yield* startProcess(store)
        yield* process.link.set(times(1, "put", fault))
        const one = yield* stand(process, finish, "one")
        yield* until(one.hasWon, isTrue)
        assert.isTrue(yield* one.isValid)
        assert.strictEqual(one.leadership().term, 2)
        assert.strictEqual((yield* store.status).lastRevision, one.leadership().token.revision)
      }))

    test(`a leader whose every renewal lands and ${how} leads on`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* until(one.hasWon, isTrue)
        const two = yield* stand(yield* startProcess(store), finish, "two")
        const began = yield* now
        yield* one.process.link.set(on("put", fault))
        yield* until(Effect.andThen(believers([one, two]), now), (time) => time - began > 2 * lease)
        assert.isTrue(yield* one.isValid)
        assert.isUndefined(yield* one.whyLost)
        assert.isFalse(yield* two.hasWon)
        assert.strictEqual((yield* recordIn(store)).term, 1)
      }))
  }

  test("a stale answer to a leader's question costs nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const { landed, set } = one.process.link
      const old = yield* store.get(keyOf(only))
      const before = landed.length
      yield* until(Effect.sync(() => landed.length), (count) => count > before + 1)
      const conflicts = times(2, "put", conflict)
      yield* set((call, run) => call.operation === "get" ? Effect.succeed(old as never) : conflicts(call, run))
      const since = landed.length
      yield* until(Effect.sync(() => landed.length), (count) => count > since + 1)
      assert.isTrue(yield* one.isValid)
    }))

  test("a conflict where nobody wrote costs nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const { landed, set } = one.process.link
      yield* set(times(1, "put", conflict))
      yield* until(Effect.sync(() => landed.length), (count) => count > 3)
      assert.isTrue(yield* one.isValid)
    }))

  test("a conflict at a vacant seat where nobody wrote is tried again", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(times(3, "put", conflict))
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      assert.strictEqual(countOf(process.link, "put"), 4)
    }))

  test("every attempt has a beat of its own, also one that is repeated, a proclamation and a hand-over", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const { calls, landed, set } = process.link
      yield* set(times(1, "put", conflict))
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* set(times(1, "put", answerLost))
      yield* until(Effect.sync(() => landed.length), (count) => count > 2)
      yield* finish(one.leadership().proclaim({ zone: "a" }))
      yield* set(times(1, "put", conflict))
      yield* one.close
      const sent = calls.flatMap(({ seen }) => seen !== undefined && "record" in seen ? [seen.record] : [])
      assert.isAbove(sent.length, 6)
      assert.deepStrictEqual(sent.map(({ beat }) => beat), sent.map((_, index) => index + 1))
      assert.strictEqual(new Set(sent.map(({ nonce }) => nonce)).size, 1)
      assert.isTrue(sent.at(-1)!.vacant)
    }))
}

const byHand = ({ backend, finish, test, until }: Tools) => {
  for (const operation of ["delete", "purge"] as const) {
    test(`a leader whose record is gone by ${operation} is removed at its next renewal, and makes no new one`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* until(one.hasWon, isTrue)
        yield* store[operation](keyOf(only))
        const writes = one.process.link.landed.length
        yield* until(one.whyLost, is<unknown>("removed"))
        assert.isFalse(yield* one.isValid)
        assert.strictEqual(yield* tagIn(store), "Absent")
        assert.strictEqual(one.process.link.landed.length, writes)
      }))

    test(`who has seen a record that is gone by ${operation} waits for its lease`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* until(one.hasWon, isTrue)
        const two = yield* stand(yield* startProcess(store), finish, "two")
        const { landed, set } = one.process.link
        yield* until(Effect.sync(() => landed.length), (count) => count > 1)
        // The leader cannot know of it.
        yield* set(silent)
        yield* store[operation](keyOf(only))
        yield* until(Effect.tap(two.hasWon, () => believers([one, two])), isTrue)
        const { sentAt } = landed.at(-1)!
        assert.isAtLeast(two.seen.wonAt! - sentAt, lease)
        assert.isAtMost(two.seen.wonAt! - sentAt, lease + takeover)
        assert.strictEqual(two.leadership().term, 2)
      }))
  }

  test("a process that has not seen the record that is gone leads at once, which is a documented limit", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* one.process.link.set(silent)
      yield* store.purge(keyOf(only))
      const began = yield* now
      const newcomer = yield* stand(yield* startProcess(store), finish, "newcomer")
      yield* until(newcomer.hasWon, isTrue)
      atOnce(backend, newcomer.seen.wonAt! - began)
      // The term is lost with the record; the token goes on growing.
      assert.strictEqual(newcomer.leadership().term, 1)
      assert.isTrue(Order.isLessThan(FencingToken.Order)(one.leadership().token, newcomer.leadership().token))
    }))

  for (const vacant of [false, true]) {
    test(`a leader over which another has ${vacant ? "led and resigned" : "won"} is superseded, and lets it be`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* stand(yield* startProcess(store), finish, "one")
        yield* until(one.hasWon, isTrue)
        yield* usurp(store, { vacant })
        yield* until(one.whyLost, is<unknown>("superseded"))
        assert.isFalse(yield* one.isValid)
        assert.strictEqual((yield* recordIn(store)).candidateId, "usurper")
        assert.strictEqual(yield* tagIn(store), vacant ? "Vacant" : "Held")
      }))
  }

  test("a record that does not decode supersedes the leader, and others wait for their OWN lease", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const longer = lease + 400
      const two = yield* stand(yield* startProcess(store), finish, "two", { timings: { ...timings, lease: longer } })
      const observer = yield* startProcess(store)
      yield* until(Effect.sync(() => countOf(two.process.link, "get")), (reads) => reads > 0)
      const writtenAt = yield* now
      yield* store.put(keyOf(only), bytes("{}"))
      yield* until(one.whyLost, is<unknown>("superseded"))
      assert.isTrue(Option.isNone(yield* observer.election.leader(only)))
      yield* until(Effect.tap(two.hasWon, () => believers([one, two])), isTrue)
      assert.isAtLeast(two.seen.wonAt! - writtenAt, longer)
      assert.isAtMost(two.seen.wonAt! - writtenAt, longer + takeover)
      assert.strictEqual(two.leadership().term, 2)
    }))

  test("what is waited for is the HOLDER'S lease", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const longer = lease + 400
      const one = yield* stand(yield* startProcess(store), finish, "one", { timings: { ...timings, lease: longer } })
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two", {
        timings: { lease: 600, renewDeadline: 400, renewEvery: 200 }
      })
      yield* one.process.link.set(silent)
      yield* until(two.hasWon, isTrue)
      const { sentAt } = one.process.link.landed.at(-1)!
      assert.isAtLeast(two.seen.wonAt! - sentAt, longer)
      assert.isAtMost(two.seen.wonAt! - sentAt, longer + takeover)
    }))

  test("a read that fails is never taken for an absence", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const seats = [one]
      for (const fault of [away, silent]) {
        const process = yield* startProcess(store)
        yield* process.link.set(on(["get", "watch"], fault))
        seats.push(yield* stand(process, finish, "blind"))
      }
      const { landed } = one.process.link
      yield* until(Effect.map(believers(seats), () => landed.length), (count) => count > 8)
      for (const { process } of seats.slice(1)) {
        assert.isAbove(countOf(process.link, "get"), 3)
        assert.strictEqual(countOf(process.link, "put"), 0)
      }
      assert.isTrue(yield* one.isValid)
    }))
}

const interrupting = ({ finish, test, until }: Tools) => {
  test("a campaign that is interrupted while it waits has written nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(Effect.sync(() => countOf(two.process.link, "get")), (reads) => reads > 0)
      yield* two.interrupt
      assert.strictEqual(countOf(two.process.link, "put"), 0)
      assert.isTrue(yield* one.isValid)
      assert.strictEqual((yield* recordIn(store)).candidateId, "one")
    }))

  test("a campaign that is interrupted with an attempt outstanding hands back what it has won", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(times(1, "put", unanswered))
      const one = yield* stand(process, finish, "one")
      yield* until(tagIn(store), is<string>("Held"))
      yield* one.interrupt
      assert.isFalse(yield* one.hasWon)
      assert.strictEqual(yield* tagIn(store), "Vacant")
      assert.strictEqual((yield* recordIn(store)).term, 1)
    }))

  test("a campaign that is interrupted with an attempt on the way hands it back when it lands", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const { fault, open, outcomes } = yield* delayed
      yield* process.link.set(times(1, "put", fault))
      const one = yield* stand(process, finish, "one")
      yield* until(Effect.sync(() => countOf(process.link, "put")), (count) => count > 0)
      const reads = countOf(process.link, "get")
      const interrupted = yield* Effect.forkChild(Fiber.interrupt(one.fiber))
      // It has looked, and has not found it yet.
      yield* until(Effect.sync(() => countOf(process.link, "get")), (count) => count > reads)
      yield* open
      yield* finish(Fiber.join(interrupted))
      assert.deepStrictEqual(outcomes, ["landed"])
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("a campaign that was given up before it was announced renews no more, while its scope stays open", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(on("status", silent))
      const campaign = yield* Effect.forkChild(
        Effect.provideService(process.election.campaign(only), Clock.Clock, process.clock)
      )
      yield* until(tagIn(store), is<string>("Held"))
      yield* finish(Fiber.interrupt(campaign))
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("a campaign that fails after it has won hands back, while its scope stays open", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(on("status", denied))
      const { error } = yield* finish(reasonOf(process.election.campaign(only), "StoreFailed"))
      assert.strictEqual(error.reason._tag, "PermissionDenied")
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))
}

const working = ({ finish, test, until, wait }: Tools) => {
  test("work runs while its candidate leads, ends with its value, and leaves the seat", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* employ(process, finish, "one", (leadership) =>
        Effect.gen(function*() {
          assert.isTrue(yield* leadership.isValid)
          assert.deepStrictEqual([leadership.candidateId, leadership.term], ["one", 1])
          assert.strictEqual(yield* Effect.orDie(tagIn(store)), "Held")
          return "done"
        }))
      assert.deepStrictEqual(yield* one.ending, Exit.succeed("done"))
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  const failures: ReadonlyArray<readonly [how: string, work: Effect.Effect<never, string>]> = [
    ["fails", Effect.fail("broken")],
    ["dies", Effect.die("broken")],
    ["interrupts itself", Effect.interrupt]
  ]
  for (const [how, work] of failures) {
    test(`work that ${how} ends as it does, and leaves the seat`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const one = yield* employ(yield* startProcess(store), finish, "one", () => work)
        const ending = yield* one.ending
        const expected = yield* Effect.exit(work)
        const reasons = (exit: Exit.Exit<unknown, unknown>) =>
          Exit.isFailure(exit) ? exit.cause.reasons.map(({ _tag }) => _tag) : []
        assert.isAbove(reasons(ending).length, 0)
        assert.deepStrictEqual(reasons(ending), reasons(expected))
        assert.strictEqual(yield* tagIn(store), "Vacant")
      }))
  }

  test("work is interrupted when leadership goes, awaited before another campaign, and runs again after it", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const log: Array<string> = []
      yield* employ(process, finish, "one", (leadership) =>
        Effect.gen(function*() {
          log.push(`began ${leadership.term}`)
          yield* Effect.addFinalizer(() =>
            Effect.gen(function*() {
              const writes = countOf(process.link, "put")
              log.push(`stops, valid: ${yield* leadership.isValid}`)
              yield* Effect.sleep(2 * renewEvery)
              // Neither a hand-over nor a new campaign while it stops.
              log.push(`stopped, writes: ${countOf(process.link, "put") - writes}`)
            })
          )
          const reason = yield* leadership.lost
          log.push(`lost ${reason}`)
          return yield* Effect.never
        }))
      const so = Effect.sync(() => [...log])
      yield* until(so, last("began 1"))
      yield* usurp(store)
      yield* until(so, last("began 3"))
      const stopping = log.filter((line) => !line.startsWith("lost"))
      assert.deepStrictEqual(stopping, ["began 1", "stops, valid: false", "stopped, writes: 0", "began 3"])
    }))

  test("work that resigns is stopped first; others take over, and it runs again in its turn", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const log: Array<string> = []
      const stopping: Array<string> = []
      let active = 0
      const resigning = (name: string) => (leadership: Election.Leadership) =>
        Effect.gen(function*() {
          log.push(`${name} ${leadership.term}${++active > 1 ? " at the same time" : ""}`)
          yield* Effect.addFinalizer(() =>
            Effect.gen(function*() {
              stopping.push(`valid: ${yield* leadership.isValid}`)
              yield* Effect.sleep(20)
              stopping.push(yield* Effect.orDie(tagIn(store)))
              active--
            })
          )
          yield* leadership.resign
          return yield* Effect.die("nobody works after having resigned")
        })
      const seats = [
        yield* employ(yield* startProcess(store), finish, "one", resigning("one")),
        yield* employ(yield* startProcess(store), finish, "two", resigning("two"))
      ]
      yield* until(Effect.sync(() => log.length), (count) => count >= 4)
      for (const seat of seats) assert.isFalse(yield* seat.hasEnded)
      // Each sits out after its term, so that they take turns.
      const [first, second] = log[0] === "one 1" ? ["one", "two"] : ["two", "one"]
      assert.deepStrictEqual(log.slice(0, 4), [`${first} 1`, `${second} 2`, `${first} 3`, `${second} 4`])
      assert.deepStrictEqual(stopping.slice(0, 6), numbers(3).flatMap(() => ["valid: false", "Held"]))
    }))

  test("work whose own finalizer resigns does not wait for itself", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      let terms = 0
      const one = yield* employ(yield* startProcess(store), finish, "one", (leadership) =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => leadership.resign)
          return ++terms
        }))
      yield* until(Effect.zipWith(one.hasEnded, tagIn(store), (ended, tag) => ended || tag === "Vacant"), isTrue)
      yield* one.interrupt
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("work whose finalizer resigns or proclaims can be interrupted", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const refusals: Array<string> = []
      for (const last of ["resign", "proclaim"] as const) {
        const began = Deferred.makeUnsafe<void>()
        const one = yield* employ(yield* startProcess(store), finish, "one", (leadership) =>
          Effect.gen(function*() {
            const proclaim = Effect.match(leadership.proclaim({ zone: "a" }), {
              onFailure: ({ reason }) => refusals.push(reason._tag),
              onSuccess: () => refusals.push("proclaimed")
            })
            yield* Effect.addFinalizer(() => last === "resign" ? leadership.resign : proclaim)
            yield* Deferred.succeed(began, undefined)
            return yield* Effect.never
          }))
        yield* until(Deferred.isDone(began), isTrue)
        yield* one.interrupt
        assert.strictEqual(yield* tagIn(store), "Vacant")
      }
      assert.deepStrictEqual(refusals, ["LeadershipLost"])
    }))

  test("what the work has acquired is released when the work has stopped, and before another can lead", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const log: Array<string> = []
      const began = Deferred.makeUnsafe<void>()
      const work = Effect.gen(function*() {
        yield* Effect.acquireRelease(
          Effect.void,
          () => Effect.map(Effect.orDie(tagIn(store)), (tag) => log.push(`released, ${tag}`))
        )
        yield* Deferred.succeed(began, undefined)
        yield* Effect.ensuring(Effect.never, Effect.andThen(Effect.sleep(50), Effect.sync(() => log.push("stopped"))))
      })
      const fiber = yield* Effect.forkChild(Effect.scoped(process.election.whileLeader(only, () => work)))
      yield* until(Deferred.isDone(began), isTrue)
      yield* finish(Fiber.interrupt(fiber))
      assert.deepStrictEqual(log, ["stopped", "released, Held"])
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("interrupting it stops the work first, renews while it stops, and hands over then", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const { landed } = process.link
      const began = Deferred.makeUnsafe<void>()
      const stopping: Array<boolean> = []
      let renewals = 0
      const one = yield* employ(process, finish, "one", (leadership) =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() =>
            Effect.gen(function*() {
              // For good, from the moment at which the release began.
              stopping.push(yield* leadership.isValid)
              const before = landed.length
              yield* Effect.sleep(lease + renewEvery)
              renewals = landed.length - before
              stopping.push(yield* leadership.isValid, vacantSent(process.link))
            })
          )
          yield* Deferred.succeed(began, undefined)
          return yield* Effect.never
        }))
      yield* until(Deferred.isDone(began), isTrue)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* one.interrupt
      // Longer than a lease, and nobody came between.
      assert.isAbove(renewals, 3)
      assert.deepStrictEqual(stopping, [false, false, false])
      yield* until(two.hasWon, isTrue)
      assert.strictEqual(two.leadership().term, 2)
      assert.isTrue(vacantSent(process.link))
    }))

  test("the works of several candidates never overlap, whatever becomes of their links", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const log: Array<string> = []
      let active = 0
      const work = (name: string) => (leadership: Election.Leadership) =>
        Effect.gen(function*() {
          yield* Effect.acquireRelease(
            Effect.sync(() => {
              log.push(name)
              assert.strictEqual(++active, 1, log.join())
            }),
            () => Effect.sleep(20).pipe(Effect.tap(() => Effect.sync(() => active--)))
          )
          yield* Effect.sleep(50)
          if (log.length % 4 !== 0) return yield* leadership.resign
          return yield* Effect.never
        })
      const processes = yield* Effect.forEach(numbers(3), () => startProcess(store))
      for (const [index, process] of processes.entries()) {
        yield* employ(process, finish, `${index}`, work(`${index}`))
      }
      // Each one that would stay is cut off.
      for (const round of [4, 8]) {
        yield* until(Effect.sync(() => log.length), (count) => count >= round)
        const leader = processes[Number(log[round - 1])]!
        yield* leader.link.set(silent)
        yield* until(Effect.sync(() => active), is(0))
        yield* leader.link.set(undefined)
      }
      yield* until(Effect.sync(() => log.length), (count) => count >= 10)
      assert.isAbove(new Set(log).size, 1)
    }))

  test("a leader that stays is not disturbed by those who come and go", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      for (const index of numbers(5)) {
        const other = yield* stand(yield* startProcess(store), finish, `${index}`)
        yield* until(Effect.sync(() => countOf(other.process.link, "get")), (reads) => reads > 0)
        yield* wait(20)
        yield* other.interrupt
        assert.strictEqual(countOf(other.process.link, "put"), 0)
      }
      assert.isTrue(yield* one.isValid)
    }))
}

const health = ({ finish, test, until }: Tools) => {
  test("an unhealthy candidate does not stand, and stands when it is healthy", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      let healthy = false
      let asked = 0
      const check = Effect.sync(() => {
        asked++
        return healthy
      })
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one", { healthy: check })
      yield* until(Effect.sync(() => asked), (count) => count > 3)
      assert.strictEqual(countOf(process.link, "put"), 0)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(two.hasWon, isTrue)
      healthy = true
      yield* two.close
      yield* until(one.hasWon, isTrue)
      assert.strictEqual(one.leadership().term, 2)
    }))

  const sick: ReadonlyArray<readonly [how: string, Effect.Effect<boolean>]> = [
    ["says no", Effect.succeed(false)],
    ["hangs", Effect.never],
    ["dies", Effect.die("broken")],
    ["throws", Effect.sync(() => assert.fail("broken"))]
  ]
  for (const [how, check] of sick) {
    test(`a leader whose health check ${how} resigns, and does not stand`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        let healthy: Effect.Effect<boolean> = Effect.succeed(true)
        const process = yield* startProcess(store)
        const one = yield* stand(process, finish, "one", { healthy: Effect.suspend(() => healthy) })
        yield* until(one.hasWon, isTrue)
        const two = yield* stand(yield* startProcess(store), finish, "two", { priority: 1 })
        healthy = check
        yield* until(Effect.tap(one.whyLost, () => believers([one, two])), is<unknown>("resigned"))
        yield* until(two.hasWon, isTrue)
        assert.isFalse(yield* one.isValid)
        assert.strictEqual(two.leadership().term, 2)
        // Whoever asks before an attempt gets the same answer.
        const again = yield* startProcess(store)
        const other = yield* stand(again, finish, "other", { healthy: check })
        yield* two.close
        const third = yield* stand(yield* startProcess(store), finish, "third", { priority: 2 })
        yield* until(third.hasWon, isTrue)
        assert.isFalse(yield* other.hasWon)
        assert.strictEqual(countOf(again.link, "put"), 0)
      }))
  }

  test("who leads no more is not asked for its health any more", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      let asked = 0
      const healthy = Effect.sync(() => ++asked > 0)
      const one = yield* stand(yield* startProcess(store), finish, "one", { healthy })
      yield* until(Effect.sync(() => asked), (count) => count > 2)
      yield* usurp(store)
      yield* until(one.whyLost, is<unknown>("superseded"))
      const before = asked
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(two.hasWon, isTrue)
      assert.isAtMost(asked, before + 1)
    }))

  test("the work of a leader that falls ill is stopped, and runs again when it is well", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const log: Array<string> = []
      let healthy = true
      yield* employ(
        yield* startProcess(store),
        finish,
        "one",
        (leadership) =>
          Effect.gen(function*() {
            log.push(`began ${leadership.term}`)
            yield* Effect.addFinalizer(() => Effect.sync(() => log.push(`stopped ${leadership.term}`)))
            return yield* Effect.never
          }),
        { healthy: Effect.sync(() => healthy) }
      )
      yield* until(Effect.sync(() => log.length), is(1))
      healthy = false
      yield* until(tagIn(store), is<string>("Vacant"))
      assert.deepStrictEqual(log, ["began 1", "stopped 1"])
      healthy = true
      yield* until(Effect.sync(() => log.length), is(3))
      assert.deepStrictEqual(log, ["began 1", "stopped 1", "began 2"])
    }))
}

const proclaiming = ({ finish, test, until }: Tools) => {
  test("a proclamation is read by others, and told as a change, within the same term", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const observer = yield* startProcess(store)
      const one = yield* stand(yield* startProcess(store), finish, "one", { metadata: { port: 1 } })
      yield* until(one.hasWon, isTrue)
      const changes = yield* told(observer)
      yield* until(changes.all, last("one in term 1 {\"port\":1}"))
      yield* finish(one.leadership().proclaim({ port: 2 }))
      assert.strictEqual(shown(yield* observer.election.leader(only)), "one in term 1 {\"port\":2}")
      yield* until(changes.all, last("one in term 1 {\"port\":2}"))
      // Renewals bear it on, and so does what others read of the token.
      const { landed } = one.process.link
      const before = landed.length
      yield* until(Effect.sync(() => landed.length), (count) => count > before + 2)
      const leader = Option.getOrThrow(yield* observer.election.leader(only))
      assert.deepStrictEqual(leader.metadata, { port: 2 })
      assert.deepStrictEqual({ ...leader.token }, { ...one.leadership().token })
      assert.deepStrictEqual(changes.events, ["one in term 1 {\"port\":1}", "one in term 1 {\"port\":2}"])
      assert.isTrue(yield* one.isValid)
    }))

  test("a proclamation that meets a conflict where nobody wrote, or its own late renewal, is made again", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const observer = yield* startProcess(store)
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* one.process.link.set(times(2, "put", conflict))
      yield* finish(one.leadership().proclaim({ port: 1 }))
      assert.strictEqual(shown(yield* observer.election.leader(only)), "one in term 1 {\"port\":1}")
      yield* one.process.link.set(times(1, "put", answeredAsConflict))
      yield* finish(one.leadership().proclaim({ port: 2 }))
      assert.strictEqual(shown(yield* observer.election.leader(only)), "one in term 1 {\"port\":2}")
      assert.isTrue(yield* one.isValid)
    }))

  test("a proclamation after the loss fails, and says how leadership ended", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* usurp(store)
      // It learns of it by this very write.
      const { reason } = yield* finish(reasonOf(one.leadership().proclaim({ port: 1 }), "LeadershipLost"))
      assert.strictEqual(reason, "superseded")
      assert.isFalse(yield* one.isValid)
      const two = yield* stand(yield* startProcess(store), finish, "two")
      yield* until(two.hasWon, isTrue)
      yield* finish(two.leadership().resign)
      const error = yield* Effect.flip(two.leadership().proclaim({ port: 1 }))
      assert.deepStrictEqual([error.operation, error.election, error.isRetryable], ["proclaim", only, false])
      assert.include(error.message, "resigned")
      assert.deepStrictEqual((yield* recordIn(store)).metadata, {})
    }))

  test("a proclamation that is given up costs nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const { landed, set } = one.process.link
      yield* set(on("put", unanswered))
      const proclamation = yield* Effect.forkChild(one.leadership().proclaim({ port: 1 }))
      yield* until(Effect.map(recordIn(store), ({ metadata }) => "port" in metadata), isTrue)
      yield* finish(Fiber.interrupt(proclamation))
      yield* set(undefined)
      const before = landed.length
      yield* until(Effect.sync(() => landed.length), (count) => count > before + 1)
      assert.isTrue(yield* one.isValid)
      assert.deepStrictEqual((yield* recordIn(store)).metadata, { port: 1 })
    }))

  test("a proclamation that cannot be sent fails, can be made again, and costs nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      yield* one.process.link.set(away)
      const error = yield* Effect.flip(one.leadership().proclaim({ port: 1 }))
      assert.deepStrictEqual([error.reason._tag, error.isRetryable], ["StoreFailed", true])
      yield* one.process.link.set(undefined)
      yield* finish(one.leadership().proclaim({ port: 2 }))
      assert.deepStrictEqual((yield* recordIn(store)).metadata, { port: 2 })
      assert.isTrue(yield* one.isValid)
    }))

  test("a proclamation of what JSON cannot say is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      const before = countOf(process.link, "put")
      yield* reasonOf(one.leadership().proclaim({ when: new Date(0) as never }), "InvalidCandidate")
      assert.strictEqual(countOf(process.link, "put"), before)
    }))
}

const priorities = ({ finish, test, until }: Tools) => {
  test("at a vacant seat the lowest priority goes first", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* until(one.hasWon, isTrue)
      const seats: Array<Seat> = []
      for (const priority of [3, 2, 1]) {
        seats.push(yield* stand(yield* startProcess(store), finish, `${priority}`, { priority }))
      }
      for (const { process } of seats) {
        yield* until(Effect.sync(() => countOf(process.link, "get")), (reads) => reads > 0)
      }
      const closedAt = yield* now
      yield* one.close
      yield* until(Effect.map(believers(seats), (count) => count > 0), isTrue)
      const [third, second, first] = seats
      assert.isTrue(yield* first!.hasWon)
      assert.isAtLeast(first!.seen.wonAt! - closedAt, renewEvery)
      assert.deepStrictEqual([yield* second!.hasWon, yield* third!.hasWon], [false, false])
    }))
}

const many = ({ finish, test, until }: Tools) => {
  test("of several who stand at once exactly one leads, and all of them one after the other", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const processes = yield* Effect.forEach(numbers(5), () => startProcess(store))
      const seats = yield* Effect.forEach(processes, (process, index) => stand(process, finish, `${index}`), {
        concurrency: "unbounded"
      })
      const terms: Array<number> = []
      const waiting = new Set(seats)
      while (waiting.size > 0) {
        yield* until(Effect.map(believers(seats), (count) => count === 1), isTrue)
        const leader = [...waiting].find(({ seen }) => seen.leadership !== undefined)
        terms.push(leader!.leadership().term)
        waiting.delete(leader!)
        yield* leader!.close
      }
      assert.deepStrictEqual(terms, [1, 2, 3, 4, 5])
    }))

  test("two candidates of one name, also of one process, are two", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const seats = [
        yield* stand(process, finish, "one"),
        yield* stand(process, finish, "one"),
        yield* stand(yield* startProcess(store), finish, "one")
      ]
      const landed = Effect.sync(() => seats.flatMap((seat) => seat.process.link.landed).length)
      yield* until(Effect.andThen(believers(seats), landed), (count) => count > 8)
      assert.strictEqual(yield* believers(seats), 1)
      assert.strictEqual(seats.filter(({ seen }) => seen.leadership !== undefined).length, 1)
    }))

  test("elections do not disturb one another, also where one's name begins with the other's", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const names = ["a", "a/b", "a-b", "A"]
      const seats = yield* Effect.forEach(names, (election) => stand(process, finish, election, { election }))
      for (const seat of seats) yield* until(seat.hasWon, isTrue)
      for (const election of names) {
        assert.strictEqual(shown(yield* process.election.leader(election)), `${election} in term 1`)
      }
      yield* seats[0]!.close
      yield* store.put(keyOf("A"), bytes("garbage"))
      yield* until(seats[3]!.whyLost, is<unknown>("superseded"))
      assert.deepStrictEqual(
        yield* Effect.forEach(names, (election) => tagIn(store, election)),
        ["Vacant", "Held", "Held", "Undecodable"]
      )
      for (const seat of seats.slice(1, 3)) assert.isTrue(yield* seat.isValid)
    }))

  test("many elections, and those who are told of them, share one watch", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const other = yield* startProcess(store)
      const names = numbers(20).map((index) => `e${index}`)
      const leaders = yield* Effect.forEach(names, (election) => stand(process, finish, "one", { election }))
      for (const seat of leaders) yield* until(seat.hasWon, isTrue)
      const others = yield* Effect.forEach(names, (election) => stand(other, finish, "two", { election }))
      const changes = yield* Effect.forEach(names, (election) => told(other, election))
      for (const { all } of changes) yield* until(all, last("one in term 1"))
      yield* Effect.forEach(leaders, (seat) => seat.close)
      for (const seat of others) yield* until(seat.hasWon, isTrue)
      for (const { all } of changes) yield* until(all, last("two in term 2"))
      for (const { link } of [process, other]) {
        assert.deepStrictEqual(
          link.calls.filter(({ operation }) => operation === "watch").map(({ key }) => key),
          ["election.>"]
        )
      }
    }))
}

/** What no type allows, and JavaScript does. */
const untyped = (value: unknown) => value as never

const refusing = ({ backend, finish, test, until }: Tools) => {
  const badNames = ["", " ", "a b", "a.b", "*", ">", "a.*", "a.>", "grüße", "a\n", "x".repeat(201), 5, undefined]
  test("a name that is no part of a key is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      const { campaign, changes, leader, whileLeader } = process.election
      for (const name of badNames.map(untyped)) {
        const asked = [
          campaign(name),
          whileLeader(name, () => Effect.void),
          leader(name),
          Stream.runHead(changes(name))
        ]
        for (const ask of asked) assert.strictEqual((yield* reasonOf(ask, "InvalidName")).value, String(name))
      }
      assert.deepStrictEqual(process.link.calls, [])
    }))

  const badCandidates: ReadonlyArray<Record<string, unknown>> = [
    { timings: { lease: 1400, renewDeadline: 1400, renewEvery: 300 } },
    { timings: { lease: 2000, renewDeadline: 599, renewEvery: 300 } },
    { timings: { lease: "soon", renewDeadline: 1400, renewEvery: 300 } },
    { timings: { lease: Infinity, renewDeadline: 1400, renewEvery: 300 } },
    { priority: -1 },
    { priority: 0.5 },
    { metadata: { when: new Date(0) } },
    { candidateId: "" }
  ]
  test("a candidate that is not valid is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      for (const options of badCandidates.map(untyped)) {
        yield* reasonOf(process.election.campaign(only, options), "InvalidCandidate")
        yield* reasonOf(process.election.whileLeader(only, () => Effect.void, options), "InvalidCandidate")
      }
      assert.deepStrictEqual(process.link.calls, [])
    }))

  const layerOn = Effect.fnUntraced(function*(
    options: Partial<Config.BucketOptions>,
    election: Election.ElectionOptions = {}
  ) {
    const store = yield* openBucket(options)
    const before = yield* store.status
    const result = yield* Effect.result(
      Layer.build(Layer.provide(Election.layer(election), Layer.succeed(KVStore.KVStore, store)))
    )
    assert.strictEqual((yield* store.status).lastRevision, before.lastRevision)
    return result
  })

  const badBuckets: ReadonlyArray<readonly [what: string, options: Partial<Config.BucketOptions>]> = [
    ["historySize", { historySize: 2 }],
    ["streamMaxAge", { streamMaxAge: "1 hour" }]
  ]
  for (const [what, options] of badBuckets) {
    test(`a bucket is refused for its ${what}`, () =>
      Effect.gen(function*() {
        const { problem } = yield* reasonOf(Effect.flatMap(layerOn(options), Effect.fromResult), "InvalidConfig")
        assert.include(problem, what)
      }))
  }

  test(`a bucket in the memory of ${backend.kind === "nats" ? "a server is refused" : "this process is taken"}`, () =>
    Effect.gen(function*() {
      const build = Effect.flatMap(layerOn({ storage: "memory" }), Effect.fromResult)
      if (backend.kind === "memory") return assert.isTrue(Exit.isSuccess(yield* Effect.exit(build)))
      const { problem } = yield* reasonOf(build, "InvalidConfig")
      assert.include(problem, "storage")
    }))

  test("timings with which two could lead are refused by the layer", () =>
    Effect.gen(function*() {
      for (const { timings } of badCandidates.flatMap((options) => "timings" in options ? [options] : [])) {
        const build = Effect.flatMap(layerOn({}, { timings: untyped(timings) }), Effect.fromResult)
        yield* reasonOf(build, "InvalidCandidate")
      }
    }))

  test("a store that refuses for good is told, and one that cannot be reached is waited for", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      for (const operation of ["get", "put"] as const) {
        yield* process.link.set(on(operation, denied))
        const error = yield* finish(Effect.flip(process.election.whileLeader(only, () => Effect.void)))
        assert.deepStrictEqual([error.operation, error.election, error.isRetryable], ["whileLeader", only, false])
        assert.include(error.message, "permission denied")
      }
      yield* process.link.set(away)
      const one = yield* stand(process, finish, "one")
      const asked = countOf(process.link, "get")
      yield* until(Effect.sync(() => countOf(process.link, "get")), (count) => count > asked + 3)
      yield* process.link.set(undefined)
      yield* until(one.hasWon, isTrue)
    }))

  test("who asks for the leader of a store that cannot be reached gets an error, and never none", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      yield* process.link.set(away)
      const error = yield* Effect.flip(process.election.leader(only))
      assert.deepStrictEqual([error.operation, error.reason._tag, error.isRetryable], ["leader", "StoreFailed", true])
    }))
}
