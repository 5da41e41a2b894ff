/** Refused names, candidates and buckets, and errors of the store. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Election from "../../../src/Election.ts"
import * as KVStore from "../../../src/KVStore.ts"
import type * as Config from "../../../src/KVStoreConfig.ts"
import { untyped } from "../../../tools/values.ts"

import { away, closed, countOf, denied, type Fault, full, missing, on, tooLarge } from "../../support/links.ts"
import { openBucket } from "../../support/suite.ts"
import { isTrue, type Tools } from "./fixture.ts"
import { employ, only, reasonOf, stand, startProcess } from "./processes.ts"

export const refusing = ({ backend, finish, test, until }: Tools) => {
  const badNames = ["", " ", "a b", "a.b", "*", ">", "a.*", "a.>", "grüße", "a\n", "x".repeat(201), 5, undefined]
  test("an invalid name is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      const { campaign, observe, leader, whileLeader } = process.election
      for (const name of badNames.map(untyped)) {
        const asked = [
          campaign(name),
          whileLeader(name, () => Effect.void),
          leader(name),
          Stream.runHead(observe(name))
        ]
        for (const ask of asked) {
          const { field, value } = yield* reasonOf(ask, "InvalidName")
          assert.deepStrictEqual([field, value], ["election", String(name)])
        }
      }
      assert.deepStrictEqual(process.link.calls, [])
    }))

  const badCandidates: ReadonlyArray<Record<string, unknown>> = [
    { timings: { leaseDuration: 1400, renewDeadline: 1400, renewInterval: 300 } },
    { timings: { leaseDuration: 2000, renewDeadline: 599, renewInterval: 300 } },
    { timings: { leaseDuration: "soon", renewDeadline: 1400, renewInterval: 300 } },
    { timings: { leaseDuration: Infinity, renewDeadline: 1400, renewInterval: 300 } },
    { priority: -1 },
    { priority: 0.5 },
    { metadata: { when: new Date(0) } },
    { candidateId: "" }
  ]
  test("invalid candidate options are refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      for (const options of badCandidates) {
        const tag = "metadata" in options ? "InvalidValue" : "InvalidConfig"
        yield* reasonOf(process.election.campaign(only, untyped(options)), tag)
        yield* reasonOf(process.election.whileLeader(only, () => Effect.void, untyped(options)), tag)
      }
      assert.deepStrictEqual(process.link.calls, [])
    }))

  const layerOn = Effect.fnUntraced(function*(
    options: Partial<Config.BucketOptions>,
    election: Election.Options = {}
  ) {
    const store = yield* openBucket(options)
    const before = yield* store.status
    const result = yield* Effect.result(
      Layer.build(Layer.provide(Election.layer(election), Layer.succeed(KVStore.KVStore, store)))
    )
    assert.strictEqual((yield* store.status).lastRevision, before.lastRevision)
    return result
  })

  const badBuckets: ReadonlyArray<readonly [what: string, options: Partial<Config.BucketOptions>]> = [
    ["historySize", { historySize: 2 }],
    ["streamMaxAge", { streamMaxAge: "1 hour" }]
  ]
  for (const [what, options] of badBuckets) {
    test(`a bucket with an unsafe ${what} is refused`, () =>
      Effect.gen(function*() {
        const { problem } = yield* reasonOf(Effect.flatMap(layerOn(options), Effect.fromResult), "InvalidConfig")
        assert.include(problem, what)
      }))
  }

  test(`storage: memory is ${backend.kind === "nats" ? "refused on NATS" : "accepted by the in-memory backend"}`, () =>
    Effect.gen(function*() {
      const build = Effect.flatMap(layerOn({ storage: "memory" }), Effect.fromResult)
      if (backend.kind === "memory") return assert.isTrue(Exit.isSuccess(yield* Effect.exit(build)))
      const { problem } = yield* reasonOf(build, "InvalidConfig")
      assert.include(problem, "storage")
    }))

  test("the layer refuses unsafe timings", () =>
    Effect.gen(function*() {
      for (const { timings } of badCandidates.flatMap((options) => "timings" in options ? [options] : [])) {
        const build = Effect.flatMap(layerOn({}, { timings: untyped(timings) }), Effect.fromResult)
        yield* reasonOf(build, "InvalidConfig")
      }
    }))

  const passing: ReadonlyArray<readonly [what: string, fault: Fault]> = [
    ["may not read", on("get", denied)],
    ["may not write", on("put", denied)],
    ["cannot write, because the store is full", on("put", full)],
    ["cannot write, because its record is too large for the store", on("put", tooLarge)],
    ["does not reach the store", away]
  ]
  for (const [what, fault] of passing) {
    test(`a candidate that ${what} goes on, and leads once it can`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const process = yield* startProcess(store)
        yield* process.link.set(fault)
        let leads = false
        const one = yield* employ(process, finish, "one", () => {
          leads = true
          return Effect.never
        })
        yield* until(Effect.sync(() => process.link.calls.length), (count) => count > 4)
        assert.deepStrictEqual([leads, yield* one.hasEnded], [false, false])
        yield* process.link.set(undefined)
        yield* until(Effect.sync(() => leads), isTrue)
      }))
  }

  test("a campaign fails on a connection that is closed for good", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      for (const operation of ["get", "put"] as const) {
        yield* process.link.set(on(operation, closed))
        const error = yield* finish(Effect.flip(process.election.whileLeader(only, () => Effect.void)))
        assert.deepStrictEqual([error.operation, error.election, error.isRetryable], ["whileLeader", only, false])
      }
    }))

  test("a campaign fails if the bucket does not exist, before it was answered; later it goes on", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* process.link.set(on("get", missing))
      const error = yield* finish(Effect.flip(process.election.whileLeader(only, () => Effect.void)))
      assert.include(error.message, "faulty")
      yield* process.link.set(undefined)
      const leader = yield* stand(yield* startProcess(store), finish, "leader")
      yield* until(leader.hasWon, isTrue)
      const one = yield* stand(process, finish, "one")
      yield* until(Effect.sync(() => process.link.reads.length), (count) => count > 0)
      yield* process.link.set(on(["get", "put", "status"], missing))
      yield* leader.close
      yield* until(Effect.sync(() => countOf(process.link, "put")), (count) => count > 2)
      yield* process.link.set(undefined)
      yield* until(one.hasWon, isTrue)
    }))

  test("leader fails while the store is unavailable, and does not return none", () =>
    Effect.gen(function*() {
      const process = yield* startProcess(yield* openBucket())
      yield* process.link.set(away)
      const error = yield* Effect.flip(process.election.leader(only))
      assert.deepStrictEqual([error.operation, error.reason._tag, error.isRetryable], ["leader", "KVStoreError", true])
    }))
}
