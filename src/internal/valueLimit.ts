/**
 * The largest value that a store can send. A store is a public service, which tests and programs can
 * wrap, so what only this library needs of it is kept beside it.
 */

const known = new WeakMap<object, () => number>()

/** Keeps the limit of a store in bytes, which can change with each connection. */
export const keepValueLimit = <Store extends object>(store: Store, limit: () => number): Store => {
  known.set(store, limit)
  return store
}

/** In bytes, for a write with a condition on its own key; infinite for a store that this library did not create. */
export const valueLimitOf = (store: object): number => known.get(store)?.() ?? Number.POSITIVE_INFINITY
