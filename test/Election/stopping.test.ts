/** Work that is slow to stop: what it keeps, and what is reported of it (E23). */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import { due } from "../../src/internal/election/stopping.ts"
import { electionOverruns } from "../../src/Metrics.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import { away, silent } from "../support/links.ts"
import { logged, openBucket } from "../support/suite.ts"
import { leaseDuration, now, renewDeadline, renewInterval, timings } from "./suite/fixture.ts"
import { finish, makeHost, settled, test, two } from "./suite/inMemory.ts"
import { employ, only, stand, startProcess, tagIn, usurp } from "./suite/processes.ts"

/** Lines about work, without what to do. Each names its election and its candidate. */
const about = (log: ReturnType<typeof logged>) => {
  for (const [index, line] of log.lines.entries()) {
    const { candidateId, election, module } = log.subjects[index]!
    if (line.includes("the work of")) assert.deepStrictEqual([module, election, candidateId], ["Election", only, "one"])
  }
  return log.troubles().filter((line) => line.includes("the work of")).map((line) => line.replace(/: .*/, ""))
}

const overruns = Effect.map(
  Metric.value(Metric.withAttributes(electionOverruns, { election: only })),
  ({ count }) => Number(count)
)

describe("when slow work is reported", () => {
  const times = { leaseDuration: 20_000, renewDeadline: 14_000, renewInterval: 4000 }
  const rows = [
    ["nothing at first", { stoppingFor: 0, untilOthersLead: 20_000, isReportedSlow: false }, undefined, 6000],
    ["nothing shortly before", { stoppingFor: 5999, untilOthersLead: 15_000, isReportedSlow: false }, undefined, 1],
    [
      "slow after leaseDuration - renewDeadline",
      { stoppingFor: 6000, untilOthersLead: 15_000, isReportedSlow: false },
      "Slow",
      15_000
    ],
    ["slow once", { stoppingFor: 7000, untilOthersLead: 14_000, isReportedSlow: true }, undefined, 14_000],
    ["nothing until the lease ends", { stoppingFor: 0, untilOthersLead: 3000, isReportedSlow: false }, undefined, 3000],
    [
      "an overrun at the end of the lease",
      { stoppingFor: 3000, untilOthersLead: 0, isReportedSlow: false },
      "Overrun",
      20_000
    ],
    ["an overrun after it", { stoppingFor: 99_000, untilOthersLead: -1, isReportedSlow: true }, "Overrun", 20_000]
  ] as const
  for (const [what, stopping, report, wait] of rows) {
    it(what, () => {
      assert.deepStrictEqual(due(stopping, times), { report, wait })
    })
  }
})

