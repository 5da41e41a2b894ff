/** The check of a registry: for each rule, histories without a violation and the shortest ones with it. */
import { assert, describe, it } from "@effect/vitest"
import * as Checks from "../../../src/testing/Checks.ts"

/** A list must contain instances up to an age of 20 s and none above 40 s. The bounds of a watch are 10 and 50 s. */
const times: Checks.RegistryTimes = { maxAge: 30_000, heartbeat: 10_000, tolerance: 10_000 }
const exact: Checks.RegistryTimes = { ...times, tolerance: 0 }

const rules = (violations: ReadonlyArray<Checks.Violation>) => violations.map(({ rule }) => rule)

const heartbeats = (...at: ReadonlyArray<number>): ReadonlyArray<Checks.Heartbeat> =>
  at.map((at) => ({ instance: "orders/1", at }))
/** Heartbeats of an instance of another service: they show that the store accepts writes. */
const others = Array.from({ length: 60 }, (_, index): Checks.Heartbeat => ({ instance: "mail/1", at: index * 4_000 }))
const removal = (at: number, how: Checks.Removal["how"] = "deregistered"): Checks.Removal => ({
  instance: "orders/1",
  at,
  how
})

const check = (history: Partial<Checks.RegistryHistory>, by = times) =>
  Checks.registryAccuracy({
    heartbeats: [],
    removals: [],
    lifetimes: [],
    disruptions: [],
    lookups: [],
    end: 200_000,
    ...history
  }, by)

const lookup = (from: number, until: number, isIn: boolean, how: Checks.Lookup["how"] = "list"): Checks.Lookup => ({
  node: "a",
  from,
  until,
  service: "orders",
  instances: isIn ? ["orders/1"] : [],
  how
})

/** Whether a lookup must contain the instance ("in"), must not ("out"), or may ("either"). */
const verdict = (
  history: Partial<Checks.RegistryHistory>,
  from: number,
  until: number,
  how: Checks.Lookup["how"] = "list",
  by = times
) => {
  const judge = (isIn: boolean) => check({ ...history, lookups: [lookup(from, until, isIn, how)] }, by).length === 0
  const [mayBeIn, mayBeOut] = [judge(true), judge(false)]
  return mayBeIn && mayBeOut ? "either" : mayBeIn ? "in" : mayBeOut ? "out" : "none"
}

