/**
 * Work that campaigns for the election that it leads would wait for the end of its own term, which waits for the work.
 * The terms around a fiber are in its context (docs/protocols/election.md, E23).
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Tenure } from "./tenure.ts"

/** The terms whose work contains the fiber. A fiber that the work has detached inherits them, and may outlive them. */
const TermsAround = Context.Reference<ReadonlyArray<Tenure>>("effect-aegis/TermsAround", { defaultValue: () => [] })

/** A term that has ended waits for nothing. */
const isOpen = ({ lossReason }: Tenure): boolean => lossReason === undefined

/** Runs the work of a term. */
export const within = <A, E, R>(tenure: Tenure, work: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.updateService(work, TermsAround, (around) => [...around.filter(isOpen), tenure])

/** Whether the fiber is in the work of an open term of this election: of any service over this store. */
export const isWithin = (
  { election, store }: Pick<Tenure["options"], "election" | "store">
): Effect.Effect<boolean> =>
  Effect.map(
    TermsAround,
    (around) => around.some((one) => isOpen(one) && one.options.store === store && one.options.election === election)
  )
