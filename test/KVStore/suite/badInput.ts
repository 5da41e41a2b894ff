/**
 * A table of invalid input. Each row has to fail at once with a typed error that names the invalid value and the
 * expected one, and nothing may be written. `misuse.ts` tests longer lists of invalid keys, filters and revisions.
 */
import { assert } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import * as KVStore from "../../../src/KVStore.ts"
import { bytes, untyped } from "../../../tools/values.ts"
import { openBucket, type Store } from "../../support/suite.ts"
import { type Test } from "./fixture.ts"

/** One operation that has to refuse the input. */
type Attempt = readonly [
  operation: string,
  run: (store: Store) => Effect.Effect<unknown, KVStore.KVStoreError>
]

export interface BadInput {
  readonly title: string
  readonly reason: KVStore.KVStoreReason["_tag"]
  /** Parts of the error's message: the invalid value and the expected one. */
  readonly says: ReadonlyArray<string>
  readonly attempts: ReadonlyArray<Attempt>
}

const value = bytes("2")

/** An object without a prototype, as query parsers create it: it cannot be converted to a string. */
const bare = (): object => Object.create(null)

const watch = (store: Store, ...options: ReadonlyArray<unknown>) =>
  Stream.runDrain(Stream.take(store.watch(...options as Parameters<Store["watch"]>), 1))

const Price = Schema.Struct({ cents: Schema.Int, at: Schema.optionalKey(Schema.DateTimeUtc) })

const priced = <A>(
  store: Store,
  use: (prices: KVStore.TypedKVStore<typeof Price.Type>) => Effect.Effect<A, KVStore.KVStoreError>
) => use(KVStore.typed(store, Price))

/** A row with one operation. */
const one =
  (operation: string, reason: BadInput["reason"]) =>
  (what: string, says: ReadonlyArray<string>, run: Attempt[1]): BadInput => ({
    title: `${operation} refuses ${what}`,
    reason,
    says,
    attempts: [[operation, run]]
  })

// -----------------------------------------------------------------------------
// keys and filters
// -----------------------------------------------------------------------------

const rightKey = "tokens separated by single dots"
const rightFilter = "whole tokens may be *"

const withKey = (key: never): ReadonlyArray<Attempt> => [
  ["get", (store) => store.get(key)],
  ["put", (store) => store.put(key, value)],
  ["put", (store) => store.put(key, value, KVStore.KVOptions.createOnly)],
  ["put", (store) => store.put(key, value, KVStore.KVOptions.updateOnly)],
  ["put", (store) => store.put(key, value, KVStore.KVOptions.atRevision(0))],
  ["delete", (store) => store.delete(key)],
  ["delete", (store) => store.delete(key, { revision: 0 })],
  ["purge", (store) => store.purge(key)],
  ["history", (store) => store.history(key)],
  ["get", (store) => priced(store, (prices) => prices.get(key))],
  ["put", (store) => priced(store, (prices) => prices.put(key, { cents: 1 }))],
  ["delete", (store) => priced(store, (prices) => prices.delete(key))],
  ["get", (store) => priced(store, (prices) => prices.modify(key, () => Option.some({ cents: 1 })))],
  ["getMany", (store) => store.getMany(["a", key])]
]

const badKeys = ([
  ["with a line break followed by a command of the NATS protocol", "a\r\nPUB b 1\r\n2", rightKey],
  ["with a wildcard", "orders.*", `"orders.*"`],
  ["with two consecutive dots", "orders..7", `"orders..7"`],
  ["of more than 1,024 characters", "k".repeat(1025), "1 to 1024"],
  ["longer than a line of the NATS protocol", "k".repeat(5000), "1 to 1024"],
  ["that is an object", {}, rightKey],
  ["that is an object without a prototype", bare(), rightKey],
  ["that is a list", ["a"], rightKey],
  ["that is a symbol", Symbol("a"), rightKey],
  ["that is undefined", undefined, rightKey]
] as const).map(([what, key, says]): BadInput => ({
  title: `every operation refuses a key ${what}`,
  reason: "InvalidKey",
  says: [says],
  attempts: withKey(untyped(key))
}))

