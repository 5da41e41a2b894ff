/**
 * The metrics of this library, for programs that read them and for dashboards.
 *
 * Each metric is updated by the library itself. Effect's exporters (`effect/observability`)
 * send all of them; nothing has to be turned on. Times are in seconds. The subject of an
 * update, such as the bucket, and its outcome are attributes: each combination is a
 * separate series. The gauges of an ended registration, candidate or connection are removed.
 * Two candidates of a process with the same name share a series, which has the larger value.
 *
 * **Example** (Reading a metric)
 *
 * ```ts
 * import { Effect, Metric } from "effect"
 * import { Buckets, KVStore, Metrics } from "effect-aegis"
 *
 * const program = Effect.gen(function*() {
 *   const store = yield* KVStore.make({ bucket: "orders" })
 *   yield* store.put("42", new TextEncoder().encode("new"))
 *   const attributes = { bucket: "orders", operation: "put", outcome: "success" }
 *   const { count } = yield* Metric.value(Metric.withAttributes(Metrics.kvOperations, attributes))
 *   return count
 * }).pipe(Effect.scoped, Effect.provide(Buckets.layerMemory))
 *
 * console.log(await Effect.runPromise(program))
 * // => 1
 * ```
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

const counter = (name: string, description: string): Metric.Counter<number> =>
  Metric.counter(`effect_aegis_${name}`, { description, incremental: true })

const gauge = (name: string, description: string): Metric.Gauge<number> =>
  Metric.gauge(`effect_aegis_${name}`, { description })

const seconds = { unit: "seconds" }

/** A gauge of a time or a duration. */
const secondsGauge = (name: string, description: string): Metric.Gauge<number> =>
  Metric.gauge(`effect_aegis_${name}`, { description, attributes: seconds })

const histogram = (
  name: string,
  description: string,
  boundaries: ReadonlyArray<number>
): Metric.Histogram<number> =>
  Metric.histogram(`effect_aegis_${name}`, { description, attributes: seconds, boundaries })

/** In seconds, from 0.1 ms, faster than any server, to 13 s, doubling. */
const durations = /* @__PURE__ */ Metric.exponentialBoundaries({ start: 0.0001, factor: 2, count: 18 })

/** In seconds, from 1 ms to 2 min, doubling. */
const lags = /* @__PURE__ */ Metric.exponentialBoundaries({ start: 0.001, factor: 2, count: 18 })

/**
 * Operations of stores, by `bucket`, `operation` (`get`, `put`, ...) and `outcome`:
 * `success`, `error`, or `miss` (a `get` found no value, or a `delete` or `purge` found
 * another revision). A condition that does not hold counts as an error of `put`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const kvOperations: Metric.Counter<number> = /* @__PURE__ */ counter(
  "kv_operations_total",
  "Number of operations of stores"
)

/**
 * Duration of an operation in seconds, by `bucket` and `operation`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const kvOperationDuration: Metric.Histogram<number> = /* @__PURE__ */ histogram(
  "kv_operation_duration_seconds",
  "Duration of operations of stores",
  durations
)

/**
 * Consumers of watches and listings that were replaced, by `bucket` and `cause`:
 * `silence`, `gap`, `link`, `reset` or `unavailable`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const kvWatchRestarts: Metric.Counter<number> = /* @__PURE__ */ counter(
  "kv_watch_restarts_total",
  "Number of times that a watch needed a new consumer on the server"
)

/**
 * Time from a write to its event in a watch, in seconds by the store's clock, by `bucket`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const kvWatchLag: Metric.Histogram<number> = /* @__PURE__ */ histogram(
  "kv_watch_lag_seconds",
  "Time from a write to its event in a watch",
  lags
)

/**
 * Open stores of this process.
 *
 * @category metrics
 * @since 0.1.0
 */
export const kvOpenStores: Metric.Gauge<number> = /* @__PURE__ */ gauge(
  "kv_open_stores",
  "Number of open stores in this process"
)

/**
 * The state of the connection: 1 while it is connected, else 0. By `connection`, its
 * `name` in the options; empty without a name.
 *
 * @category metrics
 * @since 0.1.0
 */
export const natsConnected: Metric.Gauge<number> = /* @__PURE__ */ gauge(
  "nats_connected",
  "Whether the connection to NATS is up"
)

/**
 * Lost connections, by `connection`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const natsDisconnects: Metric.Counter<number> = /* @__PURE__ */ counter(
  "nats_disconnects_total",
  "Number of times that the connection to NATS was lost"
)

/**
 * First connections that could not be opened. Failed attempts to reconnect are not counted.
 *
 * @category metrics
 * @since 0.1.0
 */
export const natsConnectFailures: Metric.Counter<number> = /* @__PURE__ */ counter(
  "nats_connect_failures_total",
  "Number of failed attempts to open a connection to NATS"
)

/**
 * Heartbeats of registrations, by `service` and `outcome`: `success` or `error`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const registryHeartbeats: Metric.Counter<number> = /* @__PURE__ */ counter(
  "registry_heartbeats_total",
  "Number of heartbeats of registrations"
)

/**
 * When the last heartbeat of a registration was stored, in seconds since 1970 by the
 * clock of this host, by `service` and `instance`. An alert compares it with the time now.
 *
 * @category metrics
 * @since 0.1.0
 */
