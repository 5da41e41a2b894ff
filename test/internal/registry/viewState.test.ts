/** The live instances that a watch keeps: the changes it emits, and when instances expire. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import { HeartbeatText } from "../../../src/internal/registry/heartbeatText.ts"
import { changed, encode, keyOf } from "../../../src/internal/registry/record.ts"
import { type Seen, View } from "../../../src/internal/registry/viewState.ts"
import { InstanceId, ServiceInstance } from "../../../src/ServiceInstance.ts"
import { instance, mine, recordOf } from "../../support/registryRecord.ts"

const key = keyOf(instance)
const later = changed(instance, { lastHeartbeat: DateTime.makeUnsafe(1_010_000) })
const draining = changed(instance, { status: "DRAINING" })
const other = changed(instance, { instanceId: InstanceId.make("two") })
const otherKey = keyOf(other)

/** Instances expire after 30, and have 12 after a return. */
const times = { maxAge: 30, settling: 12 }

/** A view that has read its snapshot at 0. */
const makeView = () => {
  const view = new View(times, 0)
  view.loaded()
  return view
}

/** Receives a record of an age, with the nonce and the maxAge of the others unless given. */
const seen = (view: View, ofKey: string, of: ServiceInstance, age: number, now: number, rest: Partial<Seen> = {}) =>
  view.seen(
    ofKey,
    { instance: of, age, nonce: "one", maxAge: times.maxAge, text: undefined, revision: 7, ...rest },
    now
  )

/** The keys that expire at a time. */
const expiredAt = (view: View, now: number) => view.expire(now).map(({ event }) => keyOf(event.instance))

describe("the changes of a view", () => {
  it("are Up for a new instance", () => {
    assert.deepStrictEqual(seen(makeView(), key, instance, 0, 0), { number: 1, event: { _tag: "Up", instance } })
  })

  it("are none for a heartbeat, whose time is kept", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    assert.isUndefined(seen(view, key, later, 0, 10))
    assert.strictEqual(view.number, 1)
    assert.deepStrictEqual(view.removed(key, "cleanedUp", 99)?.event, {
      _tag: "Down",
      instance: later,
      reason: "cleanedUp"
    })
  })

  it("are none if the metadata is equal by value", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    assert.isUndefined(seen(view, key, changed(later, { metadata: { ports: [80, 443], zone: "a" } }), 0, 10))
  })

  it("are none for a heartbeat that is recognised by its bytes, whose time is kept", () => {
    const view = makeView()
    const stored = encode({ ...recordOf(mine), instance })
    seen(view, key, instance, 0, 0, { text: HeartbeatText.of(stored) })
    assert.isUndefined(view.heartbeatIn(otherKey, stored))
    assert.isUndefined(view.heartbeatIn(key, encode({ ...recordOf(mine), instance: draining })))
    assert.strictEqual(view.heartbeatIn(key, encode({ ...recordOf(mine), instance: later })), 1_010_000)
    view.beat(key, { lastHeartbeat: later.lastHeartbeat, age: 2, revision: 9 }, 10)
    assert.strictEqual(view.expiryOf(key, 10), 38)
    view.beat(key, { lastHeartbeat: later.lastHeartbeat, age: 20, revision: 9 }, 12)
    assert.strictEqual(view.expiryOf(key, 12), 38)
    assert.deepStrictEqual(view.removed(key, "cleanedUp", 99)?.event, {
      _tag: "Down",
      instance: later,
      reason: "cleanedUp"
    })
    view.beat(key, { lastHeartbeat: later.lastHeartbeat, age: 0, revision: 9 }, 20)
    assert.strictEqual(view.live.size, 0)
  })

  const changes: ReadonlyArray<readonly [what: string, ServiceInstance]> = [
    ["the status", draining],
    ["the version", changed(instance, { version: "1.2.4" })],
    ["the metadata", changed(instance, { metadata: { zone: "a", ports: [80] } })],
    ["the group", changed(instance, { group: "eu" })],
    ["the host", changed(instance, { host: "10.0.0.7" })],
    ["the port", changed(instance, { port: 8080 })]
  ]

  for (const [what, next] of changes) {
    it(`are Changed with the previous instance for a change of ${what}`, () => {
      const view = makeView()
      seen(view, key, instance, 0, 0)
      assert.deepStrictEqual(seen(view, key, next, 0, 10), {
        number: 2,
        event: { _tag: "Changed", instance: next, previous: instance, restarted: false }
      })
    })
  }

  it("are Changed with restarted for the record of another registration", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    assert.deepStrictEqual(seen(view, key, later, 0, 10, { nonce: "two" })?.event, {
      _tag: "Changed",
      instance: later,
      previous: instance,
      restarted: true
    })
    assert.isUndefined(seen(view, key, later, 0, 20, { nonce: "two" }))
  })

  it("are none for records without a nonce, whose registrations cannot be told apart", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    assert.isUndefined(seen(view, key, later, 0, 10, { nonce: undefined }))
    assert.isUndefined(seen(view, key, later, 0, 20, { nonce: "two" }))
  })

  it("are Down once, and none for an unknown instance", () => {
    const view = makeView()
    assert.isUndefined(view.removed(key, "deregistered", 99))
    seen(view, key, instance, 0, 0)
    assert.deepStrictEqual(view.removed(key, "deregistered", 99), {
      number: 2,
      event: { _tag: "Down", instance, reason: "deregistered" }
    })
    assert.isUndefined(view.removed(key, "deregistered", 99))
    assert.strictEqual(view.number, 2)
  })

  it("are Down for an expiry marker, and none for a record that is missing without a marker or with its bucket", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    assert.isUndefined(view.removed(key, "expired", 7))
    assert.isUndefined(view.removed(key, "reset", 7))
    assert.strictEqual(view.live.size, 1)
    assert.strictEqual(view.removed(key, "expired", 8)?.event._tag, "Down")
  })

  it("are Up again for an instance that comes back", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    view.removed(key, "cleanedUp", 99)
    assert.deepStrictEqual(seen(view, key, later, 0, 60), { number: 3, event: { _tag: "Up", instance: later } })
  })
})

