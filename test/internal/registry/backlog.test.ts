/** The changes that a slow subscriber has not received, reduced to what it has to know. */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { reduce } from "../../../src/internal/registry/backlog.ts"
import { changed, keyOf } from "../../../src/internal/registry/record.ts"
import type { ViewChange } from "../../../src/internal/registry/viewState.ts"
import { InstanceId, type ServiceInstance } from "../../../src/ServiceInstance.ts"
import { instance } from "../../support/registryRecord.ts"

type ViewEvent = ViewChange["event"]

const of = (version: number, id = "one") =>
  changed(instance, { version: `${version}.0.0`, instanceId: InstanceId.make(id) })
const up = (version: number, id?: string): ViewEvent => ({ _tag: "Up", instance: of(version, id) })
const change = (from: number, to: number, restarted = false, id?: string): ViewEvent => ({
  _tag: "Changed",
  previous: of(from, id),
  instance: of(to, id),
  restarted
})
const down = (version: number, reason: "expired" | "deregistered" = "expired", id?: string): ViewEvent => ({
  _tag: "Down",
  instance: of(version, id),
  reason
})

const numbered = (events: ReadonlyArray<ViewEvent>): ReadonlyArray<ViewChange> =>
  events.map((event, index) => ({ number: index + 1, event }))
const left = (...events: ReadonlyArray<ViewEvent>) => reduce(numbered(events)).map(({ event }) => event)

type Row = readonly [what: string, events: ReadonlyArray<ViewEvent>, expected: ReadonlyArray<ViewEvent>]

const rows: ReadonlyArray<Row> = [
  ["nothing of nothing", [], []],
  ["Up of an instance that came", [up(1)], [up(1)]],
  ["Up with its last state of one that came and changed", [up(1), change(1, 2), change(2, 3)], [up(3)]],
  ["nothing of one that came and went", [up(1), change(1, 2), down(2)], []],
  ["Up of one that came, went and came back", [up(1), down(1), up(2)], [up(2)]],
  ["one Changed of one that changed, from what is known to its last state", [change(1, 2), change(2, 3)], [
    change(1, 3)
  ]],
  ["a restart among several changes", [change(1, 2), change(2, 2, true), change(2, 3)], [change(1, 3, true)]],
  ["Down of one that changed and went, as it is known", [change(1, 2), down(2)], [down(1)]],
  ["Down and Up of one that went and came back", [down(1), up(2), change(2, 3)], [down(1), up(3)]],
  ["one Down of one that went, came back and went", [down(1), up(2), down(2, "deregistered")], [
    down(1, "deregistered")
  ]],
  ["all instances, in the order of their last changes", [change(1, 2), up(1, "two"), change(2, 3)], [
    up(1, "two"),
    change(1, 3)
  ]]
]

describe("the backlog of a slow subscriber keeps", () => {
  for (const [what, events, expected] of rows) it(what, () => assert.deepStrictEqual(left(...events), expected))

  it.prop(
    "the changes from the known to the present instances, at most two for each",
    { steps: Schema.Array(Schema.Struct({ id: Schema.Literals(["a", "b", "c"]), goes: Schema.Boolean })) },
    ({ steps }) => {
      const apply = (known: ReadonlyMap<string, ServiceInstance>, events: ReadonlyArray<ViewEvent>) => {
        const next = new Map(known)
        for (const event of events) {
          const key = keyOf(event.instance)
          assert.strictEqual(next.has(key), event._tag !== "Up", `${event._tag} of ${key}`)
          if (event._tag === "Down") next.delete(key)
          else next.set(key, event.instance)
        }
        return next
      }
      const known = new Map([of(0, "a"), of(0, "b")].map((one) => [keyOf(one), one]))
      const events: Array<ViewEvent> = []
      const live = new Map([["a", 0], ["b", 0]])
      steps.forEach(({ goes, id }, index) => {
        const version = live.get(id)
        if (version === undefined) events.push(up(index + 1, id))
        else events.push(goes ? down(version, "expired", id) : change(version, index + 1, false, id))
        if (goes && version !== undefined) live.delete(id)
        else live.set(id, index + 1)
      })
      const all = left(...events)
      assert.deepStrictEqual(apply(known, all), apply(known, events))
      assert.isAtMost(all.length, 6)
    }
  )
})
