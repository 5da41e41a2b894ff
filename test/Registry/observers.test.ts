/** Observers that were cut off, paused or late, in virtual time: no instance expires because of messages that they have missed. */
import { assert, describe } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as KVStore from "../../src/KVStore.ts"
import * as Registry from "../../src/Registry.ts"
import { away, type Fault, on, silent } from "../support/links.ts"
import { logged, numbers, type Store } from "../support/suite.ts"
import { contains } from "./suite/fixture.ts"
import { again, defaults, test, until } from "./suite/inMemory.ts"
import { listed, named, openBucket, type Process, startProcess, watched } from "./suite/processes.ts"

/** An observer of `count` live instances, each in a process of its own. */
const fleet = Effect.fnUntraced(function*(count: number, times: Registry.Options = defaults) {
  const store = yield* openBucket()
  const observer = yield* startProcess(store, times)
  const events = yield* watched(observer)
  const owners: Array<Process> = []
  for (const index of numbers(count)) {
    const owner = yield* startProcess(store, times)
    yield* owner.enter(named("orders", `i${index}`))
    owners.push(owner)
  }
  yield* until(events.all, contains(`up orders/i${count - 1}`))
  const downs = () => events.events.filter((event) => event.startsWith("down"))
  const ups = () => events.events.filter((event) => event.startsWith("up"))
  return { store, observer, owners, events, downs, ups }
})

describe("a list after an outage that was longer than the age of the bucket", () => {
  test("has what the view of its process keeps, until the view announces it Down", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ streamMaxAge: "60 seconds" })
      const observer = yield* startProcess(store, defaults)
      const events = yield* watched(observer)
      const [live, paused] = [yield* startProcess(store, defaults), yield* startProcess(store, defaults)]
      yield* live.enter(named("orders", "live"))
      yield* paused.enter(named("orders", "paused"))
      yield* until(events.all, contains("up orders/paused"))
      for (const { link } of [live, paused]) yield* link.set(away)
      yield* observer.link.cut
      yield* TestClock.adjust("70 seconds")
      yield* live.link.set(undefined)
      yield* observer.link.heal
      yield* TestClock.adjust("1 second")
      const downs = () => events.events.filter((event) => event.startsWith("down"))
      for (let second = 0; second < 60 && downs().length === 0; second++) {
        assert.deepStrictEqual(yield* listed(observer), ["live", "paused"], `after ${second} s`)
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(downs(), ["down orders/paused expired"])
      assert.deepStrictEqual(yield* listed(observer), ["live"])
    }))
})

/** The owner sends no more heartbeats, and does not deregister. */
const kill = ({ link }: Process) => link.set(on(["put", "delete"], away))

