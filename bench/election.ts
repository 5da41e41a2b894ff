/**
 * Measures elections among processes: the time of a hand-over, beside the elections of etcd; the time until the next
 * leader after a process was killed or stopped, after work that does not end, and after a frozen server; and the requests
 * and processor time of candidates that wait.
 */
import { jetstreamManager } from "@nats-io/jetstream"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as References from "effect/References"
import type * as Scope from "effect/Scope"
import * as Aegis from "../src/Aegis.ts"
import * as Election from "../src/Election.ts"
import { electionCells, type ElectionNumbers, type ElectionRow, electionTitles } from "../tools/electionResults.ts"
import { startEtcd } from "../tools/etcd.ts"
import { countersOf, withSystemAccount } from "../tools/natsServer/counters.ts"
import { type NatsServer, startNatsServer } from "../tools/natsServer/server.ts"
import { toTable } from "../tools/table.ts"
import {
  type Candidate,
  failedWait,
  followed,
  leads,
  ledSince,
  numbered,
  standBy,
  type Start,
  startAll,
  startCandidate,
  starter,
  takeLead,
  type Times,
  waitFor
} from "./support/candidates.ts"
import { leftOutRow, measuredRow, mistakesRow, publishedTo, storedRecords } from "./support/electionRows.ts"
import { sharedMillis } from "./support/sharedClock.ts"
import { connection } from "./support/store.ts"

// -----------------------------------------------------------------------------
// sizes and bounds
// -----------------------------------------------------------------------------

const toTimes = (timings: Election.Timings): Times => ({
  leaseDuration: Duration.toMillis(timings.leaseDuration),
  renewDeadline: Duration.toMillis(timings.renewDeadline),
  renewInterval: Duration.toMillis(timings.renewInterval)
})

const fast = toTimes(Election.fast)
const resilient = toTimes(Election.resilient)

const handOvers = 500

/** Milliseconds until a standby is sure to wait for its turn, and the longest hand-over in 99 of 100 cases. */
const settles = 30
const mostHandOver = 25

/** Kills of leaders, of elections that run side by side. */
const kills = 50
const killedElections = 5

/** The time that requests and the watch may add to a lease, in milliseconds. */
const margin = 500

const stopTimeout = 2000

/** How long the server is frozen, and the time in which a leader follows. */
const frozen = 40_000
const mostUntilBack = 2000

const standbys = 20
const idle = 60_000

const idleLeases = idle / resilient.leaseDuration

/** Backstop reads of a candidate per lease: one in 0.8 to 1.2 leases. */
const reads = { least: 0.8, most: 1.25 }

/**
 * All messages of a standby in the idle time: its reads, and those of its buckets (docs/protocols/kv.md): STREAM.INFO once
 * a minute for the clock of each of the two, and twice every 40 s for the watch; pulls of the watch.
 */
const mostMessages = Math.ceil(reads.most * idleLeases) + 4 + 4 + 2

const manyElections = 1000

/** Processor time in milliseconds per second, with 1,000 elections. */
const mostOfStandby = 150
const mostOfLeader = 200

// -----------------------------------------------------------------------------
// measurements
// -----------------------------------------------------------------------------

const since = (from: number) => (at: number | undefined) => at === undefined ? undefined : at - from

type Measured = Effect.Effect<ReadonlyArray<ElectionRow>, unknown, Scope.Scope>
type Measurement = (server: NatsServer) => Measured

// -----------------------------------------------------------------------------
// hand-overs
// -----------------------------------------------------------------------------

/** Starts three candidates of one election. Returns one hand-over: its milliseconds until another process leads. */
const startHandOvers = Effect.fnUntraced(function*(start: Start) {
  const election = "handed-over"
  const elections = [election]
  const ways = ["scope", "work"] as const
  const [first, ...others] = yield* startAll(start, numbered("candidate", 3))
  yield* takeLead(first!, elections, "scope")
  yield* standBy(others, elections)
  const all = [first!, ...others]
  let leader = first!
  let count = 0
  return Effect.gen(function*() {
    yield* Effect.sleep(settles)
    const from = sharedMillis()
    const rest = all.filter((candidate) => candidate !== leader)
    const hasLed = (candidate: Candidate) => ledSince(candidate, election, from) !== undefined
    yield* leader.tell({ _tag: "HandOver", elections })
    yield* waitFor("the next leader", () => rest.some(hasLed))
    const next = rest.find(hasLed)!
    const time = ledSince(next, election, from)!.at - leader.leaving.get(election)!
    yield* leader.tell({ _tag: "Campaign", elections, how: ways[++count % ways.length]! })
    leader = next
    return time
  })
})

/** A NATS server syncs to the disk every 2 minutes by default, and etcd before it answers a write. */
const syncsEachWrite = "jetstream { sync_interval: always }"

