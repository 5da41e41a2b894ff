/** The promises of a `Registry`, kept in memory under the TestClock. */
import { memoryBuckets } from "../support/suite.ts"
import { suite } from "./suite/index.ts"

suite("Registry in memory", { kind: "memory", virtual: true, buckets: memoryBuckets })
