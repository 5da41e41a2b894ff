/** Processes with one election layer each, their candidates and work, and the observations of a test. */
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

/** Builds an election layer with its own link to the store, on the clock of its host. */
export const startProcess = Effect.fnUntraced(function*(
  store: Store,
  options: Election.Options & { readonly clock?: Clock.Clock | undefined } = {}
) {
  const link = makeLink()
  const { clock: given, ...rest } = options
  const clock = given ?? (yield* Clock.Clock)
  const context = yield* Layer.build(
    Election.layer({ timings, ...rest }).pipe(
      Layer.provide(link.layer),
      Layer.provide(Layer.succeed(KVStore.KVStore, store))
    )
  ).pipe(Effect.provideService(Clock.Clock, clock))
  // Tests do not count the requests of the layer.
  link.calls.length = 0
  link.reads.length = 0
  return { link, clock, election: Context.get(context, Election.Election) }
})

export type Process = Effect.Success<ReturnType<typeof startProcess>>

/** The name of the election in tests with one election. */
export const only = "orders"

/** At the end of a test: restores the link, and runs until the candidate has closed. */
const atLast = (process: Process, finish: Finish, close: Effect.Effect<unknown>) =>
  Effect.addFinalizer(() => Effect.andThen(process.link.set(undefined), finish(close)))

/** Runs a candidate in the background, and records when it wins and loses. */
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
    /** Undefined before the win. */
    leadership: () => seen.leadership!,
    hasWon: Effect.sync(() => seen.leadership !== undefined),
    isValid: Effect.suspend(() => seen.leadership?.isValid ?? Effect.succeed(false)),
    whyLost: Effect.sync(() => seen.reason),
    /** Closes the scope of the leadership, and waits until it has closed. */
    close: finish(close),
    interrupt: finish(Fiber.interrupt(fiber))
  }
})

export type Seat = Effect.Success<ReturnType<typeof stand>>

/** Runs `whileLeader` in the background. */
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

/** Counts the valid candidates, and asserts that there is at most one. */
export const believers = (seats: ReadonlyArray<{ readonly isValid: Effect.Effect<boolean> }>) =>
  Effect.map(Effect.forEach(seats, (seat) => seat.isValid), (valid) => {
    const count = valid.filter(Boolean).length
    assert.isAtMost(count, 1, `${count} candidates are valid at once`)
    return count
  })

export const seenIn = (store: Store, election = only): Effect.Effect<Seen, KVStore.KVStoreError> =>
  Effect.map(store.get(keyOf(election)), fromRead)

export const tagIn = (store: Store, election = only) => Effect.map(seenIn(store, election), ({ _tag }) => _tag)

/** Reads the stored record, live or vacant. Fails the test if there is no record. */
export const recordIn = (store: Store, election = only) =>
  Effect.map(
    seenIn(store, election),
    (seen) => "record" in seen ? seen.record : assert.fail(`expected a record, got ${seen._tag}`)
  )

/** Overwrites the record, as another candidate that has won. */
export const usurp = Effect.fnUntraced(function*(store: Store, fields: { readonly vacant?: boolean } = {}) {
  const known = yield* recordIn(store)
  const usurped = { ...known, candidateId: "usurper", nonce: "usurper", attempt: 1, term: known.term + 1, ...fields }
  yield* store.put(keyOf(only), encode(usurped))
})

/** The leader as a string. */
export const shown = (leader: Option.Option<Election.LeaderRecord>): string =>
  Option.match(leader, {
    onNone: () => "no leader",
    onSome: ({ candidateId, metadata, term }) => {
      const more = Object.keys(metadata).length === 0 ? "" : ` ${JSON.stringify(metadata)}`
      return `${candidateId} in term ${term}${more}`
    }
  })

/** Records the events of `observe`, as strings. */
export const told = (process: Process, election = only) =>
  Effect.map(
    record(Stream.map(process.election.observe(election), shown)),
    ({ events }) => ({ events, all: Effect.sync(() => [...events]) })
  )

type ReasonOf<Tag> = Extract<Election.ElectionReason, { readonly _tag: Tag }>

/** Returns the reason of the failure of an effect. Fails the test if the tag is different. */
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
    onSuccess: (value) => assert.fail(`expected ${tag}, but the effect succeeded with ${JSON.stringify(value)}`)
  })
