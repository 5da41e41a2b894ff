/** Crashes of processes with an in-memory store: no hand-over, no deregistration, and no finalizer that hangs. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Aegis from "../../src/Aegis.ts"
import * as Buckets from "../../src/Buckets.ts"
import * as Election from "../../src/Election.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"
import * as Crash from "../../src/testing/Crash.ts"
import { bytes } from "../../tools/values.ts"

const bucket = KVStore.layerMemory({ bucket: "shared" })

/** One process with elections and a registry in the shared bucket. All its services crash together. */
const processLayer = Layer.fresh(
  Layer.mergeAll(Election.layer(), Registry.layer()).pipe(Layer.provideMerge(Crash.layer))
)

/** Starts a process in the scope of the test. */
const start = Effect.map(Layer.build(processLayer), (context) => ({
  crash: Context.get(context, Crash.Crash),
  store: Context.get(context, KVStore.KVStore),
  election: Context.get(context, Election.Election),
  registry: Context.get(context, Registry.Registry)
}))

/** Runs all fibers that are due, without advancing the clock. */
const settle = Effect.replicateEffect(TestClock.adjust(0), 20, { discard: true })

/** A test on virtual time. Its scope must close without advancing the clock. */
const test = (title: string, body: Effect.Effect<void, unknown, KVStore.KVStore | Scope.Scope>) =>
  it.effect(title, () => body.pipe(Effect.scoped, Effect.provide(bucket)), 5000)

const instance = { serviceName: "orders", instanceId: "1", version: "1.0.0" }

const isInterrupted = <A, E>(exit: Exit.Exit<A, E>): boolean =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause)

describe("a process on several buckets that crashes", () => {
  const own = Layer.fresh(Aegis.layer().pipe(Layer.provideMerge(Crash.layerBuckets)))
  const startOn = Effect.map(Layer.build(own), (context) => ({
    crash: Context.get(context, Crash.Crash),
    buckets: Context.get(context, Buckets.Buckets),
    election: Context.get(context, Election.Election),
    registry: Context.get(context, Registry.Registry)
  }))

  it.effect("neither deregisters nor hands leadership over, and reaches none of its buckets", () =>
    Effect.gen(function*() {
      const [one, two] = [yield* startOn, yield* startOn]
      const store = yield* one.buckets.open({ bucket: "own" })
      yield* one.crash.run(Effect.gen(function*() {
        yield* one.registry.register(instance)
        yield* one.election.campaign("job", { candidateId: "one" })
        yield* store.put("a", bytes("1"))
      }))
      yield* one.crash.crash
      yield* settle
      assert.deepStrictEqual((yield* two.registry.list("orders")).map(({ instanceId }) => instanceId), ["1"])
      assert.isTrue(Option.isSome(yield* two.election.leader("job")))
      assert.deepStrictEqual(yield* two.buckets.list(), ["own", "service_election", "service_registry"])
      const attempts = [
        store.put("a", bytes("2")),
        one.buckets.list(),
        one.buckets.destroy("own"),
        Effect.scoped(one.buckets.open({ bucket: "other" }))
      ]
      for (const attempt of attempts) {
        const fiber = yield* Effect.forkChild(Effect.exit(attempt as Effect.Effect<unknown>))
        yield* settle
        yield* Effect.exit(Fiber.join(fiber))
      }
      assert.deepStrictEqual(yield* two.buckets.list(), ["own", "service_election", "service_registry"])
      const kept = yield* two.buckets.open({ bucket: "own" })
      assert.strictEqual(Option.getOrThrow(yield* kept.get("a")).revision, 1)
      yield* TestClock.adjust("31 seconds")
      assert.deepStrictEqual(yield* two.registry.list("orders"), [])
      assert.isTrue(Option.isNone(yield* two.election.leader("job")))
    }).pipe(Effect.scoped, Effect.provide(Buckets.layerMemory)))
})

