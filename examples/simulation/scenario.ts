/**
 * The test: three machines run the service under every fault that a lease survives. The rule: no order is paid twice.
 */
import { Effect, Layer, Schedule } from "effect"
import { Election, NatsKVStore } from "effect-aegis"
import { type Scenario, Simulation } from "effect-aegis/testing"
import { type Bank, type PayOne, payouts } from "./payouts.ts"

export const scenario = (payOne: PayOne): Scenario.Scenario => ({
  nodes: ["a", "b", "c"],
  duration: "1 minute",
  buckets: ["payouts", "elections"],
  setup: Effect.gen(function*() {
    const { note } = yield* Simulation.Simulation
    const paid: Array<number> = []

    /** The bank is not on a simulated machine: it keeps its payments when a machine crashes. */
    const bankOf = (node: string): Bank => ({
      pay: (order) =>
        Effect.gen(function*() {
          // A call takes time on the clock of the calling machine.
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
          // In production a supervisor restarts the process.
          Effect.retry(Schedule.spaced("1 second"))
        )
      },
      violations: Effect.sync(() => {
        const twice = [...new Set(paid.filter((order, index) => paid.indexOf(order) !== index))]
        // A run without payments proves nothing.
        if (paid.length === 0) return ["nothing was paid"]
        return twice.map((order) => `order ${order} was paid twice`)
      })
    }
  })
})