describe("a list", () => {
  it("contains instances up to an age of exactly maxAge if tolerance is 0", () => {
    assert.strictEqual(verdict({ heartbeats: heartbeats(1_000) }, 31_000, 31_000, "list", exact), "in")
    assert.strictEqual(verdict({ heartbeats: heartbeats(1_000) }, 31_001, 31_001, "list", exact), "out")
  })

  it("counts the age of a heartbeat from its stamp, if the store was paused before it accepted it", () => {
    const heartbeats = [{ instance: "orders/1", at: 20_000, stampedAt: 5_000 }]
    assert.strictEqual(verdict({ heartbeats }, 25_000, 25_000), "in")
    assert.strictEqual(verdict({ heartbeats }, 25_001, 25_001), "either")
  })

  it("may contain the instance or not while its age is within the tolerance of maxAge", () => {
    const history = { heartbeats: heartbeats(100_000) }
    assert.strictEqual(verdict(history, 120_000, 120_000), "in")
    assert.strictEqual(verdict(history, 120_001, 120_001), "either")
    assert.strictEqual(verdict(history, 140_000, 140_000), "either")
    assert.strictEqual(verdict(history, 140_001, 140_001), "out")
  })

  it("may reflect any moment between its call and its return", () => {
    const history = { heartbeats: heartbeats(100_000) }
    assert.strictEqual(verdict(history, 110_000, 120_001), "either", "too old only at the return")
    assert.strictEqual(verdict(history, 140_000, 150_000), "either", "not too old at the call")
    assert.strictEqual(verdict(history, 99_000, 101_000), "either", "a heartbeat during the lookup")
    assert.strictEqual(verdict(history, 100_000, 101_000), "in")
    assert.strictEqual(verdict(history, 98_000, 99_999), "out", "no heartbeat yet")
  })

  it("does not contain a removed instance until its next heartbeat", () => {
    const history = { heartbeats: heartbeats(100_000, 106_000), removals: [removal(103_000, "expired")] }
    assert.strictEqual(verdict(history, 102_000, 102_500), "in")
    assert.strictEqual(verdict(history, 102_000, 103_000), "either", "removed during the lookup")
    assert.strictEqual(verdict(history, 103_000, 104_000), "either", "removed at the call")
    assert.strictEqual(verdict(history, 103_001, 105_999), "out")
    assert.strictEqual(verdict(history, 104_000, 106_000), "either", "a heartbeat at the return")
    assert.strictEqual(verdict(history, 106_000, 107_000), "in")
  })

  it("may contain the instance or not if removal and heartbeat have the same time", () => {
    const history = { heartbeats: heartbeats(100_000), removals: [removal(100_000)] }
    assert.strictEqual(verdict(history, 101_000, 101_000), "either")
  })

  it("is checked only for ages after a loss of the stream, which may have restored old records", () => {
    const history = { heartbeats: heartbeats(100_000), removals: [removal(101_000), removal(102_000, "lost")] }
    assert.strictEqual(verdict(history, 101_500, 101_600), "out")
    assert.strictEqual(verdict(history, 103_000, 103_000), "either")
    assert.strictEqual(verdict(history, 153_000, 153_000), "either")
    assert.strictEqual(verdict(history, 153_001, 153_001), "out")
  })

  it("may lag behind by readLag on a replicated bucket", () => {
    const behind = { ...times, readLag: 500 }
    const history = { heartbeats: heartbeats(100_000), removals: [removal(103_000)] }
    assert.strictEqual(verdict(history, 100_499, 100_600, "list", behind), "either")
    assert.strictEqual(verdict(history, 100_500, 100_600, "list", behind), "in")
    assert.strictEqual(verdict(history, 103_500, 103_600, "list", behind), "either")
    assert.strictEqual(verdict(history, 103_501, 103_600, "list", behind), "out")
    // What it stored last, its copies may receive only when it has a leader again.
    const disruptions = [{ node: undefined, from: 103_200, until: 110_000, affects: "requests" as const }]
    assert.strictEqual(verdict({ ...history, disruptions }, 110_300, 110_400, "list", behind), "either")
    assert.strictEqual(verdict({ ...history, disruptions }, 110_301, 110_400, "list", behind), "out")
  })

  it("contains only instances of its service that have sent a heartbeat", () => {
    const asked = { ...lookup(5_000, 5_100, true), instances: ["mail/1", "orders/9"] }
    const lifetimes: ReadonlyArray<Checks.Lifetime> = [
      { instance: "orders/9", node: "b", from: 5_000, until: 5_000, ended: "crashed" }
    ]
    const found = check({ heartbeats: others, lifetimes, lookups: [asked] })
    assert.deepStrictEqual(found.map(({ message }) => message), [
      "the list of \"orders\" on a contains orders/9, which has never sent a heartbeat",
      "the list of \"orders\" on a contains mail/1, which is not an instance of this service"
    ])
  })

  it("may contain an old instance after two others of its service missed heartbeats at the same time", () => {
    const of = (at: ReadonlyArray<number>, ...instances: ReadonlyArray<string>) =>
      instances.flatMap((instance) => at.map((at): Checks.Heartbeat => ({ instance, at })))
    const missed = [80_000, 90_000, 150_000, 160_000, 170_000, 180_000]
    const steady = [90_000, 104_999, 119_998, 134_997, 149_996, 160_000]
    const both = of(missed, "orders/2", "orders/3")
    /** Whether a list may contain all instances. */
    const isAllowed = (time: number, last = 85_000, rest = both) => {
      const all = { ...lookup(time, time, true), instances: ["orders/1", "orders/2", "orders/3"] }
      return check({ heartbeats: [...heartbeats(last), ...rest], lookups: [all] }, exact).length === 0
    }
    assert.deepStrictEqual([150_000, 180_000, 180_001].map((time) => isAllowed(time)), [true, true, false])
    assert.isTrue(isAllowed(160_000, 60_000), "exactly maxAge old when the others fell silent")
    assert.isFalse(isAllowed(160_000, 59_999), "expired before")
    assert.isFalse(isAllowed(160_000, 85_000, of(steady, "orders/2", "orders/3")), "no heartbeat missed")
    assert.isFalse(isAllowed(160_000, 85_000, [...of(missed, "orders/2"), ...of(steady, "orders/3")]), "only one")
  })

  it("is checked during a disruption, too", () => {
    const disruptions = [{ node: undefined, from: 0, until: 200_000 }]
    assert.strictEqual(verdict({ heartbeats: heartbeats(100_000), disruptions }, 110_000, 110_000), "in")
  })

  it("may keep an instance as a view does after disruptions: time in them is no age", () => {
    const disruptions = [{ node: "a", from: 120_000, until: 150_000 }, {
      node: undefined,
      from: 155_000,
      until: 170_000
    }]
    assert.strictEqual(verdict({ heartbeats: heartbeats(100_000), disruptions }, 201_000, 201_000), "either")
    assert.strictEqual(verdict({ heartbeats: heartbeats(100_000), disruptions }, 201_001, 201_001), "out")
    const before = [{ node: undefined, from: 100_000, until: 145_000 }, { node: "a", from: 150_000, until: 151_000 }]
    assert.strictEqual(verdict({ heartbeats: heartbeats(100_000), disruptions: before }, 202_001, 202_001), "out")
  })

  it("is checked for removals also after a disruption of its node", () => {
    const disruptions = [{ node: "a", from: 120_000, until: 150_000 }]
    assert.strictEqual(verdict({ heartbeats: heartbeats(100_000), disruptions }, 183_000, 183_000), "either")
    assert.strictEqual(verdict({ heartbeats: heartbeats(100_000), disruptions }, 183_001, 183_001), "out")
    const removals = [removal(145_000)]
    assert.strictEqual(verdict({ heartbeats: heartbeats(100_000), removals, disruptions }, 151_000, 151_000), "out")
  })

  it("reports the heartbeat or the removal, and the lookup", () => {
    const dead = lookup(140_500, 140_750, true)
    const [unseen, aged] = check({
      heartbeats: heartbeats(90_000, 100_000),
      lookups: [dead, lookup(100_250, 101_500, false)]
    })
    assert.deepStrictEqual(unseen, {
      rule: "live instances are listed",
      at: 101_500,
      message: "the list of \"orders\" on a lacks orders/1, whose last heartbeat was 1.500 s ago",
      history: [
        "  100.000 s  orders/1  sends a heartbeat",
        "  101.500 s  a         its list of \"orders\", called at 100.250 s, returns []"
      ]
    })
    assert.deepStrictEqual(aged, {
      rule: "expired instances are not listed",
      at: 140_750,
      message: "the list of \"orders\" on a contains orders/1, which has sent no heartbeat for 40.750 s",
      history: [
        "  100.000 s  orders/1  sends a heartbeat",
        "  140.750 s  a         its list of \"orders\", called at 140.500 s, returns [orders/1]"
      ]
    })
    const removals = [removal(99_000, "cleanedUp"), removal(100_500)]
    const [removed] = check({
      heartbeats: heartbeats(99_500, 100_000),
      removals,
      lookups: [lookup(101_000, 101_000, true)]
    })
    assert.strictEqual(removed?.message, "the list of \"orders\" on a contains orders/1, which was removed 0.500 s ago")
    assert.strictEqual(removed?.history[0], "  100.500 s  orders/1  is deregistered")
  })
})

