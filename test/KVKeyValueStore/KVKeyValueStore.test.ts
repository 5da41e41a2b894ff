/** `KVKeyValueStore` on a store in memory. */
import { memoryBuckets } from "../support/suite.ts"
import { suite } from "./suite/index.ts"

suite("KVKeyValueStore in memory", { kind: "memory", virtual: true, buckets: memoryBuckets })
