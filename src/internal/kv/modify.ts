/**
 * Changes of a decoded value: a read, a function or an effect of the caller, and a
 * compare-and-set (docs/protocols/kv.md, K5).
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { KVEntry, KVStore, TypedKVStore } from "../../KVStore.ts"
import { InvalidValue } from "../../KVStoreError.ts"
import { invalidConfig, kindOf } from "../options.ts"
import { ownConflicts, retryOperation, retryOwnConflicts } from "../retry.ts"
import type { TypedValues } from "./typedValues.ts"

/** Whether the effect of an untyped caller returned a result and an Option. */
const isPair = (result: unknown): boolean => Array.isArray(result) && result.length === 2 && Option.isOption(result[1])

/** Of a list of two elements the second one is wrong. */
const shownResult = (result: unknown): string =>
  Array.isArray(result) && result.length === 2 ? `[result, ${kindOf(result[1])}]` : kindOf(result)

export const make = <A>(
  store: KVStore["Service"],
  { decodeFound, failure, put }: TypedValues<A>
): Pick<TypedKVStore<A>, "modify" | "modifyEffect"> => {
  /** An outdated "no value" could end the operation without a write, and so without a conflict. */
  const currentOf = (operation: string, key: string) => decodeFound(operation, store.get(key, { fromLeader: true }))

  /** Writes the next value, or deletes the key, unless another writer was first. Returns the revision, 0 after a deletion. */
  const replace = (operation: string, key: string, current: Option.Option<KVEntry<A>>, next: Option.Option<A>) => {
    if (Option.isSome(next)) {
      const condition = Option.isSome(current) ? { revision: current.value.revision } : { createOnly: true } as const
      return put(operation, key, next.value, condition)
    }
    return Option.isSome(current)
      ? Effect.as(store.delete(key, { revision: current.value.revision }), 0)
      : Effect.succeed(0)
  }

  const notAFunction = (operation: string, key: string, given: unknown) =>
    failure(operation, key, invalidConfig(`${operation}: expected a function of the value, got ${kindOf(given)}`))

  /** Any other value would be treated like none, and the key would be deleted. */
  const unexpected = (operation: string, key: string, expected: string, got: string) =>
    failure(
      operation,
      key,
      new InvalidValue({ problem: `expected the function of ${operation} to return ${expected}, got ${got}` })
    )

  const modify: TypedKVStore<A>["modify"] = (key, f) =>
    retryOperation(store.config, "modify", key, (writing) =>
      Effect.gen(function*() {
        if (typeof f !== "function") return yield* notAFunction("modify", key, f)
        const current = yield* currentOf("modify", key)
        const next = f(Option.map(current, ({ value }) => value))
        return yield* Option.isOption(next)
          ? writing(replace("modify", key, current, next))
          : unexpected("modify", key, "an Option", kindOf(next))
      }))

  const modifyEffect: TypedKVStore<A>["modifyEffect"] = (key, f) =>
    retryOwnConflicts(
      store.config,
      "modifyEffect",
      key,
      Effect.gen(function*() {
        if (typeof f !== "function") return yield* notAFunction("modifyEffect", key, f)
        const current = yield* currentOf("modifyEffect", key)
        const effect = f(Option.map(current, ({ value }) => value))
        if (!Effect.isEffect(effect)) return yield* unexpected("modifyEffect", key, "an Effect", kindOf(effect))
        const result = yield* effect
        if (!isPair(result)) return yield* unexpected("modifyEffect", key, "[result, Option]", shownResult(result))
        const [value, next] = result
        return { value, revision: yield* ownConflicts(replace("modifyEffect", key, current, next)) }
      })
    )

  return { modify, modifyEffect }
}
