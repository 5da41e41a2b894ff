/** What a candidate may ask for, and what is refused before anything is sent: as tables. */
import { assert, describe, it } from "@effect/vitest"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { balanced, fast, resilient } from "../src/Election.ts"
import { checkName, toCandidate, toMetadata, toTimes } from "../src/internal/election/candidate.ts"

import { untyped } from "./support/values.ts"

describe("timings", () => {
  const accepted: ReadonlyArray<readonly [lease: Duration.Input, deadline: Duration.Input, every: Duration.Input]> = [
    [resilient.leaseDuration, resilient.renewDeadline, resilient.renewInterval],
    [balanced.leaseDuration, balanced.renewDeadline, balanced.renewInterval],
    [fast.leaseDuration, fast.renewDeadline, fast.renewInterval],
    [21, 20, 10],
    ["21 millis", "20 millis", "10 millis"],
    ["2 hours", "1 hour", "30 minutes"]
  ]
  for (const [leaseDuration, renewDeadline, renewInterval] of accepted) {
    it.effect(`are taken: ${String(leaseDuration)} / ${String(renewDeadline)} / ${String(renewInterval)}`, () =>
      Effect.gen(function*() {
        const times = yield* toTimes({ leaseDuration, renewDeadline, renewInterval })
        assert.isTrue(times.leaseDuration > times.renewDeadline && times.renewDeadline >= 2 * times.renewInterval)
      }))
  }

  const good = { leaseDuration: 20_000, renewDeadline: 14_000, renewInterval: 4000 }
  const bad: ReadonlyArray<unknown> = [
    Number.NaN,
    Infinity,
    -Infinity,
    -1,
    0,
    "soon",
    "",
    "-5 seconds",
    null,
    undefined
  ]
  const refused: ReadonlyArray<readonly [what: string, timings: unknown]> = [
    ["a lease as long as the deadline", { ...good, leaseDuration: 14_000 }],
    ["a lease shorter than the deadline", { ...good, leaseDuration: 13_999 }],
    ["a deadline of less than two renewals", { ...good, renewDeadline: 7999 }],
    ["renewals that leave no time for an attempt", { leaseDuration: 30, renewDeadline: 20, renewInterval: 9 }],
    ["infinite times", { leaseDuration: Infinity, renewDeadline: Infinity, renewInterval: Infinity }],
    ...["leaseDuration", "renewDeadline", "renewInterval"].flatMap((name) =>
      bad.map((value) => [`${name} of ${String(value)} ${typeof value}`, { ...good, [name]: value }] as const)
    )
  ]
  for (const [what, timings] of refused) {
    it.effect(`are refused with ${what}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(toTimes(untyped(timings)))
        assert.strictEqual(error._tag, "InvalidConfig")
        assert.include(error.message, "leaseDuration > renewDeadline >= 2 x renewInterval")
      }))
  }

  const Times = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 60 }))
  it.effect.prop(
    "are refused unless leaseDuration > renewDeadline >= 2 x renewInterval",
    { leaseDuration: Times, renewDeadline: Times, renewInterval: Times },
    ({ leaseDuration, renewDeadline, renewInterval }) =>
      Effect.gen(function*() {
        const result = yield* Effect.result(toTimes({ leaseDuration, renewDeadline, renewInterval }))
        assert.strictEqual(
          Result.isSuccess(result),
          leaseDuration > renewDeadline && renewDeadline >= 2 * renewInterval && renewInterval >= 10
        )
      }),
    { arbitrary: { runs: 500 } }
  )
})

describe("a candidate", () => {
  for (const name of ["a", "orders", "orders/main", "A-b_c/9", "/", "-", "x".repeat(200)]) {
    it(`may stand in the election "${name.slice(0, 20)}"`, () => {
      assert.isUndefined(checkName(name))
    })
  }

  const badNames = ["", " ", "a b", "a.b", ".", "*", ">", "a.*", "a.>", "a\n", "grüße", "日本", "a=b", "x".repeat(201)]
  for (const name of [...badNames, 5, null, undefined]) {
    it.effect(`may not stand in the election ${JSON.stringify(name)?.slice(0, 20)}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(toCandidate(untyped(name), {}, resilient))
        assert.strictEqual(error._tag, "InvalidName")
        assert.include(error.message, String(name))
      }))
  }

  it.effect("is filled in: a name of its own each time, no metadata, the layer's timings, first in turn", () =>
    Effect.gen(function*() {
      const one = yield* toCandidate("orders", {}, fast)
      const two = yield* toCandidate("orders", { candidateId: undefined, priority: undefined }, fast)
      assert.match(one.candidateId, new RegExp(`-${process.pid}-[0-9a-z]{8}$`))
      assert.notStrictEqual(one.candidateId, two.candidateId)
      assert.deepStrictEqual(
        { ...one, candidateId: "" },
        {
          election: "orders",
          candidateId: "",
          priority: 0,
          times: { leaseDuration: 3000, renewDeadline: 2000, renewInterval: 500 },
          metadata: {},
          healthCheck: undefined
        }
      )
    }))

  it.effect("is taken as it says", () =>
    Effect.gen(function*() {
      const options = { candidateId: "a b", priority: 3, timings: balanced, metadata: { zone: "a", ports: [80] } }
      const candidate = yield* toCandidate("orders", options, fast)
      assert.deepStrictEqual(candidate, {
        election: "orders",
        candidateId: "a b",
        priority: 3,
        times: { leaseDuration: 10_000, renewDeadline: 7000, renewInterval: 2000 },
        metadata: { zone: "a", ports: [80] },
        healthCheck: undefined
      })
    }))

  const refused: ReadonlyArray<readonly [field: string, value: unknown]> = [
    ...[-1, 0.5, Number.NaN, Infinity, 2 ** 53, "1"].map((value) => ["priority", value] as const),
    ...["", 5, {}].map((value) => ["candidateId", value] as const),
    ...[5, { when: new Date(0) }, { f: () => 1 }, { n: Number.NaN }, { big: 1n }, { u: undefined }].map((value) =>
      ["metadata", value] as const
    ),
    ["timings", { leaseDuration: 1, renewDeadline: 2, renewInterval: 3 }]
  ]
  for (const [field, value] of refused) {
    const shown = JSON.stringify(value, (_, part) => typeof part === "object" ? part : String(part))
    it.effect(`is refused with ${field} ${shown}`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(toCandidate("orders", untyped({ [field]: value }), resilient))
        assert.strictEqual(error._tag, field === "metadata" ? "InvalidValue" : "InvalidConfig")
      }))
  }

  it.effect("says what is wrong with its metadata", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(toMetadata({ zone: new Date(0) }))
      assert.include(error.message, "metadata")
      assert.include(error.message, "zone")
    }))
})
