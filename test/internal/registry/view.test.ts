/** Who is alive, as a watch sees it. */
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

  it("says Up at first sight", () => {
    assert.deepStrictEqual(new View().seen(key, instance, 30), { number: 1, event: { _tag: "Up", instance } })
  })

  it("says nothing of a heartbeat, and remembers it", () => {
    const view = new View()
    view.seen(key, instance, 30)
    assert.isUndefined(view.seen(key, later, 40))
    assert.strictEqual(view.number, 1)
    assert.strictEqual(view.nextExpiry(), 40)
    assert.deepStrictEqual(view.gone(key, "cleanedUp")?.event, { _tag: "Down", instance: later, reason: "cleanedUp" })
  })

  it("says nothing where the metadata is the same by value", () => {
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
    it(`says Changed where ${what} has, and what it was before`, () => {
      const view = new View()
      view.seen(key, instance, 30)
      assert.deepStrictEqual(view.seen(key, next, 40), {
        number: 2,
        event: { _tag: "Changed", instance: next, previous: instance }
      })
    })
  }

  it("says Down once, and nothing of whom it does not know", () => {
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

  it("says Up again for one who comes back", () => {
    const view = new View()
    view.seen(key, instance, 30)
    view.gone(key, "expired")
    assert.deepStrictEqual(view.seen(key, later, 60), { number: 3, event: { _tag: "Up", instance: later } })
  })

  it("expires nobody at the end of its time, and whoever is over it a moment later", () => {
    const view = new View()
    view.seen(key, instance, 30)
    view.seen(keyOf(other), other, 31)
    assert.deepStrictEqual(view.expire(30), [])
    assert.deepStrictEqual(view.expire(31), [{ number: 3, event: { _tag: "Down", instance, reason: "expired" } }])
    assert.deepStrictEqual([...view.live.keys()], [keyOf(other)])
    assert.deepStrictEqual(view.expire(31), [])
  })

  it("expires all that is due, each under a number of its own", () => {
    const view = new View()
    view.seen(key, instance, 30)
    view.seen(keyOf(other), other, 31)
    assert.deepStrictEqual(view.expire(1000).map((change) => change.number), [3, 4])
    assert.strictEqual(view.live.size, 0)
  })

  it("tells when the next one is due, and that nobody is", () => {
    const view = new View()
    assert.isUndefined(view.nextExpiry())
    view.seen(key, instance, 30)
    view.seen(keyOf(other), other, 20)
    assert.strictEqual(view.nextExpiry(), 20)
    view.seen(keyOf(other), other, 50)
    assert.strictEqual(view.nextExpiry(), 30)
  })
})
