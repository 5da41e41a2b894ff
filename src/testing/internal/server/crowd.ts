/**
 * The consumers of one copy, grouped by filter, so that each filter is matched
 * only once for a message.
 */
import type { Matches } from "../../../internal/subjects.ts"
import type { Audience } from "./copy.ts"
import type { Kept } from "./kept.ts"
import { filtersOf } from "./position.ts"
import type { PullConsumer } from "./pullConsumer.ts"

interface Group {
  readonly matches: Matches
  readonly members: Set<PullConsumer>
}

const filterOf = ({ settings }: PullConsumer): string => filtersOf(settings).join()

export class Crowd implements Audience {
  size = 0
  private readonly groups = new Map<string, Group>()

  add(consumer: PullConsumer): void {
    const filter = filterOf(consumer)
    const group = this.groups.get(filter)
    if (group === undefined) {
      this.groups.set(filter, { matches: consumer.position.matches, members: new Set([consumer]) })
    } else group.members.add(consumer)
    this.size++
  }

  remove(consumer: PullConsumer): void {
    const filter = filterOf(consumer)
    const group = this.groups.get(filter)
    if (group === undefined || !group.members.delete(consumer)) return
    this.size--
    if (group.members.size === 0) this.groups.delete(filter)
  }

  stored(message: Kept): void {
    if (this.size === 0) return
    for (const { matches, members } of this.groups.values()) {
      if (matches(message.subject)) { for (const consumer of members) consumer.stored(message) }
    }
  }

  removed(message: Kept): void {
    if (this.size === 0) return
    for (const { matches, members } of this.groups.values()) {
      if (matches(message.subject)) { for (const consumer of members) consumer.removed(message) }
    }
  }
}
