/**
 * Observers on real servers: a frozen server, a server that is away, and a blocked event loop, each for three times
 * maxAge, announce no instance Down.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import * as Aegis from "../../src/Aegis.ts"
import * as Registry from "../../src/Registry.ts"
import { eventually } from "../../tools/eventually.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { type NatsServer, startNatsServer } from "../../tools/natsServer/server.ts"
import { logged, numbers } from "../support/suite.ts"

const until = eventually(false)
const count = 20
const maxAge = 3000

/** Blocks the event loop of this process, with its owners and its observer. */
const block = (millis: number) =>
  Effect.sync(() => {
    const end = performance.now() + millis
    while (performance.now() < end);
  })

const away = Effect.sleep(3 * maxAge)

const frozen = ({ pause, resume }: NatsServer) => Effect.andThen(pause, Effect.andThen(away, resume))
const restarted = ({ kill, restart }: NatsServer) => Effect.andThen(kill, Effect.andThen(away, restart))

const announcesNobody = (
  what: string,
  line: Line,
  disrupt: (server: NatsServer) => Effect.Effect<unknown, unknown>
) =>
  it.live(`${line}: no instance is announced Down ${what}`, () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line })
      const build = Layer.build(Layer.fresh(Aegis.layerNats({
        servers: server.url,
        registry: { maxAge, heartbeat: "700 millis" }
      })))
      const owner = yield* Effect.provide(Registry.Registry, yield* build)
      const observer = yield* Effect.provide(Registry.Registry, yield* build)
      const events: Array<string> = []
      yield* Effect.forkScoped(Stream.runForEach(observer.watch("orders"), (event) =>
        Effect.sync(() => {
          events.push(event._tag === "Ready" ? "Ready" : `${event._tag} ${event.instance.instanceId}`)
        })))
      for (const index of numbers(count)) {
        yield* owner.register({ serviceName: "orders", instanceId: `i${index}`, version: "1.0.0" })
      }
      yield* until(Effect.sync(() => events.length), (length) => length === count + 1)
      yield* disrupt(server)
      // Longer than it takes until somebody is judged again.
      yield* Effect.sleep(2 * maxAge)
      assert.deepStrictEqual(events.slice(count + 1), [])
      assert.strictEqual((yield* observer.list("orders")).length, count)
    }).pipe(Effect.scoped, Effect.provide(logged().layer)), 60_000)

describe("an observer", { concurrent: true }, () => {
  for (const line of lines) announcesNobody("while the server is frozen", line, frozen)
  announcesNobody("while the server is away", "2.15", restarted)
})

describe("an observer whose event loop is blocked", () => {
  announcesNobody("while it is blocked", "2.15", () => block(3 * maxAge))
})
