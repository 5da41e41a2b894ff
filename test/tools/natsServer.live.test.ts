import { assert, describe, it, layer } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import { execFile } from "node:child_process"
import { existsSync } from "node:fs"
import * as Net from "node:net"
import { type AptSource, lines, mainArchive, parseAptSources } from "../../tools/natsServer/binaries.ts"
import { layerNatsServer, NatsServer, startNatsServer } from "../../tools/natsServer/server.ts"

// -----------------------------------------------------------------------------
// helpers
// -----------------------------------------------------------------------------

const Info = Schema.fromJsonString(
  Schema.Struct({ version: Schema.String, port: Schema.Int, jetstream: Schema.optionalKey(Schema.Boolean) })
)

/** Connects and reads the INFO line that a server sends first. */
const readInfo = (port: number) =>
  Effect.callback<string, Error>((resume) => {
    const socket = Net.connect(port, "127.0.0.1")
    let text = ""
    socket.setEncoding("utf8").on("data", (chunk) => {
      text += chunk
      if (text.includes("\r\n")) resume(Effect.succeed(text.slice(0, text.indexOf("\r\n"))))
    })
    socket.once("error", (error) => resume(Effect.fail(error)))
    return Effect.sync(() => socket.destroy())
  }).pipe(
    Effect.flatMap((line) => Schema.decodeEffect(Info)(line.replace(/^INFO /, ""))),
    Effect.timeout("1 second")
  )

/** Occupies a port of 127.0.0.1 until the scope closes. */
const occupy = (port: number) =>
  Effect.acquireRelease(
    Effect.callback<Net.Server>((resume) => {
      const server = Net.createServer().listen(port, "127.0.0.1", () => resume(Effect.succeed(server)))
    }),
    (server) => Effect.callback<void>((resume) => void server.close(() => resume(Effect.void)))
  )

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    assert.include(String(error), "ESRCH")
    return false
  }
}

// -----------------------------------------------------------------------------
// servers
// -----------------------------------------------------------------------------

for (const line of lines) {
  describe(`a server of the line ${line}`, () => {
    it.live(`${line}: answers on the reported port, with JetStream enabled`, () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line })
        const info = yield* readInfo(server.port)
        assert.deepStrictEqual(info, { version: server.version, port: server.port, jetstream: true })
        assert.isTrue(info.version.startsWith("2."))
        assert.strictEqual(server.url, `nats://127.0.0.1:${server.port}`)
      }))

    it.live(`${line}: does not answer after a kill, and answers on the same port after a restart`, () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line })
        const { pid: first, port } = server
        yield* server.kill
        assert.isFalse(isAlive(first))
        assert.isTrue(Exit.isFailure(yield* Effect.exit(readInfo(port))))
        assert.isTrue(existsSync(server.storeDir))
        yield* server.restart
        assert.notStrictEqual(server.pid, first)
        assert.strictEqual((yield* readInfo(port)).port, port)
      }))

    it.live(`${line}: reloads its configuration`, () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line })
        const first = server.pid
        yield* server.reload("max_payload: 4096")
        yield* server.reload("max_payload: 8192")
        assert.strictEqual(server.pid, first)
        const refusal = yield* Effect.flip(server.reload("max_payload: many"))
        assert.include(refusal.message, "refused the configuration")
      }))

    it.live(`${line}: can be restarted while it runs`, () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line })
        const first = server.pid
        yield* server.restart
        assert.isFalse(isAlive(first))
        yield* readInfo(server.port)
      }))

    it.live(`${line}: leaves neither a process nor a store folder after the scope is closed`, () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const { pid, storeDir } = yield* startNatsServer({ line }).pipe(Scope.provide(scope))
        assert.isTrue(isAlive(pid))
        assert.isTrue(existsSync(storeDir))
        yield* Scope.close(scope, Exit.void)
        assert.isFalse(isAlive(pid))
        assert.isFalse(existsSync(storeDir))
      }))

    it.live(`${line}: does not answer while paused, and answers after it is resumed`, () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line })
        yield* server.pause
        assert.isTrue(Exit.isFailure(yield* Effect.exit(readInfo(server.port))))
        yield* server.resume
        yield* readInfo(server.port)
      }))

    it.live(`${line}: ends with its scope even while paused`, () =>
      Effect.gen(function*() {
        const scope = yield* Scope.make()
        const server = yield* startNatsServer({ line }).pipe(Scope.provide(scope))
        yield* server.pause
        yield* Scope.close(scope, Exit.void)
        assert.isFalse(isAlive(server.pid))
      }))

    it.live(`${line}: fails with the server's error message if it cannot start`, () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line })
        const taken = yield* Effect.flip(startNatsServer({ line, port: server.port }))
        assert.include(taken.message, "address already in use")
        const unreadable = yield* Effect.flip(startNatsServer({ line, config: "nonsense {{" }))
        assert.include(unreadable.message, "Parse error")
      }))

    it.live(`${line}: waits during a restart until its occupied port is free`, () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line })
        yield* server.kill
        const intruder = yield* Scope.make()
        yield* occupy(server.port).pipe(Scope.provide(intruder))
        const restart = yield* Effect.forkChild(server.restart)
        yield* Effect.sleep("300 millis")
        yield* Scope.close(intruder, Exit.void)
        yield* Fiber.join(restart)
        yield* readInfo(server.port)
      }))

    it.live(`${line}: accepts a configuration that disables JetStream`, () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line, config: "jetstream: disabled" })
        assert.isUndefined((yield* readInfo(server.port)).jetstream)
      }))

    it.effect(`${line}: starts under a test clock`, () =>
      Effect.gen(function*() {
        const server = yield* startNatsServer({ line })
        yield* server.restart
        assert.isTrue(isAlive(server.pid))
      }))

    it.live.each(["exit", "SIGTERM"] as const)(
      `${line}: ends with a test process that ends by %s before its scope is closed`,
      (ending) =>
        Effect.gen(function*() {
          const { port, storeDir } = yield* startInDyingProcess(line, ending)
          // The ending process has sent SIGKILL to the server but does not wait for it. Check the port, not the pid:
          // the pid of an orphan exists until init collects it.
          yield* readInfo(port).pipe(
            Effect.repeat(Schedule.spaced("10 millis")),
            Effect.flip,
            Effect.timeout("2 seconds")
          )
          assert.isFalse(existsSync(storeDir))
        })
    )
  })
}

