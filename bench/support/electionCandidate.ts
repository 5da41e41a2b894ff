/** A candidate of elections, which runs the commands of its parent process. */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as References from "effect/References"
import * as Aegis from "../../src/Aegis.ts"
import { Election, type Leadership } from "../../src/Election.ts"
import * as Metrics from "../../src/Metrics.ts"
import type { CandidateOptions, Command, How, Message, Report } from "./candidates.ts"
import { sharedMillis } from "./sharedClock.ts"

const { bucket, name, timings, url }: CandidateOptions = JSON.parse(process.argv[2]!)

// The parent process has ended and could not end this process any more.
process.once("disconnect", () => process.exit(1))

const send = (message: Message) => Effect.sync(() => void process.send!(message))

const errors: Array<string> = []

/** Faults are part of the measurement: the lines about them would hide the table. */
const quietly = Layer.merge(
  Logger.layer([Logger.make(({ message }) => void errors.push(String(message)))]),
  Layer.succeed(References.MinimumLogLevel, "Error")
)

interface Term {
  readonly leadership: Leadership
  /** Ends the work. */
  readonly end: Deferred.Deferred<void>
  readonly ended: Deferred.Deferred<void>
}

const terms = new Map<string, Term>()

/** Announces a term. Returns when its end is asked for. */
const lead = (leadership: Leadership, ended: Deferred.Deferred<void>) =>
  Effect.suspend(() => {
    const { election } = leadership
    const at = sharedMillis()
    const term: Term = { leadership, end: Deferred.makeUnsafe(), ended }
    terms.set(election, term)
    return Effect.andThen(send({ _tag: "Led", election, at }), Deferred.await(term.end))
  })

const hangs = Effect.acquireRelease(Effect.void, () => Effect.never)

/** A number that makes the `candidateId` of each campaign new: a former leader sits out by its id. */
let campaigns = 0

const campaign = (service: Election["Service"], election: string, how: How, stopTimeout: number | undefined) =>
  Effect.suspend(() => {
    const options = { candidateId: `${name}-${campaigns++}`, stopTimeout }
    const ended = Deferred.makeUnsafe<void>()
    const leading = how === "scope"
      ? Effect.scoped(Effect.flatMap(service.campaign(election, options), (leadership) => lead(leadership, ended)))
      : service.whileLeader(
        election,
        (leadership) => Effect.andThen(how === "hangs" ? hangs : Effect.void, lead(leadership, ended)),
        options
      )
    return Effect.andThen(leading, Deferred.succeed(ended, undefined))
  })

const handOver = (election: string) =>
  Effect.suspend(() => {
    const { end, ended } = terms.get(election)!
    const at = sharedMillis()
    Deferred.doneUnsafe(end, Effect.void)
    return Effect.andThen(send({ _tag: "Leaving", election, at }), Deferred.await(ended))
  })

/** A process that did not run for this long was stopped. */
const paused = 1000

/** Reads `isValid` in the first turn of the event loop after a pause. */
const sample = Effect.sync(() => {
  let last = sharedMillis()
  setInterval(() => {
    const now = sharedMillis()
    const gap = now - last
    last = now
    if (gap < paused) return
    for (const [election, { leadership }] of terms) {
      process.send!({ _tag: "Woken", election, isValid: Effect.runSync(leadership.isValid) } satisfies Message)
    }
  }, 1)
})

const overruns = Effect.map(
  Metric.snapshot,
  (snapshots) =>
    snapshots.reduce(
      (sum, { id, state }) => id === Metrics.electionOverruns.id && "count" in state ? sum + Number(state.count) : sum,
      0
    )
)

const report = Effect.gen(function*() {
  const { system, user } = process.cpuUsage()
  const all = yield* Effect.forEach(
    terms.values(),
    ({ leadership }) => Effect.map(leadership.isValid, (isValid) => isValid ? [leadership.election] : [])
  )
  const made: Report = { processorMillis: (system + user) / 1000, valid: all.flat(), overruns: yield* overruns, errors }
  return made
})

const main = Effect.gen(function*() {
  const layer = Aegis.layerNats({ servers: url, name, election: { bucket, timings } })
  const service = Context.get(yield* Layer.build(layer), Election)
  const context = yield* Effect.context()
  const campaigning = new Set<Fiber.Fiber<unknown, unknown>>()
  const failed = (cause: unknown) => send({ _tag: "Failed", why: String(cause) })
  const run = (command: Command): Effect.Effect<unknown, unknown> => {
    switch (command._tag) {
      case "Campaign":
        return Effect.sync(() => {
          for (const election of command.elections) {
            const leading = campaign(service, election, command.how, command.stopTimeout)
            const fiber = Effect.runForkWith(context)(Effect.tapCause(leading, failed))
            campaigning.add(fiber)
            fiber.addObserver(() => campaigning.delete(fiber))
          }
        })
      case "HandOver":
        return Effect.forEach(command.elections, handOver, { concurrency: "unbounded" })
      case "Sample":
        return sample
      case "Report":
        return Effect.void
    }
  }
  process.on("message", (command: Command) => {
    const done = Effect.andThen(run(command), Effect.flatMap(report, (report) => send({ _tag: "Done", report })))
    Effect.runForkWith(context)(Effect.catchCause(done, failed))
  })
  process.on("SIGTERM", () => {
    Effect.runForkWith(context)(Fiber.interruptAll(campaigning))
  })
  yield* Effect.flatMap(report, (report) => send({ _tag: "Done", report }))
  return yield* Effect.never
})

await Effect.runPromise(Effect.provide(Effect.scoped(main), quietly))
