/** Bugs of watches, listings, requests and the store's clock. Those of pulls are in `pulls.ts`. */
import { byTest, type Mutant } from "./models.ts"

const arrivals = "src/internal/nats/jetstream/arrivals.ts"
const consumer = "src/internal/nats/jetstream/consumer.ts"
const follow = "src/internal/nats/bucket/watch.ts"
const reads = "src/internal/nats/jetstream/reads.ts"
const puller = "src/internal/nats/jetstream/puller.ts"
const pullWindow = "src/internal/nats/jetstream/pullWindow.ts"
const progress = "src/internal/nats/bucket/watchState.ts"
const inbox = "src/internal/nats/jetstream/inbox.ts"
const requester = "src/internal/nats/jetstream/requester.ts"
const timekeeper = "src/internal/nats/bucket/storeClock.ts"

export const driver: ReadonlyArray<Mutant> = [
  {
    name: "a pull through an export for one answer asks for heartbeats",
    from: "the heartbeat passes, and all messages after it are dropped, K39",
    file: puller,
    find: "this.begin({ batch: 1, max_bytes: largestMessage, expires }, \"wait\", undefined)",
    replace:
      "this.begin({ batch: 1, max_bytes: largestMessage, expires, idle_heartbeat: expires / 2 }, \"wait\", undefined)",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/jetstream/puller.test.ts",
      name: "are for one message each, without heartbeats, if only one answer to a request passes"
    }
  },
  {
    name: "messages are read one by one although several answers pass",
    from: "K39",
    file: "src/internal/nats/jetstream/apiAccess.ts",
    find: "if (this.passing !== \"unknown\") return false",
    replace: "if (this.passing === \"one\") return false",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/jetstream/puller.test.ts",
      name: "show that several answers pass by the second answer to one pull"
    }
  },
  {
    name: "a consumer has several filters on any server",
    from: "nats-server 2.10.27 loses messages of such a consumer, K20",
    file: "src/internal/nats/bucket/seen.ts",
    find: "seen.version !== undefined && hasSafeFilters(seen.version) && size <= maxPayload",
    replace: "hasSafeFilters(\"2.15.0\") && size <= maxPayload",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/bucket/seen.test.ts",
      name: "decides whether a consumer can have several filters"
    }
  },
  {
    name: "a watch emits what its consumer delivers beside its filters",
    from: "K20",
    file: follow,
    find: "const isWanted = isExact ? () => true : filters.matches",
    replace: "const isWanted = isExact ? filters.matches : () => true",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/KVStore/simulated.test.ts",
      name: "a watch with several filters emits each matching key once, in order, with historySize 1"
    }
  },
  {
    name: "a message that a watch does not want does not move it on",
    from: "K20",
    file: progress,
    find: "skipped(revision: number): void { this.cursor = Math.max(this.cursor, revision)",
    replace: "skipped(revision: number): void {",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/bucket/watchState.test.ts",
      name: "continues after messages that the reader does not want, and does not count their keys as given"
    }
  },
  {
    name: "the answers of a mirror are used",
    from: "a mirror with mirror_direct that lags behind, K13",
    file: reads,
    find: "return answering === stream ? undefined",
    replace: "return answering !== \"\" || stream === \"\" ? undefined",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/jetstream/api.test.ts",
      name: "fails for a direct read that another stream has answered"
    }
  },
  {
    name: "a bucket of a server before 2.10 is opened",
    from: "the documentation of NatsKVStore.make, K28",
    file: "src/internal/nats/bucket/opening.ts",
    find: "leader: ({ ts }) => ts !== undefined",
    replace: "leader: ({ ts }) => ts !== \"\"",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/bucket/opening.test.ts",
      name: "is refused if the leader of the bucket is before 2.10, whatever server is connected"
    }
  },
  {
    name: "a denied inbox stays denied until the connection is lost",
    from: "rights that were denied for 1.5 s, K37",
    file: inbox,
    find: "this.state._tag === \"Denied\" && monotonicMillis(this.clock) >= this.state.nextTry",
    replace: "this.state._tag === \"Denied\" && this.state.nextTry === 0",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/jetstream/requester.test.ts",
      name: "a denied inbox is subscribed again after 2 s, and requests are sent when the server has answered a ping"
    }
  },
  {
    name: "a write under way when the inbox is denied is reported as refused",
    from: "it was executed, K37",
    file: requester,
    find: "return this.fail({ ...failure, wasSent: true }, everyOne)",
    replace: "return this.fail(failure, everyOne)",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/jetstream/requester.test.ts",
      name: "a pending request ends at once when its inbox is refused"
    }
  },
  {
    name: "a denied inbox is subscribed again by every request",
    from: "the server logs each denial, K37",
    file: inbox,
    find: "this.state._tag === \"Trying\" ? tryInterval : firstTry",
    replace: "this.state._tag === \"Trying\" ? Duration.zero : firstTry",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/jetstream/requester.test.ts",
      name: "an inbox that is denied again is subscribed at most every 10 s"
    }
  },
  {
    name: "pages of names do not depend on max_payload",
    from: "a server with max_payload of 8 KiB: getMany failed with a retryable error each time, K15",
    file: "src/internal/nats/bucket/listing.ts",
    find: "paged(subjects, Math.min(mostNameBytes, js.port.server().maxPayload - requestOverhead))",
    replace: "paged(subjects, mostNameBytes)",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/bucket/listing.test.ts",
      name: "have at most as many bytes as the server accepts"
    }
  },
  {
    name: "the headers do not count for max_payload",
    from: "the server counts them, K8",
    file: requester,
    find: "const size = data.length + sizeOfHeaders(headers)",
    replace: "const size = data.length",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/jetstream/requester.test.ts",
      name: "a request whose headers and data exceed max_payload is TooLarge, and is not sent"
    }
  },
  {
    name: "a watch does not detect that its bucket was recreated",
    from: "nats.deno#691, the watches of the NATS clients, K24",
    file: progress,
    find: "(this.created !== info.created || info.lastRevision < this.known)",
    // The parameter `info` must be used, or the code does not compile.
    replace: "info.lastRevision < 0",
    scenario: "losing"
  },
  {
    name: "a watch does not detect that its bucket was rolled back",
    from: "a stream restored from a backup keeps its creation time, K24",
    file: progress,
    find: "|| info.lastRevision < this.known",
    replace: "",
    scenario: "losing"
  },
  {
    name: "keys that a recreated bucket lacks are not reported as removed",
    from: "nats.deno#688, K24",
    file: progress,
    find: "this.former = this.given",
    replace: "",
    scenario: "losing"
  },
  {
    name: "a watch does not detect a gap between two messages",
    from: "nats.rs#795, K21",
    file: arrivals,
    find: "if (place.consumerSequence !== this.last + 1) return this.lost(place.consumerSequence)",
    replace: "",
    scenario: "single"
  },
  {
    name: "a watch does not detect that the last message was lost",
    from: "nats.rs#1596, K21",
    file: arrivals,
    find: "if (Number(last) !== this.last) return this.lost(last)",
    replace: "",
    scenario: "single",
    // One in about 1,200 runs loses the last message of a watch and nothing after it.
    runs: 500,
    test: {
      file: "test/internal/nats/bucket/watch.test.ts",
      name:
        "resumes after its last event with a new consumer when a heartbeat has a higher sequence than the last message"
    }
  },
  {
    name: "a watch does not detect that its consumer is silent",
    from: "nats.go#1094, nats.c#988, K21",
    file: consumer,
    find: `silence: watchSilence(options, name, clock, {
      lastHeard: () => lastHeard,
      isExpecting: () => puller.isExpecting,
      isAnswered: () => puller.isAnswered,
      touch: () => puller.touchAfter(Duration.toMillis(touchAfter))
    })`,
    replace: "silence: Effect.never",
    scenario: "single"
  },
  {
    name: "a watch skips one message when it resumes",
    from: "nats.deno#691, K22",
    file: progress,
    find: "this.cursor + 1",
    replace: "this.cursor + 2",
    scenario: "single"
  },
  {
    name: "a watch that resumes does not look for keys removed without a marker",
    from: "nats-server#3268, #4640, nats.go#1862, K23",
    file: progress,
    find: "this.doubtful = true if (!isAnother) return \"resume\"",
    replace: "if (!isAnother) return \"resume\"",
    scenario: "aging"
  },
  {
    name: "a listing with a lost part is treated as complete",
    from: "found by the simulation, 9cb81d0, K15",
    file: reads,
    find: "chain.follows(many.end, undefined) ? toBatch(many) : Effect.fail(torn)",
    replace: "toBatch(many)",
    scenario: "single"
  },
  {
    name: "a request without time left stops the timer of all requests",
    from: "found by the simulation, e806fb1, K11",
    file: requester,
    find: "if (left > 0) yield* Effect.sleep(wholeMillis(left))",
    replace: "if (left <= 0) return yield* Effect.never\n    yield* Effect.sleep(wholeMillis(left))",
    scenario: "single",
    runs: 50,
    test: {
      file: "test/internal/nats/jetstream/requester.test.ts",
      name: "a request without time left ends at once and is not sent; later requests still time out"
    }
  },
  {
    name: "the store's clock is extrapolated with the host's wall clock",
    from: "AegisSDK 1.5, AegisTrader: ages by time.time() (K30)",
    file: timekeeper,
    find: "offset: () => reading!.offset",
    replace: "offset: () => reading!.offset + aheadOf(host) - ahead",
    scenario: "mixed"
  },
  {
    name: "the store's clock is not sampled again after the host was suspended",
    from: "found by the simulation, 9cb81d0, K31",
    file: timekeeper,
    find: "Math.abs(aheadOf(host) - ahead) > longestStep",
    replace: "false",
    scenario: "mixed"
  },
  {
    name: "the time of a sample during which the process was paused is kept",
    from: "found by the simulation, K31: a list that lacked a live instance, 27 s after a pause of 19 s",
    file: timekeeper,
    find: "isVague() ? Effect.repeat(sample, { while: isVague, times: samplesAtOnce - 1 }) : Effect.void",
    replace: "Effect.void",
    ...byTest,
    test: {
      file: "test/internal/nats/bucket/storeClock.test.ts",
      name: "is sampled three more times, and not without end, over a link with a round trip of more than a second"
    }
  },
  {
    name: "a header of a stored message is taken for the server's header of the same name",
    from: "a republished message keeps its headers, K32",
    file: "src/internal/nats/client/portOver.ts",
    find: "byName.get(name)?.at(-1)",
    replace: "byName.get(name)?.[0]",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/client/portOver.test.ts",
      name: "has the last value of each header, which the server has appended"
    }
  },
  {
    name: "a header that the client refuses to read ends the connection",
    from: "one stored message kept a whole connection from working, K32",
    file: "src/internal/nats/client/portOver.ts",
    find: "if (received === undefined) {",
    replace: "if (received === undefined || received.length > message.data.length) {",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/client/portOver.test.ts",
      name: "has its headers although the client refuses to read them, which would end the connection"
    }
  },
  {
    name: "a stored message with the status of a heartbeat or of an end is taken for one",
    from: "nats-server 2.10 stores the status of a published message, K32",
    file: arrivals,
    find: "if (place === undefined) return this.readStatus(message)",
    replace: "if (place === undefined || message.status !== 0) return this.readStatus(message)",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/bucket/watch.test.ts",
      name: "emits a stored message with status 404"
    }
  },
  {
    name: "a stored message with status 503 is taken for a missing stream",
    from: "nats-server 2.10 stores the status of a published message, K32",
    file: requester,
    find: "message.data.length === 0 && !isStored(message)",
    replace: "message.data.length === 0",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/jetstream/requester.test.ts",
      name: "a stored message is an answer, whatever status it was published with"
    }
  },
  {
    name: "Ready does not wait for the revisions that were stored during the snapshot",
    from: "17 to 86 of 150 watches of 300 keys lacked keys while clients overwrote them, K20",
    file: progress,
    find: "return known.isComplete ? \"become ready\" : \"wait\"",
    replace: "return \"become ready\"",
    scenario: "mixed",
    runs: 50,
    test: {
      file: "test/internal/nats/bucket/watchModel.test.ts",
      name: "reports the final state of the stream, in order, without duplicates, and is ready, under random faults"
    }
  },
  {
    name: "Ready follows the message that reaches the end, although keys are pending",
    from: "a lagging replica delivers a key after the end if it was overwritten, K20",
    file: progress,
    find: "return this.purpose === \"listing\" && message.revision > this.lastAtStart",
    replace: "return this.end !== undefined || (this.purpose === \"listing\" && message.revision > this.lastAtStart)",
    scenario: "mixed",
    runs: 50,
    test: {
      file: "test/internal/nats/bucket/watch.test.ts",
      name: "is ready when nothing is pending after the last revision that the stream had at the end of the snapshot"
    }
  },
  {
    name: "a watch that waits for Ready does not notice a roll-back",
    from: "the end of the snapshot is never reached, K20",
    file: follow,
    find: "if (!progress.waitsForEnd && !progress.hasMore) return whenCaughtUp()",
    replace: "if (options.timeout > 0) return whenCaughtUp()",
    scenario: "mixed",
    runs: 50,
    test: {
      file: "test/internal/nats/bucket/watch.test.ts",
      name: "starts again if the stream is rolled back below that revision"
    }
  },
  {
    name: "the timeout of a batch counts from its request",
    from: "a large listing over a slow link never ended, K11",
    file: requester,
    find: "pending.deadline = now + timeout",
    replace: "",
    scenario: "single",
    runs: 50,
    test: {
      file: "test/internal/nats/jetstream/requester.test.ts",
      name: "requestMany times out when no answer has come for its timeout, however long it took until then"
    }
  },
  {
    name: "a message that is larger than the pull is not pulled",
    from: "the pulls of this library, K33",
    file: puller,
    find: "const atLeast = wasLarge && bytes >= whole ? largestMessage : whole",
    replace: "const atLeast = 0",
    scenario: "narrow"
  },
  {
    name: "large pulls do not continue after a cut connection",
    from: "the pulls of this library, K33",
    file: pullWindow,
    find: "this.isPausing = false",
    replace: "",
    scenario: "narrow"
  },
  {
    name: "a listing by a consumer is compared with no names, although the stream has changed",
    from: "K15",
    file: "src/internal/nats/bucket/seen.ts",
    find: "replicasOf(after) === 1 && before?.created === after.created && isSame(before, after)",
    replace: "replicasOf(after) === 1 && before?.created === after.created",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/bucket/seen.test.ts",
      name: "is undisturbed if the stream has the same messages and one replica"
    }
  },
  {
    name: "white space of Unicode is removed from the key of a message that is read directly",
    from: "K32: a foreign value took the place of another key's",
    file: "src/internal/nats/headerBlock.ts",
    find: "return text.slice(start, end)\n}",
    replace: "return text.slice(start, end).trim()\n}",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/headerBlock.test.ts",
      name: "keeps white space of Unicode at the ends of a value, which can be that of a key"
    }
  },
  {
    name: "a denial is taken for that of the only request under way",
    from: "K37, a denial that arrived after its request was given up",
    file: requester,
    find: "if (refused === 1 && !isEarlier)",
    replace: "if (refused === 1)",
    ...byTest,
    test: {
      file: "test/internal/nats/jetstream/requester.test.ts",
      name: "a denial can be that of an earlier request, which was given up before its answer"
    }
  },
  {
    name: "a watch resumes by the state of a copy that lags behind",
    from: "K24, a replicated stream without a leader",
    file: "src/internal/nats/bucket/bucket.ts",
    find: "follow({ ...following, info: leaderInfo,",
    replace: "follow({ ...following,",
    ...byTest,
    test: {
      file: "test/testing/refusing.test.ts",
      name: "with replicas does not let a watch that restarts take a copy that lags behind for a stream rolled back"
    }
  },
  {
    name: "a watch waits for the answer to its search",
    from: "events 5 s late in a replicated bucket whose leader changed, K23",
    file: "src/internal/nats/bucket/watch.ts",
    find: "Effect.timeoutOption(sameStream(options, progress), longestSearch)",
    replace: "Effect.asSome(sameStream(options, progress))",
    ...byTest,
    test: {
      file: "test/internal/nats/bucket/watchGaps.test.ts",
      name: "does not wait for the answer to its search for more than a second, and searches again"
    }
  }
]
