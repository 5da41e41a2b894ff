/**
 * The guarantees of `Election`, as one suite for all backends: memory on virtual time and real servers run the same
 * cases with the same short timings. A process is a separate election layer with its own link to the shared bucket.
 * Faults are injected into the link, so that one leader can be disconnected while the other processes are not.
 */
import { layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import { TestClock } from "effect/testing"

import { eventually } from "../../../tools/eventually.ts"
import { type Backend, finisher, quiet } from "../../support/suite.ts"
import { answersLost } from "./answersLost.ts"
import { byHand } from "./byHand.ts"
import { crashing } from "./crashing.ts"
import { type Tools } from "./fixture.ts"
import { handingOver } from "./handingOver.ts"
import { health } from "./health.ts"
import { interrupting } from "./interrupting.ts"
import { many } from "./many.ts"
import { options } from "./options.ts"
import { priorities } from "./priorities.ts"
import { proclaiming } from "./proclaiming.ts"
import { refusing } from "./refusing.ts"
import { winning } from "./winning.ts"
import { working } from "./working.ts"

/** Runs every case against the backend. On the real clock they run concurrently, because they mostly wait. */
export const suite = (name: string, backend: Backend): void =>
  layer(backend.buckets, { excludeTestServices: true, timeout: "30 seconds", concurrent: !backend.virtual })(
    name,
    (it) => {
      const until = eventually(backend.virtual)
      const services = backend.virtual ? Layer.merge(TestClock.layer(), quiet) : quiet
      const tools: Tools = {
        backend,
        until,
        finish: finisher(until),
        wait: (millis) => backend.virtual ? TestClock.adjust(millis) : Effect.sleep(millis),
        test: (title, body) =>
          it.effect(title, () => {
            const run = body().pipe(Effect.scoped, Effect.provide(services))
            return backend.virtual ? Random.withSeed(run, title) : run
          })
      }
      winning(tools)
      handingOver(tools)
      crashing(tools)
      answersLost(tools)
      byHand(tools)
      interrupting(tools)
      working(tools)
      health(tools)
      proclaiming(tools)
      options(tools)
      priorities(tools)
      many(tools)
      refusing(tools)
    }
  )
