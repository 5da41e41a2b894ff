/** Invalid options: each is refused with an error that names it, before a request is sent. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Election from "../../../src/Election.ts"
import * as KVStore from "../../../src/KVStore.ts"
import { untyped } from "../../../tools/values.ts"

import { makeLink } from "../../support/links.ts"
import { openBucket } from "../../support/suite.ts"
import { isTrue, timings, type Tools } from "./fixture.ts"
import { only, reasonOf, recordIn, stand, startProcess } from "./processes.ts"

type Asked = Effect.Effect<unknown, Election.ElectionError | KVStore.KVStoreError, Scope.Scope>

/** The options, the tag of the reason, and a part of its message. */
type Refusal = readonly [given: unknown, tag: "InvalidConfig" | "InvalidValue", names: string]

const badTimings: ReadonlyArray<Refusal> = [
  [{ timings: { ...timings, renewEvery: 300 } }, "InvalidConfig", "timings: no option \"timings.renewEvery\""],
  [{ timings: "fast" }, "InvalidConfig", "timings: expected an object with timings.leaseDuration"],
  [{ timings: Number.NaN }, "InvalidConfig", "timings: expected an object with timings.leaseDuration"],
  [{ timings: null }, "InvalidConfig", "timings: expected an object with timings.leaseDuration"],
  ...["leaseDuration", "renewDeadline", "renewInterval"].flatMap((name) =>
    ["30 bananas", true, Number.NaN, null].map((value) =>
      [{ timings: { ...timings, [name]: value } }, "InvalidConfig", `timings.${name}: expected a time`] as const
    )
  ),
  [
    { timings: { ...timings, leaseDuration: 3_600_001 } },
    "InvalidConfig",
    "timings.leaseDuration: expected a time from 0 to 1h, got 1h 1ms"
  ],
  [
    { timings: { leaseDuration: 2000, renewDeadline: 2000, renewInterval: 300 } },
    "InvalidConfig",
    "timings: expected leaseDuration > renewDeadline, and renewInterval >= 10 ms, got 2000 / 2000 / 300 ms"
  ]
]

const badLayers: ReadonlyArray<Refusal> = [
  ...badTimings,
  [{ timing: timings }, "InvalidConfig", "options: no option \"timing\": the options are timings"],
  ...["fast", Number.NaN, null, []].map((options) =>
    [options, "InvalidConfig", "options: expected an object with timings"] as const
  )
]

const badCandidates: ReadonlyArray<Refusal> = [
  ...badTimings,
  [{ priorty: 1 }, "InvalidConfig", "options: no option \"priorty\": the options are candidateId, timings"],
  ...["one", Number.NaN, null, []].map((options) =>
    [options, "InvalidConfig", "options: expected an object with candidateId"] as const
  ),
  ...[5, "", Number.NaN, null].map((candidateId) =>
    [{ candidateId }, "InvalidConfig", "candidateId: expected a text"] as const
  ),
  ...["1", 0.5, Number.NaN, null].map((priority) =>
    [{ priority }, "InvalidConfig", "priority: expected a whole number from 0 to 10"] as const
  ),
  ...[true, () => true, Number.NaN, null].map((healthCheck) =>
    [{ healthCheck }, "InvalidConfig", "healthCheck: expected an Effect"] as const
  ),
  ...[5, "a", Number.NaN, null, new Map(), { when: new Date(0) }, { n: Number.NaN }].map((metadata) =>
    [{ metadata }, "InvalidValue", "metadata: expected"] as const
  )
]

export const options = ({ finish, test, until }: Tools) => {
  const check = Effect.fnUntraced(function*([given, tag, names]: Refusal, asked: Asked) {
    const { message } = yield* reasonOf(asked, tag)
    assert.include(message, names, JSON.stringify(given))
  })

  test("invalid options of the layer are refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const link = makeLink()
      const linked = Layer.provide(link.layer, Layer.succeed(KVStore.KVStore, store))
      for (const bad of badLayers) {
        yield* check(bad, Layer.build(Layer.provide(Election.layer(untyped(bad[0])), linked)))
        yield* check(bad, Effect.provide(Election.make(untyped(bad[0])), linked))
      }
      assert.deepStrictEqual(link.calls, [])
    }))

  test("invalid options of a candidate are refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const { election, link } = yield* startProcess(yield* openBucket())
      for (const bad of badCandidates) {
        yield* check(bad, election.campaign(only, untyped(bad[0])))
        yield* check(bad, election.whileLeader(only, () => Effect.void, untyped(bad[0])))
      }
      assert.deepStrictEqual(link.calls, [])
    }))

  test("work that is not a function is refused, and nothing is sent", () =>
    Effect.gen(function*() {
      const { election, link } = yield* startProcess(yield* openBucket())
      for (const work of [Effect.void, "work", Number.NaN, null, undefined]) {
        const asked = election.whileLeader<void, never, never>(only, untyped(work))
        yield* check([work, "InvalidConfig", "work: expected a function"], asked)
      }
      assert.deepStrictEqual(link.calls, [])
    }))

  test("work that does not return an Effect is refused, and leadership is handed over", () =>
    Effect.gen(function*() {
      const { election } = yield* startProcess(yield* openBucket())
      for (const given of [undefined, 5, Promise.resolve(5), Object.create(null)]) {
        const asked = finish(election.whileLeader<void, never, never>(only, () => untyped(given)))
        yield* check([given, "InvalidConfig", "work: expected an Effect"], asked)
        assert.deepStrictEqual(yield* election.leader(only), Option.none())
      }
    }))

  test("the error for an unsafe bucket names the constructor and the setting", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 2 })
      const linked = Layer.succeed(KVStore.KVStore, store)
      const layer = yield* Effect.flip(Layer.build(Layer.provide(Election.layer(), linked)))
      const made = yield* Effect.flip(Effect.provide(Election.make(), linked))
      assert.include(layer.message, "Election.layer: the configuration is not valid: historySize: expected 1")
      assert.include(made.message, "Election.make: the configuration is not valid: historySize: expected 1")
    }))

  test("make returns a service that works until its scope is closed", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const election = yield* Effect.provideService(Election.make({ timings }), KVStore.KVStore, store)
      const process = { ...(yield* startProcess(store)), election }
      const one = yield* stand(process, finish, "one")
      yield* until(one.hasWon, isTrue)
      assert.strictEqual((yield* recordIn(store)).leaseMillis, timings.leaseDuration)
    }))

  test("campaign and whileLeader refuse metadata that exceeds maxValueSize, and send nothing", () =>
    Effect.gen(function*() {
      const { election, link } = yield* startProcess(yield* openBucket({ maxValueSize: 1000 }))
      const metadata = { text: "x".repeat(800) }
      for (
        const asked of [
          election.campaign(only, { metadata }),
          election.whileLeader(only, () => Effect.void, { metadata })
        ]
      ) {
        const { limit, size } = yield* reasonOf(asked, "ValueTooLarge")
        assert.strictEqual(limit, 1000)
        assert.isAbove(size, 1000)
      }
      assert.deepStrictEqual(link.calls, [])
    }))
}
