/**
 * The example as its readers run it: its own output is what is checked. It
 * imports the package by name, so it runs what was built.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { startNatsServer } from "../../tools/natsServer/server.ts"

const program = fileURLToPath(new URL("../../examples/fleet.ts", import.meta.url))

interface Ended {
  readonly code: number | string | null | undefined
  readonly said: string
  readonly complained: string
}

const fleet = (env: { readonly [name: string]: string }) =>
  Effect.callback<Ended>((resume) => {
    const child = execFile(
      process.execPath,
      [program],
      { env: { ...process.env, ...env }, timeout: 25_000 },
      (error, said, complained) => resume(Effect.succeed({ code: error === null ? 0 : error.code, said, complained }))
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

/** Who led, in order, and with which token. */
const terms = (said: string) => [...said.matchAll(/(\S+) +LEADS, term (\d+), fencing token (\S+)/g)]

const lineOf = (said: string, text: RegExp, from = 0): number =>
  said.split("\n").findIndex((line, index) => index >= from && text.test(line))

const tellsTheStory = ({ code, complained, said }: Ended) => {
  assert.strictEqual(code, 0, `${said}\n${complained}`)
  const leaders = terms(said)
  assert.deepStrictEqual(
    leaders.map((one) => one[2]),
    [...leaders.keys()].map((index) => String(index + Number(leaders[0]![2])))
  )
  assert.strictEqual(new Set(leaders.map((one) => one[1])).size, 3, "three leaders")
  const tokens = leaders.map((one) => one[3]!)
  assert.deepStrictEqual(tokens, tokens.toSorted(), "tokens grow")
  const first = leaders[0]![1]
  const crash = lineOf(said, new RegExp(`${first} is crashed`))
  const story = [
    /is crashed/,
    /nobody leads/,
    /is asked to hand over/,
    /billing-2 +has deregistered/,
    /billing-1 +has sent no heartbeat for too long: it has expired/,
    /billing-1 +was cleaned up/
  ].map((text) => lineOf(said, text, crash))
  assert.isTrue(story.every((line) => line >= 0), said)
  assert.deepStrictEqual(story, story.toSorted((a, b) => a - b), "in this order")
  assert.isAbove(lineOf(said, new RegExp(`${first} +was cleaned up`)), 0)
}

describe("the fleet example", () => {
  it.live("tells its story in memory", () => Effect.map(fleet({}), tellsTheStory))

  for (const line of ["2.10", "2.15"] as const) {
    it.live(`tells it across processes on ${line}, where the crash is a SIGKILL`, () =>
      Effect.gen(function*() {
        const { url } = yield* startNatsServer({ line })
        tellsTheStory(yield* fleet({ AEGIS_NATS_URL: url }))
        // What a run leaves behind does not stand in the way of the next.
        if (line === "2.15") tellsTheStory(yield* fleet({ AEGIS_NATS_URL: url }))
      }), 60_000)
  }

  for (const url of ["nats://127.0.0.1:1", "not a url", ""]) {
    it.live(`says in one line why AEGIS_NATS_URL="${url}" does not serve`, () =>
      Effect.map(fleet({ AEGIS_NATS_URL: url }), ({ code, complained, said }) => {
        assert.strictEqual(code, 1)
        assert.strictEqual(said, "")
        assert.match(complained, /^fleet: connect: [^\n]+\n$/)
      }))
  }
})
