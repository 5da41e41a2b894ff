/**
 * The guarantees of a `KVStore`, as one suite that runs against every backend: memory on virtual time, and real
 * servers. Features that only some backends have (markers, a condition on another key) are tested on all of them: a
 * backend without the feature has to refuse it with `InvalidConfig`.
 */
import { layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import { TestClock } from "effect/testing"
import { eventually } from "../../../tools/eventually.ts"
import { ages, markers } from "./ages.ts"
import { badInput } from "./badInput.ts"
import { catalog } from "./catalog.ts"
import { codecs } from "./codecs.ts"
import { combinators } from "./combinators.ts"
import { conditions } from "./conditions.ts"
import { configurations } from "./configurations.ts"
import { descriptions } from "./descriptions.ts"
import { expireOnRead } from "./expireOnRead.ts"
import { type Backend, type Test } from "./fixture.ts"
import { histories } from "./histories.ts"
import { listings } from "./listings.ts"
import { lostBuckets } from "./lostBuckets.ts"
import { misuse } from "./misuse.ts"
import { modifying, modifyingByEffect } from "./modifying.ts"
import { openings } from "./openings.ts"
import { removals } from "./removals.ts"
import { severalFilters } from "./severalFilters.ts"
import { fullOverwrites, sizes } from "./sizes.ts"
import { tombstones } from "./tombstones.ts"
import { typedViews } from "./typedViews.ts"
import { values } from "./values.ts"
import { watches } from "./watches.ts"

/** Runs every test of the suite against the backend. */
export const suite = (name: string, backend: Backend): void =>
  layer(backend.buckets, { excludeTestServices: true, timeout: "30 seconds" })(name, (it) => {
    const test: Test = (title, body) =>
      it.effect(title, () =>
        backend.virtual
          ? body().pipe(Effect.scoped, Effect.provide(TestClock.layer()))
          : (backend.within ?? identity)(body()))
    const until = eventually(backend.virtual)
    values(test, backend)
    conditions(test, backend, until)
    misuse(test)
    badInput(test)
    removals(test)
    histories(test)
    listings(test)
    sizes(test, backend)
    fullOverwrites(test, backend)
    tombstones(test, backend)
    ages(test, backend, until)
    markers(test, backend, until)
    watches(test, until)
    severalFilters(test, until)
    typedViews(test, until)
    codecs(test, until)
    modifying(test, backend, until)
    modifyingByEffect(test, until)
    expireOnRead(test, backend, until)
    combinators(test)
    descriptions(test, backend)
    configurations(test)
    openings(test, backend, until)
    lostBuckets(test, until)
    catalog(test)
  })