const withFilter = (filter: never): ReadonlyArray<Attempt> => [
  ["keys", (store) => store.keys(filter)],
  ["entries", (store) => store.entries(filter)],
  ["stream", (store) => Stream.runDrain(store.stream(filter))],
  ["watch", (store) => watch(store, filter)],
  ["watch", (store) => watch(store, filter, { from: "updates" })],
  ["entries", (store) => priced(store, (prices) => prices.entries(filter))],
  ["stream", (store) => priced(store, (prices) => Stream.runDrain(prices.stream(filter)))],
  ["keys", (store) => KVStore.clear(store, filter)]
]

const badFilters = ([
  ["with > before the last token", "orders.>.7", `"orders.>.7"`],
  ["with * inside a token", "ord*", `"ord*"`],
  ["with a line break followed by a command of the NATS protocol", "a\r\nPUB b 1\r\n2", rightFilter],
  ["that is null", null, rightFilter],
  ["that is a list with a list of filters", [["a", "b"]], rightFilter],
  ["that is an empty list", [], rightFilter],
  ["that is an object without a prototype", bare(), rightFilter]
] as const).map(([what, filter, says]): BadInput => ({
  title: `every listing and watch refuses a filter ${what}`,
  reason: "InvalidKey",
  says: [says],
  attempts: withFilter(untyped(filter))
}))

// -----------------------------------------------------------------------------
// values
// -----------------------------------------------------------------------------

const detached = () => {
  const taken = bytes("taken away")
  structuredClone(taken, { transfer: [taken.buffer] })
  return taken
}

const put = one("put", "InvalidValue")
const tooLarge = one("put", "ValueTooLarge")
const maxValueSize = 1024 * 1024

const badValues = [
  ...([
    ["text", "text"],
    ["null", null],
    ["a number", 7],
    ["a boolean", true],
    ["a list of numbers", [1, 2, 3]],
    ["an object", { a: 1 }],
    ["an object that looks like bytes", { length: 1, 0: 1, buffer: new ArrayBuffer(1) }],
    ["an ArrayBuffer", new ArrayBuffer(2)],
    ["a DataView", new DataView(new ArrayBuffer(2))],
    ["16-bit numbers", Uint16Array.of(1, 2)],
    ["signed bytes", Int8Array.of(1, 2)],
    ["a promise of bytes", Promise.resolve(value)],
    ["an effect of bytes", Effect.succeed(value)],
    ["undefined", undefined]
  ] as const).map(([what, given]) =>
    put(`a value that is ${what}`, ["expected a Uint8Array", "typed view"], (store) => store.put("a", untyped(given)))
  ),
  put(
    "bytes with a detached buffer",
    ["expected a Uint8Array", "detached"],
    (store) => store.put("a", detached())
  ),
  ...[undefined, KVStore.KVOptions.createOnly, KVStore.KVOptions.updateOnly, KVStore.KVOptions.atRevision(1)].map(
    (options) =>
      tooLarge(
        `a value one byte too large, ${options === undefined ? "without a condition" : Object.keys(options).join()}`,
        [String(maxValueSize + 1), String(maxValueSize)],
        (store) => store.put("a", new Uint8Array(maxValueSize + 1), options)
      )
  ),
  put(
    "a typed value of another type",
    ["cents"],
    (store) => priced(store, (prices) => prices.put("a", untyped({ cents: "1" })))
  ),
  put(
    "a typed value with a field missing",
    ["cents"],
    (store) => priced(store, (prices) => prices.put("a", untyped({})))
  ),
  put(
    "a typed value that is undefined",
    ["object"],
    (store) => priced(store, (prices) => prices.put("a", untyped(undefined)))
  ),
  put(
    "a typed number without a JSON form",
    ["cents", "integer"],
    (store) => priced(store, (prices) => prices.put("a", { cents: Number.NaN }))
  ),
  put(
    "an invalid typed value with an invalid key",
    ["cents"],
    (store) => priced(store, (prices) => prices.put("a..b", untyped({})))
  ),
  one("modify", "InvalidValue")(
    "a typed value that does not encode",
    ["cents"],
    (store) => priced(store, (prices) => prices.modify("new", () => Option.some({ cents: 0.5 })))
  )
]

// -----------------------------------------------------------------------------
// options
// -----------------------------------------------------------------------------

