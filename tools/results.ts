/**
 * Writes `results/summary.md` from the latest results of `npm run test:long` and `npm run mutants`. Both commands save
 * their results in `.cache/results`.
 */
import * as Schema from "effect/Schema"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { electionNumbers, electionResults } from "./electionResults.ts"
import { toMarkdown } from "./markdown.ts"
import { registryNumbers, registryResults } from "./registryResults.ts"

const saved = fileURLToPath(new URL("../.cache/results/", import.meta.url))
const folder = fileURLToPath(new URL("../results/", import.meta.url))

const about = {
  date: Schema.String,
  commit: Schema.String,
  node: Schema.String,
  servers: Schema.Array(Schema.String)
}

const Mutants = Schema.Struct({
  ...about,
  mutants: Schema.Array(Schema.Struct({ file: Schema.String, runs: Schema.Finite, verdict: Schema.String }))
})

const Millis = Schema.NullOr(Schema.Finite)

const Snapshot = Schema.Struct({
  millis: Schema.Finite,
  blockedMillis: Schema.Finite,
  heapPerKey: Schema.Finite,
  buffersPerKey: Schema.Finite
})

const Long = Schema.Struct({
  ...about,
  ...registryNumbers,
  ...electionNumbers,
  rounds: Schema.Finite,
  bigWatches: Schema.Array(Schema.Struct({
    server: Schema.String,
    shape: Schema.String,
    watch: Schema.String,
    watches: Schema.Finite,
    ready: Schema.Finite,
    readyMillis: Millis,
    smallMillis: Millis,
    linksLost: Schema.Finite,
    puts: Schema.Finite,
    putsFailed: Schema.Finite,
    putMillis: Millis,
    leadershipLost: Schema.NullOr(Schema.Finite)
  })),
  faults: Schema.Array(Schema.Struct({
    watch: Schema.String,
    fault: Schema.String,
    missed: Schema.Finite,
    notRemoved: Schema.Finite,
    firstEventMillis: Schema.Struct({ median: Millis, most: Millis }),
    writes: Schema.Finite
  })),
  watches: Schema.Array(Schema.Struct({
    watch: Schema.String,
    fault: Schema.String,
    missed: Schema.Finite,
    notRemoved: Schema.Finite,
    firstEventMillis: Millis
  })),
  leftovers: Schema.Array(Schema.Struct({
    line: Schema.String,
    call: Schema.String,
    times: Schema.Finite,
    consumers: Schema.Finite,
    subscriptions: Schema.Finite
  })),
  linearizability: Schema.Array(Schema.Struct({
    server: Schema.String,
    operations: Schema.Finite,
    unknown: Schema.Finite,
    serverKills: Schema.Finite,
    clientKills: Schema.Finite,
    verdict: Schema.String
  })),
  listing: Schema.Array(Schema.Struct({
    server: Schema.String,
    entries: Schema.Finite,
    millis: Schema.Struct({ entries: Schema.Finite, theirKeysAndGets: Schema.Finite })
  })),
  overhead: Schema.Array(Schema.Struct({
    operation: Schema.String,
    atOnce: Schema.Finite,
    perSecond: Schema.Struct({ raw: Schema.Finite, ours: Schema.Finite, traced: Schema.Finite })
  })),
  simulation: Schema.Array(Schema.Struct({
    scenario: Schema.String,
    runs: Schema.Finite,
    fleetHours: Schema.Finite,
    failures: Schema.Finite
  })),
  snapshot: Schema.Array(Schema.Struct({
    entries: Schema.Finite,
    ours: Snapshot,
    theirs: Snapshot,
    times: Schema.Finite
  })),
  problems: Schema.Array(Schema.String)
})

/** Reads the file with the last name in alphabetical order: names of long runs end with their date. */
const readLatest = <A>(prefix: string, command: string, schema: Schema.Codec<A, unknown>): A => {
  mkdirSync(saved, { recursive: true })
  const name = readdirSync(saved).filter((file) => file.startsWith(prefix) && file.endsWith(".json")).toSorted().at(-1)
  if (name === undefined) throw new Error(`no results of \`${command}\` in .cache/results: run it first`)
  return Schema.decodeUnknownSync(schema)(JSON.parse(readFileSync(`${saved}${name}`, "utf8")))
}

const mutants = readLatest("mutants", "npm run mutants", Mutants)
const long = readLatest("long-", "npm run test:long", Long)

const ran = ({ commit, date, node, servers }: typeof Mutants.Type | typeof Long.Type): string =>
  `${date.slice(0, 10)}, commit ${commit.slice(0, 7)}, Node ${node.slice(1)}, nats-server ${servers.join(" and ")}.`

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

/** The longest time. Null (no event arrived) is longer than any number. */
const longest = (times: ReadonlyArray<number | null>): string =>
  times.includes(null) ? "never" : seconds(largest(times.map(Number)))

/** Groups rows by a key, in the order in which the keys first occur. */
const groups = <A>(rows: ReadonlyArray<A>, key: (row: A) => string): ReadonlyArray<readonly [string, Array<A>]> => [
  ...Map.groupBy(rows, key)
]

const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((total, number) => total + number, 0)

const largest = (numbers: ReadonlyArray<number>): number => Math.max(0, ...numbers)

const isCaught = ({ verdict }: (typeof Mutants.Type)["mutants"][number]) =>
  !verdict.startsWith("NOT CAUGHT") && !verdict.startsWith("BROKEN")
const isTested = ({ verdict }: (typeof Mutants.Type)["mutants"][number]) => verdict.startsWith("NOT CAUGHT, but")

const moduleOf = ({ file }: { readonly file: string }): string =>
  file.replace("src/", "").replace(/\.ts$/, "").split("/").slice(0, 2).join("/")

