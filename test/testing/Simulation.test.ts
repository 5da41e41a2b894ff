/** The simulated fleet: time, machines, links, the store, and runs. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as KVStore from "../../src/KVStore.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import { bytes, textOf } from "../../tools/values.ts"

type Program<A> = Effect.Effect<A, unknown, Simulation.Simulation | Scope.Scope>

const node = (id: string, options?: Simulation.NodeOptions) =>
  Effect.flatMap(Simulation.Simulation, (simulation) => simulation.node(id, options))

const now = Effect.flatMap(Simulation.Simulation, (simulation) => simulation.now)

/** The result of a program that must succeed. */
const resultOf = <A>(program: Program<A>, options?: Simulation.RunOptions) =>
  Effect.map(Simulation.run(program, options), ({ value }) => value)

const test = (title: string, program: Program<void>, options?: Simulation.RunOptions) =>
  it.effect(title, () => resultOf(program, options))

/** The simulated duration of an effect in milliseconds. */
const took = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const began = yield* now
    yield* effect
    return (yield* now) - began
  })

const store = KVStore.KVStore

const read = (key: string) =>
  Effect.flatMap(store, (bucket) => Effect.map(bucket.get(key), Option.map((entry) => textOf(entry.value))))

const write = (key: string, value: string) => Effect.flatMap(store, (bucket) => bucket.put(key, bytes(value)))

describe("time in a simulation", () => {
  test(
    "passes without waiting, however long",
    Effect.gen(function*() {
      assert.strictEqual(yield* took(Effect.sleep("30 days")), Duration.toMillis("30 days"))
    }),
    { limit: "60 days" }
  )

  test(
    "is measured on a machine by its clocks, with their offset and rate",
    Effect.gen(function*() {
      const fast = yield* node("fast", { rate: 2, offset: "1 hour" })
      const right = yield* node("right")
      assert.strictEqual(yield* took(fast.run(Effect.sleep("10 seconds"))), 5000)
      const [there, here] = [fast.clock, right.clock].map((clock) => clock.currentTimeMillisUnsafe())
      assert.strictEqual(there! - here!, 3_600_000 + 5000)
    })
  )

  test(
    "advances while a process is paused, and the fibers of the process wait",
    Effect.gen(function*() {
      const a = yield* node("a")
      let woke = 0
      yield* Effect.forkChild(
        a.run(Effect.forever(Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => woke++))))
      )
      yield* Effect.sleep(3500)
      yield* a.pause("10 seconds")
      const before = Number(a.clock.monotonicTimeNanosUnsafe())
      yield* Effect.sleep("9 seconds")
      assert.strictEqual(woke, 3)
      assert.strictEqual(Number(a.clock.monotonicTimeNanosUnsafe()) - before, 9e9)
      yield* Effect.sleep(1500)
      assert.isAtLeast(woke, 4)
    })
  )

  test(
    "does not advance the monotonic clock of a suspended machine, but its wall clock",
    Effect.gen(function*() {
      const a = yield* node("a")
      const asleep = yield* Effect.forkChild(took(a.run(Effect.sleep("10 seconds"))))
      yield* Effect.sleep("4 seconds")
      const [monotonic, wall] = [a.clock.monotonicTimeNanosUnsafe(), a.clock.currentTimeMillisUnsafe()]
      yield* a.suspend("1 minute")
      yield* Effect.sleep("1 minute")
      assert.strictEqual(a.clock.monotonicTimeNanosUnsafe(), monotonic)
      assert.strictEqual(a.clock.currentTimeMillisUnsafe() - wall, 60_000)
      assert.strictEqual(yield* Fiber.join(asleep), 70_000)
    })
  )

  test(
    "is not changed on the monotonic clock by a step of the wall clock",
    Effect.gen(function*() {
      const a = yield* node("a")
      const monotonic = a.clock.monotonicTimeNanosUnsafe()
      const wall = a.clock.currentTimeMillisUnsafe()
      yield* a.stepClock("-1 hours")
      assert.strictEqual(a.clock.currentTimeMillisUnsafe() - wall, -3_600_000)
      assert.strictEqual(a.clock.monotonicTimeNanosUnsafe(), monotonic)
    })
  )
})