describe("a leader that crashes", () => {
  const candidates = Effect.gen(function*() {
    const leaders: Array<string> = []
    const [one, two] = [yield* start, yield* start]
    const lead = (name: string, { crash, election }: typeof one) =>
      Effect.tap(
        Effect.forkScoped(Effect.exit(crash.run(
          election.whileLeader("job", () => Effect.andThen(Effect.sync(() => leaders.push(name)), Effect.never))
        ))),
        () => settle
      )
    const running = yield* lead("one", one)
    yield* lead("two", two)
    return { leaders, one, running }
  })

  test(
    "is succeeded when its lease has expired, and not before",
    Effect.gen(function*() {
      const { leaders, one } = yield* candidates
      assert.deepStrictEqual(leaders, ["one"])
      yield* one.crash.crash
      yield* TestClock.adjust("19 seconds")
      assert.deepStrictEqual(leaders, ["one"])
      yield* TestClock.adjust("999 millis")
      assert.deepStrictEqual(leaders, ["one"])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(leaders, ["one", "two"])
    })
  )

  test(
    "is succeeded at once if it is interrupted instead",
    Effect.gen(function*() {
      const { leaders, running } = yield* candidates
      yield* Effect.forkScoped(Fiber.interrupt(running))
      yield* settle
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(leaders, ["one", "two"])
    })
  )

  test(
    "fails the effects of its process, and does not change its record",
    Effect.gen(function*() {
      const store = yield* KVStore.KVStore
      const { one, running } = yield* candidates
      const before = yield* store.get("election.job")
      yield* one.crash.crash
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.join(running), Exit.fail(new Crash.ProcessCrashed()))
      assert.isTrue(Option.isSome(before))
      assert.deepStrictEqual(yield* store.get("election.job"), before)
    })
  )
})

describe("an instance of a process that crashes", () => {
  test(
    "is listed until maxAge after its last heartbeat",
    Effect.gen(function*() {
      const [one, two] = [yield* start, yield* start]
      yield* one.crash.run(one.registry.register(instance))
      const listed = Effect.map(two.registry.list("orders"), (all) => all.map(({ instanceId }) => instanceId))
      yield* one.crash.crash
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* listed, ["1"])
      yield* TestClock.adjust(1)
      assert.deepStrictEqual(yield* listed, [])
    })
  )

  test(
    "is not deregistered when the scope of its registration closes",
    Effect.gen(function*() {
      const [one, two] = [yield* start, yield* start]
      const scope = yield* Scope.make()
      yield* Scope.provide(one.crash.run(one.registry.register(instance)), scope)
      yield* one.crash.crash
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* two.registry.list("orders")).length, 1)
    })
  )

  test(
    "is deregistered if the process does not crash",
    Effect.gen(function*() {
      const [one, two] = [yield* start, yield* start]
      const scope = yield* Scope.make()
      yield* Scope.provide(one.crash.run(one.registry.register(instance)), scope)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* two.registry.list("orders")).length, 0)
    })
  )
})

