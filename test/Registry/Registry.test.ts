/** Runs the registry suite on the in-memory store with the TestClock. */
import { memoryBuckets } from "../support/suite.ts"
import { suite } from "./suite/index.ts"

suite("Registry in memory", { kind: "memory", virtual: true, buckets: memoryBuckets })
