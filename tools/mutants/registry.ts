/** Planted bugs of registrations, heartbeats, reads and the cleanup. */
import type { Mutant } from "./models.ts"

const access = "src/internal/registry/access.ts"
const cleanup = "src/internal/registry/cleanup.ts"
const decisions = "src/internal/registry/decisions.ts"
const heartbeat = "src/internal/registry/heartbeat.ts"
const ownRecord = "src/internal/registry/ownRecord.ts"
const ownState = "src/internal/registry/ownState.ts"
const record = "src/internal/registry/record.ts"
const registration = "src/internal/registry/registration.ts"

export const registry: ReadonlyArray<Mutant> = [
  {
    name: "a record of any number of levels is decoded",
    from: "a record of 9 kB that made every comparison exceed the stack (R3, E5)",
    file: "src/internal/storedJson.ts",
    find: "(text) => !isDeeperThan(mostLevels, text)",
    replace: "(text) => text.length >= 0",
    scenario: "mixed",
    runs: 1,
    test: {
      file: "test/tools/storedRecords.test.ts",
      name: "of 50,000 hostile records none makes a decoder, a comparison or an encoder throw"
    }
  },
  {
    name: "metadata can have as many levels as a record",
    from: "R3",
    file: "src/internal/storedJson.ts",
    find: "mostLevelsOfMetadata = mostLevels - 1",
    replace: "mostLevelsOfMetadata = mostLevels",
    scenario: "mixed",
    runs: 1,
    test: {
      file: "test/internal/storedJson.test.ts",
      name: "of the most levels can be stored in a record that is decoded"
    }
  },
  {
    name: "the wall clock of this host measures ages",
    from: "AegisTrader: the sender's timestamp against the local time.time() (R4)",
    file: access,
    find: "options.clock === \"store\" ? store.clock : yield* Clock.Clock",
    replace: "yield* Clock.Clock",
    scenario: "mixed"
  },
  {
    name: "an instance that is exactly maxAge old is expired",
    from: "AegisSDK: cache entries expire at age >= ttl, leaders at age > ttl (R5)",
    file: "src/internal/time.ts",
    find: "lastHeartbeat.epochMilliseconds > millis",
    replace: "lastHeartbeat.epochMilliseconds >= millis",
    scenario: "mixed",
    runs: 50,
    // The checks of a simulation allow for delays and cannot detect an error of one millisecond.
    test: { file: "test/Expiration.test.ts", name: "a heartbeat that is exactly maxAge old is live" }
  },
  {
    name: "all instances of a service share a key",
    from: "ocis#9535, R1",
    file: record,
    find: "${instance.serviceName}.${instance.instanceId}`",
    replace: "${instance.serviceName}.all`",
    scenario: "mixed"
  },
  {
    name: "reads return expired instances",
    from: "ocis#6762, asim/nitro-plugins#465, R23",
    file: "src/internal/registry/reads.ts",
    find: "const found = includeExpired ? records : alive",
    replace: "const found = includeExpired ? alive : records",
    scenario: "mixed"
  },
  {
    name: "a heartbeat restores an instance that another process deregistered",
    from: "AegisSDK 1.3: an absent record is registered again (R11)",
    file: decisions,
    find: "? { _tag: \"Deregistered\" }",
    replace: "? { _tag: \"RegisterAgain\", revision: seen.revision }",
    scenario: "mixed"
  },
  {
    name: "heartbeats are unconditional writes",
    from: "AegisSDK 1.3: a blind put of the caller's object (R11)",
    file: ownRecord,
    find: "store.put(this.key, bytes, { revision: on })",
    replace: "store.put(this.key, bytes)",
    scenario: "mixed"
  },
  {
    name: "heartbeats stop after one failure",
    from: "AegisSDK 1.3: the loop stops, reva#5817 (R12)",
    file: registration,
    find: "return retrying(attempt, { store, maxAge, isFinal })",
    replace: "return Effect.catchIf(attempt, (reason) => !isFinal(reason), () => Effect.never)",
    scenario: "mixed"
  },
  {
    name: "an expired instance cannot overwrite its expiry marker",
    from: "nats-server#6712, #3653, R11",
    file: decisions,
    find: ": { _tag: \"RegisterAgain\", revision: seen.revision }",
    replace: ": { _tag: \"RegisterAgain\", revision: 0 }",
    scenario: "mixed"
  },
  {
    name: "an instance does not register again after a cleanup",
    from: "reva#5817, R11",
    file: decisions,
    find: "return seen.reason === \"delete\"",
    replace: "return seen.reason !== \"expire\"",
    scenario: "mixed"
  },
  {
    name: "the cleanup removes every instance whose last heartbeat is in the past",
    from: "AegisSDK 1.3: entries without a ttl count as stale (R20)",
    file: cleanup,
    find: "reason: isExpired(key, one)",
    replace: "reason: access.ageOf(one.record) > 0",
    scenario: "mixed"
  },
  {
    name: "the cleanup purges without a condition on the revision that it judged",
    from: "AegisSDK: a heartbeat between the list and the delete is removed too (R20)",
    file: cleanup,
    find: "access.store.purge(one.key, { revision: one.revision })",
    replace: "access.store.purge(one.key)",
    scenario: "sluggish"
  },
  {
    name: "the cleanup removes expired records without a second run to confirm",
    from: "R21",
    file: cleanup,
    find: "if (since !== now && now - since >= after) confirmed.push(one)",
    replace: "if (now - since >= 0 * after) confirmed.push(one)",
    scenario: "mixed"
  },
  {
    name: "a heartbeat adopts the record of another process with the same id",
    from: "R11",
    file: decisions,
    find: "return seen.record.nonce === nonce",
    replace: "return seen.record.nonce !== `not ${nonce}`",
    scenario: "mixed"
  },
  {
    name: "a leaving process does not wait for a write in flight",
    from: "R18",
    file: ownState,
    find: "command: looks > 0 ? { _tag: \"LookAgain\"",
    replace: "command: looks < 0 ? { _tag: \"LookAgain\"",
    scenario: "mixed",
    runs: 500,
    // The bug shows only near a disruption, and there the checks allow a record to reappear.
    test: {
      file: "test/Registry/Registry.test.ts",
      name: "a registration interrupted before its first write lands removes the record once the write lands"
    }
  },
  {
    name: "heartbeat fails with DuplicateInstance indefinitely after the first time",
    from: "R15",
    file: heartbeat,
    find: "known.get(own.key) === own) known.delete(own.key)",
    replace: "known.get(own.key) === own) known.has(own.key)",
    scenario: "mixed",
    runs: 50,
    // No scenario calls Registry.heartbeat.
    test: {
      file: "test/Registry/Registry.test.ts",
      name: "after DuplicateInstance, heartbeat keeps the other record and takes the id once that record has expired"
    }
  },
  {
    name: "heartbeat overwrites a live record of another process",
    from: "AegisSDK 1.3: a blind put of the caller's object (R15)",
    file: ownRecord,
    find: "const operation: Operation = { change, onDuplicate: \"fail\" }",
    replace: "const operation: Operation = { change, onDuplicate: \"replace\" }",
    scenario: "mixed",
    runs: 50,
    test: {
      file: "test/Registry/Registry.test.ts",
      name: "after DuplicateInstance, heartbeat keeps the other record and takes the id once that record has expired"
    }
  },
  {
    name: "a failed heartbeat is not retried before the next one is due",
    from: "R12",
    file: registration,
    find: "return retrying(attempt, { store, maxAge, isFinal })",
    replace: "return Effect.catchIf(attempt, (reason) => !isFinal(reason), () => Effect.void)",
    scenario: "mixed"
  }
]