describe("an observer that is cut off", () => {
  test("for longer than maxAge keeps its instances, and receives no Down and no Up", () =>
    Effect.gen(function*() {
      const { downs, observer, ups } = yield* fleet(5)
      yield* observer.link.cut
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(downs(), [])
      yield* observer.link.heal
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual([downs().length, ups().length], [0, 5])
    }))

  test("expires the instances that died meanwhile within maxAge of its return", () =>
    Effect.gen(function*() {
      const { downs, observer, owners } = yield* fleet(5)
      yield* observer.link.cut
      yield* kill(owners[0]!)
      yield* TestClock.adjust("2 minutes")
      yield* observer.link.heal
      yield* TestClock.adjust("12 seconds")
      assert.deepStrictEqual(downs(), [])
      yield* TestClock.adjust("19 seconds")
      assert.deepStrictEqual(downs(), ["down orders/i0 expired"])
    }))

  test("does not announce an instance that was killed 33 seconds before its return", () =>
    Effect.gen(function*() {
      const { observer, store, ups } = yield* fleet(2)
      yield* observer.link.cut
      const late = yield* startProcess(store, defaults)
      yield* late.enter(named("orders", "late"))
      yield* TestClock.adjust("5 seconds")
      yield* kill(late)
      yield* TestClock.adjust("33 seconds")
      yield* observer.link.heal
      yield* TestClock.adjust("1 minute")
      assert.notInclude(ups(), "up orders/late")
    }))

  test("still receives removals and new instances after its return", () =>
    Effect.gen(function*() {
      const { downs, events, observer, owners, store } = yield* fleet(3)
      yield* observer.link.cut
      yield* owners[1]!.registry.deregister({ serviceName: "orders", instanceId: "i1" })
      const next = yield* startProcess(store, defaults)
      yield* next.enter(named("orders", "new"))
      yield* TestClock.adjust("1 minute")
      yield* observer.link.heal
      yield* until(events.all, contains("up orders/new"))
      assert.deepStrictEqual(downs(), ["down orders/i1 deregistered"])
    }))

  test("for 1 second in every 20 expires a dead instance within twice maxAge and a few cuts", () =>
    Effect.gen(function*() {
      const { downs, observer, owners } = yield* fleet(5)
      yield* kill(owners[0]!)
      let elapsed = 0
      while (downs().length === 0 && elapsed < 200) {
        yield* TestClock.adjust("19 seconds")
        yield* observer.link.cut
        yield* TestClock.adjust("1 second")
        yield* observer.link.heal
        elapsed += 20
      }
      assert.deepStrictEqual(downs(), ["down orders/i0 expired"])
      assert.isAtMost(elapsed, 80)
    }))

  test("lists its instances also while their records are old, after an outage of the store for all", () =>
    Effect.gen(function*() {
      const { observer, owners } = yield* fleet(3)
      yield* observer.link.cut
      for (const owner of owners) yield* owner.link.set(away)
      yield* TestClock.adjust("35 seconds")
      yield* observer.link.heal
      assert.deepStrictEqual(yield* listed(observer), ["i0", "i1", "i2"])
      assert.isTrue(Option.isSome(yield* observer.registry.get("orders", "i1")))
      assert.strictEqual((yield* observer.registry.listAll()).get("orders")?.length, 3)
      // A read with its own maxAge judges by age.
      assert.deepStrictEqual(yield* listed(observer, "orders", { maxAge: "30 seconds" }), [])
      for (const owner of owners) yield* owner.link.set(undefined)
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(yield* listed(observer), ["i0", "i1", "i2"])
    }))

  test("logs that it is cut off, and that it follows the registry again", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const { observer } = yield* fleet(2)
        yield* observer.link.cut
        yield* TestClock.adjust("1 minute")
        yield* observer.link.heal
        yield* TestClock.adjust("1 minute")
      }).pipe(Effect.scoped, Effect.provide(log.layer))
      assert.deepStrictEqual(log.lines.filter((line) => line.includes("expire")), [
        "Warn cut off from the registry: no instance expires until it is followed again",
        "Info the registry is followed again: instances have time to send a heartbeat before they expire"
      ])
    }))
})

describe("an observer whose clock jumps, as after SIGSTOP or in a blocked event loop", () => {
  test("expires no instance before it had time to send a heartbeat", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const base = yield* Clock.Clock
      let behind = 0n
      // The timers of a process that does not run are late, and its clock is not.
      const clock: Clock.Clock = {
        ...base,
        monotonicTimeNanosUnsafe: () => base.monotonicTimeNanosUnsafe() + behind,
        monotonicTimeNanos: Effect.sync(() => base.monotonicTimeNanosUnsafe() + behind),
        sleep: (duration) => base.sleep(duration)
      }
      const observer = yield* startProcess(store, defaults).pipe(Effect.provideService(Clock.Clock, clock))
      const events = yield* watched(observer).pipe(Effect.provideService(Clock.Clock, clock))
      const owner = yield* startProcess(store, defaults)
      // Only one: the silence of several would have to be explained first.
      yield* owner.enter(named("orders", "one"))
      yield* until(events.all, contains("up orders/one"))
      yield* TestClock.adjust("5 seconds")
      // Its timers run before what has arrived meanwhile is read.
      const gate = Latch.makeUnsafe(false)
      yield* observer.link.lag(gate.await)
      behind = 100_000_000_000n
      yield* TestClock.adjust("30 seconds")
      yield* gate.open
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(events.events.filter((event) => event.startsWith("down")), [])
    }))
})

