/** The refusals of the simulated server. */
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { type Given, replicated, start } from "../../../../support/simulatedServer.ts"
import { type Fillable, full, fullReplicas, fullWithMarkers, type Test } from "./suite.ts"

/** Longer than a test takes. */
const long = 60_000

const started = (given: Given) =>
  Effect.sync((): Fillable => {
    const { client, server, time } = start(given)
    let filledAt = 0
    return {
      ask: (subject, body, headers) => Effect.sync(() => client.ask(subject, body, headers, 500)),
      pass: (millis) => Effect.sync(() => time.pass(millis)),
      consume: Effect.sync(() => client.follow()),
      fill: Effect.sync(() => {
        filledAt = time.now()
        server.fill("KV_b", long)
      }),
      free: Effect.sync(() => time.pass(filledAt + long - time.now()))
    }
  })

for (const version of ["2.10.27", "2.15.1"] as const) {
  describe(`the simulated server, ${version}`, () => {
    const test: Test = (title, body) => it.effect(title, () => Effect.scoped(body()))
    const of = (stream: object = {}) => started({ version, stream })
    full(test, of)
    if (version === "2.15.1") fullWithMarkers(test, of)
    fullReplicas(test, of(replicated))
  })
}