export const registryLastHeartbeat: Metric.Gauge<number> = /* @__PURE__ */ secondsGauge(
  "registry_last_heartbeat_timestamp_seconds",
  "When the last heartbeat of a registration was stored"
)

/**
 * Registrations that were lost, by `service` and `reason`: the tag of the
 * `RegistryReason`, such as `DuplicateInstance`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const registryLost: Metric.Counter<number> = /* @__PURE__ */ counter(
  "registry_registrations_lost_total",
  "Number of registrations that were lost"
)

/**
 * Registrations of this process that other processes may see as expired, by `bucket`, `service` and `reason`: the tag of
 * the reason of the last failed heartbeat, such as `Unavailable`; `none` if no heartbeat has failed, because the process did
 * not run. A registration that was lost is one of them until its scope closes.
 *
 * @category metrics
 * @since 0.1.0
 */
export const registryInvisible: Metric.Gauge<number> = /* @__PURE__ */ gauge(
  "registry_registrations_invisible",
  "Number of registrations that other processes may see as expired"
)

/**
 * Health checks of instances, by `service` and `outcome`: `healthy`, `unhealthy`, `timedOut` (no answer within a second) or
 * `failed` (an error, a defect, or another answer than true or false).
 *
 * @category metrics
 * @since 0.1.0
 */
export const registryHealthChecks: Metric.Counter<number> = /* @__PURE__ */ counter(
  "registry_health_checks_total",
  "Number of health checks of instances"
)

/**
 * Live instances as the watches of this process see them, by `bucket`, `service` and `status`. It exists
 * while the process has a watch.
 *
 * @category metrics
 * @since 0.1.0
 */
export const registryInstances: Metric.Gauge<number> = /* @__PURE__ */ gauge(
  "registry_instances",
  "Number of live instances"
)

/**
 * Results of the cleanups of this process, by `outcome`: instances that were `removed`,
 * removals that `failed`, and services that were `preserved`, because too many of their
 * instances were expired at once.
 *
 * @category metrics
 * @since 0.1.0
 */
export const registryCleanup: Metric.Counter<number> = /* @__PURE__ */ counter(
  "registry_cleanup_total",
  "Number of expired instances that were removed, of removals that failed, and of services that were preserved"
)

/**
 * Whether a candidate of this process leads: 1 or 0, by `election` and `candidate`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const electionIsLeader: Metric.Gauge<number> = /* @__PURE__ */ gauge(
  "election_is_leader",
  "Whether the candidate leads"
)

/**
 * Terms that candidates of this process won, by `election`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const electionTerms: Metric.Counter<number> = /* @__PURE__ */ counter(
  "election_terms_total",
  "Number of terms that were won"
)

/**
 * Terms that ended, by `election` and `reason`: a `LossReason`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const electionLosses: Metric.Counter<number> = /* @__PURE__ */ counter(
  "election_losses_total",
  "Number of terms that ended"
)

/**
 * Renewals of leaders, by `election` and `outcome`: `success`, `conflict` or `error`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const electionRenewals: Metric.Counter<number> = /* @__PURE__ */ counter(
  "election_renewals_total",
  "Number of renewals of leaders"
)

/**
 * Duration of a renewal in seconds, by `election`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const electionRenewalDuration: Metric.Histogram<number> = /* @__PURE__ */ histogram(
  "election_renewal_duration_seconds",
  "Duration of renewals of leaders",
  durations
)

/**
 * When the last renewal of a leader was stored, in seconds since 1970 by the clock of this
 * host, by `election` and `candidate`. An alert compares it with the time now.
 *
 * @category metrics
 * @since 0.1.0
 */
export const electionLastRenewal: Metric.Gauge<number> = /* @__PURE__ */ secondsGauge(
  "election_last_renewal_timestamp_seconds",
  "When the last renewal of a leader was stored"
)

/**
 * Requests of candidates that failed and were retried, by `election` and `reason`: the tag of the reason of a
 * `KVStoreError`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const electionCampaignFailures: Metric.Counter<number> = /* @__PURE__ */ counter(
  "election_campaign_failures_total",
  "Number of requests of candidates that failed and were retried"
)

/**
 * Health checks of candidates, by `election` and `outcome`: `healthy`, `unhealthy`, `timedOut` or `failed`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const electionHealthChecks: Metric.Counter<number> = /* @__PURE__ */ counter(
  "election_health_checks_total",
  "Number of health checks of candidates"
)

/**
 * Whether a candidate of this process is healthy: 1 or 0, by `election` and `candidate`. Only for candidates with a
 * `healthCheck`.
 *
 * @category metrics
 * @since 0.1.0
 */
export const electionIsHealthy: Metric.Gauge<number> = /* @__PURE__ */ gauge(
  "election_is_healthy",
  "Whether the candidate is healthy"
)

/**
 * Times that the work of a singleton failed or ended, by `election`: it was started again after a pause.
 *
 * @category metrics
 * @since 0.1.0
 */
export const electionWorkFailures: Metric.Counter<number> = /* @__PURE__ */ counter(
  "election_work_failures_total",
  "Number of times that the work of a singleton failed or ended"
)

/**
 * Times that work was still running when its lease ended, by `election`: another leader may
 * have started.
 *
 * @category metrics
 * @since 0.1.0
 */
export const electionOverruns: Metric.Counter<number> = /* @__PURE__ */ counter(
  "election_overruns_total",
  "Number of times that work was still running when its lease ended"
)
