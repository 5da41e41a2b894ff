/**
 * The search for an order of one key's operations that explains all answers:
 * Wing and Gong's, with Lowe's memory of what was tried in vain, on a linked list
 * of questions and answers. Pure, and without recursion.
 *
 * From any point an operation may be next if none that is left was answered
 * before it began. Three things keep the search narrow:
 *
 * - **What is possible and changes nothing goes at once.** A get that the state
 *   surely explains, or a refusal, can be moved to the front of any order that
 *   works from here: the state is the same after it.
 * - **Revisions say which write is next** (the ranks of a `Task`).
 * - **An unanswered write goes only just before an operation that needs it.** Take
 *   an order that works, with every revision filled in, and an unanswered write u
 *   in it with x next. Where x is possible before u as well, x can go first if it
 *   does not write (u was never answered, so it may be later), and u can be left
 *   out if x writes. Either brings u further to the end, or out. So there is an
 *   order in which each u is followed by an x that is impossible just before u.
 *
 * Of unanswered writes that differ in their invocation only, the first to begin
 * is taken first: where another one stands, it can stand as well.
 *
 * And of several unanswered writes in a row, three are enough. One on a revision
 * can follow the first of the row at once, since that one can have had any
 * revision: it is the first or the second. One that needs a value is the first
 * where there is one, and otherwise comes after whatever leaves one, which needs
 * none and is the first, or is on a revision; so does one that needs none.
 */
import type { Operation } from "../../Linearizability.ts"
import { apply, includes, type KeyState, type Step, surelyAllows } from "./keyState.ts"
import type { KeyTask, Problem } from "./problem.ts"

/** How far the best attempt came. */
export interface SearchProgress {
  /** How many operations with an answer have a place in it. */
  readonly placed: number
  readonly order: ReadonlyArray<Operation>
  readonly state: KeyState
}

export type SearchResult =
  | { readonly _tag: "Order" }
  /** `furthest` only where it was asked for: it takes time with many operations. */
  | { readonly _tag: "None"; readonly furthest: SearchProgress | undefined }
  | { readonly _tag: "GaveUp" }

/** Questions and answers by time in a linked list. A task's question is its index; its answer is that many further on. */
class Events {
  private readonly size: number
  private readonly following: Int32Array
  private readonly preceding: Int32Array

  constructor(tasks: ReadonlyArray<KeyTask>) {
    const size = tasks.length
    this.size = size
    const end = 2 * size
    const time = (event: number) => event < size ? tasks[event]!.invoked : tasks[event - size]!.returned
    // Questions before answers of the same time, and in the order of their numbers.
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

  /** The opposite of `remove`, in the opposite order. */
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

/** What may be next: a task by its index, or the next unanswered write of a list, from -1 downwards. */
interface Choice {
  readonly move: number
  readonly state: KeyState
}

/** The most unanswered writes in a row, and the most before one on a revision. */
const longestRow = 3
const mostBeforeRevision = 1

interface SearchPlace {
  readonly state: KeyState
  /** The state before the unanswered write that led here, if it was the last: what follows must need that write. */
  readonly before: KeyState | undefined
  /** How many unanswered writes in a row led here. */
  readonly row: number
  /** The greatest index of a task that has its place. */
  readonly latest: number
}

/** A point of the search from which several ways may lead on. */
interface Point extends SearchPlace {
  readonly candidates: ReadonlyArray<Choice>
  next: number
  /** How many moves led here. */
  readonly moves: number
}

/** A place from which none leads to the end. */
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
  /** How many of each list have their place. */
  private readonly used: Array<number>
  /** How many tasks of each rank have none yet, and the first rank that has such. */
  private readonly left: Array<number>
  private rank = 0
  private placed = 0
  /** Points from which no way leads to the end. */
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

  /** Takes what goes at once, and looks at what may be next; undefined where that was in vain before. */
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

  /** Gives every task that may be next, is possible, and neither changes the state nor tells more of it, its place. */
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
   * Whether it was in vain to go on from a point that left more open: with the same tasks in their places, at least
   * these revisions possible (also before the last unanswered write: what is surely allowed there, and so must not
   * follow, is then surely allowed here), and at least as many unanswered writes to take.
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

  /** Which tasks have their place, and what the key holds. */
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

/** Looks for an order; gives up after so many steps. */
export const search = (problem: Problem, maxSteps: number, explains = false): SearchResult =>
  new Search(problem, explains).run(maxSteps)
