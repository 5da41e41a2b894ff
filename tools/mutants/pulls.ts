/** Bugs of pull consumers: of their pulls and window, of their supervision, and of what a watch does with a slow reader. */
import type { Edit, Mutant } from "./models.ts"

const arrivals = "src/internal/nats/jetstream/arrivals.ts"
const consumer = "src/internal/nats/jetstream/consumer.ts"
const puller = "src/internal/nats/jetstream/puller.ts"
const givenSubjects = "src/internal/nats/bucket/givenSubjects.ts"
const reach = "src/internal/nats/bucket/reach.ts"
const removals = "src/internal/nats/bucket/removals.ts"
const requester = "src/internal/nats/jetstream/requester.ts"
const watch = "src/internal/nats/bucket/watch.ts"
const watchState = "src/internal/nats/bucket/watchState.ts"
const window = "src/internal/nats/jetstream/pullWindow.ts"

const tests = {
  givenSubjects: "test/internal/nats/bucket/givenSubjects.test.ts",
  reach: "test/internal/nats/bucket/reach.test.ts",
  listing: "test/internal/nats/bucket/listing.test.ts",
  puller: "test/internal/nats/jetstream/puller.test.ts",
  requester: "test/internal/nats/jetstream/requester.test.ts",
  watch: "test/internal/nats/bucket/watch.test.ts",
  watchGaps: "test/internal/nats/bucket/watchGaps.test.ts",
  watchReaders: "test/internal/nats/bucket/watchReaders.test.ts",
  watchState: "test/internal/nats/bucket/watchState.test.ts",
  window: "test/internal/nats/jetstream/pullWindow.test.ts"
} as const

interface Bug extends Omit<Edit, "file"> {
  readonly name: string
  readonly from: string
  /** The name of the test that detects the bug. */
  readonly test: string
  readonly also?: ReadonlyArray<Edit>
}

/**
 * Bugs of one file, and the file of the tests that detect them. The scenarios write little, and their readers are fast:
 * they detect few of these bugs, so they run only once.
 */
const bugsOf = (file: string, tests: string, bugs: ReadonlyArray<Bug>): ReadonlyArray<Mutant> =>
  bugs.map((bug) => ({ ...bug, file, scenario: "single", runs: 1, test: { file: tests, name: bug.test } }))

