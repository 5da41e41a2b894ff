/** Histories for the checker: written by hand, made by a store that is too simple to be wrong, and checked by hand. */
import { assert } from "@effect/vitest"
import type { KVOptions } from "../../src/KVStore.ts"
import {
  check,
  format,
  type Initial,
  type Input,
  type NotLinearizable,
  type Operation,
  type Options,
  type Outcome
} from "../../src/testing/Linearizability.ts"

// -----------------------------------------------------------------------------
// by hand
// -----------------------------------------------------------------------------

type Times = readonly [invoked: number, returned?: number]

const operation = ([invoked, returned]: Times, input: Input, outcome: Outcome): Operation => ({
  process: `at ${invoked}`,
  key: "key",
  invoked,
  returned,
  input,
  outcome
})

export const unknown: Outcome = { _tag: "Unknown" }

const writtenAt = (answer: number | Outcome): Outcome =>
  typeof answer === "number" ? { _tag: "Written", revision: answer } : answer

export const refused = (reason: "KeyAlreadyExists" | "KeyNotFound" | "RevisionMismatch"): Outcome => ({
  _tag: "Refused",
  reason
})

export const got = (times: Times, value: string, revision: number): Operation =>
  operation(times, { _tag: "Get" }, { _tag: "Found", value, revision })

export const gotNone = (times: Times): Operation => operation(times, { _tag: "Get" }, { _tag: "None" })

export const put = (times: Times, value: string, answer: number | Outcome, options?: KVOptions): Operation =>
  operation(times, { _tag: "Put", value, options }, writtenAt(answer))

export const removed = (times: Times, outcome: Outcome = { _tag: "Removed" }, revision?: number): Operation =>
  operation(times, { _tag: "Remove", operation: "delete", revision }, outcome)

export const ofKey = (key: string, operation: Operation): Operation => ({ ...operation, key })

// -----------------------------------------------------------------------------
// chance
// -----------------------------------------------------------------------------

/** The same numbers for the same seed (mulberry32). */
export const makeChance = (seed: number) => {
  let state = seed
  const next = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(next() * limit)
  return {
    next,
    below,
    is: (part: number) => next() < part,
    pick: <A>(list: ReadonlyArray<A>) => list[below(list.length)]!
  }
}

export type Chance = ReturnType<typeof makeChance>

// -----------------------------------------------------------------------------
// a store
// -----------------------------------------------------------------------------

export interface Simulation {
  readonly chance: Chance
  readonly processes: number
  readonly keys: number
  readonly operations: number
  /** The part of writes that are not answered, and land some time, or never. */
  readonly unanswered: number
  /** The part of removals among the writes. */
  readonly removals: number
  /** The part of conditional writes that are refused because another one is under way. */
  readonly conflicts?: number
  /** Every value is another one; otherwise there are two. */
  readonly unique?: boolean
}

interface Planned {
  readonly process: string
  readonly key: string
  readonly invoked: number
  readonly returned: number
  /** Undefined: never. */
  readonly lands: number | undefined
  readonly isUnanswered: boolean
  input: Input
  outcome: Outcome
}

interface Held {
  readonly value: string | undefined
  readonly revision: number
}

const plan = ({ chance, keys, operations, processes, unanswered }: Simulation): ReadonlyArray<Planned> =>
  Array.from({ length: processes }, (_, process) => {
    let time = chance.below(10)
    const count = Math.floor(operations / processes) + (process < operations % processes ? 1 : 0)
    return Array.from({ length: count }, (): Planned => {
      const invoked = time
      const returned = invoked + 1 + chance.below(20)
      time = returned + 1 + chance.below(6)
      const isUnanswered = chance.is(unanswered)
      const within = invoked + chance.next() * (returned - invoked)
      const lands = !isUnanswered
        ? within
        : chance.is(0.3)
        ? undefined
        : within + chance.below(chance.is(0.5) ? 3 : 200)
      return {
        process: `p${process}`,
        key: `k${chance.below(keys)}`,
        invoked,
        returned,
        lands,
        isUnanswered,
        input: { _tag: "Get" },
        outcome: unknown
      }
    })
  }).flat()

const choose = ({ chance, removals, unique }: Simulation, seen: number, count: number): Input => {
  if (chance.is(0.4)) return { _tag: "Get" }
  const revision = chance.is(0.8) ? seen : seen + 1
  if (chance.is(removals)) {
    return { _tag: "Remove", operation: "delete", revision: chance.is(0.3) ? revision : undefined }
  }
  const options = chance.pick<KVOptions | undefined>([undefined, { createOnly: true }, { updateOnly: true }, {
    revision
  }])
  return { _tag: "Put", value: unique === false ? chance.pick(["x", "y"]) : `v${count}`, options }
}

interface RevisionOptions {
  readonly createOnly?: boolean | undefined
  readonly updateOnly?: boolean | undefined
  readonly revision?: number | undefined
}