describe("a machine", () => {
  test(
    "runs an effect with its own clock and random numbers, and returns the result",
    Effect.gen(function*() {
      const [a, b] = [yield* node("a", { offset: "1 day" }), yield* node("b")]
      const both = Effect.all([Clock.currentTimeMillis, Random.nextInt])
      const [[timeOfA, chanceOfA], [timeOfB, chanceOfB]] = [yield* a.run(both), yield* b.run(both)]
      assert.strictEqual(timeOfA - timeOfB, 86_400_000)
      assert.notStrictEqual(chanceOfA, chanceOfB)
      assert.strictEqual(yield* Effect.flip(a.run(Effect.fail("no"))), "no")
    })
  )

  test(
    "has crashed from its crash until its restart",
    Effect.gen(function*() {
      const a = yield* node("a")
      assert.isFalse(yield* a.hasCrashed)
      yield* a.crash
      assert.isTrue(yield* a.hasCrashed)
      yield* a.restart
      assert.isFalse(yield* a.hasCrashed)
    })
  )

  test(
    "runs nothing after a crash, no finalizer either, and a new process after a restart",
    Effect.gen(function*() {
      const a = yield* node("a")
      const log: Array<string> = []
      const note = (what: string) => Effect.sync(() => log.push(what))
      const work = Effect.ensuring(
        Effect.forever(Effect.andThen(note("works"), Effect.sleep("1 second"))),
        note("tidies up")
      )
      const running = yield* Effect.forkChild(Effect.flip(a.run(work)))
      yield* Effect.sleep(1500)
      yield* a.crash
      assert.include(yield* Fiber.join(running), { _tag: "NodeCrashed", node: "a" })
      yield* Effect.sleep("1 minute")
      assert.deepStrictEqual(log, ["works", "works"])
      assert.include(yield* Effect.flip(a.run(Effect.void)), { _tag: "NodeCrashed" })
      yield* Effect.forkChild(Effect.andThen(Effect.sleep("5 seconds"), a.restart))
      assert.strictEqual(yield* took(a.running), 5000)
      assert.strictEqual(yield* a.run(Effect.succeed("new")), "new")
    })
  )

  test(
    "interrupts an effect with its caller, and runs the finalizers on the machine",
    Effect.gen(function*() {
      const a = yield* node("a")
      const log: Array<string> = []
      const work = Effect.onInterrupt(
        Effect.never,
        () => Effect.andThen(Effect.sleep("2 seconds"), Effect.sync(() => log.push("tidied up")))
      )
      const running = yield* Effect.forkChild(a.run(work))
      yield* Effect.sleep("1 second")
      assert.strictEqual(yield* took(Fiber.interrupt(running)), 2000)
      assert.deepStrictEqual(log, ["tidied up"])
    })
  )
})

