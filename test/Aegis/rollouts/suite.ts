/** Old and new processes of a rollout start in any order, over the same buckets: which starts succeed, and what they log. */
import { assert } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Aegis from "../../../src/Aegis.ts"
import { Buckets } from "../../../src/Buckets.ts"
import * as Election from "../../../src/Election.ts"
import * as KVStore from "../../../src/KVStore.ts"
import * as Registry from "../../../src/Registry.ts"
import { freshName, logged } from "../../support/suite.ts"

type Test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) => void

/** Starts a process, which registers an instance, takes part in an election, and ends. Returns what it logged about its buckets. */
export const start = Effect.fnUntraced(function*(options: Aegis.Options) {
  const log = logged()
  yield* Effect.gen(function*() {
    const registry = yield* Registry.Registry
    const election = yield* Election.Election
    const { instance } = yield* registry.register({ serviceName: "orders", version: "1.0.0" })
    const { instanceId } = yield* instance
    // Unlike a list, this does not lag behind on a replicated bucket.
    assert.isTrue(Option.isSome(yield* registry.get("orders", instanceId)))
    yield* Effect.scoped(election.campaign("job"))
  }).pipe(Effect.scoped, Effect.provide(Layer.provideMerge(Layer.fresh(Aegis.layer(options)), log.layer)))
  return log.lines.filter((line) => line.includes("the bucket") && !line.includes("created the bucket"))
})

/** The names of two buckets for one rollout. */
export const names = () => ({ registry: freshName(), election: freshName() })

const ageOf = Effect.fnUntraced(function*(bucket: string) {
  const { open } = yield* Buckets
  const { config } = yield* Effect.scoped(open({ bucket, onMismatch: "accept", create: false }))
  return Duration.format(Option.getOrThrow(Option.fromUndefinedOr(config.streamMaxAge)))
})

/** Starts processes with one setting of `onMismatch` over the same buckets. */
const starting = (onMismatch?: "update" | "accept" | "fail") => {
  const { election, registry } = names()
  const at = (maxAge: Duration.Input) =>
    start({
      registry: { bucket: registry, ...times(maxAge, "1 second") },
      election: { bucket: election },
      onMismatch
    })
  return { registry, at }
}

const times = (maxAge: Duration.Input, heartbeat: Duration.Input) => ({ maxAge, heartbeat })