describe("a process that has crashed", () => {
  test(
    "reaches the store by no operation",
    Effect.gen(function*() {
      const below = yield* KVStore.KVStore
      const { crash, store } = yield* start
      yield* crash.run(store.put("k", bytes("1")))
      yield* crash.crash
      const operations: ReadonlyArray<Effect.Effect<unknown, unknown>> = [
        store.get("k"),
        store.put("k", bytes("2")),
        store.delete("k"),
        store.purge("k"),
        store.history("k"),
        store.keys(),
        store.entries(),
        store.getMany(["k"]),
        store.status,
        Stream.runDrain(store.watch())
      ]
      for (const operation of operations) assert.isTrue(isInterrupted(yield* Effect.exit(operation)))
      assert.strictEqual((yield* below.history("k")).length, 1)
      assert.strictEqual(store.clock, below.clock)
      assert.strictEqual(store.config, below.config)
    })
  )

  test(
    "has its current operations and watches interrupted",
    Effect.gen(function*() {
      const below = yield* KVStore.KVStore
      const slow = KVStore.KVStore.of({ ...below, put: () => Effect.never, status: Effect.never })
      const { crash, store } = yield* Effect.provideService(Crash.make, KVStore.KVStore, slow)
      const fork = (effect: Effect.Effect<unknown, unknown>) => Effect.forkScoped(Effect.exit(effect))
      const fibers: ReadonlyArray<Fiber.Fiber<Exit.Exit<unknown, unknown>>> = [
        yield* fork(store.put("k", bytes("1"))),
        yield* fork(store.status),
        yield* fork(Stream.runDrain(store.watch())),
        yield* fork(Effect.uninterruptible(store.put("k", bytes("1"))))
      ]
      yield* settle
      yield* crash.crash
      for (const fiber of fibers) assert.isTrue(isInterrupted(yield* Fiber.join(fiber)))
    })
  )

  test(
    "reports the crash, and runs no effects",
    Effect.gen(function*() {
      const { crash } = yield* start
      let ran = 0
      assert.isFalse(yield* crash.hasCrashed)
      assert.strictEqual(yield* crash.run(Effect.succeed(7)), 7)
      assert.strictEqual(yield* Effect.flip(crash.run(Effect.fail("no"))), "no")
      yield* crash.crash
      yield* crash.crash
      assert.isTrue(yield* crash.hasCrashed)
      const error = yield* Effect.flip(crash.run(Effect.sync(() => ran++)))
      assert.instanceOf(error, Crash.ProcessCrashed)
      assert.strictEqual(ran, 0)
    })
  )

  test(
    "stops effects that do not use the store, too",
    Effect.gen(function*() {
      const { crash } = yield* start
      let steps = 0
      const work = Effect.forever(Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => steps++)))
      yield* Effect.forkScoped(Effect.exit(crash.run(work)))
      yield* settle
      yield* TestClock.adjust("3 seconds")
      yield* crash.crash
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(steps, 3)
    })
  )

  test(
    "does not let the caller of run wait for finalizers",
    Effect.gen(function*() {
      const { crash } = yield* start
      const stubborn = Effect.onInterrupt(Effect.never, () => Effect.sleep("1 hour"))
      const running = yield* Effect.forkScoped(Effect.flip(crash.run(stubborn)))
      yield* settle
      yield* crash.crash
      assert.instanceOf(yield* Fiber.join(running), Crash.ProcessCrashed)
    })
  )

  test(
    "ends the wait of an interruption that began before the crash",
    Effect.gen(function*() {
      const { crash } = yield* start
      const stubborn = Effect.onInterrupt(Effect.never, () => Effect.sleep("1 hour"))
      const running = yield* Effect.forkScoped(crash.run(stubborn))
      yield* settle
      const interrupted = yield* Effect.forkScoped(Fiber.interrupt(running))
      yield* settle
      assert.isUndefined(interrupted.pollUnsafe())
      yield* crash.crash
      yield* Fiber.join(interrupted)
    })
  )

  test(
    "can be crashed by an effect that it runs",
    Effect.gen(function*() {
      const { crash, store } = yield* start
      const suicidal = Effect.andThen(crash.crash, store.put("k", bytes("1")))
      assert.instanceOf(yield* Effect.flip(crash.run(suicidal)), Crash.ProcessCrashed)
      yield* settle
      assert.isTrue(Option.isNone(yield* (yield* KVStore.KVStore).get("k")))
    })
  )

  test(
    "does not retry a finalizer indefinitely: its scope closes after the crash",
    Effect.gen(function*() {
      const { crash, store } = yield* start
      const scope = yield* Scope.make()
      const attempts = yield* Deferred.make<void>()
      yield* Scope.addFinalizer(
        scope,
        Effect.andThen(Deferred.succeed(attempts, undefined), store.delete("k")).pipe(
          Effect.retry({ while: () => true }),
          Effect.ignore
        )
      )
      yield* crash.crash
      const closed = yield* Effect.exit(Scope.close(scope, Exit.void))
      assert.isTrue(yield* Deferred.isDone(attempts))
      assert.isTrue(Exit.isSuccess(closed) || isInterrupted(closed))
    })
  )
})

describe("two processes over one bucket", () => {
  test(
    "crash separately, and share the stored values",
    Effect.gen(function*() {
      const [one, two] = [yield* start, yield* start]
      yield* one.crash.run(one.store.put("k", bytes("1")))
      yield* one.crash.crash
      assert.isFalse(yield* two.crash.hasCrashed)
      assert.isTrue(Option.isSome(yield* two.crash.run(two.store.get("k"))))
      yield* two.crash.run(two.store.put("k", bytes("2")))
    })
  )
})

describe("a test in which a process has crashed", () => {
  test(
    "continues after its scope closes, although the process has open resources in the scope",
    Effect.gen(function*() {
      const { crash, election, registry } = yield* start
      const outcome = yield* Effect.scoped(Effect.gen(function*() {
        yield* crash.run(election.campaign("job"))
        yield* crash.run(registry.register(instance))
        yield* crash.crash
        return "done"
      }))
      assert.strictEqual(outcome, "done")
      const other = yield* start
      assert.isTrue(Option.isSome(yield* other.election.leader("job")), "nothing was handed over")
      assert.strictEqual((yield* other.registry.list("orders")).length, 1, "nothing was deregistered")
    })
  )

  test(
    "closes the resources of a process that has not crashed: leadership is handed over",
    Effect.gen(function*() {
      const { crash, election } = yield* start
      yield* Effect.scoped(crash.run(election.campaign("job")))
      const other = yield* start
      assert.isTrue(Option.isNone(yield* other.election.leader("job")))
    })
  )
})
