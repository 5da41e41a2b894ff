/**
 * Real `nats-server` processes for tests and benchmarks, each bound to a scope.
 *
 * A server starts in about 15 ms, so each test can have its own and kill it, restart it with the same port and store,
 * or pause and resume it. Closing the scope ends the process and removes its files, even during the start. This module
 * always uses the real clock, as a server does not follow a `TestClock`.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import { type ChildProcess, spawn } from "node:child_process"
import * as Fs from "node:fs/promises"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import {
  attempt,
  type Line,
  type NoNatsServer,
  provideNatsServer,
  temporaryFolder,
  whenProcessEnds
} from "./binaries.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/** A server that a test controls. */
export interface NatsServer {
  /** `nats://127.0.0.1:<port>`. A restart keeps the port. */
  readonly url: string
  readonly port: number
  /** The id of the current or last process. A restart changes it. */
  readonly pid: number
  /** The version of the binary, such as `2.10.27`. */
  readonly version: string
  readonly storeDir: string
  /** Ends the process with SIGKILL and waits for its end. Does nothing if the process has already ended. */
  readonly kill: Effect.Effect<void, NatsServerError>
  /** Starts the server with the same port and store. A running server is stopped with SIGTERM first. */
  readonly restart: Effect.Effect<void, NatsServerError>
  /**
   * Stops the process with SIGSTOP and waits until it is stopped. Its port accepts connections, but does not answer.
   */
  readonly pause: Effect.Effect<void, NatsServerError>
  /** Continues a paused process with SIGCONT. */
  readonly resume: Effect.Effect<void, NatsServerError>
  /** Replaces the text of the configuration, and waits until the running server has reloaded it. */
  readonly reload: (config: string) => Effect.Effect<void, NatsServerError>
}

/** Options of a server. */
export interface Options {
  readonly line: Line
  /** Text of a server configuration. It may override `jetstream`, but neither the address nor the store folder. */
  readonly config?: string | undefined
  /** The store folder, which is not removed on release. Default: a temporary folder. */
  readonly storeDir?: string | undefined
  /** Default: chosen by the server. */
  readonly port?: number | undefined
  /** A command that runs the server, given before the binary: that of a small disk. */
  readonly through?: ReadonlyArray<string> | undefined
  /** Runs the server in a separate process group, which Ctrl-C in a terminal does not reach. Default false. */
  readonly detached?: boolean | undefined
}

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/** A server failed to start, stop or pause. The message contains the end of its log. */
export class NatsServerError extends Data.TaggedError("NatsServerError")<{ readonly message: string }> {}

// -----------------------------------------------------------------------------
// service
// -----------------------------------------------------------------------------

/** A server as a service, shared by the tests of a block. */
export const NatsServer: Context.Service<NatsServer, NatsServer> = Context.Service("effect-aegis/test/NatsServer")

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/** Starts a server and waits until it listens. Closing the scope ends it and removes its files. */
export const startNatsServer = (
  options: Options
): Effect.Effect<NatsServer, NatsServerError | NoNatsServer, Scope.Scope> =>
  Effect.gen(function*() {
    const { path: binary, version } = yield* provideNatsServer(options.line)
    const folder = yield* temporaryFolder(Path.join(tmpdir(), "effect-aegis-nats-"))
    const storeDir = options.storeDir ?? Path.join(folder, "store")
    yield* writeConfiguration(folder, storeDir, options.config)
    const slot = yield* makeSlot
    const spawnWith = spawnServer([...options.through ?? [], binary], options.detached ?? false)
    const launch = (port: number) => start(slot, spawnWith, folder, port)
    const { port, url } = yield* launch(options.port ?? chosenByServer)
    const server: NatsServer = {
      url,
      port,
      version,
      storeDir,
      get pid() {
        return pidOf(slot)
      },
      kill: realTime(end(slot, ["SIGKILL"])),
      restart: realTime(Effect.andThen(end(slot, gently), relaunch(launch(port)))),
      pause: realTime(pause(slot)),
      resume: Effect.asVoid(signal(slot, "SIGCONT")),
      reload: (config) => realTime(reload(slot, writeConfiguration(folder, storeDir, config)))
    }
    return server
  }).pipe(
    realTime,
    Effect.catchTag("StepFailed", ({ message }) => new NatsServerError({ message }))
  )

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/** Provides a server as a service, for `layer(layerNatsServer("2.15"), { excludeTestServices: true })`. */
export const layerNatsServer = (
  line: Line,
  options?: Omit<Options, "line">
): Layer.Layer<NatsServer, NatsServerError | NoNatsServer> =>
  Layer.effect(NatsServer, startNatsServer({ ...options, line }))

