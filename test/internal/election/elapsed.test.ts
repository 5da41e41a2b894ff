/** The elapsed time of a leader. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Schema from "effect/Schema"
import { ElapsedTime } from "../../../src/internal/election/elapsed.ts"

describe("elapsed time", () => {
  /** The two clocks of a host, set by the test, in milliseconds. */
  const makeClocks = () => {
    let monotonic = 5000
    let wall = 1_000_000
    const clock: Clock.Clock = {
      ...Clock.Clock.defaultValue(),
      currentTimeMillisUnsafe: () => wall,
      monotonicTimeNanosUnsafe: () => BigInt(Math.round(monotonic * 1_000_000))
    }
    const elapsed = new ElapsedTime(clock)
    return {
      elapsed,
      /** Advances the clocks, and returns the elapsed time. */
      after: (monotonicDelta: number, wallDelta: number): number => {
        monotonic += monotonicDelta
        wall += wallDelta
        return elapsed.sample()
      }
    }
  }

  const table: ReadonlyArray<readonly [what: string, monotonic: number, wall: number, elapsed: number]> = [
    ["0 if no clock has advanced", 0, 0, 0],
    ["the difference of both clocks if they agree", 1000, 1000, 1000],
    ["the monotonic difference if the wall clock was set back", 1000, -86_400_000, 1000],
    ["the monotonic difference if the wall clock is slow", 1000, 400, 1000],
    ["the wall-clock difference if the machine was suspended", 0, 30_000, 30_000],
    ["the wall-clock difference if it was set forward", 1000, 86_400_000, 86_400_000],
    ["0 if only the wall clock has moved, backwards", 0, -5000, 0],
    ["0 if both clocks have moved backwards", -10, -10, 0],
    ["a fraction of a millisecond", 0.25, 0, 0.25]
  ]
  for (const [what, monotonic, wall, expected] of table) {
    it(`is ${what}`, () => {
      assert.strictEqual(makeClocks().after(monotonic, wall), expected)
    })
  }

  it("is the sum over samples of the larger difference", () => {
    const { after } = makeClocks()
    assert.strictEqual(after(1000, 1000), 1000)
    assert.strictEqual(after(0, 5000), 6000)
    assert.strictEqual(after(1000, -5000), 7000)
    // The wall clock is back to normal, and its earlier step stays counted.
    assert.strictEqual(after(0, 0), 7000)
    assert.strictEqual(after(1000, 1000), 8000)
  })

  it("does not run faster if it is sampled often, although the wall clock has a resolution of 1 ms", () => {
    const { after } = makeClocks()
    let elapsed = 0
    for (let asked = 1; asked <= 10_000; asked++) elapsed = after(0.1, asked % 10 === 0 ? 1 : 0)
    assert.isTrue(elapsed >= 999.9 && elapsed < 1002, `${elapsed}`)
  })

  it("includes all time of the wall clock, also with frequent samples, while the monotonic clock is slow or stopped", () => {
    for (const monotonic of [0, 0.5, 0.99]) {
      const { after } = makeClocks()
      let elapsed = 0
      for (let asked = 1; asked <= 1000; asked++) elapsed = after(monotonic, 1)
      assert.isTrue(elapsed >= 998 && elapsed <= 1000.1, `${elapsed}`)
    }
  })

  const Forward = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))
  const Delta = Schema.Int.check(Schema.isBetween({ minimum: -1000, maximum: 1000 }))
  it.prop(
    "never falls behind the monotonic clock, or behind the wall clock by more than 2 ms, between any two samples",
    { steps: Schema.Array(Schema.Tuple([Forward, Delta])) },
    ({ steps }) => {
      const { after, elapsed } = makeClocks()
      const samples = [{ monotonic: 0, wall: 0, elapsed: elapsed.sample() }]
      for (const [monotonic, wall] of steps) {
        const now = { monotonic: 0, wall: 0, elapsed: after(monotonic, wall) }
        for (const before of samples) {
          before.monotonic += monotonic
          before.wall += wall
          assert.isAtLeast(now.elapsed - before.elapsed, before.monotonic)
          assert.isAtLeast(now.elapsed - before.elapsed, before.wall - 2)
        }
        samples.push(now)
      }
    }
  )
})
