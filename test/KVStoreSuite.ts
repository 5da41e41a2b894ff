/**
 * What every backend promises of a `KVStore`, as one suite: memory on virtual time and real servers run the same cases,
 * so that none behaves otherwise. What only some can do (markers, a condition on another key) is asked of all, and a
 * backend that cannot must say so.
 */
import { assert, layer } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as KVStore from "../src/KVStore.ts"
import type * as Config from "../src/KVStoreConfig.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/** What a test needs of a backend besides its stores. */
export class Buckets extends Context.Service<Buckets, {
  /** A store on the bucket, which is made where it is not there. */
  readonly layer: (options: Config.Options) => Layer.Layer<KVStore.KVStore, KVStore.KVStoreError>
  /** Loses the bucket with all that it holds. */
  readonly drop: (bucket: string) => Effect.Effect<void>
}>()("effect-aegis/test/Buckets") {}

/** A backend, and what it can do. */
export interface Backend {
  readonly kind: "memory" | "nats"
  /** Whether its time is the TestClock's. */
  readonly virtual: boolean
  /** Whether it leaves markers and checks a condition on another key: memory, and servers from 2.11 on. */
  readonly markers: boolean
  readonly buckets: Layer.Layer<Buckets, unknown>
}

/** What a test runs on. */
export type Services = Buckets | Scope.Scope

type Test = (title: string, body: () => Effect.Effect<void, unknown, Services>) => void

type Store = KVStore.KVStore["Service"]

// -----------------------------------------------------------------------------
// helpers
// -----------------------------------------------------------------------------

/** Short enough for a prompt test, long enough not to move past what a test wants to see. */
const virtualStep = Duration.millis(10)
const pollInterval = Duration.millis(3)
/** Of the TestClock, or of the real one: far beyond anything waited for here. */
const patience = Duration.seconds(15)

/**
 * Repeats `effect` until its result is as wanted, and gives that result. Virtual time is moved in small steps; on the
 * real clock it polls. A condition that never comes fails the test, and says what was there instead.
 */
export const eventually = (virtual: boolean) => {
  const step = virtual ? virtualStep : pollInterval
  const wait = virtual ? TestClock.adjust(step) : Effect.sleep(step)
  return <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    predicate: (value: A) => boolean,
    within: Duration.Duration = patience
  ): Effect.Effect<A, E, R> =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const end = clock.currentTimeMillisUnsafe() + Duration.toMillis(within)
      while (true) {
        const value = yield* effect
        if (predicate(value)) return value
        if (clock.currentTimeMillisUnsafe() > end) {
          return assert.fail(`not within ${Duration.format(within)}; the last was ${JSON.stringify(value)}`)
        }
        yield* wait
      }
    })
}

let buckets = 0

/** A name that no other test of this process has. */
export const freshName = () => `bucket-${++buckets}`

/** Opens a bucket for as long as the test runs; a new one where no name is given. */
export const openBucket = Effect.fnUntraced(function*(options: Partial<Config.Options> = {}) {
  const context = yield* Layer.build((yield* Buckets).layer({ bucket: freshName(), ...options }))
  return Context.get(context, KVStore.KVStore)
})

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export const textOf = (value: Uint8Array): string => new TextDecoder().decode(value)

/** The text that a key has now. */
export const read = (store: Store, key: string) =>
  Effect.map(store.get(key), Option.map((entry) => textOf(entry.value)))

/** An event in a word or two, without its numbers. */
export const shown = (event: KVStore.KVEvent): string => {
  switch (event._tag) {
    case "Put":
      return `${event.entry.key}=${textOf(event.entry.value)}`
    case "Removed":
      return `${event.reason} ${event.key}`
    case "Invalid":
      return `invalid ${event.key}`
    case "Ready":
      return "ready"
  }
}

const revisionOf = (event: KVStore.KVEvent): ReadonlyArray<number> =>
  event._tag === "Ready" ? [] : [event._tag === "Put" ? event.entry.revision : event.revision]

type ReasonOf<Tag> = Extract<KVStore.KVStoreReason, { readonly _tag: Tag }>

/** The reason for which an effect fails: this one, or the test fails. */
export const reasonOf = <A, R, Tag extends KVStore.KVStoreReason["_tag"]>(
  effect: Effect.Effect<A, KVStore.KVStoreError, R>,
  tag: Tag
): Effect.Effect<ReasonOf<Tag>, never, R> =>
  Effect.match(effect, {
    onFailure: (error) => {
      assert.strictEqual(error.reason._tag, tag, error.message)
      return error.reason as ReasonOf<Tag>
    },
    onSuccess: (value) => assert.fail(`${tag} was expected, and it succeeded with ${JSON.stringify(value)}`)
  })

/** The same, and the bucket is as it was before. */
const refusal = Effect.fnUntraced(function*<A, Tag extends KVStore.KVStoreReason["_tag"]>(
  store: Store,
  effect: Effect.Effect<A, KVStore.KVStoreError>,
  tag: Tag
) {
  const before = yield* store.status
  const reason = yield* reasonOf(effect, tag)
  const after = yield* store.status
  assert.strictEqual(after.lastRevision, before.lastRevision, "nothing was written")
  assert.strictEqual(after.values, before.values, "nothing was removed")
  return reason
})

/** What a stream has given so far; it is read in the background for as long as the test runs. */
export const record = Effect.fnUntraced(function*<A, E>(stream: Stream.Stream<A, E>) {
  const events: Array<A> = []
  const fiber = yield* stream.pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        events.push(event)
      })
    ),
    Effect.forkScoped
  )
  return { events, fiber }
})

const all = (count: number) => Array.from({ length: count }, (_, index) => index)

/** Writes one after the other for as long as the test runs, several at once. */
const keepWriting = (writers: number, write: (n: number) => Effect.Effect<unknown, KVStore.KVStoreError>) =>
  Effect.suspend(() => {
    let written = 0
    const next = Effect.andThen(Effect.suspend(() => write(written++)), Effect.yieldNow)
    return Effect.forkScoped(Effect.replicateEffect(Effect.forever(next), writers, { concurrency: writers }))
  })

/** What no type allows, and JavaScript does. */
const untyped = (value: unknown) => value as never

const badKeys = [
  "",
  " ",
  " x y",
  "x ",
  "x!",
  "xx$",
  "*",
  ">",
  "x.>",
  "x.*",
  ".",
  ".x",
  ".x.",
  "x.",
  "a..b",
  "grüße",
  "x".repeat(1025)
]

const badFilters = ["", " ", "x!", ">.a", "a.>.b", "a*", ".a", "a.", "a..b", "a.**", "grüße"]

const badRevisions = [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, "1", null]

// -----------------------------------------------------------------------------
// the suite
// -----------------------------------------------------------------------------

/** Runs every case against the backend. */
export const suite = (name: string, backend: Backend): void =>
  layer(backend.buckets, { excludeTestServices: true, timeout: "30 seconds" })(name, (it) => {
    const test: Test = (title, body) =>
      it.effect(title, () =>
        backend.virtual
          ? body().pipe(Effect.scoped, Effect.provide(TestClock.layer()))
          : body())
    const until = eventually(backend.virtual)
    values(test, backend)
    conditions(test, backend, until)
    misuse(test)
    removals(test)
    histories(test)
    listings(test)
    sizes(test)
    fullOverwrites(test, backend)
    ages(test, backend, until)
    markers(test, backend, until)
    watches(test, until)
    typedViews(test, until)
    combinators(test)
    descriptions(test, backend)
    configurations(test)
  })

type Until = ReturnType<typeof eventually>