// -----------------------------------------------------------------------------
// time
// -----------------------------------------------------------------------------

/** A server usually listens after about 10 ms. A busy machine or a large store needs more time. */
const startTimeout = "20 seconds"

/** Polling interval for the ports file, and for the state of the threads after SIGSTOP. */
const pollInterval = "2 millis"

/** A server usually stops within 2 ms after SIGTERM. With clients or in a cluster it may take longer. */
const stopTimeout = "5 seconds"

/** After SIGSTOP a process stops when its threads are scheduled, which takes long only on a busy machine. */
const pauseTimeout = "5 seconds"

/** After SIGKILL a process ends at once, unless it is blocked in the kernel (for instance by a hung disk). */
const killTimeout = "10 seconds"

/**
 * Between a kill and a restart the port is free, and the system may assign it to an outgoing connection, even to a
 * client's connection to this port. So a restart waits until the port is free, for about 10 s.
 */
const portTaken = { schedule: Schedule.spaced("100 millis"), times: 100 }

const realTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())

// -----------------------------------------------------------------------------
// starting
// -----------------------------------------------------------------------------

const chosenByServer = -1

const configurationOf = (folder: string) => Path.join(folder, "server.conf")

/** The last of two equal keys in a configuration applies, so a test can disable or limit JetStream. */
const configure = (storeDir: string, config = "") =>
  // A store folder on the command line would be a change at each reload.
  `jetstream: enabled\nstore_dir: ${JSON.stringify(storeDir)}\n${config}\n`

const writeConfiguration = (folder: string, storeDir: string, config: string | undefined) =>
  attempt("write the configuration", () => Fs.writeFile(configurationOf(folder), configure(storeDir, config)))

const start = (slot: Slot, spawnWith: Spawn, folder: string, port: number) =>
  Effect.gen(function*() {
    const child = yield* Effect.sync(() => {
      // Options on the command line override the file, so a test cannot change the address.
      const args = ["-c", configurationOf(folder), "-a", "127.0.0.1", "-p", `${port}`]
      return slot.child = spawnWith([...args, "--ports_file_dir", folder])
    })
    const early = Effect.flatMap(Deferred.await(child.gone), (how) => failed(child, `${how} before it listened`))
    const late = failed(child, `did not listen within ${startTimeout}`)
    return yield* readAddress(folder, child).pipe(
      Effect.retry({ schedule: Schedule.spaced(pollInterval), while: (error) => error._tag === "NotYet" }),
      Effect.raceFirst(early),
      Effect.timeoutOrElse({ duration: startTimeout, orElse: () => late }),
      Effect.catchTags({ NotYet: () => late, StepFailed: ({ message }) => failed(child, message) })
    )
  })

const relaunch = <A>(launch: Effect.Effect<A, NatsServerError>) =>
  launch.pipe(
    Effect.retry({ ...portTaken, while: (error) => error.message.includes("address already in use") }),
    Effect.asVoid
  )

const Ports = Schema.fromJsonString(Schema.Struct({ nats: Schema.NonEmptyArray(Schema.String) }))

class NotYet extends Data.TaggedError("NotYet") {}

