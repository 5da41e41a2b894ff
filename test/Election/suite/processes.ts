/** Processes with an election layer each, those who stand and work in them, and what is seen of them from outside. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Election from "../../../src/Election.ts"
import { encode, fromRead, keyOf, type Seen } from "../../../src/internal/election/record.ts"
import * as KVStore from "../../../src/KVStore.ts"

import { makeLink } from "../../support/links.ts"
import { type Finish, record, type Store } from "../../support/suite.ts"
import { timings } from "./fixture.ts"

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

/** A candidate in the background, and what becomes of it. */
export const stand = Effect.fnUntraced(function*(
  process: Process,
  finish: Finish,
  candidateId: string,
  { election = only, ...options }: Election.CandidateOptions & { readonly election?: string } = {}
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
    const leadership = yield* process.election.campaign(election, { candidateId, ...options })
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
  { election = only, ...options }: Election.CandidateOptions & { readonly election?: string } = {}
) {
  const fiber = yield* process.election.whileLeader(
    election,
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
  const usurped = { ...known, candidateId: "usurper", nonce: "usurper", attempt: 1, term: known.term + 1, ...fields }
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

/** What `observe` has given so far, in words. */
export const told = (process: Process, election = only) =>
  Effect.map(
    record(Stream.map(process.election.observe(election), shown)),
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
