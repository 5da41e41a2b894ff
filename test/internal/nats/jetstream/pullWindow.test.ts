/** The window of a connection: which pulls are granted, and how its size follows the connection. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { TestClock } from "effect/testing"
import {
  afterLoss,
  afterPull,
  type Grant,
  initialSize,
  PullWindow,
  waitingBytes
} from "../../../../src/internal/nats/jetstream/pullWindow.ts"
import { settle } from "../../../support/fakeServer.ts"
import { grow } from "../../../support/pullWindows.ts"

const mebibyte = 1024 * 1024

/** A window, and a function that requests a pull and returns its grant, which is undefined until it is granted. */
const newWindow = Effect.gen(function*() {
  const window = new PullWindow(yield* Clock.Clock)
  const lines: Array<unknown> = []
  const logger = Logger.make<unknown, void>(({ message }) => void lines.push(message))
  yield* Effect.forkScoped(Effect.provide(window.keepPauses(), Logger.layer([logger])))
  yield* settle
  const ask = (kind: "small" | "large", what = "a watch", atLeast = 0) => {
    const pull: { grant: Grant | undefined; withdraw: () => void } = { grant: undefined, withdraw: () => undefined }
    pull.withdraw = window.ask(kind, {
      what,
      atLeast,
      granted: (grant) => {
        pull.grant = grant
      }
    })
    return pull
  }
  return { window, ask, lines }
})

/** The same with a window that has grown to its full size. */
const makeWindow = Effect.tap(newWindow, ({ window }) => Effect.sync(() => grow(window)))

const bytesOf = (pulls: ReadonlyArray<{ grant: Grant | undefined }>) => pulls.map(({ grant }) => grant?.bytes ?? 0)

