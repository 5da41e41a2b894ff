/** The live instances that a watch keeps, and the changes it emits. */
import { assert, describe, it } from "@effect/vitest"
import * as DateTime from "effect/DateTime"
import { changed, keyOf } from "../../../src/internal/registry/record.ts"
import { View } from "../../../src/internal/registry/view.ts"
import { InstanceId, ServiceInstance } from "../../../src/ServiceInstance.ts"
import { instance } from "../../support/registryRecord.ts"

describe("the view", () => {
  const key = keyOf(instance)
  const later = changed(instance, { lastHeartbeat: DateTime.makeUnsafe(1_010_000) })
  const draining = changed(instance, { status: "DRAINING" })
  const other = changed(instance, { instanceId: InstanceId.make("two") })

  it("emits Up for a new instance", () => {
    assert.deepStrictEqual(new View().seen(key, instance, 30), { number: 1, event: { _tag: "Up", instance } })
  })

  it("emits nothing for a heartbeat, and stores its time", () => {
    const view = new View()
    view.seen(key, instance, 30)
    assert.isUndefined(view.seen(key, later, 40))
    assert.strictEqual(view.number, 1)
    assert.strictEqual(view.nextExpiry(), 40)
    assert.deepStrictEqual(view.gone(key, "cleanedUp")?.event, { _tag: "Down", instance: later, reason: "cleanedUp" })
  })

  it("emits nothing if the metadata is equal by value", () => {
    const view = new View()
    view.seen(key, instance, 30)
    assert.isUndefined(view.seen(key, changed(later, { metadata: { ports: [80, 443], zone: "a" } }), 40))
  })

  const changes: ReadonlyArray<readonly [what: string, ServiceInstance]> = [
    ["the status", draining],
    ["the version", changed(instance, { version: "1.2.4" })],
    ["the metadata", changed(instance, { metadata: { zone: "a", ports: [80] } })],
    ["the group", changed(instance, { group: "eu" })]
  ]

  for (const [what, next] of changes) {
    it(`emits Changed with the previous instance for a change of ${what}`, () => {
      const view = new View()
      view.seen(key, instance, 30)
      assert.deepStrictEqual(view.seen(key, next, 40), {
        number: 2,
        event: { _tag: "Changed", instance: next, previous: instance }
      })
    })
  }

  it("emits Down once, and nothing for an unknown instance", () => {
    const view = new View()
    assert.isUndefined(view.gone(key, "deregistered"))
    view.seen(key, instance, 30)
    assert.deepStrictEqual(view.gone(key, "deregistered"), {
      number: 2,
      event: { _tag: "Down", instance, reason: "deregistered" }
    })
    assert.isUndefined(view.gone(key, "deregistered"))
    assert.strictEqual(view.number, 2)
  })

  it("emits Up again for an instance that comes back", () => {
    const view = new View()
    view.seen(key, instance, 30)
    view.gone(key, "expired")
    assert.deepStrictEqual(view.seen(key, later, 60), { number: 3, event: { _tag: "Up", instance: later } })
  })

  it("expires an instance only after its time, not at exactly that time", () => {
    const view = new View()
    view.seen(key, instance, 30)
    view.seen(keyOf(other), other, 31)
    assert.deepStrictEqual(view.expire(30), [])
    assert.deepStrictEqual(view.expire(31), [{ number: 3, event: { _tag: "Down", instance, reason: "expired" } }])
    assert.deepStrictEqual([...view.live.keys()], [keyOf(other)])
    assert.deepStrictEqual(view.expire(31), [])
  })

  it("expires all due instances, each with its own change number", () => {
    const view = new View()
    view.seen(key, instance, 30)
    view.seen(keyOf(other), other, 31)
    assert.deepStrictEqual(view.expire(1000).map((change) => change.number), [3, 4])
    assert.strictEqual(view.live.size, 0)
  })

  it("returns the time of the next expiry, or undefined if there is no instance", () => {
    const view = new View()
    assert.isUndefined(view.nextExpiry())
    view.seen(key, instance, 30)
    view.seen(keyOf(other), other, 20)
    assert.strictEqual(view.nextExpiry(), 20)
    view.seen(keyOf(other), other, 50)
    assert.strictEqual(view.nextExpiry(), 30)
  })
})