describe("Election in memory: work that does not stop", () => {
  const hanging = (options: Election.CandidateOptions = {}, finalizer: Effect.Effect<unknown> = Effect.never) =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const began = Deferred.makeUnsafe<Election.Leadership>()
      const stop = Deferred.makeUnsafe<void>()
      const job = yield* employ(process, finish, "one", (leadership) =>
        Effect.gen(function*() {
          yield* Effect.addFinalizer(() => Effect.raceFirst(finalizer, Deferred.await(stop)))
          yield* Deferred.succeed(began, leadership)
          return yield* Effect.never
        }), options)
      // The test must not wait for it.
      yield* Effect.addFinalizer(() => Deferred.succeed(stop, undefined))
      yield* settled
      const other = yield* stand(yield* startProcess(store), finish, "two")
      yield* TestClock.adjust(1000)
      return { store, process, job, other, stop, leadership: yield* Deferred.await(began) }
    })

  for (
    const [how, end] of [
      ["interrupted", ({ job }: Effect.Success<ReturnType<typeof hanging>>) => Fiber.interrupt(job.fiber)],
      ["told to resign", ({ leadership }: Effect.Success<ReturnType<typeof hanging>>) => leadership.resign]
    ] as const
  ) {
    test(`does not keep leadership if it is ${how}: another candidate leads after stopTimeout and the lease`, () =>
      Effect.gen(function*() {
        const log = logged()
        yield* Effect.gen(function*() {
          const all = yield* hanging()
          const from = yield* now
          yield* Effect.forkChild(end(all))
          yield* TestClock.adjust(2 * leaseDuration + 500)
          const wonAt = all.other.seen.wonAt!
          assert.isAtLeast(wonAt - from, leaseDuration)
          assert.isAtMost(wonAt - from, 2 * leaseDuration)
          yield* TestClock.adjust(leaseDuration)
          yield* Deferred.succeed(all.stop, undefined)
          yield* settled
          assert.strictEqual(yield* overruns, 1)
        }).pipe(Effect.provide(log.layer), Effect.provideService(Metric.MetricRegistry, new Map()))
        assert.include(
          log.troubles(),
          "Warn could not hand over the leadership of \"orders\" because its work did not stop within stopTimeout: another " +
            "candidate wins when its lease has ended"
        )
        assert.include(log.troubles().find((line) => line.includes("still runs"))!, "Make the work stop within")
        const lines = about(log)
        assert.strictEqual(lines[0], "Warn the work of \"orders\" is slow to stop")
        const still = "Error the work of \"orders\" still runs after its lease has ended"
        assert.isAtLeast(lines.filter((line) => line === still).length, 1)
        assert.match(lines.at(-1)!, /^Warn the work of "orders" has stopped, .* after its lease had ended$/)
      }))
  }

  for (
    const [how, end] of [
      ["succeeds", Effect.succeed("done")],
      ["fails", Effect.fail("broken")],
      ["dies", Effect.die("broken")],
      ["interrupts itself", Effect.interrupt]
    ] as const
  ) {
    test(`that ${how}, and whose finalizer hangs, does not keep leadership either`, () =>
      Effect.gen(function*() {
        const log = logged()
        yield* Effect.gen(function*() {
          const store = yield* openBucket()
          const stop = Deferred.makeUnsafe<void>()
          const began = Deferred.makeUnsafe<Election.Leadership>()
          // In the scope of the term: a scope within the work belongs to the work.
          const work = (leadership: Election.Leadership) =>
            Effect.gen(function*() {
              yield* Effect.addFinalizer(() => Deferred.await(stop))
              yield* Deferred.succeed(began, leadership)
              yield* Effect.sleep(1000)
              return yield* end as Effect.Effect<string, string>
            })
          const { election } = yield* startProcess(store)
          const job = yield* Effect.forkScoped(election.whileLeader(only, work, { candidateId: "one" }))
          yield* Effect.addFinalizer(() => Deferred.succeed(stop, undefined))
          const other = yield* Effect.andThen(settled, stand(yield* startProcess(store), finish, "two"))
          yield* TestClock.adjust(1000)
          const from = yield* now
          yield* settled
          assert.isFalse(yield* (yield* Deferred.await(began)).isValid)
          yield* TestClock.adjust(2 * leaseDuration + 500)
          assert.isAtMost(other.seen.wonAt! - from, 2 * leaseDuration)
          assert.strictEqual(yield* overruns, 1)
          yield* Deferred.succeed(stop, undefined)
          const exit = yield* finish(Fiber.await(job))
          assert.strictEqual(Exit.isSuccess(exit), how === "succeeds")
        }).pipe(Effect.provide(log.layer), Effect.provideService(Metric.MetricRegistry, new Map()))
        assert.strictEqual(about(log)[0], "Warn the work of \"orders\" is slow to stop")
        assert.match(about(log).at(-1)!, /^Warn the work of "orders" has stopped, .* after its lease had ended$/)
      }))
  }

  test("that is told to stop twice is one overrun, with one line at its end", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const all = yield* hanging()
        yield* Effect.forkChild(all.leadership.resign)
        yield* TestClock.adjust(leaseDuration)
        yield* Effect.forkChild(Fiber.interrupt(all.job.fiber))
        yield* TestClock.adjust(2 * leaseDuration)
        yield* Deferred.succeed(all.stop, undefined)
        yield* finish(Fiber.await(all.job.fiber))
        assert.strictEqual(yield* overruns, 1)
      }).pipe(Effect.provide(log.layer), Effect.provideService(Metric.MetricRegistry, new Map()))
      assert.strictEqual(about(log).filter((line) => /has stopped|stopped only/.test(line)).length, 1)
    }))

  test("keeps leadership for stopTimeout, which can be longer or 0", () =>
    Effect.gen(function*() {
      for (const stopTimeout of [0, 3 * leaseDuration]) {
        const all = yield* hanging({ stopTimeout })
        const from = yield* now
        yield* Effect.forkChild(Fiber.interrupt(all.job.fiber))
        yield* TestClock.adjust(stopTimeout + leaseDuration + 500)
        const waited = all.other.seen.wonAt! - from
        // The last renewal was sent up to renewInterval before.
        assert.isAtLeast(waited, stopTimeout + leaseDuration - 2 * renewInterval)
        assert.isAtMost(waited, stopTimeout + leaseDuration)
        yield* Deferred.succeed(all.stop, undefined)
      }
    }))

  test("hands over if it stops after stopTimeout and before the deadline", () =>
    Effect.gen(function*() {
      const all = yield* hanging({ stopTimeout: 100 }, Effect.sleep(100 + renewInterval))
      yield* Effect.forkChild(Fiber.interrupt(all.job.fiber))
      yield* TestClock.adjust(100 + renewInterval)
      yield* settled
      assert.isTrue(yield* all.other.hasWon)
    }))

  test("that is still stopping when another candidate has written the record is an overrun at once", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const all = yield* hanging({}, Effect.sleep(50))
        yield* usurp(all.store)
        yield* TestClock.adjust(renewInterval + 200)
        assert.strictEqual(yield* overruns, 1)
      }).pipe(Effect.provide(log.layer), Effect.provideService(Metric.MetricRegistry, new Map()))
      assert.deepStrictEqual(about(log), [
        "Error the work of \"orders\" still runs after its lease has ended",
        "Warn the work of \"orders\" has stopped, after another candidate had won"
      ])
    }))

  test("has a line when its overrun ends, also if a renewal that was under way has extended the lease", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const close = { leaseDuration: 2000, renewDeadline: 1950, renewInterval: 600 }
        const process = yield* startProcess(yield* openBucket(), { timings: close })
        yield* employ(
          process,
          finish,
          "one",
          () => Effect.onInterrupt(Effect.never, () => Effect.sleep(500))
        )
        yield* settled
        // The last attempt is sent before the deadline, and answered within its 300 ms, after the lease has ended.
        const began = process.link.landed.at(-1)!.sentAt
        yield* process.link.set((call, run) =>
          call.sentAt < began + 1735 ? away(call, run) : Effect.delay(run, began + leaseDuration + 30 - call.sentAt)
        )
        yield* TestClock.adjust(2 * leaseDuration)
      }).pipe(Effect.provide(log.layer))
      assert.deepStrictEqual(about(log), [
        "Error the work of \"orders\" still runs after its lease has ended",
        "Warn the work of \"orders\" has stopped, before another candidate could lead"
      ])
    }))

  test("in a blocked event loop is an overrun, which is reported when it has stopped", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const store = yield* openBucket()
        const host = yield* makeHost()
        const process = yield* startProcess(store, { clock: host.clock })
        const job = yield* employ(process, finish, "one", () =>
          Effect.gen(function*() {
            yield* Effect.sleep(1000)
            // Nothing of this process runs for three leases, and its work ends after them.
            host.stepWall(3 * leaseDuration)
            return "done"
          }))
        yield* TestClock.adjust(1000)
        assert.deepStrictEqual(yield* job.ending, Exit.succeed("done"))
        assert.strictEqual(yield* overruns, 1)
      }).pipe(Effect.provide(log.layer), Effect.provideService(Metric.MetricRegistry, new Map()))
      assert.strictEqual(about(log).length, 1)
      assert.match(about(log)[0]!, /^Error the work of "orders" stopped only .* after its lease had ended$/)
      assert.include(log.troubles()[0]!, "This process was paused, or its event loop was blocked")
    }))
})

