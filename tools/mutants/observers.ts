/** Planted bugs of observers: what they judge while they are cut off, paused or late. */
import type { Mutant } from "./models.ts"

const state = "src/internal/registry/viewState.ts"
const view = "src/internal/registry/view.ts"
const tests = "test/Registry/observers.test.ts"
const table = "test/internal/registry/viewState.test.ts"

export const observers: ReadonlyArray<Mutant> = [
  {
    name: "a replayed record counts as a fresh heartbeat",
    from: "an instance killed 33 s before, which a reconnected observer announced, R25",
    file: state,
    find: "if (known === undefined && age > maxAge) return undefined",
    replace: "",
    scenario: "single",
    runs: 1,
    test: { file: tests, name: "does not announce an instance that was killed 33 seconds before its return" }
  },
  {
    name: "ages go on while an observer is cut off",
    from: "all instances of an observer without a connection, R25",
    file: "src/internal/registry/connectedTime.ts",
    find: "this.since ??= now",
    replace: "this.since ??= 0",
    scenario: "single",
    runs: 1,
    test: { file: table, name: "keeps its instances, whose ages stand still, also those since the loss was noticed" }
  },
  {
    name: "an observer judges at once after its return",
    from: "instances whose heartbeat was due during the gap, R25",
    file: state,
    find: "until: this.connected.at(now) + this.times.settling }",
    replace: "until: this.connected.at(now) }",
    scenario: "single",
    runs: 1,
    test: {
      file: table,
      name: "judges nobody for a heartbeat after its return, but the dead for no longer than maxAge"
    }
  },
  {
    name: "a link that flaps keeps the dead",
    from: "the obvious cure of false expiries, R25",
    file: state,
    find: "Math.max(until, Math.min(this.phase.until, until + this.times.maxAge))",
    replace: "Math.max(until, this.phase.until)",
    scenario: "single",
    runs: 1,
    test: { file: table, name: "that flaps for ever expires the dead at twice maxAge of connected time" }
  },
  {
    name: "a late timer is no pause",
    from: "SIGSTOP of an observer, R25",
    file: view,
    find: "if (late > longestPause) {",
    replace: "if (late > longestPause && late < 0) {",
    scenario: "single",
    runs: 1,
    test: { file: tests, name: "expires nobody before the instances had time to send a heartbeat" }
  },
  {
    name: "the silence of all is always their own",
    from: "a store that takes no writes, R25",
    file: view,
    find: "if (Option.isSome(answer) && answer.value.lastRevision <= view.lastRevision) return view.explained()",
    replace: "if (view.lastRevision > 0) return view.explained()",
    scenario: "single",
    runs: 1,
    test: { file: tests, name: "is the store's if it does not answer: nobody expires until it is back" }
  },
  {
    name: "a view whose watch has died goes on without it",
    from: "a record that ended the watch of every process, R25",
    file: view,
    find: "Cause.hasInterruptsOnly(cause)\n        ?",
    replace: "Cause.hasInterruptsOnly(cause) || Cause.hasDies(cause)\n        ?",
    scenario: "single",
    runs: 1,
    test: { file: tests, name: "by a defect fails its subscribers, expires nobody, and is handed to nobody new" }
  },
  {
    name: "a list forgets what the view of its process keeps",
    from: "a list of nobody after an outage, R25",
    file: "src/internal/registry/service.ts",
    find: "|| (maxAge === undefined && isKept(record.keyOf(instance)))",
    replace: "|| (maxAge === undefined && isKept(\"\"))",
    scenario: "single",
    runs: 1,
    test: {
      file: tests,
      name: "lists its instances also while their records are old, after an outage of the store for all"
    }
  }
]
