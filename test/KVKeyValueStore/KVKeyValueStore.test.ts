/** `KVKeyValueStore` on a store in memory. */

import { layerMemory } from "../../src/Buckets.ts"
import { suite } from "./suite/index.ts"

suite("KVKeyValueStore in memory", { kind: "memory", virtual: true, buckets: layerMemory })
