/** Planted bugs of what records tell: the maxAge of owners, restarts, and outages. */
import { byTest, type Mutant } from "./models.ts"

const access = "src/internal/registry/access.ts"
const outages = "src/internal/registry/outages.ts"
const own = "src/internal/registry/ownRecord.ts"
const tests = "test/Registry/records.test.ts"
const table = "test/internal/registry/outages.test.ts"
const removals = "test/Registry/deregistering.test.ts"
const cleanups = "test/Registry/cleaning.test.ts"

export const records: ReadonlyArray<Mutant> = [
  {
    ...byTest,
    name: "the maxAge of an owner does not count",
    from: "an observer with a shorter maxAge, for which the instance flapped without end, R5",
    file: access,
    find: "maxAge === undefined ? ownMaxAge : Math.max(leastMaxAge, Math.min(maxAge, most))",
    replace: "maxAge === undefined ? ownMaxAge : Math.max(leastMaxAge, Math.min(ownMaxAge, most))",
    test: { file: tests, name: "counts for observers with a shorter one, which list it and emit no Down" }
  },
  {
    ...byTest,
    name: "the maxAge of an owner counts without a limit",
    from: "a record that says that its instance never expires, R5",
    file: access,
    find: "maxAge === undefined ? ownMaxAge : Math.max(leastMaxAge, Math.min(maxAge, most))",
    replace: "maxAge === undefined ? ownMaxAge : Math.max(leastMaxAge, maxAge, most)",
    test: { file: tests, name: "counts up to 10 times that of the observer, and not against the maxAge of a read" }
  },
  {
    ...byTest,
    name: "a restart is told by the nonce of a record without one",
    from: "AegisSDK's records, R3",
    file: "src/internal/registry/viewState.ts",
    find: "nonce !== undefined && known.nonce !== undefined && nonce !== known.nonce",
    replace: "nonce !== known.nonce",
    test: { file: tests, name: "takes no record of AegisSDK for a restart" }
  },
  {
    ...byTest,
    name: "an outage revives instances that had died before it",
    from: "the obvious cure of empty lists after an outage, R29",
    file: outages,
    find: "heartbeatAt < outage.since && heartbeatAt + maxAge >= outage.after",
    replace: "heartbeatAt < outage.since",
    test: { file: tests, name: "an instance that was expired before the outage stays so" }
  },
  {
    ...byTest,
    name: "instances that have just started show an outage",
    from: "a rolling restart, R29",
    file: outages,
    find: "now - startedAt.epochMilliseconds > one.maxAge",
    replace: "now - startedAt.epochMilliseconds >= 0",
    test: { file: table, name: "the same with instances that have just started" }
  },
  {
    ...byTest,
    name: "heartbeats that were missed one after the other show an outage",
    from: "instances with different troubles of their own, R29",
    file: outages,
    find: "{ at: since, by: -1 }",
    replace: "{ at: since, by: 0 }",
    test: { file: table, name: "nothing if the heartbeats were missed one after the other" }
  },
  {
    ...byTest,
    name: "an outage ends with the last instance that returns",
    from: "dead instances that were kept for as long as others returned, R29",
    file: outages,
    find: "Math.min(least, since), Number.POSITIVE_INFINITY",
    replace: "Math.max(least, since), Number.NEGATIVE_INFINITY",
    test: { file: table, name: "its end, also if others return later" }
  },
  {
    ...byTest,
    name: "the record of an owner does not show that it missed heartbeats",
    from: "a process that starts after an outage and lists no instance, R29",
    file: own,
    find: "return { maxAge, streakSince: now, streakAfter: now - silentFor }",
    replace: "return { maxAge, streakSince: now, streakAfter: undefined }",
    test: { file: tests, name: "a process that has just started lists and watches all that were live before" }
  },
  {
    ...byTest,
    name: "deregister of an expired instance is final",
    from: "AegisSDK's cleanup loop, after which slow instances did not come back, R19",
    file: "src/internal/registry/decisions.ts",
    find: "if (isExpired) return \"purge\"",
    replace: "if (isExpired) return \"delete\"",
    test: {
      file: removals,
      name: "as the cleanup loop of AegisSDK does it removes crashed instances, and slow ones come back"
    }
  },
  {
    ...byTest,
    name: "deregister of a listed instance removes a later heartbeat",
    from: "AegisSDK: a heartbeat between the list and the delete is removed too, R19",
    file: "src/internal/registry/removal.ts",
    find: "!DateTime.Equivalence(lastHeartbeat, instance.lastHeartbeat)",
    replace: "false",
    test: { file: removals, name: "keeps it after another heartbeat" }
  },
  {
    ...byTest,
    name: "deregister after an outage is final",
    from: "a cleanup after an outage, which bans those that have just returned, R19",
    file: "src/internal/registry/removal.ts",
    find: "isInDoubt: isUncertain || hasMissed(access, aged)",
    replace: "isInDoubt: isUncertain",
    test: {
      file: removals,
      name: "purges an instance that missed a heartbeat within maxAge: the store may have been away"
    }
  },
  {
    ...byTest,
    name: "a cleanup counts looks from before and after an outage",
    from: "a cleanup after an outage, R21",
    file: "src/internal/registry/service.ts",
    find: "if (_tag === \"Unreachable\") memory.forget()",
    replace: "if (_tag === \"Unreachable\") return",
    test: { file: cleanups, name: "needs both looks in one connected time" }
  },
  {
    ...byTest,
    name: "self-preservation never ends",
    from: "a service that was shut down, whose records stayed without end, R22",
    file: "src/internal/registry/cleanup.ts",
    find: "since === undefined || now - since < maxAge * longestPreservation",
    replace: "since === undefined || now - since < Number.POSITIVE_INFINITY",
    test: { file: cleanups, name: "ends after 10 times maxAge: the instances are dead" }
  },
  {
    ...byTest,
    name: "a cleanup judges by a view that may not judge",
    from: "a cleanup of a process that was cut off, R20",
    file: "src/internal/registry/view.ts",
    find: "shared.view.phase._tag === \"Live\" ? { live:",
    replace: "shared.view.phase._tag !== \"Loading\" ? { live:",
    test: { file: cleanups, name: "reads the records for a maxAge of its own, and while the view may not judge" }
  }
]
