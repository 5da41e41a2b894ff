/**
 * Whether a store is in reach. A store is a public service, which tests and programs can wrap, so
 * what only this library needs of it is kept beside it.
 */
import * as Stream from "effect/Stream"

/**
 * Whether the store is in reach, and since when, in milliseconds by the monotonic clock. `Unreachable` since the last
 * message from the store, which is earlier than the time at which the loss was noticed.
 */
export type Reachability =
  | { readonly _tag: "Reachable"; readonly at: number }
  | { readonly _tag: "Unreachable"; readonly at: number }

const known = new WeakMap<object, Stream.Stream<Reachability>>()

/** Keeps the reachability of a store: the current one, then each change. */
export const keepReachability = <Store extends object>(store: Store, changes: Stream.Stream<Reachability>): Store => {
  known.set(store, changes)
  return store
}

/** The reachability of a store; of one that this library did not create nothing is known. */
export const reachabilityOf = (store: object): Stream.Stream<Reachability> => known.get(store) ?? Stream.never
