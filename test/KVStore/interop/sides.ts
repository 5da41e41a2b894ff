/** Buckets that both clients have open, and what the tests of this folder have in common. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as KVStore from "../../../src/KVStore.ts"
import type * as NatsClient from "../../../src/NatsClient.ts"
import * as NatsKVStore from "../../../src/NatsKVStore.ts"
import type { NatsServer } from "../../../tools/natsServer/server.ts"

import { eventually } from "../../../tools/eventually.ts"
import { freshName } from "../../support/suite.ts"
import { createTheirs, openTheirs, type TheirError } from "./theirs.ts"

export type Test = (
  title: string,
  body: () => Effect.Effect<void, unknown, NatsServer | NatsClient.NatsClient | Scope.Scope>
) => void

export const until = eventually(false)

export const ours = (options: KVStore.BucketOptions) =>
  Effect.map(Layer.build(NatsKVStore.layer(options)), Context.get(KVStore.KVStore))

/** A bucket of ours, and their handle on it. */
export const oursAndTheirs = Effect.fnUntraced(function*(options: Partial<KVStore.BucketOptions> = {}) {
  const bucket = freshName()
  const store = yield* ours({ bucket, ...options })
  return { bucket, store, kv: yield* openTheirs(bucket) }
})

/** A bucket of theirs, taken as it is. */
export const theirsAndOurs = Effect.fnUntraced(function*(options: Parameters<typeof createTheirs>[1] = {}) {
  const bucket = freshName()
  const kv = yield* createTheirs(bucket, options)
  return { bucket, kv, store: yield* ours({ bucket, onMismatch: "accept", create: false }) }
})

/** The code of their error. */
export const codeOf = <A>(effect: Effect.Effect<A, TheirError>) =>
  Effect.match(effect, {
    onFailure: ({ cause }): unknown => cause instanceof Error ? Reflect.get(cause, "code") : cause,
    onSuccess: () => "it succeeded"
  })

export const wrongSequence = 10071