describe("an invalid argument", () => {
  const problem = (program: Program<unknown>) =>
    Effect.map(Effect.flip(resultOf(program)), (error) => {
      assert.instanceOf(error, Simulation.InvalidConfig)
      return (error as Simulation.InvalidConfig).message
    })

  const refuses = (title: string, rows: ReadonlyArray<readonly [Program<unknown>, string]>) =>
    it.effect(
      title,
      () =>
        Effect.forEach(rows, ([program, expected]) =>
          Effect.map(problem(program), (message) => assert.include(message, expected)))
    )

  const nodeOf = (options: unknown) => node("a", options as Simulation.NodeOptions)
  refuses("of a node (id, options) fails with InvalidConfig, which names it", [
    [node("a b"), "id: expected an id of letters, digits, _ and -, and neither \"store\" nor \"test\", got \"a b\""],
    [node("store"), "got \"store\""],
    [node(7 as unknown as string), "id: expected an id"],
    [Effect.andThen(node("a"), node("a")), "id: expected a unique id for each node, got \"a\" twice"],
    [
      nodeOf({ offset: Number.NaN }),
      "offset: expected a time such as \"5 seconds\", or a number of milliseconds, got NaN"
    ],
    [nodeOf({ offset: "soon" }), "offset: expected a time such as"],
    [nodeOf({ rate: 0 }), "rate: expected a number above 0, got 0"],
    [nodeOf({ rate: Number.NaN }), "rate: expected a number above 0, got NaN"],
    [nodeOf({ speed: 2 }), "options: no option \"speed\": the options are offset, rate"],
    [nodeOf(null), "options: expected an object with offset, rate, got null"]
  ])

  const linked = (quality: unknown) => Effect.flatMap(node("a"), (a) => a.link(quality as Simulation.LinkQuality))
  refuses("of a link (quality) fails with InvalidConfig, which names it", [
    [linked({ loss: 2 }), "loss: expected a number from 0 to 1, got 2"],
    [linked({ bandwidth: 0 }), "bandwidth: expected a number above 0, got 0"],
    [linked({ loss: Number.NaN }), "loss: expected a number from 0 to 1, got NaN"],
    [linked({ reordering: "often" }), "reordering: expected a number from 0 to 1, got \"often\""],
    [linked({ minDelay: 5, maxDelay: 1 }), "maxDelay: expected a time from minDelay (5 ms) on, got 1 ms"],
    [linked({ minDelay: -5 }), "minDelay: expected a time from 0"],
    [
      linked({ least: 5 }),
      "quality: no option \"least\": the options are minDelay, maxDelay, loss, reordering, bandwidth"
    ],
    [linked(null), "quality: expected an object with minDelay"]
  ])

  const done = (act: (a: Simulation.SimulatedNode) => Effect.Effect<void, unknown>) => Effect.flatMap(node("a"), act)
  refuses("of a fault of a machine (time, direction) fails with InvalidConfig, which names it", [
    [done((a) => a.pause("-1 second")), "pause: expected a time from 0"],
    [done((a) => a.suspend(Number.NaN)), "suspend: expected a time such as"],
    [done((a) => a.stepClock(Number.NaN)), "stepClock: expected a time such as"],
    [done((a) => a.stepClock(null as unknown as number)), "stepClock: expected a time such as"],
    [done((a) => a.cut("both", Number.NaN)), "duration: expected a time such as"],
    [
      done((a) => a.cut("up" as "both")),
      "direction: expected \"requests\", \"replies\" or \"both\", got \"up\""
    ],
    [done((a) => a.link({}, "soon" as "1 second")), "duration: expected a time such as"],
    [done((a) => a.revoke("admin" as "read", "simulation", 1)), "right: expected \"read\" or \"write\", got \"admin\""],
    [done((a) => a.revoke("read", "no pe", 1)), "bucket: expected a bucket's name"],
    [done((a) => a.revoke("read", "simulation", -1)), "duration: expected a time from 0"]
  ])

  const ofStore = (act: (store: Simulation.SimulatedStore) => Effect.Effect<void, unknown>, name = "simulation") =>
    Effect.flatMap(Simulation.Simulation, ({ bucket }) => act(bucket(name)))
  refuses("of a fault of the store (bucket, time, number) fails with InvalidConfig, which names it", [
    [ofStore((store) => store.lag(Number.NaN)), "lag: expected a time such as"],
    [ofStore((store) => store.rollBack(-1)), "rollBack: expected a whole number from 0, got -1"],
    [ofStore((store) => store.rollBack(1.5)), "rollBack: expected a whole number from 0, got 1.5"],
    [ofStore((store) => store.loseLeader(-1)), "loseLeader: expected a time from 0"],
    [ofStore((store) => store.fill(Number.NaN)), "fill: expected a time such as"],
    [ofStore((store) => store.fill(1), "no pe"), "bucket: expected a bucket's name"],
    [ofStore((store) => store.loseStream, "#x"), "bucket: expected a bucket's name, \"*\" for all or \"#1\""],
    [
      Effect.flatMap(Simulation.Simulation, (one) => one.pauseServer(Number.NaN)),
      "pauseServer: expected a time such as"
    ]
  ])

  it.effect("of a run (options) fails with InvalidConfig, which names it", () =>
    Effect.gen(function*() {
      const rows: ReadonlyArray<readonly [unknown, string]> = [
        [{ server: "2.9" }, "server: expected \"2.10\" or \"2.15\", got \"2.9\""],
        [{ seed: Number.NaN }, "seed: expected a number or a text, got NaN"],
        [{ seed: {} }, "seed: expected a number or a text, got an object"],
        [{ limit: "soon" }, "limit: expected a time such as"],
        [{ limit: Number.POSITIVE_INFINITY }, "limit: expected a time from 0"],
        [{ maxPending: 0.5 }, "maxPending: expected a whole number from 1, got 0.5"],
        [{ timeline: "yes" }, "timeline: expected true or false, got \"yes\""],
        [{ bucket: "jobs" }, "bucket: expected an object with the name of a bucket, got a plain string"],
        [{ bucket: null }, "bucket: expected an object with the name of a bucket, got null"],
        [{ bucket: { bucket: "no pe" } }, "bucket"],
        [{ bucket: { bucket: "jobs", replica: 3 } }, "\"replica\""],
        [
          { seeds: 1 },
          "options: no option \"seeds\": the options are seed, server, bucket, maxPending, limit, timeline"
        ],
        [null, "options: expected an object with seed, server, bucket, maxPending, limit, timeline, got null"]
      ]
      for (const [wrong, expected] of rows) {
        const error = yield* Effect.flip(Simulation.run(Effect.void, wrong as Simulation.RunOptions))
        assert.instanceOf(error, Simulation.InvalidConfig)
        assert.include(error.message, expected)
      }
    }))
})

