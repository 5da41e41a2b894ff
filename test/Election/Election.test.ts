/** The suite of `Election` in memory, under the TestClock. */

import { layerMemory } from "../../src/Buckets.ts"
import { suite } from "./suite/index.ts"

suite("Election in memory", { kind: "memory", virtual: true, buckets: layerMemory })