describe("a watch", () => {
  const history = { heartbeats: [...others, ...heartbeats(100_000)] }
  const watched = (at: number, more: Partial<Checks.RegistryHistory> = {}) =>
    verdict({ ...history, ...more }, at, at, "watch")

  it("has tolerances that are wider than those of a list by one tolerance", () => {
    const removals = [removal(105_000)]
    const recent = { heartbeats: [...others, ...heartbeats(85_000, 100_000)] }
    assert.strictEqual(watched(109_999), "either")
    assert.strictEqual(watched(110_000), "in")
    assert.strictEqual(watched(110_001), "either")
    assert.strictEqual(watched(95_000, recent), "in", "because of the earlier heartbeat")
    assert.strictEqual(watched(150_000), "either")
    assert.strictEqual(watched(150_001), "out")
    assert.strictEqual(watched(115_000, { removals }), "either")
    assert.strictEqual(watched(115_001, { removals }), "out")
  })

  it("may lack instances while its node or the store is disrupted, and for maxAge + 2 x (tolerance + 3 s) afterwards", () => {
    const heartbeats = [
      ...others,
      ...Array.from({ length: 1200 }, (_, index) => ({ instance: "orders/1", at: index * 100 }))
    ]
    for (const node of ["a", undefined]) {
      const disruptions = [{ node, from: 50_500, until: 51_000 }]
      assert.strictEqual(watched(50_400, { heartbeats, disruptions }), "in")
      assert.strictEqual(watched(50_600, { heartbeats, disruptions }), "either")
      assert.strictEqual(watched(107_000, { heartbeats, disruptions }), "either")
      assert.strictEqual(watched(107_100, { heartbeats, disruptions }), "in")
    }
    assert.strictEqual(watched(50_600, { heartbeats, disruptions: [{ node: "b", from: 50_500, until: 51_000 }] }), "in")
  })

  it("may contain expired instances while no instance sends heartbeats for half of maxAge, and soon after", () => {
    const paused = others.filter(({ at }) => at <= 120_000 || at >= 140_000)
    const silent = { heartbeats: [...paused, ...heartbeats(70_000)] }
    assert.strictEqual(watched(124_000, silent), "out")
    assert.strictEqual(watched(126_000, silent), "either", "from 5 s after the last heartbeat of any instance")
    assert.strictEqual(watched(162_500, silent), "either", "until it has settled: a heartbeat, 2.5 s and the tolerance")
    assert.strictEqual(watched(162_501, silent), "out")
    assert.strictEqual(
      watched(130_000, { ...silent, removals: [removal(100_000)] }),
      "out",
      "removals are delivered"
    )
    assert.strictEqual(
      watched(160_000, { heartbeats: heartbeats(100_000) }),
      "out",
      "a single instance is suspected, not the store"
    )
  })

  it("is reported with its instances", () => {
    const [violation] = check({ ...history, lookups: [lookup(151_000, 151_000, true, "watch")] })
    assert.strictEqual(
      violation?.message,
      "the watch of \"orders\" on a contains orders/1, which has sent no heartbeat for 51.000 s"
    )
    assert.strictEqual(violation?.history[1], "  151.000 s  a         its view of \"orders\" is [orders/1]")
  })
})

const lifetime = (from: number, until: number | undefined, parts: Partial<Checks.Lifetime> = {}): Checks.Lifetime => ({
  instance: "orders/1",
  node: "a",
  from,
  until,
  ended: until === undefined ? undefined : "deregistered",
  ...parts
})

