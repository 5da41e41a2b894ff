/** The promises of a `Registry`, kept in memory under the TestClock, and what only virtual time can show. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import { TestClock } from "effect/testing"
import { isExpired } from "../src/Expiration.ts"
import * as KVStore from "../src/KVStore.ts"
import * as Registry from "../src/Registry.ts"
import {
  away,
  Buckets,
  countOf,
  delayed,
  eventually,
  type Fault,
  fieldsOf,
  finisher,
  keyOf,
  lastOf,
  listed,
  named,
  on,
  openBucket,
  quiet,
  reasonOf,
  record,
  silent,
  startProcess,
  suite,
  times,
  underneath,
  watched
} from "./RegistrySuite.ts"

const buckets = Layer.succeed(Buckets)({ layer: KVStore.layerMemory })

suite("Registry in memory", { virtual: true, buckets })

// -----------------------------------------------------------------------------
// helpers
// -----------------------------------------------------------------------------

const until = eventually(true)
const finish = finisher(until)

const test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) =>
  it.effect(title, () => body().pipe(Effect.provide(Layer.merge(buckets, quiet))))

/** With the defaults, as users have them: 30 seconds, and a beat every 10. */
const defaults = { maxAge: undefined, heartbeat: undefined }
const key = keyOf("orders", "one")

/** A host whose wall clock is off by so much; its monotonic time goes as everybody's. */
const hostOffBy = (offset: () => number) =>
  Effect.map(Clock.Clock, (clock): Clock.Clock => {
    const millis = () => clock.currentTimeMillisUnsafe() + offset()
    const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(offset()) * 1_000_000n
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos,
      sleep: (duration) => clock.sleep(duration)
    }
  })

/** What is logged at that level and above, in words. */
const logged = () => {
  const lines: Array<string> = []
  const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
    lines.push(`${logLevel} ${(Array.isArray(message) ? message : [message]).map(String).join(" ")}`)
  })
  return { lines, layer: Logger.layer([logger]) }
}

const again = <E, R>(count: number, effect: Effect.Effect<unknown, E, R>) => Effect.repeat(effect, { times: count - 1 })

const hour = Duration.toMillis("1 hour")

// -----------------------------------------------------------------------------
// to the millisecond
// -----------------------------------------------------------------------------

