/** Random operations by one of the two clients, and a model of their outcome. */
import type { KV } from "@nats-io/kv"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as KVStore from "../../../src/KVStore.ts"

import type { Store } from "../../support/suite.ts"
import { wrongSequence } from "./sides.ts"
import { type TheirError, they } from "./theirs.ts"

const kinds = ["put", "create", "update", "delete", "deleteAt", "purge", "purgeAt"] as const

export interface Operation {
  readonly side: "ours" | "theirs"
  readonly kind: typeof kinds[number]
  readonly key: string
  readonly value: Uint8Array
  /** Age of the revision in a condition, in writes of the key; 0: the current revision. */
  readonly staleBy: number
}

/** Few keys, so that operations conflict. Some share a token, and some are a prefix of another. */
export const keys = ["a", "a.b", "a.c", "b", "x/y=z", "_-.0"]

const value = Effect.flatMap(
  Random.nextIntBetween(0, 40),
  (length) => Effect.map(Effect.replicateEffect(Random.nextIntBetween(0, 255), length), (all) => Uint8Array.from(all))
)

/** Picks an element of a list that is not empty. */
const oneOf = <A>(all: ReadonlyArray<A>) =>
  Effect.map(Random.nextIntBetween(0, all.length, { halfOpen: true }), (index) => all[index]!)

const operation: Effect.Effect<Operation> = Effect.all({
  side: oneOf(["ours", "theirs"] as const),
  kind: oneOf(kinds),
  key: oneOf(keys),
  value,
  staleBy: oneOf([0, 0, 0, 1, 2])
})

/** Generates operations, deterministically for each seed. */
export const operations = (seed: string, count: number): Effect.Effect<ReadonlyArray<Operation>> =>
  Random.withSeed(Effect.replicateEffect(operation, count), seed)

/** A model of a bucket: the revisions of each key, and whether the last one is a value. */
export class Model {
  private readonly byKey = new Map<string, { readonly revisions: Array<number>; isLive: boolean }>()

  private of(key: string) {
    const known = this.byKey.get(key)
    if (known !== undefined) return known
    const made = { revisions: [], isLive: false }
    this.byKey.set(key, made)
    return made
  }

  /** The revision in the condition of an operation, if it has one. */
  expected({ key, kind, staleBy }: Operation): number | undefined {
    const { revisions } = this.of(key)
    return kind === "update" || kind === "deleteAt" || kind === "purgeAt" ? revisions.at(-1 - staleBy) : undefined
  }

  /** Whether the operation has to succeed. On a key without revisions it has no condition. */
  allows(operation: Operation): boolean {
    const { isLive, revisions } = this.of(operation.key)
    const expected = this.expected(operation)
    if (operation.kind === "create") return !isLive
    return expected === undefined || expected === revisions.at(-1)
  }

  done({ key, kind }: Operation, revision: number): void {
    const state = this.of(key)
    state.revisions.push(revision)
    state.isLive = kind === "put" || kind === "create" || kind === "update"
  }
}

const byUs = (store: Store, { key, kind, value }: Operation, revision: number | undefined) => {
  const at = revision === undefined ? undefined : { revision }
  switch (kind) {
    case "put":
    case "update":
      return store.put(key, value, at)
    case "create":
      return store.put(key, value, KVStore.KVOptions.createOnly)
    case "delete":
    case "deleteAt":
      return store.delete(key, at)
    case "purge":
    case "purgeAt":
      return store.purge(key, at)
  }
}

const byThem = (kv: KV, { key, kind, value }: Operation, revision: number | undefined) => {
  const at = revision === undefined ? {} : { previousSeq: revision }
  switch (kind) {
    case "put":
    case "update":
      return they<unknown>(() => revision === undefined ? kv.put(key, value) : kv.update(key, value, revision))
    case "create":
      return they<unknown>(() => kv.create(key, value))
    case "delete":
    case "deleteAt":
      return they<unknown>(() => kv.delete(key, at))
    case "purge":
    case "purgeAt":
      return they<unknown>(() => kv.purge(key, at))
  }
}

const isLost = (error: KVStore.KVStoreError | TheirError): boolean =>
  error._tag === "TheirError"
    ? error.cause instanceof Error && Reflect.get(error.cause, "code") === wrongSequence
    : error.reason._tag === "RevisionMismatch" || error.reason._tag === "KeyAlreadyExists"

/** Runs an operation. Returns false if its condition did not hold, and fails on any other error. */
export const run = (store: Store, kv: KV, operation: Operation, revision: number | undefined) => {
  const attempt: Effect.Effect<unknown, KVStore.KVStoreError | TheirError> = operation.side === "ours"
    ? byUs(store, operation, revision)
    : byThem(kv, operation, revision)
  return Effect.as(attempt, true).pipe(Effect.catchIf(isLost, () => Effect.succeed(false)))
}
