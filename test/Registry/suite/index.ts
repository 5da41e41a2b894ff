/**
 * The tests that a `Registry` passes on every backend: in memory with simulated time, and on real servers. Both use the
 * same short times. In these tests a process is a registry with its own link to a shared bucket. Faults are injected
 * into a link, so that one process can be disconnected while the others still use the bucket.
 */
import { layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import { eventually } from "../../../tools/eventually.ts"
import { type Backend, finisher, quiet } from "../../support/suite.ts"
import { cleaningUp } from "./cleanup.ts"
import { configuring } from "./configuring.ts"
import { cutOff } from "./cutOff.ts"
import { draining } from "./draining.ts"
import { duplicates } from "./duplicates.ts"
import { type Tools } from "./fixture.ts"
import { byHand } from "./heartbeat.ts"
import { lateWrites } from "./lateWrites.ts"
import { cleanups } from "./layers.ts"
import { leaving } from "./leaving.ts"
import { names } from "./names.ts"
import { reading } from "./reading.ts"
import { registering } from "./registering.ts"
import { updates } from "./updates.ts"
import { watching } from "./watching.ts"

/** Runs every test on the backend. With real time the tests run concurrently, because they wait most of the time. */
export const suite = (name: string, backend: Backend): void =>
  layer(backend.buckets, { excludeTestServices: true, timeout: "30 seconds", concurrent: !backend.virtual })(
    name,
    (it) => {
      const until = eventually(backend.virtual)
      const services = backend.virtual ? Layer.merge(TestClock.layer(), quiet) : quiet
      const tools: Tools = {
        virtual: backend.virtual,
        until,
        finish: finisher(until),
        test: (title, body) => it.effect(title, () => body().pipe(Effect.scoped, Effect.provide(services)))
      }
      registering(tools)
      names(tools)
      cutOff(tools)
      lateWrites(tools)
      leaving(tools)
      duplicates(tools)
      byHand(tools)
      updates(tools)
      draining(tools)
      reading(tools)
      watching(tools)
      cleaningUp(tools)
      cleanups(tools)
      configuring(tools)
    }
  )