describe("the window of a connection", () => {
  it.effect("has 512 KiB at first, for two large and two small pulls, and grows while pulls end fast", () =>
    Effect.gen(function*() {
      const { ask } = yield* newWindow
      const pulls = [ask("large"), ask("large"), ask("large"), ask("small"), ask("small"), ask("small")]
      assert.deepStrictEqual(bytesOf(pulls), [192, 192, 0, 64, 64, 0].map((n) => n * 1024))
      pulls[0]!.grant!.arrived(192 * 1024)
      pulls[0]!.grant!.end()
      assert.strictEqual(pulls[2]!.grant!.bytes, 264 * 1024)
    }))

  it.effect("counts the time of a pull without the round trip of the connection", () =>
    Effect.gen(function*() {
      const { ask, window } = yield* newWindow
      const pullFor = Effect.fnUntraced(function*(millis: number) {
        const { grant } = ask("large")
        yield* TestClock.adjust(millis)
        grant!.arrived(grant!.bytes)
        grant!.end()
        return grant!.bytes / 1024
      })
      window.answered(500)
      window.answered(300)
      window.answered(400)
      assert.deepStrictEqual([yield* pullFor(400), yield* pullFor(551), yield* pullFor(400)], [192, 264, 132])
      // Another connection can have another round trip.
      window.lost()
      assert.deepStrictEqual([yield* pullFor(400), yield* pullFor(1)], [181.5, 90.75])
    }))

  it.effect("grants large pulls of 1 MiB, six at once, and the others in the order of their requests", () =>
    Effect.gen(function*() {
      const { ask } = yield* makeWindow
      const pulls = Array.from({ length: 9 }, () => ask("large"))
      assert.deepStrictEqual(bytesOf(pulls), [1, 1, 1, 1, 1, 1, 0, 0, 0].map((n) => n * mebibyte))
      pulls[4]!.grant!.end()
      pulls[2]!.grant!.end()
      assert.deepStrictEqual(pulls.map(({ grant }) => grant !== undefined).lastIndexOf(true), 7)
    }))

  it.effect("grants small pulls although the large ones are used up", () =>
    Effect.gen(function*() {
      const { ask } = yield* makeWindow
      for (let n = 0; n < 20; n++) ask("large")
      const small = Array.from({ length: 33 }, () => ask("small"))
      assert.strictEqual(bytesOf(small).filter((bytes) => bytes === 64 * 1024).length, 32)
    }))

  it.effect("grants listings in turn with large pulls, each in the order of their requests", () =>
    Effect.gen(function*() {
      const { window } = yield* makeWindow
      const granted: Array<string> = []
      const grants: Array<Grant> = []
      const ask = (kind: "large" | "listing", what: string) =>
        window.ask(kind, {
          what,
          atLeast: 8 * mebibyte,
          granted: (grant) => {
            granted.push(what)
            grants.push(grant)
          }
        })
      for (const what of ["a", "b", "c", "d"]) ask("large", what)
      const withdraw = ask("listing", "0")
      for (const what of ["1", "2"]) ask("listing", what)
      withdraw()
      for (let n = 0; n < 5; n++) grants[n]!.end()
      assert.deepStrictEqual(granted, ["a", "1", "b", "2", "c", "d"])
    }))

  it.effect("counts the bytes requested and not received", () =>
    Effect.gen(function*() {
      const { ask } = yield* makeWindow
      const pulls = Array.from({ length: 6 }, () => ask("large"))
      const waiting = ask("large")
      for (const { grant } of pulls) grant!.arrived(mebibyte / 2)
      // The received bytes are free, but a pull is granted only when another one has ended.
      assert.isUndefined(waiting.grant)
      const others = [ask("large"), ask("large"), ask("large")]
      assert.deepStrictEqual(bytesOf([waiting, ...others]), [1, 1, 1, 0].map((n) => n * mebibyte))
    }))

  it.effect("grants a pull that is larger than the window when no other one is under way", () =>
    Effect.gen(function*() {
      const { ask } = yield* makeWindow
      const first = ask("large")
      const huge = ask("large", "a watch", 128 * mebibyte)
      const last = ask("large")
      assert.deepStrictEqual(bytesOf([first, huge, last]), [mebibyte, 0, 0])
      first.grant!.end()
      assert.deepStrictEqual(bytesOf([huge, last]), [128 * mebibyte, 0])
      huge.grant!.end()
      assert.strictEqual(last.grant?.bytes, mebibyte)
    }))

  it.effect("does not grant a withdrawn pull, and ends a grant once", () =>
    Effect.gen(function*() {
      const { ask } = yield* makeWindow
      const pulls = Array.from({ length: 6 }, () => ask("large"))
      const [withdrawn, next, last] = [ask("large"), ask("large"), ask("large")]
      withdrawn.withdraw()
      pulls[0]!.grant!.end()
      pulls[0]!.grant!.end()
      assert.deepStrictEqual(bytesOf([withdrawn, next, last]), [0, mebibyte, 0])
    }))

  it.effect("shrinks while pulls take long, once for all that were under way, and grows again", () =>
    Effect.gen(function*() {
      const { ask } = yield* makeWindow
      const drain = Effect.fnUntraced(function*(millis: number) {
        const pulls = Array.from({ length: 20 }, () => ask("large"))
        const granted = pulls.filter(({ grant }) => grant !== undefined)
        for (const { withdraw } of pulls) withdraw()
        yield* TestClock.adjust(millis)
        for (const { grant } of granted) {
          grant!.arrived(grant!.bytes)
          grant!.end()
        }
        return granted.reduce((sum, { grant }) => sum + grant!.bytes, 0) / mebibyte
      })
      assert.deepStrictEqual([yield* drain(300), yield* drain(300), yield* drain(200)], [6, 3, 1.5])
      assert.deepStrictEqual([yield* drain(50), yield* drain(50)], [1.5, 2])
    }))

  it.effect("counts the time of a pull until its last message, and nothing of one without messages", () =>
    Effect.gen(function*() {
      const { ask } = yield* makeWindow
      const one = ask("large").grant!
      const none = ask("large").grant!
      one.arrived(1000)
      yield* TestClock.adjust("5 seconds")
      one.end()
      none.end()
      const granted = Array.from({ length: 20 }, () => ask("large")).filter(({ grant }) => grant !== undefined)
      assert.strictEqual(granted.length, 6)
    }))

  it.effect("after a loss with much under way pauses large pulls, longer after each loss, and names the largest", () =>
    Effect.gen(function*() {
      const { ask, lines, window } = yield* makeWindow
      const lose = () => {
        ask("large", "the watch of > in stream KV_small").grant?.arrived(1000)
        ask("large", "the watch of > in stream KV_large")
        window.lost()
      }
      lose()
      yield* settle
      // The server may have been stopped: only a loss that follows another one is a warning.
      assert.deepStrictEqual(lines, [])
      const paused = ask("large")
      assert.isDefined(ask("small").grant)
      yield* TestClock.adjust("950 millis")
      assert.isUndefined(paused.grant)
      yield* TestClock.adjust("100 millis")
      paused.grant!.end()
      lose()
      const again = ask("large")
      yield* TestClock.adjust("1950 millis")
      assert.isUndefined(again.grant)
      yield* TestClock.adjust("100 millis")
      assert.isDefined(again.grant)
      assert.strictEqual(lines.length, 1)
      assert.match(
        String(lines[0]),
        /lost while \d+ requested bytes .*most of them for the watch of > in stream KV_large/
      )
    }))

  it.effect("ignores a loss with little under way", () =>
    Effect.gen(function*() {
      const { ask, lines, window } = yield* makeWindow
      ask("large").grant!.arrived(mebibyte - 1000)
      window.lost()
      assert.isDefined(ask("large").grant)
      yield* settle
      assert.deepStrictEqual(lines, [])
    }))

  it.effect("grants nothing twice that was under way when the connection was lost", () =>
    Effect.gen(function*() {
      const { ask, window } = yield* makeWindow
      const before = Array.from({ length: 6 }, () => ask("small"))
      window.lost()
      for (const { grant } of before) grant!.end()
      const after = Array.from({ length: 200 }, () => ask("small"))
      // The window has shrunk: its part for small pulls is smaller than one of them, so they go alone.
      assert.strictEqual(after.filter(({ grant }) => grant !== undefined).length, 1)
    }))
})