const Started = Schema.fromJsonString(Schema.Struct({ port: Schema.Int, storeDir: Schema.String }))

const startInDyingProcess = (line: string, ending: "exit" | "SIGTERM") =>
  Effect.callback<string, Error>((resume) => {
    const script = `
      import * as Effect from "effect/Effect"
      import { startNatsServer } from "./tools/natsServer/server.ts"
      await Effect.runPromise(Effect.scoped(Effect.flatMap(startNatsServer({ line: "${line}" }), (server) => {
        console.log(JSON.stringify({ port: server.port, storeDir: server.storeDir }))
        ${ending === "exit" ? "process.exit()" : "process.kill(process.pid, 'SIGTERM')"}
        return Effect.never
      })))
    `
    execFile(process.execPath, ["--input-type=module", "-e", script], (error, stdout, stderr) => {
      // A process that ends by SIGTERM is reported as an error here. It has failed only if it printed nothing.
      resume(stdout === "" ? Effect.fail(new Error(`${String(error)}\n${stderr}`)) : Effect.succeed(stdout))
    })
  }).pipe(Effect.flatMap(Schema.decodeEffect(Started)))

layer(layerNatsServer("2.15"), { excludeTestServices: true })("a server of the line 2.15 as a layer", (it) => {
  it.effect("2.15: provides a running server to the tests of a block", () =>
    Effect.gen(function*() {
      const server = yield* NatsServer
      yield* readInfo(server.port)
    }))
})

// -----------------------------------------------------------------------------
// apt sources
// -----------------------------------------------------------------------------

const debian = { uri: "http://mirror.example/debian", suite: "bookworm", components: ["main"] }
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

