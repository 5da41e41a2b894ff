/** Processes that register instances and watch a registry, as their parent sees them. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { RegistryEvent } from "../../src/Registry.ts"
import { type Commanded, startCommanded } from "./commanded.ts"

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

/** A process of the fleet. It answers with the lists that it has read so far. */
export interface Worker extends Commanded<Command, Lists> {
  /** How far its wall clock is ahead, in milliseconds. */
  readonly clockAhead: () => number
  readonly events: Array<Seen>
  /** When each instance began to leave. */
  readonly leaving: Map<string, number>
}

export const startWorker = Effect.fnUntraced(function*(options: WorkerOptions, env?: NodeJS.ProcessEnv) {
  const events: Array<Seen> = []
  const leaving = new Map<string, number>()
  let clockAhead = 0
  const receive = (message: Message): Result.Result<Lists, string> | undefined => {
    switch (message._tag) {
      case "Event":
        events.push(message)
        return undefined
      case "Leaving":
        leaving.set(message.instanceId, message.at)
        return undefined
      case "Started":
        clockAhead = message.wallClock - Date.now()
        return Result.succeed(noLists())
      case "Done":
        return Result.succeed(message.lists)
      case "Failed":
      case "WatchEnded":
        return Result.fail(`${message._tag}: ${message.why}`)
    }
  }
  const script = new URL("fleetWorker.ts", import.meta.url)
  const commanded = yield* startCommanded<Command, Lists, Message>({
    name: options.name,
    script,
    options,
    env,
    receive
  })
  const worker: Worker = { ...commanded, clockAhead: () => clockAhead, events, leaving }
  return worker
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
