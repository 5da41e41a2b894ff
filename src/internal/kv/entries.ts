/**
 * Converts messages of the log into entries and events (docs/protocols/kv.md,
 * K14). Pure.
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import type { KVEntry, KVEvent, KVHistoryEvent } from "../../KVStore.ts"
import { copyOf } from "../copies.ts"
import type { BackendEvent, StoredMessage } from "./backend.ts"

export const isLive = (message: Option.Option<StoredMessage>): message is Option.Some<StoredMessage> =>
  Option.isSome(message) && message.value.operation === "put"

export const revisionOf = (message: Option.Option<StoredMessage>): number =>
  Option.isSome(message) ? message.value.revision : 0

/** Many entries in succession have the same time: they share it. */
let lastTime = DateTime.makeUnsafe(0)

const timeOf = (millis: number): DateTime.Utc =>
  millis === lastTime.epochMilliseconds ? lastTime : lastTime = DateTime.makeUnsafe(millis)

export const toEntry = (message: StoredMessage): KVEntry => ({
  key: message.key,
  value: copyOf(message.value),
  revision: message.revision,
  created: timeOf(message.created)
})

export const isValue = (message: StoredMessage): boolean => message.operation === "put"

export const toEntries = (messages: ReadonlyArray<StoredMessage>): ReadonlyMap<string, KVEntry> =>
  new Map(messages.filter(isValue).map((message) => [message.key, toEntry(message)]))

export const toRemoved = (
  { created, key, reason, revision }: Extract<BackendEvent, { readonly _tag: "Gone" }>
): KVEvent => ({
  _tag: "Removed",
  key,
  revision,
  created: DateTime.makeUnsafe(created),
  reason
})

export const toEvent = (message: StoredMessage): KVHistoryEvent =>
  message.operation === "put"
    ? { _tag: "Put", entry: toEntry(message) }
    : {
      _tag: "Removed",
      key: message.key,
      revision: message.revision,
      created: DateTime.makeUnsafe(message.created),
      reason: message.operation
    }