describe("a machine with several faults at once", () => {
  test(
    "has its current suspension in the facts until now",
    Effect.gen(function*() {
      const { facts } = yield* Simulation.Simulation
      const a = yield* node("a")
      yield* Effect.sleep("1 second")
      yield* a.suspend("10 minutes")
      yield* Effect.sleep("1 minute")
      const stretch = { node: "a", from: 1000, until: 61_000 }
      const { stops, disruptions } = yield* facts
      assert.deepStrictEqual(stops, [stretch])
      assert.deepStrictEqual(disruptions, [stretch])
    })
  )

  test(
    "steps its wall clock at once after a pause, or after a crash during a suspension",
    Effect.gen(function*() {
      const a = yield* node("a")
      const stepped = Effect.gen(function*() {
        const before = a.clock.currentTimeMillisUnsafe()
        yield* a.stepClock("1 hour")
        return a.clock.currentTimeMillisUnsafe() - before
      })
      yield* a.pause("1 second")
      yield* a.pause("5 seconds")
      yield* Effect.sleep("5001 millis")
      assert.strictEqual(yield* stepped, 3_600_000)
      yield* a.suspend("1 minute")
      yield* a.crash
      yield* a.restart
      yield* Effect.sleep("3 seconds")
      assert.strictEqual(yield* stepped, 3_600_000)
    })
  )

  const monotonic = (machine: Simulation.SimulatedNode) => Number(machine.clock.monotonicTimeNanosUnsafe()) / 1e6

  test(
    "stays suspended until the last of several suspensions has ended",
    Effect.gen(function*() {
      const a = yield* node("a")
      yield* a.suspend("10 seconds")
      yield* Effect.sleep("2 seconds")
      yield* a.suspend("1 second")
      const asleep = monotonic(a)
      yield* Effect.sleep("7 seconds")
      assert.strictEqual(monotonic(a), asleep)
      yield* a.pause("5 seconds")
      yield* Effect.sleep("4 seconds")
      assert.strictEqual(monotonic(a), asleep)
      yield* Effect.sleep("2 seconds")
      assert.strictEqual(monotonic(a) - asleep, 1000)
    })
  )

  test(
    "has running clocks after a restart that follows a crash during a suspension",
    Effect.gen(function*() {
      const a = yield* node("a")
      yield* a.suspend("1 minute")
      yield* a.crash
      yield* a.restart
      assert.strictEqual(yield* took(a.run(Effect.sleep("1 second"))), 1000)
      yield* a.suspend("5 seconds")
      yield* Effect.sleep("4 seconds")
      assert.strictEqual(yield* took(a.run(Effect.sleep("1 second"))), 2000)
    })
  )

  test(
    "is disconnected until the last cut has ended, and has a degraded link until the last quality has ended",
    Effect.gen(function*() {
      const a = yield* node("a")
      yield* a.run(
        Effect.gen(function*() {
          yield* write("k", "1")
          yield* a.cut("both", "4 seconds")
          yield* a.cut("requests", "2 seconds")
          yield* a.link({ minDelay: "1 second", maxDelay: "1 second" }, "3 seconds")
          assert.isAtLeast(yield* took(Effect.ignore(write("k", "2"))), 3900)
          assert.isBelow(yield* took(write("k", "3")), 100)
        }).pipe(Effect.provide(a.layer))
      )
    })
  )

  test(
    "has a unique connection name even if ids differ only in punctuation",
    Effect.gen(function*() {
      const readOwn = Effect.fnUntraced(function*(id: string) {
        const machine = yield* node(id)
        const own = Effect.gen(function*() {
          yield* write(id, id)
          return yield* Effect.replicateEffect(read(id), 20)
        })
        return yield* machine.run(Effect.provide(own, machine.layer))
      })
      const answers = yield* Effect.forEach(["a-b", "ab"], readOwn, { concurrency: "unbounded" })
      assert.deepStrictEqual(answers.map((all) => Array.from(new Set(all.map(Option.getOrNull)))), [["a-b"], ["ab"]])
    })
  )
})

