/**
 * Measures what observers of a registry see of a fleet of processes: when a killed or deregistered instance is gone, and
 * whether a fault of an observer, of its link, of the server, or of a clock makes it see what is not so.
 */
import { jetstreamManager } from "@nats-io/jetstream"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { globSync } from "node:fs"
import { type NatsServer, startNatsServer } from "../tools/natsServer/server.ts"
import type { RegistryNumbers } from "../tools/registryResults.ts"
import { toTable } from "../tools/table.ts"
import { holds } from "./support/commanded.ts"
import { downAt, seenBy, startWorker, type Worker } from "./support/fleet.ts"
import { startLink } from "./support/link.ts"
import { quantile, rounded } from "./support/measure.ts"
import { sharedMillis } from "./support/sharedClock.ts"
import { connection } from "./support/store.ts"

// -----------------------------------------------------------------------------
// sizes and bounds
// -----------------------------------------------------------------------------

/** Times of the registry, in milliseconds. */
const maxAge = 3000
const heartbeat = 1000

const ownerCount = 4
const instancesPerOwner = 50
const deregistrations = 500

/** Of each process whose bucket is deleted: 504 of all. */
const registrationsPerOwner = 126

/** The longest time until a killed process is gone, and until everything but the observers is, in milliseconds. */
const mostUntilGone = maxAge + 1000
const mostUntilAllGone = maxAge + 2000

/** The longest time until a deregistered instance is gone, in 99 of 100 cases. */
const mostUntilLeft = 100

/** How long a fault lasts, and how long observers are followed after it. */
const faultLasts = 3 * maxAge
const afterwards = 2 * maxAge

/** The bound of a wait whose time is measured: longer than any bound above. */
const patience = 30_000

// -----------------------------------------------------------------------------
// fleets
// -----------------------------------------------------------------------------

type Row = RegistryNumbers["registryFleet"]["rows"][number]

/** A row of times, of which the given part is bounded. An undefined time is one that was not reached. */
const timed = (what: string, times: ReadonlyArray<number | undefined>, bound: number, part = 1): Row => {
  const reached = times.filter((time) => time !== undefined)
  const [median, most, judged] = [quantile(reached, 0.5), quantile(reached, 1), quantile(reached, part)].map(rounded)
  const missed = times.length - reached.length
  return {
    what,
    samples: times.length,
    median: median!,
    most: most!,
    bound: `${bound} ms${part === 1 ? "" : ` for ${part * 100} %`}`,
    problems: [
      ...missed > 0 ? [`${what}: ${missed} of ${times.length} not seen`] : [],
      ...judged! > bound ? [`${what}: ${judged} ms, expected at most ${bound} ms`] : []
    ]
  }
}

/** A row of a number of mistakes, of which there should be none. */
const counted = (what: string, samples: number, mistakes: ReadonlyArray<string>): Row => ({
  what,
  samples,
  median: null,
  most: null,
  bound: "0",
  problems: mistakes.map((mistake) => `${what}: ${mistake}`)
})

const numbered = (prefix: string, count: number) => Array.from({ length: count }, (_, n) => `${prefix}-${n}`)

/** Starts a process of the fleet of one bucket. */
type Start = (name: string, given?: { readonly url?: string; readonly env?: NodeJS.ProcessEnv }) => ReturnType<
  typeof startWorker
>

const startIn = ({ url }: NatsServer, registryBucket: string): Start => (name, given = {}) =>
  startWorker({ name, url: given.url ?? url, registryBucket, maxAge, heartbeat }, given.env)

interface Owner {
  readonly worker: Worker
  readonly ids: ReadonlyArray<string>
}

/** Half of the instances of a process are of a service of its own, the others of one that all processes have. */
const startOwner = Effect.fnUntraced(function*(start: Start, name: string, instances: number, env?: NodeJS.ProcessEnv) {
  const worker = yield* start(name, env === undefined ? {} : { env })
  const [own, shared] = [numbered(`${name}-own`, instances / 2), numbered(`${name}-shared`, instances / 2)]
  yield* worker.tell({ _tag: "Register", service: name, ids: own })
  yield* worker.tell({ _tag: "Register", service: "shared", ids: shared })
  const owner: Owner = { worker, ids: [...own, ...shared] }
  return owner
})

const startOwners = (start: Start, each: number) =>
  Effect.forEach(numbered("owner", ownerCount), (name) => startOwner(start, name, each))

/** Watches in each process, and waits until all of them see all instances. */
const follow = Effect.fnUntraced(function*(observers: ReadonlyArray<Worker>, instances: number) {
  for (const observer of observers) yield* observer.tell({ _tag: "Watch" })
  const all = yield* holds(() => observers.every((observer) => seenBy(observer).size === instances), patience)
  if (!all) throw new Error(`the observers do not see ${instances} instances within ${patience} ms`)
})

const isGone = (observers: ReadonlyArray<Worker>, ids: ReadonlyArray<string>) => () =>
  observers.every((observer) => downAt(observer, ids).every((at) => at !== undefined))