describe("a live instance", () => {
  const soon = { ...times, tolerance: 1_000 }
  const live = (history: Partial<Checks.RegistryHistory>, lived = lifetime(50_000, undefined)) =>
    check({ lifetimes: [lived], end: 100_000, ...history }, soon)

  it("may be silent for one heartbeat interval, the tolerance and 3 s more, and no longer", () => {
    assert.deepStrictEqual(live({ heartbeats: heartbeats(50_000, 62_000, 76_000, 86_000) }), [])
    assert.deepStrictEqual(rules(live({ heartbeats: heartbeats(50_000, 62_000, 76_001, 86_000) })), [
      "live instances send heartbeats"
    ])
    assert.deepStrictEqual(rules(live({ heartbeats: heartbeats(50_000, 62_000, 76_000, 85_999) })), [
      "live instances send heartbeats"
    ])
  })

  it("is reported with the last heartbeat, and the time at which the next was due", () => {
    const [violation, ...more] = live({ heartbeats: heartbeats(50_000, 60_000) })
    assert.deepStrictEqual(more, [])
    assert.deepStrictEqual(violation, {
      rule: "live instances send heartbeats",
      at: 74_000,
      message: "orders/1 is registered on a, but has sent no heartbeat for more than 14.000 s",
      history: [
        "   50.000 s  orders/1  is registered on a",
        "   60.000 s  orders/1  sends a heartbeat",
        "   74.000 s  orders/1  is still registered, but has sent no heartbeat"
      ]
    })
  })

  it("is reported if it never sends a heartbeat, and after each gap", () => {
    assert.deepStrictEqual(rules(live({})), ["live instances send heartbeats"])
    assert.deepStrictEqual(
      live({ heartbeats: heartbeats(50_000, 70_000, 95_000) }).map(({ history }) => history.at(-1)?.slice(0, 11)),
      ["   65.000 s", "   84.000 s"]
    )
  })

  it("need not retry heartbeats before its registration has returned", () => {
    const disruptions = [{ node: undefined, from: 500, until: 40_000 }]
    const lived = lifetime(39_900, undefined, { registering: 0 })
    assert.deepStrictEqual(live({ heartbeats: heartbeats(100, 49_900), disruptions, end: 55_000 }, lived), [])
  })

  it("may miss heartbeats in a disruption, and must send one in time after it", () => {
    const disruptions = [{ node: "a", from: 55_000, until: 80_000 }]
    assert.deepStrictEqual(live({ heartbeats: heartbeats(50_000, 95_000), disruptions }), [])
    const [violation] = live({ heartbeats: heartbeats(50_000, 95_001), disruptions })
    assert.deepStrictEqual(violation?.history.map((line) => line.slice(0, 11)), [
      "   50.000 s",
      "   50.000 s",
      "   80.000 s",
      "   95.000 s"
    ])
    const earlier = [{ node: "a", from: 10_000, until: 20_000 }]
    assert.deepStrictEqual(live({ heartbeats: heartbeats(50_000, 64_000, 78_000, 90_000), disruptions: earlier }), [])
    const later = [{ node: "a", from: 65_001, until: 90_000 }]
    assert.strictEqual(
      live({ heartbeats: heartbeats(50_000), disruptions: later }).length,
      1,
      "the heartbeat was due before that disruption"
    )
    const elsewhere = [{ node: "b", from: 55_000, until: 80_000 }]
    assert.strictEqual(live({ heartbeats: heartbeats(50_000, 95_000), disruptions: elsewhere }).length, 1)
  })

  it("retries a heartbeat that it missed in a disruption of the store within tolerance + 5 s", () => {
    const soon = { ...times, tolerance: 1_000 }
    const disruptions = [{ node: undefined, from: 65_000, until: 80_000 }]
    const back = (at: number, ...more: ReadonlyArray<Checks.Disruption>) =>
      rules(check({
        lifetimes: [lifetime(50_000, undefined)],
        heartbeats: heartbeats(50_000, 60_000, at, 94_000),
        disruptions: [...disruptions, ...more],
        end: 100_000
      }, soon))
    assert.deepStrictEqual(back(86_000), [])
    assert.deepStrictEqual(back(86_001), ["live instances send heartbeats"])
    assert.deepStrictEqual(
      back(86_001, { node: "a", from: 62_000, until: 63_000 }),
      [],
      "its clock may have been stopped"
    )
    assert.deepStrictEqual(back(86_001, { node: "b", from: 62_000, until: 63_000 }), ["live instances send heartbeats"])
    const early = [{ node: undefined, from: 65_000, until: 71_000 }]
    const due = check({
      lifetimes: [lifetime(50_000, undefined)],
      heartbeats: heartbeats(50_000, 60_000, 84_000),
      disruptions: early,
      end: 90_000
    }, soon)
    assert.deepStrictEqual(due, [], "no heartbeat was overdue by more than tolerance")
  })

  it("need not send heartbeats after its lifetime has ended, or after another process has deregistered it", () => {
    assert.deepStrictEqual(live({ heartbeats: heartbeats(50_000, 60_000) }, lifetime(50_000, 74_000)), [])
    assert.deepStrictEqual(live({ heartbeats: heartbeats(50_000, 60_000), removals: [removal(70_000)] }), [])
    assert.strictEqual(
      live({ heartbeats: heartbeats(50_000, 60_000), removals: [removal(70_000, "expired")] }).length,
      1
    )
    assert.strictEqual(live({ heartbeats: heartbeats(50_000, 60_000), removals: [removal(49_000)] }).length, 1)
  })
})

