/**
 * A watch under every fault of a server, at 500 writes per second: each event arrives once, in order, and within the
 * time limit of the scenario.
 */
import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { reportTable } from "../../tools/table.ts"
import { ours } from "../../tools/watchFaults/contenders.ts"
import { problems } from "../../tools/watchFaults/problems.ts"
import { type Report, run, usualLoad } from "../../tools/watchFaults/run.ts"
import { scenarios } from "../../tools/watchFaults/scenarios.ts"

const reports: Array<Report> = []
const delays = monitorEventLoopDelay({ resolution: 5 })

beforeAll(() => {
  delays.enable()
})

afterAll(() => {
  delays.disable()
  const millis = (nanos: number) => Math.round(nanos / 1_000_000)
  const machine = `event loop late by ${millis(delays.percentile(99))} ms (p99), ${millis(delays.max)} ms (max)`
  return Effect.runPromise(Console.log(`${reportTable(reports)}\n${machine}`))
})

describe.concurrent("a watch at 500 writes a second", () => {
  for (const contender of ours) {
    for (const scenario of scenarios) {
      it.live(`${contender.name}: ${scenario.title}`, () =>
        Effect.gen(function*() {
          const report = yield* run(contender, scenario, usualLoad)
          reports.push(report)
          assert.deepStrictEqual(problems(report, scenario, usualLoad.perSecond), [])
        }))
    }
  }
})
