/** The metrics as a collector gets them from Effect's OTLP exporter: names, units and attributes. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import { OtlpMetrics, OtlpSerialization } from "effect/observability"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as Aegis from "../../src/Aegis.ts"
import * as Buckets from "../../src/Buckets.ts"
import * as Election from "../../src/Election.ts"
import * as Metrics from "../../src/Metrics.ts"
import * as Registry from "../../src/Registry.ts"
import { eventually } from "../../tools/eventually.ts"
import { bytes } from "../../tools/values.ts"
import { logged } from "../support/suite.ts"

interface Point {
  readonly attributes: ReadonlyArray<{ readonly key: string; readonly value: { readonly stringValue: string } }>
}

interface Sent {
  readonly name: string
  readonly unit?: string
  readonly sum?: { readonly dataPoints: ReadonlyArray<Point>; readonly isMonotonic: boolean }
  readonly gauge?: { readonly dataPoints: ReadonlyArray<Point> }
  readonly histogram?: { readonly dataPoints: ReadonlyArray<Point> }
}

/** A collector that keeps the metrics of the last request. */
const startCollector = Effect.acquireRelease(
  Effect.callback<{ readonly url: string; readonly sent: () => ReadonlyArray<Sent>; readonly close: () => void }>(
    (resume) => {
      let sent: ReadonlyArray<Sent> = []
      const server = createServer((request, response) => {
        let body = ""
        request.setEncoding("utf8").on("data", (text) => {
          body += text
        })
        request.on("end", () => {
          const { resourceMetrics } = JSON.parse(body) as {
            readonly resourceMetrics: ReadonlyArray<{
              readonly scopeMetrics: ReadonlyArray<{ readonly metrics: ReadonlyArray<Sent> }>
            }>
          }
          sent = resourceMetrics.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap(({ metrics }) => metrics))
          response.end("{}")
        })
      })
      server.listen(0, "127.0.0.1", () => {
        const { port } = server.address() as AddressInfo
        const url = `http://127.0.0.1:${port}/v1/metrics`
        resume(Effect.succeed({ url, sent: () => sent, close: () => void server.close() }))
      })
    }
  ),
  ({ close }) => Effect.sync(close)
)

/** A metric as `kind name unit: the names of its attributes`. */
const shown = ({ gauge, histogram, name, sum, unit }: Sent): string => {
  const kind = sum !== undefined ? (sum.isMonotonic ? "counter" : "sum") : gauge !== undefined ? "gauge" : "histogram"
  const points = (sum ?? gauge ?? histogram)?.dataPoints ?? []
  const keys = [...new Set(points.flatMap(({ attributes }) => attributes.map(({ key }) => key)))]
  return `${kind} ${name} ${unit}: ${keys.filter((key) => key !== "unit").toSorted().join(", ")}`
}

/** Uses every service, with a loss of leadership and of a registration in it. */
const program = Effect.gen(function*() {
  const registry = yield* Registry.Registry
  const election = yield* Election.Election
  const { open } = yield* Buckets.Buckets
  const orders = yield* open({ bucket: "orders" })
  yield* orders.put("a", bytes("1"))
  yield* orders.get("b")
  yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" }, {
    heartbeat: "100 millis"
  })
  yield* registry.cleanup()
  const timings = { leaseDuration: 600, renewDeadline: 400, renewInterval: 50 }
  yield* Effect.scoped(Effect.flatMap(election.campaign("job", { timings }), ({ resign }) => resign))
  yield* election.campaign("other", { timings })
  yield* Effect.sleep("300 millis")
})

const until = eventually(false)

