/**
 * Searches for an order of one key's operations that explains all answers: the
 * algorithm of Wing and Gong, with Lowe's memory of dead ends, on a linked list
 * of invocations and answers. Pure, without recursion.
 *
 * At any point an operation can be next if no remaining operation was answered
 * before it began. Three rules keep the search narrow:
 *
 * - **An operation that is possible and does not change the state is taken at
 *   once.** A get or a refusal that the state surely explains can be moved to the
 *   front of any valid order from here, because the state stays the same.
 * - **Revisions determine the next write** (the `rank` of a `KeyTask`).
 * - **An unanswered write is placed only directly before an operation that needs
 *   it.** Take a valid order with all revisions filled in, and in it an unanswered
 *   write u followed by x. Suppose x is possible before u as well. If x does not
 *   write, x and u can change places, since u has no answer that limits its time;
 *   if x writes, u can be left out. Both move u towards the end, or remove it. So
 *   there is a valid order in which each u is followed by an x that is impossible
 *   directly before u.
 *
 * Of unanswered writes that differ only in their invocation, the earliest is
 * taken first: it is possible wherever a later one is.
 *
 * Three unanswered writes in a row are enough. A write conditioned on a revision
 * is the first or second of the row: it can directly follow the first write,
 * whose revision can be any. A write that requires a value (`updateOnly`) is the
 * first of the row if the key has a value. Otherwise it follows a write that sets
 * one, which is either the first of the row, because it does not itself require
 * a value, or is conditioned on a revision. The same holds for a write that
 * requires the absence of a value (`createOnly`).
 */
import type { Operation } from "../../Linearizability.ts"
import { apply, includes, type KeyState, type Step, surelyAllows } from "./keyState.ts"
import type { KeyTask, Problem } from "./problem.ts"

/** The longest partial order that was found. */
export interface SearchProgress {
  /** The number of answered operations in it. */
  readonly placed: number
  readonly order: ReadonlyArray<Operation>
  readonly state: KeyState
}

export type SearchResult =
  | { readonly _tag: "Order" }
  /** `furthest` is recorded only on request: it is slow with many operations. */
  | { readonly _tag: "None"; readonly furthest: SearchProgress | undefined }
  | { readonly _tag: "GaveUp" }

/**
 * Invocations ("questions") and answers in a linked list, sorted by time. The question of a task is the index of the
 * task; its answer is the index plus the number of tasks.
 */
class Events {
  private readonly size: number
  private readonly following: Int32Array
  private readonly preceding: Int32Array

  constructor(tasks: ReadonlyArray<KeyTask>) {
    const size = tasks.length
    this.size = size
    const end = 2 * size
    const time = (event: number) => event < size ? tasks[event]!.invoked : tasks[event - size]!.returned
    // At equal times: questions before answers, then by index.
    const sorted = Int32Array.from({ length: end }, (_, event) => event)
      .toSorted((a, b) => time(a) - time(b) || a - b)
    this.following = new Int32Array(end + 1)
    this.preceding = new Int32Array(end + 1)
    let last = end
    for (const event of sorted) {
      this.following[last] = event
      this.preceding[event] = last
      last = event
    }
    this.following[last] = end
    this.preceding[end] = last
  }

  get end(): number {
    return 2 * this.size
  }

  get first(): number {
    return this.following[this.end]!
  }

  next(event: number): number {
    return this.following[event]!
  }

  isQuestion(event: number): boolean {
    return event < this.size
  }

  /** The task of an answer; undefined at the end of the list. */
  answered(event: number): number | undefined {
    return event === this.end ? undefined : event - this.size
  }

  remove(task: number): void {
    this.unlink(task)
    this.unlink(task + this.size)
  }

  /** Undoes `remove`. Tasks must be put back in the reverse order of their removal. */
  putBack(task: number): void {
    this.relink(task + this.size)
    this.relink(task)
  }

  private unlink(event: number): void {
    const before = this.preceding[event]!
    const after = this.following[event]!
    this.following[before] = after
    this.preceding[after] = before
  }

