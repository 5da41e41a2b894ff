/**
 * Provides the `nats-server` binaries for tests and benchmarks.
 *
 * The tests run against two lines of the server: 2.10, the last line without a TTL per message, and 2.15. The binary of
 * a line is looked for in four places, in this order: the variable `NATS_SERVER_BIN`, the PATH, the project's cache
 * folder, and the Debian archive. The download from the archive neither needs root nor installs anything: `apt-get`
 * keeps its state in a temporary folder and uses the archive and keyring of this machine's own apt sources. Only the
 * binary is kept, in the cache folder.
 */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import { execFile } from "node:child_process"
import { rmSync } from "node:fs"
import * as Fs from "node:fs/promises"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/** A line of server versions. `2.15` includes later versions 2.x. */
export type Line = "2.10" | "2.15"

/** Both lines, oldest first. */
export const lines: ReadonlyArray<Line> = ["2.10", "2.15"]

/** A server binary. `version` is the version that it reports, for instance `2.10.27`. */
export interface NatsBinary {
  readonly line: Line
  readonly path: string
  readonly version: string
  readonly source: "NATS_SERVER_BIN" | "PATH" | "cache" | "Debian packages"
  /** The places that were tried before `source`, each with the reason why it has no binary for the line. */
  readonly passedOver: ReadonlyArray<string>
}

/** One archive and suite of the machine's apt sources. */
export interface AptSource {
  readonly uri: string
  readonly suite: string
  readonly components: ReadonlyArray<string>
  /** The path of a keyring, fingerprints, or an embedded key as a deb822 field. It is written back unchanged. */
  readonly signedBy: string | undefined
}

// -----------------------------------------------------------------------------
// errors
// -----------------------------------------------------------------------------

/** There is no binary for a line. The message lists the places that were tried, and how to provide a binary. */
export class NoNatsServer extends Data.TaggedError("NoNatsServer")<{ readonly message: string }> {}

/** A file operation or a command failed. */
export class StepFailed extends Data.TaggedError("StepFailed")<{ readonly message: string }> {}

// -----------------------------------------------------------------------------
// the four places
// -----------------------------------------------------------------------------

const cacheFolder = fileURLToPath(new URL("../../.cache/nats-server", import.meta.url))

const cachedPath = (line: Line) => Path.join(cacheFolder, line, "nats-server")

/** The Debian suite that has a line. Suites change over time, so the version of the binary is checked. */
const suites: Record<Line, string> = { "2.10": "trixie", "2.15": "sid" }

/** The binary of a place, or the reason why the place has none. A place fails if the search must not continue. */
type Answer = NatsBinary | string

const fromEnvironment = Effect.fnUntraced(function*(line: Line): Effect.fn.Return<Answer, StepFailed> {
  const paths = (process.env.NATS_SERVER_BIN ?? "").split(Path.delimiter).filter((path) => path !== "")
  if (paths.length === 0) return "not set"
  // The variable was set on purpose: an entry that does not run or belongs to no line is an error.
  const binaries = yield* Effect.forEach(paths, (path) => ask(Path.resolve(path), "NATS_SERVER_BIN"))
  const stray = binaries.find((binary) => lineOf(binary.version) === undefined)
  if (stray !== undefined) return yield* wrongVersion(stray, `one of the lines ${lines.join(", ")}`)
  const serving = binaries.find((binary) => lineOf(binary.version) === line)
  return serving === undefined ? `only ${describeAll(binaries)}` : { ...serving, line }
})

const fromPath = Effect.fnUntraced(function*(line: Line): Effect.fn.Return<Answer, StepFailed> {
  for (const folder of (process.env.PATH ?? "").split(Path.delimiter).filter((folder) => folder !== "")) {
    const path = Path.resolve(folder, "nats-server")
    // Like a shell, this skips files that the user may not run.
    if (!(yield* isExecutable(path, [...absent, "EACCES"]))) continue
    const binary = yield* ask(path, "PATH")
    return lineOf(binary.version) === line ? { ...binary, line } : `only ${describeAll([binary])}`
  }
  return "no nats-server in its folders"
})

