/**
 * Crashes of a process, for tests over `KVStore.layerMemory` and a `TestClock`.
 *
 * A test that interrupts a fiber tests a clean shutdown: finalizers run, hand
 * leadership over and deregister. After `crash` they run too, and cannot reach the
 * store: leadership is lost when its lease ends, and an instance when it is older
 * than `maxAge`. The bucket stays as it was, for the other processes of the test.
 *
 * Crashes of machines with clocks and connections of their own are simulated by
 * `Simulation`.
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
import { KVStore } from "../KVStore.ts"
import { ProcessCrashed } from "./CrashError.ts"

export { ProcessCrashed } from "./CrashError.ts"

/**
 * A process that can crash.
 *
 * @category services
 * @since 0.1.0
 */
export class Crash extends Context.Service<Crash, {
  /**
   * Crashes the process. Operations of its store that are under way, and those that
   * come later, are interrupted; so are its watches. What `run` runs fails with
   * `ProcessCrashed`. A second crash does nothing.
   */
  readonly crash: Effect.Effect<void>
  /**
   * Runs an effect in the process: until it ends, or fails with `ProcessCrashed` at
   * the crash, or at once where that has happened. It does not wait for the
   * finalizers of the effect, which run in the background then.
   */
  readonly run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | ProcessCrashed, R>
  /** Whether the process has crashed. */
  readonly hasCrashed: Effect.Effect<boolean>
}>()("effect-aegis/testing/Crash") {}

/**
 * Makes a process that can crash over the `KVStore` of its context: `store` is the
 * store of that process.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make: Effect.Effect<
  { readonly crash: Crash["Service"]; readonly store: KVStore["Service"] },
  never,
  KVStore
> = Effect.gen(function*() {
  const store = yield* KVStore
  const crashed = yield* Deferred.make<never>()
  const isCrashed = Effect.sync(() => Deferred.isDoneUnsafe(crashed))
  return { crash: processOf(crashed, isCrashed), store: cutOff(store, crashed, isCrashed) }
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
          // Stopped, not crashed: its finalizers are waited for, until it crashes after all.
          return Effect.raceFirst(Fiber.interrupt(fiber), atCrash)
        })
      )
    }
  }
}

/**
 * What a program leaves open in a scope of the test's closes with that scope, in
 * the background where its process has crashed: finalizers that the store
 * interrupts would interrupt the test.
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

/** The store of a process: interrupts what uses it after the crash. An error would be retried, also in finalizers. */
const cutOff = (
  store: KVStore["Service"],
  crashed: Deferred.Deferred<never>,
  isCrashed: Effect.Effect<boolean>
): KVStore["Service"] => {
  const guard = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.flatMap(isCrashed, (is) => is ? Effect.interrupt : Effect.raceFirst(effect, Deferred.await(crashed)))
  return {
    config: store.config,
    get: (key) => guard(store.get(key)),
    put: (key, value, options) => guard(store.put(key, value, options)),
    delete: (key, options) => guard(store.delete(key, options)),
    purge: (key, options) => guard(store.purge(key, options)),
    history: (key) => guard(store.history(key)),
    keys: (filter) => guard(store.keys(filter)),
    entries: (filter) => guard(store.entries(filter)),
    getMany: (keys) => guard(store.getMany(keys)),
    watch: (filter, options) =>
      Stream.unwrap(
        Effect.map(isCrashed, (is) =>
          is
            ? Stream.fromEffect(Effect.interrupt)
            : Stream.interruptWhen(store.watch(filter, options), Deferred.await(crashed)))
      ),
    status: guard(store.status),
    clock: store.clock
  }
}

/**
 * A process over the `KVStore` below: provides `Crash`, and the `KVStore` that the
 * process uses.
 *
 * **Details**
 *
 * One layer is one process: what is built on it crashes together. Two processes
 * of a test are two builds, or `Layer.fresh(Crash.layer)` where both are in one.
 *
 * **Gotchas**
 *
 * Run everything that the process does by `run`. An effect that uses a service of
 * the process outside of it is interrupted after the crash, the test itself too,
 * and a stream of a service (`Registry.watch`, `Election.observe`) waits for events
 * that do not come any more. What a finalizer does beside the store, it does after
 * a crash as well.
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
 * it.effect("the second candidate leads when the lease of the first has ended", () =>
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
