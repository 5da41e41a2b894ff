/** All planted bugs. */
import { driver } from "./driver.ts"
import { elections } from "./election.ts"
import { kv } from "./kv.ts"
import type { Mutant } from "./models.ts"
import { registry } from "./registry.ts"

export const mutants: ReadonlyArray<Mutant> = [...kv, ...driver, ...registry, ...elections]