describe("Registry in memory, to the millisecond", () => {
  test("an instance lives for exactly maxAge after its last beat, for all who look on", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const backend = yield* startProcess(store, defaults)
      const early = yield* startProcess(store, defaults)
      const late = yield* startProcess(store, defaults)
      const fromTheStart = yield* watched(early)
      yield* until(fromTheStart.all, (all) => all.includes("ready"))
      yield* backend.enter(named("orders", "one"))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(backend.link.landed(), 2)
      yield* backend.link.set(away)
      yield* TestClock.adjust("15 seconds")
      const fromTheMiddle = yield* watched(late)

      yield* TestClock.adjust("15 seconds")
      assert.deepStrictEqual(yield* listed(early), ["one"])
      assert.isTrue(Option.isSome(yield* early.registry.get("orders", "one")))
      assert.deepStrictEqual(fromTheStart.seen, ["ready", "up orders/one"])
      assert.deepStrictEqual(fromTheMiddle.seen, ["up orders/one", "ready"])

      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(yield* listed(early), [])
      assert.isTrue(Option.isNone(yield* early.registry.get("orders", "one")))
      assert.strictEqual((yield* early.registry.listAll()).size, 0)
      assert.deepStrictEqual(fromTheStart.seen.at(-1), "down orders/one expired")
      assert.deepStrictEqual(fromTheMiddle.seen.at(-1), "down orders/one expired")
    }))

  test("the visibility turns when maxAge is over, and not before", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const backend = yield* startProcess(store, defaults)
      const { visibility } = yield* backend.enter(named("orders", "one"))
      const told = yield* record(visibility)
      yield* TestClock.adjust("10 seconds")
      yield* backend.link.set(away)
      yield* TestClock.adjust("29999 millis")
      assert.deepStrictEqual(told.seen, ["visible"])
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(told.seen, ["visible", "invisible"])
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(told.seen, ["visible", "invisible"])
      yield* backend.link.set(undefined)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(told.seen, ["visible", "invisible", "visible"])
      assert.deepStrictEqual(yield* listed(backend), ["one"])
    }))

  test("the visibility counts from when a beat was sent, and not from when its answer came", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const backend = yield* startProcess(store, defaults)
      const observer = yield* startProcess(store, defaults)
      const { visibility } = yield* backend.enter(named("orders", "one"))
      const told = yield* record(visibility)
      yield* backend.link.set(times(1, "put", (_, run) => Effect.tap(run, () => Effect.sleep("1900 millis"))))
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(backend.link.landed(), 2)
      yield* backend.link.set(away)
      yield* TestClock.adjust("25 seconds")
      assert.deepStrictEqual(yield* listed(observer), ["one"])
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(yield* listed(observer), [])
      assert.deepStrictEqual(told.seen, ["visible", "invisible"])
    }))

  test("a sweep spares who has been silent for exactly maxAge, and removes it a millisecond later", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), defaults)
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual((yield* process.registry.cleanup()).removed, [])
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual((yield* process.registry.cleanup()).removed, [
        { instance: "orders/one", reason: "expired: no heartbeat for 30s" }
      ])
    }))

  for (const [what, fault] of [["away", away], ["silent", silent]] as const) {
    test(`ten seconds without the store (${what}), whenever they come, cost nobody its life`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const observer = yield* startProcess(store, defaults)
        const events = yield* watched(observer)
        const phases = Array.from({ length: 10 }, (_, phase) => phase)
        const backends = yield* Effect.forEach(phases, (phase) =>
          Effect.gen(function*() {
            const backend = yield* startProcess(store, defaults)
            const registration = yield* backend.enter(named("orders", `phase-${phase}`))
            return { ...backend, ...registration }
          }))
        for (const moment of Array.from({ length: 50 }, (_, index) => index)) {
          for (const [phase, { link }] of backends.entries()) {
            if (moment === phase) yield* link.set(fault)
            if (moment === phase + 10) yield* link.set(undefined)
          }
          yield* TestClock.adjust("1 second")
          assert.strictEqual((yield* listed(observer)).length, phases.length)
        }
        for (const { link, whyLost } of backends) {
          assert.isAtLeast(link.landed(), 5)
          assert.isAtMost(link.landed(), 7)
          assert.isUndefined(yield* whyLost)
        }
        assert.deepStrictEqual(events.seen.filter((event) => event.startsWith("down")), [])
      }))
  }

  test("while the store is away beats are tried again, all the time and at least every few seconds", () =>
    Effect.gen(function*() {
      const backend = yield* startProcess(yield* openBucket(), defaults)
      yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(away)
      yield* TestClock.adjust("10 seconds")
      yield* again(
        100,
        Effect.gen(function*() {
          const before = countOf(backend.link, "put")
          yield* TestClock.adjust("3 seconds")
          assert.isAbove(countOf(backend.link, "put"), before)
        })
      )
    }))

  test("a beat that is not answered is cut off after two seconds, and tried again", () =>
    Effect.gen(function*() {
      const backend = yield* startProcess(yield* openBucket(), defaults)
      yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(times(1, "put", silent))
      yield* TestClock.adjust("10 seconds")
      yield* TestClock.adjust("1999 millis")
      assert.strictEqual(countOf(backend.link, "put"), 2)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(countOf(backend.link, "put"), 3)
      assert.strictEqual(backend.link.landed(), 2)
    }))

  test("a beat whose reading back is not answered is cut off too, and tried again", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const backend = yield* startProcess(store, defaults)
      const { whyLost } = yield* backend.enter(named("orders", "one"))
      yield* underneath(store, key, { team: "blue" })
      yield* backend.link.set(times(1, "history", silent))
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(backend.link.landed(), 2)
      assert.strictEqual((yield* fieldsOf(store, key))["team"], "blue")
      assert.isUndefined(yield* whyLost)
    }))

  test("a restart takes over one millisecond after maxAge, and not before", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const old = yield* startProcess(store, defaults)
      const next = yield* startProcess(store, defaults)
      yield* old.registry.heartbeat(named("orders", "one"))
      yield* TestClock.adjust("12 seconds")
      yield* Effect.forkScoped(next.enter(named("orders", "one")))
      yield* TestClock.adjust("18 seconds")
      assert.strictEqual(next.link.landed(), 0)
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(next.link.landed(), 1)
    }))

  test("who does not wait takes over one millisecond after maxAge, and not before", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const old = yield* startProcess(store, defaults)
      const byHand = yield* startProcess(store, defaults)
      const next = yield* startProcess(store, defaults)
      yield* old.registry.heartbeat(named("orders", "one"))
      yield* old.registry.heartbeat(named("orders", "two"))
      yield* TestClock.adjust("30 seconds")
      yield* reasonOf(next.enter(named("orders", "one"), { onDuplicate: "fail" }), "DuplicateInstance")
      yield* reasonOf(byHand.registry.heartbeat(named("orders", "two")), "DuplicateInstance")
      yield* TestClock.adjust("1 milli")
      yield* next.enter(named("orders", "one"), { onDuplicate: "fail" })
      yield* byHand.registry.heartbeat(named("orders", "two"))
      assert.deepStrictEqual(yield* listed(old), ["one", "two"])
    }))

  test("isExpired by the store's clock agrees with what is listed, at every millisecond", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      for (const n of [0, 1, 2, 3, 4]) {
        yield* process.registry.heartbeat(named("orders", `i${n}`))
        yield* TestClock.adjust(n)
      }
      const expired = isExpired(store.clock)
      yield* TestClock.adjust("29980 millis")
      const counts: Array<number> = []
      yield* again(
        40,
        Effect.gen(function*() {
          const all = yield* process.registry.list("orders", { includeExpired: true })
          const alive = all.filter((instance) => !expired(instance)).map(({ instanceId }): string => instanceId)
          assert.deepStrictEqual(yield* listed(process), alive)
          counts.push(alive.length)
          yield* TestClock.adjust("1 milli")
        })
      )
      assert.strictEqual(counts[0], 5)
      assert.strictEqual(counts.at(-1), 0)
    }))
})

