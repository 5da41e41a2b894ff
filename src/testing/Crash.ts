/**
 * Simulates the crash of a process, for tests with buckets in memory and a
 * `TestClock`.
 *
 * A test that interrupts a fiber tests a graceful shutdown: finalizers hand over
 * leadership and deregister instances. After `crash` finalizers run as well, but
 * cannot reach the store. A crashed leader keeps its lease until the lease expires,
 * and a crashed instance stays listed until its heartbeat is older than `maxAge`. The
 * bucket and the other processes of the test are not affected.
 *
 * `Simulation` simulates crashes of machines with their own clocks and connections.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Buckets } from "../Buckets.ts"
import { KVStore } from "../KVStore.ts"
import { ProcessCrashed } from "./CrashError.ts"

export { ProcessCrashed } from "./CrashError.ts"

/**
 * A simulated process that can crash.
 *
 * @category services
 * @since 0.1.0
 */
export class Crash extends Context.Service<Crash, {
  /**
   * Crashes the process. Interrupts its current and later store operations and its watches. Effects in `run` fail with
   * `ProcessCrashed`. A second crash does nothing.
   */
  readonly crash: Effect.Effect<void>
  /**
   * Runs an effect in the process. Fails with `ProcessCrashed` when the process crashes, or at once if it has crashed
   * before. After a crash the finalizers of the effect run in the background.
   */
  readonly run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ProcessCrashed, R>
  /** Whether the process has crashed. */
  readonly hasCrashed: Effect.Effect<boolean>
}>()("effect-aegis/testing/Crash") {}

/**
 * Creates a process that can crash, with its own store. The store forwards to the
 * `KVStore` of the context until the crash.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<
  {
    /** Crashes the process, and runs effects in it. */
    readonly crash: Crash["Service"]
    /** The store of the process. */
    readonly store: KVStore["Service"]
  },
  never,
  KVStore
> = Effect.gen(function*() {
  const store = yield* KVStore
  const { crash, guard, ...life } = yield* start
  return { crash, store: cutOff(store, { guard, ...life }) }
})

/** A process from its start to its crash. */
interface Life {
  readonly crashed: Deferred.Deferred<never>
  readonly isCrashed: Effect.Effect<boolean>
  /** Interrupts an effect at the crash: callers would retry an error, even in finalizers. */
  readonly guard: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
}

const start: Effect.Effect<Life & { readonly crash: Crash["Service"] }> = Effect.gen(function*() {
  const crashed = yield* Deferred.make<never>()
  const isCrashed = Effect.sync(() => Deferred.isDoneUnsafe(crashed))
  const guard: Life["guard"] = (effect) =>
    Effect.flatMap(isCrashed, (is) => is ? Effect.interrupt : Effect.raceFirst(effect, Deferred.await(crashed)))
  return { crashed, isCrashed, guard, crash: processOf(crashed, isCrashed) }
})

const processOf = (
  crashed: Deferred.Deferred<never>,
  isCrashed: Effect.Effect<boolean>
): Crash["Service"] => {
  const listeners = new Set<() => void>()
  const atCrash = Effect.asVoid(Effect.exit(Deferred.await(crashed)))
  return {
    hasCrashed: isCrashed,
    crash: Effect.suspend(() => {
      if (Deferred.isDoneUnsafe(crashed)) return Effect.void
      Deferred.doneUnsafe(crashed, Effect.interrupt)
      for (const listener of Array.from(listeners)) listener()
      return Effect.void
    }),
    run: <A, E, R>(program: Effect.Effect<A, E, R>) => {
      const effect = inOwnScope(program, isCrashed)
      return Effect.contextWith((context: Context.Context<R>) =>
        Effect.callback<A, E | ProcessCrashed>((resume) => {
          if (Deferred.isDoneUnsafe(crashed)) return resume(Effect.fail(new ProcessCrashed()))
          const onCrash = () => {
            end(Effect.fail(new ProcessCrashed()))
            fiber.interruptUnsafe()
          }
          const end = (exit: Effect.Effect<A, E | ProcessCrashed>) => {
            listeners.delete(onCrash)
            resume(exit)
          }
          listeners.add(onCrash)
          const fiber = Effect.runForkWith(context)(effect)
          fiber.addObserver(end)
          // Interrupted before a crash: wait for the finalizers, but only until a crash.
          return Effect.raceFirst(Fiber.interrupt(fiber), atCrash)
        })
      )
    }
  }
}

/**
 * Runs a program in its own scope, which closes with the scope of the test. After a crash it closes in the background:
 * the store interrupts the finalizers, and in the scope of the test that would interrupt the test.
 */
const inOwnScope = <A, E, R>(
  program: Effect.Effect<A, E, R>,
  isCrashed: Effect.Effect<boolean>
): Effect.Effect<A, E, R> =>
  Effect.contextWith((context: Context.Context<R>) =>
    Option.match(Context.getOption(context, Scope.Scope), {
      onNone: () => program,
      onSome: (outer) =>
        Effect.gen(function*() {
          const own = yield* Scope.make()
          yield* Scope.addFinalizerExit(outer, (exit) => {
            const close = Scope.close(own, exit)
            return Effect.flatMap(isCrashed, (is) => is ? Effect.asVoid(Effect.forkDetach(close)) : close)
          })
          return yield* Effect.provideService(program, Scope.Scope, own)
        })
    })
  )

