/** Runs the registry suite on the in-memory store with the TestClock. */

import { layerMemory } from "../../src/Buckets.ts"
import { suite } from "./suite/index.ts"

suite("Registry in memory", { kind: "memory", virtual: true, buckets: layerMemory })
