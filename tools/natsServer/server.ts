/**
 * Real `nats-server` processes for the tests, each in a scope of its own.
 *
 * A server takes some 15 ms to start, so a test may well have one to itself, and do to it what production does to
 * servers: kill it, restart it on its port and store, freeze it and let it go on. The scope ends the process and
 * removes its files, also when the start is half done. All waiting here is on the real clock, whatever clock the test
 * has: the server would not know of another one.
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

/** A server under the control of a test. */
export interface NatsServer {
  /** `nats://127.0.0.1:<port>`; a restart keeps it. */
  readonly url: string
  readonly port: number
  /** The process that runs now, or ran last: a restart changes it. */
  readonly pid: number
  /** The version of the binary, such as `2.10.27`. */
  readonly version: string
  readonly storeDir: string
  /** Ends the process with SIGKILL and waits until it is gone; nothing happens if it is gone already. */
  readonly kill: Effect.Effect<void, NatsServerError>
  /** Starts the server again on its port and store; one that still runs is asked to stop first. */
  readonly restart: Effect.Effect<void, NatsServerError>
  /** Freezes the process with SIGSTOP and waits until it stands still: its port takes connections, and stays silent. */
  readonly pause: Effect.Effect<void, NatsServerError>
  /** Lets a frozen process go on with SIGCONT. */
  readonly resume: Effect.Effect<void, NatsServerError>
}

/** What a test may choose about its server. */
export interface Options {
  readonly line: Line
  /** Text of a server configuration. It may replace the line that turns JetStream on, not the address or the store. */
  readonly config?: string | undefined
  /** A store folder of the caller's, kept on release. The default is a temporary one. */
  readonly storeDir?: string | undefined
  /** The default lets the server choose. */
  readonly port?: number | undefined
  /** Runs the server in a separate process group, which Ctrl-C in a terminal does not reach. Default false. */
  readonly detached?: boolean | undefined
}

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/** A server did not do as it was told; what it wrote to its log is in the message. */
export class NatsServerError extends Data.TaggedError("NatsServerError")<{ readonly message: string }> {}

// -----------------------------------------------------------------------------
// service
// -----------------------------------------------------------------------------

/** The server that the tests of a block share. */
export const NatsServer: Context.Service<NatsServer, NatsServer> = Context.Service("effect-aegis/test/NatsServer")

// -----------------------------------------------------------------------------
// constructors
// -----------------------------------------------------------------------------

/** Starts a server of the line and waits until it listens; the scope ends it and removes its files. */
export const startNatsServer = (
  options: Options
): Effect.Effect<NatsServer, NatsServerError | NoNatsServer, Scope.Scope> =>
  Effect.gen(function*() {
    const { path: binary, version } = yield* provideNatsServer(options.line)
    const folder = yield* temporaryFolder(Path.join(tmpdir(), "effect-aegis-nats-"))
    const storeDir = options.storeDir ?? Path.join(folder, "store")
    yield* attempt("write the configuration", () => Fs.writeFile(configurationOf(folder), configure(options.config)))
    const slot = yield* makeSlot
    const spawnWith = spawnServer(binary, options.detached ?? false)
    const launch = (port: number) => start(slot, spawnWith, folder, storeDir, port)
    const { port, url } = yield* launch(options.port ?? chosenByServer)
    return {
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
      resume: Effect.asVoid(signal(slot, "SIGCONT"))
    }
  }).pipe(
    realTime,
    Effect.catchTag("StepFailed", ({ message }) => new NatsServerError({ message }))
  )

// -----------------------------------------------------------------------------
// layers
// -----------------------------------------------------------------------------

/** A server of the line as a service, for `layer(layerNatsServer("2.15"), { excludeTestServices: true })`. */
export const layerNatsServer = (
  line: Line,
  options?: Omit<Options, "line">
): Layer.Layer<NatsServer, NatsServerError | NoNatsServer> =>
  Layer.effect(NatsServer, startNatsServer({ ...options, line }))

// -----------------------------------------------------------------------------
// time
// -----------------------------------------------------------------------------

/** A server listens some 10 ms after it was started. This bounds the start on a busy machine, and of a large store. */
const startTimeout = "20 seconds"

/** How often to look for what a server does not announce: its ports file, and that it has stopped. */
const pollInterval = "2 millis"

/** A server stops within 2 ms of SIGTERM; one with clients or a cluster may take longer. */
const stopTimeout = "5 seconds"

/** A process stops as soon as its threads get to run, which takes a while on a busy machine only. */
const pauseTimeout = "5 seconds"

/** A killed process is gone at once, unless the kernel holds it (a store on a hung disk, say). */
const killTimeout = "10 seconds"

/**
 * Between a kill and a restart the port is free, and the system may give it to any outgoing connection, also to one
 * that a client opens to this very port. Such a one goes away by itself.
 */
const portTaken = { schedule: Schedule.spaced("100 millis"), times: 100 }

const realTime = Effect.provideService(Clock.Clock, Clock.Clock.defaultValue())

// -----------------------------------------------------------------------------
// starting
// -----------------------------------------------------------------------------

const chosenByServer = -1

const configurationOf = (folder: string) => Path.join(folder, "server.conf")

/** The last of two equal keys wins in a server's configuration, so a test can turn JetStream off, or limit it. */
const configure = (config = "") => `jetstream: enabled\n${config}\n`

