/** A registry in memory, with the times that users have, for what only virtual time can show. */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

import { eventually } from "../../../tools/eventually.ts"
import { Buckets, finisher, quiet } from "../../support/suite.ts"
import { memoryBuckets } from "../../support/suite.ts"
import { keyOf } from "./processes.ts"

/** Heartbeats are some hundred steps apart. */
export const until = eventually(true)
export const finish = finisher(until)

export const test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) =>
  it.effect(title, () => body().pipe(Effect.provide(Layer.merge(memoryBuckets, quiet))))

/** With the defaults, as users have them: 30 seconds, and a heartbeat every 10. */
export const defaults = { maxAge: undefined, heartbeat: undefined }
export const key = keyOf("orders", "one")

export const again = <E, R>(count: number, effect: Effect.Effect<unknown, E, R>) =>
  Effect.repeat(effect, { times: count - 1 })
