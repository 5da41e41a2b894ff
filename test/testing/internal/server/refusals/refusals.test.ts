/** The refusals of the simulated server. */
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { subjectsFor } from "../../../../../src/testing/internal/world/stores.ts"
import { type Given, replicated, start } from "../../../../support/simulatedServer.ts"
import {
  denied,
  type Fillable,
  full,
  fullReplicas,
  fullWithMarkers,
  type Peer,
  type Restricted,
  type Test
} from "./suite.ts"

/** Longer than a test takes. */
const long = 60_000

type Started = ReturnType<typeof start>

const asks = (client: Started["client"]): Peer["ask"] => (subject, body, headers) =>
  Effect.sync(() => client.ask(subject, body, headers, 500))

const peerOf = ({ client, time }: Started): Peer => ({
  ask: asks(client),
  pass: (millis) => Effect.sync(() => time.pass(millis)),
  consume: Effect.sync(() => client.follow())
})

const fillable = (given: Given) =>
  Effect.sync((): Fillable => {
    const started = start(given)
    const { server, time } = started
    let filledAt = 0
    return {
      ...peerOf(started),
      fill: Effect.sync(() => {
        filledAt = time.now()
        server.fill("KV_b", long)
      }),
      free: Effect.sync(() => time.pass(filledAt + long - time.now()))
    }
  })

const restricted = (given: Given) =>
  Effect.sync((): Restricted => {
    const started = start(given)
    const { another, client, server, time } = started
    let revokedAt = 0
    return {
      ...peerOf(started),
      denied: client.denied,
      askAsOther: asks(another("b")),
      revoke: (right) =>
        Effect.sync(() => {
          revokedAt = time.now()
          server.revoke("a", subjectsFor[right]("b"), long)
        }),
      giveBack: Effect.sync(() => time.pass(revokedAt + long - time.now()))
    }
  })

for (const version of ["2.10.27", "2.15.1"] as const) {
  describe(`the simulated server, ${version}`, () => {
    const test: Test = (title, body) => it.effect(title, () => Effect.scoped(body()))
    const of = (stream: object = {}) => fillable({ version, stream })
    full(test, of)
    if (version === "2.15.1") fullWithMarkers(test, of)
    fullReplicas(test, of(replicated))
    denied(test, restricted({ version }))
  })
}
