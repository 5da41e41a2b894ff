/** All planted bugs. */
import { causes } from "./causes.ts"
import { changes } from "./changes.ts"
import { driver } from "./driver.ts"
import { elections } from "./election.ts"
import { kv } from "./kv.ts"
import { legacy } from "./legacy.ts"
import type { Mutant } from "./models.ts"
import { observers } from "./observers.ts"
import { operation } from "./operation.ts"
import { owners } from "./owners.ts"
import { pulling } from "./pulls.ts"
import { records } from "./records.ts"
import { registry } from "./registry.ts"

export const mutants: ReadonlyArray<Mutant> = [
  ...kv,
  ...changes,
  ...driver,
  ...causes,
  ...pulling,
  ...registry,
  ...elections,
  ...operation,
  ...observers,
  ...records,
  ...legacy,
  ...owners
]
