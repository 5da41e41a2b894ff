/** What Effect's `KeyValueStore` guarantees, and what ours adds, on any backend. */
import { layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { eventually } from "../../KVStore/suite/fixture.ts"
import { asEffectAsks } from "./asEffectAsks.ts"
import type { Buckets, Test } from "./fixture.ts"
import { ours } from "./ours.ts"

/** A backend; `virtual`: its time is the TestClock's. */
interface Backend {
  readonly virtual: boolean
  readonly buckets: Layer.Layer<Buckets, unknown>
}

export const suite = (name: string, { buckets, virtual }: Backend): void =>
  layer(buckets, { excludeTestServices: true, timeout: "30 seconds" })(name, (it) => {
    const test: Test = (title, body) =>
      it.effect(title, () => virtual ? body().pipe(Effect.scoped, Effect.provide(TestClock.layer())) : body())
    asEffectAsks(test)
    ours(test, eventually(virtual))
  })
