/**
 * The disruptions of each node. A disruption of the store is a disruption of every node.
 */
import type { Disruption, RegistryHistory, RegistryTimes } from "../../Checks.ts"
import { lastTouching, lastUntil, merge, prolonged, type Span, touches } from "./intervals.ts"

/** The time that a node needs after a disruption to reconnect and retry: milliseconds. */
export const recovery = 3000

/** Returns the disruptions of a node. */
export type DisruptionsOf = (node: string) => ReadonlyArray<Span>

/** Finds the spans of each node once. */
export const onceForEach = (find: DisruptionsOf): DisruptionsOf => {
  const known = new Map<string, ReadonlyArray<Span>>()
  return (node) => {
    const found = known.get(node) ?? find(node)
    known.set(node, found)
    return found
  }
}

const byNode = (disruptions: ReadonlyArray<Disruption>, ofAll: ReadonlyArray<Disruption>): DisruptionsOf => {
  const each = Map.groupBy(disruptions, ({ node }) => node)
  return onceForEach((node) => merge([...ofAll, ...each.get(node) ?? []]))
}

/** The disruptions of a node and of the store, merged. */
export const disruptionsOf = (disruptions: ReadonlyArray<Disruption>) =>
  byNode(disruptions, disruptions.filter(({ node }) => node === undefined))

/** Whether nothing passed between the node and the store. */
export const affectsAll = ({ affects = "everything" }: Disruption): boolean => affects === "everything"

/** Whether reads and new watches failed. */
export const affectsReads = ({ affects }: Disruption): boolean => affects !== "writes"

/** The disruptions of a node itself, merged: it was stopped, or disconnected. */
export const ownDisruptionsOf = (disruptions: ReadonlyArray<Disruption>) => byNode(disruptions.filter(affectsAll), [])

/**
 * The times in which a node may not know the store's time, because a suspension may have stopped its clock until it reads
 * the store's clock: from a
 * disruption of the node itself until `settling` milliseconds after it. A disruption that begins within this time
 * extends it.
 */
export const unsettledOf = (disruptions: ReadonlyArray<Disruption>, settling: number): DisruptionsOf => {
  const [all, own] = [disruptionsOf(disruptions.filter(affectsReads)), ownDisruptionsOf(disruptions)]
  return onceForEach((node) =>
    prolonged(own(node), all(node).map(({ from, until }) => ({ from, until: until + settling })))
  )
}

/** How long no instance expires after each return of an observer: a heartbeat, and the time that an owner needs to reconnect. */
export const settlingOf = ({ heartbeat }: RegistryTimes): number => heartbeat + reconnecting

/** The time that an owner needs after an outage until its next attempt to send a heartbeat: milliseconds. */
const reconnecting = 2500

/** The limit of an observer for the answer of the store: milliseconds. */
const longestAnswer = 1000

/** The times in which an observer may, and those in which it must suspect the store instead of the instances. */
export interface Suspicions {
  /**
   * The times that may count as no time, from the last heartbeat on. `unanswered`: when the store may not answer the observer.
   */
  readonly possible: (unanswered: ReadonlyArray<Span>) => ReadonlyArray<Span>
  /** Until when times may count as no time for an observer at a time: it does not suspect the store at once. */
  readonly countsUntil: (time: number) => number
  /**
   * The times in which no instance may expire. `unanswered`: when the store cannot answer the observer. `disturbed`: when
   * the observer may miss messages, also of the end of a silence.
   */
  readonly certain: (unanswered: ReadonlyArray<Span>, disturbed: ReadonlyArray<Span>) => ReadonlyArray<Span>
}

const inOrder = (times: ReadonlyArray<number>): ReadonlyArray<number> => times.toSorted((one, two) => one - two)

/**
 * An observer suspects the store if no instance sends a heartbeat for half of `maxAge`, and the store does not explain it. It
 * asks the store once. A suspicion ends with the next message, or `maxAge` after the store has answered: late, if the
 * observer cannot reach the store then.
 */
export const suspicionsOf = (history: RegistryHistory, times: RegistryTimes): Suspicions => {
  const { maxAge, tolerance } = times
  const heartbeats = inOrder(history.heartbeats.map(({ at }) => at))
  const messages = inOrder([...heartbeats, ...history.removals.map(({ at }) => at)])
  const settling = settlingOf(times) - tolerance
  const earliest = maxAge / 2 - tolerance
  const latest = earliest + 3 * tolerance + longestAnswer
  const asking = 2 * tolerance + recovery
  return {
    countsUntil: (time) => {
      const last = lastUntil(heartbeats, time)
      // A silence begins with a heartbeat.
      return time - last < earliest ? last - 1 : time
    },
    possible: (unanswered) => {
      // Between two outages, a moment can be too short for an answer.
      const untilAnswered = merge(unanswered.map(({ from, until }) => ({ from, until: until + asking })))
      return heartbeats.flatMap((at, index) => {
        const asks = at + earliest
        const next = heartbeats[index + 1] ?? Number.POSITIVE_INFINITY
        if (next <= asks) return []
        const answered = lastTouching(untilAnswered, asks, asks + asking)?.until ?? asks + asking
        return [{ from: at, until: Math.min(next, answered + maxAge) }]
      })
    },
    certain: (unanswered, disturbed) =>
      messages.flatMap((at, index) => {
        const [from, next] = [at + latest, messages[index + 1] ?? Number.POSITIVE_INFINITY]
        const refused = next <= from ? undefined : lastTouching(unanswered, from, from)
        // One that was disturbed counts the silence from its return.
        if (refused === undefined || refused.from > at + earliest) return []
        if (touches(disturbed, at - settlingOf(times) - tolerance, from)) return []
        const answered = refused.until + maxAge - 2 * tolerance
        const until = Math.min(
          next < answered ? next + settling : answered,
          disturbed.find((one) => one.from > from)?.from ?? Number.POSITIVE_INFINITY
        )
        return from < until ? [{ from, until }] : []
      })
  }
}