const withRevision = (revision: never): ReadonlyArray<Attempt> => [
  ["put", (store) => store.put("a", value, { revision })],
  ["put", (store) => store.put("a", value, KVStore.KVOptions.whenKey("b", revision))],
  ["delete", (store) => store.delete("a", { revision })],
  ["purge", (store) => store.purge("a", { revision })],
  ["put", (store) => priced(store, (prices) => prices.put("a", { cents: 1 }, { revision }))],
  ["delete", (store) => priced(store, (prices) => prices.delete("a", { revision }))],
  ["watch", (store) => watch(store, "a", { from: { revision } })]
]

const badRevisions = ([
  ["not a number", Number.NaN, "NaN"],
  ["negative", -1, "-1"],
  ["a fraction", 1.5, "1.5"],
  ["larger than the safe integers", 2 ** 53, "9007199254740992"],
  ["infinite", Number.POSITIVE_INFINITY, "Infinity"],
  ["text", "1", `"1"`],
  ["a bigint", 1n, "1n"],
  ["null", null, "null"],
  ["a boolean", true, "true"],
  ["an object without a prototype", bare(), "an object"]
] as const).map(([what, revision, shown]): BadInput => ({
  title: `every operation refuses a revision that is ${what}`,
  reason: "InvalidConfig",
  says: ["whole number from 0", shown],
  attempts: withRevision(untyped(revision))
}))

const badOptions = one("put", "InvalidConfig")
const badRemoval = (operation: string) => one(operation, "InvalidConfig")
const badWatch = one("watch", "InvalidConfig")

const putWith = (options: unknown): Attempt[1] => (store) => store.put("a", value, untyped(options))
const names = ["createOnly", "updateOnly", "revision", "whenKey"]

const badOptionsOfAll = [
  badOptions("a ttl", [`"ttl"`, ...names], putWith({ ttl: "5 seconds" })),
  badOptions("a ttl beside a condition", [`"ttl"`, ...names], putWith({ createOnly: true, ttl: 5 })),
  badOptions("a condition under the name of another client", [`"previousSeq"`, ...names], putWith({ previousSeq: 3 })),
  badOptions("a name with the wrong case", [`"createonly"`, ...names], putWith({ createonly: true })),
  badOptions("createOnly with a revision", ["one condition"], putWith({ createOnly: true, revision: 0 })),
  badOptions("createOnly with updateOnly", ["one condition"], putWith({ createOnly: true, updateOnly: true })),
  badOptions("updateOnly with a revision", ["one condition"], putWith({ updateOnly: true, revision: 1 })),
  badOptions(
    "whenKey with a revision",
    ["one condition"],
    putWith({ whenKey: { key: "b", revision: 0 }, revision: 1 })
  ),
  badOptions(
    "all conditions at once",
    ["one condition"],
    putWith({
      createOnly: true,
      updateOnly: true,
      revision: 1,
      whenKey: { key: "b", revision: 0 }
    })
  ),
  badOptions("options without a condition", ["one condition"], putWith({})),
  badOptions("a revision that is undefined", ["one condition"], putWith({ revision: undefined })),
  badOptions("createOnly that is false", ["createOnly", "false"], putWith({ createOnly: false })),
  badOptions("updateOnly that is text", ["updateOnly", "yes"], putWith({ updateOnly: "yes" })),
  badOptions("options that are text", ["object", "createOnly", "a plain string"], putWith("createOnly")),
  badOptions("options that are a number", ["object", "a number"], putWith(3)),
  badOptions("options that are null", ["object", "null"], putWith(null)),
  badOptions("whenKey that is text", ["whenKey.key", "whenKey.revision", "a plain string"], putWith({ whenKey: "b" })),
  badOptions(
    "whenKey without a revision",
    ["whenKey.revision", "whole number from 0", "undefined"],
    putWith({ whenKey: { key: "b" } })
  ),
  one("put", "InvalidKey")(
    "whenKey with an invalid key",
    ["whenKey", `"b..c"`],
    putWith({ whenKey: { key: "b..c", revision: 0 } })
  ),
  ...(["delete", "purge"] as const).flatMap((remove) => {
    const removeWith = (options: unknown): Attempt[1] => (store) => store[remove]("a", untyped(options))
    return [
      badRemoval(remove)("a ttl", [`"ttl"`, "revision"], removeWith({ ttl: 5 })),
      badRemoval(remove)("createOnly", [`"createOnly"`, "revision"], removeWith({ createOnly: true })),
      badRemoval(remove)(
        "a condition under the name of another client",
        [`"previousSeq"`, "revision"],
        removeWith({ previousSeq: 1 })
      ),
      badRemoval(remove)("a revision in place of the options", ["object", "revision", "a number"], removeWith(1)),
      badRemoval(remove)("options that are null", ["object", "null"], removeWith(null))
    ]
  }),
  badWatch(
    "an unknown start",
    ["from", `"updates"`, "beginning"],
    (store) => watch(store, "a", { from: "beginning" })
  ),
  badWatch("a start that is a plain number", ["from", "revision", "7"], (store) => watch(store, "a", { from: 7 })),
  badWatch("a start that is null", ["from", "null"], (store) => watch(store, "a", { from: null })),
  badWatch(
    "a start without a revision",
    ["from.revision", "whole number from 0", "undefined"],
    (store) => watch(store, "a", { from: {} })
  ),
  badWatch(
    "an option of another client",
    [`"ignoreDeletes"`, "from"],
    (store) => watch(store, "a", { ignoreDeletes: true })
  ),
  badWatch("a name with the wrong case", [`"From"`, "from"], (store) => watch(store, "a", { From: "updates" })),
  badWatch("options that are text", ["object", "from", "a plain string"], (store) => watch(store, "a", "updates")),
  badWatch("options that are null", ["object", "null"], (store) => watch(store, "a", null))
]

