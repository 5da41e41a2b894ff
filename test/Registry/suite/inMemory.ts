/** Tools for tests that need simulated time: an in-memory registry with the default times. */
import { it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"

import { Buckets, layerMemory } from "../../../src/Buckets.ts"
import { eventually } from "../../../tools/eventually.ts"
import { finisher, quiet } from "../../support/suite.ts"

import { keyOf } from "./processes.ts"

/** Two heartbeats are some hundred steps of the simulated clock apart. */
export const until = eventually(true)
export const finish = finisher(until)

export const test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) =>
  it.effect(title, () => body().pipe(Effect.provide(Layer.merge(layerMemory, quiet))))

/** The default times: maxAge 30 seconds, a heartbeat every 10 seconds. */
export const defaults = { maxAge: undefined, heartbeat: undefined }
export const key = keyOf("orders", "one")

export const again = <E, R>(count: number, effect: Effect.Effect<unknown, E, R>) =>
  Effect.repeat(effect, { times: count - 1 })
