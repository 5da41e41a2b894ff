/** Fixtures of the suite: the backend under test, and helpers that read, describe and compare. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { type Buckets } from "../../../src/Buckets.ts"
import * as KVStore from "../../../src/KVStore.ts"
import { textOf } from "../../../tools/values.ts"
import { reasonOf, type Store } from "../../support/suite.ts"

/** A backend and its features. */
export interface Backend {
  readonly kind: "memory" | "nats"
  /** Whether the backend runs on the time of the TestClock. */
  readonly virtual: boolean
  /** Whether it writes expiry markers and checks `whenKey`: memory, and servers from 2.11 on. */
  readonly markers: boolean
  readonly buckets: Layer.Layer<Buckets, unknown>
  /** Runs the body of a test in an environment created for that test, if the backend needs one. */
  readonly within?: (
    body: Effect.Effect<void, unknown, Services>
  ) => Effect.Effect<void, unknown, Services>
}

/** The services that a test may use. */
export type Services = Buckets | Scope.Scope

export type Test = (title: string, body: () => Effect.Effect<void, unknown, Services>) => void

/** Reads the current value of a key as text. */
export const read = (store: Store, key: string) =>
  Effect.map(store.get(key), Option.map((entry) => textOf(entry.value)))

/** Formats an event without its revision and time. */
export const shown = (event: KVStore.KVEvent): string => {
  switch (event._tag) {
    case "Put":
      return `${event.entry.key}=${textOf(event.entry.value)}`
    case "Removed":
      return `${event.reason} ${event.key}`
    case "Undecodable":
      return `undecodable ${event.key}`
    case "Ready":
      return "ready"
  }
}

export const revisionOf = (event: KVStore.KVEvent): ReadonlyArray<number> =>
  event._tag === "Ready" ? [] : [event._tag === "Put" ? event.entry.revision : event.revision]

/** Returns the reason with which the effect fails, and asserts that the bucket did not change. */
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

/** Starts concurrent writers that write until the test ends. */
export const keepWriting = (writers: number, write: (n: number) => Effect.Effect<unknown, KVStore.KVStoreError>) =>
  Effect.suspend(() => {
    let written = 0
    const next = Effect.andThen(Effect.suspend(() => write(written++)), Effect.yieldNow)
    return Effect.forkScoped(Effect.replicateEffect(Effect.forever(next), writers, { concurrency: writers }))
  })
