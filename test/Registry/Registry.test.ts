/** The promises of a `Registry`, kept in memory under the TestClock. */
import { suite } from "./suite/index.ts"
import { buckets } from "./suite/inMemory.ts"

suite("Registry in memory", { virtual: true, buckets })
