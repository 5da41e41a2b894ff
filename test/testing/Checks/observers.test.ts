/**
 * The check of observers: what a view must keep while its node or the store is disrupted, and when it must forget.
 * For each rule, histories without a violation and the shortest ones with it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Checks from "../../../src/testing/Checks.ts"

/** An observer settles for 12.5 s, and recovers from a disruption within 3 s. */
const times: Checks.RegistryTimes = { maxAge: 30_000, heartbeat: 10_000, tolerance: 1_000 }

const every = (instance: string, from: number, until: number, interval = 10_000): ReadonlyArray<Checks.Heartbeat> =>
  Array.from({ length: Math.floor((until - from) / interval) + 1 }, (_, index) => ({
    instance,
    at: from + index * interval
  }))

/** Heartbeats of an instance of another service: the store is not silent. */
const others = every("mail/1", 0, 400_000, 4_000)
/** The heartbeats of a live instance: at 0, 10, ... 400 s. */
const alive = every("orders/1", 0, 400_000)
const until = (time: number) => alive.filter(({ at }) => at <= time)
/** Without heartbeats from a time to another. */
const silent = (from: number, to: number) => alive.filter(({ at }) => at < from || at > to)

const cut = (from: number, until: number, node = "a"): Checks.Disruption => ({ node, from, until })
const outage = (from: number, until: number): Checks.Disruption => ({ node: undefined, from, until })
const removal = (at: number, how: Checks.Removal["how"]): Checks.Removal => ({ instance: "orders/1", at, how })

const view = (at: number, isIn: boolean, since = 5_000): Checks.Lookup => ({
  node: "a",
  from: at,
  until: at,
  service: "orders",
  instances: isIn ? ["orders/1"] : [],
  how: "watch",
  since
})

const check = (history: Partial<Checks.RegistryHistory>) =>
  Checks.registryAccuracy({
    removals: [],
    lifetimes: [],
    disruptions: [],
    lookups: [],
    end: 400_000,
    ...history,
    heartbeats: [...others, ...history.heartbeats ?? alive]
  }, times)

const rules = (history: Partial<Checks.RegistryHistory>) => [...new Set(check(history).map(({ rule }) => rule))]

const keep = "observers keep live instances"

/** Whether a view may remove the instance at a time, which it has listed from 6 s on and still 100 ms before. */
const mayRemove = (at: number, history: Partial<Checks.RegistryHistory> = {}, before = at - 100) =>
  !rules({ ...history, lookups: [view(6_000, true), view(before, true), view(at, false)] }).includes(keep)

/** Whether a view may list the instance at a time. */
const mayList = (at: number, history: Partial<Checks.RegistryHistory>) =>
  rules({ ...history, lookups: [view(at, true)] }).length === 0