const pulls = bugsOf(puller, tests.puller, [
  {
    name: "the end of a pull is not counted as unread",
    from: "a slow reader would keep a whole bucket in memory, K25",
    find: "this.unread++",
    replace: "",
    test: "stop when the messages of two are unread, and continue when one was processed"
  },
  {
    name: "the window counts the bytes that a reader has not read",
    from: "a reader of two watches in turn would wait without end, K33",
    find: "grant?.end()\n    this.proceed()",
    replace: "this.proceed()",
    also: [{ file: puller, find: "underWay.grant?.arrived(bytes)", replace: "" }],
    test: "leave the window to other consumers, although their messages are unread"
  },
  {
    name: "a message that does not fit into a pull is never pulled",
    from: "a value larger than a pull would stop its watch, K33",
    find: "if (received > 0 || end",
    replace: "if (received >= 0 || end",
    test: "is for one message of the limit of the server if the next one did not fit"
  },
  {
    name: "a message that is larger than the server accepts now is never pulled",
    from: "the limit of a server can be lowered, K33",
    find: "wasLarge && bytes >= whole ?",
    replace: "wasLarge && bytes > largestMessage ?",
    test: "is for one message of any size if that did not suffice"
  },
  {
    name: "other messages are pulled together with a large one",
    from: "a server with a max_pending of 1 MB cut a link whose window had shrunk, K33",
    find: "return { _tag: \"Take\", kind: \"large\", batch: 1, atLeast, isCertain: true }",
    replace: "return { _tag: \"Take\", kind: \"large\", batch: mostMessages, atLeast, isCertain: true }",
    test: "is for one message of the limit of the server if the next one did not fit"
  },
  {
    name: "a sign of life is sent while the server would skip a message then",
    from: "nats-server 2.10.27 and 2.15.1, K36",
    find: "this.isClosed || this.readsLast ||",
    replace: "this.isClosed ||",
    test: "into which every message must fit have few messages and no limit of bytes, until the first are complete"
  },
  {
    name: "in a bucket with history the pulls remain small after Ready",
    from: "a watch would need many round trips for many changes, K36",
    find: "return this.options.largest !== undefined && this.isStarting",
    replace: "return this.options.largest !== undefined",
    test: "into which every message must fit have few messages and no limit of bytes, until the first are complete"
  },
  {
    name: "in a bucket with history the size of messages does not limit the pulls",
    from: "the window would not hold for large messages, K36",
    find: "this.expected = Math.max(bytes, this.expected * forgetting, leastExpected)",
    replace: "",
    test: "into which every message must fit have few messages and no limit of bytes, until the first are complete"
  },
  {
    name: "in a bucket with history the largest size of messages does not limit the pulls",
    from: "a server cut the link when large values followed small ones, K36",
    find: "Math.floor(Math.min(bytes / this.expected, mostTooLarge * bytes / largest))",
    replace: "Math.floor(bytes / this.expected)",
    test: "into which every message must fit have few messages and no limit of bytes, until the first are complete"
  },
  {
    name: "a second pull is sent while one is under way",
    from: "nats-server 2.10.27 and 2.15.1 drop one of two pulls that a message does not fit into, K33",
    find: "this.withdraw === undefined && this.underWay === undefined &&",
    replace: "this.withdraw === undefined &&",
    test: "are one at a time: a small one, then large ones, then one that waits"
  },
  {
    name: "a pull does not end with its last message",
    from: "the server may drop a pull that ends by its bytes, K33",
    find: "if (--underWay.left > 0) return undefined",
    replace: "if (--underWay.left >= 0) return undefined",
    test: "have as many messages as their bytes have room for, and end with the last one"
  },
  {
    name: "a pull has more messages than its bytes have room for",
    from: "the server may drop a pull that ends by its bytes, K33",
    find: "Math.min(batch, Math.floor(bytes / each))",
    replace: "batch",
    test: "have as many messages as their bytes have room for, and end with the last one"
  },
  {
    name: "a pull that received nothing makes the next one have too many messages",
    from: "the server may drop a pull that ends by its bytes, K33",
    find: "largest: largest || this.shown.largest",
    replace: "largest",
    test: "have as many messages as their bytes have room for, and end with the last one"
  },
  {
    name: "a consumer far behind its writers waits for messages",
    from: "with few bytes for each pull it would miss overwritten values, K33",
    find: "return pending * underWay.largest * 2 <= this.options.window.waiting ? \"drained\" : \"full\"",
    replace: "return \"drained\"",
    test: "have as many messages as their bytes have room for, and end with the last one"
  },
  {
    name: "a pull for a message that is there does not wait",
    from: "the server counts too few pending messages and ends it: the watch asked without end, K36",
    find: "isCertain ? timesOfCertain : noWait",
    replace: "isCertain ? noWait : noWait",
    test: "for a message that is there wait for it: the server may count too few pending ones"
  },
  {
    name: "a consumer that stops at removed messages has rare heartbeats",
    from: "100 purged keys delayed Ready by 20 s, K36",
    find: "const timesOfStopping = timesOf(shortExpiry, shortestHeartbeat)",
    replace: "const timesOfStopping = timesOf(shortExpiry, startHeartbeat)",
    test: "of a consumer that stops at removed messages wait, with a heartbeat that lets it continue"
  },
  {
    name: "many consumers that stop at removed messages have a heartbeat every millisecond each",
    from: "1,000 watches would get a million heartbeats a second, K36",
    find: "Duration.max(shortestHeartbeat, this.shared(mostHeartbeats))",
    replace: "shortestHeartbeat",
    test: "of a consumer that stops at removed messages wait, with a heartbeat that lets it continue"
  },
  {
    name: "a consumer that has stopped at a removed message counts as drained",
    from: "its next pull would be small, K36",
    find: "end === \"drained\" && this.readsLast && this.pending > 0 ? \"stopped\" : end",
    replace: "end",
    test: "of a consumer that stops at removed messages wait, with a heartbeat that lets it continue"
  },
  {
    name: "the first pull of a bucket with large values has as many messages as with small ones",
    from: "after the limit of the stream was lowered the server cut the connection, K36",
    find: "this.expected = Math.max(leastExpected, options.meanSize)",
    replace: "this.expected = leastExpected",
    test: "of a bucket with large values have few messages from the first one on"
  },
  {
    name: "a consumer that has nothing left does not pull any more",
    from: "the watch would not receive changes, K33",
    find: "if (next._tag === \"Wait\") this.wait()\n    else this.take(next)",
    replace: "if (next._tag !== \"Wait\") this.take(next)",
    test: "are one at a time: a small one, then large ones, then one that waits"
  },
  {
    name: "a closed consumer keeps its part of the window",
    from: "each closed watch would leave less for the others, K33",
    find: "this.underWay?.grant?.end()",
    replace: "",
    test: "leave the window free when the consumer is closed"
  },
  {
    name: "a closed consumer keeps its place in the queue of the window",
    from: "it would be granted a pull that never ends, K33",
    find: "this.withdraw?.()",
    replace: "",
    test: "that wait for the window are withdrawn when the consumer is closed"
  },
  {
    name: "the heartbeat remains frequent after the snapshot",
    from: "each idle watch would get 5 messages a second, K21",
    find: "this.isStarting = false",
    replace: "",
    test: "that wait have a frequent heartbeat until the first messages are complete"
  },
  {
    name: "a sign of life is sent without need",
    from: "each consumer without a pull would send one every 1.2 s, K21",
    find: "if (this.isClosed || this.readsLast || monotonicMillis(this.options.clock) - this.lastSent < millis) return",
    replace: "if (this.readsLast) return",
    test: "are followed by a sign of life if none was sent for long"
  }
])

