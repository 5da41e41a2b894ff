/** Bugs of registrations, heartbeats, reads and the cleanup. */
import type { Mutant } from "./models.ts"

const access = "src/internal/registry/access.ts"
const cleanup = "src/internal/registry/cleanup.ts"
const decisions = "src/internal/registry/decisions.ts"
const heartbeat = "src/internal/registry/heartbeat.ts"
const ownRecord = "src/internal/registry/ownRecord.ts"
const ownState = "src/internal/registry/ownState.ts"
const record = "src/internal/registry/record.ts"
const registration = "src/internal/registry/registration.ts"
const service = "src/internal/registry/service.ts"

export const registry: ReadonlyArray<Mutant> = [
  {
    name: "ages are told by this host's wall clock",
    from: "AegisTrader: the sender's timestamp against the local time.time() (R4)",
    file: access,
    find: "options.clock === \"store\" ? store.clock : yield* Clock.Clock",
    replace: "yield* Clock.Clock",
    scenario: "mixed"
  },
  {
    name: "whoever is exactly maxAge old is expired",
    from: "AegisSDK: what it caches expires at age >= ttl, a leader at > (R5)",
    file: "src/internal/time.ts",
    find: "lastHeartbeat.epochMilliseconds > millis",
    replace: "lastHeartbeat.epochMilliseconds >= millis",
    scenario: "mixed",
    runs: 50,
    // A millisecond that no checker of a fleet, with its lateness, can tell apart.
    test: { file: "test/Expiration.test.ts", name: "exactly maxAge is alive" }
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
    name: "reads show who has expired",
    from: "ocis#6762, asim/nitro-plugins#465, R23",
    file: service,
    find: ".filter((instance) => includeExpired ||",
    replace: ".filter((instance) => !includeExpired ||",
    scenario: "mixed"
  },
  {
    name: "a heartbeat brings back what others have deregistered",
    from: "AegisSDK 1.3: an absent record is registered again (R11)",
    file: decisions,
    find: "? { _tag: \"Deregistered\" }",
    replace: "? { _tag: \"RegisterAgain\", revision: seen.revision }",
    scenario: "mixed"
  },
  {
    name: "heartbeats are plain writes",
    from: "AegisSDK 1.3: a blind put of the caller's object (R11)",
    file: ownRecord,
    find: "store.put(this.key, bytes, { revision: on })",
    replace: "store.put(this.key, bytes)",
    scenario: "mixed"
  },
  {
    name: "heartbeats stop for good after one failure",
    from: "AegisSDK 1.3: the loop stops, reva#5817 (R12)",
    file: registration,
    find: "Effect.retry({ while: (reason) => !isFinal(reason), schedule: backoff(shortestRetry, longestRetry) })",
    replace: "Effect.catchIf((reason) => !isFinal(reason), () => Effect.never)",
    scenario: "mixed"
  },
  {
    name: "an instance that has expired cannot write over its marker",
    from: "nats-server#6712, #3653, R11",
    file: decisions,
    find: ": { _tag: \"RegisterAgain\", revision: seen.revision }",
    replace: ": { _tag: \"RegisterAgain\", revision: 0 }",
    scenario: "mixed"
  },
  {
    name: "an instance that was cleaned up does not come back",
    from: "reva#5817, R11",
    file: decisions,
    find: "return seen.reason === \"delete\"",
    replace: "return seen.reason !== \"expire\"",
    scenario: "mixed"
  },
  {
    name: "the cleanup removes what has sent no heartbeat between two runs",
    from: "AegisSDK 1.3: entries without a ttl count as stale (R20)",
    file: cleanup,
    find: "reason: access.expired(record.instance, maxAge)",
    replace: "reason: access.ageOf(record) > 0",
    scenario: "mixed"
  },
  {
    name: "the cleanup purges without the revision that it judged",
    from: "AegisSDK: a heartbeat between the list and the delete is removed with its record (R20)",
    file: cleanup,
    find: "access.store.purge(one.key, { revision: one.revision })",
    replace: "access.store.purge(one.key)",
    scenario: "sluggish"
  },
  {
    name: "the cleanup believes what it sees once",
    from: "R21",
    file: cleanup,
    find: "if (since !== now && now - since >= after) confirmed.push(one)",
    replace: "if (now - since >= 0 * after) confirmed.push(one)",
    scenario: "mixed"
  },
  {
    name: "a heartbeat goes on from the record of another process with its id",
    from: "R11",
    file: decisions,
    find: "return seen.record.nonce === nonce",
    replace: "return seen.record.nonce !== `not ${nonce}`",
    scenario: "mixed"
  },
  {
    name: "whoever leaves does not wait for a write that is under way",
    from: "R18",
    file: ownState,
    find: "command: looks > 0 ? { _tag: \"LookAgain\"",
    replace: "command: looks < 0 ? { _tag: \"LookAgain\"",
    scenario: "mixed",
    runs: 500,
    // Near trouble, which it takes, nobody is held to staying away.
    test: {
      file: "test/Registry/Registry.test.ts",
      name: "a registration that is given up before its write has landed leaves nothing behind when it does"
    }
  },
  {
    name: "a heartbeat by hand is a duplicate for ever once it was one",
    from: "R15",
    file: heartbeat,
    find: "known.get(own.key) === own) known.delete(own.key)",
    replace: "known.get(own.key) === own) known.has(own.key)",
    scenario: "mixed",
    runs: 50,
    // No scenario sends heartbeats by hand.
    test: {
      file: "test/Registry/Registry.test.ts",
      name:
        "after a duplicate a heartbeat by hand leaves the other process alone, and takes the id over once that has expired"
    }
  },
  {
    name: "a heartbeat by hand writes over a live process with its id",
    from: "AegisSDK 1.3: a blind put of the caller's object (R15)",
    file: ownRecord,
    find: "const operation: Operation = { change, onDuplicate: \"fail\" }",
    replace: "const operation: Operation = { change, onDuplicate: \"replace\" }",
    scenario: "mixed",
    runs: 50,
    test: {
      file: "test/Registry/Registry.test.ts",
      name:
        "after a duplicate a heartbeat by hand leaves the other process alone, and takes the id over once that has expired"
    }
  },
  {
    name: "a failed heartbeat is not tried again before the next is due",
    from: "R12",
    file: registration,
    find: "Effect.retry({ while: (reason) => !isFinal(reason), schedule: backoff(shortestRetry, longestRetry) })",
    replace: "Effect.catchIf((reason) => !isFinal(reason), () => Effect.void)",
    scenario: "mixed"
  }
]