// -----------------------------------------------------------------------------
// combinators
// -----------------------------------------------------------------------------

const badHelpers = [
  one("getMany", "InvalidKey")(
    "one key in place of a list",
    ["a list of keys", `"orders"`],
    (store) => store.getMany("orders")
  ),
  one("getMany", "InvalidKey")(
    "an undefined list of keys",
    ["a list of keys"],
    (store) => store.getMany(untyped(undefined))
  ),
  one("getMany", "InvalidKey")(
    "a number in place of a list of keys",
    ["a list of keys", "7"],
    (store) => store.getMany(untyped(7))
  ),
  one("modify", "InvalidValue")(
    "a change that returns a value without an Option",
    ["an Option"],
    (store) => priced(store, (prices) => prices.modify("new", untyped(() => ({ cents: 1 }))))
  ),
  one("modify", "InvalidValue")(
    "a change that returns undefined",
    ["an Option", "undefined"],
    (store) => priced(store, (prices) => prices.modify("new", untyped(() => undefined)))
  )
]

export const badInputs: ReadonlyArray<BadInput> = [
  ...badKeys,
  ...badFilters,
  ...badValues,
  ...badRevisions,
  ...badOptionsOfAll,
  ...badHelpers
]

/** Limits an effect to 1 s of the real clock, also on virtual time. Timeouts of operations are longer. */
const atOnce = <A, E>(effect: Effect.Effect<A, E>) =>
  effect.pipe(
    Effect.timeoutOrElse({
      duration: "1 second",
      orElse: () => Effect.sync(() => assert.fail("no error within 1 second"))
    }),
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())
  )

/** Asserts that every operation of a row fails as expected. */
export const refused = (store: Store, { attempts, reason, says }: BadInput) =>
  Effect.forEach(attempts, ([operation, run]) =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(atOnce(Effect.suspend(() => run(store))))
      assert.deepStrictEqual(
        [error._tag, error.reason._tag, error.operation, error.bucket, error.isRetryable],
        ["KVStoreError", reason, operation, store.config.bucket, false],
        error.message
      )
      for (const words of says) assert.include(error.message, words)
    }), { discard: true })

/** The contents and the status of a store. */
const stateOf = (store: Store) => Effect.all([store.status, store.entries(), store.history("a")])

export const badInput = (test: Test) => {
  for (const row of badInputs) {
    test(`${row.title}, and nothing is written`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ storage: "memory" })
        yield* store.put("a", bytes(`{"cents":1}`))
        const before = yield* stateOf(store)
        yield* refused(store, row)
        assert.deepStrictEqual(yield* stateOf(store), before)
      }))
  }
}
