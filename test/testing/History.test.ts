/** The writes to a guarded resource, and the views of watches, that a history records. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Election from "../../src/Election.ts"
import { FencingToken } from "../../src/FencingToken.ts"
import * as Registry from "../../src/Registry.ts"
import * as History from "../../src/testing/History.ts"
import * as Simulation from "../../src/testing/Simulation.ts"

const token = new FencingToken({ epoch: 1, revision: 1 })

type WriteOptions = Parameters<History.History["write"]>[3]

describe("a write to a resource", () => {
  it.effect("with invalid options fails with InvalidConfig and is not recorded", () =>
    Simulation.run(Effect.gen(function*() {
      const history = yield* History.make
      const rows: ReadonlyArray<readonly [unknown, string]> = [
        [{ fence: "no" }, "fence: expected true or false, got \"no\""],
        [{ what: 7 }, "what: expected a text that is not empty, got a number"],
        [{ fences: false }, "options: no option \"fences\": the options are fence, what"],
        [null, "options: expected an object with fence, what, got null"]
      ]
      for (const [options, problem] of rows) {
        const error = yield* Effect.flip(history.write("a", "ledger", token, options as WriteOptions))
        assert.instanceOf(error, History.InvalidConfig)
        assert.include(error.message, problem)
      }
      assert.deepStrictEqual(yield* history.writes, [])
      assert.isTrue(yield* history.write("a", "ledger", token))
    })))
})

describe("a recorded term", () => {
  /** Interrupts recorded work a second after it has begun, and returns how the work has ended, and its record. */
  const interrupted = <E>(work: Effect.Effect<never, E>) =>
    Effect.gen(function*() {
      const { value } = yield* Simulation.run(Effect.gen(function*() {
        const history = yield* History.make
        const a = yield* (yield* Simulation.Simulation).node("a")
        const running = yield* Deferred.make<Fiber.Fiber<never, E>>()
        const process = Election.Election.use((election) =>
          Effect.gen(function*() {
            const leadership = yield* election.campaign("job")
            yield* Deferred.succeed(running, yield* Effect.forkChild(history.term("a", leadership, work)))
            return yield* Effect.never
          })
        )
        const layer = Layer.provide(Election.layer(), a.layer)
        yield* Effect.forkChild(a.run(Effect.provide(Effect.scoped(process), layer)))
        const fiber = yield* Deferred.await(running)
        yield* Effect.sleep("1 second")
        yield* Fiber.interrupt(fiber)
        return { exit: yield* Fiber.await(fiber), leaders: yield* history.leaders }
      }))
      const [term] = value.leaders.terms
      return { exit: value.exit, stoppedIn: term!.until! - term!.toldToStop!, ran: term!.toldToStop! - term!.since }
    })

  it.effect("has the failure of work that fails once it is interrupted", () =>
    Effect.gen(function*() {
      const failing = Effect.uninterruptibleMask((restore) =>
        Effect.andThen(Effect.exit(restore(Effect.never)), Effect.fail("broken"))
      )
      const { exit, ran } = yield* interrupted(failing)
      assert.deepStrictEqual(Exit.findErrorOption(exit), Option.some("broken"))
      assert.closeTo(ran, 1000, 5)
    }))

  it.effect("has the time at which the interruption began, and the time at which the work had stopped", () =>
    Effect.gen(function*() {
      const slow = Effect.onInterrupt(Effect.never, () => Effect.sleep("700 millis"))
      const { exit, ran, stoppedIn } = yield* interrupted(slow)
      assert.isTrue(Exit.hasInterrupts(exit))
      assert.closeTo(ran, 1000, 5)
      assert.closeTo(stoppedIn, 700, 5)
    }))
})

describe("a watched view", () => {
  it.effect("is recorded from the first Ready on, after each change, and once a second", () =>
    Effect.gen(function*() {
      const { value } = yield* Simulation.run(Effect.gen(function*() {
        const simulation = yield* Simulation.Simulation
        const history = yield* History.make
        const [a, b] = [yield* simulation.node("a"), yield* simulation.node("b")]
        const on = <A, E>(node: Simulation.SimulatedNode, process: Effect.Effect<A, E, Registry.Registry>) =>
          Effect.forkChild(node.run(Effect.provide(process, Layer.provide(Registry.layer(), node.layer))))
        yield* on(b, Registry.Registry.use((registry) => history.watched("b", "orders", registry.watch("orders"))))
        yield* Effect.sleep("3500 millis")
        yield* on(
          a,
          Registry.Registry.use((registry) =>
            Effect.andThen(
              registry.register({ serviceName: "orders", instanceId: "1", version: "1.0.0" }),
              Effect.never
            )
          ).pipe(Effect.scoped)
        )
        yield* Effect.sleep("10 seconds")
        yield* a.crash
        yield* simulation.store.dropConsumers
        yield* Effect.sleep("60 seconds")
        return yield* history.registry("simulation")
      }))
      assert.deepStrictEqual(value.interruptions, [13_500])
      const { lookups } = value
      assert.strictEqual(new Set(lookups.map(({ since }) => since)).size, 1)
      assert.isTrue(lookups.every(({ from, how, until }) => how === "watch" && from === until))
      const times = lookups.map(({ from }) => from)
      assert.isTrue(times.every((at, index) => index === 0 || at - times[index - 1]! <= 1001))
      const listed = lookups.filter(({ instances }) => instances.includes("orders/1")).map(({ from }) => from)
      assert.closeTo(listed[0]!, 3500, 100)
      assert.closeTo(listed.at(-1)!, 43_500, 10_000)
      assert.isTrue(times.some((at) => at > listed.at(-1)! + 10_000))
    }))
})
