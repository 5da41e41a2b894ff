/** What the cases of the suite have in common: the backend that they run on, and the words in which they ask it. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as KVStore from "../../../src/KVStore.ts"
import { textOf } from "../../../tools/values.ts"
import { type Buckets, reasonOf, type Store } from "../../support/suite.ts"

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

/** The reason for which an effect fails, and the bucket is unchanged. */
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

/** Writes one after the other for as long as the test runs, several at once. */
export const keepWriting = (writers: number, write: (n: number) => Effect.Effect<unknown, KVStore.KVStoreError>) =>
  Effect.suspend(() => {
    let written = 0
    const next = Effect.andThen(Effect.suspend(() => write(written++)), Effect.yieldNow)
    return Effect.forkScoped(Effect.replicateEffect(Effect.forever(next), writers, { concurrency: writers }))
  })