const text = `# Measured results

Written by \`npm run results\` from the results of \`npm run mutants\` and \`npm run test:long\`.

## Planted bugs (\`npm run mutants\`)

${ran(mutants)}

${
  toMarkdown(
    ["bugs in", "planted", "caught by a simulation", "caught by a test", "not caught", "most runs until caught"],
    [...groups(mutants.mutants, moduleOf), ["all", mutants.mutants] as const].map(([name, all]) => {
      const [caught, tested] = [all.filter(isCaught), all.filter(isTested)]
      const missed = all.length - caught.length - tested.length
      return [name, all.length, caught.length, tested.length, missed, largest(caught.map(({ runs }) => runs))]
    })
  )
}

## The long run (\`npm run test:long\`)

${ran(long)}
${long.problems.length === 0 ? "There were no problems." : long.problems.map((problem) => `- ${problem}`).join("\n")}

Watches of this library: each fault ${long.rounds} times on each server line. "2.15 legacy" is a connection of the package
\`nats\` to a 2.15 server. "First event" is the longest time from the first write after the fault to the first event of the
watch.

${
  toMarkdown(
    ["line", "faults", "writes", "events missed", "removals missed", "first event"],
    groups(long.faults, ({ watch }) => watch).map(([line, all]) => [
      line,
      all.length,
      sum(all.map(({ writes }) => writes)),
      sum(all.map(({ missed }) => missed)),
      sum(all.map(({ notRemoved }) => notRemoved)),
      longest(all.map(({ firstEventMillis }) => firstEventMillis.most))
    ])
  )
}

Watches of this library and of \`@nats-io/kv\`: each fault once on each server line, some also with history. The table
shows the worst value.

${
  toMarkdown(
    ["fault", "watch of", "events missed", "removals missed", "first event"],
    groups(long.watches, ({ fault, watch }) =>
      `${fault.replace(", with history", "")} | ${watch.startsWith("@nats-io/kv") ? "`@nats-io/kv`" : "this library"}`)
      .toSorted(([left], [right]) =>
        left.localeCompare(right)
      )
      .map(([name, all]) => [
        name,
        largest(all.map(({ missed }) => missed)),
        largest(all.map(({ notRemoved }) => notRemoved)),
        longest(all.map(({ firstEventMillis }) => firstEventMillis))
      ])
  )
}

Linearizability of recorded histories. Clients and servers were killed at random while the clients recorded:

${
  toMarkdown(
    ["nats-server", "operations", "unknown outcomes", "server kills", "client kills", "verdict"],
    long.linearizability.map((one) => [
      one.server,
      one.operations,
      one.unknown,
      one.serverKills,
      one.clientKills,
      one.verdict
    ])
  )
}

Consumers and subscriptions that remain on the server after the calls:

${
  toMarkdown(
    ["line", "call", "calls", "consumers", "subscriptions"],
    long.leftovers.map((one) => [one.line, one.call, one.times, one.consumers, one.subscriptions])
  )
}

Milliseconds to read all entries of a bucket: with \`entries\` of this library, and with \`keys\` and concurrent \`get\` calls
of \`@nats-io/kv\`:

${
  toMarkdown(
    ["nats-server", "entries", "this library", "`@nats-io/kv`"],
    long.listing.map(({ entries, millis, server }) => [server, entries, millis.entries, millis.theirKeysAndGets])
  )
}

Operations per second on one server, by the number of operations in flight:

${
  toMarkdown(
    ["operation", "in flight", "`@nats-io/jetstream`", "this library", "with a tracer"],
    long.overhead.map(({ atOnce, operation, perSecond }) => [
      operation,
      atOnce,
      perSecond.raw,
      perSecond.ours,
      perSecond.traced
    ])
  )
}

Watches until their snapshot is complete: the time, the longest time for which the event loop was blocked, and the bytes
that the open watch keeps for each key of 40 characters:

${
  toMarkdown(
    ["entries", "watch of", "ms until complete", "blocked ms", "bytes per key"],
    long.snapshot.flatMap(({ entries, ours, theirs }) =>
      ([["this library", ours], ["`@nats-io/kv`", theirs]] as const).map(([name, one]) => [
        entries,
        name,
        one.millis,
        one.blockedMillis,
        one.heapPerKey + one.buffersPerKey
      ])
    )
  )
}

Large snapshots on one connection, on which a write every 100 ms, a candidate, and the watch of a bucket of 5 kB also run.
\`@nats-io/kv\` has no elections:

${
  toMarkdown(
    [
      "server",
      "watches",
      "of",
      "all ready",
      "small watch ready",
      "connection lost",
      "writes failed",
      "slowest write in 100",
      "leadership lost"
    ],
    long.bigWatches.map((one) => [
      one.server,
      one.shape,
      one.watch === "@nats-io/kv" ? "`@nats-io/kv`" : one.watch,
      one.readyMillis === null ? `${one.ready.toLocaleString("en")} in time` : seconds(one.readyMillis),
      one.smallMillis === null ? "not in time" : `${one.smallMillis.toLocaleString("en")} ms`,
      one.linksLost,
      `${one.putsFailed} of ${one.puts}`,
      one.putMillis === null ? "none answered" : `${one.putMillis} ms`,
      one.leadershipLost ?? "-"
    ])
  )
}

${registryResults(long)}

${electionResults(long)}

Simulations, by scenario:

${
  toMarkdown(
    ["scenario", "runs", "hours of simulated time", "failures"],
    long.simulation.map(({ failures, fleetHours, runs, scenario }) => [scenario, runs, fleetHours, failures])
  )
}
`

mkdirSync(folder, { recursive: true })
writeFileSync(`${folder}summary.md`, text)
