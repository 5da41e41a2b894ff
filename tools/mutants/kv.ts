/** Planted bugs in the guarantees of a store: values, conditions, and writes without an answer. */
import type { Mutant } from "./models.ts"

const store = "src/internal/kv/store.ts"
const writes = "src/internal/kv/writes.ts"
const bucket = "src/internal/nats/bucket/bucket.ts"
const headers = "src/internal/kv/headers.ts"
const messages = "src/internal/nats/jetstream/messages.ts"
const reasons = "src/internal/nats/jetstream/reasons.ts"

export const kv: ReadonlyArray<Mutant> = [
  {
    name: "a delete or purge marker is read as a value",
    from: "AegisSDK 1.1 (history shows delete markers as values), nats.py#966, K16",
    file: messages,
    find: "operationNames.get(header(operationHeader)) ??",
    replace: "",
    scenario: "single"
  },
  {
    name: "an expiry marker is read as a value",
    from: "nats.py#966, nats-server#6711, K16",
    file: messages,
    find: "markerReasons.get(header(markerHeader)) ??",
    replace: "",
    scenario: "aging"
  },
  {
    name: "a failed read is reported as an absent key",
    from: "AegisSDK 0.4: get returns None for any error (K14)",
    file: store,
    find: "Effect.map(messageOf(key, options), (found) =>",
    replace: "Effect.map(Effect.orElseSucceed(messageOf(key, options), () => Option.none()), (found) =>",
    scenario: "single"
  },
  {
    name: "a write without an answer fails with Unavailable",
    from: "AegisSDK 1.1: delete returns False in an outage (K9)",
    file: reasons,
    find: "failure._tag === \"Timeout\") return new OutcomeUnknown(",
    replace: "failure._tag === \"Timeout\") return new Unavailable(",
    scenario: "single"
  },
  {
    name: "a write in flight when the link is lost fails with Unavailable",
    from: "AegisSDK 1.1 (K9)",
    file: reasons,
    find: "failure._tag === \"ConnectionLost\") return new OutcomeUnknown(",
    replace: "failure._tag === \"ConnectionLost\") return new Unavailable(",
    scenario: "single"
  },
  {
    name: "a write without an answer is sent again",
    from: "retries in clients: RetryAttempts of nats.go for a publish (K10)",
    file: bucket,
    find: "js.publish(subjectOf(key), value, headers, timeout)",
    replace: "Effect.retry(js.publish(subjectOf(key), value, headers, timeout), { times: 1 })",
    scenario: "single"
  },
  {
    name: "createOnly writes without a condition",
    from: "Effect#7035: a store that grants each lock to every caller (K5)",
    file: writes,
    find: "write(put(key, value, 0))",
    replace: "write(put(key, value, undefined))",
    scenario: "single"
  },
  {
    name: "createOnly fails if the last message is a marker",
    from: "nats-server#6712, #5162, #3895, K5",
    file: writes,
    find: ": write(put(key, value, revisionOf(last)))",
    replace: ": Effect.fail(new KeyAlreadyExists({ revision: revisionOf(last) }))",
    scenario: "single"
  },
  {
    name: "createOnly overwrites the value of a concurrent writer",
    from: "AegisSDK 1.5: purges the key and creates it again (K5)",
    file: writes,
    find: "? Effect.fail(new KeyAlreadyExists({ revision: last.value.revision }))",
    replace: "? write(put(key, value, last.value.revision))",
    scenario: "single"
  },
  {
    name: "updateOnly writes to a deleted key",
    from: "AegisSDK 1.1: get, then update (K5)",
    file: writes,
    find: ": Effect.fail(new KeyNotFound({}))",
    replace: ": write(put(key, value, revisionOf(last)))",
    scenario: "single"
  },
  {
    name: "updateOnly writes without a condition after its read",
    from: "AegisSDK 1.3: update_heartbeat (K5)",
    file: writes,
    find: "(last) => isLive(last) ? write(put(key, value, last.value.revision))",
    replace: "(last) => isLive(last) ? write(put(key, value, undefined))",
    scenario: "single"
  },
  {
    name: "delete and purge ignore the revision",
    from: "AegisSDK 1.1: purge has no revision (K7)",
    file: store,
    find: "put(key, noBytes, options?.revision)",
    replace: "put(key, noBytes, undefined)",
    scenario: "single"
  },
  {
    name: "a refused compare-and-set is repeated without its condition",
    from: "AegisSDK 1.1: update_only after a lost race (K4)",
    file: writes,
    find: ": backend.append(put(key, value, options?.revision))",
    replace: ": Effect.catchIf(backend.append(put(key, value, options?.revision)), " +
      "(reason) => reason._tag === \"RevisionMismatch\", () => backend.append(put(key, value, undefined)))",
    scenario: "single"
  },
  {
    name: "conditioned writes of the same key and revision have the same message id",
    from: "K10: a reused Nats-Msg-Id is answered with an old sequence and stores nothing",
    file: headers,
    find: "...operationHeaders[operation],",
    replace:
      "...operationHeaders[operation], ...condition === undefined ? [] : [[\"Nats-Msg-Id\", `${key} ${condition.revision}`] as const],",
    scenario: "replicated"
  },
  {
    name: "a replicated bucket is read from the nearest copy",
    from: "nats-server#4710, #6557: 2 to 4 % of reads are stale, K13",
    file: "src/internal/nats/bucket/seen.ts",
    find: "seen.config.allow_direct === true && replicasOf(seen) === 1",
    replace: "seen.config.allow_direct === true",
    scenario: "replicated"
  },
  {
    name: "a conflict with the error code 10164 is reported as a success",
    from: "K4",
    file: bucket,
    find: "js.publish(subjectOf(key), value, headers, timeout)",
    replace: "Effect.catchIf(js.publish(subjectOf(key), value, headers, timeout), " +
      "(failure) => failure._tag === \"Api\" && failure.code === 10164, () => Effect.succeed({ stream, seq: 1 }))",
    scenario: "replicated"
  },
  {
    name: "purgeTombstones removes keys that were written again during the call",
    from: "K7",
    file: "src/internal/nats/jetstream/api.ts",
    find: "{ seq: upTo + 1 }",
    replace: "{}",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/KVStore/simulated.test.ts",
      name: "purgeTombstones keeps a key that is written again between the listing and the removal"
    }
  },
  {
    name: "purgeTombstones removes values, too",
    from: "K7",
    file: "src/internal/kv/tombstones.ts",
    find: "!isValue(message) && message.created < before",
    replace: "message.created < before",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/KVStore/KVStore.test.ts",
      name: "purgeTombstones removes old tombstones with the history of their keys, with historySize 1"
    }
  },
  {
    name: "purgeTombstones removes tombstones of any age",
    from: "K7",
    file: "src/internal/kv/tombstones.ts",
    find: "!isValue(message) && message.created < before",
    replace: "!isValue(message) && before < Number.POSITIVE_INFINITY",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/KVStore/KVStore.test.ts",
      name: "purgeTombstones removes no tombstone that is younger than an hour"
    }
  },
  {
    name: "the memory backend does not count the headers of markers",
    from: "K7",
    file: "src/internal/kv/memoryBucket.ts",
    find: "sizeOfHeaders(headersFor({ condition, key, operation }, subjectOf))",
    replace: "0",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/KVStore/KVStore.test.ts",
      name: "with storage: \"file\", the bytes of a bucket are those of its messages with headers and overhead"
    }
  },
  {
    name: "modifyEffect repeats an effect whose own error is a conflict",
    from: "K5",
    file: "src/internal/retry.ts",
    find: "while: isOwnConflict,",
    replace: "while: (error) => isOwnConflict(error) || (error instanceof KVStoreError && isConflict(error)),",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/KVStore/KVStore.test.ts",
      name: "modifyEffect does not repeat an effect whose own error is a conflict of a store"
    }
  },
  {
    name: "modifyEffect retries conflicts without end",
    from: "K5",
    file: "src/internal/retry.ts",
    find: "Schedule.upTo(backoff(shortestConflictPause, longestConflictPause), { duration: timeout })",
    replace: "backoff(shortestConflictPause, longestConflictPause)",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/KVStore/KVStore.test.ts",
      name: "modifyEffect fails with Unavailable after conflicts for the timeout, and writes nothing"
    }
  },
  {
    name: "get at a revision returns the value of another key",
    from: "nats.js: get with revision (K13)",
    file: bucket,
    find: "message === undefined || message.subject !== `${prefix}${key}`",
    replace: "message === undefined",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/KVStore/simulated.test.ts",
      name: "get at a revision returns that value of the key while it is kept, with historySize 5"
    }
  }
]
