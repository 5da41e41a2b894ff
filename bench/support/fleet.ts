/** Processes that register instances and watch a registry, as their parent sees them. */
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { RegistryEvent } from "../../src/Registry.ts"
import { forked } from "./forked.ts"
import { sharedMillis } from "./sharedClock.ts"

export interface WorkerOptions {
  readonly name: string
  readonly url: string
  readonly registryBucket: string
  /** Milliseconds. */
  readonly maxAge: number
  readonly heartbeat: number
}

/** What a process is told to do. It answers each command with `Done`. */
export type Command =
  | { readonly _tag: "Register"; readonly service: string; readonly ids: ReadonlyArray<string> }
  | { readonly _tag: "Leave"; readonly ids: ReadonlyArray<string>; readonly every: number }
  | { readonly _tag: "Watch" }
  | { readonly _tag: "Block"; readonly millis: number }
  /** Reads all instances continuously. */
  | { readonly _tag: "KeepListing" }
  | { readonly _tag: "List" }

/** The reads of all instances by one process: their number, and the numbers of instances that they returned. */
export interface Lists {
  read: number
  last: number
  empty: number
  failed: number
  fewest: number
}

export const noLists = (): Lists => ({ read: 0, last: 0, empty: 0, failed: 0, fewest: Number.MAX_SAFE_INTEGER })

interface Seen {
  readonly kind: RegistryEvent["_tag"]
  readonly instanceId: string
  /** When the process received the event, by the clock that all processes share. */
  readonly at: number
}

export type Message =
  | { readonly _tag: "Event" } & Seen
  | { readonly _tag: "Leaving"; readonly instanceId: string; readonly at: number }
  /** The wall clock of the process, in milliseconds since 1970. */
  | { readonly _tag: "Started"; readonly wallClock: number }
  | { readonly _tag: "Done"; readonly lists: Lists }
  | { readonly _tag: "Failed"; readonly why: string }
  | { readonly _tag: "WatchEnded"; readonly why: string }

class WorkerFailed extends Data.TaggedError("WorkerFailed")<{ readonly message: string }> {}

/** A process of the fleet. */
export interface Worker {
  readonly name: string
  /** How far its wall clock is ahead, in milliseconds. */
  readonly clockAhead: () => number
  readonly events: Array<Seen>
  /** When each instance began to leave. */
  readonly leaving: Map<string, number>
  /** Runs one command and waits for its end. Returns the lists that the process has read so far. */
  readonly tell: (command: Command) => Effect.Effect<Lists, WorkerFailed>
  readonly signal: (signal: "SIGSTOP" | "SIGCONT") => Effect.Effect<void>
  /** Returns the time of the signal. */
  readonly kill: Effect.Effect<number>
}

/** A process starts and answers within this time, also on a busy machine. */
const patience = "60 seconds"

export const startWorker = Effect.fnUntraced(function*(
  options: WorkerOptions,
  env?: NodeJS.ProcessEnv
): Effect.fn.Return<Worker, WorkerFailed, Scope.Scope> {
  const { name } = options
  const child = yield* forked(new URL("fleetWorker.ts", import.meta.url), options, env)
  const events: Array<Seen> = []
  const leaving = new Map<string, number>()
  let clockAhead = 0
  let answer = Deferred.makeUnsafe<Lists, WorkerFailed>()
  const failed = (message: string) => new WorkerFailed({ message: `${name}: ${message}` })
  const receive = (message: Message) => {
    switch (message._tag) {
      case "Event":
        return events.push(message)
      case "Leaving":
        return leaving.set(message.instanceId, message.at)
      case "Started":
        clockAhead = message.wallClock - Date.now()
        return Deferred.doneUnsafe(answer, Effect.succeed(noLists()))
      case "Done":
        return Deferred.doneUnsafe(answer, Effect.succeed(message.lists))
      case "Failed":
      case "WatchEnded":
        return Deferred.doneUnsafe(answer, Effect.fail(failed(`${message._tag}: ${message.why}`)))
    }
  }
  child.process.on("message", receive)
  const answered = (waiting: typeof answer) =>
    Effect.raceFirst(Deferred.await(waiting), Effect.mapError(child.ended, ({ message }) => failed(message))).pipe(
      Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.fail(failed(`no answer within ${patience}`)) })
    )
  yield* answered(answer)
  return {
    name,
    clockAhead: () => clockAhead,
    events,
    leaving,
    tell: (command) =>
      Effect.suspend(() => {
        answer = Deferred.makeUnsafe()
        child.process.send(command)
        return answered(answer)
      }),
    signal: (signal) => Effect.sync(() => void child.process.kill(signal)),
    kill: Effect.suspend(() => {
      const at = sharedMillis()
      return Effect.as(child.kill, at)
    })
  }
})

/** Waits until a condition holds, for at most `within` milliseconds. Returns whether it holds. */
export const holds = (condition: () => boolean, within: number): Effect.Effect<boolean> =>
  Effect.suspend(() => {
    const end = sharedMillis() + within
    const check: Effect.Effect<boolean> = Effect.suspend(() =>
      condition()
        ? Effect.succeed(true)
        : sharedMillis() > end
        ? Effect.succeed(false)
        : Effect.andThen(Effect.sleep("5 millis"), check)
    )
    return check
  })

/** The instances that the watch of a process has announced Up, and not Down since. */
export const seenBy = ({ events }: Worker): ReadonlySet<string> => {
  const up = new Set<string>()
  for (const { instanceId, kind } of events) {
    if (kind === "Up") up.add(instanceId)
    if (kind === "Down") up.delete(instanceId)
  }
  return up
}

/** When the watch of a process has announced each of these instances Down last; undefined while it has not. */
export const downAt = ({ events }: Worker, ids: ReadonlyArray<string>): ReadonlyArray<number | undefined> => {
  const times = new Map(events.flatMap(({ at, instanceId, kind }) => kind === "Down" ? [[instanceId, at]] : []))
  return ids.map((id) => times.get(id))
}