  private relink(event: number): void {
    this.following[this.preceding[event]!] = event
    this.preceding[this.following[event]!] = event
  }
}

/** A possible next move: the index of a task, or -1 - i for the next unanswered write of list i. */
interface Choice {
  readonly move: number
  readonly state: KeyState
}

/** The maximum number of unanswered writes in a row, and before a write conditioned on a revision (see above). */
const longestRow = 3
const mostBeforeRevision = 1

interface SearchPlace {
  readonly state: KeyState
  /** The state before the last move if that was an unanswered write: the next move must be impossible in it. */
  readonly before: KeyState | undefined
  /** The number of unanswered writes directly before this place. */
  readonly row: number
  /** The greatest index of a placed task. */
  readonly latest: number
}

/** A place on the search stack, with its possible moves. */
interface Point extends SearchPlace {
  readonly candidates: ReadonlyArray<Choice>
  next: number
  /** The number of moves that led here. */
  readonly moves: number
}

/** A dead end: no sequence of moves from here gives an order. */
interface InVain {
  readonly state: KeyState
  readonly before: KeyState | undefined
  readonly row: number
  readonly used: ReadonlyArray<number>
}

const isMaybe = (move: number) => move < 0
const listOf = (move: number) => -1 - move

class Search {
  private readonly problem: Problem
  private readonly events: Events
  private readonly moves: Array<number> = []
  /** The number of placed writes of each list of unanswered writes. */
  private readonly used: Array<number>
  /** The number of tasks of each rank that are not placed, and the lowest rank that has one. */
  private readonly left: Array<number>
  private rank = 0
  private placed = 0
  /** Dead ends by the name of their place. */
  private readonly vain = new Map<string, Array<InVain>>()
  private furthest: SearchProgress | undefined

  constructor(problem: Problem, explains: boolean) {
    this.problem = problem
    this.events = new Events(problem.tasks)
    this.used = problem.maybes.map(() => 0)
    this.left = [...problem.ranks]
    this.furthest = explains ? { placed: -1, order: [], state: problem.initial } : undefined
  }

  run(maxSteps: number): SearchResult {
    const { tasks } = this.problem
    const points: Array<Point> = []
    let steps = 0
    const start = this.pointAt({ state: this.problem.initial, before: undefined, row: 0, latest: -1 })
    if (start !== undefined) points.push(start)
    while (this.placed < tasks.length) {
      const point = points.at(-1)
      if (point === undefined) return { _tag: "None", furthest: this.furthest }
      const candidate = point.candidates[point.next++]
      if (candidate === undefined) {
        this.giveUp(point)
        points.pop()
        this.undo(points.at(-1)?.moves ?? 0)
      } else {
        if (++steps > maxSteps) return { _tag: "GaveUp" }
        this.do(candidate.move)
        const isOpen = isMaybe(candidate.move)
        const reached = this.pointAt({
          state: candidate.state,
          before: isOpen ? point.state : undefined,
          row: isOpen ? point.row + 1 : 0,
          latest: Math.max(point.latest, candidate.move)
        })
        if (reached === undefined) this.undo(point.moves)
        else points.push(reached)
      }
    }
    return { _tag: "Order" }
  }

  /** Absorbs tasks that change nothing, then finds the possible moves; undefined for a known dead end. */
  private pointAt(place: SearchPlace): Point | undefined {
    const { state } = place
    const placed = this.placed
    const latest = this.absorb(state, place.latest)
    const here = this.placed === placed ? place : { state, before: undefined, row: 0, latest }
    if (this.isVain(here)) return undefined
    const candidates = this.candidates(here)
    if (candidates.length === 0 && this.furthest !== undefined && this.placed > this.furthest.placed) {
      this.remember(state)
    }
    return { ...here, candidates, moves: this.moves.length, next: 0 }
  }