/** Kills processes at once. Returns the time of each instance until each observer has announced it Down. */
const untilGone = Effect.fnUntraced(function*(observers: ReadonlyArray<Worker>, owners: ReadonlyArray<Owner>) {
  const killed = yield* Effect.forEach(owners, ({ worker }) => worker.kill, { concurrency: "unbounded" })
  const from = Math.min(...killed)
  const ids = owners.flatMap((owner) => owner.ids)
  yield* holds(isGone(observers, ids), patience)
  return observers.flatMap((observer) => downAt(observer, ids).map((at) => at === undefined ? undefined : at - from))
})

/** The events of observers after a moment. There should be none: no instance has come or gone. */
const mistakesAfter = (observers: ReadonlyArray<Worker>, counts: ReadonlyArray<number>) =>
  observers.flatMap(({ events, name }, index) =>
    events.slice(counts[index]).map(({ instanceId, kind }) => `${name} announced ${kind} ${instanceId}`)
  )

const countsOf = (observers: ReadonlyArray<Worker>) => observers.map(({ events }) => events.length)

/** Whether a list of each process returns this number of instances. */
const missingIn = Effect.fnUntraced(function*(workers: ReadonlyArray<Worker>, instances: number) {
  const listed = yield* Effect.forEach(workers, (worker) => worker.tell({ _tag: "List" }))
  return listed.flatMap(({ last }, index) =>
    last === instances ? [] : [`${workers[index]!.name} lists ${last} of ${instances} instances`]
  )
})

// -----------------------------------------------------------------------------
// measurements
// -----------------------------------------------------------------------------

type Measurement = (server: NatsServer) => Effect.Effect<ReadonlyArray<Row>, unknown, Scope.Scope>

/** Processes are killed one after the other, and the last ones, of all instances that are left, at once. */
const kills: Measurement = Effect.fnUntraced(function*(server) {
  const start = startIn(server, "kills")
  const owners = yield* startOwners(start, instancesPerOwner)
  const observers = yield* Effect.forEach(numbered("observer", 3), (name) => start(name))
  yield* follow(observers, ownerCount * instancesPerOwner)
  const single = yield* Effect.forEach(owners.slice(0, 2), (owner) => untilGone(observers, [owner]))
  const rest = yield* untilGone(observers, owners.slice(2))
  return [
    timed("SIGKILL of a process until its instances are gone", single.flat(), mostUntilGone),
    timed("SIGKILL of all processes but the observers until all are gone", rest, mostUntilAllGone)
  ]
})

const deregistered: Measurement = Effect.fnUntraced(function*(server) {
  const start = startIn(server, "deregistered")
  const { ids, worker } = yield* startOwner(start, "owner", deregistrations)
  const observers = yield* Effect.forEach(numbered("observer", 2), (name) => start(name))
  yield* follow(observers, deregistrations)
  yield* worker.tell({ _tag: "Leave", ids, every: 5 })
  yield* holds(isGone(observers, ids), patience)
  const times = observers.flatMap((observer) =>
    downAt(observer, ids).map((at, index) => at === undefined ? undefined : at - worker.leaving.get(ids[index]!)!)
  )
  return [timed("deregistration until it is gone", times, mostUntilLeft, 0.99)]
})

/** Observers under four faults at once, then all of them with a frozen server. */
const faults: Measurement = Effect.fnUntraced(function*(server) {
  const start = startIn(server, "faults")
  const instances = ownerCount * instancesPerOwner
  yield* startOwners(start, instancesPerOwner)
  const [toCut, toSilence] = [yield* startLink(server.port), yield* startLink(server.port)]
  const stopped = yield* start("the stopped observer")
  const blocked = yield* start("the blocked observer")
  const cut = yield* start("the observer without a link", { url: toCut.url })
  const silent = yield* start("the observer with a silent link", { url: toSilence.url })
  const observers = [stopped, blocked, cut, silent, yield* start("the observer without a fault")]
  yield* follow(observers, instances)
  const after = <E>(fault: Effect.Effect<unknown, E>) =>
    Effect.gen(function*() {
      const counts = countsOf(observers)
      yield* fault
      yield* Effect.sleep(afterwards)
      return [...mistakesAfter(observers, counts), ...(yield* missingIn(observers, instances))]
    })
  const lasts = Effect.sleep(faultLasts)
  const onObservers = yield* after(Effect.all([
    Effect.andThen(stopped.signal("SIGSTOP"), Effect.andThen(lasts, stopped.signal("SIGCONT"))),
    blocked.tell({ _tag: "Block", millis: faultLasts }),
    Effect.andThen(toCut.cut, Effect.andThen(lasts, toCut.heal)),
    Effect.andThen(toSilence.silence, Effect.andThen(lasts, toSilence.heal))
  ], { concurrency: "unbounded" }))
  const onServer = yield* after(Effect.andThen(server.pause, Effect.andThen(lasts, server.resume)))
  return [
    counted("observers stopped, blocked, cut and silent: false Up and Down", instances * 4, onObservers),
    counted("server frozen: false Up and Down", instances * observers.length, onServer)
  ]
})

