/** What a process logs of an outage of its server: it is readable from beginning to end, and bounded. */
import { assert, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Aegis from "../../src/Aegis.ts"
import * as Election from "../../src/Election.ts"
import * as Registry from "../../src/Registry.ts"
import { eventually } from "../../tools/eventually.ts"
import { startNatsServer } from "../../tools/natsServer/server.ts"
import { logged } from "../support/suite.ts"

const until = eventually(false)

it.live(
  "an instance that leads logs an outage that ends its term in at most eleven lines",
  () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line: "2.15" })
      const log = logged()
      const count = (word: string) => Effect.sync(() => log.lines.filter((line) => line.includes(word)).length)
      yield* Effect.gen(function*() {
        const registry = yield* Registry.Registry
        const election = yield* Election.Election
        yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
        const won = yield* Deferred.make<void>()
        const work = Effect.andThen(Deferred.succeed(won, undefined), Effect.never)
        yield* Effect.forkScoped(election.whileLeader("job", () => work, { candidateId: "orders-1" }))
        yield* Deferred.await(won)
        log.lines.length = 0
        yield* server.kill
        yield* until(count("lost the leadership"), (lines) => lines === 1)
        yield* Effect.sleep("1 second")
        const { connected, ready } = yield* Aegis.health
        assert.deepStrictEqual([connected, ready], [false, true])
        yield* server.restart
        yield* until(count("elected leader of \"job\" in term 2"), (lines) => lines === 1)
        assert.isTrue((yield* Aegis.health).connected)
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.provideMerge(
          Aegis.layerNats({
            servers: server.url,
            registry: { maxAge: "3 seconds", heartbeat: "500 millis" },
            election: { timings: Election.fast }
          }),
          log.layer
        ))
      )
      const expected = [
        /^Warn disconnected from /,
        /^Warn cannot reconnect: .*connection refused/,
        /^Warn a renewal of "job" failed and is retried: /,
        /^Warn a heartbeat of orders\/orders-1 failed and is retried: /,
        /^Warn lost the leadership of "job" in term 1: no renewal was stored within renewDeadline/,
        /^Info campaigning for "job"/,
        /^Info reconnected to /,
        /^Info heartbeats of orders\/orders-1 are stored again/,
        /^Info elected leader of "job" in term 2/,
        /^Info handed over the leadership of "job"/,
        /^Info deregistered orders\/orders-1/
      ]
      for (const line of expected) {
        assert.isTrue(log.lines.some((one) => line.test(one)), `${line}: ${log.lines.join("\n")}`)
      }
      // Without the two lines of the end.
      assert.isAtMost(log.lines.length - 2, 11, log.lines.join("\n"))
    }),
  40_000
)
