/**
 * An `etcd` server and the npm package `etcd3`, for the benchmark that compares elections. Neither is a dependency.
 *
 * `AEGIS_ETCD` is the path of the server binary, and `AEGIS_ETCD3` the folder of the package. Without a variable the cache
 * folder is used, and a missing file is fetched: the binary from the Debian archive, as in `natsServer/binaries.ts`, and
 * the package by `npm install`.
 */
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import * as Fs from "node:fs/promises"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import {
  attempt,
  isExecutable,
  mainArchive,
  readAptSources,
  run,
  StepFailed,
  temporaryFolder,
  unpackPackage,
  whenProcessEnds
} from "./natsServer/binaries.ts"

const cacheFolder = fileURLToPath(new URL("../.cache/etcd", import.meta.url))

const clientVersion = "1.1.2"

/** Milliseconds for `npm install`, which downloads about 3 MB. */
const installTimeout = 120_000

/** A server that runs until the scope closes. */
export interface Etcd {
  readonly url: string
  readonly version: string
  /** The module of the client, to import. */
  readonly client: string
}

// -----------------------------------------------------------------------------
// the binary and the package
// -----------------------------------------------------------------------------

const fetchServer = Effect.fnUntraced(function*(path: string) {
  const archive = mainArchive(yield* readAptSources)
  if (archive === undefined) {
    return yield* new StepFailed({ message: "the apt sources of this machine contain no Debian archive" })
  }
  // Inside the cache folder: the binary is moved by a rename, which does not work across file systems.
  const folder = yield* temporaryFolder(Path.join(cacheFolder, "fetching-"))
  const unpacked = yield* unpackPackage(folder, archive, archive.suite, {
    name: "etcd-server",
    paths: ["usr/bin/etcd"]
  })
  yield* attempt("put etcd into the cache", () => Fs.rename(unpacked, path))
}, Effect.scoped)

const serverPath = Effect.gen(function*() {
  const given = process.env.AEGIS_ETCD ?? ""
  if (given !== "") return Path.resolve(given)
  const path = Path.join(cacheFolder, "etcd")
  if (!(yield* isExecutable(path))) yield* fetchServer(path)
  return path
})

const clientFolder = Effect.gen(function*() {
  const given = process.env.AEGIS_ETCD3 ?? ""
  if (given !== "") return Path.resolve(given)
  const folder = Path.join(cacheFolder, "node_modules/etcd3")
  if (existsSync(folder)) return folder
  yield* attempt("prepare a folder for npm", async () => {
    await Fs.mkdir(cacheFolder, { recursive: true })
    await Fs.writeFile(Path.join(cacheFolder, "package.json"), JSON.stringify({ private: true }))
  })
  const wanted = `etcd3@${clientVersion}`
  yield* run("npm", ["install", "--prefix", cacheFolder, "--no-audit", "--no-fund", "--ignore-scripts", wanted], {
    timeout: installTimeout,
    cwd: cacheFolder
  })
  return folder
})

// -----------------------------------------------------------------------------
// the server
// -----------------------------------------------------------------------------

/** A port that was free a moment ago. */
const freePort = attempt("find a free port", () =>
  new Promise<number>((resolve, reject) => {
    const server = createServer().on("error", reject).listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  }))

/** A server elects itself within about a second. */
const isHealthy = (url: string) =>
  attempt("ask etcd for its health", async () => {
    const answer = await fetch(`${url}/health`)
    if (!answer.ok) throw new Error(`${answer.status}`)
  }).pipe(Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 200 }))

/** Ends the process with SIGKILL when the scope closes: its files are removed, too. */
const spawned = (path: string, args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(path, args, { stdio: "ignore" })
      const ended = new Promise<void>((resolve) => {
        child.once("exit", () => resolve()).once("error", () => resolve())
      })
      return { child, ended, takeBack: whenProcessEnds(() => child.kill("SIGKILL")) }
    }),
    ({ child, ended, takeBack }) =>
      Effect.promise(() => {
        child.kill("SIGKILL")
        return ended
      }).pipe(Effect.ensuring(Effect.sync(takeBack)))
  )

/** Starts a server on this machine with a new data folder. Fails if the server or its client is not available. */
export const startEtcd: Effect.Effect<Etcd, StepFailed, Scope.Scope> = Effect.gen(function*() {
  const path = yield* serverPath
  const client = Path.join(yield* clientFolder, "lib/index.js")
  const version = /etcd Version: (\S+)/.exec(yield* run(path, ["--version"], { timeout: 10_000 }))?.[1]
  if (version === undefined) return yield* new StepFailed({ message: `${path} --version printed no version` })
  const folder = yield* temporaryFolder(Path.join(tmpdir(), "effect-aegis-etcd-"))
  const [url, peer] = [`http://127.0.0.1:${yield* freePort}`, `http://127.0.0.1:${yield* freePort}`]
  const options = {
    name: "one",
    "data-dir": Path.join(folder, "data"),
    "initial-cluster": `one=${peer}`,
    "listen-client-urls": url,
    "advertise-client-urls": url,
    "listen-peer-urls": peer,
    "initial-advertise-peer-urls": peer
  }
  yield* spawned(path, Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]))
  yield* isHealthy(url)
  return { url, version, client }
})