const fromCache = Effect.fnUntraced(function*(line: Line): Effect.fn.Return<Answer, StepFailed> {
  const path = cachedPath(line)
  if (!(yield* isExecutable(path))) return `no file ${path}`
  const binary = yield* ask(path, "cache")
  return lineOf(binary.version) === line ? { ...binary, line } : yield* wrongVersion(binary, `${line}; remove it`)
})

const fromDebian = Effect.fnUntraced(function*(line: Line): Effect.fn.Return<Answer, StepFailed, Scope.Scope> {
  const archive = mainArchive(yield* readAptSources)
  if (archive === undefined) return "the apt sources of this machine contain no Debian archive"
  // Inside the cache folder: the binary is moved by a rename, which does not work across file systems.
  const folder = yield* temporaryFolder(Path.join(cacheFolder, "fetching-"))
  const unpacked = yield* unpackPackage(folder, archive, suites[line], packaged)
  const binary = yield* ask(unpacked, "Debian packages")
  if (lineOf(binary.version) !== line) return yield* wrongVersion(binary, `${line} in the suite ${suites[line]}`)
  const path = cachedPath(line)
  // A rename is atomic: other processes see the old binary or the new one, and servers that run are not affected.
  yield* attempt("put the server into the cache", async () => {
    await Fs.mkdir(Path.dirname(path), { recursive: true })
    await Fs.rename(unpacked, path)
  })
  return { ...binary, line, path }
}, Effect.scoped)

const places = [
  ["NATS_SERVER_BIN", fromEnvironment],
  ["PATH", fromPath],
  ["cache", fromCache],
  ["Debian packages", fromDebian]
] as const

const lookUp = Effect.fnUntraced(function*(line: Line): Effect.fn.Return<NatsBinary, NoNatsServer> {
  const passedOver: Array<string> = []
  for (const [name, place] of places) {
    const failed = (error: StepFailed) => noServer(line, [...passedOver, `${name}: ${error.message}`])
    const answer = yield* Effect.mapError(place(line), failed)
    if (typeof answer !== "string") return { ...answer, passedOver }
    passedOver.push(`${name}: ${answer}`)
  }
  return yield* noServer(line, passedOver)
})

const noServer = (line: Line, reasons: ReadonlyArray<string>) =>
  new NoNatsServer({
    message: [
      `No nats-server of the line ${line} was found. There are three ways to provide one:`,
      `  - set NATS_SERVER_BIN to the path of a binary (separate several paths by "${Path.delimiter}"),`,
      "  - add the folder of the binary to the PATH,",
      `  - copy a binary to ${
        cachedPath(line)
      } (on Debian, this is done automatically if apt-get can reach its archive).`,
      "`npm run test:memory` runs the tests that need no server. These places were tried:",
      ...reasons.map((reason) => `  - ${reason.replaceAll("\n", "\n    ")}`)
    ].join("\n")
  })

const lookedUp = new Map<Line, Promise<Exit.Exit<NatsBinary, NoNatsServer>>>()

/**
 * Provides the binary of a line.
 *
 * Each process searches once per line and caches the result, including a failure. The search does not use the clock of
 * the first test that needs it, and is not interrupted with that test.
 */
export const provideNatsServer = (line: Line): Effect.Effect<NatsBinary, NoNatsServer> =>
  Effect.suspend(() => {
    const running = lookedUp.get(line) ?? Effect.runPromiseExit(lookUp(line))
    lookedUp.set(line, running)
    return Effect.flatten(Effect.promise(() => running))
  })

// -----------------------------------------------------------------------------
// versions
// -----------------------------------------------------------------------------

const lineOf = (version: string): Line | undefined => {
  const [major, minor] = version.split(".").map(Number)
  if (major !== 2 || minor === undefined) return undefined
  if (minor >= 15) return "2.15"
  return minor === 10 ? "2.10" : undefined
}

type Asked = Omit<NatsBinary, "line"> & { readonly passedOver: readonly [] }