describe("the silence of all instances", () => {
  test("of a service that was killed is their own: they expire after maxAge", () =>
    Effect.gen(function*() {
      const { downs, owners } = yield* fleet(5)
      yield* TestClock.adjust("1 second")
      for (const owner of owners) yield* kill(owner)
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual(downs().length, 5)
    }))

  test("is the store's if it does not answer: no instance expires until it is back", () =>
    Effect.gen(function*() {
      const { downs, observer, owners } = yield* fleet(5)
      for (const owner of owners) yield* kill(owner)
      yield* observer.link.set(on("status", silent))
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(downs(), [])
      for (const owner of owners) yield* owner.link.set(undefined)
      yield* observer.link.set(undefined)
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(downs(), [])
    }))

  test("is the store's while another node than its leader answers: no instance expires until it has a leader", () =>
    Effect.gen(function*() {
      const { downs, observer, owners } = yield* fleet(5)
      for (const owner of owners) yield* kill(owner)
      yield* observer.link.set((call, run) =>
        call.operation === "status" ? Effect.map(run, (status) => ({ ...status, hasLeader: false })) : run
      )
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(downs(), [])
      yield* observer.link.set(undefined)
      yield* TestClock.adjust("2 minutes")
      assert.strictEqual(downs().length, 5)
    }))

  test("ends with a connection that was lost and is back, and dead instances expire in time", () =>
    Effect.gen(function*() {
      const { downs, observer, owners } = yield* fleet(5)
      yield* TestClock.adjust("11 seconds")
      yield* kill(owners[0]!)
      yield* TestClock.adjust("10 seconds")
      for (const owner of owners) yield* kill(owner)
      yield* observer.link.set(on("status", away))
      yield* TestClock.adjust("1 minute")
      yield* observer.link.set(undefined)
      yield* TestClock.adjust("2 seconds")
      yield* observer.link.cut
      yield* observer.link.heal
      // Its age was 10 s when the suspicion began.
      yield* TestClock.adjust("19 seconds")
      assert.deepStrictEqual(downs(), [])
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(downs(), ["down orders/i0 expired"])
    }))

  test("ends maxAge after the store answers again, if they are dead", () =>
    Effect.gen(function*() {
      const { downs, observer, owners } = yield* fleet(5)
      for (const owner of owners) yield* kill(owner)
      yield* observer.link.set(on("status", away))
      yield* TestClock.adjust("2 minutes")
      yield* observer.link.set(undefined)
      yield* TestClock.adjust("20 seconds")
      assert.deepStrictEqual(downs(), [])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(downs().length, 5)
    }))
})

describe("a view that ends", () => {
  /** A store whose watch ends in a certain way. */
  const ending = (store: Store, end: Stream.Stream<never, KVStore.KVStoreError>, opened: { count: number }) =>
    Layer.succeed(KVStore.KVStore, {
      ...store,
      watch: (filter = ">", options) =>
        Stream.suspend(() =>
          opened.count++ === 0
            ? Stream.concat(Stream.take(store.watch(filter, options), 1), end)
            : store.watch(filter, options)
        )
    })

  for (
    const [how, end] of [
      ["by a defect", Stream.die("broken")],
      ["without an error", Stream.empty],
      [
        "by an error",
        Stream.fail(
          new KVStore.KVStoreError({
            bucket: "a",
            operation: "watch",
            key: ">",
            reason: new KVStore.Unavailable({ problem: "gone" })
          })
        )
      ]
    ] as const
  ) {
    test(`${how} fails its subscribers, expires no instance, and is not given to new ones`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const opened = { count: 0 }
        const scope = yield* Scope.make()
        const context = yield* Layer.build(
          Layer.provide(Registry.layer(), ending(store, end, opened))
        ).pipe(Scope.provide(scope))
        const registry = yield* Effect.provide(Registry.Registry, context)
        yield* registry.heartbeat(named("orders", "one"))
        const exit = yield* Effect.exit(Stream.runDrain(registry.watch()))
        assert.isTrue(Exit.isFailure(exit))
        const again = yield* Effect.forkScoped(Stream.runCollect(Stream.take(registry.watch(), 2)))
        const events = yield* Fiber.join(again)
        assert.deepStrictEqual(events.map(({ _tag }) => _tag), ["Up", "Ready"])
        assert.strictEqual(opened.count, 2)
        yield* Scope.close(scope, Exit.void)
      }))
  }
})

