/**
 * Runs many plans of a scenario, in one process per processor, and counts the faults that took effect.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { type ChildProcess, fork } from "node:child_process"
import { availableParallelism } from "node:os"
import { fileURLToPath } from "node:url"
import * as Scenario from "../../src/testing/Scenario.ts"
import { expected, scenarios } from "./scenarios.ts"

/** Runs per request to a process: few, so that all processes end at about the same time. */
const chunk = 10

/** With fewer runs, a fault may be missing by chance. */
export const enough = 500

export interface Request {
  readonly scenario: string
  /** The number of the first run. It is the seed of all plans of this request. */
  readonly first: number
  readonly runs: number
}

export type Answer =
  | {
    readonly _tag: "Passed"
    readonly runs: number
    /** Simulated time, in milliseconds. */
    readonly lasted: number
    readonly faults: Readonly<Record<string, number>>
  }
  | { readonly _tag: "Failed"; readonly message: string }

/** Runs the plans of a request in sequence. The answer is the first failure, shrunk, or the counts of all runs. */
export const answer = ({ first, runs, scenario }: Request, maxShrinks = 300): Effect.Effect<Answer> =>
  Effect.gen(function*() {
    const outcome = yield* Effect.result(Scenario.check(scenarios[scenario]!, { seed: first, runs, maxShrinks }))
    return outcome._tag === "Success"
      ? {
        _tag: "Passed",
        runs: outcome.success.runs,
        lasted: Duration.toMillis(outcome.success.lasted),
        faults: Object.fromEntries(outcome.success.faults)
      }
      : { _tag: "Failed", message: outcome.failure.message }
  })

export interface Result {
  readonly runs: number
  readonly lasted: number
  readonly faults: ReadonlyMap<string, number>
  readonly failures: ReadonlyArray<string>
  /** Expected faults that did not take effect. */
  readonly missing: ReadonlyArray<string>
}

const worker = fileURLToPath(new URL("worker.ts", import.meta.url))

const startProcess = (): ChildProcess => fork(worker, { stdio: ["ignore", "inherit", "inherit", "ipc"] })

const ask = (process: ChildProcess, request: Request): Promise<Answer> =>
  new Promise<Answer>((resolve, reject) => {
    const onMessage = (message: unknown) => {
      process.off("exit", onExit)
      resolve(message as Answer)
    }
    const onExit = (code: number | null) => {
      process.off("message", onMessage)
      reject(new Error(`a simulation process exited with code ${code} during the request ${JSON.stringify(request)}`))
    }
    process.once("message", onMessage)
    process.once("exit", onExit)
    process.send(request)
  })

interface Options {
  readonly scenario: string
  /** The number of runs. Ignored if `hours` is given. */
  readonly seeds: number
  /** Runs until this much simulated time has passed, in total. */
  readonly hours?: number | undefined
  readonly first?: number | undefined
  /** Called after every chunk. */
  readonly onProgress?: ((runs: number, lasted: number) => void) | undefined
}

const millisPerHour = 3_600_000

const simulateIn = async (processes: ReadonlyArray<ChildProcess>, options: Options): Promise<Result> => {
  const { first = 1, hours, onProgress, scenario, seeds } = options
  const faults = new Map<string, number>()
  const failures: Array<string> = []
  let asked = 0
  let runs = 0
  let lasted = 0
  let hasBroken = false
  const next = (): Request | undefined => {
    if (hasBroken || failures.length > 0) return undefined
    if (hours === undefined ? asked >= seeds : lasted >= hours * millisPerHour) return undefined
    const size = hours === undefined ? Math.min(chunk, seeds - asked) : chunk
    const request = { scenario, first: first + asked, runs: size }
    asked += size
    return request
  }
  const take = (answered: Answer) => {
    if (answered._tag === "Failed") return void failures.push(answered.message)
    runs += answered.runs
    lasted += answered.lasted
    for (const [fault, count] of Object.entries(answered.faults)) faults.set(fault, (faults.get(fault) ?? 0) + count)
    onProgress?.(runs, lasted)
  }
  /** Sends requests to one process until all runs are requested. */
  const keepBusy = async (process: ChildProcess) => {
    try {
      for (let request = next(); request !== undefined; request = next()) take(await ask(process, request))
    } catch (cause) {
      hasBroken = true
      throw cause
    }
  }
  await Promise.all(processes.map(keepBusy))
  const missing = runs < enough ? [] : (expected[scenario] ?? []).filter((fault) => !faults.has(fault))
  return { runs, lasted, faults, failures, missing }
}

/**
 * Processes that are reused for several scenarios: a process is slow in its first seconds, until its code is optimized.
 */
export interface Crew {
  readonly simulate: (options: Options) => Promise<Result>
  readonly end: () => void
}

export const startCrew = (jobs: number = availableParallelism()): Crew => {
  const processes = Array.from({ length: jobs }, startProcess)
  return {
    simulate: (options) => simulateIn(processes, options),
    end: () => processes.forEach((process) => process.kill())
  }
}
