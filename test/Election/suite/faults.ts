/** The records that an election's processes have sent, and a slow link. */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import { fromEntry, type Seen } from "../../../src/internal/election/record.ts"
import type { Call, Fault, Link } from "../../support/links.ts"

/** The record in a request. Undefined if the request is not a write. */
export const sentIn = ({ key, value }: Call): Seen | undefined =>
  value === undefined ? undefined : fromEntry({ key, value, revision: 0, created: undefined as never })

/** Whether a vacant record was sent. */
export const vacantSent = (link: Link): boolean => link.calls.some((call) => sentIn(call)?._tag === "Vacant")

/** Delays each request and each answer by up to `longest` ms, and loses a share `lost` of the answers. */
export const slow = Effect.fnUntraced(function*(options: { readonly longest: number; readonly lost?: number }) {
  const scope = yield* Effect.scope
  const hop = Effect.flatMap(Random.nextIntBetween(0, options.longest), (millis) => Effect.sleep(millis))
  const isLost = Effect.map(Random.next, (random) => random < (options.lost ?? 0))
  const fault: Fault = (call, run) =>
    call.operation === "watch" ? run : Effect.flatMap(
      // Forked: a request that was sent still lands if the caller gives up.
      Effect.forkIn(Effect.andThen(hop, run), scope),
      (sent) =>
        Effect.flatMap(Effect.exit(Fiber.join(sent)), (exit) =>
          Effect.flatMap(isLost, (lost) => Effect.andThen(hop, lost ? Effect.never : exit)))
    )
  return fault
})
