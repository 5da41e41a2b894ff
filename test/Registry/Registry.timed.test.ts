/**
 * Runs the registry suite on real servers of both release lines, and tests a registry while its server restarts or is
 * paused.
 */
import { assert, describe, it, vi } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { Buckets } from "../../src/Buckets.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { layerNatsServer, NatsServer, startNatsServer } from "../../tools/natsServer/server.ts"
import { layerOwnNatsBuckets } from "../support/natsClient.ts"

import { eventually } from "../../tools/eventually.ts"
import { countOf } from "../support/links.ts"
import { finisher, quiet, record } from "../support/suite.ts"
import { contains } from "./suite/fixture.ts"
import { suite } from "./suite/index.ts"
import { hasWritten, keyOf, lastOf, listed, named, openBucket, startProcess, tagsOf } from "./suite/processes.ts"

// Each test waits most of the time, so many run concurrently.
vi.setConfig({ maxConcurrency: 40 })

// -----------------------------------------------------------------------------
// helpers
// -----------------------------------------------------------------------------

const until = eventually(false)
const finish = finisher(until)

/** A test with its own server, which the test can kill or pause. */
const alone = (
  title: string,
  line: Line,
  body: (server: NatsServer) => Effect.Effect<void, unknown, Buckets | Scope.Scope>
) =>
  it.live(title, () =>
    Effect.gen(function*() {
      const server = yield* startNatsServer({ line })
      const services = Layer.provide(layerOwnNatsBuckets, Layer.succeed(NatsServer, server))
      yield* body(server).pipe(Effect.scoped, Effect.provide(Layer.merge(services, quiet)))
    }))

/** One heartbeat per second; four in a row may be lost. */
const patient = { maxAge: "5 seconds", heartbeat: "1 second" } as const

// -----------------------------------------------------------------------------
// tests
// -----------------------------------------------------------------------------

for (const line of lines) {
  suite(`Registry on a server of the line ${line}`, {
    kind: "nats",
    virtual: false,
    buckets: Layer.provide(layerOwnNatsBuckets, layerNatsServer(line))
  })
}

describe("Registry on a server that fails", { concurrent: true }, () => {
  for (const line of lines) {
    alone(
      `${line}: an instance stays registered if the server restarts within maxAge`,
      line,
      (server) =>
        Effect.gen(function*() {
          const store = yield* openBucket({ storage: "file" })
          const backend = yield* startProcess(store, patient)
          const observer = yield* startProcess(store, patient)
          const { close, whyLost } = yield* backend.enter(named("orders", "one"))
          yield* until(...hasWritten(backend, 1))
          const puts = countOf(backend.link, "put")
          yield* server.kill
          yield* until(Effect.sync(() => countOf(backend.link, "put")), (count) => count > puts)
          yield* server.restart
          yield* until(...hasWritten(backend, 1))
          assert.deepStrictEqual(yield* listed(observer), ["one"])
          assert.isUndefined(yield* whyLost)
          yield* finish(close)
          assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "delete")
        })
    )

    alone(
      `${line}: an instance stays registered if the server is paused for less than maxAge`,
      line,
      (server) =>
        Effect.gen(function*() {
          const store = yield* openBucket({ storage: "file" })
          const backend = yield* startProcess(store, patient)
          const observer = yield* startProcess(store, patient)
          const { whyLost } = yield* backend.enter(named("orders", "one", { metadata: { zone: "a" } }))
          yield* until(...hasWritten(backend, 1))
          const puts = countOf(backend.link, "put")
          yield* server.pause
          // Two attempts are in flight when the server resumes: the first lands; the second conflicts and finds it.
          yield* until(Effect.sync(() => countOf(backend.link, "put")), (count) => count >= puts + 2)
          yield* server.resume
          yield* until(...hasWritten(backend, 2))
          const [instance] = yield* observer.registry.list("orders")
          assert.deepStrictEqual(instance?.metadata, { zone: "a" })
          assert.isUndefined(yield* whyLost)
        })
    )

    alone(
      `${line}: all instances are live again after an outage of the server longer than maxAge`,
      line,
      (server) =>
        Effect.gen(function*() {
          const store = yield* openBucket({ storage: "file" })
          const ids = ["one", "three", "two"]
          const backend = yield* startProcess(store)
          const observer = yield* startProcess(store)
          const entered = yield* Effect.forEach(ids, (id) => backend.enter(named("orders", id)))
          const told = yield* record(tagsOf(entered[0]!.visibility))
          yield* server.kill
          yield* until(told.all, contains("Invisible"))
          yield* server.restart
          yield* until(told.all, (all) => all.at(-1) === "Visible")
          yield* until(
            Effect.orElseSucceed(listed(observer), () => []),
            (found) => found.length === ids.length
          )
          for (const { whyLost } of entered) assert.isUndefined(yield* whyLost)
        })
    )
  }
})