const windows = bugsOf(window, tests.window, [
  {
    name: "the window never shrinks",
    from: "the renewal of a lease would wait behind the messages of a slow link, K33",
    find: "if (millis > longestDrain)",
    replace: "if (millis > longestDrain && bytes < leastBytes)",
    test: "shrinks while pulls take long, once for all that were under way, and grows again"
  },
  {
    name: "a pull that waits for messages shrinks the window",
    from: "pulls of a bucket with history wait up to 500 ms, K33",
    find: "last - begun - roundTrip",
    replace: "monotonicMillis(this.clock) - begun - roundTrip",
    test: "counts the time of a pull until its last message, and nothing of one without messages"
  },
  {
    name: "the window shrinks once for each pull that was under way",
    from: "one pause of the link would shrink it to its minimum, K33",
    find: "if (begun < this.changedAt) return",
    replace: "",
    test: "shrinks while pulls take long, once for all that were under way, and grows again"
  },
  {
    name: "the window does not grow again",
    from: "one pause of the link would slow down all later reads, K33",
    find: "{ ceiling, bytes: Math.min(ceiling, bytes + pulled) }",
    replace: "{ ceiling, bytes: Math.min(ceiling, bytes + 0 * pulled) }",
    test: "shrinks while pulls take long, once for all that were under way, and grows again"
  },
  {
    name: "the window grows again to the size at which the server has cut the connection",
    from: "the server would cut it again and again, K33",
    find: "return { ceiling: lower, bytes: Math.min(bytes, lower) }",
    replace: "return { ceiling, bytes: Math.min(bytes, lower) }",
    test: "is at most a quarter of the bytes under way when the connection was lost, at least 128 KiB"
  },
  {
    name: "large pulls do not pause after a cut",
    from: "the server would cut the new connection at once, K33",
    find: "if (lane === this.large && this.isPausing) return",
    replace: "",
    test: "after a loss with much under way pauses large pulls, longer after each loss, and names the largest"
  },
  {
    name: "the pause after a cut does not grow",
    from: "a server that cuts each time would be asked each second, K33",
    find: "Duration.min(longestPause, Duration.times(this.pause, 2))",
    replace: "Duration.min(longestPause, this.pause)",
    test: "after a loss with much under way pauses large pulls, longer after each loss, and names the largest"
  },
  {
    name: "a loss with little under way counts as a cut",
    from: "each restart of a server would pause the large pulls, K33",
    find: "if (underWay < leastSuspect) return",
    replace: "",
    test: "ignores a loss with little under way"
  },
  {
    name: "listings wait behind all pulls",
    from: "listings beside 100 large watches timed out, K15",
    find: "const isListing = this.listings.length > 0 && (this.pulls.length === 0 || !this.wasListing)",
    replace: "const isListing = this.pulls.length === 0",
    test: "grants listings in turn with large pulls, each in the order of their requests"
  },
  {
    name: "small pulls wait behind large ones",
    from: "a small bucket would be read after the large ones, K33",
    find: "const lane = kind === \"small\" ? this.small : this.large",
    replace: "const lane = this.large",
    test: "grants small pulls although the large ones are used up"
  },
  {
    name: "a pull that is larger than the window is never granted",
    from: "a large message would stop its watch, K33",
    find: "if (lane.used > 0 && lane.used + bytes > limit) return",
    replace: "if (lane.used + bytes > limit) return",
    test: "grants a pull that is larger than the window when no other one is under way"
  },
  {
    name: "the window counts bytes that have arrived",
    from: "pulls would wait for nothing, K33",
    find: "lane.used -= less",
    replace: "",
    test: "counts the bytes requested and not received"
  },
  {
    name: "the window counts bytes that were lost with the connection",
    from: "reads would stop after some losses, K33",
    find: "lane.used = 0",
    replace: "",
    test: "after a loss with much under way pauses large pulls, longer after each loss, and names the largest"
  },
  {
    name: "the bytes of a pull that was lost with the connection are freed twice",
    from: "the window would grow with each loss, K33",
    find: "if (!lane.underWay.delete(grant)) return",
    replace: "lane.underWay.delete(grant)",
    test: "grants nothing twice that was under way when the connection was lost"
  }
])