describe("a deregistered instance", () => {
  /** With this tolerance a heartbeat may be stored until 4 s after the end of a lifetime. */
  const soon = { ...times, tolerance: 1_000 }
  const ended = lifetime(50_000, 60_000)
  const after = (at: number, history: Partial<Checks.RegistryHistory> = {}) =>
    check({ lifetimes: [ended], end: 70_000, heartbeats: heartbeats(50_000, at), ...history }, soon)

  it("may have a write in flight, and sends no heartbeats after that", () => {
    assert.deepStrictEqual(after(64_000), [])
    const [violation] = after(64_001, { removals: [removal(45_000), removal(60_020)] })
    assert.deepStrictEqual(violation, {
      rule: "deregistered instances send no heartbeats",
      at: 64_001,
      message: "orders/1 was deregistered on a, but sent a heartbeat 4.001 s later",
      history: [
        "   60.000 s  orders/1  begins to deregister on a",
        "   60.020 s  orders/1  is deregistered",
        "   64.001 s  orders/1  sends a heartbeat"
      ]
    })
  })

  it("may send heartbeats in another lifetime", () => {
    const next = (...lifetimes: ReadonlyArray<Checks.Lifetime>) => [
      ...new Set(rules(after(66_000, { lifetimes: [...lifetimes, ended] })))
    ]
    assert.deepStrictEqual(next(lifetime(66_500, undefined)), [], "the first write is stored before register returns")
    assert.deepStrictEqual(next(lifetime(69_001, undefined)), ["deregistered instances send no heartbeats"])
    assert.deepStrictEqual(next(lifetime(69_001, undefined, { registering: 66_000 })), [])
    assert.deepStrictEqual(next(lifetime(55_000, undefined, { node: "b" })), [], "it has taken over the id")
    assert.deepStrictEqual(next(lifetime(61_000, 62_000)), [], "it has just ended as well")
    assert.deepStrictEqual(next(lifetime(55_000, 56_000)), ["deregistered instances send no heartbeats"])
    assert.deepStrictEqual(
      next(lifetime(61_000, 62_000, { ended: "crashed" })),
      [],
      "a crash may leave a write in flight"
    )
    assert.deepStrictEqual(next(lifetime(61_000, 61_999, { ended: "crashed" })), [
      "deregistered instances send no heartbeats"
    ])
    assert.deepStrictEqual(
      next(lifetime(20_000, 30_000, { ended: "crashed" })),
      ["deregistered instances send no heartbeats"],
      "its writes cannot be stored after those of a later lifetime"
    )
  })

  it("is not checked if it crashed, or if there was a disruption within 10 s", () => {
    assert.deepStrictEqual(after(66_000, { lifetimes: [lifetime(50_000, 60_000, { ended: "crashed" })] }), [])
    const disruption = (node: string | undefined, from: number, until: number) =>
      rules(after(66_000, { disruptions: [{ node, from, until }] }))
    assert.deepStrictEqual(disruption("a", 40_000, 50_000), [])
    assert.deepStrictEqual(disruption(undefined, 70_000, 71_000), [])
    assert.deepStrictEqual(disruption("a", 40_000, 49_999), ["deregistered instances send no heartbeats"])
    assert.deepStrictEqual(disruption(undefined, 70_001, 71_000), ["deregistered instances send no heartbeats"])
    assert.deepStrictEqual(disruption("b", 55_000, 65_000), ["deregistered instances send no heartbeats"])
  })
})

describe("deregistered instances send no heartbeats: a lost stream", () => {
  it("loses the tombstone, so that later heartbeats are accepted", () => {
    const history = { lifetimes: [lifetime(50_000, 60_000)], heartbeats: heartbeats(58_000, 76_000) }
    assert.deepStrictEqual(rules(check(history)), ["deregistered instances send no heartbeats"])
    assert.deepStrictEqual(rules(check({ ...history, removals: [removal(60_000, "lost")] })), [])
    assert.deepStrictEqual(
      rules(check({ ...history, removals: [removal(59_999, "lost")] })),
      ["deregistered instances send no heartbeats"]
    )
  })

  it("lets a process continue until it reports a loss, even if another lifetime ends", () => {
    const beside = (lost: Checks.Lifetime["lost"], ...removals: ReadonlyArray<Checks.Removal>) =>
      rules(check({
        lifetimes: [lifetime(10_000, 20_000, { node: "b", lost }), lifetime(50_000, 60_000)],
        heartbeats: heartbeats(58_000, 76_000),
        removals
      }))
    assert.deepStrictEqual(beside(undefined, removal(20_000), removal(21_000, "lost")), [])
    assert.deepStrictEqual(beside(undefined, removal(19_998), removal(19_999, "lost")), [], "lost before the reply")
    const told = { as: "Deregistered", at: 40_000 } as const
    assert.deepStrictEqual(beside(undefined, removal(20_000)), ["deregistered instances send no heartbeats"])
    assert.deepStrictEqual(
      beside(undefined, removal(19_000, "lost"), removal(20_000)),
      ["deregistered instances send no heartbeats"],
      "the tombstone was stored after the loss"
    )
    assert.deepStrictEqual(
      beside(told, removal(20_000), removal(21_000, "lost")),
      ["deregistered instances send no heartbeats"],
      "the process ends when it reports the loss"
    )
  })
})

describe("deregistered instances send no heartbeats: a process in a disruption", () => {
  const beside = (disruption: Partial<Checks.Disruption>, lost?: Checks.Lifetime["lost"]) =>
    rules(check({
      lifetimes: [lifetime(10_000, 20_000, { node: "b", lost }), lifetime(50_000, 60_000)],
      heartbeats: heartbeats(58_000, 76_000),
      removals: [removal(20_000)],
      disruptions: [{ node: "b", from: 19_000, until: 70_000, ...disruption }]
    }))

  it("may continue to send heartbeats because it cannot see its deregistration, even if another lifetime ends", () => {
    assert.deepStrictEqual(beside({}), [])
    assert.deepStrictEqual(beside({ from: 30_000, until: 30_001 }), [])
    assert.deepStrictEqual(beside({ from: 30_001, until: 40_000 }), ["deregistered instances send no heartbeats"])
    assert.deepStrictEqual(beside({ node: "c" }), ["deregistered instances send no heartbeats"])
  })

  it("sends no heartbeats after it has reported the loss", () => {
    assert.deepStrictEqual(beside({ until: 30_000 }, { as: "Deregistered", at: 40_000 }), [
      "deregistered instances send no heartbeats"
    ])
  })
})

