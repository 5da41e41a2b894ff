/** For `Election`'s tests, until they import from the folder. */

export { Buckets, eventually, freshName, record } from "./KVStoreSuite/fixture.ts"
export { bytes } from "./support/values.ts"
