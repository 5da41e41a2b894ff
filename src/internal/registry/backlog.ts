/**
 * Reduces the changes that a slow subscriber of a view has not received yet to at most two for each instance: those that
 * lead from the state that it knows to the present one (docs/protocols/registry.md, R24). Pure.
 */
import { keyOf } from "./record.ts"
import type { ViewChange } from "./viewState.ts"

type ViewEvent = ViewChange["event"]

/** Reduces the changes of one instance, given in order. */
const reduced = (changes: ReadonlyArray<ViewChange>): ReadonlyArray<ViewChange> => {
  const first = changes[0]!
  const last = changes.at(-1)!
  const isKnown = first.event._tag !== "Up"
  const { number } = last
  const event = (event: ViewEvent): ViewChange => ({ number, event })
  if (last.event._tag === "Down") {
    if (!isKnown) return []
    const instance = first.event._tag === "Changed" ? first.event.previous : first.event.instance
    return [event({ ...last.event, instance })]
  }
  const { instance } = last.event
  if (!isKnown) return [event({ _tag: "Up", instance })]
  const down = changes.find((change) => change.event._tag === "Down")
  if (down !== undefined) {
    return [...reduced(changes.slice(0, changes.indexOf(down) + 1)), event({ _tag: "Up", instance })]
  }
  return first.event._tag === "Changed"
    ? [event({
      _tag: "Changed",
      instance,
      previous: first.event.previous,
      restarted: changes.some((change) => change.event._tag === "Changed" && change.event.restarted)
    })]
    : []
}

/** Reduces the changes of each instance, in the order of its last change. */
export const reduce = (changes: ReadonlyArray<ViewChange>): ReadonlyArray<ViewChange> => {
  const byKey = Map.groupBy(changes, ({ event }) => keyOf(event.instance))
  return [...byKey.values()].flatMap(reduced).toSorted((one, two) => one.number - two.number)
}