const candidatesOfEtcd = Effect.gen(function*() {
  const { client, url, version } = yield* startEtcd
  const start: Start = (name) => startCandidate({ name, url, bucket: "", timings: fast, etcd: client })
  return { version, next: yield* startHandOvers(start) }
}).pipe(Effect.catchTag("StepFailed", ({ message }) => Effect.succeed(message)))

/** Hand-overs of this library and of etcd in turn, so that other load on the machine affects all of them alike. */
const handingOver: Measurement = Effect.fnUntraced(function*(server) {
  const synced = yield* startNatsServer({ line: "2.15", config: syncsEachWrite })
  const [own, ownSynced] = [
    yield* startHandOvers(starter(server, "hand-overs", fast)),
    yield* startHandOvers(starter(synced, "hand-overs", fast))
  ]
  const etcd = yield* candidatesOfEtcd
  const times = { own: new Array<number>(), ownSynced: new Array<number>(), etcd: new Array<number>() }
  for (let n = 0; n < handOvers; n++) {
    times.own.push(yield* own)
    times.ownSynced.push(yield* ownSynced)
    if (typeof etcd !== "string") times.etcd.push(yield* etcd.next)
  }
  return [
    measuredRow("hand-over, half by a scope and half by the end of the work", "ms", times.own, { p99: mostHandOver }),
    measuredRow("the same, and the server syncs each write to the disk", "ms", times.ownSynced, {}),
    typeof etcd === "string"
      ? leftOutRow("hand-over of etcd", etcd)
      : measuredRow(`hand-over of etcd ${etcd.version} by etcd3, which syncs each write`, "ms", times.etcd, {})
  ]
})

// -----------------------------------------------------------------------------
// crashes
// -----------------------------------------------------------------------------

/** The clock of the server is that of this machine. */
const toWallClock = (at: number) => Date.now() - sharedMillis() + at

/** One kill: the time from the last stored renewal until the next win was stored, and until that leader leads. */
interface Crash {
  readonly untilWon: number
  readonly untilLeads: number
}

type Records = Effect.Success<ReturnType<typeof storedRecords>>

/** Starts three candidates of an election. Returns a kill of its leader, and what starts another candidate after it. */
const startKills = Effect.fnUntraced(function*(start: Start, records: Records, election: string) {
  const all = yield* startAll(start, numbered(election, 3))
  yield* standBy(all, [election])
  yield* waitFor("the first leader", () => all.some((candidate) => leads(candidate, [election])))
  let leader = all.find((candidate) => leads(candidate, [election]))!
  let started = all.length
  const kill: Effect.Effect<Crash> = Effect.gen(function*() {
    // At a random moment between two renewals.
    yield* Effect.sleep(yield* Random.nextBetween(fast.renewInterval, 2 * fast.renewInterval))
    const killed = yield* leader.kill
    all.splice(all.indexOf(leader), 1)
    const [leadsAt] = yield* followed(all, [election], killed)
    yield* Effect.sleep(settles)
    const own = records.filter((record) => record.election === election)
    const won = own.findLastIndex(({ nonce }, index) => nonce !== own[index - 1]?.nonce)
    const last = own[won - 1]
    const next = all.find((candidate) => ledSince(candidate, election, killed) !== undefined)
    if (leadsAt === undefined || last === undefined || next === undefined) {
      throw failedWait(`the next leader of ${election}`)
    }
    leader = next
    return { untilWon: own[won]!.at - last.at, untilLeads: toWallClock(leadsAt) - last.at }
  })
  const replace = Effect.gen(function*() {
    const candidate = yield* start(`${election}-${started++}`)
    yield* standBy([candidate], [election])
    all.push(candidate)
  })
  return { kill, replace }
})

/** In rounds: processes start between the measured times, and not within them. */
const crashes: Measurement = Effect.fnUntraced(function*(server) {
  const bucket = "crashes"
  const start = starter(server, bucket, fast)
  // The bucket exists once a candidate has started.
  yield* start("the first candidate")
  const records = yield* storedRecords(yield* connection(server.url), bucket)
  const elections = yield* Effect.forEach(
    numbered("killed", killedElections),
    (election) => startKills(start, records, election)
  )
  const all: Array<Crash> = []
  while (all.length < kills) {
    all.push(...(yield* Effect.forEach(elections, ({ kill }) => kill, { concurrency: "unbounded" })))
    yield* Effect.forEach(elections, ({ replace }) => replace, { concurrency: 2 })
  }
  const until = "after the last renewal of a leader whose process was killed"
  return [
    measuredRow(`the next win is stored, ${until}`, "ms", all.map(({ untilWon }) => untilWon), {
      least: fast.leaseDuration
    }),
    measuredRow(`the next leader leads, ${until}`, "ms", all.map(({ untilLeads }) => untilLeads), {
      most: fast.leaseDuration + margin
    })
  ]
})

