/** The outages that the records of a service show, and the ages without them. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import { type Aged, ages, ageWithout, outageOf } from "../../../src/internal/registry/outages.ts"
import { changed } from "../../../src/internal/registry/record.ts"
import { ServiceName } from "../../../src/ServiceInstance.ts"
import { instance, noTimes, recordOf } from "../../support/registryRecord.ts"

/** Instances expire after 30. */
const maxAge = 30

interface Life {
  readonly startedAt?: number
  readonly heartbeatAt: number
  readonly missed?: readonly [after: number, since: number]
}

const of = ({ heartbeatAt, missed, startedAt = -1000 }: Life, service = "orders"): Aged => ({
  heartbeatAt,
  maxAge,
  record: {
    ...recordOf("mine"),
    instance: changed(instance, {
      serviceName: ServiceName.make(service),
      startedAt: DateTime.makeUnsafe(startedAt)
    }),
    times: { maxAge, streakSince: missed?.[1] ?? startedAt, streakAfter: missed?.[0] }
  }
})

const steady = of({ heartbeatAt: 98 })
const recovered = of({ heartbeatAt: 98, missed: [50, 90] })
const alsoRecovered = of({ heartbeatAt: 99, missed: [55, 92] })
const young = of({ heartbeatAt: 99, startedAt: 95 })
const old = of({ heartbeatAt: 52 })

type Row = readonly [what: string, records: ReadonlyArray<Aged>, expected: ReturnType<typeof outageOf>]

const shows: ReadonlyArray<Row> = [
  ["nothing without records", [], undefined],
  ["nothing if no instance missed a heartbeat", [steady, steady], undefined],
  ["nothing by one instance alone", [recovered, old], undefined],
  ["an outage if two missed heartbeats at the same time", [recovered, alsoRecovered, old], { after: 55, since: 90 }],
  ["nothing by one of two instances", [recovered, steady, old], undefined],
  ["an outage if half of the instances missed one", [recovered, alsoRecovered, steady, steady], {
    after: 55,
    since: 90
  }],
  ["nothing if fewer than half missed one", [
    recovered,
    alsoRecovered,
    steady,
    steady,
    steady
  ], undefined],
  ["nothing of the instances that have just started", [young, young, old], undefined],
  ["the same with instances that have just started", [recovered, alsoRecovered, young, young, young], {
    after: 55,
    since: 90
  }],
  ["nothing if the heartbeats were missed one after the other", [
    recovered,
    steady,
    of({ heartbeatAt: 99, missed: [91, 97] })
  ], undefined],
  ["the last one of several outages", [
    of({ heartbeatAt: 98, missed: [70, 80] }),
    of({ heartbeatAt: 98, missed: [71, 82] }),
    of({ heartbeatAt: 98, missed: [20, 40] }),
    of({ heartbeatAt: 98, missed: [21, 42] })
  ], { after: 71, since: 80 }],
  ["an outage although one instance missed a heartbeat later, alone", [
    recovered,
    alsoRecovered,
    of({ heartbeatAt: 99, missed: [94, 97] })
  ], { after: 55, since: 90 }],
  ["its end, also if others return later", [
    recovered,
    alsoRecovered,
    of({ heartbeatAt: 130, missed: [55, 130] })
  ], { after: 55, since: 90 }],
  ["an outage that ended with a heartbeat, although records tell of a later end", [
    of({ heartbeatAt: 98, missed: [50, 1_000_000] }),
    of({ heartbeatAt: 99, missed: [55, 1_000_000] })
  ], { after: 55, since: 98 }],
  ["nothing by records of another library", [
    { ...recovered, record: { ...recovered.record, times: noTimes } },
    recovered
  ], undefined]
]

describe("the records of a service show", () => {
  for (const [what, records, expected] of shows) {
    it(what, () => assert.deepStrictEqual(outageOf(records, 100), expected))
  }
})

describe("the age of a record", () => {
  const outage = { after: 50, since: 90 }

  const rows: ReadonlyArray<readonly [what: string, heartbeatAt: number, age: number]> = [
    ["counts from the end of an outage that began while it was live", 45, 10],
    ["counts from there if it was exactly maxAge old when the outage began", 20, 10],
    ["is as it is if it was expired before the outage", 19, 81],
    ["is as it is after a heartbeat since the outage", 95, 5]
  ]
  for (const [what, heartbeatAt, age] of rows) {
    it(what, () => assert.strictEqual(ageWithout(outage, of({ heartbeatAt }), 100), age))
  }

  it("is as it is without an outage", () => {
    assert.strictEqual(ageWithout(undefined, of({ heartbeatAt: 45 }), 100), 55)
  })

  it("depends on the records of its own service only", () => {
    const other = of({ heartbeatAt: 52 }, "billing")
    const ageOf = ages([recovered, alsoRecovered, old, other], 100)
    assert.deepStrictEqual([old, other].map(ageOf), [10, 48])
  })
})