describe("an instance in a view", () => {
  it("expires after maxAge, not at exactly that time", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    seen(view, otherKey, other, 0, 1)
    assert.deepStrictEqual(expiredAt(view, 30), [])
    assert.deepStrictEqual(view.expire(31), [{ number: 3, event: { _tag: "Down", instance, reason: "expired" } }])
    assert.deepStrictEqual(expiredAt(view, 31), [])
    assert.deepStrictEqual(expiredAt(view, 32), [otherKey])
  })

  it("is as old as its record: it expires earlier, or is not live", () => {
    const view = makeView()
    seen(view, key, instance, 20, 0)
    assert.isUndefined(seen(view, otherKey, other, 31, 0))
    assert.deepStrictEqual(expiredAt(view, 11), [key])
  })

  it("does not get younger by a record from the future, nor older by a late one", () => {
    const view = makeView()
    seen(view, key, instance, -100, 0)
    assert.strictEqual(view.expiryOf(key, 0), 30)
    seen(view, key, later, 25, 10)
    assert.strictEqual(view.expiryOf(key, 10), 30)
  })

  it("does not expire before the snapshot has been read", () => {
    const view = new View(times, 0)
    seen(view, key, instance, 29, 0)
    assert.deepStrictEqual(expiredAt(view, 100), [])
    assert.isUndefined(view.nextWake(100))
    assert.strictEqual(view.expiryOf(key, 100), Number.POSITIVE_INFINITY)
    view.loaded()
    assert.deepStrictEqual(expiredAt(view, 100), [key])
  })
})