describe("Election on a machine that is suspended", () => {
  it.effect("an overrun is reported when the lease has ended, although a clock has stopped meanwhile", () =>
    Effect.gen(function*() {
      const program = Effect.gen(function*() {
        const a = yield* (yield* Simulation.Simulation).node("a")
        const work = (leadership: Election.Leadership) =>
          Effect.gen(function*() {
            yield* Effect.addFinalizer(() => Effect.never)
            yield* Effect.sleep(1000)
            yield* leadership.resign
          })
        yield* Effect.forkChild(a.run(
          Election.Election.use((election) =>
            election.whileLeader(only, work, { timings: Election.balanced, stopTimeout: 0 })
          ).pipe(
            Effect.provide(Election.layer().pipe(Layer.provide(a.layer)))
          )
        ))
        yield* Effect.sleep("5 seconds")
        yield* a.suspend("4 seconds")
        yield* Effect.sleep("15 seconds")
      })
      const { timeline } = yield* Simulation.run(program, { timeline: true })
      const line = timeline("a").split("\n").find((one) => one.includes("still runs after its lease has ended"))
      const reportedAt = Number(line?.trim().split(" ")[0]) * 1000
      assert.isAtLeast(reportedAt, 10_000)
      assert.isAtMost(reportedAt, 11_500)
    }))
})

