/** Opening a bucket of servers that this library does not support, with prepared answers. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as config from "../../../../src/internal/kv/config.ts"
import { SeenRevisions } from "../../../../src/internal/kv/firstRevision.ts"
import { make } from "../../../../src/internal/nats/bucket/opening.ts"
import { settingsFor } from "../../../../src/internal/nats/bucket/streamConfig.ts"
import * as operations from "../../../../src/internal/nats/jetstream/operations.ts"
import type { PortFailure } from "../../../../src/internal/nats/port.ts"
import { makeServer } from "../../../support/fakeServer.ts"

/** Opens a bucket of a server with this version. The stream's leader sends this time; undefined: the bucket is missing. */
const open = Effect.fnUntraced(function*(version: string, stream: { readonly ts: string | undefined } | undefined) {
  const asked = yield* config.make({ bucket: "b" })
  const created: Array<string> = []
  const server = yield* makeServer
  const info = {
    ...server.stream,
    config: settingsFor(asked, 0),
    messages: 0,
    bytes: 0,
    deleted: 0,
    hasLeader: true,
    version: undefined,
    lastRevision: 5
  }
  const missing: PortFailure = { _tag: "Api", code: 10059, description: "stream not found" }
  const js = {
    ...server.js,
    port: {
      ...server.js.port,
      server: () => ({ version, maxPayload: 1_000_000, jetstream: true, cluster: undefined })
    },
    streamInfo: () => stream === undefined ? Effect.fail(missing) : Effect.succeed({ ...info, ...stream }),
    createStream: ({ name }: { readonly name: string }) => Effect.sync(() => void created.push(name))
  }
  const plain = operations.make(js, "KV_b", 1000)
  const revisions = yield* SeenRevisions
  const opened = make({ js, config: asked, operations: plain, timeout: 1000, revisions }).open
  return { outcome: yield* Effect.result(opened), created }
})

describe("opening", () => {
  it.effect("is refused by a server before 2.10, and creates nothing there", () =>
    Effect.gen(function*() {
      const { created, outcome } = yield* open("2.9.25", undefined)
      assert.deepInclude(outcome, { _tag: "Failure" })
      assert.strictEqual(outcome._tag === "Failure" && outcome.failure._tag, "InvalidConfig")
      assert.include(outcome._tag === "Failure" ? outcome.failure.message : "", "2.10 or later")
      assert.deepStrictEqual(created, [])
    }))

  it.effect("is refused if the leader of the bucket is before 2.10, whatever server is connected", () =>
    Effect.gen(function*() {
      for (const version of ["2.9.25", "2.15.1"]) {
        const { outcome } = yield* open(version, { ts: undefined })
        assert.strictEqual(outcome._tag === "Failure" && outcome.failure._tag, "InvalidConfig")
      }
    }))

  it.effect("succeeds if the leader of the bucket is 2.10, whatever server is connected", () =>
    Effect.gen(function*() {
      for (const version of ["2.9.25", "2.10.27", "2.15.1", "3.0.0"]) {
        const { outcome } = yield* open(version, { ts: "2026-11-28T00:00:00Z" })
        assert.strictEqual(outcome._tag, "Success")
      }
    }))
})