describe("deregistered instances send no heartbeats: a process that ended in another way", () => {
  const end = lifetime(50_000, 60_000, { ended: "left" })
  const beside = (first: Partial<Checks.Lifetime>, ...disruptions: ReadonlyArray<Checks.Disruption>) =>
    check({
      lifetimes: [lifetime(10_000, 40_000, { node: "b", ended: "left", ...first }), end],
      heartbeats: heartbeats(58_000, 76_000),
      removals: [removal(40_000), removal(41_000, "lost")],
      disruptions
    }).filter(({ message }) => message.includes("on a,")).map(({ rule }) => rule)
  const disruption = (from: number, until: number) => ({ node: "b", from, until })

  it("sends no heartbeats after it has left, except for a write that a disruption delayed", () => {
    assert.deepStrictEqual(beside({}), ["deregistered instances send no heartbeats"])
    assert.deepStrictEqual(beside({ until: 52_000 }), ["deregistered instances send no heartbeats"])
    assert.deepStrictEqual(beside({ until: 30_000 }, disruption(30_000, 31_000)), [
      "deregistered instances send no heartbeats"
    ])
    assert.deepStrictEqual(beside({ until: 52_000 }, disruption(52_000, 52_999)), [
      "deregistered instances send no heartbeats"
    ])
    assert.deepStrictEqual(beside({ until: 52_000 }, disruption(52_000, 53_000)), [], "stored when the link is healed")
  })

  it("sends no heartbeats after a crash or a reported DuplicateInstance", () => {
    assert.deepStrictEqual(beside({ until: 62_999, ended: "crashed" }), ["deregistered instances send no heartbeats"])
    assert.deepStrictEqual(beside({ until: 63_000, ended: "crashed" }), [])
    assert.deepStrictEqual(beside({ until: 62_999, ended: undefined }), ["deregistered instances send no heartbeats"])
  })

  it("is checked by its own tombstone if an earlier one was lost with the stream", () => {
    const again = (ended: Checks.Lifetime["ended"]) =>
      rules(check({
        lifetimes: [lifetime(10_000, 60_000, { ended })],
        heartbeats: heartbeats(58_000, 76_000),
        removals: [removal(20_000), removal(30_000, "lost")]
      }))
    assert.deepStrictEqual(again("left"), ["deregistered instances send no heartbeats"])
    assert.deepStrictEqual(again("deregistered"), [])
  })

  it("sends no heartbeats if two lifetimes leave at the same time", () => {
    const both = check({
      lifetimes: [end, lifetime(20_000, 60_000, { node: "b", ended: "left" })],
      heartbeats: heartbeats(58_000, 97_000),
      disruptions: [disruption(56_000, 57_000)]
    })
    assert.include(rules(both), "deregistered instances send no heartbeats")
  })
})

describe("an invalid history", () => {
  it("is reported, and no other rule is checked", () => {
    const [violation, ...more] = check({
      heartbeats: [{ instance: "orders/1", at: Number.NaN }],
      lookups: [lookup(1, 2, true)]
    })
    assert.deepStrictEqual(more, [])
    assert.strictEqual(violation?.rule, "the history is well formed")
    assert.strictEqual(violation?.message, "history.heartbeats[0].at: expected a number, got NaN")
    const wrong = (given: object) => check({}, { ...times, ...given }).map(({ message }) => message)
    assert.deepStrictEqual(wrong({ maxAge: Number.NaN }), [
      "times.maxAge: expected a number of milliseconds from 0, got NaN"
    ])
    assert.deepStrictEqual(wrong({ tolerance: undefined }), [
      "times.tolerance: expected a number of milliseconds from 0, got undefined"
    ])
    assert.deepStrictEqual(wrong({ heartbeat: "1 second" }), [
      "times.heartbeat: expected a number of milliseconds from 0, got \"1 second\""
    ])
    assert.deepStrictEqual(wrong({ lateness: 1 }), [
      "times: no option \"times.lateness\": the options are times.maxAge, times.heartbeat, times.tolerance, " +
      "times.confirmation, times.readLag"
    ])
    assert.deepStrictEqual(check({ lookups: [lookup(5, 4, true)] }).map(({ message }) => message), [
      "history.lookups[0].until: expected a time at or after 5, got 4"
    ])
  })
})

describe("a cleanup", () => {
  const cleanedUp = (at: number, ...beatenAt: ReadonlyArray<number>) =>
    rules(check({ heartbeats: heartbeats(...beatenAt), removals: [removal(at, "cleanedUp")] }))

  it("may come as soon as a heartbeat is old by its stamp, if the store was paused before it accepted it", () => {
    const [late] = heartbeats(41_000)
    const stamped = { ...late!, stampedAt: 30_000 }
    const history = { removals: [removal(60_001, "cleanedUp")] }
    assert.deepStrictEqual(rules(check({ ...history, heartbeats: [late!] })), ["only expired instances are cleaned up"])
    assert.deepStrictEqual(rules(check({ ...history, heartbeats: [stamped] })), [])
  })

  it("may remove an instance without a heartbeat for maxAge - tolerance", () => {
    assert.deepStrictEqual(cleanedUp(60_000, 10_000, 40_000), [])
    assert.deepStrictEqual(cleanedUp(60_000, 10_000, 40_001), ["only expired instances are cleaned up"])
    assert.deepStrictEqual(cleanedUp(60_000, 10_000, 60_001), [], "a later heartbeat does not count")
  })

  it("is reported with the heartbeat that it missed", () => {
    const [violation] = check({ heartbeats: heartbeats(10_000, 59_500), removals: [removal(60_000, "cleanedUp")] })
    assert.strictEqual(violation?.message, "orders/1 was cleaned up 0.500 s after a heartbeat")
    assert.deepStrictEqual(violation?.history, [
      "   59.500 s  orders/1  sends a heartbeat",
      "   60.000 s  orders/1  is cleaned up"
    ])
  })
})