const ask = (path: string, source: NatsBinary["source"]): Effect.Effect<Asked, StepFailed> =>
  Effect.flatMap(run(path, ["--version"], { timeout: 10_000 }), (output) => {
    const version = /v?(\d+\.\d+\.\d+\S*)/.exec(output)?.[1]
    return version === undefined
      ? new StepFailed({ message: `${path} --version printed no version: ${output.trim()}` })
      : Effect.succeed({ path, version, source, passedOver: [] })
  })

const describeAll = (binaries: ReadonlyArray<Asked>) =>
  binaries.map((binary) => `${binary.path} (${binary.version})`).join(", ")

const wrongVersion = (binary: Asked, wanted: string) =>
  new StepFailed({ message: `${binary.path} has version ${binary.version}, expected ${wanted}` })

// -----------------------------------------------------------------------------
// apt sources
// -----------------------------------------------------------------------------

/** Parses a file of apt sources. As in apt, `.sources` files have the deb822 format, others the one-line format. */
export const parseAptSources = (fileName: string, text: string): ReadonlyArray<AptSource> =>
  fileName.endsWith(".sources") ? text.split(/\n[ \t]*\n/).flatMap(parseStanza) : text.split("\n").flatMap(parseLine)

const parseLine = (line: string): ReadonlyArray<AptSource> => {
  const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s*(.*)$/.exec(line.replace(/#.*/, ""))
  if (match === null) return []
  const [, options = "", uri = "", suite = "", components = ""] = match
  const signedBy = words(options).find((option) => option.startsWith("signed-by="))?.slice("signed-by=".length)
  return [{ uri, suite, components: words(components), signedBy }]
}

const parseStanza = (stanza: string): ReadonlyArray<AptSource> => {
  const fields = new Map<string, string>()
  let field = ""
  for (const line of stanza.split("\n").filter((line) => !line.startsWith("#"))) {
    const colon = line.indexOf(":")
    if (/^[ \t]/.test(line)) fields.set(field, `${fields.get(field) ?? ""}\n${line}`)
    else if (colon > 0) fields.set(field = line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim())
  }
  const list = (name: string) => words(fields.get(name) ?? "")
  if (!list("types").includes("deb") || /^(no|false|0|off)$/i.test(fields.get("enabled") ?? "")) return []
  const [components, signedBy] = [list("components"), fields.get("signed-by")]
  return list("uris").flatMap((uri) => list("suites").map((suite) => ({ uri, suite, components, signedBy })))
}

const words = (text: string): ReadonlyArray<string> => text.split(/\s+/).filter((word) => word !== "")

/**
 * Returns the entry of the main Debian archive, which also contains the suites that this machine does not use.
 *
 * A third party may offer a suite `bookworm` with a component `main`, too. So an entry with Debian's keyring is
 * preferred; otherwise an entry without a keyring file is accepted if its address contains `debian`.
 */
export const mainArchive = (sources: ReadonlyArray<AptSource>): AptSource | undefined => {
  const main = sources.filter((source) => /^[a-z]+$/.test(source.suite) && source.components.includes("main"))
  return main.find((source) => namesDebianKeyring(source)) ??
    main.find((source) =>
      !source.signedBy?.startsWith("/") && !source.uri.startsWith("cdrom:") && /\/debian(?![a-z])/.test(source.uri)
    )
}

const namesDebianKeyring = (source: AptSource) => source.signedBy?.includes("/debian-archive-") === true

export const readAptSources: Effect.Effect<ReadonlyArray<AptSource>, StepFailed> = attempt(
  "read the apt sources",
  async () => {
    const parts = await orIfMissing(Fs.readdir("/etc/apt/sources.list.d"), [])
    const names = parts.filter((name) => /\.(list|sources)$/.test(name)).toSorted().map((name) =>
      `sources.list.d/${name}`
    )
    const files = await Promise.all(
      ["sources.list", ...names].map(async (name) =>
        parseAptSources(name, await orIfMissing(Fs.readFile(`/etc/apt/${name}`, "utf8"), ""))
      )
    )
    return files.flat()
  }
)

// -----------------------------------------------------------------------------
// apt
// -----------------------------------------------------------------------------

/** A binary of a Debian package. */
export interface Packaged {
  readonly name: string
  /** Paths of the binary in known versions of the package. */
  readonly paths: ReadonlyArray<string>
}

const packaged: Packaged = { name: "nats-server", paths: ["usr/sbin/nats-server", "usr/bin/nats-server"] }

/** Milliseconds for one call of apt or dpkg. It downloads at most 11 MB, in about 3 s on a fast connection. */
const aptTimeout = 120_000

/** Downloads a package and unpacks it into the folder. Returns the path of the binary. */
export const unpackPackage = Effect.fnUntraced(
  function*(
    folder: string,
    archive: AptSource,
    suite: string,
    { name, paths }: Packaged
  ): Effect.fn.Return<string, StepFailed> {
    const configuration = Path.join(folder, "apt.conf")
    yield* attempt("prepare a folder for apt", () => writeAptFolder(folder, configuration, archive, suite))
    const apt = (...args: ReadonlyArray<string>) =>
      run("apt-get", ["-q", "-c", configuration, ...args], { timeout: aptTimeout, cwd: folder })
    yield* apt("update")
    yield* apt("download", name)
    const names = yield* attempt("list the downloads", () => Fs.readdir(folder))
    const unpacked = Path.join(folder, "unpacked")
    yield* run("dpkg-deb", ["-x", ...names.filter((name) => name.endsWith(".deb")), unpacked], {
      timeout: aptTimeout,
      cwd: folder
    })
    for (const path of paths.map((path) => Path.join(unpacked, path))) {
      if (yield* isExecutable(path)) return path
    }
    return yield* new StepFailed({ message: `the package of ${suite} contains neither of ${paths.join(", ")}` })
  }
)

const writeAptFolder = async (folder: string, configuration: string, archive: AptSource, suite: string) => {
  await Fs.mkdir(Path.join(folder, "lists/partial"), { recursive: true })
  await Fs.mkdir(Path.join(folder, "cache/archives/partial"), { recursive: true })
  await Fs.writeFile(Path.join(folder, "status"), "")
  await Fs.writeFile(Path.join(folder, "archive.sources"), archiveStanza(archive, suite))
  await Fs.writeFile(configuration, aptConfiguration(folder))
}

const archiveStanza = (archive: AptSource, suite: string) =>
  [
    "Types: deb",
    `URIs: ${archive.uri}`,
    `Suites: ${suite}`,
    "Components: main",
    // Only the package index: the machine's configuration may add translations, contents or icons.
    "Targets: Packages",
    ...archive.signedBy === undefined ? [] : [`Signed-By: ${archive.signedBy}`],
    ""
  ].join("\n")

/**
 * Settings of apt for one run. The machine's settings (a proxy, for instance) still apply, so these lines reset the
 * settings that could fail here: pins and a default release that exclude the suite, the list of installed packages (apt
 * does not downgrade), and hooks that need root.
 */
const aptConfiguration = (folder: string) => `
    Dir::State::Lists "${folder}/lists";
    Dir::State::Status "${folder}/status";
    Dir::Cache "${folder}/cache";
    Dir::Etc::SourceList "${folder}/archive.sources";
    Dir::Etc::SourceParts "/dev/null";
    Dir::Etc::Preferences "/dev/null";
    Dir::Etc::PreferencesParts "/dev/null";
    #clear APT::Default-Release;
    #clear APT::Update;
    // An index that could not be fetched is a failure here, not a warning.
    APT::Update::Error-Mode "any";
    // Root's apt fetches as the user _apt, who may not write in this folder. Signatures are checked all the same.
    APT::Sandbox::User "root";
    Acquire::Retries "1";
  `

// -----------------------------------------------------------------------------
// processes and files
// -----------------------------------------------------------------------------

/** Runs a command and returns its output. */
export const run = (
  file: string,
  args: ReadonlyArray<string>,
  options: { readonly timeout: number; readonly cwd?: string }
) =>
  Effect.callback<string, StepFailed>((resume) => {
    const child = execFile(
      file,
      args,
      { ...options, killSignal: "SIGKILL", env: { ...process.env, LC_ALL: "C" } },
      (error, stdout, stderr) => {
        if (error === null) return resume(Effect.succeed(stdout))
        const why = error.killed === true ? `did not end within ${options.timeout} ms` : ended(error)
        resume(new StepFailed({ message: `\`${[file, ...args].join(" ")}\` ${why}\n${stderr.trim()}`.trimEnd() }))
      }
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const ended = (error: { readonly code?: unknown; readonly signal?: unknown; readonly message: string }) =>
  typeof error.code === "number" ? `ended with code ${error.code}` : `failed: ${error.signal ?? error.message}`

/** Runs an action. A rejection becomes `StepFailed`. */
export function attempt<A>(what: string, action: () => Promise<A>): Effect.Effect<A, StepFailed> {
  return Effect.tryPromise({
    try: action,
    catch: (cause) => new StepFailed({ message: `could not ${what}: ${String(cause)}` })
  })
}

/** The error codes of a path that does not exist. */
const absent = ["ENOENT", "ENOTDIR"]

const orIfMissing = <A>(action: Promise<A>, otherwise: A, codes: ReadonlyArray<unknown> = absent): Promise<A> =>
  action.catch((error: unknown) => {
    if (error instanceof Error && "code" in error && codes.includes(error.code)) return otherwise
    throw error
  })

export const isExecutable = (path: string, missing = absent): Effect.Effect<boolean, StepFailed> =>
  attempt(`run ${path}`, () => orIfMissing(statExecutable(path), false, missing))

const statExecutable = async (path: string) => {
  await Fs.access(path, Fs.constants.X_OK)
  return (await Fs.stat(path)).isFile()
}

/** Creates a folder `<prefix>XXXXXX`. It is removed with the scope, or when the process ends. */
export const temporaryFolder = (prefix: string): Effect.Effect<string, StepFailed, Scope.Scope> =>
  Effect.acquireRelease(
    attempt("create a temporary folder", async () => {
      await Fs.mkdir(Path.dirname(prefix), { recursive: true })
      const path = await Fs.mkdtemp(prefix)
      return { path, takeBack: whenProcessEnds(() => rmSync(path, removal)) }
    }),
    ({ path, takeBack }) =>
      attempt("remove a temporary folder", () => Fs.rm(path, removal)).pipe(
        Effect.ensuring(Effect.sync(takeBack)),
        Effect.ignore({ log: "Error" })
      )
  ).pipe(Effect.map(({ path }) => path))

/** Retries, as a process that was just killed may still have added a file during the removal. */
const removal = { recursive: true, force: true, maxRetries: 5 }

/** Signals that end a process without the event `exit` if they have no listener. */
const deadlySignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const

const endings = new Set<() => void>()

const atTheEnd = () => {
  // In reverse order, as in a scope: a server must end before its folder is removed.
  for (const ending of [...endings].toReversed()) ending()
  endings.clear()
}

const atSignal = (signal: NodeJS.Signals) => {
  // Another listener decides whether the process ends, and may need the servers until then; `exit` follows.
  if (process.listenerCount(signal) > 1) return
  atTheEnd()
  stopListening()
  // The process then ends as it would have ended without this listener.
  process.kill(process.pid, signal)
}

const stopListening = () => {
  process.off("exit", atTheEnd)
  for (const signal of deadlySignals) process.off(signal, atSignal)
}

/**
 * Registers a function that is called if this process ends before its scopes are closed. It is not called on SIGKILL.
 * Returns a function that removes the registration.
 */
export function whenProcessEnds(ending: () => void): () => void {
  if (endings.size === 0) {
    process.once("exit", atTheEnd)
    for (const signal of deadlySignals) process.on(signal, atSignal)
  }
  endings.add(ending)
  return () => {
    endings.delete(ending)
    if (endings.size === 0) stopListening()
  }
}
