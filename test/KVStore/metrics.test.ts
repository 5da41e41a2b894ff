/** Metrics and spans of a store. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import * as Tracer from "effect/Tracer"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import { bytes } from "../../tools/values.ts"
import { collectSpans } from "../support/spans.ts"

const bucket = "metrics"

const openStore = Effect.map(
  Layer.build(KVStore.layerMemory({ bucket, historySize: 2 })),
  (context) => Context.get(context, KVStore.KVStore)
)

/** Runs a program in its own metric registry and returns the metrics, by name and operation. */
const measured = <A, E, R>(program: Effect.Effect<A, E, R>) =>
  Effect.andThen(
    program,
    Effect.map(Metric.snapshot, (all) =>
      new Map(all.map(({ attributes, id, state }) => {
        const { bucket, operation, outcome, unit }: { readonly [name: string]: string } = { ...attributes }
        const name = [id.replace("effect_aegis_", ""), operation, outcome].filter((part) => part !== undefined).join(
          " "
        )
        return [name, { bucket, state, unit }] as const
      })))
  ).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map()))

/** Operations with every outcome. */
const everyOutcome = Effect.gen(function*() {
  const store = yield* openStore
  const { atRevision, createOnly } = KVStore.KVOptions
  yield* store.put("a", bytes("1"))
  const revision = yield* store.put("a", bytes("2"))
  yield* Effect.flip(store.put("a", bytes("3"), createOnly))
  yield* Effect.flip(store.put("a..b", bytes("3"), atRevision(1)))
  yield* store.get("a")
  yield* store.get("b")
  yield* store.get("b")
  yield* Effect.flip(store.get(""))
  yield* store.keys()
  yield* store.entries()
  yield* store.getMany(["a", "b"])
  yield* store.history("a")
  yield* store.status
  yield* Effect.flip(store.delete("a", { revision: 1 }))
  yield* store.delete("a", { revision })
  yield* Effect.flip(store.delete("*"))
  yield* store.purge("a")
})

describe("metrics", () => {
  it.effect("count operations by outcome and bucket", () =>
    Effect.gen(function*() {
      const metrics = yield* measured(everyOutcome)
      const counted = [...metrics].flatMap(([name, { bucket, state }]) =>
        "count" in state && !("buckets" in state) ? [[name, Number(state.count), bucket] as const] : []
      ).toSorted(([a], [b]) => a < b ? -1 : 1)
      assert.deepStrictEqual(counted, [
        ["kv_operations_total delete error", 1, bucket],
        ["kv_operations_total delete miss", 1, bucket],
        ["kv_operations_total delete success", 1, bucket],
        ["kv_operations_total entries success", 1, bucket],
        ["kv_operations_total get error", 1, bucket],
        ["kv_operations_total get miss", 2, bucket],
        ["kv_operations_total get success", 1, bucket],
        ["kv_operations_total getMany success", 1, bucket],
        ["kv_operations_total history success", 1, bucket],
        ["kv_operations_total keys success", 1, bucket],
        ["kv_operations_total purge success", 1, bucket],
        ["kv_operations_total put conflict", 1, bucket],
        ["kv_operations_total put error", 1, bucket],
        ["kv_operations_total put success", 2, bucket],
        ["kv_operations_total status success", 1, bucket]
      ])
    }))

  it.effect("measure the duration of each operation in seconds", () =>
    Effect.gen(function*() {
      const metrics = yield* measured(Effect.gen(function*() {
        const store = yield* openStore
        yield* store.put("a", bytes("1"))
        yield* store.put("a", bytes("1"))
      }))
      const { state, unit } = metrics.get("kv_operation_duration_seconds put")!
      assert.strictEqual(unit, "seconds")
      assert.include(state, { count: 2, min: 0, max: 0 })
    }))

  it.effect("show the number of open stores", () =>
    Effect.gen(function*() {
      const registry: Metric.MetricRegistry = new Map()
      const open = Effect.map(
        Metric.snapshot,
        (all) => all.find(({ id }) => id === "effect_aegis_kv_open_stores")?.state
      )
      yield* Effect.gen(function*() {
        yield* Effect.scoped(Effect.gen(function*() {
          yield* openStore
          yield* openStore
          assert.deepStrictEqual(yield* open, { value: 2 })
        }))
        assert.deepStrictEqual(yield* open, { value: 0 })
      }).pipe(Effect.provideService(Metric.MetricRegistry, registry))
    }))

  it.effect("measure the age of a change when a watch emits it, and not the age of the snapshot", () =>
    Effect.gen(function*() {
      const metrics = yield* measured(Effect.gen(function*() {
        const store = yield* openStore
        yield* store.put("a", bytes("1"))
        yield* TestClock.adjust("1 hour")
        yield* Effect.forkScoped(Stream.runDrain(store.watch()), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        yield* store.put("a", bytes("2"))
        yield* TestClock.adjust("1 second")
      }))
      assert.include(metrics.get("kv_watch_lag_seconds")!.state, { count: 1, max: 0 })
    }))

  it.effect("count connections that could not be opened", () =>
    Effect.gen(function*() {
      const metrics = yield* measured(Effect.flip(Layer.build(NatsClient.layer({ servers: "nats://127.0.0.1:1" }))))
      assert.include(metrics.get("nats_connect_failures_total")!.state, { count: 1 })
    }))
})

describe("spans", () => {
  it.effect("have the name, bucket, key and outcome of each operation", () =>
    Effect.gen(function*() {
      const spans = yield* collectSpans(Effect.scoped(everyOutcome))
      assert.deepStrictEqual(
        spans.map(({ attributes, name }) => [name, attributes.get("kv.key"), attributes.get("kv.outcome")]),
        [
          ["kv.put", "a", "success"],
          ["kv.put", "a", "success"],
          ["kv.put", "a", "conflict"],
          ["kv.put", "a..b", "error"],
          ["kv.get", "a", "success"],
          ["kv.get", "b", "miss"],
          ["kv.get", "b", "miss"],
          ["kv.get", "", "error"],
          ["kv.keys", ">", "success"],
          ["kv.entries", ">", "success"],
          ["kv.getMany", undefined, "success"],
          ["kv.history", "a", "success"],
          ["kv.status", undefined, "success"],
          ["kv.delete", "a", "miss"],
          ["kv.delete", "a", "success"],
          ["kv.delete", "*", "error"],
          ["kv.purge", "a", "success"]
        ]
      )
      for (const { attributes, status } of spans) {
        assert.strictEqual(attributes.get("kv.bucket"), bucket)
        assert.strictEqual(status._tag, "Ended")
      }
    }))

  it.effect("have the span of the caller as their parent", () =>
    Effect.gen(function*() {
      const spans = yield* collectSpans(Effect.scoped(Effect.gen(function*() {
        const store = yield* openStore
        yield* Effect.withSpan(store.get("a"), "request")
      })))
      const [request, get] = spans
      assert.deepStrictEqual([request?.name, get?.name], ["request", "kv.get"])
      assert.strictEqual(get?.parent._tag === "Some" ? get.parent.value : undefined, request)
    }))

  it.effect("are not created with the default tracer", () =>
    Effect.gen(function*() {
      const store = yield* openStore
      const native = Context.get(Context.empty(), Tracer.Tracer)
      const { span } = native
      let made = 0
      Object.assign(native, {
        span: (options: Parameters<typeof span>[0]) => {
          made++
          return span.call(native, options)
        }
      })
      yield* Effect.ensuring(
        Effect.andThen(store.put("a", bytes("1")), store.get("a")),
        Effect.sync(() => Object.assign(native, { span }))
      )
      assert.strictEqual(made, 0)
    }))
})