/** Fails with `NotYet` while the ports file is missing or incomplete. */
const readAddress = Effect.fnUntraced(function*(folder: string, child: Child) {
  const names = yield* attempt("find the ports file", () => Fs.readdir(folder))
  const name = names.find((name) => name.endsWith(`_${child.process.pid}.ports`))
  if (name === undefined) return yield* new NotYet()
  const text = yield* attempt("read the ports file", () => Fs.readFile(Path.join(folder, name), "utf8"))
  const { nats: [url] } = yield* Effect.mapError(Schema.decodeEffect(Ports)(text), () => new NotYet())
  return { url, port: Number(new URL(url).port) }
})

// -----------------------------------------------------------------------------
// processes
// -----------------------------------------------------------------------------

interface Child {
  readonly process: ChildProcess
  /** How the process ended. Completed when the process has ended and its log is read. */
  readonly gone: Deferred.Deferred<string>
  /** The end of the server's log. */
  readonly log: () => string
  /** How often the server has reloaded its configuration, and has refused to. */
  readonly reloads: () => { readonly done: number; readonly refused: number }
}

/** The process of a server. It is set in the same step that spawns the process, so that no process is leaked. */
interface Slot {
  child: Child | undefined
}

/** Characters of the log that are kept: enough for the error of a server that does not start. */
const logLimit = 16_384

/** The server writes each line of its log at once, so it arrives whole. */
const reloaded = "Reloaded server configuration"
const notReloaded = "Failed to reload server configuration"

/** A reload takes some milliseconds. */
const reloadTimeout = "5 seconds"

type Spawn = (args: ReadonlyArray<string>) => Child

const spawnServer = (command: ReadonlyArray<string>, detached: boolean): Spawn => (args) => {
  const [file, ...before] = command
  const child = spawn(file!, [...before, ...args], { stdio: ["ignore", "ignore", "pipe"], detached })
  const gone = Deferred.makeUnsafe<string>()
  let log = ""
  const reloads = { done: 0, refused: 0 }
  const write = (text: string) => {
    log = (log + text).slice(-logLimit)
    reloads.done += text.split(reloaded).length - 1
    reloads.refused += text.split(notReloaded).length - 1
  }
  child.stderr.setEncoding("utf8").on("data", write)
  child.on("error", (error) => {
    write(`${error.message}\n`)
    // Without a pid the process never ran, and the event `close` does not follow.
    if (child.pid === undefined) Deferred.doneUnsafe(gone, Effect.succeed("could not be started"))
  })
  child.once("close", (code, signal) => {
    Deferred.doneUnsafe(gone, Effect.succeed(`ended (${signal ?? `exit code ${code}`})`))
  })
  return { process: child, gone, log: () => log, reloads: () => ({ ...reloads }) }
}

const runs = ({ process }: Child) =>
  process.pid !== undefined && process.exitCode === null && process.signalCode === null

const pidOf = (slot: Slot): number => slot.child?.process.pid ?? -1

const failed = (child: Child, what: string) =>
  Effect.suspend(() => new NatsServerError({ message: `${child.process.spawnfile} ${what}\n${child.log()}`.trimEnd() }))

/** A paused process handles SIGTERM only after SIGCONT. */
const gently = ["SIGTERM", "SIGCONT"] as const

const makeSlot = Effect.acquireRelease(
  Effect.sync(() => {
    const slot: Slot = { child: undefined }
    return { slot, takeBack: whenProcessEnds(() => slot.child?.process.kill("SIGKILL")) }
  }),
  ({ slot, takeBack }) =>
    end(slot, gently).pipe(realTime, Effect.ensuring(Effect.sync(takeBack)), Effect.ignore({ log: "Error" }))
).pipe(Effect.map(({ slot }) => slot))

