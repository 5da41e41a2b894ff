/** The faults under which a bucket refuses writes or reads: what writes, reads and watches see, and that the faults end. */
import { assert, describe, it } from "@effect/vitest"
import * as Arbitrary from "effect/Arbitrary"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import type * as Checks from "../../src/testing/Checks.ts"
import * as Faults from "../../src/testing/Faults.ts"
import * as Simulation from "../../src/testing/Simulation.ts"
import { bytes, textOf } from "../../tools/values.ts"
import { longest, shrunk } from "../support/shrinking.ts"

type Store = KVStore.KVStore["Service"]

interface Opened {
  readonly store: Store
  /** The revisions of the values that a watch has emitted, which was opened before the fault. */
  readonly watched: ReadonlyArray<number>
  /** Injects faults at once, and waits for a millisecond. */
  readonly inject: (...faults: ReadonlyArray<Faults.Fault>) => Effect.Effect<void, unknown, Scope.Scope>
}

/** Runs a program on a machine with an open bucket, and returns its disruptions from the beginning of the faults on. */
const onMachine = Effect.fnUntraced(function*<A>(
  options: Partial<KVStore.BucketOptions>,
  program: (opened: Opened) => Effect.Effect<A, unknown, Scope.Scope>
) {
  let began = 0
  const { facts, value } = yield* Simulation.run(Effect.gen(function*() {
    const { bucket, node, now, pauseServer } = yield* Simulation.Simulation
    const a = yield* node("a")
    const inject: Opened["inject"] = (...faults) =>
      Effect.gen(function*() {
        began = yield* now
        yield* Effect.forkScoped(Faults.injectAll(faults, { node: () => a, bucket, pauseServer }))
        yield* Effect.sleep("1 millis")
      })
    const opened = Effect.gen(function*() {
      const store = yield* KVStore.KVStore
      const watched: Array<number> = []
      yield* Effect.forkScoped(Stream.runForEach(store.watch(), (event) =>
        Effect.sync(() => {
          if (event._tag === "Put") watched.push(event.entry.revision)
        })))
      yield* Effect.sleep("1 second")
      return yield* program({ store, watched, inject })
    })
    const layer = NatsKVStore.layer({ bucket: "b", ...options })
    return yield* a.run(Effect.provide(Effect.scoped(opened), layer)).pipe(Effect.provide(a.client))
  }))
  const disruptions = facts.disruptions.map(({ affects, bucket, from, node, until }) => ({
    node,
    bucket,
    affects,
    from: Math.round(from - began),
    until: Math.round(until - began)
  }))
  return { value, disruptions }
})

/** The tag of the reason of a failure, or `done`. */
const outcome = <A>(attempt: Effect.Effect<A, KVStore.KVStoreError>): Effect.Effect<string> =>
  Effect.match(attempt, { onSuccess: () => "done", onFailure: ({ reason }) => reason._tag })

const outcomes = (...attempts: ReadonlyArray<Effect.Effect<unknown, KVStore.KVStoreError>>) =>
  Effect.forEach(attempts, outcome)

const read = (store: Store, key: string) =>
  Effect.map(store.get(key), Option.match({ onNone: () => undefined, onSome: ({ value }) => textOf(value) }))

const ofBucket = (affects: Checks.Disruption["affects"], from: number, until: number) => ({
  node: undefined,
  bucket: "b",
  from,
  until,
  affects
})

const full: Faults.Fault = { _tag: "FullStore", at: 0, bucket: "b", for: 5000 }