describe("a link", () => {
  test(
    "that is cut holds messages back and delivers them when it heals: a write of unknown outcome is stored later",
    Effect.gen(function*() {
      const [a, b] = [yield* node("a"), yield* node("b")]
      yield* a.run(
        Effect.gen(function*() {
          yield* write("k", "before")
          yield* a.cut("both")
          const error = yield* Effect.flip(
            write("k", "during").pipe(
              Effect.timeoutOrElse({ duration: "2 seconds", orElse: () => Effect.fail("no answer") })
            )
          )
          assert.strictEqual(error, "no answer")
          yield* a.heal
          yield* Effect.sleep("1 second")
        }).pipe(Effect.provide(a.layer))
      )
      assert.deepStrictEqual(yield* b.run(Effect.provide(read("k"), b.layer)), Option.some("during"))
    })
  )

  test(
    "that is cut only for replies delivers writes without acknowledging them",
    Effect.gen(function*() {
      const [a, b] = [yield* node("a"), yield* node("b")]
      const outcome = yield* a.run(
        Effect.gen(function*() {
          yield* write("k", "before")
          yield* a.cut("replies")
          return yield* Effect.flip(write("k", "during"))
        }).pipe(Effect.provide(a.layer))
      )
      assert.propertyVal(outcome, "_tag", "KVStoreError")
      assert.strictEqual((outcome as KVStore.KVStoreError).reason._tag, "OutcomeUnknown")
      assert.deepStrictEqual(yield* b.run(Effect.provide(read("k"), b.layer)), Option.some("during"))
    })
  )

  test(
    "that is cut is closed by the client after 6 to 9 s, and reconnected within 1.5 s after it heals",
    Effect.gen(function*() {
      const a = yield* node("a")
      yield* a.run(
        Effect.gen(function*() {
          yield* write("k", "1")
          yield* a.cut("both")
          yield* Effect.sleep("5900 millis")
          const early = yield* Effect.exit(Effect.timeout(write("k", "2"), "50 millis"))
          assert.isTrue(Exit.isFailure(early) && Cause.pretty(early.cause).includes("Timeout"))
          yield* Effect.sleep("3500 millis")
          const late = yield* Effect.flip(write("k", "3"))
          assert.isTrue(late.isRetryable)
          yield* a.heal
          yield* Effect.sleep("1500 millis")
          yield* write("k", "4")
        }).pipe(Effect.provide(a.layer))
      )
    })
  )

  test(
    "reconnects within 1.5 s after its connection breaks",
    Effect.gen(function*() {
      const a = yield* node("a")
      yield* a.run(
        Effect.gen(function*() {
          yield* write("k", "1")
          yield* a.disconnect
          assert.isTrue((yield* Effect.flip(write("k", "2"))).isRetryable)
          yield* Effect.sleep("1500 millis")
          yield* write("k", "3")
        }).pipe(Effect.provide(a.layer))
      )
    })
  )

  test(
    "to an unreachable server fails to connect",
    Effect.gen(function*() {
      const a = yield* node("a")
      yield* a.cut("both")
      const error = yield* Effect.flip(a.run(Effect.provide(read("k"), a.layer)))
      assert.propertyVal(error, "isRetryable", true)
    })
  )
})

