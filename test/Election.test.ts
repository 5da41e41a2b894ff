/** The promises of an `Election`, kept in memory under the TestClock. */
import { suite } from "./ElectionSuite/index.ts"
import { buckets } from "./ElectionSuite/inMemory.ts"

suite("Election in memory", { kind: "memory", virtual: true, buckets })
