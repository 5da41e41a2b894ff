/**
 * The names of the keys that a stream has, by STREAM.INFO, which takes one filter.
 */
import * as Effect from "effect/Effect"
import type { KVStoreReason } from "../../../KVStoreError.ts"
import type { Filters } from "../../filters.ts"
import type { JetStream, Subjects } from "../jetstream/api.ts"
import type { Operations } from "../jetstream/operations.ts"

/** Up to this number, each filter has its own request. Above, the names of one filter that covers them all are read. */
const mostRequests = 16

/** Concurrent requests. */
const requestsAtOnce = 4

interface NamesOptions {
  readonly js: JetStream
  readonly stream: string
  readonly prefix: string
  /** The timeout of one request, in milliseconds. */
  readonly timeout: number
  readonly read: Operations["read"]
}

export const namesOf = (
  { js, prefix, read, stream, timeout }: NamesOptions,
  { cover, list, matches }: Filters
): Effect.Effect<Subjects, KVStoreReason> => {
  const namesOfOne = (filter: string) => read(js.subjects(stream, `${prefix}${filter}`, timeout))
  if (list.length === 1) return namesOfOne(list[0])
  if (list.length > mostRequests) {
    return Effect.map(namesOfOne(cover), (found) => ({
      ...found,
      names: found.names.filter((name) => matches(name.slice(prefix.length)))
    }))
  }
  return Effect.map(Effect.forEach(list, namesOfOne, { concurrency: requestsAtOnce }), (all) => ({
    names: [...new Set(all.flatMap(({ names }) => names))],
    lastRevision: Math.min(...all.map(({ lastRevision }) => lastRevision)),
    meanSize: all[0]!.meanSize
  }))
}
