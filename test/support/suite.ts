/** Fixtures shared by the suites: the backend under test, stores, logs, and recorded streams. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Buckets } from "../../src/Buckets.ts"
import * as KVStore from "../../src/KVStore.ts"
import type { Until } from "../../tools/eventually.ts"

/** A backend and its features. */
export interface Backend {
  readonly kind: "memory" | "nats"
  /** Whether the backend runs on the time of the TestClock. */
  readonly virtual: boolean
  readonly buckets: Layer.Layer<Buckets, unknown>
}

export type Test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) => void

export type Store = KVStore.KVStore["Service"]

let buckets = 0

/** Returns a bucket name that is unique in this process. */
export const freshName = () => `bucket-${++buckets}`

/** Opens a bucket until the test ends; a new bucket unless a name is given. */
export const openBucket = (options: Partial<KVStore.BucketOptions> = {}) =>
  KVStore.make({ bucket: freshName(), ...options })

/** Destroys a bucket, which must exist. */
export const destroyBucket = (bucket: string) => Effect.orDie(Buckets.use((buckets) => buckets.destroy(bucket)))

/** Runs an effect while time advances, and returns its result. An effect that does not end fails the test. */
export const finisher = (until: Until) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined), (hasEnded) => hasEnded)
    return yield* Fiber.join(fiber)
  })

export type Finish = ReturnType<typeof finisher>

/** Discards logs, unless a test provides `logged`. */
export const quiet = Logger.layer([])

/**
 * A logger that records each line with its level; `troubles` are the lines above Info, `subjects` the annotations, and
 * `unnamed` the lines that do not name their module.
 */
export const logged = () => {
  const lines: Array<string> = []
  const subjects: Array<Readonly<Record<string, unknown>>> = []
  const logger = Logger.make<unknown, void>(({ fiber, logLevel, message }) => {
    lines.push(`${logLevel} ${(Array.isArray(message) ? message : [message]).map(String).join(" ")}`)
    subjects.push(fiber.getRef(References.CurrentLogAnnotations))
  })
  const troubles = () => lines.filter((line) => !line.startsWith("Info "))
  const unnamed = () => lines.filter((_, index) => subjects[index]!["module"] === undefined)
  return { lines, subjects, troubles, unnamed, layer: Logger.layer([logger]) }
}

export const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

/** Runs a stream in the background until the test ends, and returns the growing list of its events. */
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

/** Returns the reason with which an effect fails. The test fails if the reason has another tag. */
export const reasonOf = <A, E extends Failure, R, Tag extends E["reason"]["_tag"]>(
  effect: Effect.Effect<A, E, R>,
  tag: Tag
): Effect.Effect<Extract<E["reason"], { readonly _tag: Tag }>, never, R> =>
  Effect.match(effect, {
    onFailure: (error) => {
      assert.strictEqual(error.reason._tag, tag, error.message)
      return error.reason as Extract<E["reason"], { readonly _tag: Tag }>
    },
    onSuccess: (value) => assert.fail(`expected ${tag}, succeeded with ${JSON.stringify(value)}`)
  })
