/** Planted bugs of buckets in memory, rollouts, leaving, log lines and metrics. */
import type { Mutant } from "./models.ts"

const memory = "src/internal/kv/memory.ts"
const bucket = "src/internal/kv/memoryBucket.ts"
const suite = "test/KVStore/KVStore.test.ts"

export const operation: ReadonlyArray<Mutant> = [
  {
    name: "a destroyed bucket in memory keeps its keys",
    from: "two layers of one program, which shared one bucket",
    file: bucket,
    find: "this.existing = undefined\n    this.announce()",
    replace: "this.announce()",
    scenario: "single",
    runs: 1,
    test: { file: suite, name: "a destroyed bucket has no keys when it is created again" }
  },
  {
    name: "a bucket in memory is not compared when it is opened again",
    from: "K28",
    file: memory,
    find: `if (list.length === 0 || asked.onMismatch === "accept")`,
    replace: "if (list.length >= 0)",
    scenario: "single",
    runs: 1,
    test: { file: suite, name: "ConfigMismatch lists each difference from an existing bucket" }
  },
  {
    name: "a watch in memory does not report the keys of a destroyed bucket",
    from: "K24",
    file: memory,
    find: `const removed = [...rest(), ...gone(followed.log.lastOfEach(matches).filter(isValue), "reset")]`,
    replace: "const removed = rest()",
    scenario: "single",
    runs: 1,
    test: {
      file: suite,
      name: "a watch of a destroyed bucket reports each key as Removed, and then the bucket that it recreates"
    }
  },
  {
    name: "a rollout lowers the age of the registry's bucket",
    from: "records of processes with the former maxAge would be removed",
    file: "src/internal/aegis/buckets.ts",
    find: "Duration.isGreaterThanOrEqualTo(from, to)",
    replace: "Duration.Equivalence(from, to)",
    scenario: "single",
    runs: 1,
    test: { file: "test/Aegis/rollouts.test.ts", name: "maxAge down by ten: the processes old, new start" }
  },
  {
    name: "a hand-over that is refused for good is repeated",
    from: "a leader without the right to write, which ended after 14 s, E20",
    file: "src/internal/election/tenure.ts",
    find: ": isRefusal(error)\n            ?",
    replace: ": isRefusal(error) && error.message === \"\"\n            ?",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/Election/leaving.test.ts",
      name: "gives up at once if the store refuses the hand-over for good"
    }
  },
  {
    name: "a new consumer that was not read for long owes no comparison",
    from: "a simulated watch on a slow link (aging, seed 163236766), K23",
    file: "src/internal/nats/bucket/watch.ts",
    find: "if (monotonicMillis(clock) - openedAt > Duration.toMillis(patience)) progress.delayed()",
    replace: "",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/internal/nats/bucket/watchGaps.test.ts",
      name:
        "looks for removed keys again if a new consumer is not read for long, because markers may have expired unseen"
    }
  },
  {
    name: "a failure that repeats is logged each time",
    from: "a heartbeat that failed every second for an hour",
    file: "src/internal/logs.ts",
    find: "if (last !== undefined && now - last < quietFor) return Effect.void",
    replace: "if (last !== undefined && now < last) return Effect.void",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/Registry/logs.test.ts",
      name: "a heartbeat that fails is logged once per reason and minute, and again after it has succeeded"
    }
  },
  {
    name: "the gauges of an ended registration stay",
    from: "a dashboard with the instances of last month",
    file: "src/internal/metrics.ts",
    find: "(held) => Effect.sync(() => held.remove())",
    replace: "() => Effect.void",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/Metrics/otlp.test.ts",
      name: "of a running instance and leader are gauges, which are removed when it ends"
    }
  },
  {
    name: "a heartbeat during an outage of a draining instance is written as ACTIVE",
    from: "drain, which failed in an outage and cut its work, R19",
    file: "src/internal/registry/ownRecord.ts",
    find:
      "change === undefined ? Result.succeed(this.instance) : Result.flatMap(change(this.instance), (next) => this.kept(next))",
    replace: "change === undefined ? Result.succeed(record.instance) : change(record.instance)",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/Registry/draining.test.ts",
      name: "the status is DRAINING at once for the process itself, and for others with the first record that is stored"
    }
  },
  {
    name: "a singleton starts failed work again without a growing pause",
    from: "a hot loop of failures, E23",
    file: "src/internal/election/singleton.ts",
    find: "backoff(shortestPause, longestPause)",
    replace: "backoff(shortestPause, shortestPause)",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/Election/singletons.test.ts",
      name: "starts work that fails again, after pauses that grow up to a minute, and logs it each time"
    }
  },
  {
    name: "a singleton keeps campaigning on a closed connection",
    from: "an error in the log each minute, E23",
    file: "src/internal/election/singleton.ts",
    find: "else if (isFinal(exit.cause) ||",
    replace: "else if ((isFinal(exit.cause) && began < 0) ||",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/Election/singletons.test.ts",
      name: "ends with an error in the log once the connection is closed"
    }
  },
  {
    name: "the first server decides the error of several",
    from: "a refused login beside a server that is down, which was reported by chance",
    file: "src/internal/nats/connect/refusals.ts",
    find: `.find(({ _tag }) => _tag !== "Unavailable")`,
    replace: `.find((reason) => reason === first && first._tag !== "Unavailable")`,
    scenario: "single",
    runs: 1,
    test: {
      file: "test/NatsClient/NatsClient.test.ts",
      name: "reports the server that refuses the login, also if another one is down"
    }
  },
  {
    name: "background fibers keep the span of their caller",
    from: "a trace that grows with each heartbeat",
    file: "src/internal/fibers.ts",
    find: "Effect.tapCause(withoutParentSpan(effect),",
    replace: "Effect.tapCause(effect,",
    scenario: "single",
    runs: 1,
    test: {
      file: "test/Metrics/spans.test.ts",
      name: "of a registration last until it is registered, and heartbeats have no parent"
    }
  }
]