describe("a view", () => {
  it("keeps a live instance, also while its node is disrupted and right after that", () => {
    const disruptions = [cut(100_000, 170_000)]
    for (const at of [50_000, 120_000, 135_000, 170_300, 174_000, 182_000]) {
      assert.isFalse(mayRemove(at, { disruptions }), `at ${at}`)
    }
    assert.isFalse(mayRemove(170_300, { disruptions }, 99_000), "paused between the two lookups")
  })

  it("keeps an instance while the store accepts no heartbeats, and until it has had time to send one", () => {
    const disruptions = [outage(95_000, 160_000)]
    const heartbeats = silent(95_000, 172_000)
    for (const at of [125_000, 159_000, 161_000, 171_000]) {
      assert.isFalse(mayRemove(at, { disruptions, heartbeats }), `at ${at}`)
    }
    assert.isTrue(mayRemove(200_000, { disruptions, heartbeats: silent(95_000, 201_000) }), "40 s without an outage")
  })

  it("keeps an instance that is late right after an outage of the store, up to twice maxAge", () => {
    const disruptions = [outage(115_000, 130_000)]
    const late = { disruptions, heartbeats: silent(91_000, 142_000) }
    assert.isFalse(mayRemove(141_400, late), "26.4 s without an outage, settling")
    assert.isFalse(mayRemove(141_400, { ...late, heartbeats: silent(85_000, 142_000) }), "36.4 s, settling")
    assert.isTrue(mayRemove(141_600, { ...late, heartbeats: silent(85_000, 142_000) }), "36.6 s, settled")
    assert.isTrue(mayRemove(141_400, { ...late, heartbeats: silent(55_000, 142_000) }), "more than twice maxAge")
    const unnoticed = { ...late, disruptions: [outage(127_100, 130_000)] }
    assert.isTrue(mayRemove(141_400, { ...unnoticed, heartbeats: silent(85_000, 142_000) }))
    const itself = { ...late, disruptions: [...disruptions, cut(120_000, 121_000)] }
    assert.isTrue(mayRemove(141_400, { ...itself, heartbeats: silent(85_000, 142_000) }), "when it returned is unknown")
  })

  it("may remove an instance that was silent while the store accepted heartbeats", () => {
    const heartbeats = silent(101_000, 140_000)
    assert.isFalse(mayRemove(128_000, { heartbeats }))
    assert.isTrue(mayRemove(128_001, { heartbeats }))
    assert.isTrue(mayRemove(140_000, { heartbeats: silent(101_000, 139_000) }), "the heartbeat may be on its way")
    assert.isFalse(mayRemove(141_101, { heartbeats: silent(101_000, 139_000) }), "the heartbeat has arrived")
    assert.isTrue(mayRemove(143_000, { heartbeats: silent(101_000, 139_000), disruptions: [cut(130_000, 139_500)] }))
  })

  it("may remove an instance whose record was removed, as soon as it learns of that", () => {
    for (const how of ["deregistered", "cleanedUp", "expired", "lost"] as const) {
      assert.isTrue(mayRemove(52_000, { removals: [removal(51_500, how)] }), how)
    }
    assert.isFalse(mayRemove(53_000, { removals: [removal(51_899, "deregistered")] }))
    const disruptions = [cut(51_500, 90_000)]
    const removals = [removal(51_700, "deregistered")]
    assert.isTrue(mayRemove(90_200, { removals, disruptions }), "told after the cut, although it is registered again")
  })

  it("may remove an instance some time after the stream was lost", () => {
    assert.isTrue(mayRemove(95_000, { removals: [removal(54_000, "lost")] }))
    assert.isFalse(mayRemove(98_000, { removals: [removal(54_000, "lost")] }))
  })

  it("may begin without instances that the one before had", () => {
    assert.deepStrictEqual(rules({ lookups: [view(99_000, true), view(99_500, false, 99_400)] }), [
      "live instances are listed"
    ])
    const disruptions = [cut(60_000, 99_000)]
    assert.deepStrictEqual(rules({ disruptions, lookups: [view(99_000, true), view(99_500, false, 99_400)] }), [])
  })

  it("that begins after an outage of the store, or lists the instance after it, judges by the age of the record", () => {
    const disruptions = [outage(95_000, 125_000)]
    const heartbeats = silent(95_000, 140_000)
    const removed = (...lookups: ReadonlyArray<Checks.Lookup>) => rules({ disruptions, heartbeats, lookups })
    assert.deepStrictEqual(removed(view(94_000, true), view(130_000, true), view(130_500, false)), [keep])
    assert.deepStrictEqual(removed(view(126_000, true, 126_000), view(130_500, false, 126_000)), [])
    assert.deepStrictEqual(removed(view(94_000, false), view(119_000, true), view(130_500, false)), [
      "live instances are listed"
    ], "at 94 s it was missing")
  })

  it("may count an outage for a heartbeat that it receives after the outage: a replayed record is as old as it is", () => {
    // A heartbeat at 105 s, in a moment between two outages; the observer receives it after the second one.
    const heartbeats = [...until(90_000), { instance: "orders/1", at: 105_000 }]
    const disruptions = [outage(95_000, 104_000), outage(106_000, 122_000)]
    assert.isTrue(mayRemove(136_000, { heartbeats, disruptions }))
    assert.isFalse(mayRemove(132_000, { heartbeats, disruptions }))
  })

  it("counts the age of a heartbeat from its stamp, if the store was paused before it accepted it", () => {
    const removed = (outageFrom: number, at: number, since = 126_000) =>
      rules({
        disruptions: [outage(outageFrom, 125_000)],
        heartbeats: [{ instance: "orders/1", at: 125_000, stampedAt: outageFrom }],
        lookups: [view(since, true, since), view(at - 100, true, since), view(at, false, since)]
      }).includes(keep)
    assert.isFalse(removed(95_000, 130_500))
    assert.isTrue(removed(115_000, 140_000))
    assert.isFalse(removed(115_000, 146_000))
  })

  it("adds an instance only if its record is not too old, also if a watch replays it", () => {
    const heartbeats = until(100_000)
    const adds = (at: number, disruptions: ReadonlyArray<Checks.Disruption>) =>
      rules({ heartbeats, disruptions, lookups: [view(at - 100, false), view(at, true)] })
    const disruptions = [cut(99_000, 128_000), outage(100_500, 115_000)]
    assert.deepStrictEqual(adds(132_000, disruptions), [], "its node does not know the time of the store")
    assert.deepStrictEqual(adds(132_000, [outage(100_500, 115_000)]), [])
    assert.deepStrictEqual(adds(132_001, [outage(100_500, 131_000)]), ["expired instances are not listed"])
    assert.deepStrictEqual(adds(132_001, [outage(100_500, 131_000), cut(129_000, 130_000)]), [])
    const stopped = (affects: Checks.Disruption["affects"]) => [
      cut(97_000, 99_000),
      { ...outage(100_500, 131_000), affects }
    ]
    assert.deepStrictEqual(adds(132_001, stopped("requests")), [], "its node cannot read the time of the store")
    assert.deepStrictEqual(adds(132_001, stopped("writes")), ["expired instances are not listed"])
  })

  it("is reported with the last heartbeat and the views before and after", () => {
    const disruptions = [cut(95_000, 135_000)]
    const [violation] = check({ disruptions, lookups: [view(136_000, true), view(136_500, false)] })
    assert.deepStrictEqual(violation, {
      rule: keep,
      at: 136_500,
      message: "the watch of \"orders\" on a removes orders/1, whose last heartbeat was 6.500 s ago",
      history: [
        "  130.000 s  orders/1  sends a heartbeat",
        "  136.000 s  a         its view of \"orders\" is [orders/1]",
        "  136.500 s  a         its view of \"orders\" is []"
      ]
    })
  })
})