const optionsOf = (input: Input): RevisionOptions =>
  input._tag === "Get" ? {} : input._tag === "Put" ? input.options ?? {} : { revision: input.revision }

/** Why a write is not done; undefined where it is. */
const refusalOf = (input: Input, { revision, value }: Held): Outcome | undefined => {
  const options = optionsOf(input)
  if (options.createOnly === true) return value === undefined ? undefined : refused("KeyAlreadyExists")
  if (options.updateOnly === true) return value === undefined ? refused("KeyNotFound") : undefined
  return options.revision === undefined || options.revision === revision ? undefined : refused("RevisionMismatch")
}

/** What a store answers that does everything at one moment. */
export const simulate = (simulation: Simulation): ReadonlyArray<Operation> => {
  const { chance, conflicts = 0 } = simulation
  const planned = plan(simulation)
  const held = new Map<string, Held>()
  const seen = new Map<string, number>()
  const underWay = new Map<string, Set<Planned>>()
  let revision = 0

  const begin = (one: Planned, index: number) => {
    one.input = choose(simulation, seen.get(`${one.process} ${one.key}`) ?? 0, index)
    if (one.input._tag === "Get") return
    underWay.set(one.key, (underWay.get(one.key) ?? new Set()).add(one))
  }
  const land = (one: Planned) => {
    const last = held.get(one.key) ?? { value: undefined, revision: 0 }
    const { input } = one
    if (input._tag === "Get") {
      one.outcome = last.value === undefined
        ? { _tag: "None" }
        : { _tag: "Found", value: last.value, revision: last.revision }
      return
    }
    const isConditional = input._tag === "Put" ? input.options?.revision !== undefined : input.revision !== undefined
    const inFlight = isConditional && underWay.get(one.key)!.size > 1 && chance.is(conflicts)
    const refusal = inFlight ? refused("RevisionMismatch") : refusalOf(input, last)
    if (refusal === undefined) {
      held.set(one.key, { value: input._tag === "Put" ? input.value : undefined, revision: ++revision })
    }
    one.outcome = refusal ?? (input._tag === "Put" ? { _tag: "Written", revision } : { _tag: "Removed" })
  }
  const end = (one: Planned) => {
    if (!one.isUnanswered) underWay.get(one.key)?.delete(one)
    const { outcome } = one
    if (!one.isUnanswered && "revision" in outcome) seen.set(`${one.process} ${one.key}`, outcome.revision)
  }

  const events = planned.flatMap((one, index) => [
    { time: one.invoked, order: 0, run: () => begin(one, index) },
    ...(one.lands === undefined ? [] : [{ time: one.lands, order: 1, run: () => land(one) }]),
    { time: one.returned, order: 2, run: () => end(one) }
  ])
  for (const { run } of events.toSorted((a, b) => a.time - b.time || a.order - b.order)) run()
  return planned.map(({ input, invoked, isUnanswered, key, outcome, process, returned }) => ({
    process,
    key,
    invoked,
    returned: isUnanswered && chance.is(0.5) ? undefined : returned,
    input,
    outcome: isUnanswered ? unknown : outcome
  }))
}

/** Some writes without an answer, and a few operations with one: what they say may be true or not. */
export const hardlyAnswered = (chance: Chance): ReadonlyArray<Operation> => {
  const revision = () => chance.below(6)
  const value = () => chance.pick(["x", "y"])
  const options = () =>
    chance.pick<KVOptions | undefined>([undefined, { createOnly: true }, { updateOnly: true }, {
      revision: revision()
    }])
  const open = Array.from({ length: 2 + chance.below(4) }, () =>
    chance.is(0.5)
      ? put([chance.below(6)], value(), unknown, options())
      : removed([chance.below(6)], unknown, chance.is(0.6) ? revision() : undefined))
  const answered = Array.from({ length: 1 + chance.below(3) }, () => {
    const invoked = chance.below(8)
    const times = [invoked, invoked + chance.below(4)] as const
    return chance.pick([
      () => got(times, value(), 1 + revision()),
      () => gotNone(times),
      () => put(times, value(), 1 + revision(), options()),
      () => removed(times, undefined, chance.is(0.5) ? revision() : undefined),
      () => put(times, value(), refused("RevisionMismatch"), { revision: revision() }),
      () => put(times, value(), refused("KeyAlreadyExists"), { createOnly: true }),
      () => put(times, value(), refused("KeyNotFound"), { updateOnly: true })
    ])()
  })
  return [...open, ...answered]
}

// -----------------------------------------------------------------------------
// every order there is
// -----------------------------------------------------------------------------

const isUnanswered = ({ outcome, returned }: Operation) => returned === undefined || outcome._tag === "Unknown"

const endOf = (one: Operation) => isUnanswered(one) ? Infinity : one.returned!

