/** What the cases of the suite have in common: the backend that they run on, and the words in which they ask it. */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as KVStore from "../../../src/KVStore.ts"
import type * as Config from "../../../src/KVStoreConfig.ts"
import { textOf } from "../../support/values.ts"

/** What a test needs of a backend besides its stores. */
export class Buckets extends Context.Service<Buckets, {
  /** A store on the bucket, which is made where it is not there. */
  readonly layer: (options: Config.BucketOptions) => Layer.Layer<KVStore.KVStore, KVStore.KVStoreError>
  /** Loses the bucket with all that it holds. */
  readonly drop: (bucket: string) => Effect.Effect<void>
}>()("effect-aegis/test/Buckets") {}

/** A backend, and what it can do. */
export interface Backend {
  readonly kind: "memory" | "nats"
  /** Whether its time is the TestClock's. */
  readonly virtual: boolean
  /** Whether it leaves markers and checks a condition on another key: memory, and servers from 2.11 on. */
  readonly markers: boolean
  readonly buckets: Layer.Layer<Buckets, unknown>
  /** A world of its own for each case, where the backend has one. */
  readonly within?: (
    body: Effect.Effect<void, unknown, Services>
  ) => Effect.Effect<void, unknown, Services>
}

/** What a test runs on. */
export type Services = Buckets | Scope.Scope

export type Test = (title: string, body: () => Effect.Effect<void, unknown, Services>) => void

export type Store = KVStore.KVStore["Service"]

/** Short enough for a prompt test, long enough not to move past what a test wants to see. */
const virtualStep = Duration.millis(10)
const pollInterval = Duration.millis(3)
/** Of the TestClock, or of the real one: far beyond anything waited for here. */
const patience = Duration.seconds(15)

/**
 * Repeats `effect` until its result is as wanted, and gives that result. Virtual time is moved in small steps; on the
 * real clock it polls. A condition that never comes fails the test, and says what was there instead.
 */
export const eventually = (virtual: boolean) => {
  const step = virtual ? virtualStep : pollInterval
  const wait = virtual ? TestClock.adjust(step) : Effect.sleep(step)
  return <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    predicate: (value: A) => boolean,
    within: Duration.Duration = patience
  ): Effect.Effect<A, E, R> =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const end = clock.currentTimeMillisUnsafe() + Duration.toMillis(within)
      while (true) {
        const value = yield* effect
        if (predicate(value)) return value
        if (clock.currentTimeMillisUnsafe() > end) {
          return assert.fail(`not within ${Duration.format(within)}; the last was ${JSON.stringify(value)}`)
        }
        yield* wait
      }
    })
}

export type Until = ReturnType<typeof eventually>

let buckets = 0

/** A name that no other test of this process has. */
export const freshName = () => `bucket-${++buckets}`

/** Opens a bucket for as long as the test runs; a new one where no name is given. */
export const openBucket = Effect.fnUntraced(function*(options: Partial<Config.BucketOptions> = {}) {
  const context = yield* Layer.build((yield* Buckets).layer({ bucket: freshName(), ...options }))
  return Context.get(context, KVStore.KVStore)
})

/** The text that a key has now. */
export const read = (store: Store, key: string) =>
  Effect.map(store.get(key), Option.map((entry) => textOf(entry.value)))

/** An event in a word or two, without its numbers. */
export const shown = (event: KVStore.KVEvent): string => {
  switch (event._tag) {
    case "Put":
      return `${event.entry.key}=${textOf(event.entry.value)}`
    case "Removed":
      return `${event.reason} ${event.key}`
    case "Undecodable":
      return `invalid ${event.key}`
    case "Ready":
      return "ready"
  }
}

export const revisionOf = (event: KVStore.KVEvent): ReadonlyArray<number> =>
  event._tag === "Ready" ? [] : [event._tag === "Put" ? event.entry.revision : event.revision]

type ReasonOf<Tag> = Extract<KVStore.KVStoreReason, { readonly _tag: Tag }>

/** The reason for which an effect fails: this one, or the test fails. */
export const reasonOf = <A, R, Tag extends KVStore.KVStoreReason["_tag"]>(
  effect: Effect.Effect<A, KVStore.KVStoreError, R>,
  tag: Tag
): Effect.Effect<ReasonOf<Tag>, never, R> =>
  Effect.match(effect, {
    onFailure: (error) => {
      assert.strictEqual(error.reason._tag, tag, error.message)
      return error.reason as ReasonOf<Tag>
    },
    onSuccess: (value) => assert.fail(`${tag} was expected, and it succeeded with ${JSON.stringify(value)}`)
  })

/** The same, and the bucket is as it was before. */
export const refusal = Effect.fnUntraced(function*<A, Tag extends KVStore.KVStoreReason["_tag"]>(
  store: Store,
  effect: Effect.Effect<A, KVStore.KVStoreError>,
  tag: Tag
) {
  const before = yield* store.status
  const reason = yield* reasonOf(effect, tag)
  const after = yield* store.status
  assert.strictEqual(after.lastRevision, before.lastRevision, "nothing was written")
  assert.strictEqual(after.messages, before.messages, "nothing was removed")
  return reason
})

/** What a stream has given so far; it is read in the background for as long as the test runs. */
export const record = Effect.fnUntraced(function*<A, E>(stream: Stream.Stream<A, E>) {
  const events: Array<A> = []
  const fiber = yield* stream.pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        events.push(event)
      })
    ),
    Effect.forkScoped
  )
  return { events, fiber }
})

export const all = (count: number) => Array.from({ length: count }, (_, index) => index)

/** Writes one after the other for as long as the test runs, several at once. */
export const keepWriting = (writers: number, write: (n: number) => Effect.Effect<unknown, KVStore.KVStoreError>) =>
  Effect.suspend(() => {
    let written = 0
    const next = Effect.andThen(Effect.suspend(() => write(written++)), Effect.yieldNow)
    return Effect.forkScoped(Effect.replicateEffect(Effect.forever(next), writers, { concurrency: writers }))
  })