describe("a dead instance", () => {
  const heartbeats = until(100_000)

  it("is forgotten after maxAge and two tolerances without a disturbance", () => {
    assert.isTrue(mayList(132_000, { heartbeats }))
    assert.isFalse(mayList(132_001, { heartbeats }))
  })

  it("is kept while the observer or the store is disturbed: that is no connected time", () => {
    for (const disruptions of [[cut(110_000, 170_000)], [outage(110_000, 170_000)]]) {
      assert.isTrue(mayList(195_000, { heartbeats, disruptions }))
      assert.isFalse(mayList(195_001, { heartbeats, disruptions }))
    }
    assert.isFalse(mayList(140_000, { heartbeats, disruptions: [cut(110_000, 170_000, "b")] }))
  })

  it("is kept until the observer has settled", () => {
    const disruptions = [cut(128_000, 129_000)]
    assert.isTrue(mayList(145_500, { heartbeats, disruptions }))
    assert.isFalse(mayList(145_501, { heartbeats, disruptions }))
    assert.isTrue(mayList(146_500, { heartbeats, interruptions: [130_000] }), "its consumer was deleted")
    assert.isFalse(mayList(146_501, { heartbeats, interruptions: [130_000] }))
  })

  it("is forgotten after twice maxAge of connected time, even if the link flaps without end", () => {
    // Of each 20 s, 12 s are connected time, and the observer never settles.
    const disruptions = Array.from(
      { length: 20 },
      (_, index) => cut(105_000 + index * 20_000, 110_000 + index * 20_000)
    )
    assert.isTrue(mayList(190_000, { heartbeats, disruptions }))
    assert.isTrue(mayList(202_000, { heartbeats, disruptions }))
    assert.isFalse(mayList(202_001, { heartbeats, disruptions }))
  })

  it("that was removed may be listed longer if the observer could not learn of it", () => {
    const removals = [removal(105_000, "deregistered")]
    assert.isFalse(mayList(106_001, { heartbeats, removals }))
    const disruptions = [cut(104_500, 120_000)]
    assert.isTrue(mayList(130_000, { heartbeats, removals, disruptions }))
    assert.isFalse(mayList(160_000, { heartbeats, removals, disruptions }))
  })

  it("that was never live is not listed, whatever the observer does", () => {
    const history = { heartbeats: [], lifetimes: [], disruptions: [cut(0, 400_000)] }
    assert.isFalse(mayList(50_000, history))
  })
})