describe("the view of lists, if it ends", () => {
  /** A registry whose first watch can be made to fail, with an instance, after its first list. */
  const failing = Effect.gen(function*() {
    const store = yield* openBucket()
    const denied = yield* Deferred.make<never, KVStore.KVStoreError>()
    let watches = 0
    const layer = Layer.succeed(KVStore.KVStore, {
      ...store,
      watch: (filter = ">", options) =>
        Stream.suspend(() =>
          watches++ === 0
            ? Stream.interruptWhen(store.watch(filter, options), Deferred.await(denied))
            : store.watch(filter, options)
        )
    })
    const registry = yield* Effect.provide(
      Registry.Registry,
      yield* Layer.build(Layer.provide(Registry.layer(), layer))
    )
    const owner = yield* startProcess(store, defaults)
    yield* owner.enter(named("orders", "one"))
    const list = Effect.map(registry.list("orders"), (all) => all.map(({ instanceId }) => instanceId))
    assert.deepStrictEqual(yield* list, ["one"])
    yield* again(20, TestClock.adjust("50 millis"))
    const fail = Deferred.fail(
      denied,
      new KVStore.KVStoreError({
        bucket: "a",
        operation: "watch",
        key: ">",
        reason: new KVStore.PermissionDenied({ subject: "a" })
      })
    )
    /** A subscriber that does not go on reading. */
    const subscribed = Effect.forkScoped(Stream.runForEach(registry.watch("orders"), () => Effect.never))
    return { fail, list, owner, subscribed, watches: () => watches }
  })

  test("is replaced with the next list after 5 seconds", () =>
    Effect.gen(function*() {
      const { fail, list, watches } = yield* failing
      yield* fail
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(yield* list, ["one"])
      yield* again(20, TestClock.adjust("10 millis"))
      assert.strictEqual(watches(), 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* list, ["one"])
      yield* again(20, TestClock.adjust("50 millis"))
      assert.strictEqual(watches(), 2)
    }))

  test("keeps no instance in later lists, and expires none, also while a subscriber does not read its end", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const { fail, list, owner, subscribed } = yield* failing
        yield* subscribed
        yield* again(20, TestClock.adjust("50 millis"))
        yield* kill(owner)
        yield* TestClock.adjust("20 seconds")
        yield* fail
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(yield* list, [])
        assert.deepStrictEqual(log.lines.filter((line) => line.includes("expired: ")), [])
      }).pipe(Effect.scoped, Effect.provide(log.layer))
    }))

  test("keeps no instance in later lists, and expires none", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const { fail, list, owner } = yield* failing
        yield* fail
        for (let second = 0; second < 60; second += 5) {
          yield* TestClock.adjust("5 seconds")
          assert.deepStrictEqual(yield* list, ["one"])
        }
        assert.deepStrictEqual(log.lines.filter((line) => line.includes("expired: ")), [])
        yield* kill(owner)
        yield* TestClock.adjust("31 seconds")
        assert.deepStrictEqual(yield* list, [])
      }).pipe(Effect.scoped, Effect.provide(log.layer))
    }))
})

const watchesOf = ({ link }: Process) => link.calls.filter(({ operation }) => operation === "watch").length

/** A process without a watch that lists, and owners in processes of their own. */
const lister = Effect.fnUntraced(function*(count: number, bucket: Partial<KVStore.BucketOptions> = {}) {
  const store = yield* openBucket(bucket)
  const owners = yield* Effect.forEach(numbers(count), () => startProcess(store, defaults))
  for (const [index, owner] of owners.entries()) yield* owner.enter(named("orders", `i${index}`))
  const process = yield* startProcess(store, defaults)
  assert.lengthOf(yield* listed(process), count)
  // Its view has loaded once it has judged: it answers what it knows then.
  yield* until(Effect.sync(() => watchesOf(process)), (watches) => watches === 1)
  yield* again(20, TestClock.adjust("50 millis"))
  return { store, owners, process }
})