describe("the store of a simulation", () => {
  test(
    "is shared by all machines, and its writes are in the facts",
    Effect.gen(function*() {
      const simulation = yield* Simulation.Simulation
      const [a, b] = [yield* node("a"), yield* node("b")]
      const revision = yield* a.run(Effect.provide(write("k", "v"), a.layer))
      assert.deepStrictEqual(yield* b.run(Effect.provide(read("k"), b.layer)), Option.some("v"))
      const { stored } = yield* simulation.facts
      assert.deepStrictEqual(stored.map(({ bucket, key, operation }) => ({ bucket, key, operation })), [
        { bucket: "simulation", key: "k", operation: "put" }
      ])
      assert.strictEqual(stored[0]!.revision, revision)
    })
  )

  test(
    "rejects writes while its stream has no leader, and accepts them afterwards",
    Effect.gen(function*() {
      const { store: bucket } = yield* Simulation.Simulation
      const a = yield* node("a")
      yield* a.run(
        Effect.gen(function*() {
          yield* write("k", "1")
          yield* bucket.loseLeader("5 seconds")
          yield* Effect.sleep("1 second")
          assert.isTrue((yield* Effect.flip(write("k", "2"))).isRetryable)
          yield* Effect.sleep("5 seconds")
          yield* write("k", "3")
        }).pipe(Effect.provide(a.layer))
      )
    })
  )

  test(
    "assigns revisions from 1 after its stream is recreated, and a watch reports the removed keys",
    Effect.gen(function*() {
      const { store: bucket } = yield* Simulation.Simulation
      const a = yield* node("a")
      yield* a.run(
        Effect.gen(function*() {
          const { watch } = yield* store
          yield* write("k", "1")
          const seen: Array<string> = []
          const name = (event: KVStore.KVEvent) => event._tag === "Removed" ? event.reason : event._tag
          yield* Effect.forkScoped(Stream.runForEach(watch(), (event) => Effect.sync(() => seen.push(name(event)))))
          yield* Effect.sleep("1 second")
          yield* bucket.recreateStream
          assert.strictEqual(yield* write("other", "2"), 1)
          yield* Effect.sleep("5 seconds")
          assert.deepStrictEqual(seen, ["Put", "Ready", "reset", "Put", "Ready"])
        }).pipe(Effect.scoped, Effect.provide(a.layer))
      )
    })
  )
})