const values = (test: Test, backend: Backend) => {
  test("gets what was put, under the revision that put gave", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"))
      const entry = Option.getOrThrow(yield* store.get("a"))
      assert.strictEqual(entry.key, "a")
      assert.strictEqual(textOf(entry.value), "1")
      assert.strictEqual(entry.revision, revision)
    }))

  test("gets none for a key that nobody has written", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      assert.isTrue(Option.isNone(yield* store.get("b")))
      assert.isTrue(Option.isNone(yield* store.get("a.b")))
    }))

  test("gets the latest of several puts", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* Effect.forEach(all(5), (n) => store.put("a", bytes(`${n}`)))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("4"))
    }))

  test("gives every write of the bucket the next revision, whatever its key and kind", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      const first = yield* store.put("a", bytes("1"))
      assert.strictEqual(yield* store.put("b", bytes("2")), first + 1)
      yield* store.delete("a")
      yield* store.purge("c")
      assert.strictEqual(yield* store.put("a", bytes("3")), first + 4)
      assert.strictEqual((yield* store.status).lastRevision, first + 4)
    }))

  test("gives revisions that a number holds exactly", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"))
      assert.isTrue(Number.isSafeInteger(revision) && revision > 0)
      // Fifty years of writes at once a microsecond must still fit.
      if (backend.kind === "nats") assert.isTrue(Number.isSafeInteger(revision + 50 * 365 * 86_400 * 1_000_000))
    }))

  test("goes on above every revision of an earlier bucket of the same name", () =>
    Effect.gen(function*() {
      const bucket = freshName()
      const earlier = yield* openBucket({ bucket })
      const last = yield* Effect.forEach(all(50), (n) => earlier.put("a", bytes(`${n}`)))
      yield* (yield* Buckets).drop(bucket)
      const later = yield* openBucket({ bucket })
      assert.isTrue(Option.isNone(yield* later.get("a")))
      yield* refusal(later, later.put("a", bytes("x"), KVStore.KVOptions.atRevision(last.at(-1)!)), "RevisionMismatch")
      assert.isAbove(yield* later.put("a", bytes("x")), Math.max(...last))
    }))

  test("keeps values that are empty, and values of every byte", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const every = Uint8Array.from(all(256))
      yield* store.put("empty", new Uint8Array(0))
      yield* store.put("every", every)
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get("empty")).value, new Uint8Array(0))
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get("every")).value, every)
      assert.deepStrictEqual(yield* store.keys(), ["empty", "every"])
    }))

  test("is not changed by what is done to the bytes that were put", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const value = bytes("abc")
      yield* store.put("a", value)
      value.fill(0)
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("abc"))
    }))

  test("is not changed by what is done to the bytes that it gave", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 2 })
      yield* store.put("a", bytes("abc"))
      Option.getOrThrow(yield* store.get("a")).value.fill(0)
      for (const entry of yield* store.entries()) entry.value.fill(0)
      for (const event of yield* store.history("a")) if (event._tag === "Put") event.entry.value.fill(0)
      yield* store.watch().pipe(
        Stream.take(1),
        Stream.runForEach((event) => Effect.sync(() => event._tag === "Put" && event.entry.value.fill(0)))
      )
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("abc"))
    }))

  test("takes keys of every kind that NATS takes", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const keys = ["foo", "_foo", "-foo", "_kv_foo", "foo123", "123", "a/b/c", "a.b.c", "x=y", "k".repeat(1024)]
      yield* Effect.forEach(keys, (key) => store.put(key, bytes(key), KVStore.KVOptions.createOnly))
      for (const key of keys) assert.deepStrictEqual(yield* read(store, key), Option.some(key))
      assert.deepStrictEqual(yield* store.keys(), keys)
    }))
}

