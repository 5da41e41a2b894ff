/**
 * Service coordination for Effect backends on NATS JetStream KV.
 *
 * @since 0.1.0
 */
export * as Aegis from "./Aegis.ts"
export * as Buckets from "./Buckets.ts"
export * as Election from "./Election.ts"
export * as Expiration from "./Expiration.ts"
export * as FencingToken from "./FencingToken.ts"
export * as KVStore from "./KVStore.ts"
export * as Metrics from "./Metrics.ts"
export * as NatsClient from "./NatsClient.ts"
export * as NatsKVStore from "./NatsKVStore.ts"
export * as Registry from "./Registry.ts"