describe("the silence of all instances", () => {
  const quiet = (at: number, disruptions: ReadonlyArray<Checks.Disruption> = []) =>
    Checks.registryAccuracy({
      heartbeats: [...every("mail/1", 0, 100_000, 4_000), ...until(100_000)],
      removals: [],
      lifetimes: [],
      disruptions,
      lookups: [view(at, true)],
      end: 400_000
    }, times).length === 0

  it("excuses an observer that suspects the store, for maxAge after the store can have answered", () => {
    // The suspicion lasts from 114 s to 149 s, and the observer settles until 162.5 s.
    assert.isTrue(quiet(162_500))
    assert.isFalse(quiet(183_000))
    assert.isTrue(quiet(183_000, [outage(113_000, 160_000)]), "the answer came late")
    const refused = { node: undefined, from: 113_000, until: 160_000 }
    assert.isTrue(quiet(183_000, [{ ...refused, affects: "requests" }]), "the answer came late")
    assert.isFalse(quiet(183_000, [{ ...refused, affects: "writes" }]))
  })

  it("excuses it also if the store has a leader for a moment only", () => {
    const outage = (from: number, until: number) => ({ node: undefined, from, until, affects: "requests" as const })
    assert.isTrue(quiet(215_000, [outage(113_000, 140_000), outage(140_300, 160_000)]))
    assert.isFalse(quiet(215_000, [outage(113_000, 140_000), outage(150_000, 160_000)]))
  })
})

describe("the silence of all instances for some seconds", () => {
  it("does not count as time for a dead instance, from the last heartbeat on", () => {
    const heartbeats = [
      ...every("mail/1", 0, 400_000, 4_000).filter(({ at }) => at <= 100_000 || at >= 120_000),
      ...until(90_000)
    ]
    const isListed = (at: number) =>
      Checks.registryAccuracy({
        heartbeats,
        removals: [],
        lifetimes: [],
        disruptions: [],
        lookups: [view(at, true)],
        end: 400_000
      }, times).length === 0
    assert.isTrue(isListed(142_000))
    assert.isFalse(isListed(142_001))
  })
})

