/**
 * The environment of an effect on a simulated machine: its clocks, its random
 * numbers, a scheduler whose order the seed decides, and a logger that writes to
 * the timeline.
 */
import type * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { format } from "effect/Formatter"
import * as Logger from "effect/Logger"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import { ProcessName } from "../../../internal/identity.ts"
import { Revisions, SeenRevisions } from "../../../internal/kv/firstRevision.ts"
import type { Chance } from "./chance.ts"
import { clockFor, type NodeClock } from "./nodeClock.ts"
import type { Actor, World } from "./world.ts"

const schedulerFor = (world: World, actor: Actor): Scheduler.Scheduler => {
  const dispatcher: Scheduler.SchedulerDispatcher = {
    scheduleTask: (task, priority) => world.submit(actor, task, priority),
    // The world runs all tasks.
    flush: () => {}
  }
  return {
    executionMode: "async",
    shouldYield: (fiber) => fiber.currentOpCount >= fiber.cache.maxOpsBeforeYield,
    makeDispatcher: () => dispatcher
  }
}

const randomFrom = (chance: Chance): Random.Random => ({
  nextIntUnsafe: () => Math.floor((chance.next() * 2 - 1) * Number.MAX_SAFE_INTEGER),
  nextDoubleUnsafe: () => chance.next()
})

const textOf = (message: unknown): string => {
  const parts: ReadonlyArray<unknown> = Array.isArray(message) ? message : [message]
  return parts.map((part) => typeof part === "string" ? part : format(part)).join(" ")
}

/** Only the message of the error: fiber ids and source positions differ between runs. */
const whyOf = (reason: Cause.Reason<unknown>): string => {
  if (reason._tag === "Interrupt") return "interrupted"
  const problem = reason._tag === "Fail" ? reason.error : reason.defect
  return problem instanceof Error ? problem.message : textOf(problem)
}

const loggerFor = (world: World, name: string): Logger.Logger<unknown, void> =>
  Logger.make(({ cause, logLevel, message }) => {
    const why = cause.reasons.map((reason) => `: ${whyOf(reason)}`).join("")
    world.note(name, () => `${logLevel}: ${textOf(message)}${why}`)
  })

/** The references of a process. They must override those in the context of the effect. */
export const referencesOf = (world: World, name: string, actor: Actor, clock: NodeClock): Context.Context<never> =>
  Context.empty().pipe(
    Context.add(Clock.Clock, clockFor(clock, () => actor)),
    Context.add(Scheduler.Scheduler, schedulerFor(world, actor)),
    Context.add(Random.Random, randomFrom(world.chance.fork(`random ${actor.name}`))),
    Context.add(Logger.CurrentLoggers, new Set([loggerFor(world, name)])),
    Context.add(SeenRevisions, new Revisions()),
    Context.add(ProcessName, actor.name)
  )

/** The result of an effect that ran on a machine. */
type Ending<A, E> = Effect.Effect<A, E>

/**
 * Runs an effect as a root fiber on an actor: the fiber stops while the actor is
 * stopped, and ends without finalizers when the actor ends. `whenEnded` registers
 * a listener for the end of the actor; the effect then results in `gone`.
 */
export const runOn = <A, E, Gone>(
  actor: Actor,
  references: Context.Context<never>,
  effect: Effect.Effect<A, E>,
  whenEnded: (listener: () => void) => () => void,
  gone: Effect.Effect<never, Gone>
): Effect.Effect<A, E | Gone> =>
  Effect.callback<A, E | Gone>((resume) => {
    if (actor.hasEnded) return resume(gone)
    let interrupt: (() => void) | undefined
    let isInterrupted = false
    let onExit: () => void = () => {}
    const end = (ending: Ending<A, E | Gone>) => {
      forget()
      resume(ending)
      onExit()
    }
    const forget = whenEnded(() => end(gone))
    actor.perform(() => {
      if (isInterrupted) return end(Effect.interrupt)
      const fiber = Effect.runForkWith(references)(effect)
      interrupt = () => fiber.interruptUnsafe()
      fiber.addObserver(end)
    })
    return Effect.callback<void>((done) => {
      onExit = () => done(Effect.void)
      isInterrupted = true
      if (actor.hasEnded) return onExit()
      actor.perform(() => interrupt?.())
    })
  })
