/** Bugs of a store's promises: values, conditions, and what is told when an answer does not come. */
import type { Mutant } from "./models.ts"

const store = "src/internal/kv/store.ts"
const writes = "src/internal/kv/writes.ts"
const bucket = "src/internal/nats/bucket/bucket.ts"
const messages = "src/internal/nats/jetstream/messages.ts"
const reasons = "src/internal/nats/jetstream/reasons.ts"

export const kv: ReadonlyArray<Mutant> = [
  {
    name: "a tombstone is taken for a value",
    from: "AegisSDK 1.1 (history shows tombstones as values), nats.py#966, K16",
    file: messages,
    find: "operationNames.get(header(operationHeader)) ??",
    replace: "",
    scenario: "single"
  },
  {
    name: "an age marker is taken for a value",
    from: "nats.py#966, nats-server#6711, K16",
    file: messages,
    find: "markerReasons.get(header(markerHeader)) ??",
    replace: "",
    scenario: "aging"
  },
  {
    name: "a read that failed is taken for absence",
    from: "AegisSDK 0.4: get gives None for any error (K14)",
    file: store,
    find: "Effect.map(backend.last(key), (last) => isLive(last)",
    replace: "Effect.map(Effect.orElseSucceed(backend.last(key), () => Option.none()), (last) => isLive(last)",
    scenario: "single"
  },
  {
    name: "of a write without an answer is told that nothing was written",
    from: "AegisSDK 1.1: delete gives False for an outage (K9)",
    file: reasons,
    find: "failure._tag === \"Timeout\") return new OutcomeUnknown(",
    replace: "failure._tag === \"Timeout\") return new Unavailable(",
    scenario: "single"
  },
  {
    name: "of a write that was under way when the link was lost is told that nothing was written",
    from: "AegisSDK 1.1 (K9)",
    file: reasons,
    find: "failure._tag === \"ConnectionLost\") return new OutcomeUnknown(",
    replace: "failure._tag === \"ConnectionLost\") return new Unavailable(",
    scenario: "single"
  },
  {
    name: "a write without an answer is sent once more",
    from: "the clients' own retries: nats.go's RetryAttempts for a publish (K10)",
    file: bucket,
    find: "js.publish(subjectOf(message.key), message.value, headers, timeout)",
    replace: "Effect.retry(js.publish(subjectOf(message.key), message.value, headers, timeout), { times: 1 })",
    scenario: "single"
  },
  {
    name: "createOnly has no condition",
    from: "Effect#7035: a store that grants every lock to everyone (K5)",
    file: writes,
    find: "write(put(key, value, 0))",
    replace: "write(put(key, value, undefined))",
    scenario: "single"
  },
  {
    name: "createOnly fails where there is a tombstone",
    from: "nats-server#6712, #5162, #3895, K5",
    file: writes,
    find: ": write(put(key, value, revisionOf(last)))",
    replace: ": Effect.fail(new KeyAlreadyExists({ revision: revisionOf(last) }))",
    scenario: "single"
  },
  {
    name: "createOnly writes over the value that it lost to",
    from: "AegisSDK 1.5: purges and creates again (K5)",
    file: writes,
    find: "? Effect.fail(new KeyAlreadyExists({ revision: last.value.revision }))",
    replace: "? write(put(key, value, last.value.revision))",
    scenario: "single"
  },
  {
    name: "updateOnly brings a deleted key back",
    from: "AegisSDK 1.1: get and update, two steps (K5)",
    file: writes,
    find: ": Effect.fail(new KeyNotFound({}))",
    replace: ": write(put(key, value, revisionOf(last)))",
    scenario: "single"
  },
  {
    name: "updateOnly is a read and a plain write",
    from: "AegisSDK 1.3: update_heartbeat (K5)",
    file: writes,
    find: "(last) => isLive(last) ? write(put(key, value, last.value.revision))",
    replace: "(last) => isLive(last) ? write(put(key, value, undefined))",
    scenario: "single"
  },
  {
    name: "delete and purge do not look at the revision",
    from: "AegisSDK 1.1: purge has no revision (K7)",
    file: store,
    find: "put(key, noBytes, options?.revision)",
    replace: "put(key, noBytes, undefined)",
    scenario: "single"
  },
  {
    name: "a compare-and-set that was refused is done again without its condition",
    from: "AegisSDK 1.1: a lost race of update_only (K4)",
    file: writes,
    find: ": backend.append(put(key, value, options?.revision))",
    replace: ": Effect.catchIf(backend.append(put(key, value, options?.revision)), " +
      "(reason) => reason._tag === \"RevisionMismatch\", () => backend.append(put(key, value, undefined)))",
    scenario: "single"
  },
  {
    name: "conditional writes have a message id, the same for one key and revision",
    from: "K10: a reused Nats-Msg-Id answers an old success and writes nothing (measured)",
    file: messages,
    find: "headers.push([\"Nats-Expected-Last-Subject-Sequence\", String(condition.revision)])",
    replace: "headers.push([\"Nats-Expected-Last-Subject-Sequence\", String(condition.revision)], " +
      "[\"Nats-Msg-Id\", `${condition.key}-${condition.revision}`])",
    scenario: "replicated"
  },
  {
    name: "a replicated bucket is read from the nearest copy",
    from: "nats-server#4710, #6557: stale in 2 to 4 % of reads (measured), K13",
    file: bucket,
    find: "isDirect && config.replicas === 1 ?",
    replace: "isDirect ?",
    scenario: "replicated"
  },
  {
    name: "a conflict is taken for a success where the server names no number (10164)",
    from: "K4",
    file: bucket,
    find: "js.publish(subjectOf(message.key), message.value, headers, timeout)",
    replace: "Effect.catchIf(js.publish(subjectOf(message.key), message.value, headers, timeout), " +
      "(failure) => failure._tag === \"Api\" && failure.code === 10164, () => Effect.succeed(1))",
    scenario: "replicated"
  }
]
