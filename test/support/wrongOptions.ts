/** Options that are none, for everything that takes options: each has to be refused by name, with nothing done. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { inspect } from "node:util"
import type { KVStoreError } from "../../src/KVStoreError.ts"
import { untyped } from "../../tools/values.ts"

/** What takes options. */
export interface Taker {
  readonly name: string
  readonly run: (options: never) => Effect.Effect<unknown, KVStoreError, Scope.Scope>
  /** Options with which it goes ahead: each of them is made wrong in its turn. */
  readonly right: { readonly [option: string]: unknown }
  /** All that it knows, where one call cannot have them all. */
  readonly knows?: ReadonlyArray<string>
  /** Of the values that are wrong elsewhere, those that an option takes. */
  readonly takes?: { readonly [option: string]: ReadonlyArray<unknown> }
  /** Options that have to be there. */
  readonly needs?: ReadonlyArray<string>
  /** Of options within an option: its name, and a dot. */
  readonly prefix?: string
}

export const nothingInIt = {}
export const bare: unknown = Object.create(null)
const symbol = Symbol("of no option")
const aFunction = () => "orders"

/** Values that are wrong nearly everywhere. */
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
  // Without names of their own they would be taken for no options at all.
  new Map([["revision", 999]]),
  new Date(0),
  Promise.resolve({})
]

/** Refused as an error in the typed channel, in words that name what was wrong, and no pattern. */
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

/** Everything that may be wrong with what one takes. */
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
