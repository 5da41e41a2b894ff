/** The suite of `Election` in memory, under the TestClock. */
import { memoryBuckets } from "../support/suite.ts"
import { suite } from "./suite/index.ts"

suite("Election in memory", { kind: "memory", virtual: true, buckets: memoryBuckets })
