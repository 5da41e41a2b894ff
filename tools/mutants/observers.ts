/** Planted bugs of observers: expiries while they are cut off, paused or late. */
import { byTest, type Mutant } from "./models.ts"

const state = "src/internal/registry/viewState.ts"
const view = "src/internal/registry/view.ts"
const tests = "test/Registry/observers.test.ts"
const table = "test/internal/registry/viewState.test.ts"

export const observers: ReadonlyArray<Mutant> = [
  {
    name: "a replayed record counts as a fresh heartbeat",
    from: "an instance killed 33 s before, which a reconnected observer announced, R25",
    file: state,
    find: "if (known === undefined && age > maxAge) {",
    replace: "if (known === undefined && age > Number.MAX_VALUE) {",
    scenario: "observers",
    runs: 300,
    test: { file: tests, name: "does not announce an instance that was killed 33 seconds before its return" }
  },
  {
    name: "a replayed record of a known instance has no age",
    from: "a dead instance that each return of an observer kept for another maxAge, R25",
    file: state,
    find: "return this.connected.at(now) + maxAge - Math.max(0, age)",
    replace: "return this.connected.at(now) + maxAge",
    scenario: "observers",
    runs: 300,
    test: { file: table, name: "is as old as its record: it expires earlier, or is not live" }
  },
  {
    name: "an observer takes no notice of the reach of the store",
    from: "the views of 0.0.1, in which all instances of a process without a connection expired, R25",
    file: view,
    find: "if (_tag === \"Unreachable\") view.cutOff(at)",
    replace: "if (at < 0) view.cutOff(at)",
    scenario: "observers",
    runs: 300,
    test: { file: tests, name: "for longer than maxAge keeps its instances, and receives no Down and no Up" }
  },
  {
    name: "ages advance while an observer is cut off",
    from: "all instances of an observer without a connection, R25",
    file: "src/internal/registry/connectedTime.ts",
    find: "this.since ??= now",
    replace: "this.since ??= 0",
    scenario: "observers",
    runs: 300,
    test: { file: table, name: "keeps its instances, whose ages do not advance from the last message on" }
  },
  {
    name: "an observer judges at once after its return",
    from: "instances whose heartbeat was due during the gap, R25",
    file: state,
    find: "until: this.connected.at(now) + this.times.settling }",
    replace: "until: this.connected.at(now) }",
    scenario: "observers",
    runs: 300,
    test: {
      file: table,
      name: "expires no instance for a heartbeat after its return, and dead ones within maxAge"
    }
  },
  {
    name: "a link that flaps keeps dead instances",
    from: "the obvious cure of false expiries, R25",
    file: state,
    find: "Math.max(until, Math.min(this.phase.until, until + maxAge))",
    replace: "Math.max(until, this.phase.until)",
    scenario: "unsettled",
    runs: 300,
    test: { file: table, name: "that flaps without end expires dead instances at twice maxAge of connected time" }
  },
  {
    name: "a late timer is no pause",
    from: "SIGSTOP of an observer, R25",
    file: view,
    find: "if (late > longestPause) {",
    replace: "if (late > longestPause && late < 0) {",
    scenario: "single",
    runs: 1,
    test: { file: tests, name: "expires no instance before it had time to send a heartbeat" }
  },
  {
    name: "the silence of all is always their own",
    from: "a store that takes no writes, R25",
    file: view,
    find: "if (Option.isSome(answer) && answer.value.lastRevision <= view.lastRevision) return view.explained()",
    replace: "if (view.lastRevision > 0) return view.explained()",
    scenario: "observers",
    runs: 300,
    test: { file: tests, name: "is the store's if it does not answer: no instance expires until it is back" }
  },
  {
    name: "another node than the leader explains the silence of all",
    from: "a replicated bucket on servers without free storage, R25",
    file: view,
    find: "Option.filter(({ hasLeader }) => hasLeader)",
    replace: "Option.filter(({ messages }) => messages > 0)",
    scenario: "observers",
    runs: 300,
    test: {
      file: tests,
      name: "is the store's while another node than its leader answers: no instance expires until it has a leader"
    }
  },
  {
    name: "a view whose watch has died continues without it",
    from: "a record that ended the watch of every process, R25",
    file: view,
    find: "Cause.hasInterruptsOnly(cause)\n        ?",
    replace: "Cause.hasInterruptsOnly(cause) || Cause.hasDies(cause)\n        ?",
    scenario: "single",
    runs: 1,
    test: { file: tests, name: "by a defect fails its subscribers, expires no instance, and is not given to new ones" }
  },
  {
    name: "a change of one character is taken for a heartbeat",
    from: "a comparison of lengths, R24",
    file: "src/internal/registry/heartbeatText.ts",
    find: "if (!isSame || !isTime.test(sent)) return undefined",
    replace: "if (!isTime.test(sent)) return undefined",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/registry/heartbeatText.test.ts",
      name: "does not recognise a record with another field"
    }
  },
  {
    name: "the silence of all is not looked at while a view settles",
    from: "R25: a view that settled when the store lost its leader again expired instances by the time of that outage",
    file: "src/internal/registry/viewState.ts",
    find: "return this.isJudging && this.live.size > 1",
    replace: "return this.phase._tag === \"Live\" && this.live.size > 1",
    ...byTest,
    test: {
      file: "test/internal/registry/viewState.test.ts",
      name: "has to be explained also while the view settles, from its return on: a second outage can follow"
    }
  },
  {
    name: "a list forgets what the view of its process keeps",
    from: "an empty list after an outage, R25",
    file: "src/internal/registry/reads.ts",
    find: "|| view.current()?.isLive(storedKeyOf(one.record)) === true",
    replace: "|| view.current()?.isLive(\"\") === true",
    scenario: "observers",
    runs: 300,
    test: {
      file: tests,
      name: "lists its instances also while their records are old, after an outage of the store for all"
    }
  },
  {
    name: "a list of a lost bucket is empty",
    from: "a deleted bucket, after which a list said \"nobody\" for 6.6 s, R24",
    file: "src/internal/registry/reads.ts",
    find: "seen._tag === \"Nothing\" || seen._tag === \"Live\"",
    replace: "seen._tag === \"Live\"",
    scenario: "single",
    runs: 1,
    test: {
      file: tests,
      name: "lists the instances that it knew while the bucket is lost, and they have not registered again"
    }
  },
  {
    name: "a list does not keep the view of its process",
    from: "an empty list after an outage in a process without a watch, R24",
    file: "src/internal/registry/reads.ts",
    find: "yield* view.keep",
    replace: "yield* Effect.void",
    scenario: "single",
    runs: 1,
    test: { file: tests, name: "lists all instances right after an outage of 35 s, during which it tried to list" }
  },
  {
    name: "a view that has failed is kept for lists",
    from: "a process that lists often, whose right to read was taken away for some seconds, R24",
    file: "src/internal/registry/sharedView.ts",
    find: "Effect.raceFirst(wait, Effect.map(ended, pause))",
    replace: "Effect.raceFirst(wait, Effect.andThen(Effect.map(ended, pause), Effect.never))",
    ...byTest,
    test: { file: tests, name: "is replaced with the next list after 5 seconds" }
  },
  {
    name: "the timer of a view that has failed continues",
    from: "live instances that were logged as expired, R25",
    file: view,
    find: "Effect.raceFirst(part, ended)",
    replace: "part",
    ...byTest,
    test: {
      file: tests,
      name: "keeps no instance in later lists, and expires none, also while a subscriber does not read its end"
    }
  },
  {
    name: "the changes of a slow subscriber are kept without a limit",
    from: "a subscriber that hangs, for which the memory of the process grew, R24",
    file: "src/internal/broadcast.ts",
    find: "Queue.sizeUnsafe(subscriber.queue) >= subscriber.reduceAt",
    replace: "Queue.sizeUnsafe(subscriber.queue) >= Number.MAX_VALUE",
    scenario: "single",
    runs: 1,
    test: {
      file: tests,
      name: "receives what it has to know, when it reads again, and does not grow with the changes"
    }
  }
]
