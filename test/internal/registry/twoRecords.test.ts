/** An instance that has a record of this library and one of AegisSDK: which one counts, and its events, as tables. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import * as Schema from "effect/Schema"
import { legacyKeyOf } from "../../../src/internal/registry/legacyRecord.ts"
import { changed, keyOf } from "../../../src/internal/registry/record.ts"
import { asOne, type Candidate, oneOfEach, preferred } from "../../../src/internal/registry/twoRecords.ts"
import { View } from "../../../src/internal/registry/viewState.ts"
import { InstanceId, type ServiceInstance, ServiceName } from "../../../src/ServiceInstance.ts"
import { instance } from "../../support/registryRecord.ts"

const ours = changed(instance, { version: "2.0.0" })
const theirs = changed(instance, { version: "1.0.0" })
const later = changed(theirs, { lastHeartbeat: DateTime.makeUnsafe(1_000_001) })
const sameAsOurs = changed(ours, { lastHeartbeat: DateTime.makeUnsafe(1_000_001) })
const other = changed(ours, { status: "STANDBY" })

describe("the record that counts", () => {
  const candidate = (of: ServiceInstance, isLegacy: boolean, isLive: boolean): Candidate => ({
    instance: of,
    isLegacy,
    isLive
  })
  const cases: ReadonlyArray<
    readonly [what: string, isLive: readonly [ours: boolean, theirs: boolean], theirs: ServiceInstance, ServiceInstance]
  > = [
    ["is that of this library if both are live", [true, true], later, ours],
    ["is that of this library if the other one is expired", [true, false], later, ours],
    ["is that of AegisSDK if the other one is expired", [false, true], theirs, theirs],
    ["is the one with the later heartbeat if both are expired", [false, false], later, later],
    ["is that of this library if both are expired since the same time", [false, false], theirs, ours]
  ]

  for (const [what, [oursIsLive, theirsIsLive], legacy, expected] of cases) {
    it(what, () => {
      const one = candidate(ours, false, oursIsLive)
      const two = candidate(legacy, true, theirsIsLive)
      assert.strictEqual(preferred(one, two).instance, expected)
      assert.strictEqual(preferred(two, one).instance, expected)
      assert.deepStrictEqual(oneOfEach([two, one]), [expected])
    })
  }

  it("is chosen for each instance", () => {
    const two = changed(theirs, { instanceId: InstanceId.make("two") })
    const mail = changed(theirs, { serviceName: ServiceName.make("mail") })
    const all = [candidate(theirs, true, true), candidate(two, true, true), candidate(mail, true, true)]
    assert.deepStrictEqual(oneOfEach([...all, candidate(ours, false, true)]), [ours, two, mail])
  })
})

describe("the event of an instance", () => {
  const up = (of: ServiceInstance) => ({ _tag: "Up", instance: of }) as const
  const down = (of: ServiceInstance) => ({ _tag: "Down", instance: of, reason: "expired" }) as const
  const change = (previous: ServiceInstance, of: ServiceInstance, restarted = false) =>
    ({ _tag: "Changed", instance: of, previous, restarted }) as const
  type Event = Parameters<typeof asOne>[0]

  const cases: ReadonlyArray<
    readonly [
      what: string,
      event: Event,
      of: "ours" | "theirs",
      live: ServiceInstance | undefined,
      expected: Event | undefined
    ]
  > = [
    ["Up of this library alone", up(ours), "ours", undefined, up(ours)],
    ["Changed of this library alone", change(ours, other, true), "ours", undefined, change(ours, other, true)],
    ["Down of this library alone", down(ours), "ours", undefined, down(ours)],
    ["Up of AegisSDK alone", up(theirs), "theirs", undefined, up(theirs)],
    ["Changed of AegisSDK alone", change(theirs, later), "theirs", undefined, change(theirs, later)],
    ["Down of AegisSDK alone", down(theirs), "theirs", undefined, down(theirs)],
    ["Up of this library beside AegisSDK's", up(ours), "ours", theirs, change(theirs, ours)],
    ["Up of this library beside AegisSDK's that differs in its time only", up(ours), "ours", sameAsOurs, undefined],
    ["Changed of this library beside AegisSDK's", change(ours, other, true), "ours", theirs, change(ours, other, true)],
    ["Down of this library beside AegisSDK's", down(ours), "ours", theirs, change(ours, theirs)],
    ["Down of this library beside AegisSDK's that differs in its time only", down(ours), "ours", sameAsOurs, undefined],
    ["Up of AegisSDK beside this library's", up(theirs), "theirs", ours, undefined],
    ["Changed of AegisSDK beside this library's", change(theirs, later), "theirs", ours, undefined],
    ["Down of AegisSDK beside this library's", down(theirs), "theirs", ours, undefined]
  ]

  for (const [what, event, of, live, expected] of cases) {
    it(`is ${expected === undefined ? "none" : expected._tag} for ${what}`, () => {
      assert.deepStrictEqual(asOne(event, { isLegacy: of === "theirs", other: live }), expected)
    })
  }
})

describe("a view that reads both keys", () => {
  const key = keyOf(instance)
  const legacy = legacyKeyOf(instance)
  const times = { maxAge: 30, settling: 12 }

  const makeView = () => {
    const view = new View(times, 0, { readsLegacy: true })
    view.loaded()
    return view
  }

  const seen = (view: View, ofKey: string, of: ServiceInstance, now: number, age = 0) => {
    const nonce = ofKey === key ? "one" : undefined
    return view.seen(ofKey, { instance: of, age, nonce, maxAge: times.maxAge, text: undefined, revision: 7 }, now)
      ?.event
  }

  const tags = (view: View, now: number) => view.expire(now).map(({ event }) => event._tag)

  it("lists an instance once, by the record of this library while that is live", () => {
    const view = makeView()
    assert.strictEqual(seen(view, legacy, theirs, 0)?._tag, "Up")
    assert.deepStrictEqual(view.instances, [theirs])
    assert.strictEqual(seen(view, key, ours, 10)?._tag, "Changed")
    assert.deepStrictEqual(view.instances, [ours])
    assert.isUndefined(seen(view, legacy, changed(theirs, { status: "STANDBY" }), 10))
    assert.deepStrictEqual(view.instances, [ours])
    assert.strictEqual(view.number, 2)
  })

  it("has no event for the expiry of AegisSDK's record beside a live one, and one for the last", () => {
    const view = makeView()
    seen(view, legacy, theirs, 0)
    seen(view, key, ours, 10)
    assert.deepStrictEqual(tags(view, 31), [])
    assert.deepStrictEqual(tags(view, 41), ["Down"])
    assert.deepStrictEqual(view.instances, [])
  })

  it("has Changed for the expiry of the record of this library beside a live one, and Down for the last", () => {
    const view = makeView()
    seen(view, key, ours, 0)
    assert.isUndefined(seen(view, legacy, theirs, 10))
    const [change] = view.expire(31)
    assert.deepStrictEqual(change?.event, { _tag: "Changed", instance: theirs, previous: ours, restarted: false })
    assert.deepStrictEqual(tags(view, 41), ["Down"])
  })

  for (const [what, first, second] of [["first", legacy, key], ["last", key, legacy]] as const) {
    it(`has Down once if both expire at once, with AegisSDK's record received ${what}`, () => {
      const view = makeView()
      seen(view, first, first === key ? ours : theirs, 0)
      seen(view, second, second === key ? ours : theirs, 0)
      assert.deepStrictEqual(view.expire(31).map(({ event }) => event), [
        { _tag: "Down", instance: ours, reason: "expired" }
      ])
    })
  }

  const Steps = Schema.Array(Schema.Struct({
    of: Schema.Literals([key, legacy]),
    what: Schema.Literals(["seen", "removed", "expire"]),
    /** A record that is older than maxAge is received, too. */
    age: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 35 })),
    after: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 25 })),
    status: Schema.Literals(["ACTIVE", "STANDBY"])
  })).check(Schema.isMinLength(30))

  it.prop("emits one series of events, whatever happens to the two records", { steps: Steps }, ({ steps }) => {
    const view = makeView()
    let now = 0
    let shown: ServiceInstance | undefined
    const apply = (event: ReturnType<typeof seen>) => {
      if (event === undefined) return
      if (event._tag === "Up") assert.isUndefined(shown)
      if (event._tag === "Changed") assert.deepStrictEqual(event.previous, shown)
      if (event._tag === "Down") assert.deepStrictEqual(event.instance, shown)
      shown = event._tag === "Down" ? undefined : event.instance
    }
    for (const { after, age, of, status, what } of steps) {
      now += after
      for (const { event } of view.expire(now)) apply(event)
      if (what === "removed") apply(view.removed(of, "deregistered", 99)?.event)
      if (what === "seen") apply(seen(view, of, changed(of === key ? ours : theirs, { status }), now, age))
      const live = view.live.get(key) ?? view.live.get(legacy)
      assert.deepStrictEqual(shown, live?.instance)
      assert.deepStrictEqual(view.instances, live === undefined ? [] : [live.instance])
    }
  })

  it("knows the names of AegisSDK's records that are not live, if they decode", () => {
    const view = makeView()
    seen(view, legacy, theirs, 0, 31)
    seen(view, key, ours, 0, 31)
    assert.deepStrictEqual(view.dead.get(legacy)?.names, { serviceName: "orders", instanceId: "one" })
    assert.isUndefined(view.dead.get(key)?.names)
    view.unreadable(legacy, 8, instance.lastHeartbeat)
    assert.isUndefined(view.dead.get(legacy)?.names)
    view.removed(legacy, "cleanedUp", 9)
    seen(view, legacy, theirs, 0)
    view.expire(31)
    assert.deepStrictEqual(view.dead.get(legacy)?.names, { serviceName: "orders", instanceId: "one" })
  })

  it("takes two instances for two whose names give AegisSDK the same key", () => {
    const view = makeView()
    const one = changed(theirs, { serviceName: ServiceName.make("a"), instanceId: InstanceId.make("b__c") })
    const two = changed(theirs, { serviceName: ServiceName.make("a__b"), instanceId: InstanceId.make("c") })
    const shared = legacyKeyOf(one)
    assert.strictEqual(legacyKeyOf(two), shared)
    assert.isUndefined(view.overwritten(shared, one))
    seen(view, shared, one, 0)
    assert.isUndefined(view.overwritten(shared, one))
    assert.deepStrictEqual(view.overwritten(shared, two)?.event, {
      _tag: "Down",
      instance: one,
      reason: "deregistered"
    })
    assert.strictEqual(seen(view, shared, two, 0)?._tag, "Up")
    // The first one has a record of this library: it is another instance than the one under the shared key.
    assert.strictEqual(seen(view, keyOf(one), one, 0)?._tag, "Up")
    assert.deepStrictEqual(view.instances, [two, one])
  })
})
