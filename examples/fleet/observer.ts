/**
 * The one who tells the story. It takes no part in it: all it knows comes from
 * `watch` and `observe`.
 */
import { Clock, Effect, Option, Queue, Stream } from "effect"
import { Election, FencingToken, KVStore, Registry } from "effect-aegis"
import { election } from "./instance.ts"

/** What was seen; `cleaned up` is a record that the cleanup has removed. */
export type Sighting =
  | { readonly what: "up" | "changed" | "expired" | "deregistered" | "cleanedUp"; readonly who: string }
  | { readonly what: "leads"; readonly who: string; readonly term: number; readonly token: string }
  | { readonly what: "nobody leads"; readonly who: "" }

const say = (text: string) => Effect.sync(() => console.log(text))

const seconds = (millis: number) => `${(millis / 1000).toFixed(2).padStart(6)} s`

const describe = (sighting: Sighting): string => {
  switch (sighting.what) {
    case "up":
      return `${sighting.who.padEnd(10)} is up`
    case "changed":
      return `${sighting.who.padEnd(10)} has changed`
    case "expired":
      return `${sighting.who.padEnd(10)} has sent no heartbeat for too long: it has expired`
    case "deregistered":
      return `${sighting.who.padEnd(10)} has deregistered`
    case "cleanedUp":
      return `${sighting.who.padEnd(10)} was cleaned up: its record is gone`
    case "leads":
      return `${sighting.who.padEnd(10)} LEADS, term ${sighting.term}, fencing token ${sighting.token}`
    case "nobody leads":
      return `${"".padEnd(10)} nobody leads`
  }
}

const fromRegistry = Effect.map(
  Registry.Registry,
  (registry) =>
    registry.watch().pipe(Stream.flatMap((event): Stream.Stream<Sighting> => {
      if (event._tag === "Ready") return Stream.empty
      const who = event.instance.instanceId
      if (event._tag === "Up") return Stream.succeed({ what: "up", who })
      if (event._tag === "Changed") return Stream.succeed({ what: "changed", who })
      return event.reason === "cleanedUp" ? Stream.empty : Stream.succeed({ what: event.reason, who })
    }))
)

const fromRecords = (store: KVStore.KVStore["Service"]) =>
  store.watch("service-instances.>", { from: "updates" }).pipe(
    Stream.flatMap((event): Stream.Stream<Sighting> =>
      event._tag === "Removed" && event.reason === "purge"
        ? Stream.succeed({ what: "cleanedUp", who: event.key.split(".").at(-1)! })
        : Stream.empty
    )
  )

const fromElection = Effect.map(Election.Election, (elections) =>
  Stream.map(
    elections.observe(election),
    Option.match({
      onNone: (): Sighting => ({ what: "nobody leads", who: "" }),
      onSome: ({ candidateId, term, token }): Sighting => ({
        what: "leads",
        who: candidateId,
        term,
        token: FencingToken.encode(token)
      })
    })
  ))

/** Tells every sighting as it comes, and hands it on to the director. */
export const observe = (registryStore: KVStore.KVStore["Service"], seen: Queue.Enqueue<Sighting>) =>
  Effect.gen(function*() {
    const clock = yield* Clock.Clock
    const start = clock.currentTimeMillisUnsafe()
    const all = (yield* fromRegistry).pipe(
      Stream.merge(fromRecords(registryStore)),
      Stream.merge(yield* fromElection)
    )
    yield* Stream.runForEach(all, (sighting) =>
      Effect.andThen(
        say(`${seconds(clock.currentTimeMillisUnsafe() - start)}  ${describe(sighting)}`),
        Queue.offer(seen, sighting)
      ))
  })

/** While nothing happens, what is waited for. */
export const whileWaiting = (what: string) =>
  Effect.sleep("1 second").pipe(Effect.andThen(say(`          … ${what}`)), Effect.andThen(Effect.never))