describe("a process that is cut off", () => {
  it("keeps its instances, whose ages do not advance from the last message on", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    seen(view, otherKey, other, 0, 8)
    view.cutOff(10)
    assert.deepStrictEqual(view.phase, { _tag: "CutOff", since: 10 })
    assert.deepStrictEqual(expiredAt(view, 1000), [])
    assert.isUndefined(view.nextWake(1000))
    view.back(1000)
    assert.deepStrictEqual(view.phase, { _tag: "Settling", until: 22 })
    assert.deepStrictEqual(expiredAt(view, 1020), [])
    assert.deepStrictEqual(expiredAt(view, 1021), [key])
    assert.deepStrictEqual(view.phase, { _tag: "Live" })
    assert.deepStrictEqual(expiredAt(view, 1029), [otherKey])
  })

  it("expires no instance for a heartbeat after its return, and dead ones within maxAge", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    view.cutOff(29)
    view.back(50)
    // Until 29 + 12 of connected time.
    assert.deepStrictEqual(expiredAt(view, 62), [])
    assert.strictEqual(view.nextWake(62), 62)
    assert.deepStrictEqual(expiredAt(view, 63), [key])
  })

  it("that flaps without end expires dead instances at twice maxAge of connected time", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    let now = 0
    let lived: number | undefined
    // Connected for 10, cut off for 5, less than it takes to settle.
    for (let flap = 0; flap < 20 && lived === undefined; flap++) {
      for (let step = 0; step < 10; step++) {
        now++
        if (expiredAt(view, now).length > 0) lived = now
      }
      view.cutOff(now)
      now += 5
      view.back(now)
    }
    // After 60 of connected time, with six gaps in it.
    assert.strictEqual(lived, 60 + 6 * 5 + 1)
  })

  it("does not announce an instance whose record is too old when it returns, and keeps one that it knows", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    view.cutOff(10)
    view.back(100)
    assert.isUndefined(seen(view, otherKey, other, 33, 100))
    assert.isUndefined(seen(view, key, later, 33, 100))
    assert.deepStrictEqual([...view.live.keys()], [key])
    assert.isUndefined(seen(view, key, later, 1, 101))
    assert.strictEqual(view.expiryOf(key, 101), 130)
  })

  it("still reports removals", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    view.cutOff(10)
    assert.strictEqual(view.removed(key, "deregistered", 99)?.event._tag, "Down")
  })

  it("before its snapshot stays Loading", () => {
    const view = new View(times, 0)
    view.cutOff(0)
    view.back(50)
    assert.deepStrictEqual(view.phase, { _tag: "Loading" })
    view.loaded()
    assert.deepStrictEqual(view.phase, { _tag: "Live" })
  })
})

describe("a process that was paused", () => {
  it("expires no instance until it had time to send a heartbeat", () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    view.paused(31, 500)
    assert.deepStrictEqual(expiredAt(view, 500), [])
    assert.deepStrictEqual(expiredAt(view, 512), [])
    assert.deepStrictEqual(expiredAt(view, 513), [key])
  })
})

describe("the silence of all instances", () => {
  const silentView = () => {
    const view = makeView()
    seen(view, key, instance, 0, 0)
    view.heard(1, 0)
    seen(view, otherKey, other, 0, 1)
    view.heard(2, 1)
    return view
  }

  it("has to be explained after half of maxAge, once", () => {
    const view = silentView()
    assert.strictEqual(view.nextWake(1), 16)
    assert.isFalse(view.isSilent(16))
    assert.isTrue(view.isSilent(17))
    view.explained()
    assert.isFalse(view.isSilent(17))
    assert.deepStrictEqual(expiredAt(view, 31), [key])
  })

  it("of a single instance is its own", () => {
    const view = silentView()
    view.removed(otherKey, "deregistered", 99)
    assert.isFalse(view.isSilent(25))
  })

  it("that the store does not explain stops the ages since the last message, until another one", () => {
    const view = silentView()
    view.suspected()
    assert.deepStrictEqual(view.phase, { _tag: "CutOff", since: 1 })
    assert.deepStrictEqual(expiredAt(view, 100), [])
    view.heard(3, 100)
    assert.deepStrictEqual(view.phase, { _tag: "Settling", until: 13 })
    assert.deepStrictEqual(expiredAt(view, 130), [key])
  })

  it("has to be explained also while the view settles, from its return on: a second outage can follow", () => {
    const view = silentView()
    view.cutOff(5)
    view.back(100)
    assert.strictEqual(view.phase._tag, "Settling")
    assert.isFalse(view.isSilent(115))
    assert.isTrue(view.isSilent(116))
    assert.strictEqual(view.nextWake(101), 115)
    view.suspected()
    assert.deepStrictEqual(view.phase, { _tag: "CutOff", since: 100 })
    view.heard(3, 130)
    assert.deepStrictEqual(expiredAt(view, 135), [])
  })

  it("that ends without a message is over, and a loss of the store is no suspicion", () => {
    const view = silentView()
    view.suspected()
    view.unsuspected(50)
    assert.strictEqual(view.phase._tag, "Settling")
    const cut = silentView()
    cut.cutOff(5)
    cut.unsuspected(50)
    cut.heard(3, 51)
    assert.strictEqual(cut.phase._tag, "CutOff")
  })
})