describe("a purge by a deregistration", () => {
  const purged = (at: number, call: Partial<Checks.Deregistration> | undefined, ...later: ReadonlyArray<number>) =>
    rules(check({
      heartbeats: heartbeats(41_000, ...later),
      removals: [removal(at, "cleanedUp")],
      deregistrations: call === undefined
        ? undefined
        : [{ instance: "orders/1", from: 50_000, until: 60_000, failed: false, ...call }]
    }))

  it("is no cleanup: it may remove a record that is not expired, from its call to its return", () => {
    assert.deepStrictEqual(purged(60_000, undefined), ["only expired instances are cleaned up"])
    assert.deepStrictEqual(purged(60_000, {}), [])
    assert.deepStrictEqual(purged(60_000, { instance: "orders/2" }), ["only expired instances are cleaned up"])
    assert.deepStrictEqual(purged(60_000, { from: 60_001, until: 61_000 }), ["only expired instances are cleaned up"])
    assert.deepStrictEqual(purged(60_001, {}), ["only expired instances are cleaned up"])
  })

  it("may be stored after a call that failed, unless a heartbeat was stored since", () => {
    assert.deepStrictEqual(purged(60_001, { failed: true }), [])
    assert.deepStrictEqual(purged(65_000, { failed: true }, 60_000), [], "the call may have read it")
    assert.deepStrictEqual(purged(65_000, { failed: true }, 60_001), ["only expired instances are cleaned up"])
  })
})

describe("a cleanup with a confirmation", () => {
  const twice = { ...times, confirmation: 10_000 }
  const cleanedUp = (at: number) =>
    rules(check({ heartbeats: heartbeats(10_000), removals: [removal(at, "cleanedUp")] }, twice))

  it("removes an instance only after it can have seen it as expired for the confirmation time", () => {
    assert.deepStrictEqual(cleanedUp(40_000), [])
    assert.deepStrictEqual(cleanedUp(39_999), ["only expired instances are cleaned up"])
  })

  it("is reported with the time from which on the instance could be seen as expired", () => {
    const [violation] = check({ heartbeats: heartbeats(10_000), removals: [removal(39_000, "cleanedUp")] }, twice)
    assert.deepStrictEqual(violation, {
      rule: "only expired instances are cleaned up",
      at: 39_000,
      message: "orders/1 was cleaned up at most 9.000 s after it could first be seen as expired",
      history: [
        "   10.000 s  orders/1  sends a heartbeat",
        "   30.000 s  orders/1  can be seen as expired from now on",
        "   39.000 s  orders/1  is cleaned up"
      ]
    })
  })

  it("is not checked if the last heartbeat may have been rolled back", () => {
    const rolledBack = (at: number) =>
      rules(
        check({ heartbeats: heartbeats(10_000), removals: [removal(at, "lost"), removal(20_000, "cleanedUp")] }, twice)
      )
    assert.deepStrictEqual(rolledBack(15_000), [])
    assert.deepStrictEqual(rolledBack(9_999), ["only expired instances are cleaned up"])
  })
})