const conditions = (test: Test, backend: Backend, until: Until) => {
  const { atRevision, createOnly, updateOnly, whenKey } = KVStore.KVOptions

  test("createOnly writes where there is nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"), createOnly)
      assert.strictEqual(Option.getOrThrow(yield* store.get("a")).revision, revision)
    }))

  test("createOnly on a live value is KeyAlreadyExists, and names its revision", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("a", bytes("1"))
      const reason = yield* refusal(store, store.put("a", bytes("2"), createOnly), "KeyAlreadyExists")
      assert.strictEqual(reason.revision, revision)
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))

  test("createOnly on an empty live value is KeyAlreadyExists", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", new Uint8Array(0))
      yield* refusal(store, store.put("a", bytes("2"), createOnly), "KeyAlreadyExists")
    }))

  for (const [how, remove] of [["deleted", "delete"], ["purged", "purge"]] as const) {
    test(`createOnly writes where the value was ${how}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 3 })
        yield* store.put("a", bytes("1"))
        yield* store[remove]("a")
        yield* store.put("a", bytes("2"), createOnly)
        assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
        yield* refusal(store, store.put("a", bytes("3"), createOnly), "KeyAlreadyExists")
      }))

    test(`updateOnly where the value was ${how} is KeyNotFound`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 3 })
        yield* store.put("a", bytes("1"))
        yield* store[remove]("a")
        yield* refusal(store, store.put("a", bytes("2"), updateOnly), "KeyNotFound")
      }))
  }

  test("createOnly writes where the value has aged away", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ streamMaxAge: "200 millis", storage: "memory" })
      yield* store.put("a", bytes("1"))
      const create = Effect.catchReason(
        store.put("a", bytes("2"), createOnly),
        "KVStoreError",
        "KeyAlreadyExists",
        () => Effect.succeed(0)
      )
      const revision = yield* until(create, (revision) => revision > 0)
      const entry = Option.getOrThrow(yield* store.get("a"))
      assert.deepStrictEqual([textOf(entry.value), entry.revision], ["2", revision])
    }))

  test("updateOnly writes over a live value, and only there", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* refusal(store, store.put("a", bytes("1"), updateOnly), "KeyNotFound")
      const first = yield* store.put("a", bytes("1"))
      assert.strictEqual(yield* store.put("a", bytes("2"), updateOnly), first + 1)
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("atRevision writes over exactly that revision, once", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const first = yield* store.put("a", bytes("1"))
      const second = yield* store.put("a", bytes("2"), atRevision(first))
      assert.isAbove(second, first)
      const reason = yield* refusal(store, store.put("a", bytes("3"), atRevision(first)), "RevisionMismatch")
      assert.strictEqual(reason.expected, first)
      assert.strictEqual(reason.actual, second)
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("atRevision is checked against this key, and not against the bucket", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const a = yield* store.put("a", bytes("1"))
      const b = yield* store.put("b", bytes("1"))
      yield* refusal(store, store.put("a", bytes("2"), atRevision(b)), "RevisionMismatch")
      yield* store.put("a", bytes("2"), atRevision(a))
    }))

  test("atRevision(0) writes only where there is no message at all", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const first = yield* store.put("a", bytes("1"), atRevision(0))
      const live = yield* refusal(store, store.put("a", bytes("2"), atRevision(0)), "RevisionMismatch")
      assert.deepStrictEqual([live.expected, live.actual], [0, first])
      yield* store.delete("a")
      const tombstone = yield* refusal(store, store.put("a", bytes("3"), atRevision(0)), "RevisionMismatch")
      assert.deepStrictEqual([tombstone.expected, tombstone.actual], [0, first + 1])
      assert.isTrue(Option.isNone(yield* store.get("a")))
    }))

  test("atRevision counts a tombstone as the key's last message", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const first = yield* store.put("a", bytes("1"))
      yield* store.delete("a")
      yield* refusal(store, store.put("a", bytes("2"), atRevision(first)), "RevisionMismatch")
      yield* store.put("a", bytes("2"), atRevision(first + 1))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("atRevision on a key that nobody has written is RevisionMismatch with 0", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const other = yield* store.put("b", bytes("1"))
      const reason = yield* refusal(store, store.put("a", bytes("1"), atRevision(other)), "RevisionMismatch")
      assert.deepStrictEqual([reason.expected, reason.actual], [other, 0])
    }))

  test("whenKey writes while another key is at that revision, or is refused where the server cannot check it", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const guard = yield* store.put("guard", bytes("1"))
      if (!backend.markers) {
        const reason = yield* refusal(store, store.put("a", bytes("1"), whenKey("guard", guard)), "InvalidConfig")
        assert.match(reason.problem, /whenKey.*2\.11.*2\.10/)
        // An older server would have checked the number against the written key: 0 is right there.
        yield* refusal(store, store.put("a", bytes("1"), whenKey("guard", 0)), "InvalidConfig")
        return
      }
      yield* store.put("a", bytes("1"), whenKey("guard", guard))
      yield* store.put("a", bytes("2"), whenKey("guard", guard))
      const next = yield* store.put("guard", bytes("2"))
      const reason = yield* refusal(store, store.put("a", bytes("3"), whenKey("guard", guard)), "RevisionMismatch")
      assert.deepStrictEqual([reason.expected, reason.actual], [guard, next])
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  if (backend.markers) {
    test("whenKey counts the guard's tombstone, and 0 is a guard without any message", () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        yield* store.put("a", bytes("1"), whenKey("guard", 0))
        const guard = yield* store.put("guard", bytes("1"))
        yield* refusal(store, store.put("a", bytes("2"), whenKey("guard", 0)), "RevisionMismatch")
        yield* store.delete("guard")
        yield* refusal(store, store.put("a", bytes("2"), whenKey("guard", guard)), "RevisionMismatch")
        yield* store.put("a", bytes("2"), whenKey("guard", guard + 1))
      }))
  }

  test("lets exactly one of 1,000 creators win", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const results = yield* Effect.forEach(
        all(1000),
        (n) => Effect.result(store.put("a", bytes(`${n}`), createOnly)),
        { concurrency: "unbounded" }
      )
      const winners = all(1000).filter((n) => results[n]!._tag === "Success")
      const losers = results.flatMap((result) => result._tag === "Failure" ? [result.failure.reason._tag] : [])
      assert.strictEqual(winners.length, 1)
      assert.deepStrictEqual([losers.length, [...new Set(losers)]], [999, ["KeyAlreadyExists"]])
      assert.deepStrictEqual(yield* read(store, "a"), Option.some(`${winners[0]}`))
    }))

  test("lets exactly one of many creators win over a tombstone", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.delete("a")
      const tags = yield* Effect.forEach(
        all(100),
        () =>
          Effect.match(store.put("a", bytes("1"), createOnly), {
            onFailure: (error) => error.reason._tag,
            onSuccess: () => "won"
          }),
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(tags.filter((tag) => tag !== "KeyAlreadyExists"), ["won"])
    }))

  test("loses none of 1,000 updates by compare-and-set with a retry", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("count", bytes("0"))
      const increment = Effect.gen(function*() {
        const entry = Option.getOrThrow(yield* store.get("count"))
        yield* Effect.yieldNow
        yield* store.put("count", bytes(`${Number(textOf(entry.value)) + 1}`), atRevision(entry.revision))
      }).pipe(Effect.retry({ while: (error) => error.reason._tag === "RevisionMismatch" }))
      yield* Effect.forEach(all(2), () => Effect.forEach(all(500), () => increment), { concurrency: "unbounded" })
      assert.deepStrictEqual(yield* read(store, "count"), Option.some("1000"))
    }))

  test("gives every one of many updateOnly writes a revision of its own", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("0"))
      const fiber = yield* Effect.forEach(all(8), (n) => store.put("a", bytes(`${n}`), updateOnly), {
        concurrency: "unbounded"
      }).pipe(Effect.forkScoped)
      const exit = yield* until(Effect.sync(() => fiber.pollUnsafe()), (exit) => exit !== undefined)
      const revisions = yield* exit!
      assert.strictEqual(new Set(revisions).size, 8)
      assert.strictEqual((yield* store.status).lastRevision, Math.max(...revisions))
    }))
}

/** Each line must not compile, and is told what is wrong where nobody compiled it. */
const misuses: ReadonlyArray<readonly [KVStore.KVOptions, string]> = [
  // @ts-expect-error There is no ttl: a plain write after a timed one would make the key immortal.
  [{ ttl: "5 seconds" }, "ttl"],
  // @ts-expect-error Nor is there one beside a condition.
  [{ createOnly: true, ttl: 5 }, "ttl"],
  // @ts-expect-error The server checks one condition: createOnly and updateOnly are two.
  [{ createOnly: true, updateOnly: true }, "one condition"],
  // @ts-expect-error The server checks one number: that of createOnly is 0, so no other can be given.
  [{ createOnly: true, revision: 3 }, "one condition"],
  // @ts-expect-error updateOnly is a condition on the revision that it read, so no other can be given.
  [{ updateOnly: true, revision: 3 }, "one condition"],
  // @ts-expect-error The server would silently ignore the revision beside a condition on another key.
  [{ revision: 3, whenKey: { key: "b", revision: 1 } }, "one condition"],
  // @ts-expect-error The server would silently ignore createOnly beside a condition on another key.
  [{ createOnly: true, whenKey: { key: "b", revision: 1 } }, "one condition"],
  // @ts-expect-error Off is said by leaving the option out: a false one would be a plain write.
  [{ createOnly: false }, "createOnly"],
  // @ts-expect-error What is not true is not a condition, and must not be taken for none.
  [{ updateOnly: "yes" }, "updateOnly"],
  // @ts-expect-error A condition on another key needs that key's revision.
  [{ whenKey: { key: "b" } }, "revision"],
  // @ts-expect-error A condition on another key is a key and a revision.
  [{ whenKey: null }, "whenKey"],
  // @ts-expect-error No options are undefined, and not null.
  [null, "options"]
]

const misuse = (test: Test) => {
  test("refuses two conditions, an unknown option such as ttl, and a condition that is none, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      for (const [options, named] of misuses) {
        const reason = yield* refusal(store, store.put("a", bytes("2"), options), "InvalidConfig")
        assert.include(reason.problem, named, JSON.stringify(options))
      }
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))

  test("refuses a revision that is none, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      for (const revision of badRevisions) {
        const attempts = [
          store.put("a", bytes("2"), { revision: untyped(revision) }),
          store.put("a", bytes("2"), KVStore.KVOptions.whenKey("b", untyped(revision))),
          store.delete("a", { revision: untyped(revision) }),
          store.purge("a", { revision: untyped(revision) }),
          Stream.runDrain(store.watch("a", { from: { revision: untyped(revision) } }))
        ]
        for (const attempt of attempts) yield* refusal<unknown, "InvalidConfig">(store, attempt, "InvalidConfig")
      }
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))

  test("refuses an option that delete and purge do not have, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      // @ts-expect-error There is no ttl: neither for values nor for tombstones.
      yield* refusal(store, store.delete("a", { ttl: 5 }), "InvalidConfig")
      // @ts-expect-error A purge is conditioned on a revision, and on nothing else.
      yield* refusal(store, store.purge("a", { createOnly: true }), "InvalidConfig")
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))

  test("refuses a key that is none in every operation, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const key of [...badKeys, untyped(undefined), untyped(7)]) {
        const attempts = [
          store.get(key),
          store.put(key, bytes("1")),
          store.put(key, bytes("1"), KVStore.KVOptions.createOnly),
          store.put("a", bytes("1"), KVStore.KVOptions.whenKey(key, 0)),
          store.delete(key),
          store.purge(key),
          store.history(key)
        ]
        for (const attempt of attempts) yield* refusal<unknown, "InvalidKey">(store, attempt, "InvalidKey")
      }
    }))

  test("refuses a filter that is none in every listing and watch", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const filter of [...badFilters, untyped(7)]) {
        const attempts = [store.keys(filter), store.entries(filter), Stream.runDrain(store.watch(filter))]
        for (const attempt of attempts) yield* refusal<unknown, "InvalidKey">(store, attempt, "InvalidKey")
      }
    }))

  test("refuses a watch from anywhere else", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const from of ["beginning", 7, null]) {
        const watch = Stream.runDrain(store.watch(undefined, { from: untyped(from) }))
        const reason = yield* refusal(store, watch, "InvalidConfig")
        assert.include(reason.problem, "from")
      }
    }))

  test("refuses a value that is not bytes, and writes nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      for (const value of ["text", undefined, null, 7, { a: 1 }, new ArrayBuffer(2), [1, 2]]) {
        yield* refusal(store, store.put("a", untyped(value)), "InvalidValue")
      }
    }))

  test("says in an error where it happened, why, and that only an outage is worth another attempt", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const revision = yield* store.put("orders.7", bytes("1"))
      const attempts: ReadonlyArray<
        readonly [string, string | undefined, Effect.Effect<unknown, KVStore.KVStoreError>]
      > = [
        ["put", "orders.7", store.put("orders.7", bytes("2"), KVStore.KVOptions.createOnly)],
        ["put", "orders.8", store.put("orders.8", bytes("2"), KVStore.KVOptions.updateOnly)],
        ["delete", "orders.7", store.delete("orders.7", { revision: revision + 1 })],
        ["purge", "orders.7", store.purge("orders.7", { revision: revision + 1 })],
        ["get", "a..b", store.get("a..b")],
        ["history", "a..b", store.history("a..b")],
        ["keys", "a..b", store.keys("a..b")],
        ["entries", "a..b", store.entries("a..b")],
        ["watch", "a..b", Stream.runDrain(store.watch("a..b"))]
      ]
      for (const [operation, key, attempt] of attempts) {
        const error = yield* Effect.flip(attempt)
        assert.deepStrictEqual([error._tag, error.operation, error.key, error.bucket], [
          "KVStoreError",
          operation,
          key,
          store.config.bucket
        ])
        assert.strictEqual(
          error.message,
          `${operation} "${key}" in bucket "${store.config.bucket}": ${error.reason.message}`
        )
        assert.isAbove(error.reason.message.length, 15)
        assert.isFalse(error.isRetryable)
      }
    }))

  test("lets a program catch one reason and leave the others", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      const caught = (options: KVStore.KVOptions) =>
        store.put("a", bytes("2"), options).pipe(
          Effect.catchReason("KVStoreError", "KeyAlreadyExists", () => Effect.succeed("exists"))
        )
      assert.strictEqual(yield* caught(KVStore.KVOptions.createOnly), "exists")
      yield* reasonOf(caught(KVStore.KVOptions.atRevision(0)), "RevisionMismatch")
    }))
}

const removals = (test: Test) => {
  test("delete leaves a tombstone over the kept values", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      const first = yield* store.put("a", bytes("1"))
      yield* store.delete("a")
      assert.isTrue(Option.isNone(yield* store.get("a")))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a", "a=1"])
      assert.deepStrictEqual((yield* store.history("a")).flatMap(revisionOf), [first + 1, first])
    }))

  test("delete leaves a tombstone also where there was nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const before = (yield* store.status).lastRevision
      yield* store.delete("a")
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a"])
      assert.strictEqual((yield* store.status).lastRevision, before + 1)
      assert.isTrue(Option.isNone(yield* store.get("a")))
    }))

  test("delete takes only the key that it names", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a", "a.b", "a.b.c"], (key) => store.put(key, bytes("1")))
      yield* store.delete("a.b")
      assert.deepStrictEqual(yield* store.keys(), ["a", "a.b.c"])
    }))

  for (const remove of ["delete", "purge"] as const) {
    test(`${remove} with a revision removes that one, and refuses any other`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 5 })
        const first = yield* store.put("a", bytes("1"))
        const second = yield* store.put("a", bytes("2"))
        for (const wrong of [first, second + 1, 0]) {
          const reason = yield* refusal(store, store[remove]("a", { revision: wrong }), "RevisionMismatch")
          assert.deepStrictEqual([reason.expected, reason.actual], [wrong, second])
        }
        assert.deepStrictEqual((yield* store.history("a")).map(shown), ["a=2", "a=1"])
        yield* store[remove]("a", { revision: second })
        assert.isTrue(Option.isNone(yield* store.get("a")))
      }))

    test(`${remove} with revision 0 is for a key without any message`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        yield* store[remove]("a", { revision: 0 })
        yield* refusal(store, store[remove]("a", { revision: 0 }), "RevisionMismatch")
      }))
  }

  test("purge removes the history too, and leaves one tombstone", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* store.put("b", bytes("1"))
      yield* Effect.forEach(all(3), (n) => store.put("a", bytes(`${n}`)))
      assert.strictEqual((yield* store.status).values, 4)
      yield* store.purge("a")
      assert.isTrue(Option.isNone(yield* store.get("a")))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["purge a"])
      assert.strictEqual((yield* store.status).values, 2)
      assert.deepStrictEqual((yield* store.history("b")).map(shown), ["b=1"])
    }))

  test("purge leaves a tombstone also where there was nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.purge("a")
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["purge a"])
    }))
}

const histories = (test: Test) => {
  test("history is newest first, with tombstones", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 10 })
      yield* store.put("a", bytes("1"))
      yield* store.put("b", bytes("x"))
      yield* store.delete("a")
      yield* store.put("a", bytes("2"))
      yield* store.put("a.b", bytes("y"))
      const history = yield* store.history("a")
      assert.deepStrictEqual(history.map(shown), ["a=2", "delete a", "a=1"])
      const revisions = history.flatMap(revisionOf)
      assert.deepStrictEqual(revisions, revisions.toSorted((a, b) => b - a))
    }))

  test("history is trimmed to historySize, tombstones counted", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 3 })
      yield* Effect.forEach(all(5), (n) => store.put("a", bytes(`${n}`)))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["a=4", "a=3", "a=2"])
      yield* store.delete("a")
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["delete a", "a=4", "a=3"])
    }))

  test("history is the last message only where nobody asked for more", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      yield* store.put("a", bytes("2"))
      assert.deepStrictEqual((yield* store.history("a")).map(shown), ["a=2"])
    }))

  test("history of a key that nobody has written is empty", () =>
    Effect.gen(function*() {
      const one = yield* openBucket()
      const many = yield* openBucket({ historySize: 64 })
      assert.deepStrictEqual(yield* one.history("a"), [])
      assert.deepStrictEqual(yield* many.history("a"), [])
    }))
}

const listings = (test: Test) => {
  const keys = ["a", "a.b", "a.c", "a.b.c", "b", "b.b", "x.y.z.w"]
  const found: ReadonlyArray<readonly [filter: string | undefined, keys: ReadonlyArray<string>]> = [
    [undefined, keys],
    [">", keys],
    ["*", ["a", "b"]],
    ["a", ["a"]],
    ["a.b", ["a.b"]],
    ["a.*", ["a.b", "a.c"]],
    ["*.b", ["a.b", "b.b"]],
    ["a.>", ["a.b", "a.c", "a.b.c"]],
    ["*.*.>", ["a.b.c", "x.y.z.w"]],
    ["a.*.c", ["a.b.c"]],
    ["x.>", ["x.y.z.w"]],
    ["x.*", []],
    ["nobody", []]
  ]

  test("keys and entries of an empty bucket are none", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      assert.deepStrictEqual(yield* store.keys(), [])
      assert.deepStrictEqual(yield* store.entries("a.>"), [])
    }))

  test("keys and entries are those that the filter asks for", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(keys, (key) => store.put(key, bytes(key)))
      for (const [filter, expected] of found) {
        assert.deepStrictEqual(yield* store.keys(filter), expected, filter)
        assert.deepStrictEqual((yield* store.entries(filter)).map((entry) => entry.key), expected, filter)
      }
    }))

  test("keys and entries are live, each once, in the order of their revisions", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 4 })
      yield* Effect.forEach(["a", "b", "c", "d", "e"], (key) => store.put(key, bytes("1")))
      yield* store.delete("b")
      yield* store.purge("c")
      yield* store.delete("never")
      yield* store.put("a", bytes("2"))
      assert.deepStrictEqual(yield* store.keys(), ["d", "e", "a"])
      const entries = yield* store.entries()
      assert.deepStrictEqual(entries.map((entry) => shown({ _tag: "Put", entry })), ["d=1", "e=1", "a=2"])
      for (const entry of entries) assert.deepStrictEqual(yield* store.get(entry.key), Option.some(entry))
    }))

  test("a bucket of tombstones lists nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a", "b"], (key) => store.delete(key))
      yield* store.purge("c")
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  test("while others write, no key is listed twice, and none that lives throughout is missing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const keys = all(50).map((n) => `k.${n}`)
      yield* Effect.forEach(keys, (key) => store.put(key, bytes("1")), { concurrency: 16 })
      yield* keepWriting(16, (n) => store.put(keys[(n * 7) % 50]!, bytes(`${n}`)))
      yield* Effect.forEach(all(40), () =>
        Effect.gen(function*() {
          const listed = yield* store.keys()
          assert.deepStrictEqual(listed.toSorted(), keys.toSorted())
        }))
    }))

  test("a listing of many entries is complete", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const keys = all(1500).map((n) => `k.${n}`)
      yield* Effect.forEach(keys, (key) => store.put(key, bytes(key)), { concurrency: 64 })
      assert.deepStrictEqual((yield* store.entries()).map((entry) => textOf(entry.value)).toSorted(), keys.toSorted())
    }))
}

const sizes = (test: Test) => {
  test("takes a value of maxValueSize, under any condition, and refuses one byte more", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxValueSize: 100 })
      const key = "k".repeat(1024)
      const revision = yield* store.put(key, new Uint8Array(100), KVStore.KVOptions.createOnly)
      yield* store.put(key, new Uint8Array(100), KVStore.KVOptions.atRevision(revision))
      yield* store.put(key, new Uint8Array(100).fill(7), KVStore.KVOptions.updateOnly)
      for (const options of [undefined, KVStore.KVOptions.createOnly, KVStore.KVOptions.updateOnly]) {
        const reason = yield* refusal(store, store.put(key, new Uint8Array(101), options), "ValueTooLarge")
        assert.deepStrictEqual([reason.size, reason.limit], [101, 100])
      }
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get(key)).value, new Uint8Array(100).fill(7))
    }))

  test("takes values of up to a mebibyte where nothing was said, less what the server keeps for headers", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const size = 1024 * 1024 - 1024
      yield* store.put("a", new Uint8Array(size).fill(7))
      assert.strictEqual(Option.getOrThrow(yield* store.get("a")).value.length, size)
      yield* refusal(store, store.put("a", new Uint8Array(1024 * 1024 + 1)), "ValueTooLarge")
    }))

  test("a bucket at maxBytes is full for values, and delete still works and makes room", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxBytes: 10_000, maxValueSize: 2000 })
      const fill = Effect.forEach(all(20), (n) => store.put(`k.${n}`, new Uint8Array(1000)))
      const full = yield* reasonOf(fill, "BucketFull")
      assert.strictEqual(full.code, 10077)
      assert.include(full.message, "maxBytes")
      const held = yield* store.keys()
      assert.isAbove(held.length, 4)
      yield* refusal(store, store.put("k.next", new Uint8Array(1000)), "BucketFull")
      yield* store.delete(held[0]!)
      yield* store.purge(held[1]!)
      assert.deepStrictEqual(yield* store.keys(), held.slice(2))
      yield* store.put("k.next", new Uint8Array(1000))
    }))
}

/** A server of the line 2.10 does not count what an overwrite frees. */
const fullOverwrites = (test: Test, backend: Backend) => {
  test("in a full bucket a value may be replaced by one as large, unless the server is an old one", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ maxBytes: 10_000, maxValueSize: 2000 })
      const value = new Uint8Array(1000)
      yield* reasonOf(Effect.forEach(all(20), (n) => store.put(`k.${n}`, value)), "BucketFull")
      if (!backend.markers) {
        yield* refusal(store, store.put("k.0", value), "BucketFull")
        return
      }
      yield* store.put("k.0", value.fill(7))
      assert.deepStrictEqual(Option.getOrThrow(yield* store.get("k.0")).value, value)
    }))
}

const ages = (test: Test, backend: Backend, until: Until) => {
  const aged = { streamMaxAge: "200 millis", storage: "memory" } as const

  test("streamMaxAge removes the latest value too, and watchers are not told", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(aged)
      const watch = yield* record(store.watch())
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("ready"))
      yield* store.put("a", bytes("1"))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
      yield* until(store.get("a"), Option.isNone)
      assert.deepStrictEqual(yield* store.keys(), [])
      yield* store.put("b", bytes("2"))
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("b=2"))
      assert.deepStrictEqual(watch.events.map(shown), ["ready", "a=1", "b=2"])
    }))

  test("streamMaxAge removes history and tombstones as well", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ ...aged, historySize: 5 })
      yield* store.put("a", bytes("1"))
      yield* store.put("a", bytes("2"))
      yield* store.delete("a")
      yield* store.purge("b")
      assert.strictEqual((yield* store.history("a")).length, 3)
      yield* until(store.status, (status) => status.values === 0)
      assert.deepStrictEqual(yield* store.history("a"), [])
      assert.deepStrictEqual(yield* store.history("b"), [])
    }))

  test("a listing is answered also at the moment at which values age away", () =>
    Effect.gen(function*() {
      const emptied = Effect.gen(function*() {
        const store = yield* openBucket({ streamMaxAge: "100 millis", storage: "memory", timeout: "2 seconds" })
        yield* Effect.forEach(all(20), (n) => store.put(`k.${n}`, bytes("1")), { concurrency: 20 })
        yield* until(store.keys(), (keys) => keys.length === 0)
      })
      yield* Effect.replicateEffect(emptied, 5, { concurrency: backend.virtual ? 1 : 5 })
    }))

  test("a key that has aged away silently has no message: 0 is its revision, and its old one is stale", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(aged)
      const first = yield* store.put("a", bytes("1"))
      yield* until(store.get("a"), Option.isNone)
      const stale = yield* refusal(
        store,
        store.put("a", bytes("2"), KVStore.KVOptions.atRevision(first)),
        "RevisionMismatch"
      )
      assert.deepStrictEqual([stale.expected, stale.actual], [first, 0])
      yield* refusal(store, store.put("a", bytes("2"), KVStore.KVOptions.updateOnly), "KeyNotFound")
      assert.isAbove(yield* store.put("a", bytes("2"), KVStore.KVOptions.atRevision(0)), first)
    }))

  if (!backend.virtual) return

  test("a value goes exactly at its age, and not a millisecond before", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(aged)
      yield* store.put("a", bytes("1"))
      yield* TestClock.adjust("199 millis")
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
      assert.deepStrictEqual(yield* store.keys(), ["a"])
      yield* TestClock.adjust("1 millis")
      assert.isTrue(Option.isNone(yield* store.get("a")))
      assert.deepStrictEqual(yield* store.keys(), [])
      assert.strictEqual((yield* store.status).values, 0)
    }))

  test("every put begins its key's age anew", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(aged)
      yield* store.put("kept", bytes("1"))
      yield* store.put("left", bytes("1"))
      for (const n of [2, 3, 4]) {
        yield* TestClock.adjust("150 millis")
        yield* store.put("kept", bytes(`${n}`))
      }
      assert.deepStrictEqual(yield* store.keys(), ["kept"])
    }))
}

const markers = (test: Test, backend: Backend, until: Until) => {
  const marked = { streamMaxAge: "300 millis", expiryMarkers: "2 seconds", storage: "memory" } as const

  if (!backend.markers) {
    test("expiryMarkers are refused at the start, by the name of the setting and the version found", () =>
      Effect.gen(function*() {
        const bucket = freshName()
        const error = yield* Effect.flip(openBucket({ ...marked, bucket }))
        assert.deepStrictEqual([error.reason._tag, error.operation, error.bucket], ["InvalidConfig", "open", bucket])
        assert.match(error.message, /expiryMarkers.*2\.11.*2\.10\.\d+/)
        // Nothing was made: the bucket is not there.
        assert.strictEqual(
          (yield* Effect.flip(openBucket({ bucket, create: false }))).reason._tag,
          "BucketNotFound"
        )
      }))
    return
  }

  test("expiryMarkers tell watchers of a value that has aged away", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(marked)
      const watch = yield* record(store.watch())
      const first = yield* store.put("a", bytes("1"))
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("expire a"))
      assert.deepStrictEqual(watch.events.map(shown).filter((event) => event !== "ready"), ["a=1", "expire a"])
      const marker = watch.events.at(-1)!
      assert.isTrue(marker._tag === "Removed" && marker.revision > first)
      assert.isTrue(Option.isNone(yield* store.get("a")))
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  test("a marker is the key's last message: createOnly writes over it, updateOnly and old revisions do not", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(marked)
      const first = yield* store.put("a", bytes("1"))
      yield* until(store.get("a"), Option.isNone)
      const [marker] = yield* until(store.history("a"), (history) => history.length > 0)
      assert.deepStrictEqual([shown(marker!)], ["expire a"])
      yield* refusal(store, store.put("a", bytes("2"), KVStore.KVOptions.updateOnly), "KeyNotFound")
      for (const stale of [first, 0]) {
        yield* refusal(store, store.put("a", bytes("2"), KVStore.KVOptions.atRevision(stale)), "RevisionMismatch")
      }
      yield* store.put("a", bytes("2"), KVStore.KVOptions.createOnly)
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("2"))
    }))

  test("a marker goes without a word when its own time is up", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(marked)
      const watch = yield* record(store.watch("a"))
      yield* store.put("a", bytes("1"))
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("expire a"))
      yield* until(store.status, (status) => status.values === 0)
      yield* store.put("a", bytes("2"))
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("a=2"))
      assert.deepStrictEqual(watch.events.map(shown).filter((event) => event !== "ready"), ["a=1", "expire a", "a=2"])
    }))

  test("a delete's tombstone leaves a marker when it ages away, and a purge's does not", () =>
    Effect.gen(function*() {
      const store = yield* openBucket(marked)
      const watch = yield* record(store.watch())
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("ready"))
      yield* store.purge("p")
      yield* store.delete("d")
      yield* until(Effect.sync(() => watch.events.map(shown)), (events) => events.includes("expire d"))
      yield* until(store.status, (status) => status.values === 0)
      assert.deepStrictEqual(watch.events.map(shown), ["ready", "purge p", "delete d", "expire d"])
    }))
}

const watches = (test: Test, until: Until) => {
  const watching = Effect.fnUntraced(function*(store: Store, ...options: Parameters<Store["watch"]>) {
    const { events, fiber } = yield* record(store.watch(...options))
    const words = Effect.sync(() => events.map(shown))
    const has = (word: string) => until(words, (all) => all.includes(word))
    return { events, fiber, words, has }
  })

  test("a watch gives the live values in order, then Ready, then every change", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a", "b", "c"], (key) => store.put(key, bytes("1")))
      yield* store.put("a", bytes("2"))
      const watch = yield* watching(store)
      yield* watch.has("ready")
      yield* store.put("b", bytes("2"))
      yield* store.delete("c")
      yield* store.put("d", bytes("1"))
      yield* watch.has("d=1")
      assert.deepStrictEqual(yield* watch.words, ["b=1", "c=1", "a=2", "ready", "b=2", "delete c", "d=1"])
      const revisions = watch.events.flatMap(revisionOf)
      assert.deepStrictEqual(revisions, [...new Set(revisions)].toSorted((a, b) => a - b))
    }))

  test("a watch of an empty bucket is ready at once", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const watch = yield* watching(store)
      yield* watch.has("ready")
      yield* store.put("a", bytes("1"))
      yield* watch.has("a=1")
      assert.deepStrictEqual(yield* watch.words, ["ready", "a=1"])
    }))

  test("a watch whose filter finds nothing is ready at once", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      const watch = yield* watching(store, "b.>")
      yield* watch.has("ready")
      assert.deepStrictEqual(yield* watch.words, ["ready"])
    }))

  test("a snapshot has no tombstones, and older values under them do not come back", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* Effect.forEach(["a", "b", "c"], (key) => store.put(key, bytes("1")))
      yield* store.delete("a")
      yield* store.purge("b")
      const watch = yield* watching(store)
      yield* watch.has("ready")
      yield* store.delete("c")
      yield* watch.has("delete c")
      assert.deepStrictEqual(yield* watch.words, ["c=1", "ready", "delete c"])
    }))

  test("a snapshot of nothing but tombstones is ready", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.delete("a")
      const watch = yield* watching(store)
      yield* watch.has("ready")
      assert.deepStrictEqual(yield* watch.words, ["ready"])
    }))

  test("a watch tells a delete from a purge, with the key and the revision", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const first = yield* store.put("a", bytes("1"))
      const watch = yield* watching(store)
      yield* watch.has("ready")
      yield* store.delete("a")
      // A purge right after it might remove the tombstone before anybody has seen it.
      yield* watch.has("delete a")
      yield* store.purge("a")
      yield* watch.has("purge a")
      const removed = watch.events.filter((event) => event._tag === "Removed")
      assert.deepStrictEqual(removed.map(({ key, reason, revision }) => ({ key, reason, revision })), [
        { key: "a", reason: "delete", revision: first + 1 },
        { key: "a", reason: "purge", revision: first + 2 }
      ])
    }))

  test("a watch of updates is Ready, and then changes only", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* store.put("a", bytes("1"))
      const watch = yield* watching(store, undefined, { from: "updates" })
      yield* watch.has("ready")
      yield* store.delete("a")
      yield* store.put("a", bytes("2"))
      yield* watch.has("a=2")
      assert.deepStrictEqual(yield* watch.words, ["ready", "delete a", "a=2"])
    }))

  test("a watch of updates is Ready first, also while others write", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* keepWriting(8, (n) => store.put(`k.${n % 5}`, bytes(`${n}`)))
      const first = store.watch(undefined, { from: "updates" }).pipe(Stream.take(5), Stream.runCollect)
      for (const events of yield* Effect.replicateEffect(first, 10)) {
        assert.deepStrictEqual(events.map((event) => event._tag), ["Ready", "Put", "Put", "Put", "Put"])
      }
    }))

  test("a watch from a revision gives what is still there from it on, itself included, and tombstones", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      yield* store.put("a", bytes("1"))
      const second = yield* store.put("b", bytes("2"))
      yield* store.put("a", bytes("3"))
      yield* store.delete("b")
      const watch = yield* watching(store, undefined, { from: { revision: second } })
      yield* watch.has("ready")
      yield* store.put("c", bytes("5"))
      yield* watch.has("c=5")
      assert.deepStrictEqual(yield* watch.words, ["b=2", "a=3", "delete b", "ready", "c=5"])
    }))

  for (const revision of [0, 1]) {
    test(`a watch from revision ${revision} gives all that is there`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket({ historySize: 5 })
        yield* store.put("a", bytes("1"))
        yield* store.put("a", bytes("2"))
        const watch = yield* watching(store, undefined, { from: { revision } })
        yield* watch.has("ready")
        assert.deepStrictEqual(yield* watch.words, ["a=1", "a=2", "ready"])
      }))
  }

  test("a watch from beyond the last revision is ready, and begins at that revision", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 5 })
      const last = yield* store.put("a", bytes("0"))
      const watch = yield* watching(store, undefined, { from: { revision: last + 3 } })
      yield* watch.has("ready")
      yield* Effect.forEach(["1", "2", "3", "4"], (value) => store.put("a", bytes(value)))
      yield* watch.has("a=4")
      assert.deepStrictEqual(yield* watch.words, ["ready", "a=3", "a=4"])
    }))

  test("a watch of the next revision misses nothing and repeats nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const last = yield* store.put("a", bytes("0"))
      const watch = yield* watching(store, undefined, { from: { revision: last + 1 } })
      yield* watch.has("ready")
      yield* store.put("a", bytes("1"))
      yield* watch.has("a=1")
      assert.deepStrictEqual(yield* watch.words, ["ready", "a=1"])
    }))

  test("a watch gives only what its filter asks for", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a.1", "b.1", "a.1.x"], (key) => store.put(key, bytes("1")))
      const star = yield* watching(store, "a.*")
      const rest = yield* watching(store, "a.>")
      const exact = yield* watching(store, "b.1")
      yield* Effect.forEach([star, rest, exact], (watch) => watch.has("ready"))
      yield* store.put("b.2", bytes("2"))
      yield* store.delete("b.1")
      yield* store.put("a.2.x", bytes("2"))
      yield* store.put("a.2", bytes("2"))
      yield* Effect.forEach([star, rest], (watch) => watch.has("a.2=2"))
      yield* exact.has("delete b.1")
      assert.deepStrictEqual(yield* star.words, ["a.1=1", "ready", "a.2=2"])
      assert.deepStrictEqual(yield* rest.words, ["a.1=1", "a.1.x=1", "ready", "a.2.x=2", "a.2=2"])
      assert.deepStrictEqual(yield* exact.words, ["b.1=1", "ready", "delete b.1"])
    }))

  test("every one of several watchers is given everything", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      const watchers = yield* Effect.forEach(all(5), () => watching(store))
      yield* Effect.forEach(watchers, (watch) => watch.has("ready"))
      yield* Effect.forEach(all(20), (n) => store.put(`k.${n}`, bytes("1")))
      for (const watch of watchers) {
        yield* watch.has("k.19=1")
        assert.deepStrictEqual(yield* watch.words, ["a=1", "ready", ...all(20).map((n) => `k.${n}=1`)])
      }
    }))

  test("two runs of one watch have nothing to do with each other", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      const stream = store.watch().pipe(Stream.take(2), Stream.map(shown), Stream.runCollect)
      assert.deepStrictEqual(yield* stream, ["a=1", "ready"])
      yield* store.put("b", bytes("2"))
      assert.deepStrictEqual(yield* stream, ["a=1", "b=2"])
    }))

  test("while others write, a watch gives no revision twice, in order, and the last value of every key", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const write = (n: number) => store.put(`k.${n % 10}`, bytes(`${n}`))
      yield* Effect.forEach(all(200), write, { concurrency: 8 })
      const writer = yield* Effect.forEach(all(800), (n) => Effect.andThen(write(n), Effect.yieldNow), {
        concurrency: 8
      })
        .pipe(Effect.forkScoped)
      const watch = yield* watching(store)
      yield* watch.has("ready")
      yield* Fiber.join(writer)
      yield* store.put("end", bytes("1"))
      yield* watch.has("end=1")
      const revisions = watch.events.flatMap(revisionOf)
      assert.deepStrictEqual(revisions, [...new Set(revisions)].toSorted((a, b) => a - b))
      assert.strictEqual(watch.events.filter((event) => event._tag === "Ready").length, 1)
      const seen = new Map(
        watch.events.flatMap((event) => event._tag === "Put" ? [[event.entry.key, event.entry]] : [])
      )
      for (const entry of yield* store.entries()) assert.deepStrictEqual(seen.get(entry.key), entry)
    }))

  test("a slow reader holds nobody up, and sees the latest values", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const mayGoOn = yield* Deferred.make<void>()
      const slow = yield* record(Stream.tap(store.watch(), () => Deferred.await(mayGoOn)))
      const fast = yield* watching(store)
      yield* fast.has("ready")
      yield* Effect.forEach(all(2000), (n) => store.put(`k.${n % 5}`, bytes(`${n}`)), { concurrency: 32 })
      yield* store.put("end", bytes("1"))
      yield* fast.has("end=1")
      assert.deepStrictEqual(slow.events, [])
      yield* Deferred.succeed(mayGoOn, undefined)
      yield* until(Effect.sync(() => slow.events.map(shown)), (words) => words.includes("end=1"))
      const revisions = slow.events.flatMap(revisionOf)
      assert.deepStrictEqual(revisions, [...new Set(revisions)].toSorted((a, b) => a - b))
      const seen = new Map(slow.events.flatMap((event) => event._tag === "Put" ? [[event.entry.key, event.entry]] : []))
      for (const entry of yield* store.entries()) assert.deepStrictEqual(seen.get(entry.key), entry)
    }))

  test("a watch that is interrupted ends, and its store goes on", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const watch = yield* watching(store)
      yield* watch.has("ready")
      const exit = yield* Effect.andThen(Fiber.interrupt(watch.fiber), Fiber.await(watch.fiber))
      assert.isTrue(Exit.hasInterrupts(exit))
      yield* store.put("a", bytes("1"))
      const next = yield* watching(store)
      yield* next.has("a=1")
      assert.deepStrictEqual(yield* watch.words, ["ready"])
    }))
}

const Price = Schema.Struct({ cents: Schema.Int, at: Schema.optionalKey(Schema.DateTimeUtc) })

const typedViews = (test: Test, until: Until) => {
  const priced = Effect.fnUntraced(function*(options?: Partial<Config.Options>) {
    const store = yield* openBucket(options)
    const prices = yield* Effect.provideService(KVStore.typed(Price), KVStore.KVStore, store)
    return { store, prices }
  })

  /** Waits for what needs time to pass: the pause after a conflict. */
  const finished = Effect.fnUntraced(function*<A, E>(effect: Effect.Effect<A, E>) {
    const fiber = yield* Effect.forkScoped(effect)
    return yield* (yield* until(Effect.sync(() => fiber.pollUnsafe()), (exit) => exit !== undefined))!
  })

  const increment = Option.match({
    onNone: () => Option.some({ cents: 1 }),
    onSome: (price: typeof Price.Type) => Option.some({ cents: price.cents + 1 })
  })

  test("a typed view gets what it has put, as JSON text", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced()
      const price = { cents: 120, at: DateTime.makeUnsafe(1000) }
      const revision = yield* prices.put("apple", price)
      const entry = Option.getOrThrow(yield* prices.get("apple"))
      assert.strictEqual(entry.revision, revision)
      assert.strictEqual(entry.value.cents, 120)
      assert.isTrue(DateTime.Equivalence(entry.value.at!, price.at))
      assert.deepStrictEqual(yield* read(store, "apple"), Option.some(`{"cents":120,"at":"1970-01-01T00:00:01.000Z"}`))
      assert.deepStrictEqual((yield* prices.entries()).map(({ key }) => key), ["apple"])
      yield* prices.delete("apple")
      assert.isTrue(Option.isNone(yield* prices.get("apple")))
    }))

  test("a typed view puts under conditions as a store does", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced()
      const revision = yield* prices.put("apple", { cents: 1 }, KVStore.KVOptions.createOnly)
      yield* refusal(store, prices.put("apple", { cents: 2 }, KVStore.KVOptions.createOnly), "KeyAlreadyExists")
      yield* prices.put("apple", { cents: 2 }, KVStore.KVOptions.atRevision(revision))
      yield* refusal(store, prices.delete("apple", { revision }), "RevisionMismatch")
    }))

  test("a typed view refuses a value that does not encode, and writes nothing", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced()
      const error = yield* Effect.flip(prices.put("apple", { cents: 1.5 }))
      assert.deepStrictEqual([error.reason._tag, error.operation, error.key], ["InvalidValue", "put", "apple"])
      yield* refusal(store, prices.put("apple", untyped({ cents: "1" })), "InvalidValue")
    }))

  test("a stored value that does not decode is UndecodableValue, and never none", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced()
      for (const bad of [bytes("no json"), bytes(`{"cents":"1"}`), bytes(""), Uint8Array.of(0xff, 0xfe)]) {
        const revision = yield* store.put("apple", bad)
        const get = yield* Effect.flip(prices.get("apple"))
        assert.deepStrictEqual([get.operation, get.key, get.isRetryable], ["get", "apple", false])
        const reason = yield* reasonOf(prices.get("apple"), "UndecodableValue")
        assert.strictEqual(reason.revision, revision)
        assert.include(get.message, `revision ${revision}`)
        const entries = yield* Effect.flip(prices.entries())
        assert.deepStrictEqual([entries.operation, entries.key, entries.reason._tag], [
          "entries",
          "apple",
          "UndecodableValue"
        ])
      }
    }))

  test("a typed watch gives Invalid for what does not decode, and goes on", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced({ historySize: 5 })
      const bad = yield* store.put("bad", bytes("no json"))
      yield* prices.put("good", { cents: 1 })
      const { events } = yield* record(prices.watch())
      const words = Effect.sync(() =>
        events.map((event) => event._tag === "Put" ? `${event.entry.key}=${event.entry.value.cents}` : event._tag)
      )
      yield* until(words, (all) => all.includes("Ready"))
      yield* store.put("good", Uint8Array.of(0xff))
      yield* prices.put("good", { cents: 2 })
      yield* prices.delete("good")
      yield* until(words, (all) => all.includes("Removed"))
      assert.deepStrictEqual(yield* words, ["Invalid", "good=1", "Ready", "Invalid", "good=2", "Removed"])
      const [invalid] = events
      assert.isTrue(invalid?._tag === "Invalid" && invalid.key === "bad" && invalid.revision === bad)
    }))

  test("modify makes, changes and deletes, and returns the revision", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced({ historySize: 5 })
      const first = yield* prices.modify("apple", increment)
      assert.strictEqual(yield* prices.modify("apple", increment), first + 1)
      assert.strictEqual(Option.getOrThrow(yield* prices.get("apple")).value.cents, 2)
      assert.strictEqual(yield* prices.modify("apple", () => Option.none()), 0)
      assert.deepStrictEqual((yield* store.history("apple")).map((event) => event._tag), ["Removed", "Put", "Put"])
    }))

  test("modify that wants nothing where there is nothing writes nothing", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced()
      const before = (yield* store.status).lastRevision
      assert.strictEqual(yield* prices.modify("apple", () => Option.none()), 0)
      assert.strictEqual((yield* store.status).lastRevision, before)
      assert.deepStrictEqual(yield* store.history("apple"), [])
    }))

  test("modify writes over a tombstone", () =>
    Effect.gen(function*() {
      const { prices } = yield* priced()
      yield* prices.put("apple", { cents: 7 })
      yield* prices.delete("apple")
      yield* prices.modify("apple", increment)
      assert.strictEqual(Option.getOrThrow(yield* prices.get("apple")).value.cents, 1)
    }))

  test("modify does not touch what does not decode", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced()
      yield* store.put("apple", bytes("no json"))
      yield* refusal(store, prices.modify("apple", increment), "UndecodableValue")
    }))

  test("modify applies again to what another writer put in between", () =>
    Effect.gen(function*() {
      const { prices, store } = yield* priced()
      yield* prices.put("apple", { cents: 10 })
      const seen: Array<number> = []
      let others = 3
      // Another writer comes after each of the first reads, and before the write that follows.
      const crowded = KVStore.KVStore.of({
        ...store,
        put: (key, value, options) =>
          others-- > 0
            ? Effect.andThen(prices.put("apple", { cents: 100 * others }), store.put(key, value, options))
            : store.put(key, value, options)
      })
      const contended = yield* Effect.provideService(KVStore.typed(Price), KVStore.KVStore, crowded)
      yield* finished(contended.modify("apple", (price) => {
        seen.push(Option.getOrThrow(price).cents)
        return increment(price)
      }))
      assert.deepStrictEqual(seen, [10, 200, 100, 0])
      assert.strictEqual(Option.getOrThrow(yield* prices.get("apple")).value.cents, 1)
    }))

  test("20 increments by modify at once are 20", () =>
    Effect.gen(function*() {
      const { prices } = yield* priced()
      const revisions = yield* finished(
        Effect.forEach(all(20), () => prices.modify("apple", increment), { concurrency: "unbounded" })
      )
      assert.strictEqual(Option.getOrThrow(yield* prices.get("apple")).value.cents, 20)
      assert.strictEqual(new Set(revisions).size, 20)
    }))
}

const combinators = (test: Test) => {
  test("getMany reads the keys that have a value, each once", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(all(40), (n) => store.put(`k.${n}`, bytes(`${n}`)))
      yield* store.delete("k.3")
      const wanted = ["k.1", "k.3", "k.39", "nobody", "k.1"]
      const found = yield* Effect.provideService(KVStore.getMany(wanted), KVStore.KVStore, store)
      assert.deepStrictEqual([...found].map(([key, entry]) => [key, textOf(entry.value)]), [["k.1", "1"], [
        "k.39",
        "39"
      ]])
      yield* reasonOf(Effect.provideService(KVStore.getMany(["a..b"]), KVStore.KVStore, store), "InvalidKey")
    }))

  test("clear deletes what matches and has a value, and counts it", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* Effect.forEach(["a.1", "a.2", "a.3", "b.1"], (key) => store.put(key, bytes("1")))
      yield* store.delete("a.3")
      const clear = (filter?: string) => Effect.provideService(KVStore.clear(filter), KVStore.KVStore, store)
      assert.strictEqual(yield* clear("a.*"), 2)
      assert.deepStrictEqual(yield* store.keys(), ["b.1"])
      assert.strictEqual(yield* clear(), 1)
      assert.strictEqual(yield* clear(), 0)
    }))
}

const descriptions = (test: Test, backend: Backend) => {
  test("status tells what the bucket is, and what it holds", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 2 })
      const empty = yield* store.status
      assert.deepStrictEqual(
        [empty.bucket, empty.backend, empty.values, empty.bytes, empty.expiryMarkers],
        [store.config.bucket, backend.kind, 0, 0, backend.markers]
      )
      yield* store.put("a", bytes("12345"))
      yield* store.put("a", bytes("12345"))
      const revision = yield* store.put("a", bytes("12345"))
      yield* store.delete("b")
      const status = yield* store.status
      assert.deepStrictEqual([status.values, status.lastRevision], [3, revision + 1])
      assert.isAtLeast(status.bytes, 13)
      assert.deepStrictEqual(status.created, empty.created)
      if (backend.kind === "nats") assert.match(status.serverVersion ?? "", /^2\.\d+\.\d+/)
    }))

  test("the age of a fresh entry, by the store's clock, is next to nothing", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put("a", bytes("1"))
      const { created } = Option.getOrThrow(yield* store.get("a"))
      const age = (yield* store.clock.currentTimeMillis) - created.epochMilliseconds
      // On a server: off by half a round trip of the best sample, and by the millisecond that `created` is cut to.
      assert.isAtLeast(age, backend.virtual ? 0 : -25)
      assert.isAtMost(age, backend.virtual ? 0 : 1000)
      const { created: made } = yield* store.status
      assert.isAtMost(made.epochMilliseconds, created.epochMilliseconds)
    }))

  test("the store's clock goes on, also by the nanosecond", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const before = yield* store.clock.currentTimeNanos
      yield* backend.virtual ? TestClock.adjust("5 millis") : store.clock.sleep(Duration.millis(5))
      const passed = Number((yield* store.clock.currentTimeNanos) - before) / 1_000_000
      assert.isAtLeast(passed, 4)
      assert.isAtMost(passed, 2000)
    }))

  test("entries, tombstones and events say when the store took them", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 3 })
      yield* store.put("a", bytes("1"))
      yield* store.delete("a")
      const [removed, put] = yield* store.history("a")
      assert.isTrue(removed?._tag === "Removed" && put?._tag === "Put")
      if (removed?._tag !== "Removed" || put?._tag !== "Put") return
      assert.isAtMost(put.entry.created.epochMilliseconds, removed.created.epochMilliseconds)
      const [event] = yield* Stream.runCollect(Stream.take(store.watch("a", { from: { revision: 0 } }), 1))
      assert.deepStrictEqual(event, put)
    }))

  test("a store shows the configuration that it was opened with, defaults filled in", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ historySize: 7, timeout: "3 seconds" })
      assert.strictEqual(store.config.historySize, 7)
      assert.strictEqual(store.config.maxValueSize, 1024 * 1024)
      assert.strictEqual(Duration.toMillis(store.config.timeout), 3000)
      assert.deepStrictEqual(
        [store.config.storage, store.config.replicas, store.config.onMismatch, store.config.create],
        ["file", 1, "fail", true]
      )
    }))
}

const configurations = (test: Test) => {
  const bad: ReadonlyArray<readonly [setting: keyof Config.Options, value: unknown]> = [
    ["bucket", ""],
    ["bucket", "a b"],
    ["bucket", "a.b"],
    ["bucket", "grüße"],
    ["bucket", "x".repeat(201)],
    ["bucket", undefined],
    ["historySize", 0],
    ["historySize", 65],
    ["historySize", 1.5],
    ["historySize", "3"],
    ["maxValueSize", 0],
    ["maxValueSize", Number.NaN],
    ["maxValueSize", 64 * 1024 * 1024 + 1],
    ["streamMaxAge", "99 millis"],
    ["streamMaxAge", -1],
    ["streamMaxAge", "soon"],
    ["streamMaxAge", "367 days"],
    ["streamMaxAge", Number.POSITIVE_INFINITY],
    ["expiryMarkers", "999 millis"],
    ["expiryMarkers", true],
    ["maxBytes", 0],
    ["maxBytes", -1],
    ["maxBytes", 1.5],
    ["storage", "disk"],
    ["replicas", 0],
    ["replicas", 6],
    ["onMismatch", "ignore"],
    ["create", "no"],
    ["timeout", 0],
    ["timeout", "2 hours"]
  ]

  test("refuses a configuration that cannot be had, by the name of the setting", () =>
    Effect.gen(function*() {
      for (const [setting, value] of bad) {
        const error = yield* Effect.flip(openBucket({ [setting]: value }))
        assert.strictEqual(error.reason._tag, "InvalidConfig", `${setting}: ${String(value)}`)
        assert.strictEqual(error.operation, "configure")
        assert.include(error.message, setting)
        assert.isFalse(error.isRetryable)
      }
    }))

  test("takes the outermost settings that it allows", () =>
    Effect.gen(function*() {
      const bucket = `${freshName()}-${"x".repeat(200)}`.slice(0, 200)
      const store = yield* openBucket({
        bucket,
        historySize: 64,
        maxValueSize: 1,
        streamMaxAge: "366 days",
        maxBytes: 100_000_000,
        timeout: "1 hour"
      })
      yield* store.put("a", bytes("1"))
      assert.deepStrictEqual(yield* read(store, "a"), Option.some("1"))
    }))

  test("two buckets have nothing to do with each other", () =>
    Effect.gen(function*() {
      const one = yield* openBucket()
      const other = yield* openBucket()
      yield* one.put("a", bytes("1"))
      assert.isTrue(Option.isNone(yield* other.get("a")))
      assert.deepStrictEqual(yield* other.keys(), [])
    }))
}
