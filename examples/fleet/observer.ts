/** Watches the fleet from outside: prints every event of `Registry.watch` and `Election.observe`. */
import { Clock, Console, Effect, Option, Queue, Stream } from "effect"
import { Election, FencingToken, KVStore, Registry } from "effect-aegis"
import { election } from "./instance.ts"

export type FleetEvent =
  | { readonly _tag: "Up" | "Changed" | "Expired" | "Deregistered" | "CleanedUp"; readonly instanceId: string }
  | { readonly _tag: "Leader"; readonly instanceId: string; readonly term: number; readonly token: string }
  | { readonly _tag: "NoLeader" }

const describe = (event: FleetEvent): string => {
  if (event._tag === "NoLeader") return `${"".padEnd(10)} no leader`
  const name = event.instanceId.padEnd(10)
  switch (event._tag) {
    case "Up":
      return `${name} registered`
    case "Changed":
      return `${name} changed`
    case "Expired":
      return `${name} expired: its last heartbeat is too old`
    case "Deregistered":
      return `${name} deregistered`
    case "CleanedUp":
      return `${name} cleaned up: its record was removed`
    case "Leader":
      return `${name} LEADS, term ${event.term}, fencing token ${event.token}`
  }
}

const fromRegistry = Effect.map(
  Registry.Registry,
  (registry) =>
    registry.watch().pipe(Stream.flatMap((event): Stream.Stream<FleetEvent> => {
      if (event._tag === "Ready") return Stream.empty
      const { instanceId } = event.instance
      if (event._tag !== "Down") return Stream.succeed({ _tag: event._tag, instanceId })
      if (event.reason === "cleanedUp") return Stream.empty
      return Stream.succeed({ _tag: event.reason === "expired" ? "Expired" : "Deregistered", instanceId })
    }))
)

/** `Registry.watch` reports an expired instance once. A watch of the store reports the later removal of its record. */
const fromStore = Effect.map(KVStore.KVStore, (store) =>
  store.watch("service-instances.>", { from: "updates" }).pipe(
    Stream.filter((event) => event._tag === "Removed" && event.reason === "purge"),
    Stream.map((event): FleetEvent => ({
      _tag: "CleanedUp",
      instanceId: event._tag === "Removed" ? event.key.split(".").at(-1)! : ""
    }))
  ))

const fromElection = Effect.map(Election.Election, (elections) =>
  Stream.map(
    elections.observe(election),
    Option.match({
      onNone: (): FleetEvent => ({ _tag: "NoLeader" }),
      onSome: ({ candidateId, term, token }): FleetEvent => ({
        _tag: "Leader",
        instanceId: candidateId,
        term,
        token: FencingToken.encode(token)
      })
    })
  ))

/** Prints each event, and offers it to the queue. */
export const observe = (reported: Queue.Enqueue<FleetEvent>) =>
  Effect.gen(function*() {
    const start = yield* Clock.currentTimeMillis
    const events = (yield* fromRegistry).pipe(Stream.merge(yield* fromStore), Stream.merge(yield* fromElection))
    yield* Stream.runForEach(events, (event) =>
      Effect.gen(function*() {
        const seconds = ((yield* Clock.currentTimeMillis) - start) / 1000
        yield* Console.log(`${seconds.toFixed(2).padStart(6)} s  ${describe(event)}`)
        yield* Queue.offer(reported, event)
      }))
  })