describe("a reported loss", () => {
  const told = (as: NonNullable<Checks.Lifetime["lost"]>["as"], history: Partial<Checks.RegistryHistory> = {}) =>
    rules(check({
      heartbeats: heartbeats(1000, 11_000),
      ...history,
      lifetimes: [lifetime(1000, 15_000, { ended: undefined, lost: { as, at: 15_000 } }), ...history.lifetimes ?? []]
    }))

  it("with the reason Deregistered follows a deregistration during the lifetime", () => {
    assert.deepStrictEqual(told("Deregistered", { removals: [removal(14_000)] }), [])
    assert.deepStrictEqual(told("Deregistered"), ["losses have their true reason"])
    assert.deepStrictEqual(told("Deregistered", { removals: [removal(14_000, "expired")] }), [
      "losses have their true reason"
    ])
    assert.deepStrictEqual(told("Deregistered", { removals: [removal(15_001)] }), ["losses have their true reason"])
    assert.deepStrictEqual(told("Deregistered", { removals: [removal(12_000, "lost")] }), [], "rolled back")
  })

  it("with the reason DuplicateInstance requires another lifetime of the id", () => {
    const other = lifetime(12_000, 14_000, { node: "b" })
    assert.deepStrictEqual(told("DuplicateInstance", { lifetimes: [other] }), [])
    assert.deepStrictEqual(told("DuplicateInstance"), ["losses have their true reason"])
    // The first write of a lifetime is stored up to 3 s before the lifetime begins.
    const later = (from: number) => told("DuplicateInstance", { lifetimes: [lifetime(from, 19_000, { node: "b" })] })
    assert.deepStrictEqual(later(18_000), [])
    assert.deepStrictEqual(
      later(18_001),
      ["losses have their true reason"],
      "the other lifetime began after the reported loss"
    )
  })

  it("with the reason DuplicateInstance may refer to a lifetime that continues because its tombstone was lost", () => {
    const beside = (first: Partial<Checks.Lifetime>, ...removals: ReadonlyArray<Checks.Removal>) =>
      rules(check({
        lifetimes: [
          lifetime(10_000, 20_000, { node: "b", ...first }),
          lifetime(50_000, 70_000, { ended: undefined, lost: { as: "DuplicateInstance", at: 70_000 } })
        ],
        heartbeats: heartbeats(18_000, 28_000, 38_000, 48_000, 58_000, 68_000),
        removals
      })).filter((rule) => rule === "losses have their true reason")
    const [deregistered, lost] = [removal(20_000), removal(30_000, "lost")]
    assert.deepStrictEqual(beside({}, deregistered, lost), [])
    assert.deepStrictEqual(
      beside({}, deregistered),
      ["losses have their true reason"],
      "the other process saw its tombstone"
    )
    assert.deepStrictEqual(beside({}, removal(10_000, "lost"), deregistered), ["losses have their true reason"])
    assert.deepStrictEqual(beside({ ended: "left" }, deregistered, lost), ["losses have their true reason"])
    assert.deepStrictEqual(beside({ ended: "crashed" }, deregistered, lost), ["losses have their true reason"])
    const left = (until: number) => beside({ ended: "left", until }, deregistered, lost)
    const told = (at: number) => beside({ lost: { as: "DuplicateInstance", at } }, deregistered, lost)
    // The second lifetime begins at 47 s. A write that was sent before an end may be stored until 10 s later.
    for (const until of [told, left]) {
      assert.deepStrictEqual(until(37_000), [])
      assert.deepStrictEqual(until(36_999), ["losses have their true reason"])
    }
  })
})

describe("two processes with one id", () => {
  /** The time limit is heartbeat + 2 x tolerance + 3 s: 33 s. */
  const together = (one: Checks.Lifetime, two: Checks.Lifetime, disruptions: ReadonlyArray<Checks.Disruption> = []) =>
    rules(check({
      lifetimes: [one, two],
      heartbeats: heartbeats(...Array.from({ length: 20 }, (_, index) => index * 10_000)),
      removals: [removal(one.until ?? 200_000), removal(two.until ?? 200_000)],
      disruptions
    }))

  it("do not both continue", () => {
    const first = lifetime(1_000, 60_000)
    assert.deepStrictEqual(together(first, lifetime(27_000, undefined, { node: "b" })), [])
    assert.deepStrictEqual(together(first, lifetime(26_999, undefined, { node: "b" })), ["ids are unique"])
    assert.deepStrictEqual(together(first, lifetime(60_000, undefined, { node: "b" })), [])
  })

  it("may both continue while one of them is disrupted", () => {
    const other = lifetime(20_000, undefined, { node: "b" })
    for (const node of ["a", "b", undefined]) {
      assert.deepStrictEqual(together(lifetime(1_000, 60_000), other, [{ node, from: 40_000, until: 40_001 }]), [])
      const early = [{ node, from: 21_000, until: 22_000 }]
      assert.deepStrictEqual(together(lifetime(1_000, 60_000), other, early), ["ids are unique"])
    }
    const elsewhere = [{ node: "c", from: 40_000, until: 40_001 }]
    assert.deepStrictEqual(together(lifetime(1_000, 60_000), other, elsewhere), ["ids are unique"])
  })

  it("have the whole time again after a loss of the stream: both register again", () => {
    const lifetimes = [lifetime(1_000, 60_000), lifetime(20_000, undefined, { node: "b" })]
    const lost = (at: number) =>
      rules(check({
        lifetimes,
        heartbeats: heartbeats(...Array.from({ length: 20 }, (_, index) => index * 10_000)),
        removals: [removal(60_000), removal(at, "lost")]
      }))
    assert.deepStrictEqual(lost(40_000), [])
    assert.deepStrictEqual(lost(53_001), ["ids are unique"])
  })

  it("are reported with the begin of both registrations", () => {
    const [violation] = check({
      lifetimes: [lifetime(1_000, undefined), lifetime(2_000, undefined, { node: "b" })],
      heartbeats: heartbeats(...Array.from({ length: 20 }, (_, index) => index * 10_000))
    })
    assert.deepStrictEqual(violation, {
      rule: "ids are unique",
      at: 35_000,
      message:
        "orders/1 is registered on a and on b for more than 33.000 s, and neither registration has reported a loss",
      history: [
        "    1.000 s  orders/1  is registered on a",
        "    2.000 s  orders/1  is registered on b",
        "   35.000 s  orders/1  is still registered on both"
      ]
    })
  })
})

describe("a view", () => {
  it("of a fleet without disruptions has no violation", () => {
    const lifetimes = [lifetime(0, 90_000), lifetime(0, undefined, { instance: "mail/1", node: "b" })]
    const own = heartbeats(...Array.from({ length: 9 }, (_, index) => index * 10_000))
    const lookups = Array.from(
      { length: 50 },
      (_, index) => lookup(index * 4_000, index * 4_000 + 5, index * 4_000 <= 90_000)
    )
    const removals = [removal(90_020)]
    assert.deepStrictEqual(check({ lifetimes, heartbeats: [...own, ...others], lookups, removals }), [])
  })
})