/** The states after an operation that was answered so, with every revision that it may have got. */
const after = (one: Operation, state: Held, mostRevision: number, isExcused: boolean): ReadonlyArray<Held> => {
  const { input, outcome } = one
  const isOpen = isUnanswered(one)
  if (!isOpen && outcome._tag === "None") return input._tag === "Get" && state.value === undefined ? [state] : []
  if (!isOpen && outcome._tag === "Found") {
    return input._tag === "Get" && state.value === outcome.value && state.revision === outcome.revision ? [state] : []
  }
  const refusal = refusalOf(input, state)
  if (!isOpen && outcome._tag === "Refused") {
    const isRight = refusal?._tag === "Refused" &&
      (refusal.reason === outcome.reason || outcome.reason === "RevisionMismatch")
    return isExcused || isRight ? [state] : []
  }
  if (refusal !== undefined || input._tag === "Get") return []
  const value = input._tag === "Put" ? input.value : undefined
  if (!isOpen && (outcome._tag === "Written") !== (input._tag === "Put")) return []
  if (!isOpen && outcome._tag === "Written") {
    return outcome.revision > state.revision ? [{ value, revision: outcome.revision }] : []
  }
  return Array.from({ length: mostRevision }, (_, index) => index + 1)
    .filter((revision) => revision > state.revision).map((revision) => ({ value, revision }))
}

const startsOf = (initial: Initial, values: ReadonlyArray<string>, most: number): ReadonlyArray<Held> =>
  initial === "nothing"
    ? [{ value: undefined, revision: 0 }]
    : Array.from(
      { length: most + 1 },
      (_, revision) =>
        [undefined, ...(revision === 0 ? [] : [...values, "another"])].map((value) => ({ value, revision }))
    ).flat()

/** Tries every order of the operations of one key, of those without an answer also any part, and every revision. */
export const tryAllOrders = (
  history: ReadonlyArray<Operation>,
  conflictsInFlight: boolean,
  initial: Initial
): boolean => {
  const told = history.flatMap(({ input, outcome }) => [
    optionsOf(input).revision ?? 0,
    "revision" in outcome ? outcome.revision : 0
  ])
  const most = Math.max(0, ...told) + history.length + 1
  const values = [...new Set(history.flatMap(({ outcome }) => "value" in outcome ? [outcome.value] : []))]
  const excused = new Set(history.filter((one) => {
    const { createOnly, revision, updateOnly } = optionsOf(one.input)
    const mayMeet = createOnly === true || updateOnly === true || (conflictsInFlight && revision !== undefined)
    return one.outcome._tag === "Refused" && one.outcome.reason === "RevisionMismatch" && mayMeet &&
      history.some((other) =>
        other !== one && other.input._tag !== "Get" && other.invoked <= endOf(one) && endOf(other) >= one.invoked
      )
  }))
  const tried = new Set<string>()
  const goOn = (left: ReadonlyArray<Operation>, state: Held): boolean => {
    if (left.every(isUnanswered)) return true
    const name = `${left.map((one) => history.indexOf(one)).join()} ${state.value} ${state.revision}`
    if (tried.has(name)) return false
    tried.add(name)
    return left.some((one) =>
      left.every((other) => endOf(other) >= one.invoked) &&
      after(one, state, most, excused.has(one)).some((next) => goOn(left.filter((other) => other !== one), next))
    )
  }
  return startsOf(initial, values, most).some((start) => goOn(history, start))
}

// -----------------------------------------------------------------------------
// for several tests
// -----------------------------------------------------------------------------

export const strict: Options = { conflictsInFlight: false }

export const notLinearizable = (history: ReadonlyArray<Operation>, options?: Options): NotLinearizable => {
  const verdict = check(history, options)
  return verdict._tag === "NotLinearizable" ? verdict : assert.fail(format(verdict))
}

export const seeds = Array.from({ length: 300 }, (_, index) => index + 1)

export const medium = (seed: number): Simulation => ({
  chance: makeChance(seed),
  keys: 3,
  processes: 5,
  operations: 150,
  unanswered: 0.05,
  removals: 0.2
})

export const positions = (history: ReadonlyArray<Operation>, tag: Outcome["_tag"]) =>
  history.flatMap(({ outcome }, index) => outcome._tag === tag ? [index] : [])

/** With one answer changed so that it cannot be right: values are all different, and none is unknown to the store. */
export const edited = (
  history: ReadonlyArray<Operation>,
  chance: Chance
): { readonly history: ReadonlyArray<Operation>; readonly changed: Operation } => {
  const index = chance.pick(positions(history, "Found"))
  const operation = history[index]!
  const { outcome } = operation
  if (outcome._tag !== "Found") return assert.fail("no get")
  const others = history.flatMap(({ outcome: other }) =>
    other._tag === "Found" && other.revision !== outcome.revision ? [other] : []
  )
  const other = chance.pick(others)
  const changed = {
    ...operation,
    outcome: chance.is(0.5) ? { ...outcome, value: other.value } : { ...outcome, revision: other.revision }
  }
  return { history: history.with(index, changed), changed }
}