describe("a store that refuses writes, and answers reads", () => {
  const refusing = (affects: Checks.Disruption["affects"], from = 95_000, until = 170_000, node?: string) => [
    { node, from, until, affects }
  ]
  const heartbeats = silent(95_000, 172_000)

  it("does not stop the ages: the instances expire", () => {
    for (const affects of ["writes", "requests"] as const) {
      const disruptions = refusing(affects)
      assert.isFalse(mayRemove(118_000, { disruptions, heartbeats }))
      assert.isTrue(mayRemove(119_000, { disruptions, heartbeats }), affects)
      assert.isFalse(mayList(122_001, { disruptions, heartbeats }), affects)
    }
    assert.isFalse(mayRemove(119_000, { disruptions: refusing("everything"), heartbeats }))
    assert.isFalse(mayRemove(119_000, { disruptions: refusing(undefined), heartbeats }))
  })

  it("does not keep a watch from its messages", () => {
    const removals = [removal(93_000, "deregistered")]
    const before = { removals, heartbeats: until(90_000) }
    for (const affects of ["writes", "requests"] as const) {
      for (const node of [undefined, "a"]) {
        assert.isFalse(mayList(97_000, { ...before, disruptions: refusing(affects, 95_000, 170_000, node) }))
      }
    }
    assert.isTrue(
      mayList(97_000, { ...before, removals: [removal(94_500, "deregistered")], disruptions: refusing("everything") })
    )
  })

  it("delivers what it stored last, before it had no leader, when it has one again", () => {
    const last = { removals: [removal(94_500, "deregistered")], heartbeats: until(90_000) }
    const disruptions = refusing("requests", 95_000, 110_000)
    assert.isTrue(mayList(110_400, { ...last, disruptions }))
    assert.isFalse(mayList(110_600, { ...last, disruptions }))
    assert.isFalse(mayList(96_000, { ...last, disruptions: refusing("writes", 95_000, 110_000) }))
    assert.isFalse(mayList(96_000, { ...last, disruptions: refusing("requests", 95_000, 110_000, "a") }))
    // The view learns of the removal, and of a heartbeat, after 110 s.
    assert.isTrue(mayRemove(110_400, { removals: last.removals, disruptions }))
    assert.isFalse(mayRemove(112_000, { removals: last.removals, disruptions }))
    const heartbeats = [...until(60_000), { instance: "orders/1", at: 94_500 }]
    assert.isTrue(mayRemove(97_000, { heartbeats, disruptions }))
    assert.isFalse(mayRemove(112_000, { heartbeats, disruptions }))
    assert.isFalse(mayRemove(97_000, { heartbeats, disruptions: refusing("writes", 95_000, 110_000) }))
  })

  it("keeps a watch that has lost its consumer waiting for the timeout of its request, after a moment without answers", () => {
    const removedAt = (at: number) => ({
      removals: [removal(at, "deregistered")],
      heartbeats,
      interruptions: [100_000]
    })
    const moment = refusing("requests", 99_900, 101_000)
    assert.isTrue(mayList(110_900, { ...removedAt(109_800), disruptions: moment }))
    assert.isFalse(mayList(112_300, { ...removedAt(111_100), disruptions: moment }))
    assert.isFalse(mayList(110_900, { ...removedAt(109_800), disruptions: refusing("writes", 99_900, 101_000) }))
  })

  it("keeps a watch that has lost its consumer from getting another one, if it refuses requests", () => {
    const history = { removals: [removal(106_000, "deregistered")], heartbeats, interruptions: [100_000] }
    assert.isTrue(mayList(107_100, { ...history, disruptions: refusing("requests") }))
    assert.isFalse(mayList(107_100, { ...history, disruptions: refusing("writes") }))
    assert.isTrue(mayList(107_100, { ...history, disruptions: refusing("requests", 95_000, 170_000, "a") }))
    assert.isFalse(mayList(107_100, { ...history, disruptions: refusing("requests", 95_000, 170_000, "b") }))
  })

  it("is a disruption of the heartbeats", () => {
    const registered = { instance: "orders/1", node: "a", from: 0, until: undefined, ended: undefined }
    const found = (disruptions: ReadonlyArray<Checks.Disruption>) =>
      rules({ heartbeats: silent(95_000, 169_000), disruptions, lifetimes: [registered] })
    assert.deepStrictEqual(found([]), ["live instances send heartbeats"])
    for (const affects of ["writes", "requests"] as const) {
      assert.deepStrictEqual(found(refusing(affects)), [])
      assert.deepStrictEqual(found(refusing(affects, 95_000, 170_000, "a")), [])
      // It has tried all the time, so it needs no full interval.
      assert.deepStrictEqual(found(refusing(affects, 95_000, 160_000)), ["live instances send heartbeats"])
      assert.deepStrictEqual(found(refusing(affects, 95_000, 160_000, "a")), ["live instances send heartbeats"])
    }
  })

  /** All instances are silent after 100 s. Whether the view may remove one of them at a time. */
  const mayForget = (at: number, history: Partial<Checks.RegistryHistory> = {}, others = ["orders/2"]) => {
    const views = (time: number, isIn: boolean): Checks.Lookup => ({
      ...view(time, isIn),
      instances: [...isIn ? ["orders/1"] : [], ...others]
    })
    const heartbeats = [...until(100_000), ...every("orders/2", 0, 100_000)]
    const found = Checks.registryAccuracy({
      heartbeats,
      removals: [],
      lifetimes: [],
      disruptions: [],
      lookups: [views(6_000, true), views(at - 100, true), views(at, false)],
      end: 400_000,
      ...history
    }, times)
    return !found.some(({ rule }) => rule === keep)
  }

  it("has to be suspected if it does not answer when all instances are silent: none of them expires", () => {
    assert.isTrue(mayForget(129_000), "the store answers")
    assert.isTrue(mayForget(129_000, { disruptions: refusing("writes") }), "it answers")
    assert.isFalse(mayForget(129_000, { disruptions: refusing("requests") }))
    // The observer asks at 115 s, by its clock and after a delivery that takes up to a second.
    assert.isTrue(mayForget(129_000, { disruptions: refusing("requests", 114_001) }), "it may have answered before")
    assert.isFalse(mayForget(129_000, { disruptions: refusing("requests", 114_000) }))
    assert.isTrue(
      mayForget(129_000, { disruptions: refusing("requests", 95_000, 117_999) }),
      "it may have answered after"
    )
    assert.isFalse(mayForget(129_000, { disruptions: refusing("requests", 95_000, 118_000) }))
    assert.isTrue(
      mayForget(129_000, { disruptions: refusing("requests", 95_000, 170_000, "b") }),
      "it answers this node"
    )
    assert.isFalse(mayForget(129_000, { disruptions: refusing("requests", 95_000, 170_000, "a") }))
    assert.isTrue(mayForget(129_000, { disruptions: refusing("requests") }, []), "a single instance is not all")
  })

  it("has to be suspected until maxAge after it answers again, or until the instances had time after a heartbeat", () => {
    const disruptions = refusing("requests")
    assert.isFalse(mayForget(197_999, { disruptions }))
    assert.isTrue(mayForget(198_101, { disruptions }))
    const heartbeats = [...until(100_000), ...every("orders/2", 0, 100_000), { instance: "orders/2", at: 171_000 }]
    assert.isFalse(mayForget(182_400, { disruptions, heartbeats }))
    assert.isTrue(mayForget(182_700, { disruptions, heartbeats }))
  })

  it("need not be suspected by an observer that settles, or is disturbed itself", () => {
    const disruptions = refusing("requests")
    assert.isTrue(mayForget(129_000, { disruptions: [...disruptions, cut(80_000, 83_000)] }))
    assert.isFalse(mayForget(129_000, { disruptions: [...disruptions, cut(79_000, 82_000)] }))
    assert.isTrue(mayForget(129_000, { disruptions, interruptions: [110_000] }))
    assert.isFalse(mayForget(129_000, { disruptions: [...disruptions, cut(130_000, 140_000)] }))
    assert.isFalse(mayForget(129_000, { disruptions: [...disruptions, cut(80_000, 140_000, "b")] }))
  })
})