const told = bugsOf(requester, tests.requester, [
  {
    name: "the window does not know that the connection was lost",
    from: "large pulls would not pause, and the lost bytes would count, K33",
    find: "if (event._tag === \"Disconnected\") window.lost()",
    replace: "",
    test: "report a lost connection to the window"
  }
])

const listings = bugsOf(requester, tests.requester, [
  {
    name: "an interrupted listing gives its part of the window back at once",
    from: "its messages arrive nevertheless: the server cut the connection, K15",
    find: "if (grant !== undefined) return\n",
    replace: "grant?.end()\n",
    test: "requestMany keeps its part of the window until the last answer, also if its caller was interrupted"
  },
  {
    name: "a listing keeps its part of the window",
    from: "no other one would be granted, K15",
    find: "withdraw()\n      grant?.end()",
    replace: "withdraw()",
    test: "requestMany waits for its part of the window, and gives it back with the last answer"
  },
  {
    name: "a listing that was interrupted keeps its place in the queue of the window",
    from: "it would be sent although its caller has gone, K15",
    find: "withdraw()\n      cancel()",
    replace: "cancel()",
    test: "requestMany that waits for the window ends with its timeout, with the connection, and with its caller"
  },
  {
    name: "the listing of a small bucket waits behind large reads",
    from: "a registry's list would wait for all large watches of the connection, K15",
    find: "const isSmall = expected <= mostSmall",
    replace: "const isSmall = expected <= 0",
    test: "requestMany waits for its part of the window, and gives it back with the last answer"
  }
])

