/**
 * What a guarded resource accepted.
 */
import { Order } from "../../../FencingToken.ts"
import type { GuardedWrite } from "../../Checks.ts"
import { type Fact, type Finding, shown } from "./report.ts"

const took = ({ at, node, resource, token, what }: GuardedWrite): Fact => ({
  at,
  who: node,
  what: `writes ${what === undefined ? "" : `${what} `}to "${resource}" with token ${shown(token)}: accepted`
})

const ofOne = (writes: ReadonlyArray<GuardedWrite>): ReadonlyArray<Finding> => {
  const found: Array<Finding> = []
  /** Tokens fall from its bottom to its top, which is the nearest that may be higher than the next. */
  const higher: Array<GuardedWrite> = []
  for (const write of writes.toSorted((one, two) => one.at - two.at)) {
    while (higher.length > 0 && Order(higher.at(-1)!.token, write.token) <= 0) higher.pop()
    const earlier = higher.at(-1)
    higher.push(write)
    if (earlier === undefined) continue
    found.push({
      rule: "no stale write",
      at: write.at,
      message: `"${write.resource}" accepted token ${shown(write.token)} of ${write.node} after the higher ` +
        `${shown(earlier.token)} of ${earlier.node}`,
      facts: [took(earlier), took(write)]
    })
  }
  return found
}

export const writes = (all: ReadonlyArray<GuardedWrite>): ReadonlyArray<Finding> =>
  [...Map.groupBy(all.filter(({ accepted }) => accepted), ({ resource }) => resource).values()].flatMap(ofOne)