/** The process of a leader is stopped for three leases. */
const stopped: Measurement = Effect.fnUntraced(function*(server) {
  const elections = numbered("stopped", 20)
  const [leader, ...others] = yield* startAll(starter(server, "stopped", fast), numbered("stopped", 3))
  yield* takeLead(leader!, elections, "work")
  yield* standBy(others, elections)
  yield* leader!.tell({ _tag: "Sample" })
  yield* Effect.sleep(fast.leaseDuration)
  const before = yield* leader!.tell({ _tag: "Report" })
  const from = yield* leader!.signal("SIGSTOP")
  yield* Effect.sleep(3 * fast.leaseDuration)
  const next = yield* followed(others, elections, from)
  yield* leader!.signal("SIGCONT")
  yield* Effect.sleep(fast.leaseDuration)
  const { errors, overruns } = yield* leader!.tell({ _tag: "Report" })
  const read = leader!.woken
  const valid = read.filter(({ isValid }) => isValid).map(({ election }) => `${election} was valid`)
  const silent = elections.filter((election) => !errors.some((line) => line.includes(`"${election}" stopped only`)))
  const unread = [
    ...before.valid.length < elections.length ? [`${before.valid.length} leaderships were valid before the stop`] : [],
    ...read.length < elections.length ? [`${read.length} leaderships were read after the stop`] : []
  ]
  return [
    measuredRow("SIGSTOP of a leader until another leads", "ms", next.map(since(from)), {
      most: fast.leaseDuration + margin
    }),
    mistakesRow("first isValid after SIGCONT is true", read.length, [...valid, ...unread]),
    mistakesRow("overrun of a stopped leader is not reported", elections.length, [
      ...silent.map((election) => `no error for ${election}`),
      ...overruns === elections.length ? [] : [`the metric counts ${overruns}`]
    ])
  ]
})

/** SIGTERM interrupts work, and its finalizer never ends. */
const hanging: Measurement = Effect.fnUntraced(function*(server) {
  const elections = numbered("hanging", 10)
  const [leader, other] = yield* startAll(starter(server, "hanging", fast), numbered("hanging", 2))
  yield* takeLead(leader!, elections, "hangs", stopTimeout)
  yield* standBy([other!], elections)
  yield* Effect.sleep(yield* Random.nextBetween(fast.leaseDuration, fast.leaseDuration + fast.renewInterval))
  const from = yield* leader!.signal("SIGTERM")
  const next = yield* followed([other!], elections, from)
  yield* Effect.sleep(margin)
  const { overruns } = yield* leader!.tell({ _tag: "Report" })
  return [
    measuredRow("SIGTERM of work that does not end, until another leads", "ms", next.map(since(from)), {
      most: stopTimeout + fast.leaseDuration
    }),
    mistakesRow(
      "overrun of work that does not end is not reported",
      elections.length,
      overruns === elections.length ? [] : [`the metric counts ${overruns}`]
    )
  ]
})

// -----------------------------------------------------------------------------
// the server
// -----------------------------------------------------------------------------

/** The server is frozen for longer than a lease, with the default timings and three candidates. */
const serverFrozen: Measured = Effect.gen(function*() {
  const server = yield* startNatsServer({ line: "2.15" })
  const elections = numbered("frozen", 10)
  const all = yield* startAll(starter(server, "frozen", resilient), numbered("frozen", 3))
  yield* takeLead(all[0]!, elections, "work")
  yield* standBy(all.slice(1), elections)
  yield* Effect.sleep(resilient.renewInterval)
  const from = sharedMillis()
  yield* server.pause
  yield* Effect.sleep(frozen)
  const during = all.flatMap((candidate) => elections.filter((election) => ledSince(candidate, election, from)))
  const back = sharedMillis()
  yield* server.resume
  const next = yield* followed(all, elections, back)
  yield* Effect.sleep(margin)
  const reports = yield* Effect.forEach(all, (candidate) => candidate.tell({ _tag: "Report" }))
  const valid = reports.flatMap((report) => report.valid)
  const wrong = elections.flatMap((election) => {
    const count = valid.filter((name) => name === election).length
    return count === 1 ? [] : [`${election} has ${count} leaders`]
  })
  return [
    measuredRow("return of a frozen server until a candidate leads", "ms", next.map(since(back)), {
      most: mostUntilBack
    }),
    mistakesRow("other than one leader after the return", elections.length, [
      ...wrong,
      ...during.map((election) => `${election} was won while the server was frozen`)
    ])
  ]
})

