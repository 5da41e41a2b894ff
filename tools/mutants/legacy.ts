/** Planted bugs of a registry that reads the records of AegisSDK for Python beside its own. */
import { byTest, type Mutant } from "./models.ts"

const keys = "src/internal/registry/keys.ts"
const legacyRecord = "src/internal/registry/legacyRecord.ts"
const removal = "src/internal/registry/removal.ts"
const state = "src/internal/registry/ownState.ts"
const twoRecords = "src/internal/registry/twoRecords.ts"
const view = "src/internal/registry/viewState.ts"
const tests = "test/Registry/legacyKeys.test.ts"
const table = "test/internal/registry/twoRecords.test.ts"

export const legacy: ReadonlyArray<Mutant> = [
  {
    ...byTest,
    name: "a ported cleanup loop bans an instance whose heartbeat comes between the check and the removal",
    from: "the loop of AegisSDK's document, on a real server after a pause",
    file: "src/Compat.ts",
    find: "take(registry, nameOf(names)) ?? names",
    replace: "names",
    test: {
      file: "test/Compat/document.test.ts",
      name: "does not ban an instance whose heartbeat comes between the check and the removal"
    }
  },
  {
    ...byTest,
    name: "a check of the age prevents a later removal on purpose",
    from: "an instance that was slow once could not be deregistered",
    file: "src/Compat.ts",
    find: "last.at <= longestBetween",
    replace: "last.at <= Number.POSITIVE_INFINITY",
    test: {
      file: "test/Compat/document.test.ts",
      name: "removes an instance on purpose also if a check has found it expired some time before"
    }
  },
  {
    ...byTest,
    name: "a list lacks what the view keeps once the records have aged out",
    from: "R24: an empty list after an outage of 70 s beside AegisSDK, whose bucket keeps records for 60 s",
    file: "src/internal/registry/reads.ts",
    find: "return kept.length === looked.length ? missing : kept",
    replace: "return kept.filter(({ instance }) => access.ageAt(instance.lastHeartbeat) < 60_000)",
    test: {
      file: "test/Registry/observers.test.ts",
      name: "has what the view of its process keeps, until the view announces it Down"
    }
  },
  {
    ...byTest,
    name: "records of AegisSDK are read without readLegacyKeys",
    from: "every list would read all keys of the bucket that have one token, R31",
    file: keys,
    find: "readLegacyKeys ? withLegacy : own",
    replace: "readLegacyKeys || !readLegacyKeys ? withLegacy : own",
    test: { file: tests, name: "neither reads nor watches keys of AegisSDK" }
  },
  {
    ...byTest,
    name: "other keys of one token are taken for records",
    from: "the leader keys of AegisSDK in the same bucket, each logged with each list, R31",
    file: "src/internal/registry/access.ts",
    find: "all.filter(({ key }) => keys.mayBeOf(key, serviceName))",
    replace: "all.filter(({ key }) => key !== \"\")",
    test: { file: tests, name: "ignore other keys of one token, and log a record that does not decode once" }
  },
  {
    ...byTest,
    name: "a record of AegisSDK counts under another key than its own",
    from: "names that are split from the key, as AegisSDK does it, R31",
    file: legacyRecord,
    find: "({ instance }) => legacyKeyOf(instance) === entry.key",
    replace: "({ instance }) => legacyKeyOf(instance) !== \"\"",
    test: {
      file: "test/internal/registry/legacyRecord.test.ts",
      name: "does not decode from a record of another instance"
    }
  },
  {
    ...byTest,
    name: "a record of AegisSDK without a heartbeat is as old as time",
    from: "a missing field, R32",
    file: legacyRecord,
    find: "if (value === undefined) return Result.succeed(created)",
    replace: "if (value === undefined) return Result.succeed(DateTime.makeUnsafe(0))",
    test: { file: tests, name: "compare the time in the record with the local clock, if that measures ages" }
  },
  {
    ...byTest,
    name: "of two live records that with the later heartbeat counts",
    from: "an instance that changes with each heartbeat of the two, R33",
    file: twoRecords,
    find: "!one.isLive && heartbeatOf(theirs) > heartbeatOf(ours)",
    replace: "heartbeatOf(theirs) > heartbeatOf(ours)",
    test: { file: table, name: "is that of this library if both are live" }
  },
  {
    ...byTest,
    name: "a watch emits the events of both records of an instance",
    from: "Down of an instance that is live by its other record, R33",
    file: twoRecords,
    find: "if (isLegacy) return undefined",
    replace: "if (isLegacy) return event",
    test: { file: tests, name: "has one series of events for an instance that moves to this library and back" }
  },
  {
    ...byTest,
    name: "two records that expire at once emit an event each",
    from: "the order of the records in a view, R33",
    file: view,
    find: "due.toSorted(([one], [other]) => byRank(one) - byRank(other))",
    replace: "due.toSorted(([one], [other]) => byRank(other) - byRank(one))",
    test: { file: table, name: "has Down once if both expire at once, with AegisSDK's record received first" }
  },
  {
    ...byTest,
    name: "the timer of a view is not told of a record beside a live one",
    from: "a review: the record of this library was seen for longer than it was live, R33",
    file: "src/internal/registry/view.ts",
    find: "if (!isKnown) alarm.noLaterThan",
    replace: "if (change?.event._tag === \"Up\") alarm.noLaterThan",
    test: {
      file: tests,
      name: "returns to AegisSDK's record as soon as that of this library expires, also if that was old when it came"
    }
  },
  {
    ...byTest,
    name: "deregister of an instance as listed removes both of its records",
    from: "a live instance of AegisSDK that is removed with the expired record of this library, R34",
    file: removal,
    find: "const isOne = options.lastHeartbeat !== undefined",
    replace: "const isOne = options.lastHeartbeat === null",
    test: { file: tests, name: "removes the record that was read, and keeps the other one" }
  },
  {
    ...byTest,
    name: "a registration runs beside a live process of AegisSDK",
    from: "two processes with one id, R35",
    file: state,
    find: "beside.silentFor <= beside.maxAge && onDuplicate !== \"replace\"",
    replace: "beside.silentFor < 0 && onDuplicate !== \"replace\"",
    test: { file: tests, name: "waits, and fails as soon as it sends a heartbeat" }
  }
]