describe("Election in memory: how work ended", () => {
  /** Work that is told to resign, and then ends in its own way. */
  const ending = <A, E>(last: Effect.Effect<A, E>) =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      let runs = 0
      const job = yield* employ(yield* startProcess(store), finish, "one", (leadership) =>
        Effect.gen(function*() {
          runs++
          yield* Effect.forkDetach(leadership.resign)
          return yield* Effect.uninterruptible(Effect.andThen(Effect.sleep(100), last))
        }))
      yield* settled
      yield* TestClock.adjust(2 * leaseDuration)
      return { job, runs, tag: yield* tagIn(store) }
    })

  for (
    const [how, last, expected] of [
      ["fails", Effect.fail("broken"), "Fail"],
      ["dies", Effect.die("broken"), "Die"]
    ] as const
  ) {
    test(`work that ${how} while it is being stopped does not run again`, () =>
      Effect.gen(function*() {
        const { job, runs, tag } = yield* ending(last)
        assert.strictEqual(runs, 1)
        assert.isTrue(yield* job.hasEnded)
        const exit = yield* job.ending
        assert.deepStrictEqual(Exit.isFailure(exit) && exit.cause.reasons.map(({ _tag }) => _tag), [expected])
        assert.strictEqual(tag, "Vacant")
      }))
  }

  test("work that succeeds when it learns of a loss does not run again", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const job = yield* employ(yield* startProcess(store), finish, "one", ({ lost }) => lost)
      yield* settled
      yield* usurp(store)
      yield* TestClock.adjust(2 * leaseDuration)
      assert.isTrue(yield* job.hasEnded)
      assert.deepStrictEqual(yield* job.ending, Exit.succeed("superseded"))
    }))

  for (
    const [how, end, expected] of [
      ["succeeds", Effect.succeed("done"), Exit.succeed("done")],
      ["fails", Effect.fail("broken"), Exit.fail("broken")]
    ] as const
  ) {
    test(`work that ${how} does not run again if it is told to stop while the finalizers of its scope run`, () =>
      Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket())
        let runs = 0
        const job = yield* Effect.forkScoped(process.election.whileLeader(only, (leadership) =>
          Effect.gen(function*() {
            runs++
            yield* Effect.addFinalizer(() => runs === 1 ? Effect.sleep(1000) : Effect.void)
            yield* Effect.forkDetach(Effect.delay(leadership.resign, 500))
            return yield* end
          })))
        yield* settled
        yield* TestClock.adjust(2 * leaseDuration)
        assert.strictEqual(runs, 1)
        assert.deepStrictEqual(job.pollUnsafe(), expected)
      }))
  }

  test("work whose finalizer dies while it is being stopped runs again, and the defect is logged", () =>
    Effect.gen(function*() {
      const log = logged()
      const runs = yield* Effect.gen(function*() {
        const store = yield* openBucket()
        let runs = 0
        yield* employ(yield* startProcess(store), finish, "one", (leadership) =>
          Effect.gen(function*() {
            if (++runs > 1) return yield* Effect.never
            yield* Effect.addFinalizer(() => Effect.die("broken"))
            yield* leadership.resign
          }))
        yield* TestClock.adjust(2 * leaseDuration)
        return runs
      }).pipe(Effect.provide(log.layer))
      assert.strictEqual(runs, 2)
      assert.deepStrictEqual(about(log), ["Error the work of \"orders\" failed while it was being stopped"])
    }))

  test("work can ask why it does not lead any more, without waiting", () =>
    Effect.gen(function*() {
      const asked: Array<string> = []
      const work = (leadership: Election.Leadership) =>
        Effect.gen(function*() {
          asked.push(Option.getOrElse(yield* leadership.lossReason, () => "leads"))
          yield* Effect.addFinalizer(() =>
            Effect.map(leadership.lossReason, (reason) => {
              asked.push(Option.getOrElse(reason, () => "leads"))
            })
          )
          return yield* Effect.never
        })
      for (const how of ["resigned", "expired", "superseded"] as const) {
        const store = yield* openBucket()
        const process = yield* startProcess(store)
        const job = yield* employ(process, finish, "one", work)
        yield* settled
        if (how === "resigned") yield* job.interrupt
        if (how === "expired") yield* process.link.set(silent)
        if (how === "superseded") yield* usurp(store)
        yield* TestClock.adjust(renewDeadline + renewInterval)
        yield* process.link.set(undefined)
      }
      assert.deepStrictEqual(asked.slice(0, 6), ["leads", "resigned", "leads", "expired", "leads", "superseded"])
    }))
})

describe("Election in memory: leadership without a term", () => {
  test("a renewal that fails once does not end a term with short timings", () =>
    Effect.gen(function*() {
      const short = { leaseDuration: 300, renewDeadline: 200, renewInterval: 50 }
      const { link, one } = yield* two({ timings: short })
      for (let round = 0; round < 100; round++) {
        let failed = false
        yield* link.set((call, run) => {
          if (call.operation !== "put" || failed) return run
          failed = true
          return silent(call, run)
        })
        yield* TestClock.adjust(short.leaseDuration)
        assert.isTrue(yield* one.isValid, `round ${round}`)
      }
      assert.strictEqual(timings.leaseDuration, leaseDuration)
    }))
})