export const rollouts = (test: Test) => {
  const orders = [["old", "new"], ["new", "old"], ["old", "new", "old", "new"]] as const

  for (
    const [what, before, after] of [
      ["up", times("3 seconds", "1 second"), times("30 seconds", "10 seconds")],
      ["down", times("30 seconds", "10 seconds"), times("3 seconds", "1 second")]
    ] as const
  ) {
    for (const order of orders) {
      test(`maxAge ${what} by ten: the processes ${order.join(", ")} start`, () =>
        Effect.gen(function*() {
          const { election, registry } = names()
          const optionsOf = { old: before, new: after }
          let age = 0
          for (const which of order) {
            const wanted = Duration.toSeconds(Duration.fromInputUnsafe(optionsOf[which].maxAge)) * 10
            const lines = yield* start({
              registry: { bucket: registry, ...optionsOf[which] },
              election: { bucket: election }
            })
            const [from, to] = [age, wanted].map((seconds) => Duration.format(Duration.seconds(seconds)))
            assert.deepStrictEqual(
              lines,
              age === 0 || age === wanted
                ? []
                : age < wanted
                ? [`Info changed the bucket "${registry}": streamMaxAge from ${from} to ${to}`]
                : [
                  `Warn the bucket "${registry}" differs from the options and is used as it is (streamMaxAge is ${from}, ` +
                  `not ${to}): set onMismatch: "update" (AEGIS_ON_MISMATCH=update) to change it`
                ]
            )
            age = Math.max(age, wanted)
          }
          assert.strictEqual(yield* ageOf(registry), Duration.format(Duration.seconds(300)))
        }))
    }
  }

  test("timings change: every process starts, and nothing is logged", () =>
    Effect.gen(function*() {
      const { election, registry } = names()
      for (const timings of [Election.fast, Election.balanced, Election.fast, Election.resilient]) {
        const lines = yield* start({ registry: { bucket: registry }, election: { bucket: election, timings } })
        assert.deepStrictEqual(lines, [])
      }
    }))

  test("with onMismatch update a lower maxAge lowers streamMaxAge", () =>
    Effect.gen(function*() {
      const { at, registry } = starting("update")
      yield* at("30 seconds")
      const lines = yield* at("3 seconds")
      assert.deepStrictEqual(lines, [`Info changed the bucket "${registry}": streamMaxAge from 5m to 30s`])
      assert.strictEqual(yield* ageOf(registry), "30s")
    }))

  test("with onMismatch accept a bucket that suffices is used without a line, and another one is refused", () =>
    Effect.gen(function*() {
      const { at } = starting("accept")
      yield* at("3 seconds")
      assert.deepStrictEqual(yield* at("15 seconds"), [])
      const error = yield* Effect.flip(at("16 seconds"))
      assert.match(error.message, /streamMaxAge of the bucket: expected at least twice maxAge \(16s\), got 30s/)
    }))

  test("with onMismatch fail a changed maxAge fails with ConfigMismatch", () =>
    Effect.gen(function*() {
      const { at } = starting("fail")
      yield* at("3 seconds")
      yield* at("3 seconds")
      const error = yield* Effect.flip(at("30 seconds"))
      assert.strictEqual(error._tag, "KVStoreError")
      assert.strictEqual("reason" in error ? error.reason._tag : "", "ConfigMismatch")
    }))

  test("with create false a missing bucket fails with BucketNotFound", () =>
    Effect.gen(function*() {
      const { election, registry } = names()
      const options = { registry: { bucket: registry }, election: { bucket: election } }
      const error = yield* Effect.flip(start({ ...options, create: false }))
      assert.match(error.message, /does not exist/)
      yield* start(options)
      yield* start({ ...options, create: false })
    }))

  test("a process that only observes creates and changes no bucket", () =>
    Effect.gen(function*() {
      const { list } = yield* Buckets
      const { registry } = names()
      const observing = (maxAge: Duration.Input) =>
        Registry.Registry.use(({ list }) => list("orders")).pipe(
          Effect.provide(
            Registry.layer(times(maxAge, "1 second")).pipe(
              Layer.provide(KVStore.layer({ bucket: registry, create: false, onMismatch: "accept" })),
              Layer.fresh
            )
          )
        )
      const before = yield* list()
      const missing = yield* Effect.flip(observing("3 seconds"))
      assert.strictEqual(missing.reason._tag, "BucketNotFound")
      assert.deepStrictEqual(yield* list(), before)
      yield* Effect.scoped(KVStore.make({ bucket: registry, streamMaxAge: "30 seconds" }))
      for (const maxAge of ["3 seconds", "15 seconds"] as const) assert.deepStrictEqual(yield* observing(maxAge), [])
      const tooLong = yield* Effect.flip(observing("16 seconds"))
      assert.strictEqual(tooLong.reason._tag, "InvalidConfig")
      assert.strictEqual(yield* ageOf(registry), "30s")
      assert.deepStrictEqual((yield* list()).toSorted(), [...before, registry].toSorted())
    }))

  test("two processes that start at once with different values of maxAge leave the higher age", () =>
    Effect.gen(function*() {
      const { at, registry } = starting()
      yield* at("3 seconds")
      yield* Effect.all([at("30 seconds"), at("60 seconds"), at("45 seconds")], { concurrency: "unbounded" })
      yield* at("30 seconds")
      assert.strictEqual(yield* ageOf(registry), "10m")
    }))

  test("a maxAge that no bucket can serve is refused, and changes no bucket", () =>
    Effect.gen(function*() {
      const { at, registry } = starting()
      yield* at("3 seconds")
      const error = yield* Effect.flip(at("200 days"))
      assert.match(error.message, /streamMaxAge of the bucket: expected at least twice maxAge/)
      assert.strictEqual(yield* ageOf(registry), "30s")
    }))
}
