/** Planted bugs in how an open store follows changes of its bucket. No scenario changes a bucket: a test detects each. */
import type { Mutant } from "./models.ts"

const bucket = "src/internal/nats/bucket/bucket.ts"
const seen = "src/internal/nats/bucket/seen.ts"
const listing = "src/internal/nats/bucket/listing.ts"
const opening = "src/internal/nats/bucket/opening.ts"
const api = "src/internal/nats/jetstream/api.ts"
const operations = "src/internal/nats/jetstream/operations.ts"

const onSimulatedServers = "test/KVStore/changes.test.ts"
const bySeen = "test/internal/nats/bucket/seen.test.ts"

/** The scenario of bugs that only a test can detect. */
const unaffected = { scenario: "single", runs: 1 } as const

export const changes: ReadonlyArray<Mutant> = [
  {
    name: "get fails after direct access was turned off",
    from: "get said \"try again\" until the process was restarted, K12",
    file: operations,
    find: "Effect.andThen(usableInfo, otherwise)",
    replace: "noLeader",
    ...unaffected,
    test: {
      file: onSimulatedServers,
      name: "every read succeeds at once when direct access is turned off, and when it is turned on again"
    }
  },
  {
    name: "a listing fails if an older replica refuses its batch",
    from: "a cluster in upgrade: 2.10.27 answers a batch with status 408, K15",
    file: listing,
    find: "reason.code === codes.batchUnsupported",
    replace: "reason.code === codes.streamExists",
    ...unaffected,
    test: {
      file: "test/internal/nats/bucket/listing.test.ts",
      name: "reads the keys of a page one by one if an older replica answers with status 408"
    }
  },
  {
    name: "batches are requested from a leader before 2.11",
    from: "the version of the connected server was used, K15",
    file: seen,
    find: "seen.config.allow_direct === true && isRecent(seen)",
    replace: "seen.config.allow_direct === true",
    ...unaffected,
    test: {
      file: bySeen,
      name: "decides where {\"allow_direct\":true,\"num_replicas\":1} of a server before 2.11 is read"
    }
  },
  {
    name: "a read that decides asks the nearest replica",
    from: "143 of 1,500 direct reads were outdated after a bucket had got replicas, K13",
    file: bucket,
    find: "currency === \"seen\" && lastSeen.isCurrent",
    replace: "lastSeen.isCurrent",
    ...unaffected,
    test: { file: onSimulatedServers, name: "reads that decide are current at once, all others within a minute" }
  },
  {
    name: "the settings found at opening decide where get reads",
    from: "K34",
    file: seen,
    find: "      this.seen = { config, version }",
    replace: "      if (this.seen.version === undefined) this.seen = { config, version }",
    ...unaffected,
    test: { file: onSimulatedServers, name: "reads that decide are current at once, all others within a minute" }
  },
  {
    name: "get asks the nearest replica after a write of unknown outcome",
    from: "K13",
    file: bucket,
    find: "_tag === \"OutcomeUnknown\" })",
    replace: "_tag === \"InvalidConfig\" })",
    also: [{ file: bucket, find: "{ onNone: () => true,", replace: "{ onNone: () => false," }],
    ...unaffected,
    test: { file: onSimulatedServers, name: "a read is current after a write of unknown outcome" }
  },
  {
    name: "createOnly decides by an outdated replica",
    from: "K5, K13",
    file: "src/internal/kv/writes.ts",
    find: "Effect.flatMap(backend.last(key, \"decides\"), (last) => isLive(last) ? Effect.fail(new KeyAlreadyExists(",
    replace: "Effect.flatMap(backend.last(key, \"seen\"), (last) => isLive(last) ? Effect.fail(new KeyAlreadyExists(",
    ...unaffected,
    test: {
      file: onSimulatedServers,
      name: "createOnly, updateOnly and modify are not misled by an outdated replica"
    }
  },
  {
    name: "updateOnly decides by an outdated replica",
    from: "K5, K13",
    file: "src/internal/kv/writes.ts",
    find: "backend.last(key, \"decides\"), (last) => isLive(last) ? write(",
    replace: "backend.last(key, \"seen\"), (last) => isLive(last) ? write(",
    ...unaffected,
    test: { file: onSimulatedServers, name: "createOnly, updateOnly and modify are not misled by an outdated replica" }
  },
  {
    name: "modify decides by an outdated replica",
    from: "K5, K13",
    file: "src/internal/kv/modify.ts",
    find: "decodeFound(operation, store.get(key, { fromLeader: true }))",
    replace: "decodeFound(operation, store.get(key))",
    ...unaffected,
    test: {
      file: onSimulatedServers,
      name: "createOnly, updateOnly and modify are not misled by an outdated replica"
    }
  },
  {
    name: "a decisive history ends with the last message of an outdated replica",
    from: "K13",
    file: bucket,
    find: "if (currency === \"seen\") return kept",
    replace: "if (currency !== undefined) return kept",
    ...unaffected,
    test: {
      file: onSimulatedServers,
      name: "a history that decides ends with the last message"
    }
  },
  {
    name: "elections read from the nearest replica",
    from: "K13",
    file: "src/internal/election/tenure.ts",
    find: "this.options.store.get(this.key, { fromLeader: true })",
    replace: "this.options.store.get(this.key)",
    ...unaffected,
    test: { file: "test/KVStore/decidingReads.test.ts", name: "in elections" }
  },
  {
    name: "the registry reads from the nearest replica",
    from: "K13",
    file: "src/internal/registry/access.ts",
    find: "store.history(key, { fromLeader: true })",
    replace: "store.history(key)",
    ...unaffected,
    test: { file: "test/KVStore/decidingReads.test.ts", name: "in the registry" }
  },
  {
    name: "whenKey is sent to a replicated bucket without guardedWrites",
    from: "4 of 4: a copy on 2.10.27 drops the write, and assigns its revision twice, K6",
    file: seen,
    find: "replicas === 1 || guardedWrites ?",
    replace: "replicas > 0 ?",
    ...unaffected,
    test: { file: bySeen, name: "refuses whenKey on 3 of 2.15.1 without guardedWrites" }
  },
  {
    name: "whenKey is sent to a bucket that has just got replicas",
    from: "K6",
    file: bucket,
    find: "return lastSeen.isCurrent && revision !== 0 ? check : Effect.andThen(info, check)",
    replace: "return lastSeen.isCurrent ? check : Effect.andThen(info, check)",
    ...unaffected,
    test: {
      file: onSimulatedServers,
      name: "whenKey is refused within a minute, and at once for number 0 and after a reconnect"
    }
  },
  {
    name: "whenKey is sent after a reconnect to a server that is not known",
    from: "K6",
    file: bucket,
    find: "if (_tag === \"Connected\") lastSeen.doubt()",
    replace: "if (_tag === \"Closed\") lastSeen.doubt()",
    ...unaffected,
    test: {
      file: onSimulatedServers,
      name: "whenKey is refused within a minute, and at once for number 0 and after a reconnect"
    }
  },
  {
    name: "the metadata of a client is taken for the version of the server",
    from: "nats-server 2.10.27 stores and returns `_nats.ver`, K34",
    file: api,
    find: "allow_msg_ttl === undefined ? undefined : metadata",
    replace: "false ? undefined : metadata",
    ...unaffected,
    test: {
      file: onSimulatedServers,
      name: "whenKey is refused before 2.11, also if a client has stored a later version as metadata"
    }
  },
  {
    name: "an update of a stream stores the version of the server",
    from: "nats-server 2.10.27 stores `_nats.ver`, K34",
    file: api,
    find: "{ ...withoutVersion(config), ...settings }",
    replace: "{ ...config, ...settings }",
    ...unaffected,
    test: {
      file: "test/internal/nats/jetstream/api.test.ts",
      name: "does not store the version of a server in a stream that it updates"
    }
  },
  {
    name: "guardedWrites is accepted on a server before 2.11",
    from: "K6",
    file: opening,
    find: "leader: isRecent,",
    replace: "leader: () => isRecent !== undefined,",
    ...unaffected,
    test: {
      file: onSimulatedServers,
      name: "guardedWrites is refused at opening before 2.11, without creating the bucket"
    }
  },
  {
    name: "the answer to an earlier STREAM.INFO replaces that to a later one",
    from: "K34",
    file: seen,
    find: "if (number < this.answered) return",
    replace: "",
    ...unaffected,
    test: { file: bySeen, name: "is that of the last request that was answered" }
  },
  {
    name: "the answer to a request sent before a doubt ends it",
    from: "K34",
    file: seen,
    find: "return this.answered > this.doubted",
    replace: "return this.answered > 0",
    ...unaffected,
    test: { file: bySeen, name: "is not current after a doubt, until a request that was sent later is answered" }
  },
  {
    name: "history does not follow the history size of the bucket",
    from: "K34",
    file: bucket,
    find: "if (hasNoHistory(lastSeen.now))",
    replace: "if (config.historySize === 1)",
    ...unaffected,
    test: { file: onSimulatedServers, name: "history follows the history size of the bucket" }
  },
  {
    name: "an open watch does not follow the age limit of the bucket",
    from: "K23, K34",
    file: bucket,
    find: "silentRemoval: () => silentRemoval(lastSeen.now),",
    replace: "silentRemoval: ((reason) => () => reason)(silentRemoval(lastSeen.now)),",
    ...unaffected,
    test: {
      file: onSimulatedServers,
      name: "a watch reports silent removals as expired once the bucket has got an age limit"
    }
  },
  {
    name: "a write to a bucket that has lost its subjects fails with Unavailable",
    from: "K12",
    file: operations,
    find: "const reason = unusable(info)",
    replace: "const reason = unusable({ ...info, config: { subjects: [`$KV.${stream.slice(3)}.>`] } })",
    ...unaffected,
    test: {
      file: onSimulatedServers,
      name: "a write fails with ConfigMismatch while the bucket has other subjects, and succeeds after that"
    }
  },
  {
    name: "a write that another stream has stored succeeds",
    from: "K12",
    file: bucket,
    find: "if (stored.stream !== stream)",
    replace: "if (stored.stream === \"\")",
    ...unaffected,
    test: {
      file: onSimulatedServers,
      name: "a write that another stream has stored fails with ConfigMismatch, which names that stream"
    }
  },
  {
    name: "ValueTooLarge does not have the present limit of the bucket",
    from: "K8",
    file: bucket,
    find:
      "reason._tag === \"ValueTooLarge\" && reason.limit === undefined ? withLimit(reason, headers) : Effect.fail(reason)",
    replace: "Effect.fail(reason)",
    ...unaffected,
    test: {
      file: onSimulatedServers,
      name: "a value over the present limit of the bucket fails with ValueTooLarge, which has that limit"
    }
  },
  {
    name: "a lost bucket is recreated with the options, not with its settings",
    from: "K29",
    file: "src/internal/nats/bucket/streamConfig.ts",
    find: "mismatchOf(wanted, last) === undefined ? { ...wanted, ...last, first_seq: firstRevision } : wanted",
    replace: "mismatchOf(wanted, last) === undefined ? wanted : wanted",
    ...unaffected,
    test: {
      file: "test/internal/nats/bucket/streamConfig.test.ts",
      name: "that was lost is recreated with the settings that it had, and another first revision"
    }
  },
  {
    name: "a stream with sources is opened as a bucket",
    from: "K28",
    file: "src/internal/nats/bucket/streamConfig.ts",
    find: "if (copied !== \"\") {",
    replace: "if (copied.length < 0) {",
    ...unaffected,
    test: {
      file: "test/internal/nats/bucket/streamConfig.test.ts",
      name: "that is a mirror or has sources is refused"
    }
  }
]