describe("a run", () => {
  const dice: Program<ReadonlyArray<number>> = Effect.gen(function*() {
    const rolls: Array<number> = []
    yield* Effect.forEach(["a", "b", "c"], (id) =>
      Effect.gen(function*() {
        const machine = yield* node(id)
        yield* machine.run(
          Effect.repeat(
            Effect.gen(function*() {
              rolls.push(yield* Random.nextIntBetween(0, 1000))
              yield* write(id, `${rolls.length}`)
            }),
            { times: 20 }
          ).pipe(Effect.provide(machine.layer))
        )
      }), { concurrency: "unbounded" })
    return rolls
  })

  const timelineOf = (seed: number | string) =>
    Effect.map(Simulation.run(dice, { seed, timeline: true }), (run) => run.timeline())

  it.effect("is identical with the same seed, to the byte, and differs with another seed", () =>
    Effect.gen(function*() {
      const first = yield* timelineOf(1)
      assert.strictEqual(yield* timelineOf(1), first)
      assert.include(first, "$KV.simulation.a")
      assert.notStrictEqual(yield* timelineOf(2), first)
      assert.deepStrictEqual(yield* resultOf(dice, { seed: "x" }), yield* resultOf(dice, { seed: "x" }))
    }))

  it.effect("records no timeline by default", () =>
    Effect.gen(function*() {
      const run = yield* Simulation.run(dice)
      assert.strictEqual(run.timeline(), "")
    }))

  it.effect("returns its timeline for selected machines and times", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const simulation = yield* Simulation.Simulation
        yield* simulation.note("me", "begins")
        yield* Effect.sleep("90 seconds")
        yield* simulation.note("you", "end")
      })
      const { timeline, timelineOf: between } = yield* Simulation.run(program, { timeline: true })
      assert.strictEqual(timeline("me"), "   0.0000 s  me  begins\n")
      assert.strictEqual(between(80_000, 100_000), "  90.0000 s  you  end\n")
    }))

  it.effect("that does not end fails with the reason", () =>
    Effect.gen(function*() {
      const stuck = (program: Program<unknown>, options?: Simulation.RunOptions) =>
        Effect.map(Effect.flip(Simulation.run(program, options)), (error) => {
          assert.instanceOf(error, Simulation.SimulationStuck)
          return error as Simulation.SimulationStuck
        })
      assert.strictEqual((yield* stuck(Effect.never)).how, "nothing left")
      const promised = Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
      assert.include((yield* stuck(promised)).message, "waits for real I/O")
      const beside = Effect.andThen(Effect.forkDetach(Effect.andThen(promised, Effect.sleep(1))), Effect.sleep(1000))
      assert.strictEqual((yield* stuck(beside)).how, "the real world")
      const busy = Effect.gen(function*() {
        yield* Effect.forkDetach(Effect.forever(Effect.sleep("10 millis")))
        yield* Effect.promise(() => new Promise((resolve) => setTimeout(resolve, 20)))
      })
      assert.strictEqual((yield* stuck(busy)).how, "the real world", "also if the real I/O ends the program")
      const long = yield* stuck(Effect.forever(Effect.sleep("1 second")), { limit: "1 minute" })
      assert.strictEqual(long.how, "time is up")
      const asleep = yield* stuck(Effect.sleep("2 hours"), { limit: "1 minute" })
      assert.include(asleep.message, "is stuck after 1m")
      assert.strictEqual((yield* stuck(Effect.forever(Effect.yieldNow))).how, "spinning")
    }))

  it.effect("that does not end is interrupted, and runs its finalizers", () =>
    Effect.gen(function*() {
      const released: Array<string> = []
      const held = (name: string) =>
        Effect.acquireRelease(Effect.void, () =>
          Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => void released.push(name))))
      yield* Effect.flip(Simulation.run(Effect.andThen(held("never"), Effect.never)))
      yield* Effect.flip(Simulation.run(Effect.andThen(held("spinning"), Effect.forever(Effect.yieldNow))))
      const long = Effect.andThen(held("long"), Effect.sleep("2 hours"))
      yield* Effect.flip(Simulation.run(long, { limit: "1 minute" }))
      const busy = Effect.andThen(held("interrupted"), Effect.forever(Effect.sleep("1 second")))
      const running = yield* Effect.forkChild(Simulation.run(busy, { limit: "10000 days" }))
      yield* Effect.yieldNow
      yield* Effect.yieldNow
      yield* Fiber.interrupt(running)
      const alone = Effect.andThen(
        Effect.acquireRelease(Effect.void, () =>
          Effect.andThen(
            Effect.sleep("10 minutes"),
            Effect.sync(() =>
              void released.push("slow")
            )
          )),
        Effect.sleep("61 minutes")
      )
      yield* Effect.flip(Simulation.run(alone))
      assert.deepStrictEqual(released, ["never", "spinning", "long", "interrupted", "slow"])
    }))

  it.effect("that fails returns its failure and its duration", () =>
    Effect.gen(function*() {
      const program = Effect.andThen(Effect.sleep("5 seconds"), Effect.fail("no"))
      assert.strictEqual(yield* Effect.flip(Simulation.run(program)), "no")
      const { exit, lasted } = yield* Simulation.runExit(program)
      assert.deepStrictEqual(exit, Exit.fail("no"))
      assert.strictEqual(Duration.toMillis(lasted), 5000)
    }))
})
