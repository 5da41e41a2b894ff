/**
 * A process of a fleet: it registers instances, watches the registry, or both, as its parent process tells it, and sends the
 * events of its watch with their times.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Aegis from "../../src/Aegis.ts"
import { Registry } from "../../src/Registry.ts"
import { type Command, type Message, noLists, type WorkerOptions } from "./fleet.ts"
import { sharedMillis } from "./sharedClock.ts"

const { heartbeat, maxAge, name, registryBucket, url }: WorkerOptions = JSON.parse(process.argv[2]!)

// The parent process has ended and could not end this process any more.
process.once("disconnect", () => process.exit(1))

/** Faults are part of the measurement: the lines about them would hide the table. */
const quietly = Effect.provideService(References.MinimumLogLevel, "Error")

const send = (message: Message) => Effect.sync(() => void process.send!(message))

const layer = Aegis.layerNats({ servers: url, name, registry: { bucket: registryBucket, maxAge, heartbeat } })

/** Reads continuously: a list can be wrong for some milliseconds only. */
const betweenLists = "5 millis"

const registrations = new Map<string, Scope.Closeable>()

const register = Effect.fnUntraced(function*(registry: Registry["Service"], serviceName: string, instanceId: string) {
  const scope = yield* Scope.make()
  registrations.set(instanceId, scope)
  yield* Scope.provide(registry.register({ serviceName, instanceId, version: "1.0.0" }), scope)
})

const leave = (instanceId: string) =>
  Effect.andThen(
    send({ _tag: "Leaving", instanceId, at: sharedMillis() }),
    Effect.suspend(() => Scope.close(registrations.get(instanceId)!, Exit.void))
  )

/** Sends the events of a watch of all services. Returns at `Ready`. */
const watch = (registry: Registry["Service"]) =>
  registry.watch().pipe(
    Stream.runForEach((event) =>
      send({
        _tag: "Event",
        kind: event._tag,
        instanceId: event._tag === "Ready" ? "" : event.instance.instanceId,
        at: sharedMillis()
      })
    ),
    Effect.onExit((exit) => send({ _tag: "WatchEnded", why: String(exit) })),
    Effect.forkDetach
  )

/** Blocks the event loop. */
const block = (millis: number) =>
  Effect.sync(() => {
    const end = sharedMillis() + millis
    while (sharedMillis() < end);
  })

const lists = noLists()

const list = (registry: Registry["Service"]) =>
  registry.listAll().pipe(
    Effect.match({
      onFailure: () => {
        lists.failed++
      },
      onSuccess: (services) => {
        const count = [...services.values()].flat().length
        lists.read++
        lists.last = count
        if (count === 0) lists.empty++
        lists.fewest = Math.min(lists.fewest, count)
      }
    })
  )

const run = (registry: Registry["Service"], command: Command): Effect.Effect<unknown, unknown> => {
  switch (command._tag) {
    case "Register":
      return Effect.forEach(command.ids, (id) => register(registry, command.service, id), { concurrency: 16 })
    case "Leave":
      return Effect.forEach(command.ids, (id) => Effect.andThen(leave(id), Effect.sleep(command.every)))
    case "Watch":
      return watch(registry)
    case "Block":
      return block(command.millis)
    case "KeepListing":
      return Effect.forkDetach(Effect.repeat(list(registry), Schedule.spaced(betweenLists)))
    case "List":
      return list(registry)
  }
}

const main = Effect.gen(function*() {
  const registry = Context.get(yield* Layer.build(layer), Registry)
  const context = yield* Effect.context()
  process.on("message", (command: Command) => {
    const done = Effect.andThen(run(registry, command), Effect.suspend(() => send({ _tag: "Done", lists })))
    Effect.runForkWith(context)(Effect.catchCause(done, (cause) => send({ _tag: "Failed", why: String(cause) })))
  })
  yield* send({ _tag: "Started", wallClock: Date.now() })
  return yield* Effect.never
})

await Effect.runPromise(quietly(Effect.scoped(main)))