describe("a full store", () => {
  it.effect("refuses every write until the fault ends, and answers reads; a watch continues", () =>
    Effect.gen(function*() {
      const { disruptions } = yield* onMachine({}, ({ inject, store, watched }) =>
        Effect.gen(function*() {
          const first = yield* store.put("a", bytes("1"))
          yield* inject(full)
          const refused = yield* outcomes(
            store.put("a", bytes("2")),
            store.put("new", bytes("2"), { createOnly: true }),
            store.put("a", bytes("2"), { revision: first }),
            store.delete("a"),
            store.purge("a")
          )
          assert.deepStrictEqual(refused, refused.map(() => "StorageFull"))
          const error = yield* Effect.flip(store.put("a", bytes("2")))
          assert.include(error.reason, { _tag: "StorageFull", scope: "server", code: 10_023 })
          assert.deepStrictEqual(
            yield* outcomes(
              store.put("a", bytes("2"), { revision: first + 7 }),
              store.put("a", bytes("2"), { createOnly: true })
            ),
            ["RevisionMismatch", "KeyAlreadyExists"]
          )
          assert.strictEqual(yield* read(store, "a"), "1")
          assert.deepStrictEqual(yield* store.keys(), ["a"])
          assert.isTrue((yield* store.status).hasLeader)
          const snapshot = yield* Stream.runCollect(Stream.take(store.watch(), 2))
          assert.deepStrictEqual(snapshot.map(({ _tag }) => _tag), ["Put", "Ready"])
          yield* Effect.sleep("5 seconds")
          const next = yield* store.put("a", bytes("2"), { revision: first })
          yield* Effect.sleep("100 millis")
          assert.deepStrictEqual(watched, [first, next])
        }))
      assert.deepStrictEqual(disruptions, [ofBucket("writes", 0, 5000)])
    }))

  it.effect("with replicas has no leader after the first refused write; a watch continues", () =>
    Effect.gen(function*() {
      const { disruptions } = yield* onMachine(
        { replicas: 3, timeout: "500 millis" },
        ({ inject, store, watched }) =>
          Effect.gen(function*() {
            const first = yield* store.put("a", bytes("1"))
            yield* Effect.sleep("1 second")
            yield* inject({ ...full, for: 10_000 })
            assert.isTrue((yield* store.status).hasLeader)
            yield* Effect.sleep("1 second")
            assert.strictEqual(yield* outcome(store.put("a", bytes("2"))), "StorageFull")
            for (let second = 0; second < 3; second++) {
              yield* Effect.sleep("1 second")
              assert.strictEqual(yield* outcome(store.put("a", bytes("2"))), "Unavailable")
              const { hasLeader, lastRevision } = yield* store.status
              assert.deepStrictEqual([hasLeader, lastRevision], [false, first])
              assert.strictEqual(yield* outcome(store.get("a")), "Unavailable")
              assert.strictEqual((yield* store.entries())[0]?.revision, first)
            }
            yield* Effect.sleep("5 seconds")
            const next = yield* store.put("a", bytes("2"))
            yield* Effect.sleep("1 second")
            assert.deepStrictEqual(watched, [first, next])
          })
      )
      assert.deepStrictEqual(disruptions[0], ofBucket("writes", 0, 10_000))
      const { affects, from, until } = disruptions[1]!
      assert.deepStrictEqual([affects, until], ["requests", 10_000])
      assert.isTrue(from > 1000 && from < 1010)
      assert.strictEqual(disruptions.length, 2)
    }))

  it.effect("with replicas does not let a watch that restarts take a copy that lags behind for a stream rolled back", () =>
    Effect.gen(function*() {
      const { value } = yield* onMachine(
        { replicas: 3, timeout: "500 millis" },
        ({ inject, store, watched }) =>
          Effect.gen(function*() {
            yield* inject({ _tag: "Lag", at: 0, bucket: "b", by: 2000 })
            yield* store.put("a", bytes("1"))
            yield* Effect.sleep("5 seconds")
            const last = yield* store.put("a", bytes("2"))
            // The watch has the last value, and some copies do not.
            yield* Effect.sleep("1980 millis")
            yield* inject({ ...full, for: 10_000 }, { _tag: "DropConsumers", at: 25, bucket: "b" })
            assert.strictEqual(yield* outcome(store.put("a", bytes("3"))), "StorageFull")
            yield* Effect.sleep("20 seconds")
            return [watched, last] as const
          })
      )
      const [watched, last] = value
      assert.deepStrictEqual(watched, [watched[0]!, last])
    }))

  it.effect("lets values expire, unless the bucket has expiry markers", () =>
    Effect.gen(function*() {
      const left = (expiryMarkers: boolean) =>
        Effect.map(
          onMachine(
            { streamMaxAge: "2 seconds", ...(expiryMarkers ? { expiryMarkers: "1 minute" } : {}) },
            ({ inject, store }) =>
              Effect.gen(function*() {
                yield* store.put("a", bytes("1"))
                yield* inject(full)
                yield* Effect.sleep("4 seconds")
                const during = yield* read(store, "a")
                yield* Effect.sleep("2 seconds")
                return [during, yield* read(store, "a")]
              })
          ),
          ({ value }) => value
        )
      assert.deepStrictEqual(yield* left(false), [undefined, undefined])
      assert.deepStrictEqual(yield* left(true), ["1", undefined])
    }))
})

const revoked = (right: "read" | "write"): Faults.Fault => ({
  _tag: "RevokedRights",
  at: 0,
  node: "a",
  bucket: "b",
  for: 10_000,
  right
})

