/** Valid and invalid options of elections and candidates, as tables. */
import { assert, describe, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { balanced, fast, resilient } from "../../../src/Election.ts"
import { checkName, toCandidate, toTimes } from "../../../src/internal/election/candidate.ts"
import { toMetadata } from "../../../src/internal/metadata.ts"

import { untyped } from "../../../tools/values.ts"
import { numbers } from "../../support/suite.ts"

const limit = 1024 * 1024
const resilientTimes = { leaseDuration: 20_000, renewDeadline: 14_000, renewInterval: 4000 }
const resilientDefaults = { candidateId: Effect.succeed("default"), times: resilientTimes }
const fastTimes = { leaseDuration: 3000, renewDeadline: 2000, renewInterval: 500 }
const fastDefaults = { candidateId: Effect.succeed("default"), times: fastTimes }

describe("timings", () => {
  const accepted: ReadonlyArray<readonly [lease: Duration.Input, deadline: Duration.Input, every: Duration.Input]> = [
    [resilient.leaseDuration, resilient.renewDeadline, resilient.renewInterval],
    [balanced.leaseDuration, balanced.renewDeadline, balanced.renewInterval],
    [fast.leaseDuration, fast.renewDeadline, fast.renewInterval],
    [26, 25, 10],
    ["26 millis", "25 millis", "10 millis"],
    ["1 hour", "59 minutes", "20 minutes"]
  ]
  for (const [leaseDuration, renewDeadline, renewInterval] of accepted) {
    it.effect(`are accepted: ${String(leaseDuration)} / ${String(renewDeadline)} / ${String(renewInterval)}`, () =>
      Effect.gen(function*() {
        const times = yield* toTimes({ leaseDuration, renewDeadline, renewInterval })
        assert.isTrue(times.leaseDuration > times.renewDeadline && times.renewDeadline >= 2 * times.renewInterval)
      }))
  }

  const good = { leaseDuration: 20_000, renewDeadline: 14_000, renewInterval: 4000 }
  /** Invalid durations, and durations that are too long. */
  const bad: ReadonlyArray<unknown> = [
    Number.NaN,
    Infinity,
    -Infinity,
    -1,
    "soon",
    "30 bananas",
    "",
    "-5 seconds",
    null,
    undefined,
    true,
    {},
    { second: 5 },
    "400 days"
  ]
  for (const name of ["leaseDuration", "renewDeadline", "renewInterval"]) {
    for (const value of bad) {
      it.effect(`are refused with a ${name} of ${JSON.stringify(value) ?? "undefined"} ${String(value)}`, () =>
        Effect.gen(function*() {
          const error = yield* Effect.flip(toTimes(untyped({ ...good, [name]: value })))
          assert.strictEqual(error._tag, "InvalidConfig")
          assert.match(error.problem, new RegExp(`^timings\\.${name}: expected a time .*, got .+`))
        }))
    }
  }

  const refused: ReadonlyArray<readonly [what: string, timings: unknown, got: string, hint?: string]> = [
    ["a lease as long as the deadline", { ...good, leaseDuration: 14_000 }, "14000 / 14000 / 4000"],
    ["a lease shorter than the deadline", { ...good, leaseDuration: 13_999 }, "13999 / 14000 / 4000"],
    [
      "an interval that is too short for an attempt",
      { leaseDuration: 3000, renewDeadline: 2000, renewInterval: 9 },
      "3000 / 2000 / 9"
    ],
    [
      "seconds that are passed as numbers",
      { leaseDuration: 20, renewDeadline: 14, renewInterval: 4 },
      "20 / 14 / 4",
      "; a number is milliseconds: 20 is 20 ms; write \"20 seconds\""
    ],
    ["an interval of 0", { ...good, renewInterval: 0 }, "20000 / 14000 / 0"]
  ]
  for (const [what, timings, got, hint = ""] of refused) {
    it.effect(`are refused with ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(toTimes(untyped(timings)))
        assert.strictEqual(
          error.problem,
          `timings: expected leaseDuration > renewDeadline, and renewInterval >= 10 ms, got ${got} ms${hint}`
        )
      }))
  }

  it.effect("are refused with a deadline that has no room for a second attempt, with the shortest one that has", () =>
    Effect.gen(function*() {
      for (
        const [renewInterval, shortest] of [[300, 750], [2500, 5500], [4000, 8000]] as const
      ) {
        const timings = { leaseDuration: 20_000, renewDeadline: shortest - 1, renewInterval }
        const { problem } = yield* Effect.flip(toTimes(timings))
        assert.include(
          problem,
          `timings: expected renewDeadline >= ${shortest} ms, so that two attempts and two pauses fit`
        )
        yield* toTimes({ ...timings, renewDeadline: shortest })
      }
    }))

  const wrongKinds: ReadonlyArray<readonly [given: unknown, got: string, hint?: string]> = [
    [null, "null"],
    ["fast", "a plain string"],
    [5, "a number"],
    [Number.NaN, "a number"],
    [[], "a list"]
  ]
  for (const [given, got] of wrongKinds) {
    it.effect(`are refused if they are ${String(given)}, ${got}`, () =>
      Effect.gen(function*() {
        const { problem } = yield* Effect.flip(toTimes(untyped(given)))
        const names = "timings.leaseDuration, timings.renewDeadline, timings.renewInterval"
        assert.strictEqual(problem, `timings: expected an object with ${names}, got ${got}`)
      }))
  }

  it.effect("are refused with an unknown option", () =>
    Effect.gen(function*() {
      const { problem } = yield* Effect.flip(toTimes(untyped({ ...good, renewEvery: 4000 })))
      assert.include(problem, "timings: no option \"timings.renewEvery\"")
    }))

  const Times = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))
  it.effect.prop(
    "are refused unless two attempts and two pauses fit after a renewInterval of at least 10 ms, within a shorter lease",
    { leaseDuration: Times, renewDeadline: Times, renewInterval: Times },
    ({ leaseDuration, renewDeadline, renewInterval }) =>
      Effect.gen(function*() {
        const result = yield* Effect.result(toTimes({ leaseDuration, renewDeadline, renewInterval }))
        assert.strictEqual(
          Result.isSuccess(result),
          leaseDuration > renewDeadline && renewDeadline >= 2.5 * renewInterval && renewInterval >= 10
        )
      }),
    { arbitrary: { runs: 500 } }
  )
})

describe("a candidate", () => {
  for (const name of ["a", "orders", "orders/main", "A-b_c/9", "/", "-", "x".repeat(200)]) {
    it(`accepts the election name "${name.slice(0, 20)}"`, () => {
      assert.isUndefined(checkName(name))
    })
  }

  const badNames = ["", " ", "a b", "a.b", ".", "*", ">", "a.*", "a.>", "a\n", "grüße", "日本", "a=b", "x".repeat(201)]
  for (const name of [...badNames, 5, null, undefined]) {
    it.effect(`refuses the election name ${JSON.stringify(name)?.slice(0, 20)}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(toCandidate(untyped(name), {}, resilientDefaults, limit))
        assert.strictEqual(error._tag, "InvalidName")
        assert.strictEqual(error._tag === "InvalidName" && error.field, "election")
        assert.include(error.message, String(name))
      }))
  }

  it.effect("has defaults: the candidateId and the timings of the service, no metadata, priority 0", () =>
    Effect.gen(function*() {
      const one = yield* toCandidate("orders", {}, fastDefaults, limit)
      const two = yield* toCandidate("orders", { candidateId: undefined, priority: undefined }, fastDefaults, limit)
      assert.deepStrictEqual(one, two)
      assert.deepStrictEqual(
        one,
        {
          election: "orders",
          candidateId: "default",
          priority: 0,
          times: fastTimes,
          metadata: {},
          healthCheck: undefined,
          stopTimeout: fastTimes.leaseDuration,
          healthFailures: 2
        }
      )
    }))

  it.effect("has the options that were passed", () =>
    Effect.gen(function*() {
      const options = { candidateId: "a b", priority: 3, timings: balanced, metadata: { zone: "a", ports: [80] } }
      const candidate = yield* toCandidate("orders", options, fastDefaults, limit)
      assert.deepStrictEqual(candidate, {
        election: "orders",
        candidateId: "a b",
        priority: 3,
        times: { leaseDuration: 10_000, renewDeadline: 7000, renewInterval: 2000 },
        metadata: { zone: "a", ports: [80] },
        healthCheck: undefined,
        stopTimeout: 10_000,
        healthFailures: 2
      })
    }))

  /** Each option, with invalid values. */
  const refused: ReadonlyArray<readonly [field: string, value: unknown]> = [
    ...[-1, 0.5, Number.NaN, Infinity, 2 ** 53, 11, "1", null].map((value) => ["priority", value] as const),
    ...["", 5, {}, Number.NaN, null].map((value) => ["candidateId", value] as const),
    ...[5, Number.NaN, null, "a", [], new Map([["a", 1]]), { when: new Date(0) }, { f: () => 1 }, { n: Number.NaN }, {
      big: 1n
    }, { u: undefined }].map((value) => ["metadata", value] as const),
    ...[{ leaseDuration: 1, renewDeadline: 2, renewInterval: 3 }, "fast", null, Number.NaN].map((value) =>
      ["timings", value] as const
    ),
    ...[true, () => true, Number.NaN, null].map((value) => ["healthCheck", value] as const),
    ...[0, -1, 0.5, Number.NaN, Infinity, "2", null].map((value) => ["healthFailures", value] as const)
  ]
  for (const [field, value] of refused) {
    const shown = JSON.stringify(value, (_, part) => typeof part === "object" ? part : String(part))
    it.effect(`is refused with ${field} ${shown}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          toCandidate("orders", untyped({ [field]: value }), resilientDefaults, limit)
        )
        assert.strictEqual(error._tag, field === "metadata" ? "InvalidValue" : "InvalidConfig")
        assert.include(error.message, `${field}: `)
        assert.match(error.message, /[Ee]xpected/)
      }))
  }

  it.effect("is refused with an unknown option", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(toCandidate("orders", untyped({ priorty: 1 }), resilientDefaults, limit))
      assert.strictEqual(error._tag, "InvalidConfig")
      assert.include(
        error.message,
        "options: no option \"priorty\": the options are candidateId, timings, metadata, priority, healthCheck, healthFailures"
      )
    }))

  for (const options of [null, "priority", 5, Number.NaN, [1]]) {
    it.effect(`is refused if its options are ${JSON.stringify(options)} ${typeof options}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(toCandidate("orders", untyped(options), resilientDefaults, limit))
        assert.strictEqual(error._tag, "InvalidConfig")
        assert.include(error.message, "options: expected an object with candidateId, ")
      }))
  }

  it.effect("is refused with an error that names the invalid metadata", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Effect.fromResult(toMetadata({ zone: new Date(0) })))
      assert.include(error.message, "metadata")
      assert.include(error.message, "zone")
    }))

  it.effect("is refused with metadata that throws or is nested too deep", () =>
    Effect.gen(function*() {
      const throwing = {
        get zone(): string {
          throw new Error("no zone")
        }
      }
      const deep = numbers(20_000).reduce<unknown>((inner) => ({ inner }), {})
      for (const metadata of [throwing, deep]) {
        const error = yield* Effect.flip(Effect.fromResult(toMetadata(metadata)))
        assert.strictEqual(error._tag, "InvalidValue")
        assert.include(error.message, "metadata: ")
      }
    }))

  it.effect("copies its metadata", () =>
    Effect.gen(function*() {
      const ports = [80]
      const metadata = yield* Effect.fromResult(toMetadata({ ports }))
      ports.push(443)
      assert.deepStrictEqual(metadata, { ports: [80] })
    }))

  it.effect("is refused if its largest record does not fit", () =>
    Effect.gen(function*() {
      const candidate = (most: number, size: number) =>
        toCandidate("orders", { candidateId: "a", metadata: { text: "x".repeat(size) } }, resilientDefaults, most)
      const tooLarge = yield* Effect.flip(candidate(1000, 1000))
      assert(tooLarge._tag === "ValueTooLarge")
      assert.strictEqual(tooLarge.limit, 1000)
      const overhead = tooLarge.size - 1000
      yield* candidate(1000, 1000 - overhead)
      yield* Effect.flip(candidate(1000, 1001 - overhead))
    }))
})
