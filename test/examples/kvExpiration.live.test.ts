/**
 * The example as its readers run it: its own output is what is checked. It
 * imports the package by name, so it runs what was built.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { startNatsServer } from "../../tools/natsServer/server.ts"

const program = fileURLToPath(new URL("../../examples/kv-expiration.ts", import.meta.url))

interface Ended {
  readonly code: number | string | null | undefined
  readonly said: string
  readonly complained: string
}

/** Ends it where it does not end by itself; it takes some six seconds, and more beside others. */
const longest = 20_000

const run = (env: { readonly [name: string]: string }, ...args: ReadonlyArray<string>) =>
  Effect.callback<Ended>((resume) => {
    const child = execFile(
      process.execPath,
      [program, ...args],
      { env: { ...process.env, AEGIS_NATS_URL: undefined, ...env }, timeout: longest },
      (error, said, complained) => resume(Effect.succeed({ code: error === null ? 0 : error.code, said, complained }))
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const told = /a watch was told: price \(expire\)/
const cannot = /not on this server: .*expiryMarkers.*2\.11.*2\.10\.\d+/

const tellsTheStory = (where: RegExp, ofMarkers: RegExp) => ({ code, complained, said }: Ended) => {
  assert.strictEqual(code, 0, `${said}\n${complained}`)
  assert.strictEqual(complained, "")
  const story = [
    where,
    /price was written three times; its history holds 3/,
    /price is gone: not its history alone, the latest value too; its history holds 0/,
    /a watch was told of 0 removals/,
    ofMarkers,
    /live: worker-1, worker-2$/,
    /live: worker-1$/,
    /stored all the while: worker-1, worker-2$/,
    /found too old: worker-2; but its heartbeat comes before it is removed/,
    /worker-2 was written since, and is kept/,
    /worker-2 was removed/,
    /getUnexpired gives Ann's/,
    /it is too old: get gives Ann's, getUnexpired gives none/,
    /and has removed it: get gives none/
  ]
  const lines = said.split("\n")
  let line = 0
  for (const text of story) {
    const found = lines.findIndex((one, index) => index >= line && text.test(one))
    assert.isAtLeast(found, line, `${text} is not in its place:\n${said}`)
    line = found + 1
  }
  // Each of the lines with a time is one that was looked for, but for the one that comes before a marker.
  const timed = lines.filter((one) => /^ +\d+\.\d\d s /.test(one)).length
  assert.strictEqual(timed, story.length - 1 + (ofMarkers === told ? 1 : 0), said)
}

// Each of these waits most of its time.
describe("the example of expiration", { concurrent: true }, () => {
  it.live("tells its story in memory", () => Effect.map(run({}), tellsTheStory(/in memory/, told)))

  it.live("brings its own server where it is asked to", () =>
    Effect.map(run({}, "--nats"), tellsTheStory(/on nats-server 2\.1[1-9]/, told)))

  for (const line of ["2.10", "2.15"] as const) {
    it.live(`tells it on a server of the line ${line}, and again`, () =>
      Effect.gen(function*() {
        const { url, version } = yield* startNatsServer({ line })
        const tells = tellsTheStory(new RegExp(`on nats-server ${version}`), line === "2.10" ? cannot : told)
        tells(yield* run({ AEGIS_NATS_URL: url }))
        // What a run leaves behind does not stand in the way of the next.
        tells(yield* run({ AEGIS_NATS_URL: url }))
      }), 60_000)
  }

  for (const url of ["nats://127.0.0.1:1", "not a url", ""]) {
    it.live(`says in one line why AEGIS_NATS_URL="${url}" does not serve`, () =>
      Effect.map(run({ AEGIS_NATS_URL: url }), ({ code, complained, said }) => {
        assert.strictEqual(code, 1)
        assert.strictEqual(said, "")
        assert.match(complained, /^kv-expiration: connect: [^\n]+\n$/)
      }))
  }
})
