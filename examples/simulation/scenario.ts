/**
 * What is tested: three copies of the service, in a fleet in which everything
 * goes wrong that a lease survives, and no order is paid twice.
 */
import * as Election from "effect-aegis/Election"
import * as NatsKVStore from "effect-aegis/NatsKVStore"
import { type Scenario, Simulation } from "effect-aegis/testing"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import { type Bank, type PayOne, payouts } from "./payouts.ts"

export const scenario = (payOne: PayOne): Scenario.Scenario => ({
  nodes: ["a", "b", "c"],
  duration: "1 minute",
  buckets: ["payouts", "elections"],
  setup: Effect.gen(function*() {
    const { note } = yield* Simulation.Simulation
    const paid: Array<number> = []

    /** What the outside world sees; it is no part of any node, and new for every run. */
    const bankOf = (node: string): Bank => ({
      pay: (order) =>
        Effect.gen(function*() {
          // A call takes its time, on the clock of the machine that makes it.
          yield* Effect.sleep("300 millis")
          yield* note(node, `pays order ${order}`)
          paid.push(order)
        })
    })

    return {
      process: (node) => {
        const services = Layer.mergeAll(
          NatsKVStore.layer({ bucket: "payouts" }),
          Election.layer({ timings: Election.fast }).pipe(Layer.provide(NatsKVStore.layer({ bucket: "elections" })))
        ).pipe(Layer.provide(node.client))
        return payouts(bankOf(node.id), payOne).pipe(
          Effect.provide(services),
          // As a supervisor restarts it in production.
          Effect.retry(Schedule.spaced("1 second"))
        )
      },
      violations: Effect.sync(() => {
        const twice = [...new Set(paid.filter((order, index) => paid.indexOf(order) !== index))]
        // A fleet in which nothing works does nothing wrong either.
        if (paid.length === 0) return ["nothing was paid"]
        return twice.map((order) => `order ${order} was paid twice`)
      })
    }
  })
})