// -----------------------------------------------------------------------------
// other clocks
// -----------------------------------------------------------------------------

describe("Registry in memory, on hosts whose wall clock is wrong", () => {
  for (const [what, offset] of [["an hour ahead", hour], ["an hour behind", -hour]] as const) {
    test(`a host that is ${what} neither vanishes, nor lives for ever, nor takes others for dead`, () =>
      Effect.gen(function*() {
        yield* TestClock.setTime(10 * hour)
        const store = yield* openBucket()
        const host = yield* hostOffBy(() => offset)
        const onHost = Effect.provideService(Clock.Clock, host)
        const wrong = yield* onHost(startProcess(store, defaults))
        const right = yield* startProcess(store, defaults)
        const byWrong = yield* onHost(watched(wrong))
        const byRight = yield* watched(right)
        yield* onHost(wrong.enter(named("orders", "wrong")))
        yield* right.enter(named("orders", "right"))
        yield* again(
          20,
          Effect.gen(function*() {
            yield* TestClock.adjust("5 seconds")
            assert.deepStrictEqual(yield* listed(right), ["right", "wrong"])
            assert.deepStrictEqual(yield* onHost(listed(wrong)), ["right", "wrong"])
            assert.deepStrictEqual((yield* onHost(wrong.registry.cleanup())).removed, [])
          })
        )
        const got = Option.getOrThrow(yield* right.registry.get("orders", "wrong"))
        assert.strictEqual(got.lastHeartbeat.epochMilliseconds, yield* Clock.currentTimeMillis)

        yield* wrong.link.set(on("put", away))
        yield* TestClock.adjust("30 seconds")
        assert.deepStrictEqual(yield* listed(right), ["right", "wrong"])
        yield* TestClock.adjust("1 milli")
        assert.deepStrictEqual(yield* listed(right), ["right"])
        assert.deepStrictEqual(yield* onHost(listed(wrong)), ["right"])
        for (const { seen } of [byWrong, byRight]) {
          assert.deepStrictEqual(seen.filter((event) => event.startsWith("down")), ["down orders/wrong expired"])
        }
      }))
  }

  test("a wall clock that is set by an hour, forth and back, costs nobody anything", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10 * hour)
      let offset = 0
      const store = yield* openBucket()
      const host = yield* hostOffBy(() => offset)
      const onHost = Effect.provideService(Clock.Clock, host)
      const process = yield* onHost(startProcess(store, defaults))
      const events = yield* onHost(watched(process))
      const { visibility, whyLost } = yield* onHost(process.enter(named("orders", "one")))
      const told = yield* onHost(record(visibility))
      for (const step of [hour + 4_000, -7_000, -hour - 5_000, 0, -1_000]) {
        offset = step
        yield* again(
          20,
          Effect.gen(function*() {
            yield* TestClock.adjust("3 seconds")
            assert.deepStrictEqual(yield* onHost(listed(process)), ["one"])
          })
        )
      }
      // One for each ten seconds, but for those of the steps.
      assert.approximately(process.link.landed(), 31, 5)
      assert.deepStrictEqual(told.seen, ["visible"])
      assert.deepStrictEqual(events.seen.filter((event) => event !== "ready"), ["up orders/one"])
      assert.isUndefined(yield* whyLost)
    }))

  test("a restart on a host that is an hour off waits as long as any other", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10 * hour)
      for (const offset of [hour, -hour]) {
        const store = yield* openBucket()
        const onHost = Effect.provideService(Clock.Clock, yield* hostOffBy(() => offset))
        const old = yield* startProcess(store, defaults)
        const next = yield* onHost(startProcess(store, defaults))
        yield* old.registry.heartbeat(named("orders", "one"))
        yield* Effect.forkScoped(onHost(next.enter(named("orders", "one"))))
        yield* TestClock.adjust("30 seconds")
        assert.strictEqual(next.link.landed(), 0)
        yield* TestClock.adjust("1 milli")
        assert.strictEqual(next.link.landed(), 1)
      }
    }))

  test("with the local clock the written heartbeat decides", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10 * hour)
      const store = yield* openBucket()
      const local = yield* startProcess(store, { ...defaults, clock: "local" })
      const byStore = yield* startProcess(store, defaults)
      const written = (millis: number) => DateTime.formatIso(DateTime.makeUnsafe(millis))
      const now = yield* Clock.currentTimeMillis
      yield* byStore.registry.heartbeat(named("orders", "edge"))
      yield* byStore.registry.heartbeat(named("orders", "future"))
      yield* byStore.registry.heartbeat(named("orders", "past"))
      yield* underneath(store, keyOf("orders", "edge"), { lastHeartbeat: written(now - 30_000) })
      yield* underneath(store, keyOf("orders", "future"), { lastHeartbeat: written(now + hour) })
      yield* underneath(store, keyOf("orders", "past"), { lastHeartbeat: written(now - 30_001) })
      assert.deepStrictEqual(yield* listed(local), ["edge", "future"])
      assert.deepStrictEqual(yield* listed(byStore), ["edge", "future", "past"])
      const past = Option.getOrThrow(yield* local.registry.get("orders", "past", { includeExpired: true }))
      assert.strictEqual(past.lastHeartbeat.epochMilliseconds, now - 30_001)
      assert.isTrue(Option.isNone(yield* local.registry.get("orders", "past")))
      const { removed } = yield* local.registry.cleanup()
      assert.deepStrictEqual(removed.map(({ instance }) => instance), ["orders/past"])

      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(yield* listed(local), ["future"])
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* listed(local), ["future"])
      assert.deepStrictEqual(yield* listed(byStore), [])
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(yield* listed(local), [])
    }))

  test("with the local clock a host that is an hour ahead takes the living for dead, as documented", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(10 * hour)
      const store = yield* openBucket()
      const onHost = Effect.provideService(Clock.Clock, yield* hostOffBy(() => hour))
      const ahead = yield* onHost(startProcess(store, { ...defaults, clock: "local" }))
      const right = yield* startProcess(store, { ...defaults, clock: "local" })
      yield* right.registry.heartbeat(named("orders", "one"))
      assert.deepStrictEqual(yield* listed(right), ["one"])
      assert.deepStrictEqual(yield* onHost(listed(ahead)), [])
    }))
})