/** Deletes the bucket under its registrations, while a process with a view lists them continuously. */
const reset: Measurement = Effect.fnUntraced(function*(server) {
  const start = startIn(server, "reset")
  yield* startOwners(start, registrationsPerOwner)
  const registrations = ownerCount * registrationsPerOwner
  const observer = yield* start("observer")
  yield* follow([observer], registrations)
  const { streams } = yield* Effect.flatMap(
    connection(server.url),
    (link) => Effect.promise(() => jetstreamManager(link))
  )
  const counts = countsOf([observer])
  yield* observer.tell({ _tag: "KeepListing" })
  const from = sharedMillis()
  yield* Effect.promise(() => streams.delete("KV_reset"))
  // The bucket does not exist until the first registration has created it again.
  const stored = Effect.tryPromise(() => streams.info("KV_reset")).pipe(
    Effect.map(({ state }) => state.num_subjects ?? 0),
    Effect.orElseSucceed(() => 0)
  )
  const back: Effect.Effect<number | undefined> = Effect.flatMap(stored, (count) => {
    const at = sharedMillis() - from
    if (count === registrations) return Effect.succeed(at)
    return at > patience ? Effect.undefined : Effect.andThen(Effect.sleep("5 millis"), back)
  })
  const time = yield* back
  yield* Effect.sleep(afterwards)
  const { empty, failed, fewest, read } = yield* observer.tell({ _tag: "List" })
  const mistakes = [
    ...empty > 0 ? [`${empty} of ${read} lists were empty`] : [],
    ...fewest < registrations ? [`a list had ${fewest} of ${registrations} instances`] : [],
    ...mistakesAfter([observer], counts)
  ]
  return [
    timed(`bucket deleted until ${registrations} registrations are back`, [time], heartbeat),
    counted(`bucket deleted: lists that are not complete (${failed} failed)`, read, mistakes)
  ]
})

/** Where the library that changes the clock of a process is: in `AEGIS_LIBFAKETIME`, or where Debian installs it. */
const fakeTime = process.env.AEGIS_LIBFAKETIME ?? globSync("/usr/{lib,local/lib}/{*/,}faketime/libfaketime.so.1")[0]

/** Processes whose wall clocks are a day ahead and a day behind: their instances are seen, and are gone after a kill. */
const day = 24 * 60 * 60 * 1000

/** A clock that is right would prove nothing. */
const rightClocks = (workers: ReadonlyArray<Worker>) =>
  workers.flatMap(({ clockAhead, name }) =>
    Math.abs(Math.abs(clockAhead()) - day) < day / 24 ? [] : [`the clock of ${name} is ${clockAhead()} ms ahead`]
  )

const clocks: Measurement = Effect.fnUntraced(function*(server) {
  if (fakeTime === undefined) return [counted("clocks a day off: left out, no libfaketime", 0, [])]
  const start = startIn(server, "clocks")
  const envs = ["+24h", "-24h"].map((offset) => ({
    LD_PRELOAD: fakeTime,
    FAKETIME: offset,
    DONT_FAKE_MONOTONIC: "1",
    FAKETIME_DONT_FAKE_MONOTONIC: "1"
  }))
  const owners = yield* Effect.forEach(envs, (env, n) => startOwner(start, `owner-${n}`, instancesPerOwner, env))
  const off = yield* Effect.forEach(envs, (env, n) => start(`observer-${n}`, { env }))
  const observers = [...off, yield* start("observer with the right clock")]
  const instances = owners.length * instancesPerOwner
  yield* follow(observers, instances)
  const counts = countsOf(observers)
  yield* Effect.sleep(afterwards)
  const missing = [
    ...rightClocks([...off, ...owners.map(({ worker }) => worker)]),
    ...mistakesAfter(observers, counts),
    ...(yield* missingIn(observers, instances))
  ]
  const gone = yield* untilGone(observers, owners)
  const overstaying = yield* missingIn(observers, 0)
  return [
    counted("clocks a day off: missing instances", instances * observers.length, missing),
    timed("clocks a day off: SIGKILL until all are gone", gone, mostUntilAllGone),
    counted("clocks a day off: instances that overstay in a list", observers.length, overstaying)
  ]
})

const measurements: ReadonlyArray<Measurement> = [kills, deregistered, faults, reset, clocks]

export const registryFleet = Effect.gen(function*() {
  const server = yield* startNatsServer({ line: "2.15" })
  const rows = (yield* Effect.forEach(measurements, (measure) => Effect.scoped(measure(server)))).flat()
  const table = toTable([
    ["measured", "samples", "median ms", "most ms", "bound", "problems"],
    ...rows.map(({ bound, median, most, problems, samples, what }) => [
      what,
      `${samples}`,
      `${median ?? "-"}`,
      `${most ?? "-"}`,
      bound,
      `${problems.length}`
    ])
  ])
  const numbers: Pick<RegistryNumbers, "registryFleet"> = { registryFleet: { maxAge, heartbeat, rows } }
  return { table, numbers, problems: rows.flatMap(({ problems }) => problems) }
}).pipe(Effect.scoped)