const supervision = [
  ...bugsOf(arrivals, tests.watchReaders, [
    {
      name: "the end of a sign of life counts as the end of the consumer",
      from: "a slow reader would replace its consumer every 3 s, K21",
      find: "return isOfPull ? this.ended(\"full\") : undefined",
      replace: "return isOfPull ? this.ended(\"full\") : silent(token)",
      test: "that waits for its reader keeps its consumer, and shows the server every 3 s that it is in use"
    }
  ]),
  ...bugsOf(consumer, tests.watchReaders, [
    {
      name: "a watch that waits for its reader gives no sign of life",
      from: "the server removes a consumer without pulls after 10 s, K21",
      find: "touch()\n      continue",
      replace: "continue",
      test: "that waits for its reader keeps its consumer, and shows the server every 3 s that it is in use"
    },
    {
      name: "a consumer without a pull counts as silent",
      from: "each slow reader would replace its consumer every 2.2 s, K21",
      find: "isExpecting: () => puller.isExpecting",
      replace: "isExpecting: () => true",
      test: "that waits for its reader keeps its consumer, and shows the server every 3 s that it is in use"
    },
    {
      name: "messages count as processed when the watch has taken them",
      from: "a slow reader would keep more than the messages of three pulls in memory, K25",
      find: "if (_tag === \"Ended\") unprocessed++",
      replace: "if (_tag === \"Ended\") puller.processed(1)",
      test: "pulls no more than it may buffer, and continues when the reader does"
    },
    {
      name: "messages never count as processed",
      from: "each watch would stop after three pulls, K25",
      find: "puller.processed(unprocessed)",
      replace: "puller.processed(0)",
      test: "pulls no more than it may buffer, and continues when the reader does"
    }
  ]),
  ...bugsOf(consumer, tests.watch, [
    {
      name: "a silent consumer is replaced although large pulls arrive",
      from: "its heartbeat waits behind them, and the new consumer starts again, K21",
      find: "if (js.window.isBusy && until(busySilenceLimit) > 0)",
      replace: "if (js.window.isBusy && until(silenceLimit) > 0)",
      test: "keeps a silent consumer for 10 s while large pulls of the connection arrive"
    },
    {
      name: "a silent consumer is never replaced while large pulls arrive",
      from: "a small watch would be silent until the large ones are ready, K21",
      find: "if (js.window.isBusy && until(busySilenceLimit) > 0)",
      replace: "if (js.window.isBusy)",
      test: "keeps a silent consumer for 10 s while large pulls of the connection arrive"
    },
    {
      name: "a denied pull is not reported",
      from: "the watch would wait without end, K26",
      find: "const refusable = new Set([inbox, js.pullSubject(stream, name)])",
      replace: "const refusable = new Set([inbox])",
      test: "fails with PermissionDenied if it may not pull"
    }
  ])
]

const readers = [
  ...bugsOf(consumer, "test/internal/nats/bucket/watchModel.test.ts", [
    {
      name: "in a bucket with history the pulls of a snapshot end before messages that do not fit",
      from: "nats-server 2.10.27 and 2.15.1 skip them, K36",
      find: "largest: largestUnlessSkipped(options)",
      replace: "largest: undefined",
      test: "reports the final state of the stream, in order, without duplicates, and is ready, under random faults"
    }
  ]),
  ...bugsOf(watch, tests.watch, [
    {
      name: "Ready does not follow the last pending message",
      from: "it would wait for a heartbeat, K20",
      find: "return place.pending === 0 || progress.endsListing(message)",
      replace: "return progress.endsListing(message)",
      test: "is ready when nothing is pending, or when the last pending message has arrived"
    },
    {
      name: "the heartbeat of a watch remains frequent after Ready",
      from: "each idle watch would get 5 messages a second, K21",
      find: "consumer.complete()",
      replace: "",
      test: "creates a consumer with a unique name, pulls with a heartbeat, and deletes it at the end"
    }
  ]),
  ...bugsOf(watch, tests.listing, [
    {
      name: "a listing by a consumer waits until nothing is left",
      from: "it would not end while clients write, K15",
      find: "return place.pending === 0 || progress.endsListing(message)",
      replace: "return place.pending === 0",
      test: "by a consumer ends with the first message that was stored after its beginning"
    }
  ]),
  ...bugsOf(watch, tests.watchReaders, [
    {
      name: "a watch that is interrupted while its reader is slow loses the events that wait",
      from: "the new consumer starts after these messages, K22",
      find: "const { held } = this\n    if",
      replace: "const { held } = this\n    this.held = []\n    if",
      test: "gives its reader everything once, although its consumer is replaced in the meantime"
    },
    {
      name: "a watch that is interrupted while its reader is slow repeats events",
      from: "the rest of a group is given twice, K22",
      find: "this.held = []\n        if",
      replace: "if",
      test: "gives its reader everything once, although its consumer is replaced in the meantime"
    }
  ]),
  ...bugsOf(watch, tests.watchGaps, [
    {
      name: "keys that were removed while a consumer was behind are not reported",
      from: "found by the simulation: a machine was suspended for 20 s, and markers live for 1 s, K23",
      find: "if (progress.isReady && arrival.behind > Duration.toMillis(patience)) progress.delayed()",
      replace: "",
      test: "looks for removed keys after it was behind for long, because markers may have expired unseen"
    },
    {
      name: "keys that were removed while a reader was slow are not reported",
      from: "their markers may have expired unseen, K23",
      find: "if (Duration.isGreaterThan(waited, patience)) this.onDelay()",
      replace: "void waited",
      test: "looks for removed keys after a slow reader, because markers may have expired unseen"
    }
  ]),
  ...bugsOf(arrivals, tests.watchGaps, [
    {
      name: "each full pull restarts the time behind",
      from: "a consumer that is behind for long would count as quick, K23",
      find: "this.behindSince = end === \"drained\" ? undefined : this.behindSince ?? now",
      replace: "this.behindSince = end === \"drained\" ? undefined : now",
      test: "counts the time behind from the first full pull"
    }
  ])
]

