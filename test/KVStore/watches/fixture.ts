/** Fixtures of the tests of watches on real servers. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as KVStore from "../../../src/KVStore.ts"
import * as NatsClient from "../../../src/NatsClient.ts"
import * as NatsKVStore from "../../../src/NatsKVStore.ts"
import { numbers, type Store } from "../../support/suite.ts"
import type { World } from "../../support/worlds.ts"
import { clientOver, connectionTo } from "../errors/fixture.ts"

/** Opens stores over one connection to a server. */
export const connected = Effect.fnUntraced(function*(world: World, servers: string) {
  const client = world.client === "current"
    ? NatsClient.layer({ servers })
    : clientOver(world, yield* connectionTo(world, { servers }))
  const context = yield* Layer.build(client)
  const open = (options: KVStore.BucketOptions) =>
    Effect.map(
      Layer.build(Layer.provide(NatsKVStore.layer(options), Layer.succeedContext(context))),
      Context.get(KVStore.KVStore)
    )
  return { open, client: Context.get(context, NatsClient.NatsClient) }
})

export type Open = Effect.Success<ReturnType<typeof connected>>["open"]

/** Bytes of a value of a large bucket. */
const valueSize = 100_000

export const keysOf = (megabytes: number) => numbers(megabytes * 1_000_000 / valueSize).map((n) => `key.${n}`)

export const fill = (store: Store, keys: ReadonlyArray<string>) =>
  Effect.forEach(keys, (key, n) => store.put(key, new Uint8Array(valueSize).fill(n)), { concurrency: 8 })

/** Why the consumers of the watches of a bucket were replaced: each cause once. */
export const restartsOf = (store: Store) =>
  Effect.map(Metric.snapshot, (metrics) =>
    metrics.flatMap(({ attributes, id }) => {
      const { bucket, cause }: { readonly bucket?: string; readonly cause?: string } = { ...attributes }
      return id === "effect_aegis_kv_watch_restarts_total" && bucket === store.config.bucket ? [cause] : []
    }))
