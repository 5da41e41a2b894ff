/** Type tests of `Election`. `npm run check` compiles this file. Nothing here is run. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Election from "../../src/Election.ts"

type Elections = Election.Election["Service"]

declare const needsScope: Effect.Effect<number, "broken", Scope.Scope | Election.Election>

/** The work has a scope of its own. */
export const scopeOfWork = (
  { whileLeader }: Elections
): Effect.Effect<number, "broken" | Election.ElectionError, Election.Election> =>
  whileLeader("orders", () => needsScope)

/** Work without requirements needs nothing. */
export const noRequirements = ({ whileLeader }: Elections): Effect.Effect<void, Election.ElectionError> =>
  whileLeader("orders", () => Effect.void)

type OfLeadership = Effect.Services<ReturnType<Elections["campaign"]>>

/** The scope of a leadership is that of the caller: closing it hands leadership over. */
export const scopeOfLeadership: [OfLeadership] extends [Scope.Scope] ? true : never = true
export const needsAScope: [Scope.Scope] extends [OfLeadership] ? true : never = true
