/** Which failures of the store end a campaign, a singleton and the observation of a leader (the table in docs/election.md). */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Election from "../../src/Election.ts"
import { away, closed, denied, type Fault, full, missing, on, silent } from "../support/links.ts"
import { openBucket } from "../support/suite.ts"
import { leaseDuration } from "./suite/fixture.ts"
import { finish, settled, test } from "./suite/inMemory.ts"
import { only, type Process, startProcess } from "./suite/processes.ts"

/** How long each of them is observed: longer than a lease. */
const span = 2 * leaseDuration

/** Starts an effect that ends only with a failure, and returns how it is going on. */
const begin = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E>) {
  const fiber = yield* Effect.forkScoped(effect)
  yield* Effect.addFinalizer(() => finish(Fiber.interrupt(fiber)))
  return Effect.sync(() => {
    const exit = fiber.pollUnsafe()
    return exit === undefined ? "continues" : Exit.isFailure(exit) ? "fails" : "ends"
  })
})

const singleton = ({ election }: Process) =>
  Layer.launch(Layer.provide(Election.layerSingleton(only, Effect.never), Layer.succeed(Election.Election, election)))

const inAll = (fault: Fault): Fault => fault

/** What campaigns, `leader` and `observe` do, in this order: from the start on, and after they had answers. */
const rows: ReadonlyArray<
  readonly [what: string, fault: Fault, atFirst: ReadonlyArray<string>, later: ReadonlyArray<string>]
> = [
  [
    "the connection is closed",
    inAll(closed),
    ["fails", "fails", "fails"],
    ["fails", "fails", "fails"]
  ],
  ["the bucket does not exist", inAll(missing), ["fails", "fails", "fails"], ["continues", "fails", "fails"]],
  [
    "the record cannot be read",
    on("get", denied),
    ["continues", "fails", "continues"],
    ["continues", "fails", "continues"]
  ],
  [
    "the record cannot be written",
    on("put", denied),
    ["continues", "succeeds", "continues"],
    ["continues", "succeeds", "continues"]
  ],
  ["a watch is refused", on("watch", denied), ["continues", "succeeds", "fails"], ["continues", "succeeds", "fails"]],
  ["the bucket is full", on("put", full), ["continues", "succeeds", "continues"], [
    "continues",
    "succeeds",
    "continues"
  ]],
  ["the store is away", inAll(away), ["continues", "fails", "continues"], ["continues", "fails", "continues"]],
  ["the store does not answer", inAll(silent), ["continues", "waits", "continues"], ["continues", "waits", "continues"]]
]

const readLeader = ({ election }: Process) =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(election.leader(only))
    yield* settled
    const exit = fiber.pollUnsafe()
    yield* Fiber.interrupt(fiber)
    return exit === undefined ? "waits" : Exit.isSuccess(exit) ? "succeeds" : "fails"
  })

describe("Election in memory: failures of the store", () => {
  for (const [what, fault, atFirst, later] of rows) {
    for (const [when, expected] of [["from the start on", atFirst], ["later", later]] as const) {
      test(`a campaign, leader and observe, if ${what} ${when}`, () =>
        Effect.gen(function*() {
          const process = yield* startProcess(yield* openBucket())
          const { election, link } = process
          if (when === "from the start on") yield* link.set(fault)
          const campaign = yield* begin(election.whileLeader(only, () => Effect.never, { candidateId: "one" }))
          const observed = yield* begin(Stream.runDrain(election.observe(only)))
          yield* settled
          yield* link.set(fault)
          yield* link.loseWatches
          yield* TestClock.adjust(span)
          const leader = yield* readLeader(process)
          assert.deepStrictEqual([yield* campaign, leader, yield* observed], expected)
          yield* link.set(undefined)
        }))
    }

    test(`a singleton is built and does not end with a failure, if ${what}`, () =>
      Effect.gen(function*() {
        const process = yield* startProcess(yield* openBucket())
        yield* process.link.set(fault)
        const built = yield* begin(singleton(process))
        yield* TestClock.adjust(span)
        assert.strictEqual(yield* built, "continues")
        yield* process.link.set(undefined)
        yield* TestClock.adjust("1 minute")
        const { state } = yield* process.election.status(only)
        assert.strictEqual(state, what === "the connection is closed" ? "NotCampaigning" : "Leading")
      }))
  }
})