describe("a list on a node with a view", () => {
  const list = (isIn: boolean): Checks.Lookup => ({
    node: "a",
    from: 140_000,
    until: 140_100,
    service: "orders",
    instances: isIn ? ["orders/1"] : [],
    how: "list"
  })
  const disruptions = [outage(95_000, 139_000)]
  const heartbeats = silent(95_000, 150_000)
  const listed = (isIn: boolean, ...views: ReadonlyArray<Checks.Lookup>) =>
    rules({ disruptions, heartbeats, lookups: [...views, list(isIn)] })

  it("contains what the view keeps, although the record is old", () => {
    assert.deepStrictEqual(listed(true, view(139_900, true), view(140_200, true)), [])
    assert.deepStrictEqual(listed(false, view(139_900, true), view(140_200, true)), [keep])
    assert.deepStrictEqual(listed(false), [])
    assert.deepStrictEqual(listed(true, view(139_900, false), view(140_200, false)), [
      "expired instances are not listed"
    ])
    // Without a recorded view, the process can have one because of its earlier lists.
    assert.deepStrictEqual(listed(true), [])
  })

  it("need not contain it if the view changes meanwhile, or is another one", () => {
    assert.deepStrictEqual(listed(false, view(139_900, true), view(140_200, false)), [])
    assert.deepStrictEqual(listed(false, view(139_900, true, 1_000), view(140_200, true, 140_000)), [])
  })

  it("need not contain an instance whose record was removed", () => {
    const lookups = [view(139_900, true), list(false), view(140_200, true)]
    const removals = [removal(140_050, "cleanedUp")]
    assert.deepStrictEqual(rules({ disruptions, heartbeats, lookups, removals }), [])
  })
})