const histories = [
  ...bugsOf(watch, tests.watch, [
    {
      name: "a consumer that was created after the history size had changed is kept",
      from: "its pulls skipped large values, K36",
      find: "(now) => keptPerKey(now.config) === keptPerKey(info.config)",
      replace: "() => true",
      test: "replaces a consumer that was created after the history size had changed"
    }
  ]),

  ...bugsOf(watchState, tests.watch, [
    {
      name: "in a bucket with history the number of pending messages decides about Ready",
      from: "Ready came before the keys behind a purged one, K36",
      find: "if (known.hasMore) return \"wait\"",
      replace: "",
      test: "of a bucket with history is ready by a revision, not by the number of pending messages"
    }
  ]),
  ...bugsOf(arrivals, tests.watch, [
    {
      name: "a watch asks the server after each frequent heartbeat",
      from: "1,000 requests a second, K36",
      find: "if (now - this.lastTold < Duration.toMillis(this.puller.reactionInterval)) return false",
      replace: "",
      test: "asks the server rarely while heartbeats let a snapshot continue after removed messages"
    }
  ])
]

const states = bugsOf(watchState, tests.watchState, [
  {
    name: "a snapshot continues after the last message although the stream keeps several for each key",
    from: "keys overwritten before their turn would be missing before Ready, K22",
    find: "(this.cursor === 0 || !this.keepsOne)",
    replace: "this.cursor === 0",
    test: "continues a snapshot after the cursor if the stream keeps one message per key, else starts it again"
  },
  {
    name: "an interrupted snapshot always starts again",
    from: "a large snapshot on a flapping link would never be complete, K22",
    find: "(this.cursor === 0 || !this.keepsOne)",
    replace: "this.cursor >= 0",
    test: "continues a snapshot after the cursor if the stream keeps one message per key, else starts it again"
  },
  {
    name: "a snapshot of another stream begins after the last message of the former one",
    from: "it would skip the messages of the new stream, K24",
    find: "this.cursor = 0\n    this.given.addOlder",
    replace: "this.given.addOlder",
    test: "starts with a snapshot on another stream"
  },
  {
    name: "a second reset forgets the keys of the first stream",
    from: "the reader would never remove them, K24",
    find: "this.given.addOlder(this.former)",
    replace: "",
    test: "after two resets reports the keys of both former streams, each with its last revision"
  },
  {
    name: "a watch that has caught up remains in its state",
    from: "Ready would be repeated, K20",
    find: "return state === \"First\" ? \"First\" : \"Live\"",
    replace: "return state",
    test: "after Snapshot and \"caught up\" is Live"
  },
  {
    name: "a watch of another stream resumes instead of starting again",
    from: "neither its snapshot nor Ready would follow, K24",
    find: "return state === \"First\" ? \"Snapshot\" : \"Resetting\"",
    replace: "return state === \"First\" ? \"Snapshot\" : \"Resuming\"",
    test: "after Live and \"another stream\" is Resetting"
  },
  {
    name: "a new consumer of a watch that is ready does not compare the keys",
    from: "keys removed during the gap would remain, K23",
    find: "if (state === \"Resuming\") return \"compare\"",
    replace: "if (state === \"Resuming\") return \"nothing\"",
    test: "in Resuming with {}: compare"
  },
  {
    name: "a connected watch does not compare its keys after a delay",
    from: "keys whose markers expired unseen would remain, K23",
    find: "if (state === \"Live\") return known.owesComparison ? \"compare\" : \"nothing\"",
    replace: "if (state === \"Live\") return \"nothing\"",
    test: "in Live with {\"owesComparison\":true}: compare"
  },
  {
    name: "Ready does not ask for the end of the snapshot",
    from: "keys overwritten before their turn would be missing, K20",
    find: "if (!known.hasEnd) return \"find end\"",
    replace: "if (!known.hasEnd) return \"become ready\"",
    test: "in Snapshot with {}: find end"
  }
])

