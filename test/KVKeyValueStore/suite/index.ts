/** The suite for any backend: the guarantees of Effect's `KeyValueStore`, and those of `KVKeyValueStore`. */
import { layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { TestClock } from "effect/testing"
import { eventually } from "../../../tools/eventually.ts"
import type { Backend, Test } from "../../support/suite.ts"
import { asEffectAsks } from "./asEffectAsks.ts"
import { ours } from "./ours.ts"

export const suite = (name: string, { buckets, virtual }: Backend): void =>
  layer(buckets, { excludeTestServices: true, timeout: "30 seconds" })(name, (it) => {
    const test: Test = (title, body) =>
      it.effect(title, () => virtual ? body().pipe(Effect.scoped, Effect.provide(TestClock.layer())) : body())
    asEffectAsks(test)
    ours(test, eventually(virtual))
  })