describe("a machine whose user has lost the right to write", () => {
  it.effect("is refused every write until the fault ends, and can read; a watch continues", () =>
    Effect.gen(function*() {
      const { disruptions } = yield* onMachine({}, ({ inject, store, watched }) =>
        Effect.gen(function*() {
          const first = yield* store.put("a", bytes("1"))
          yield* inject(revoked("write"))
          const refused = yield* outcomes(
            store.put("a", bytes("2")),
            store.put("a", bytes("2"), { revision: first + 7 }),
            store.put("a", bytes("2"), { createOnly: true }),
            store.delete("a"),
            store.purge("a")
          )
          assert.deepStrictEqual(refused, refused.map(() => "PermissionDenied"))
          const error = yield* Effect.flip(store.put("a", bytes("2")))
          assert.include(error.reason, { _tag: "PermissionDenied", subject: "$KV.b.a" })
          assert.strictEqual(yield* read(store, "a"), "1")
          assert.deepStrictEqual(yield* store.keys(), ["a"])
          assert.strictEqual((yield* store.status).lastRevision, first)
          yield* Effect.sleep("10 seconds")
          const next = yield* store.put("a", bytes("2"), { revision: first })
          yield* Effect.sleep("100 millis")
          assert.deepStrictEqual(watched, [first, next])
        }))
      assert.deepStrictEqual(disruptions, [{ ...ofBucket("writes", 0, 10_000), node: "a" }])
    }))

  it.effect("does not know which of two writes of a key under way was refused", () =>
    onMachine({}, ({ inject, store }) =>
      Effect.gen(function*() {
        yield* inject(revoked("write"))
        const both = yield* Effect.all([outcome(store.put("a", bytes("1"))), outcome(store.put("a", bytes("2")))], {
          concurrency: "unbounded"
        })
        assert.include(both, "OutcomeUnknown")
      })))
})

describe("a machine whose user has lost the right to read", () => {
  it.effect("is refused every read, and its watches fail, until the fault ends; it can write", () =>
    Effect.gen(function*() {
      const { disruptions } = yield* onMachine({}, ({ inject, store }) =>
        Effect.gen(function*() {
          yield* store.put("a", bytes("1"))
          const watch = yield* Effect.forkChild(Effect.flip(Stream.runDrain(store.watch())))
          yield* Effect.sleep("1 second")
          yield* inject(revoked("read"))
          const refused = yield* outcomes(
            store.get("a"),
            store.get("a", { fromLeader: true }),
            store.keys(),
            store.status,
            Stream.runDrain(store.watch())
          )
          assert.deepStrictEqual(refused, refused.map(() => "PermissionDenied"))
          // A watch learns of it with its next pull.
          for (const value of ["2", "3", "4"]) yield* store.put("a", bytes(value))
          yield* Effect.sleep("9 seconds")
          assert.strictEqual((yield* Fiber.join(watch)).reason._tag, "PermissionDenied")
          yield* Effect.sleep("2 seconds")
          assert.strictEqual(yield* read(store, "a"), "4")
          assert.strictEqual(yield* outcome(Stream.runDrain(Stream.take(store.watch(), 1))), "done")
        }))
      assert.deepStrictEqual(disruptions, [{ ...ofBucket("everything", 0, 10_000), node: "a" }])
    }))
})

describe("faults that refuse requests", () => {
  it("are printed with their times, and survive encoding", () => {
    assert.strictEqual(Faults.format({ ...full, at: 1500 }), "at 1.5 s        FullStore      b  for 5 s")
    assert.strictEqual(
      Faults.format(revoked("write")),
      "at 0 s          RevokedRights  a  b  for 10 s  right write"
    )
    const plan: Faults.Plan = { seed: 7, faults: [full, revoked("read")] }
    assert.deepStrictEqual(Faults.decode(Faults.encode(plan)), Option.some(plan))
    for (const wrong of [{ ...full, for: 0 }, { ...revoked("read"), right: "admin" }, { ...revoked("read"), for: 0 }]) {
      const never = { seed: 7, faults: [wrong] } as unknown as Faults.Plan
      assert.deepStrictEqual(Faults.decode(Faults.encode(never)), Option.none())
    }
  })

  it.effect("are generated within their bounds, and also longer than 30 s", () =>
    Effect.gen(function*() {
      const plans = yield* Arbitrary.sampleEffect(
        Faults.plans({
          nodes: ["a", "b"],
          buckets: ["x"],
          duration: "1 minute",
          kinds: ["FullStore", ["RevokedRights", ["y"]]]
        }),
        { seed: 1, count: 100, size: Faults.defaultMaxFaults }
      )
      const faults = plans.flatMap((plan) => plan.faults)
      const times = faults.map((fault) => "for" in fault ? fault.for : 0)
      assert.isTrue(times.some((time) => time > 30_000))
      assert.isTrue(times.every((time) => time >= 1 && time <= 60_000))
      const targets = faults.flatMap((fault) =>
        fault._tag === "RevokedRights" ? [`${fault.node} ${fault.bucket} ${fault.right}`] : []
      )
      assert.deepStrictEqual([...new Set(targets)].toSorted(), ["a y read", "a y write", "b y read", "b y write"])
    }))

  it.effect("are shrunk to the shortest that fails", () =>
    Effect.gen(function*() {
      const faults = yield* shrunk("FullStore")
      assert.strictEqual(faults.length, 1)
      assert.isTrue("for" in faults[0]! && faults[0].for > longest && faults[0].for < longest + 100)
    }))
})