describe("the size of the window", () => {
  it("is halved after a pull of more than 250 ms, kept from 100 ms on, and grows after a faster one", () => {
    const size = { bytes: 4 * mebibyte, ceiling: 8 * mebibyte }
    assert.deepStrictEqual(afterPull(size, mebibyte, 251), { ...size, bytes: 2 * mebibyte })
    assert.deepStrictEqual(afterPull(size, mebibyte, 250), size)
    assert.deepStrictEqual(afterPull(size, mebibyte, 101), size)
    assert.deepStrictEqual(afterPull(size, mebibyte, 100), { ...size, bytes: 5 * mebibyte })
    assert.strictEqual(afterPull(initialSize, mebibyte, 1).bytes, 1.5 * mebibyte)
    assert.deepStrictEqual(afterPull({ bytes: 8 * mebibyte, ceiling: 8 * mebibyte }, mebibyte, 1).bytes, 8 * mebibyte)
    assert.strictEqual(afterPull({ bytes: 130 * 1024, ceiling: mebibyte }, 1, 300).bytes, 128 * 1024)
  })

  it("is at most a quarter of the bytes under way when the connection was lost, at least 128 KiB", () => {
    const size = { bytes: 4 * mebibyte, ceiling: 8 * mebibyte }
    assert.deepStrictEqual(afterLoss(size, 4 * mebibyte), { bytes: mebibyte, ceiling: mebibyte })
    assert.deepStrictEqual(afterLoss({ bytes: mebibyte, ceiling: mebibyte }, 8 * mebibyte), {
      bytes: mebibyte,
      ceiling: mebibyte
    })
    assert.deepStrictEqual(afterLoss(size, 1000), { bytes: 128 * 1024, ceiling: 128 * 1024 })
  })
})

describe("the bytes of a pull that waits", () => {
  const table: ReadonlyArray<readonly [consumers: number, ceiling: number, kibibytes: number]> = [
    [1, 8 * mebibyte, 256],
    [16, 8 * mebibyte, 256],
    [32, 8 * mebibyte, 128],
    [1000, 8 * mebibyte, 16],
    [1, 128 * 1024, 64],
    [2, 128 * 1024, 32]
  ]
  for (const [consumers, ceiling, kibibytes] of table) {
    it(`are ${kibibytes} KiB with ${consumers} consumers and a window of at most ${ceiling / 1024} KiB`, () =>
      assert.strictEqual(waitingBytes({ bytes: 1, ceiling }, consumers), kibibytes * 1024))
  }

  it.effect("follow the consumers of the connection", () =>
    Effect.gen(function*() {
      const window = new PullWindow(yield* Clock.Clock)
      const leave = Array.from({ length: 64 }, () => window.join())
      assert.strictEqual(window.waiting, 64 * 1024)
      for (const one of leave) one()
      assert.strictEqual(window.waiting, 256 * 1024)
    }))
})
