/** The scenarios by name, and for each the faults that must take effect in a long run. */
import type * as Scenario from "../../src/testing/Scenario.ts"
import { elections } from "./elections.ts"
import { aging, losing, narrow, replicated, single } from "./keyValue.ts"
import { bereft, mixed } from "./mixed.ts"
import { observers } from "./observers.ts"

export const scenarios: Readonly<Record<string, Scenario.Scenario>> = {
  mixed,
  observers,
  bereft,
  elections,
  single,
  replicated,
  losing,
  aging,
  narrow
}

/** Faults of machines, their links, and any bucket. */
const everywhere = [
  "crash",
  "restart",
  "pause",
  "suspend",
  "wall clock set forward",
  "wall clock set back",
  "cut requests",
  "cut replies",
  "cut both",
  "request held back",
  "reply held back",
  "degraded link",
  "request lost",
  "reply lost",
  "request overtaken",
  "reply overtaken",
  "disconnected",
  "no store leader",
  "store full",
  "publish denied",
  "server paused",
  "consumers lost"
]

const losses = ["stream lost", "stream recreated from 1", "rolled back"]

/** The faults that must take effect, by scenario. */
export const expected: Readonly<Record<string, ReadonlyArray<string>>> = {
  mixed: [...everywhere, ...losses, "late expiry", "marker"],
  single: [...everywhere, "duplicate after the condition"],
  replicated: [
    ...everywhere,
    "conflict in flight",
    "stale read",
    "duplicate before the condition",
    "write without an answer as the leader changes"
  ],
  losing: [...everywhere, ...losses],
  aging: [...everywhere, "late expiry", "marker"],
  narrow: [
    ...everywhere,
    "narrow link",
    "cut as a slow consumer",
    "removed message in a snapshot",
    "pending messages miscounted"
  ],
  observers: [...everywhere, ...losses, "late expiry", "marker"],
  elections: [...everywhere, "rolled back", "store full", "publish denied"],
  bereft: ["consumers lost", "disconnected", "stream lost", "stream recreated from 1"]
}
