/** Buckets that `KVStore` (ours) and `@nats-io/kv` (theirs) both open, and other fixtures of this folder. */
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

/** Creates a bucket with KVStore and opens it with `@nats-io/kv`. */
export const oursAndTheirs = Effect.fnUntraced(function*(options: Partial<KVStore.BucketOptions> = {}) {
  const bucket = freshName()
  const store = yield* ours({ bucket, ...options })
  return { bucket, store, kv: yield* openTheirs(bucket) }
})

/** Creates a bucket with `@nats-io/kv` and opens it with KVStore, with its own settings. */
export const theirsAndOurs = Effect.fnUntraced(function*(options: Parameters<typeof createTheirs>[1] = {}) {
  const bucket = freshName()
  const kv = yield* createTheirs(bucket, options)
  return { bucket, kv, store: yield* ours({ bucket, onMismatch: "accept", create: false }) }
})

/** Returns the error code of a failed call of `@nats-io/kv`. */
export const codeOf = <A>(effect: Effect.Effect<A, TheirError>) =>
  Effect.match(effect, {
    onFailure: ({ cause }): unknown => cause instanceof Error ? Reflect.get(cause, "code") : cause,
    onSuccess: () => "it succeeded"
  })

export const wrongSequence = 10071
