/** Planted bugs of owners: slow links, stale answers, outages. */
import { byTest, type Mutant } from "./models.ts"

const own = "src/internal/registry/ownRecord.ts"
const state = "src/internal/registry/ownState.ts"
const schedule = "src/internal/registry/schedule.ts"
const visibility = "src/internal/registry/visibility.ts"
const metrics = "test/Registry/metrics.test.ts"
const byHand = "test/Registry/byHand.test.ts"
const tests = "test/Registry/owners.test.ts"
const table = "test/internal/registry/ownState.test.ts"

export const owners: ReadonlyArray<Mutant> = [
  {
    ...byTest,
    name: "late answers are not taken",
    from: "a round trip of 0.7 s with a heartbeat of 1 s, which expired living instances, R12",
    file: own,
    find: "if (exit.value._tag === \"Landed\" && this.state._tag !== \"Ended\") this.apply(exit.value)",
    replace: "",
    test: { file: tests, name: "round trips of 1.4 s, with a heartbeat of 1 s" }
  },
  {
    ...byTest,
    name: "the timeout of an attempt does not follow the round trip",
    from: "a round trip of 2.2 s with the default times, R12",
    file: own,
    find: "Duration.max(attemptTimeout, slow)",
    replace: "Duration.min(attemptTimeout, Duration.max(slow, attemptTimeout))",
    test: { file: tests, name: "round trips of 1.4 s, with a heartbeat of 1 s" }
  },
  {
    ...byTest,
    name: "a late answer replaces what a later write has stored",
    from: "two answers in the wrong order, R12",
    file: state,
    find: "if (revision <= knownRevision(state)) return { next: state, command: done }",
    replace: "",
    test: {
      file: table,
      name: "keeps what a later write has stored if the late answer of the heartbeat arrives after that"
    }
  },
  {
    ...byTest,
    name: "a stale read-back is taken as final",
    from: "a copy that lags behind, R11",
    file: state,
    find: "seen.revision < knownRevision(state) && looks > 0",
    replace: "seen.revision < knownRevision(state) && looks > 3",
    test: { file: table, name: "reads again if the answer is older than what it has stored" }
  },
  {
    ...byTest,
    name: "a store that is back does not end the pause of an owner",
    from: "a restart of 1 s with a maxAge of 3 s, R12",
    file: schedule,
    find: "return Effect.raceFirst(Effect.flatMap(jittered, Effect.sleep), back)",
    replace: "return Effect.andThen(Effect.flatMap(jittered, Effect.sleep), Effect.raceFirst(Effect.void, back))",
    test: {
      file: tests,
      name: "writes soon after its store is back, also during the longest pause between its attempts"
    }
  },
  {
    ...byTest,
    name: "heartbeats have no jitter",
    from: "a fleet that starts at the same time, R13",
    file: schedule,
    find: "const leastPart = 0.9",
    replace: "const leastPart = 1",
    test: { file: tests, name: "started at the same time as others does not write at the same times" }
  },
  {
    ...byTest,
    name: "an adopted record counts as never stored",
    from: "an owner that told of missed heartbeats which were stored, R11",
    file: state,
    find: "registered(decision.record, Math.max(landedAt, at), decision.revision)",
    replace: "registered(decision.record, landedAt, decision.revision)",
    test: { file: table, name: "adopts its own record at another revision" }
  },
  {
    ...byTest,
    name: "a process that waits for an id counts an outage",
    from: "an owner that could not write, and lost its id, R8",
    file: own,
    find: "connectedSleep(store, { millis, grace })",
    replace: "Effect.race(connectedSleep(store, { millis, grace }), Effect.sleep(wholeMillis(millis)))",
    test: { file: tests, name: "keeps its id in an outage, although a process waits for it" }
  },
  {
    ...byTest,
    name: "a registration learns of its own deregister with its next heartbeat",
    from: "a process that deregistered its instance, and was told 10 s later, R19",
    file: own,
    find: "this.state._tag === \"Ended\" && onEnded !== undefined",
    replace: "this.state._tag === \"Leaving\" && onEnded !== undefined",
    test: { file: byHand, name: "ends the registration at once, which logs and counts it once" }
  },
  {
    ...byTest,
    name: "each write that finds a loss reports it",
    from: "a loss that was logged and counted twice, R11",
    file: "src/internal/registry/registration.ts",
    find: "isFirst ? report : Effect.void",
    replace: "isFirst ? report : report",
    test: { file: byHand, name: "ends the registration at once, which logs and counts it once" }
  },
  {
    ...byTest,
    name: "deregister ends one of several registrations of its process",
    from: "a replaced registration in the same process, R19",
    file: "src/internal/registry/registrations.ts",
    find: "own.key === key && own.mayBeStored && !own.isOver)",
    replace: "own.key === key && own.mayBeStored && !own.isOver).slice(-1)",
    test: { file: byHand, name: "ends both registrations if one of this process has replaced the other" }
  },
  {
    ...byTest,
    name: "the visibility of a registration keeps its first reason",
    from: "an owner that was told of an outage while it had lost a right, R14",
    file: visibility,
    find: "reason.value.message === lastFailure.message",
    replace: "reason.value.message !== \"\"",
    test: {
      file: tests,
      name: "is told the present reason if it changes while the instance is invisible, and since when as before"
    }
  },
  {
    ...byTest,
    name: "an ended registration stays in the gauge of invisible ones",
    from: "gauges of what is gone, which alert for ever",
    file: visibility,
    find: "      this.count(followed, undefined)",
    replace: "",
    test: { file: metrics, name: "ends with the registrations, also those of two registries" }
  },
  {
    ...byTest,
    name: "a registration that has drained counts as invisible",
    from: "an alert for an instance that left on purpose",
    file: visibility,
    find: "value._tag === \"Visible\" || own.isLeaving",
    replace: "value._tag === \"Visible\"",
    test: { file: metrics, name: "contains a registration that was lost, and none that has drained" }
  },
  {
    ...byTest,
    name: "one failed health check makes an instance unhealthy",
    from: "a check that fails once, R30",
    file: "src/internal/registry/health.ts",
    find: "const isOver = failures + 1 >= threshold",
    replace: "const isOver = failures + 1 >= Math.min(threshold, 1)",
    test: { file: "test/Registry/health.test.ts", name: "counts a failure" }
  }
]