const start = (slot: Slot, spawnWith: Spawn, folder: string, storeDir: string, port: number) =>
  Effect.gen(function*() {
    const child = yield* Effect.sync(() => {
      // Options on the command line go before the file's: no test can have its server elsewhere by mistake.
      const args = ["-c", configurationOf(folder), "-a", "127.0.0.1", "-p", `${port}`, "-sd", storeDir]
      return slot.child = spawnWith([...args, "--ports_file_dir", folder])
    })
    const early = Effect.flatMap(Deferred.await(child.gone), (how) => failed(child, `${how} before it listened`))
    const late = failed(child, `did not say within ${startTimeout} that it listens`)
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

/** Fails with `NotYet` while there is no ports file, and while the server still writes it. */
const readAddress = Effect.fnUntraced(function*(folder: string, child: Child) {
  const names = yield* attempt("look for the ports file", () => Fs.readdir(folder))
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
  /** Says how the process ended, once it did and all it wrote was read. */
  readonly gone: Deferred.Deferred<string>
  /** The end of what the server has logged. */
  readonly log: () => string
}

/** Holds the process of a server, from the very step that spawns it, so that none can be missed. */
interface Slot {
  child: Child | undefined
}

/** Enough for the last words of a server that could not start; a test with a talkative one must not fill the memory. */
const logLimit = 16_384

type Spawn = (args: ReadonlyArray<string>) => Child

const spawnServer = (binary: string, detached: boolean): Spawn => (args) => {
  const child = spawn(binary, args, { stdio: ["ignore", "ignore", "pipe"], detached })
  const gone = Deferred.makeUnsafe<string>()
  let log = ""
  const write = (text: string) => {
    log = (log + text).slice(-logLimit)
  }
  child.stderr.setEncoding("utf8").on("data", write)
  child.on("error", (error) => {
    write(`${error.message}\n`)
    // Without a pid it never ran, and no `close` follows.
    if (child.pid === undefined) Deferred.doneUnsafe(gone, Effect.succeed("could not be run"))
  })
  child.once("close", (code, signal) => {
    Deferred.doneUnsafe(gone, Effect.succeed(`ended (${signal ?? `exit code ${code}`})`))
  })
  return { process: child, gone, log: () => log }
}

const runs = ({ process }: Child) =>
  process.pid !== undefined && process.exitCode === null && process.signalCode === null

const pidOf = (slot: Slot): number => slot.child?.process.pid ?? -1

const failed = (child: Child, what: string) =>
  Effect.suspend(() => new NatsServerError({ message: `${child.process.spawnfile} ${what}\n${child.log()}`.trimEnd() }))

/** A frozen process acts on SIGTERM only once it goes on. */
const gently = ["SIGTERM", "SIGCONT"] as const

const makeSlot = Effect.acquireRelease(
  Effect.sync(() => {
    const slot: Slot = { child: undefined }
    return { slot, takeBack: whenProcessEnds(() => slot.child?.process.kill("SIGKILL")) }
  }),
  ({ slot, takeBack }) =>
    end(slot, gently).pipe(realTime, Effect.ensuring(Effect.sync(takeBack)), Effect.ignore({ log: "Error" }))
).pipe(Effect.map(({ slot }) => slot))

/** Sends the signals and waits; what is not gone in time is killed. */
const end = (slot: Slot, signals: ReadonlyArray<NodeJS.Signals>): Effect.Effect<void, NatsServerError> =>
  Effect.suspend(() => {
    const { child } = slot
    if (child === undefined) return Effect.void
    if (runs(child)) signals.forEach((signal) => child.process.kill(signal))
    const kill = Effect.suspend(() => {
      child.process.kill("SIGKILL")
      return whenGone(child, killTimeout, failed(child, `outlived SIGKILL by ${killTimeout}`))
    })
    return signals.includes("SIGKILL") ? kill : whenGone(child, stopTimeout, kill)
  })

/** Interruptible also in a finalizer, where the wait could not be cut short otherwise. */
const whenGone = (child: Child, duration: Duration.Input, orElse: Effect.Effect<void, NatsServerError>) =>
  Effect.interruptible(Deferred.await(child.gone)).pipe(
    Effect.asVoid,
    Effect.timeoutOrElse({ duration, orElse: () => orElse })
  )

const signal = (slot: Slot, name: "SIGSTOP" | "SIGCONT"): Effect.Effect<Child, NatsServerError> =>
  Effect.suspend(() => {
    const { child } = slot
    if (child?.process.kill(name) === true) return Effect.succeed(child)
    return new NatsServerError({ message: `${name} reached no process: the server is not running` })
  })

/**
 * Fails with `NotYet` while a thread of the process runs. SIGSTOP returns before they all have stopped: on a busy
 * machine one server in five still took a connection and answered on it. Only Linux tells of each thread, so elsewhere
 * this does not wait.
 */
const allStopped = Effect.fnUntraced(function*(child: Child) {
  if (process.platform !== "linux") return
  const tasks = `/proc/${child.process.pid}/task`
  const states = yield* Effect.tryPromise({
    try: async () => {
      const stats = (await Fs.readdir(tasks)).map((task) => Fs.readFile(`${tasks}/${task}/stat`, "utf8"))
      return (await Promise.all(stats)).map((stat) => stat.slice(stat.lastIndexOf(")") + 2)[0])
    },
    // A thread, or the process, has ended in between.
    catch: () => new NotYet()
  })
  if (states.some((state) => state !== "T")) return yield* new NotYet()
})

const pause = (slot: Slot): Effect.Effect<void, NatsServerError> =>
  Effect.flatMap(signal(slot, "SIGSTOP"), (child) => {
    const late = failed(child, `runs ${pauseTimeout} after SIGSTOP`)
    return allStopped(child).pipe(
      Effect.retry({ schedule: Schedule.spaced(pollInterval), while: () => runs(child) }),
      Effect.timeoutOrElse({ duration: pauseTimeout, orElse: () => late }),
      Effect.catchTag("NotYet", () => failed(child, "ended instead of being paused"))
    )
  })
