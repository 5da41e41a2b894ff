/**
 * Turns reasons into the errors of an operation of the registry.
 */
import * as Effect from "effect/Effect"
import type * as Result from "effect/Result"
import { RegistryError, type RegistryReason } from "../../RegistryError.ts"

export const failure = (operation: string) => (reason: RegistryReason): RegistryError =>
  new RegistryError({ operation, reason })

/** Turns the result of reading options into an effect that fails as the operation does. */
export const accepted = <A>(
  operation: string,
  result: Result.Result<A, RegistryReason>
): Effect.Effect<A, RegistryError> => Effect.mapError(Effect.fromResult(result), failure(operation))
