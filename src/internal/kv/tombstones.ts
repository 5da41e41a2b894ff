/** Removes the tombstones of keys that have had no value for some time (docs/protocols/kv.md, K7). */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Filters } from "../filters.ts"
import { checkKey } from "../subjects.ts"
import type { Backend } from "./backend.ts"
import { isValue } from "./entries.ts"

/** Concurrent removals. */
const removalsAtOnce = 16

interface Options {
  readonly filters: Filters
  readonly olderThan: Duration.Duration
}

/**
 * Returns the number of removed tombstones. A listing may be outdated, so a removal ends at the revision of the
 * tombstone: a later value is kept. Keys that only other clients write are left out: a server accepts a message with the
 * subject `$KV.<bucket>.>`, and a removal of that subject would be one of all keys.
 */
export const purgeTombstones = (backend: Backend) =>
  Effect.fnUntraced(function*({ filters, olderThan }: Options) {
    const last = yield* backend.lastOfEach(filters, "names")
    const before = backend.clock.currentTimeMillisUnsafe() - Duration.toMillis(olderThan)
    const tombstones = last.filter((message) =>
      checkKey(message.key) === undefined && !isValue(message) && message.created < before
    )
    yield* Effect.forEach(tombstones, ({ key, revision }) => backend.removeUpTo(key, revision), {
      concurrency: removalsAtOnce,
      discard: true
    })
    return tombstones.length
  })