// -----------------------------------------------------------------------------
// schedules
// -----------------------------------------------------------------------------

describe("Registry in memory, on its schedules", () => {
  test("a Duration beats at that interval, and the registration's own goes before the layer's", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), { ...defaults, heartbeat: "5 seconds" })
      yield* process.enter(named("orders", "one"))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(process.link.landed(), 5)
      yield* process.enter(named("orders", "two"), { heartbeat: "2 seconds" })
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(process.link.landed(), 5 + 4 + 1 + 10)
    }))

  test("a clock that stands between two milliseconds does not make beats come in floods", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), defaults)
      for (const fraction of [1 / 3, 0.1, 0.7, Math.PI % 1]) {
        yield* TestClock.adjust(Duration.millis(fraction))
        yield* process.enter(named("orders", `f${Math.round(fraction * 1000)}`))
      }
      yield* TestClock.adjust("5 minutes")
      // Four instances and thirty beats, of which a few may come twice.
      assert.approximately(process.link.landed(), 150, 30)
    }))

  test("a Schedule beats when it says so", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket(), { ...defaults, heartbeat: Schedule.spaced("4 seconds") })
      yield* process.enter(named("orders", "one"))
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(process.link.landed(), 6)
      yield* process.enter(named("orders", "two"), { heartbeat: Schedule.fixed("10 seconds") })
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(process.link.landed(), 6 + 5 + 1 + 2)
    }))

  test("a Schedule that ends lets the instance expire, and says so", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      const heartbeat = Schedule.spaced("5 seconds").pipe(Schedule.upTo({ times: 2 }))
      yield* process.enter(named("orders", "one"), { heartbeat }).pipe(Effect.provide(layer))
      yield* TestClock.adjust("40 seconds")
      assert.strictEqual(process.link.landed(), 3)
      assert.deepStrictEqual(yield* listed(process), ["one"])
      yield* TestClock.adjust("1 milli")
      assert.deepStrictEqual(yield* listed(process), [])
      assert.isTrue(lines.some((line) => line.startsWith("Warn") && line.includes("has ended")), lines.join("\n"))
    }))

  test("a Schedule with a gap of more than half of maxAge is warned of, and one without is not", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const process = yield* startProcess(yield* openBucket(), defaults)
      const enter = (id: string, heartbeat: Schedule.Schedule<unknown>) =>
        process.enter(named("orders", id), { heartbeat }).pipe(Effect.provide(layer))
      yield* enter("one", Schedule.spaced("15 seconds"))
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(lines, [])
      yield* enter("two", Schedule.spaced("16 seconds"))
      yield* TestClock.adjust("1 minute")
      assert.isTrue(lines.length > 0)
      for (const line of lines) assert.match(line, /^Warn .*orders\/two/)
    }))

  const impossible = ["15001 millis", 0, -1, Number.POSITIVE_INFINITY] as const

  for (const heartbeat of impossible) {
    test(`a heartbeat of ${heartbeat} is refused, by the layer and by register`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const layer = Layer.build(
          Registry.layer({ heartbeat }).pipe(Layer.provide(Layer.succeed(KVStore.KVStore, store)))
        )
        assert.include((yield* reasonOf(layer, "InvalidConfig")).message, "heartbeat")
        const process = yield* startProcess(store, defaults)
        const entering = process.enter(named("orders", "one"), { heartbeat })
        assert.include((yield* reasonOf(entering, "InvalidConfig")).message, "heartbeat")
        assert.deepStrictEqual(process.link.calls, [])
      }))
  }

  test("the sweeper passes every 30 seconds, and removes what two passes saw", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      yield* Layer.build(
        Registry.layerCleanup().pipe(Layer.provide(Layer.succeed(Registry.Registry, process.registry)))
      )
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(countOf(process.link, "entries"), 1)
      yield* TestClock.adjust("59999 millis")
      assert.strictEqual(countOf(process.link, "entries"), 2)
      assert.strictEqual(yield* lastOf(store, key), "put")
      yield* TestClock.adjust("1 milli")
      assert.strictEqual(countOf(process.link, "entries"), 3)
      assert.strictEqual(yield* lastOf(store, key), "purge")
    }))

  test("the sweeper takes a Schedule, and what a pass may do", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      yield* Layer.build(
        Registry.layerCleanup({ schedule: Schedule.spaced("1 second"), confirm: false, maxAge: "5 seconds" }).pipe(
          Layer.provide(Layer.succeed(Registry.Registry, process.registry))
        )
      )
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* lastOf(store, key), "put")
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* lastOf(store, key), "purge")
    }))
})

