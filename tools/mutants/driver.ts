/** Bugs of watches, listings, requests and the store's clock. */
import type { Mutant } from "./models.ts"

const consumer = "src/internal/nats/jetstream/consumer.ts"
const follow = "src/internal/nats/bucket/watch.ts"
const jetstream = "src/internal/nats/jetstream/api.ts"
const progress = "src/internal/nats/bucket/watchState.ts"
const requester = "src/internal/nats/jetstream/requester.ts"
const timekeeper = "src/internal/nats/bucket/storeClock.ts"

export const driver: ReadonlyArray<Mutant> = [
  {
    name: "a watch does not notice that its bucket is another",
    from: "nats.deno#691, the clients' own watches (measured), K24",
    file: progress,
    find: "(this.created !== info.created || info.lastRevision < this.known)",
    // Of an unused parameter the compiler would complain.
    replace: "info.lastRevision < 0",
    scenario: "losing"
  },
  {
    name: "a watch does not notice that its bucket was rolled back",
    from: "a stream restored from a backup keeps its creation time (measured), K24",
    file: progress,
    find: "|| info.lastRevision < this.known",
    replace: "",
    scenario: "losing"
  },
  {
    name: "keys of a bucket that was recreated are not reported as removed",
    from: "nats.deno#688, K24",
    file: progress,
    find: "this.former = new Map([...this.former, ...this.given])",
    replace: "",
    scenario: "losing"
  },
  {
    name: "a watch does not notice a gap between two messages",
    from: "nats.rs#795, K21",
    file: consumer,
    find: "place === undefined || place.consumerSequence !== this.last + 1",
    replace: "place === undefined || place.consumerSequence < 0",
    scenario: "single"
  },
  {
    name: "a watch does not notice that the last message was lost",
    from: "nats.rs#1596, K21",
    file: consumer,
    find: "if (Number(told) !== this.last) return this.lost(told)",
    replace: "",
    scenario: "single"
  },
  {
    name: "a watch does not notice that its consumer is gone",
    from: "nats.go#1094, nats.c#988, K21",
    file: consumer,
    find: "silence: watchSilence(options, name, clock, () => lastHeard)",
    replace: "silence: Effect.never",
    scenario: "single"
  },
  {
    name: "a watch goes on one message too far",
    from: "nats.deno#691, K22",
    file: follow,
    find: "progress.cursor + 1",
    replace: "progress.cursor + 2",
    scenario: "single"
  },
  {
    name: "a watch that goes on does not ask what has gone meanwhile without a trace",
    from: "nats-server#3268, #4640, nats.go#1862, K23",
    file: progress,
    find: "this.doubtful = true if (!isAnother) return \"resume\"",
    replace: "if (!isAnother) return \"resume\"",
    scenario: "aging"
  },
  {
    name: "a listing of which a part was lost is taken for whole",
    from: "the simulation itself, 9cb81d0, K15",
    file: jetstream,
    find: "chain.follows(many.end, undefined) ? toBatch(many) : Effect.fail(torn)",
    replace: "toBatch(many)",
    scenario: "single"
  },
  {
    name: "a request that has no time left ends the keeping of time for all",
    from: "the simulation itself, e806fb1, K11",
    file: requester,
    find: "if (left > 0) yield* Effect.sleep(wholeMillis(left))",
    replace: "if (left <= 0) return yield* Effect.never\n    yield* Effect.sleep(wholeMillis(left))",
    scenario: "single"
  },
  {
    name: "the store's time is carried on by the wall clock",
    from: "AegisSDK 1.5, AegisTrader: ages by time.time() (K30)",
    file: timekeeper,
    find: "return reading!.offset",
    replace: "return reading!.offset + aheadOf(host) - ahead",
    scenario: "mixed"
  },
  {
    name: "the store's time is not asked for again when the host was suspended",
    from: "the simulation itself, 9cb81d0, K31",
    file: timekeeper,
    find: "Math.abs(aheadOf(host) - ahead) > longestStep",
    replace: "false",
    scenario: "mixed"
  }
]
