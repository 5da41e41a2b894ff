/** The promises of a `Registry`, kept in memory under the TestClock. */
import { suite } from "./RegistrySuite/index.ts"
import { buckets } from "./RegistrySuite/inMemory.ts"

suite("Registry in memory", { virtual: true, buckets })