/** The store of a process. After the crash it interrupts its callers. */
const cutOff = (store: KVStore["Service"], { crashed, guard, isCrashed }: Life): KVStore["Service"] => {
  const guardStream = <A, E>(make: () => Stream.Stream<A, E>): Stream.Stream<A, E> =>
    Stream.unwrap(
      Effect.map(isCrashed, (is) =>
        is ? Stream.fromEffect(Effect.interrupt) : Stream.interruptWhen(make(), Deferred.await(crashed)))
    )
  return {
    config: store.config,
    get: (key, options) => guard(store.get(key, options)),
    put: (key, value, options) => guard(store.put(key, value, options)),
    delete: (key, options) => guard(store.delete(key, options)),
    purge: (key, options) => guard(store.purge(key, options)),
    history: (key, options) => guard(store.history(key, options)),
    keys: (filter) => guard(store.keys(filter)),
    entries: (filter) => guard(store.entries(filter)),
    getMany: (keys) => guard(store.getMany(keys)),
    stream: (filter) => guardStream(() => store.stream(filter)),
    watch: (filter, options) => guardStream(() => store.watch(filter, options)),
    purgeTombstones: (options) => guard(store.purgeTombstones(options)),
    status: guard(store.status),
    clock: store.clock
  }
}

/**
 * Provides a process that can crash: `Crash`, and the `KVStore` of the process.
 *
 * **Details**
 *
 * One build of the layer is one process: the services built on it crash together. For
 * several processes in one test, build the layer several times. Use
 * `Layer.fresh(Crash.layer)` if one layer contains several processes.
 *
 * **Gotchas**
 *
 * Run all effects of the process with `run`. After a crash, an effect outside of
 * `run` that uses a service of the process is interrupted, and so is a test that
 * awaits this effect. A stream of such a service (`Registry.watch`,
 * `Election.observe`) waits for events that never arrive. A finalizer's effects
 * other than store operations happen after a crash, too.
 *
 * **Example** (A leader that crashes)
 *
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import * as Context from "effect/Context"
 * import * as Effect from "effect/Effect"
 * import * as Layer from "effect/Layer"
 * import { TestClock } from "effect/testing"
 * import { Election, KVStore } from "effect-aegis"
 * import { Crash } from "effect-aegis/testing"
 *
 * const process = Layer.fresh(Election.layer().pipe(Layer.provideMerge(Crash.layer)))
 *
 * it.effect("the second candidate leads after the first one's lease expires", () =>
 *   Effect.gen(function*() {
 *     const leaders: Array<string> = []
 *     const start = (name: string) =>
 *       Effect.gen(function*() {
 *         const services = yield* Layer.build(process)
 *         const crash = Context.get(services, Crash.Crash)
 *         const lead = Context.get(services, Election.Election).whileLeader(
 *           "job",
 *           () => Effect.andThen(Effect.sync(() => leaders.push(name)), Effect.never)
 *         )
 *         yield* Effect.forkScoped(crash.run(lead))
 *         yield* TestClock.adjust("1 second")
 *         return crash
 *       })
 *     const first = yield* start("first")
 *     yield* start("second")
 *     yield* first.crash
 *     yield* TestClock.adjust("20 seconds")
 *     assert.deepStrictEqual(leaders, ["first", "second"])
 *   }).pipe(Effect.provide(KVStore.layerMemory({ bucket: "elections" }))))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Crash | KVStore, never, KVStore> = Layer.effectContext(
  Effect.map(make, ({ crash, store }) => Context.make(Crash, crash).pipe(Context.add(KVStore, store)))
)

/**
 * Provides a process that can crash, and all its buckets: `Crash`, and the `Buckets` of the
 * process, for services on several buckets such as those of `Aegis.layer`.
 *
 * **Details**
 *
 * As `layer`, over the `Buckets` of the context, which all processes of the test share.
 *
 * **Example** (An instance with a bucket of its own crashes)
 *
 * ```ts
 * import { assert, it } from "@effect/vitest"
 * import { Context, Effect, Layer, Option, Schema } from "effect"
 * import { TestClock } from "effect/testing"
 * import { Aegis, Buckets, KVStore, Registry } from "effect-aegis"
 * import { Crash } from "effect-aegis/testing"
 *
 * class Counts extends KVStore.TypedService<Counts>()("app/Counts", { bucket: "counts", schema: Schema.Int }) {}
 *
 * const process = Layer.fresh(
 *   Layer.merge(Aegis.layer(), Counts.layer).pipe(Layer.provideMerge(Crash.layerBuckets))
 * )
 *
 * it.effect("what it has counted stays, and it expires", () =>
 *   Effect.gen(function*() {
 *     const first = yield* Layer.build(process)
 *     const second = yield* Layer.build(process)
 *     const { crash, run } = Context.get(first, Crash.Crash)
 *     yield* run(Effect.gen(function*() {
 *       yield* Context.get(first, Registry.Registry).register({ serviceName: "orders", version: "1.0.0" })
 *       yield* Context.get(first, Counts).put("apples", 1)
 *     }))
 *     yield* crash
 *     yield* TestClock.adjust("31 seconds")
 *     assert.deepStrictEqual(yield* Context.get(second, Registry.Registry).list("orders"), [])
 *     const apples = yield* Context.get(second, Counts).get("apples")
 *     assert.strictEqual(Option.getOrThrow(apples).value, 1)
 *   }).pipe(Effect.provide(Buckets.layerMemory)))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layerBuckets: Layer.Layer<Crash | Buckets, never, Buckets> = Layer.effectContext(
  Effect.gen(function*() {
    const buckets = yield* Buckets
    const { crash, ...life } = yield* start
    const { guard } = life
    return Context.make(Crash, crash).pipe(Context.add(Buckets, {
      open: (options) => Effect.map(guard(buckets.open(options)), (store) => cutOff(store, life)),
      list: (options) => guard(buckets.list(options)),
      destroy: (bucket, options) => guard(buckets.destroy(bucket, options))
    }))
  })
)