// -----------------------------------------------------------------------------
// what is said, and what ends
// -----------------------------------------------------------------------------

describe("Registry in memory, when things go wrong", () => {
  const stuck: ReadonlyArray<readonly [what: string, fault: Fault]> = [
    ["read", on("history", silent)],
    ["delete", on("delete", silent)],
    ["do anything", silent]
  ]

  for (const [what, fault] of stuck) {
    for (const how of ["is done", "is interrupted"] as const) {
      test(`what ${how} ends within twice the store's timeout where the store does not ${what}`, () =>
        Effect.gen(function*() {
          const process = yield* startProcess(yield* openBucket({ timeout: "5 seconds" }), defaults)
          const done = Latch.makeUnsafe(false)
          const fiber = yield* process.registry.register(named("orders", "one")).pipe(
            Effect.andThen(done.await),
            Effect.scoped,
            Effect.forkScoped
          )
          yield* until(listed(process), (ids) => ids.length === 1)
          yield* process.link.set(fault)
          if (how === "is done") yield* done.open
          else fiber.interruptUnsafe()
          yield* TestClock.adjust("10 seconds")
          assert.isDefined(fiber.pollUnsafe())
        }))
    }
  }

  test("a first write that lands after its registration was interrupted is left to its age", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const backend = yield* startProcess(store, defaults)
      const observer = yield* startProcess(store, defaults)
      const { fault, open } = yield* delayed
      yield* backend.link.set(on("put", fault))
      const fiber = yield* Effect.forkScoped(Effect.scoped(backend.registry.register(named("orders", "one"))))
      yield* until(Effect.sync(() => countOf(backend.link, "put")), (count) => count === 1)
      yield* finish(Fiber.interrupt(fiber))
      yield* open
      yield* until(listed(observer), (ids) => ids.length === 1)
      yield* TestClock.adjust("30001 millis")
      assert.deepStrictEqual(yield* listed(observer), [])
    }))

  test("a layerInstance that loses its registration says so as an error", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const store = yield* openBucket()
      const process = yield* startProcess(store, defaults)
      const scope = yield* Scope.make()
      yield* Registry.layerInstance(named("orders", "one")).pipe(
        Layer.provide(Layer.succeed(Registry.Registry, process.registry)),
        Layer.build,
        Scope.provide(scope),
        Effect.provide(layer)
      )
      yield* process.registry.deregister("orders", "one")
      yield* TestClock.adjust("11 seconds")
      yield* finish(Scope.close(scope, Exit.void))
      assert.isTrue(lines.some((line) => line.startsWith("Error") && line.includes("registration")), lines.join("\n"))
    }))

  test("a registration that ends as it should says nothing", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const process = yield* startProcess(yield* openBucket(), defaults)
      const { close } = yield* process.enter(named("orders", "one")).pipe(Effect.provide(layer))
      yield* TestClock.adjust("1 minute")
      yield* finish(close)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(lines, [])
    }))

  test("a registration that has drained says nothing more, however long its scope stays open", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const process = yield* startProcess(yield* openBucket(), defaults)
      const { drain, visibility, whyLost } = yield* process.enter(named("orders", "one")).pipe(Effect.provide(layer))
      const told = yield* record(visibility)
      yield* finish(drain(Effect.void, "1 minute"))
      const calls = process.link.calls.length
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(process.link.calls.length, calls)
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(told.seen, ["visible", "invisible"])
      assert.deepStrictEqual(lines, [])
    }))

  test("a service that self-preservation holds back is warned of by name", () =>
    Effect.gen(function*() {
      const { layer, lines } = logged()
      const process = yield* startProcess(yield* openBucket(), defaults)
      for (const n of Array.from({ length: 10 }, (_, index) => index)) {
        yield* process.registry.heartbeat(named("orders", `i${n}`))
      }
      yield* TestClock.adjust("1 minute")
      yield* process.registry.cleanup().pipe(Effect.provide(layer))
      assert.strictEqual(lines.length, 1)
      assert.match(lines[0]!, /^Warn .*orders/)
    }))
})
