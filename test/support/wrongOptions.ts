/** Invalid options for everything that takes options. Each has to be refused by name, without effect. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { inspect } from "node:util"
import type { KVStoreError } from "../../src/KVStoreError.ts"
import { untyped } from "../../tools/values.ts"

/** A function that takes options. */
export interface Taker {
  readonly name: string
  readonly run: (options: never) => Effect.Effect<unknown, KVStoreError, Scope.Scope>
  /** Valid options. The test replaces each of them by invalid values. */
  readonly right: { readonly [option: string]: unknown }
  /** Names of all known options, if they cannot be combined in one call. Default: those of `right`. */
  readonly knows?: ReadonlyArray<string>
  /** Values that are invalid for most options but valid for this one. */
  readonly takes?: { readonly [option: string]: ReadonlyArray<unknown> }
  /** Names of required options. */
  readonly needs?: ReadonlyArray<string>
  /** For nested options: the name of the outer option, and a dot. */
  readonly prefix?: string
}

export const nothingInIt = {}
export const bare: unknown = Object.create(null)
const symbol = Symbol("not an option")
const aFunction = () => "orders"

/** Values that are invalid for nearly every option. */
const values = [null, Number.NaN, -1, 1.5, 2n, "", "wrong", false, nothingInIt, bare, [], symbol, aFunction]

const noOptions = [
  null,
  Number.NaN,
  7,
  "",
  "orders",
  true,
  [],
  symbol,
  aFunction,
  // These have no property names, and must not be read as empty options.
  new Map([["revision", 999]]),
  new Date(0),
  Promise.resolve({})
]

/** Asserts a typed error whose message has the given words and no regular expression. */
const refuses = Effect.fnUntraced(function*(
  { name, run }: Taker,
  options: unknown,
  words: ReadonlyArray<string>
) {
  const what = `${name} with ${inspect(options)}`
  const error = yield* Effect.scoped(Effect.suspend(() => run(untyped(options)))).pipe(
    Effect.timeout("1 second"),
    Effect.matchCause({
      onFailure: (cause) =>
        cause.reasons[0]!._tag === "Fail" ? cause.reasons[0]!.error : assert.fail(`${what}: ${cause}`),
      onSuccess: () => assert.fail(`${what} succeeds`)
    })
  )
  assert.strictEqual(error._tag, "KVStoreError", what)
  const { isRetryable, message, reason } = error as KVStoreError
  assert.include(["InvalidConfig", "InvalidKey"], reason._tag, what)
  assert.isFalse(isRetryable)
  for (const word of words) assert.include(message, word, what)
  assert.notMatch(message, /RegExp|\(\?:|\[\^/, what)
})

/** Asserts that a function refuses every invalid, unknown or missing option. */
export const refusesAll = Effect.fnUntraced(function*(taker: Taker) {
  const { needs = [], prefix = "", right, takes = {} } = taker
  const known = (taker.knows ?? Object.keys(right)).map((option) => `${prefix}${option}`)
  for (const option of Object.keys(right)) {
    for (const value of [...values, ...(needs.includes(option) ? [undefined] : [])]) {
      if (takes[option]?.includes(value) === true) continue
      yield* refuses(taker, { ...right, [option]: value }, [`${prefix}${option}`])
    }
  }
  yield* refuses(taker, { ...right, unheardOf: 1 }, [`"${prefix}unheardOf"`, ...known])
  for (const options of noOptions) yield* refuses(taker, options, known)
  if (needs.length > 0) yield* refuses(taker, undefined, needs.map((option) => `${prefix}${option}`))
})