const parsing: ReadonlyArray<{
  readonly title: string
  readonly file: string
  readonly text: string
  readonly sources: ReadonlyArray<AptSource>
}> = [
  {
    title: "reads a line without options",
    file: "sources.list",
    text: "deb http://mirror.example/debian bookworm main",
    sources: [{ ...debian, signedBy: undefined }]
  },
  {
    title: "reads a line with options, several components and extra spaces",
    file: "sources.list",
    text: `  deb  [ arch=amd64,arm64 signed-by=${keyring} ]  http://mirror.example/debian\tbookworm main contrib`,
    sources: [{ ...debian, components: ["main", "contrib"], signedBy: keyring }]
  },
  {
    title: "ignores comments, deb-src and blank lines",
    file: "a.list",
    text: `
# deb http://mirror.example/debian trixie main
deb-src http://mirror.example/debian bookworm main
#
deb http://mirror.example/debian bookworm main # the archive
`,
    sources: [{ ...debian, signedBy: undefined }]
  },
  {
    title: "reads a stanza with field names in any case and a comment inside",
    file: "debian.sources",
    text: `Types: deb deb-src
# where it was taken from
uris: http://mirror.example/debian
SUITES: bookworm
Components: main
Signed-By: ${keyring}`,
    sources: [{ ...debian, signedBy: keyring }]
  },
  {
    title: "reads every suite of a stanza, and every stanza",
    file: "debian.sources",
    text: `Types: deb
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib

# the second one
Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
`,
    sources: [
      { ...debian, components: ["main", "contrib"], signedBy: undefined },
      { ...debian, suite: "bookworm-updates", components: ["main", "contrib"], signedBy: undefined },
      {
        uri: "http://mirror.example/debian-security",
        suite: "bookworm-security",
        components: ["main"],
        signedBy: undefined
      }
    ]
  },
  {
    title: "reads an embedded key unchanged",
    file: "debian.sources",
    text: `Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
Components:
  main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
 -----END PGP PUBLIC KEY BLOCK-----
Architectures: amd64`,
    sources: [{
      ...debian,
      signedBy: "\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n -----END PGP PUBLIC KEY BLOCK-----"
    }]
  },
  {
    title: "ignores stanzas that are disabled or have only deb-src",
    file: "debian.sources",
    text: `Enabled: no
Types: deb
URIs: http://mirror.example/debian
Suites: bookworm
Components: main

Types: deb-src
URIs: http://mirror.example/debian
Suites: bookworm
Components: main`,
    sources: []
  }
]

const choosing: ReadonlyArray<{
  readonly title: string
  readonly text: string
  readonly chosen: string | undefined
}> = [
  {
    title: "returns the archive, not its updates, security or backports",
    text: `
deb http://mirror.example/debian bookworm-updates main
deb http://mirror.example/debian-security bookworm-security main
deb http://mirror.example/debian bookworm-backports main
deb http://mirror.example/debian bookworm main`,
    chosen: "http://mirror.example/debian bookworm"
  },
  {
    title: "prefers the entry with Debian's keyring, whatever its address",
    text: `
deb http://other.example/debian stable main
deb [signed-by=${keyring}] http://mirror.example/cache/x trixie main`,
    chosen: "http://mirror.example/cache/x trixie"
  },
  {
    title: "ignores a third party with another keyring, a Debian suite and a component main",
    text: `
deb [arch=amd64 signed-by=/usr/share/keyrings/other.gpg] https://other.example/debian/12/prod bookworm main
deb http://mirror.example/debian/ bookworm main`,
    chosen: "http://mirror.example/debian/ bookworm"
  },
  {
    title: "ignores third parties, other distributions and CD-ROMs",
    text: `
deb https://other.example/chrome/deb stable main
deb http://other.example/ubuntu noble main
deb cdrom:[x]/debian bookworm main
deb https://other.example/linux/debian bookworm stable
deb https://other.example/debian cloud-sdk-bookworm main
deb https://other.example/debian ./`,
    chosen: undefined
  },
  {
    title: "accepts a list of mirrors",
    text: "deb mirror+file:/etc/apt/mirrors/debian.list sid main",
    chosen: "mirror+file:/etc/apt/mirrors/debian.list sid"
  }
]

describe("apt sources", () => {
  for (const { file, sources, text, title } of parsing) {
    it(`parseAptSources ${title}`, () => {
      assert.deepStrictEqual(parseAptSources(file, text), sources)
    })
  }

  for (const { chosen, text, title } of choosing) {
    it(`mainArchive ${title}`, () => {
      const source = mainArchive(parseAptSources("sources.list", text))
      assert.strictEqual(source === undefined ? undefined : `${source.uri} ${source.suite}`, chosen)
    })
  }
})