const subjects = bugsOf(givenSubjects, tests.givenSubjects, [
  {
    name: "a removed key is reported with a wrong revision",
    from: "revisions are kept as differences, K23",
    find: "f(subject, this.revisions[index]! + this.base)",
    replace: "f(subject, this.revisions[index]!)",
    test: "are those of a Map after any changes"
  },
  {
    name: "a listed key that was removed later counts as given",
    from: "it would be reported as removed twice, K23",
    find: "if (!hasLater || !this.later.has(subject)) f(",
    replace: "f(",
    test: "are those of a Map after any changes"
  },
  {
    name: "removed keys stay in memory",
    from: "keys that come and go would fill the memory, K25",
    find: "if (this.removed >= compactAfter && this.removed * 2 >= this.subjects.length) this.compact()",
    replace: "",
    test: "do not grow while keys come and go"
  },
  {
    name: "after a second reset the revisions of the first stream replace those of the second",
    from: "a key would be reported with a wrong revision, K24",
    find: "if (!this.has(subject)) this.set(subject, revision)",
    replace: "this.set(subject, revision)",
    test: "take over those of an older list that they do not have"
  }
])

const removed = bugsOf(removals, tests.watchGaps, [
  {
    name: "a connected watch never looks for removed keys",
    from: "a value that another client purged was never removed, K23",
    find: "progress.hasGiven && next.isDue",
    replace: "false",
    test: "reports a key that was removed without a message, within a minute"
  },
  {
    name: "a connected watch requests all names although the stream has not changed",
    from: "each watch of a large bucket would transfer its names each minute, K23",
    find: "if (isSame(searched, now)) return Effect.void",
    replace: "",
    test: "does not request the names again while the stream has not changed"
  },
  {
    name: "names from before a delivered message count",
    from: "a key would be reported as removed although it was just written, K23",
    find: "if (lastRevision < progress.cursor) return Effect.void",
    replace: "",
    test: "does not report a key that the leader has, or that an answer from before its message lacks"
  },
  {
    name: "a key that is missing in the names is reported without asking the leader",
    from: "pages of names can omit a key, K23",
    find: "(last) => last === undefined)",
    replace: "() => true)",
    test: "does not report a key that the leader has, or that an answer from before its message lacks"
  }
])

const reached = bugsOf(reach, tests.reach, [
  {
    name: "a watch that hears nothing does not put the store out of reach",
    from: "a frozen server is noticed by the connection after 6 to 9 s only, K35",
    find: "return !isWatched",
    replace: "return true",
    test: "not with watches that hear nothing"
  },
  {
    name: "the store is out of reach since the loss was noticed",
    from: "instances would be judged by heartbeats from the outage, K35",
    find: "this.watches.size === 0 ? now : Math.min(now, lastHeard)",
    replace: "now",
    test: "ends with the last message of a consumer that is not heard any more, and begins with the next consumer"
  },
  {
    name: "a new connection alone puts the store in reach",
    from: "the stream may have no leader, K35",
    find: "if (!isUp) { for (const watch of this.watches) watch.isHeard = false }",
    replace: "",
    test: "ends with the connection, and returns with the consumer, not with the connection alone"
  }
])

export const pulling: ReadonlyArray<Mutant> = [
  ...pulls,
  ...windows,
  ...told,
  ...listings,
  ...supervision,
  ...readers,
  ...histories,
  ...states,
  ...subjects,
  ...removed,
  ...reached
]
