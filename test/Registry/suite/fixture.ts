/** What the cases of the suite have in common: the backend that they run on, and the times that they live by. */
import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import * as KVStore from "../../../src/KVStore.ts"
import type * as Config from "../../../src/KVStoreConfig.ts"

/** What a test needs of a backend. */
export class Buckets extends Context.Service<Buckets, {
  /** A store on the bucket, which is made where it is not there. */
  readonly layer: (options: Config.BucketOptions) => Layer.Layer<KVStore.KVStore, KVStore.KVStoreError>
}>()("effect-aegis/test/registry/Buckets") {}

/** A backend. */
export interface Backend {
  /** Whether its time is the TestClock's. */
  readonly virtual: boolean
  readonly buckets: Layer.Layer<Buckets, unknown>
}

type Test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) => void

/** For those that are to expire: short, for the sake of the real clock, and long enough for a busy machine. */
export const maxAge = Duration.seconds(2)
export const heartbeat = Duration.millis(300)
export const brisk = { maxAge, heartbeat }

/** For those that are not to expire in an outage, nor on a busy machine. */
export const tough = { maxAge: "4 seconds", heartbeat: "500 millis" } as const

/** For those that send heartbeats, and are not to expire. */
export const steady = { maxAge: "30 seconds", heartbeat: "1 second" } as const

/** For those that neither send heartbeats nor expire while a test runs. */
export const calm = { maxAge: "1 minute", heartbeat: "10 seconds" } as const

/** How far an estimate of a server's time may be off. */
export const clockError = 25

/** Short enough for a prompt test, long enough not to move past what a test wants to see. */
const virtualStep = Duration.millis(20)
const pollInterval = Duration.millis(5)
/** Of the TestClock, or of the real one: far beyond anything waited for here. */
const patience = Duration.seconds(15)

/**
 * Repeats `effect` until its result is as wanted, and gives that result. Virtual time is moved in small steps; on the
 * real clock it polls. A condition that never comes fails the test, and says what was there instead.
 */
export const eventually = (virtual: boolean) => {
  const wait = virtual ? TestClock.adjust(virtualStep) : Effect.sleep(pollInterval)
  return <A, E, R>(effect: Effect.Effect<A, E, R>, predicate: (value: A) => boolean): Effect.Effect<A, E, R> =>
    Effect.gen(function*() {
      const now = Effect.clockWith((clock) => Effect.sync(() => Number(clock.monotonicTimeNanosUnsafe()) / 1e6))
      const end = (yield* now) + Duration.toMillis(patience)
      while (true) {
        const value = yield* effect
        if (predicate(value)) return value
        if ((yield* now) > end) {
          return assert.fail(`not within ${Duration.format(patience)}; the last was ${JSON.stringify(value)}`)
        }
        yield* wait
      }
    })
}

type Until = ReturnType<typeof eventually>

/** Runs an effect while time goes on, and gives what it gives; one that does not end fails the test. */
export const finisher = (until: Until) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined), (hasEnded) => hasEnded)
    return yield* Fiber.join(fiber)
  })

export interface Tools {
  readonly test: Test
  readonly virtual: boolean
  readonly until: Until
  readonly finish: ReturnType<typeof finisher>
}

/** What the registry says in passing is not what is tested, and a test that fails says enough. */
export const quiet = Logger.layer([])

export const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

export const contains = (text: string) => (all: ReadonlyArray<string>) => all.includes(text)
