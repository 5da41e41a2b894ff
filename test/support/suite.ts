/** What the suites have in common: the backend that they run on, and what they do with it. */
import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as KVStore from "../../src/KVStore.ts"
import type { Until } from "../../tools/eventually.ts"

/** What a test needs of a backend besides its stores. */
export class Buckets extends Context.Service<Buckets, {
  /** A store on the bucket, which is made where it is not there. */
  readonly layer: (options: KVStore.BucketOptions) => Layer.Layer<KVStore.KVStore, KVStore.KVStoreError>
  /** Loses the bucket with all that it holds. */
  readonly drop: (bucket: string) => Effect.Effect<void>
}>()("effect-aegis/test/Buckets") {}

/** In memory; a bucket there is lost with its layer. */
export const memoryBuckets = Layer.succeed(Buckets)({ layer: KVStore.layerMemory, drop: () => Effect.void })

/** A backend. */
export interface Backend {
  readonly kind: "memory" | "nats"
  /** Whether its time is the TestClock's. */
  readonly virtual: boolean
  readonly buckets: Layer.Layer<Buckets, unknown>
}

export type Test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) => void

export type Store = KVStore.KVStore["Service"]

let buckets = 0

/** A name that no other test of this process has. */
export const freshName = () => `bucket-${++buckets}`

/** Opens a bucket for as long as the test runs; a new one where no name is given. */
export const openBucket = Effect.fnUntraced(function*(options: Partial<KVStore.BucketOptions> = {}) {
  const context = yield* Layer.build((yield* Buckets).layer({ bucket: freshName(), ...options }))
  return Context.get(context, KVStore.KVStore)
})

/** Runs an effect while time goes on, and gives its result; one that does not end fails the test. */
export const finisher = (until: Until) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined), (hasEnded) => hasEnded)
    return yield* Fiber.join(fiber)
  })

export type Finish = ReturnType<typeof finisher>

/** No log, unless a test provides `logged`: a test that fails says enough. */
export const quiet = Logger.layer([])

/** What is logged, in words, with its level. */
export const logged = () => {
  const lines: Array<string> = []
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    lines.push(`${logLevel} ${(Array.isArray(message) ? message : [message]).map(String).join(" ")}`)
  })
  return { lines, layer: Logger.layer([logger]) }
}

export const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

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
  return { events, fiber, all: Effect.sync(() => [...events]) }
})

interface Failure {
  readonly message: string
  readonly reason: { readonly _tag: string }
}

/** The reason for which an effect fails: this one, or the test fails. */
export const reasonOf = <A, E extends Failure, R, Tag extends E["reason"]["_tag"]>(
  effect: Effect.Effect<A, E, R>,
  tag: Tag
): Effect.Effect<Extract<E["reason"], { readonly _tag: Tag }>, never, R> =>
  Effect.match(effect, {
    onFailure: (error) => {
      assert.strictEqual(error.reason._tag, tag, error.message)
      return error.reason as Extract<E["reason"], { readonly _tag: Tag }>
    },
    onSuccess: (value) => assert.fail(`${tag} was expected, and it succeeded with ${JSON.stringify(value)}`)
  })
