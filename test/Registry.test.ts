/** The promises of a `Registry`, kept in memory under the TestClock, and what only virtual time can show. */
import * as Layer from "effect/Layer"
import * as KVStore from "../src/KVStore.ts"
import { Buckets, suite } from "./RegistrySuite.ts"

const buckets = Layer.succeed(Buckets)({ layer: KVStore.layerMemory })

suite("Registry in memory", { virtual: true, buckets })