/** The lines about each election would hide the table. */
const quietly = Effect.provideService(References.MinimumLogLevel, "Error")

/** One connection per candidate, in this process: the server counts what each of them sends. */
const idling: Measurement = Effect.fnUntraced(function*({ port, url }) {
  const bucket = "idle"
  const names = numbered("idle", standbys + 1)
  for (const name of names) {
    const layer = Layer.fresh(Aegis.layerNats({ servers: url, name, election: { bucket, timings: resilient } }))
    const service = Context.get(yield* quietly(Layer.build(layer)), Election.Election)
    yield* Effect.forkScoped(quietly(service.whileLeader("idle", () => Effect.never)))
    // The first one leads.
    yield* Effect.sleep(settles)
  }
  const link = yield* connection(url)
  const counters = yield* countersOf(port)
  const { streams } = yield* Effect.promise(() => jetstreamManager(link))
  const reading = publishedTo(link, `$JS.API.STREAM.MSG.GET.KV_${bucket}`)
  const writes = Effect.promise(async () => (await streams.info(`KV_${bucket}`)).state.last_seq)
  const read = Effect.all({ received: counters, reads: Effect.sync(reading), writes })
  yield* Effect.sleep(resilient.renewInterval)
  const before = yield* read
  yield* Effect.sleep(idle)
  const after = yield* read
  const others = names.slice(1).map((name) => after.received(name).received - before.received(name).received)
  const perLease = (after.reads - before.reads) / names.length / idleLeases
  const renewals = idle / resilient.renewInterval
  const bounds = { least: renewals - 1, most: renewals + 1 }
  const within = `in ${idle / 1000} s`
  return [
    measuredRow(
      `writes to an election with ${standbys} standbys ${within}`,
      "writes",
      [after.writes - before.writes],
      bounds
    ),
    measuredRow("reads of its record by a candidate, on average", "per lease", [perLease], reads),
    measuredRow(`all messages of each standby ${within}`, "messages", others, { most: mostMessages })
  ]
})

/** One process leads 1,000 elections, and another one is a candidate in all of them. */
const many: Measurement = Effect.fnUntraced(function*({ url }) {
  const bucket = "many"
  const elections = numbered("many", manyElections)
  const [leader, standby] = yield* startAll(starter({ url }, bucket, resilient), ["many-leader", "many-standby"])
  const { streams } = yield* Effect.flatMap(connection(url), (link) => Effect.promise(() => jetstreamManager(link)))
  const consumers = Effect.promise(async () => (await streams.info(`KV_${bucket}`)).state.consumer_count)
  yield* takeLead(leader!, elections, "work")
  const ofLeader = yield* consumers
  yield* standBy([standby!], elections)
  yield* Effect.sleep(resilient.renewInterval)
  const ofBoth = yield* consumers
  const spent = Effect.forEach([leader!, standby!], (candidate) => candidate.tell({ _tag: "Report" }))
  const before = yield* spent
  yield* Effect.sleep(idle)
  const after = yield* spent
  const perSecond = after.map((report, index) =>
    (report.processorMillis - before[index]!.processorMillis) / (idle / 1000)
  )
  const lost = after[0]!.valid.length === manyElections ? [] : [`${after[0]!.valid.length} leaderships are valid`]
  return [
    measuredRow("consumers of a process with 1,000 elections", "consumers", [ofLeader, ofBoth - ofLeader], { most: 1 }),
    measuredRow("processor time of the leader of 1,000 elections", "ms per s", [perSecond[0]], { most: mostOfLeader }),
    measuredRow("processor time of a standby for 1,000 elections", "ms per s", [perSecond[1]], { most: mostOfStandby }),
    mistakesRow("leadership of 1,000 elections is lost", manyElections, lost)
  ]
})

// -----------------------------------------------------------------------------
// the benchmark
// -----------------------------------------------------------------------------

/** Measurements of one group run side by side: they mostly wait. */
const groups = (server: NatsServer): ReadonlyArray<ReadonlyArray<Measured>> => [
  [handingOver(server)],
  [crashes(server)],
  [stopped(server), hanging(server), serverFrozen, idling(server)],
  [many(server)]
]

export const election = Effect.gen(function*() {
  const server = yield* startNatsServer({ line: "2.15", config: withSystemAccount })
  const measured = yield* Effect.forEach(
    groups(server),
    (group) => Effect.forEach(group, Effect.scoped, { concurrency: "unbounded" })
  )
  const rows = measured.flat(2)
  const table = toTable([electionTitles, ...rows.map((row) => electionCells(row).map(String))])
  const numbers: ElectionNumbers = { election: { server: server.version, rows } }
  return { table, numbers, problems: rows.flatMap(({ problems }) => problems) }
}).pipe(Effect.scoped)
