/** The promises of an `Election`, kept in memory under the TestClock. */
import { suite } from "./suite/index.ts"
import { buckets } from "./suite/inMemory.ts"

suite("Election in memory", { kind: "memory", virtual: true, buckets })
