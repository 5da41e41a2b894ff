/**
 * The keys under which a registry reads instances: those of this library, and with `readLegacyKeys` those of AegisSDK for
 * Python, too (docs/protocols/registry.md, R1 and R31). Pure.
 */
import type { Filter } from "../../KVStore.ts"
import { legacyKeyOf, legacyPrefix } from "./legacyRecord.ts"
import { type InstanceRecord, keyOf, keyPrefix, type Names } from "./record.ts"

export interface Keys {
  /** Whether the keys of AegisSDK are read, too: an instance can have two records then. */
  readonly readsLegacy: boolean
  /** The keys of a service, or of all. It can match keys of other services, and others: see `mayBeOf`. */
  readonly filter: (serviceName: string | undefined) => Filter
  /** Whether a key that matches the filter can be one of an instance of the service, or of any. Its record decides. */
  readonly mayBeOf: (key: string, serviceName: string | undefined) => boolean
  /** The keys of an instance, that of this library first. */
  readonly of: (names: Names) => ReadonlyArray<string>
}

export const isLegacyKey = (key: string): boolean => key.startsWith(legacyPrefix)

/** The key of the other record of an instance that has two. */
export const otherKeyOf = (key: string, names: Names): string => isLegacyKey(key) ? keyOf(names) : legacyKeyOf(names)

/** The key under which a record that was decoded is stored. */
export const storedKeyOf = ({ instance, isLegacy }: InstanceRecord): string =>
  isLegacy === true ? legacyKeyOf(instance) : keyOf(instance)

export const sameNames = (one: Names, other: Names): boolean =>
  one.serviceName === other.serviceName && one.instanceId === other.instanceId

const filterOf = (serviceName = "*"): string => `${keyPrefix}.${serviceName}.*`

const beginningOf = (serviceName: string | undefined): string =>
  serviceName === undefined ? `${keyPrefix}.` : `${keyPrefix}.${serviceName}.`

const legacyBeginningOf = (serviceName: string | undefined): string =>
  serviceName === undefined ? legacyPrefix : `${legacyPrefix}${serviceName}__`

const own: Keys = {
  readsLegacy: false,
  filter: filterOf,
  mayBeOf: (key, serviceName) => key.startsWith(beginningOf(serviceName)),
  of: (names) => [keyOf(names)]
}

/** AegisSDK's keys have one token, and a server cannot filter by a part of one. */
const oneToken = "*"

const withLegacy: Keys = {
  readsLegacy: true,
  filter: (serviceName) => [filterOf(serviceName), oneToken],
  mayBeOf: (key, serviceName) =>
    key.startsWith(beginningOf(serviceName)) || key.startsWith(legacyBeginningOf(serviceName)),
  of: (names) => [keyOf(names), legacyKeyOf(names)]
}

export const keysOf = (readLegacyKeys: boolean): Keys => readLegacyKeys ? withLegacy : own