  /** Places every task that can be next and is possible without a change of the state. Returns the new `latest`. */
  private absorb(state: KeyState, latest: number): number {
    let most = latest
    for (let event = this.events.first; this.events.isQuestion(event); event = this.events.next(event)) {
      const { step } = this.problem.tasks[event]!
      if (step._tag === "Write" || apply(state, step) !== state) continue
      this.do(event)
      most = Math.max(most, event)
    }
    return most
  }

  private candidates({ before, row, state }: SearchPlace): ReadonlyArray<Choice> {
    const found: Array<Choice> = []
    const consider = (move: number, step: Step) => {
      if (before !== undefined && surelyAllows(before, step)) return
      const after = apply(state, step)
      if (after !== undefined) found.push({ move, state: after })
    }
    let event = this.events.first
    for (; this.events.isQuestion(event); event = this.events.next(event)) {
      const { rank, step } = this.problem.tasks[event]!
      if (rank === undefined || rank === this.rank) consider(event, step)
    }
    if (row === longestRow) return found
    const answered = this.events.answered(event)
    const until = answered === undefined ? Infinity : this.problem.tasks[answered]!.returned
    this.used.forEach((count, list) => {
      const maybe = this.problem.maybes[list]![count]
      if (maybe === undefined || maybe.invoked > until) return
      if (row <= mostBeforeRevision || typeof maybe.step.condition !== "object") consider(-1 - list, maybe.step)
    })
    return found
  }

  private do(move: number): void {
    this.moves.push(move)
    if (isMaybe(move)) {
      this.used[listOf(move)]!++
      return
    }
    this.events.remove(move)
    this.placed++
    const { rank } = this.problem.tasks[move]!
    if (rank === undefined) return
    this.left[rank]!--
    while (this.left[this.rank] === 0) this.rank++
  }

  private undo(count: number): void {
    while (this.moves.length > count) {
      const move = this.moves.pop()!
      if (isMaybe(move)) {
        this.used[listOf(move)]!--
        continue
      }
      this.events.putBack(move)
      this.placed--
      const { rank } = this.problem.tasks[move]!
      if (rank === undefined) continue
      this.left[rank]!++
      this.rank = rank
    }
  }

  /**
   * Whether a known dead end covers this place: it had the same tasks placed, allowed at least the same revisions, and
   * left at least as many unanswered writes. Its state before the last unanswered write must include ours as well:
   * every move that was excluded there, because that state surely allows it, is then excluded here.
   */
  private isVain(point: SearchPlace): boolean {
    if (this.vain.size === 0) return false
    const others = this.vain.get(this.nameOf(point))
    return others !== undefined &&
      others.some(({ before, row, state, used }) =>
        row <= point.row &&
        (before === undefined || (point.before !== undefined && includes(before, point.before))) &&
        includes(state, point.state) && used.every((count, list) => count <= this.used[list]!)
      )
  }

  private giveUp(point: SearchPlace): void {
    const name = this.nameOf(point)
    const { before, row, state } = point
    const here = { before, row, state, used: [...this.used] }
    const others = this.vain.get(name)
    if (others === undefined) this.vain.set(name, [here])
    else others.push(here)
  }

  /** Identifies the placed tasks and the value of the key. */
  private nameOf({ latest, state }: SearchPlace): string {
    const waiting: Array<number> = []
    for (let event = this.events.first; event !== this.events.end; event = this.events.next(event)) {
      if (!this.events.isQuestion(event)) continue
      if (event > latest) break
      waiting.push(event)
    }
    return `${latest}:${waiting.join()};${state.live};${state.value}`
  }

  private remember(state: KeyState): void {
    const { maybes, tasks } = this.problem
    const taken = maybes.map(() => 0)
    const order = this.moves.map((move) =>
      isMaybe(move) ? maybes[listOf(move)]![taken[listOf(move)]!++]!.operation : tasks[move]!.operation
    )
    this.furthest = { placed: this.placed, order, state }
  }
}

/** Searches for an order; gives up after `maxSteps`. With `explains`, a failure contains the longest partial order. */
export const search = (problem: Problem, maxSteps: number, explains = false): SearchResult =>
  new Search(problem, explains).run(maxSteps)