describe("a process that lists now and then", () => {
  /** A bucket that was created a moment ago, or that has these fields in its status. */
  const lost = (status: Partial<KVStore.KVStatus> = {}): Fault => (call, run) =>
    call.operation === "entries" || call.operation === "history"
      ? Effect.as(run, [] as never)
      : call.operation === "status"
      ? Effect.zipWith(run, DateTime.now, (known, now) => ({ ...known, created: now, ...status }))
      : run

  test("lists the instances that it knew while the bucket is lost, and they have not registered again", () =>
    Effect.gen(function*() {
      const { process } = yield* lister(20)
      yield* process.link.set(lost())
      assert.lengthOf(yield* listed(process), 20)
      assert.strictEqual((yield* process.registry.listAll()).get("orders")?.length, 20)
      assert.deepStrictEqual(yield* listed(process, "orders", { maxAge: "30 seconds" }), [])
    }))

  test("lists the instances that it knew while the bucket is rolled back", () =>
    Effect.gen(function*() {
      const { process } = yield* lister(3)
      yield* process.link.set(lost({ created: DateTime.makeUnsafe(0), lastRevision: 0 }))
      assert.lengthOf(yield* listed(process), 3)
    }))

  test("lists what it knew of a bucket that was emptied, until the record and its marker can be gone by age", () =>
    Effect.gen(function*() {
      const { process } = yield* lister(3, { streamMaxAge: "60 seconds" })
      const emptied = lost({ created: DateTime.makeUnsafe(-1) })
      yield* process.link.set(emptied)
      assert.lengthOf(yield* listed(process), 3)
      yield* process.link.cut
      yield* TestClock.adjust("1 minute")
      yield* process.link.heal
      assert.lengthOf(yield* listed(process), 0)
    }))

  test("lists no instance that was deregistered, also before its view learns of it", () =>
    Effect.gen(function*() {
      const { owners, process } = yield* lister(20)
      yield* process.link.lag(Effect.never)
      for (const index of [0, 1]) {
        yield* owners[index]!.registry.deregister({ serviceName: "orders", instanceId: `i${index}` })
      }
      assert.lengthOf(yield* listed(process), 18)
      for (const index of numbers(20).slice(2)) {
        yield* owners[index]!.registry.deregister({ serviceName: "orders", instanceId: `i${index}` })
      }
      assert.deepStrictEqual(yield* listed(process), [])
    }))

  test("lists all instances right after an outage of 35 s, during which it tried to list", () =>
    Effect.gen(function*() {
      const { owners, process } = yield* lister(3)
      for (const { link } of [...owners, process]) yield* link.set(away)
      yield* process.link.cut
      yield* again(7, Effect.andThen(Effect.ignore(listed(process)), TestClock.adjust("5 seconds")))
      yield* process.link.set(undefined)
      yield* process.link.heal
      assert.deepStrictEqual(yield* listed(process), ["i0", "i1", "i2"])
    }))

  test("ends its view 30 seconds after the last list", () =>
    Effect.gen(function*() {
      const { process } = yield* lister(1)
      yield* TestClock.adjust("25 seconds")
      yield* listed(process)
      yield* TestClock.adjust("25 seconds")
      yield* listed(process)
      assert.strictEqual(watchesOf(process), 1)
      yield* TestClock.adjust("31 seconds")
      yield* listed(process)
      yield* until(Effect.sync(() => watchesOf(process)), (watches) => watches === 2)
    }))

  test("lists without a view if it may not watch", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const owner = yield* startProcess(store, defaults)
      yield* owner.enter(named("orders", "i0"))
      const process = yield* startProcess(store, defaults)
      yield* process.link.loseWatches
      assert.deepStrictEqual(yield* listed(process), ["i0"])
      yield* process.link.loseWatches
      yield* TestClock.adjust("5 seconds")
      assert.deepStrictEqual(yield* listed(process), ["i0"])
    }))
})

describe("a subscriber that does not read", () => {
  test("receives what it has to know, when it reads again, and does not grow with the changes", () =>
    Effect.gen(function*() {
      const { observer, owners, store } = yield* fleet(3)
      const gate = Latch.makeUnsafe(false)
      const seen: Array<string> = []
      yield* Effect.forkChild(
        Stream.runForEach(observer.registry.watch("orders"), (event) =>
          Effect.andThen(
            gate.await,
            Effect.sync(() => {
              if (event._tag !== "Ready") {
                seen.push(`${event._tag} ${event.instance.instanceId} ${event.instance.version}`)
              }
            })
          ))
      )
      yield* TestClock.adjust("1 second")
      const { update } = yield* (yield* startProcess(store, defaults)).enter(named("orders", "busy"))
      for (const index of numbers(3000)) {
        yield* update((current) => ({ ...current, version: `1.${index}.0` }))
      }
      yield* owners[0]!.registry.deregister({ serviceName: "orders", instanceId: "i0" })
      yield* until(listed(observer), (ids) => !ids.includes("i0"))
      yield* TestClock.adjust("1 second")
      yield* gate.open
      yield* until(Effect.sync(() => seen.join("\n")), (all) => all.includes("Down i0"))
      assert.match(seen.findLast((line) => line.includes("busy")) ?? "", /^(Up|Changed) busy 1\.2999\.0$/)
      assert.isBelow(seen.length, 1200)
    }))
})