describe("Metrics", () => {
  it.live("reach a collector with their names, units and attributes", () =>
    Effect.gen(function*() {
      const { sent, url } = yield* startCollector
      const exporter = OtlpMetrics.layer({ url, resource: { serviceName: "orders" }, exportInterval: "100 millis" })
        .pipe(
          Layer.provide(OtlpSerialization.layerJson),
          Layer.provide(FetchHttpClient.layer)
        )
      yield* program.pipe(
        Effect.scoped,
        Effect.provide(Aegis.layerMemory()),
        Effect.andThen(Effect.sleep("300 millis")),
        Effect.provide(Layer.merge(exporter, logged().layer)),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
      const mine = sent().filter(({ name }) => name.startsWith("effect_aegis_")).map(shown).toSorted()
      assert.deepStrictEqual(mine, [
        "counter effect_aegis_election_losses_total 1: election, reason",
        "counter effect_aegis_election_overruns_total 1: election",
        "counter effect_aegis_election_renewals_total 1: election, outcome",
        "counter effect_aegis_election_terms_total 1: election",
        "counter effect_aegis_kv_operations_total 1: bucket, operation, outcome",
        "counter effect_aegis_registry_cleanup_total 1: outcome",
        "counter effect_aegis_registry_heartbeats_total 1: outcome, service",
        "gauge effect_aegis_kv_open_stores 1: ",
        "histogram effect_aegis_election_renewal_duration_seconds s: election",
        "histogram effect_aegis_kv_operation_duration_seconds s: bucket, operation",
        "histogram effect_aegis_kv_watch_lag_seconds s: bucket"
      ])
    }), 20_000)

  it.live("of the instances that a watch sees are a gauge by service and status, which ends with the watch", () =>
    Effect.gen(function*() {
      const gauges = Effect.map(
        Metric.snapshot,
        (all) =>
          all.filter(({ id }) => id === "effect_aegis_registry_instances").map(({ attributes, state }) =>
            `${attributes?.["service"]} ${attributes?.["status"]} ${Object(state).value}`
          ).toSorted()
      )
      const expect = (...lines: ReadonlyArray<string>) => until(gauges, (all) => all.join() === lines.join())
      yield* Effect.gen(function*() {
        const registry = yield* Registry.Registry
        const watching = yield* Effect.forkChild(Stream.runDrain(registry.watch()))
        const instance = { serviceName: "orders", version: "1.0.0" } as const
        const scope = yield* Scope.make()
        const { update } = yield* Scope.provide(registry.register({ ...instance, instanceId: "a" }), scope)
        yield* registry.heartbeat({ ...instance, instanceId: "b" })
        yield* registry.heartbeat({ ...instance, serviceName: "stock", instanceId: "c" })
        yield* expect("orders ACTIVE 2", "stock ACTIVE 1")
        yield* update((current) => ({ ...current, status: "STANDBY" }))
        yield* expect("orders ACTIVE 1", "orders STANDBY 1", "stock ACTIVE 1")
        yield* Scope.close(scope, Exit.void)
        yield* expect("orders ACTIVE 1", "stock ACTIVE 1")
        yield* Fiber.interrupt(watching)
        yield* expect()
      }).pipe(
        Effect.provide(Layer.provideMerge(Aegis.layerMemory(), logged().layer)),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
    }))

  it.live("of a running instance and leader are gauges, which are removed when it ends", () =>
    Effect.gen(function*() {
      const gauges = Effect.map(Metric.snapshot, (all) =>
        all.filter(({ id, type }) =>
          type === "Gauge" && /leader|timestamp/.test(id)
        ).map(({ attributes, id, state }) =>
          `${id.replace("effect_aegis_", "")} ${
            Object.values({ ...attributes, unit: undefined }).filter(Boolean).join(" ")
          } ${Object(state).value > 1 ? "a time" : Object(state).value}`
        ).toSorted())
      yield* Effect.gen(function*() {
        const registry = yield* Registry.Registry
        const election = yield* Election.Election
        yield* Effect.scoped(Effect.gen(function*() {
          yield* registry.register({ serviceName: "orders", instanceId: "orders-1", version: "1.0.0" })
          const { resign } = yield* election.campaign("job", { candidateId: "orders-1" })
          assert.deepStrictEqual(yield* gauges, [
            "election_is_leader job orders-1 1",
            "election_last_renewal_timestamp_seconds job orders-1 a time",
            "registry_last_heartbeat_timestamp_seconds orders orders-1 a time"
          ])
          yield* resign
          yield* Effect.repeat(Effect.yieldNow, { times: 5 })
          assert.include(yield* gauges, "election_is_leader job orders-1 0")
        }))
        assert.deepStrictEqual(yield* gauges, [])
        const leads = Metric.withAttributes(Metrics.electionTerms, { election: "job" })
        assert.strictEqual((yield* Metric.value(leads)).count, 1)
      }).pipe(
        Effect.provide(Layer.provideMerge(Aegis.layerMemory(), logged().layer)),
        Effect.provideService(Metric.MetricRegistry, new Map())
      )
    }))
})