/** Sends the signals and waits for the end of the process. After `stopTimeout` the process is killed. */
const end = (slot: Slot, signals: ReadonlyArray<NodeJS.Signals>): Effect.Effect<void, NatsServerError> =>
  Effect.suspend(() => {
    const { child } = slot
    if (child === undefined) return Effect.void
    if (runs(child)) signals.forEach((signal) => child.process.kill(signal))
    const kill = Effect.suspend(() => {
      child.process.kill("SIGKILL")
      return whenGone(child, killTimeout, failed(child, `was still running ${killTimeout} after SIGKILL`))
    })
    return signals.includes("SIGKILL") ? kill : whenGone(child, stopTimeout, kill)
  })

/** Interruptible even in a finalizer, as otherwise the timeout could not end the wait. */
const whenGone = (child: Child, duration: Duration.Input, orElse: Effect.Effect<void, NatsServerError>) =>
  Effect.interruptible(Deferred.await(child.gone)).pipe(
    Effect.asVoid,
    Effect.timeoutOrElse({ duration, orElse: () => orElse })
  )

const signal = (slot: Slot, name: "SIGSTOP" | "SIGCONT" | "SIGHUP"): Effect.Effect<Child, NatsServerError> =>
  Effect.suspend(() => {
    const { child } = slot
    if (child?.process.kill(name) === true) return Effect.succeed(child)
    return new NatsServerError({ message: `cannot send ${name}: the server is not running` })
  })

/**
 * Fails with `NotYet` while a thread of the process runs. Sending SIGSTOP returns before all threads have stopped: on a
 * busy machine one server in five still answered a new connection. Only Linux reports the state of each thread, so on
 * other systems this does not wait.
 */
const allStopped = Effect.fnUntraced(function*(child: Child) {
  if (process.platform !== "linux") return
  const tasks = `/proc/${child.process.pid}/task`
  const states = yield* Effect.tryPromise({
    try: async () => {
      const stats = (await Fs.readdir(tasks)).map((task) => Fs.readFile(`${tasks}/${task}/stat`, "utf8"))
      return (await Promise.all(stats)).map((stat) => stat.slice(stat.lastIndexOf(")") + 2)[0])
    },
    // A thread or the process ended between the two reads.
    catch: () => new NotYet()
  })
  if (states.some((state) => state !== "T")) return yield* new NotYet()
})

const pause = (slot: Slot): Effect.Effect<void, NatsServerError> =>
  Effect.flatMap(signal(slot, "SIGSTOP"), (child) => {
    const late = failed(child, `was still running ${pauseTimeout} after SIGSTOP`)
    return allStopped(child).pipe(
      Effect.retry({ schedule: Schedule.spaced(pollInterval), while: () => runs(child) }),
      Effect.timeoutOrElse({ duration: pauseTimeout, orElse: () => late }),
      Effect.catchTag("NotYet", () => failed(child, "ended while it was being paused"))
    )
  })

const reload = Effect.fnUntraced(function*(slot: Slot, write: ReturnType<typeof writeConfiguration>) {
  const before = slot.child?.reloads()
  yield* Effect.mapError(write, ({ message }) => new NatsServerError({ message }))
  const child = yield* signal(slot, "SIGHUP")
  const late = failed(child, `did not reload its configuration within ${reloadTimeout}`)
  const refused = failed(child, "refused the configuration")
  const outcome = Effect.suspend((): Effect.Effect<void, NatsServerError | NotYet> => {
    const now = child.reloads()
    if (now.refused > (before?.refused ?? 0)) return refused
    return now.done > (before?.done ?? 0) ? Effect.void : Effect.fail(new NotYet())
  })
  yield* outcome.pipe(
    Effect.retry({ schedule: Schedule.spaced(pollInterval), while: ({ _tag }) => _tag === "NotYet" && runs(child) }),
    Effect.timeoutOrElse({ duration: reloadTimeout, orElse: () => late }),
    Effect.catchTag("NotYet", () => failed(child, "ended while it reloaded its configuration"))
  )
})
