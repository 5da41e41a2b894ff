/** Options of the layer: the limits of its times. */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KVStore from "../../../src/KVStore.ts"
import type * as Config from "../../../src/KVStoreConfig.ts"
import * as Registry from "../../../src/Registry.ts"
import { reasonOf } from "../../support/suite.ts"
import type { Tools } from "./fixture.ts"
import { openBucket } from "./processes.ts"

export const configuring = ({ test }: Tools) => {
  const refused: ReadonlyArray<
    readonly [what: string, options: Registry.Options, bucket: Partial<Config.BucketOptions>, named: string]
  > = [
    ["maxAge below two heartbeats", { maxAge: "19999 millis", heartbeat: "10 seconds" }, {}, "heartbeat"],
    ["a default heartbeat of more than half of maxAge", { maxAge: "19 seconds" }, {}, "heartbeat"],
    ["a heartbeat of more than half of the default maxAge", { heartbeat: "15001 millis" }, {}, "heartbeat"],
    [
      "a bucket whose streamMaxAge is below twice maxAge",
      { maxAge: "30 seconds" },
      { streamMaxAge: 59_999 },
      "streamMaxAge"
    ],
    ["a maxAge of zero", { maxAge: 0, heartbeat: 0 }, {}, "maxAge"],
    ["a negative maxAge", { maxAge: -1, heartbeat: 1 }, {}, "maxAge"],
    ["an infinite maxAge", { maxAge: Number.POSITIVE_INFINITY }, {}, "maxAge"]
  ]

  for (const [what, options, bucket, setting] of refused) {
    test(`the layer refuses ${what}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket(bucket)
        const reason = yield* reasonOf(
          Layer.build(Registry.layer(options).pipe(Layer.provide(Layer.succeed(KVStore.KVStore, store)))),
          "InvalidConfig"
        )
        assert.include(reason.message, setting)
      }))
  }

  test("the layer accepts times at their limits", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ streamMaxAge: "20 seconds" })
      const build = (options: Registry.Options) =>
        Layer.build(Registry.layer(options).pipe(Layer.provide(Layer.succeed(KVStore.KVStore, store))))
      yield* build({ maxAge: "10 seconds", heartbeat: "5 seconds" })
      yield* build({ maxAge: 10_000, heartbeat: Duration.millis(100) })
    }))
}
