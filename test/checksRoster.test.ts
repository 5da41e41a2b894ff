/** Each rule of the checker of a registry: histories that keep it, and the shortest that break it. */
import { assert, describe, it } from "@effect/vitest"
import * as Checks from "../src/testing/Checks.ts"

/** Bounds are at 20 and 40 s of age for a list, at 10 and 50 s for a watch. */
const times: Checks.RosterTimes = { maxAge: 30_000, heartbeat: 10_000, lateness: 10_000 }
const exact: Checks.RosterTimes = { ...times, lateness: 0 }

const rules = (violations: ReadonlyArray<Checks.Violation>) => violations.map(({ rule }) => rule)

const beats = (...at: ReadonlyArray<number>): ReadonlyArray<Checks.Beat> =>
  at.map((at) => ({ instance: "orders/1", at }))
/** Another instance of another service, so that the store is known to take writes. */
const others = Array.from({ length: 60 }, (_, index): Checks.Beat => ({ instance: "mail/1", at: index * 4_000 }))
const removal = (at: number, how: Checks.Removal["how"] = "deregistered"): Checks.Removal => ({
  instance: "orders/1",
  at,
  how
})

const check = (history: Partial<Checks.RosterHistory>, by = times) =>
  Checks.rosterIsTrue({ beats: [], removals: [], lives: [], troubles: [], looks: [], end: 200_000, ...history }, by)

const look = (from: number, until: number, isIn: boolean, how: Checks.Look["how"] = "list"): Checks.Look => ({
  node: "a",
  from,
  until,
  service: "orders",
  instances: isIn ? ["orders/1"] : [],
  how
})

/** What must be, whatever the answer: of one look, given what the store took. */
const verdict = (
  history: Partial<Checks.RosterHistory>,
  from: number,
  until: number,
  how: Checks.Look["how"] = "list",
  by = times
) => {
  const judge = (isIn: boolean) => check({ ...history, looks: [look(from, until, isIn, how)] }, by).length === 0
  const [mayBeIn, mayBeOut] = [judge(true), judge(false)]
  return mayBeIn && mayBeOut ? "either" : mayBeIn ? "in" : mayBeOut ? "out" : "none"
}

describe("a list", () => {
  it("has whoever is exactly maxAge old, and nobody older, where nothing is late", () => {
    assert.strictEqual(verdict({ beats: beats(1_000) }, 31_000, 31_000, "list", exact), "in")
    assert.strictEqual(verdict({ beats: beats(1_000) }, 31_001, 31_001, "list", exact), "out")
  })

  it("is free while an age may be taken for another", () => {
    const history = { beats: beats(100_000) }
    assert.strictEqual(verdict(history, 120_000, 120_000), "in")
    assert.strictEqual(verdict(history, 120_001, 120_001), "either")
    assert.strictEqual(verdict(history, 140_000, 140_000), "either")
    assert.strictEqual(verdict(history, 140_001, 140_001), "out")
  })

  it("may have been read at any moment between the question and the answer", () => {
    const history = { beats: beats(100_000) }
    assert.strictEqual(verdict(history, 110_000, 120_001), "either", "too old at the answer only")
    assert.strictEqual(verdict(history, 140_000, 150_000), "either", "not too old at the question")
    assert.strictEqual(verdict(history, 99_000, 101_000), "either", "beat in between")
    assert.strictEqual(verdict(history, 100_000, 101_000), "in")
    assert.strictEqual(verdict(history, 98_000, 99_999), "out", "had not beaten yet")
  })

  it("leaves out whoever was removed, until it beats again", () => {
    const history = { beats: beats(100_000, 106_000), removals: [removal(103_000, "expired")] }
    assert.strictEqual(verdict(history, 102_000, 102_500), "in")
    assert.strictEqual(verdict(history, 102_000, 103_000), "either", "removed in between")
    assert.strictEqual(verdict(history, 103_000, 104_000), "either", "removed at the question")
    assert.strictEqual(verdict(history, 103_001, 105_999), "out")
    assert.strictEqual(verdict(history, 104_000, 106_000), "either", "back at the answer")
    assert.strictEqual(verdict(history, 106_000, 107_000), "in")
  })

  it("is free after a removal and a beat of one instant", () => {
    const history = { beats: beats(100_000), removals: [removal(100_000)] }
    assert.strictEqual(verdict(history, 101_000, 101_000), "either")
  })

  it("is held to ages alone once the stream was lost: it may have been rolled back", () => {
    const history = { beats: beats(100_000), removals: [removal(101_000), removal(102_000, "lost")] }
    assert.strictEqual(verdict(history, 101_500, 101_600), "out")
    assert.strictEqual(verdict(history, 103_000, 103_000), "either")
    assert.strictEqual(verdict(history, 140_001, 140_001), "out")
  })

  it("may be behind by readLag on a replicated bucket", () => {
    const behind = { ...times, readLag: 500 }
    const history = { beats: beats(100_000), removals: [removal(103_000)] }
    assert.strictEqual(verdict(history, 100_499, 100_600, "list", behind), "either")
    assert.strictEqual(verdict(history, 100_500, 100_600, "list", behind), "in")
    assert.strictEqual(verdict(history, 103_500, 103_600, "list", behind), "either")
    assert.strictEqual(verdict(history, 103_501, 103_600, "list", behind), "out")
  })

  it("has only instances of its service, and only those that have ever beaten", () => {
    const asked = { ...look(5_000, 5_100, true), instances: ["mail/1", "orders/9"] }
    const lives: ReadonlyArray<Checks.Life> = [
      { instance: "orders/9", node: "b", from: 5_000, until: 5_000, ended: "crashed" }
    ]
    const found = check({ beats: others, lives, looks: [asked] })
    assert.deepStrictEqual(found.map(({ message }) => message), [
      "the list of \"orders\" on a has orders/9, which has never beaten",
      "the list of \"orders\" on a has mail/1, which is no instance of it"
    ])
  })

  it("is judged also where there is trouble: it is an answer", () => {
    const troubles = [{ node: undefined, from: 0, until: 200_000 }]
    assert.strictEqual(verdict({ beats: beats(100_000), troubles }, 110_000, 110_000), "in")
  })

  it("is not held to ages after trouble of its own node until it can have asked the store for the time", () => {
    const troubles = [{ node: "a", from: 120_000, until: 150_000 }, { node: undefined, from: 155_000, until: 170_000 }]
    assert.strictEqual(verdict({ beats: beats(100_000), troubles }, 183_000, 183_000), "either")
    assert.strictEqual(verdict({ beats: beats(100_000), troubles }, 183_001, 183_001), "out")
    const before = [{ node: undefined, from: 100_000, until: 145_000 }, { node: "a", from: 150_000, until: 151_000 }]
    assert.strictEqual(verdict({ beats: beats(100_000), troubles: before }, 149_999, 149_999), "out")
  })

  it("is not held to ages just after trouble of its own node, which may have missed time", () => {
    const troubles = [{ node: "a", from: 120_000, until: 150_000 }]
    assert.strictEqual(verdict({ beats: beats(100_000), troubles }, 163_000, 163_000), "either")
    assert.strictEqual(verdict({ beats: beats(100_000), troubles }, 163_001, 163_001), "out")
    const removals = [removal(145_000)]
    assert.strictEqual(verdict({ beats: beats(100_000), removals, troubles }, 151_000, 151_000), "out")
  })

  it("shows the beat, or the removal, and the look", () => {
    const dead = look(140_500, 140_750, true)
    const [unseen, aged] = check({ beats: beats(90_000, 100_000), looks: [dead, look(100_250, 101_500, false)] })
    assert.deepStrictEqual(unseen, {
      rule: "the living are seen",
      at: 101_500,
      message: "the list of \"orders\" on a lacks orders/1, which beat 1.500 s ago",
      history: [
        "  100.000 s  orders/1  beats",
        "  101.500 s  a         is told of \"orders\": [], asked at 100.250 s"
      ]
    })
    assert.deepStrictEqual(aged, {
      rule: "the dead are not seen",
      at: 140_750,
      message: "the list of \"orders\" on a has orders/1, which has not beaten for 40.750 s",
      history: [
        "  100.000 s  orders/1  beats",
        "  140.750 s  a         is told of \"orders\": [orders/1], asked at 140.500 s"
      ]
    })
    const removals = [removal(99_000, "swept"), removal(100_500)]
    const [removed] = check({ beats: beats(99_500, 100_000), removals, looks: [look(101_000, 101_000, true)] })
    assert.strictEqual(removed?.message, "the list of \"orders\" on a has orders/1, which was removed 0.500 s ago")
    assert.strictEqual(removed.history[0], "  100.500 s  orders/1  is deregistered")
  })
})

describe("a watch", () => {
  const history = { beats: [...others, ...beats(100_000)] }
  const watched = (at: number, more: Partial<Checks.RosterHistory> = {}) =>
    verdict({ ...history, ...more }, at, at, "watch")

  it("is late by a delivery more than a list, at each bound", () => {
    const removals = [removal(105_000)]
    const recent = { beats: [...others, ...beats(85_000, 100_000)] }
    assert.strictEqual(watched(109_999), "either")
    assert.strictEqual(watched(110_000), "in")
    assert.strictEqual(watched(110_001), "either")
    assert.strictEqual(watched(95_000, recent), "in", "by the beat before")
    assert.strictEqual(watched(150_000), "either")
    assert.strictEqual(watched(150_001), "out")
    assert.strictEqual(watched(115_000, { removals }), "either")
    assert.strictEqual(watched(115_001, { removals }), "out")
  })

  it("is not judged while its node or the store has trouble, nor until it has settled", () => {
    for (const node of ["a", undefined]) {
      const troubles = [{ node, from: 150_500, until: 151_000 }]
      assert.strictEqual(watched(150_400, { troubles }), "out")
      assert.strictEqual(watched(150_600, { troubles }), "either")
      assert.strictEqual(watched(194_000, { troubles }), "either")
      assert.strictEqual(watched(194_001, { troubles }), "out")
    }
    assert.strictEqual(watched(150_600, { troubles: [{ node: "b", from: 150_500, until: 151_000 }] }), "out")
  })

  it("need not forget the silent where nobody has beaten for half of maxAge, nor until it has settled", () => {
    const paused = others.filter(({ at }) => at <= 120_000 || at >= 140_000)
    const silent = { beats: [...paused, ...beats(60_000)] }
    assert.strictEqual(watched(124_000, silent), "out")
    assert.strictEqual(watched(126_000, silent), "either", "from 5 s after the last beat of all")
    assert.strictEqual(watched(183_000, silent), "either")
    assert.strictEqual(watched(183_001, silent), "out")
    assert.strictEqual(
      watched(130_000, { ...silent, removals: [removal(100_000)] }),
      "out",
      "but it is told of removals"
    )
    assert.strictEqual(watched(160_000, { beats: beats(100_000) }), "out", "and one alone is suspected itself")
  })

  it("tells what it had", () => {
    const [violation] = check({ ...history, looks: [look(151_000, 151_000, true, "watch")] })
    assert.strictEqual(
      violation?.message,
      "the watch of \"orders\" on a has orders/1, which has not beaten for 51.000 s"
    )
    assert.strictEqual(violation.history[1], "  151.000 s  a         has \"orders\" in its roster as [orders/1]")
  })
})

const life = (from: number, until: number | undefined, parts: Partial<Checks.Life> = {}): Checks.Life => ({
  instance: "orders/1",
  node: "a",
  from,
  until,
  ended: until === undefined ? undefined : "deregistered",
  ...parts
})

describe("who lives", () => {
  const soon = { ...times, lateness: 1_000 }
  const living = (history: Partial<Checks.RosterHistory>, lived = life(50_000, undefined)) =>
    check({ lives: [lived], end: 100_000, ...history }, soon)

  it("may be silent for a heartbeat, what is late, and 3 s, and no longer", () => {
    assert.deepStrictEqual(living({ beats: beats(50_000, 62_000, 76_000, 86_000) }), [])
    assert.deepStrictEqual(rules(living({ beats: beats(50_000, 62_000, 76_001, 86_000) })), ["the living beat"])
    assert.deepStrictEqual(rules(living({ beats: beats(50_000, 62_000, 76_000, 85_999) })), ["the living beat"])
  })

  it("shows the last beat, and when the next was due", () => {
    const [violation, ...more] = living({ beats: beats(50_000, 60_000) })
    assert.deepStrictEqual(more, [])
    assert.deepStrictEqual(violation, {
      rule: "the living beat",
      at: 74_000,
      message: "orders/1 lives on a, and has not beaten for more than 14.000 s",
      history: [
        "   50.000 s  orders/1  is registered on a",
        "   60.000 s  orders/1  beats",
        "   74.000 s  orders/1  still lives, and has not beaten"
      ]
    })
  })

  it("has beaten at all, and after each time that it was forgotten", () => {
    assert.deepStrictEqual(rules(living({})), ["the living beat"])
    assert.deepStrictEqual(
      living({ beats: beats(50_000, 70_000, 95_000) }).map(({ history }) => history.at(-1)?.slice(0, 11)),
      ["   65.000 s", "   84.000 s"]
    )
  })

  it("tries again only once it is registered", () => {
    const troubles = [{ node: undefined, from: 500, until: 40_000 }]
    const lived = life(39_900, undefined, { registering: 0 })
    assert.deepStrictEqual(living({ beats: beats(100, 49_900), troubles, end: 55_000 }, lived), [])
  })

  it("may be silent in trouble, and comes back by itself", () => {
    const troubles = [{ node: "a", from: 55_000, until: 80_000 }]
    assert.deepStrictEqual(living({ beats: beats(50_000, 95_000), troubles }), [])
    const [violation] = living({ beats: beats(50_000, 95_001), troubles })
    assert.deepStrictEqual(violation?.history.map((line) => line.slice(0, 11)), [
      "   50.000 s",
      "   50.000 s",
      "   80.000 s",
      "   95.000 s"
    ])
    const earlier = [{ node: "a", from: 10_000, until: 20_000 }]
    assert.deepStrictEqual(living({ beats: beats(50_000, 64_000, 78_000, 90_000), troubles: earlier }), [])
    const later = [{ node: "a", from: 65_001, until: 90_000 }]
    assert.strictEqual(living({ beats: beats(50_000), troubles: later }).length, 1, "it was forgotten before that")
    const elsewhere = [{ node: "b", from: 55_000, until: 80_000 }]
    assert.strictEqual(living({ beats: beats(50_000, 95_000), troubles: elsewhere }).length, 1)
  })

  it("comes back at once from trouble of the store alone, where it had missed a beat", () => {
    const soon = { ...times, lateness: 1_000 }
    const troubles = [{ node: undefined, from: 65_000, until: 80_000 }]
    const back = (at: number, ...more: ReadonlyArray<Checks.Trouble>) =>
      rules(check({
        lives: [life(50_000, undefined)],
        beats: beats(50_000, 60_000, at, 94_000),
        troubles: [...troubles, ...more],
        end: 100_000
      }, soon))
    assert.deepStrictEqual(back(86_000), [])
    assert.deepStrictEqual(back(86_001), ["the living beat"])
    assert.deepStrictEqual(
      back(86_001, { node: "a", from: 62_000, until: 63_000 }),
      [],
      "its clock may have stood still"
    )
    assert.deepStrictEqual(back(86_001, { node: "b", from: 62_000, until: 63_000 }), ["the living beat"])
    const early = [{ node: undefined, from: 65_000, until: 71_000 }]
    const due = check({
      lives: [life(50_000, undefined)],
      beats: beats(50_000, 60_000, 84_000),
      troubles: early,
      end: 90_000
    }, soon)
    assert.deepStrictEqual(due, [], "none was missed by more than lateness")
  })

  it("owes no beat after its life has ended, or after others have deregistered it", () => {
    assert.deepStrictEqual(living({ beats: beats(50_000, 60_000) }, life(50_000, 74_000)), [])
    assert.deepStrictEqual(living({ beats: beats(50_000, 60_000), removals: [removal(70_000)] }), [])
    assert.strictEqual(living({ beats: beats(50_000, 60_000), removals: [removal(70_000, "expired")] }).length, 1)
    assert.strictEqual(living({ beats: beats(50_000, 60_000), removals: [removal(49_000)] }).length, 1)
  })
})

describe("who was deregistered", () => {
  /** Late is 4 s after the end of a life. */
  const soon = { ...times, lateness: 1_000 }
  const ended = life(50_000, 60_000)
  const after = (at: number, history: Partial<Checks.RosterHistory> = {}) =>
    check({ lives: [ended], end: 70_000, beats: beats(50_000, at), ...history }, soon)

  it("may have had a write under way, and stays away", () => {
    assert.deepStrictEqual(after(64_000), [])
    const [violation] = after(64_001, { removals: [removal(45_000), removal(60_020)] })
    assert.deepStrictEqual(violation, {
      rule: "the deregistered stay away",
      at: 64_001,
      message: "orders/1 was deregistered on a, and beat again 4.001 s later",
      history: [
        "   60.000 s  orders/1  begins to deregister on a",
        "   60.020 s  orders/1  is deregistered",
        "   64.001 s  orders/1  beats"
      ]
    })
  })

  it("is back where another life of it has begun", () => {
    const next = (...lives: ReadonlyArray<Checks.Life>) => [
      ...new Set(rules(after(66_000, { lives: [...lives, ended] })))
    ]
    assert.deepStrictEqual(next(life(66_500, undefined)), [], "its first write lands before register returns")
    assert.deepStrictEqual(next(life(69_001, undefined)), ["the deregistered stay away"])
    assert.deepStrictEqual(next(life(69_001, undefined, { registering: 66_000 })), [])
    assert.deepStrictEqual(next(life(55_000, undefined, { node: "b" })), [], "it took the id over")
    assert.deepStrictEqual(next(life(61_000, 62_000)), [], "and has just ended too")
    assert.deepStrictEqual(next(life(55_000, 56_000)), ["the deregistered stay away"])
    assert.deepStrictEqual(next(life(61_000, 62_000, { ended: "crashed" })), [], "a crash may leave a write under way")
    assert.deepStrictEqual(next(life(61_000, 61_999, { ended: "crashed" })), ["the deregistered stay away"])
    assert.deepStrictEqual(
      next(life(20_000, 30_000, { ended: "crashed" })),
      ["the deregistered stay away"],
      "which cannot land after another life has written"
    )
  })

  it("is not judged where it crashed, nor where there was trouble within 10 s", () => {
    assert.deepStrictEqual(after(66_000, { lives: [life(50_000, 60_000, { ended: "crashed" })] }), [])
    const trouble = (node: string | undefined, from: number, until: number) =>
      rules(after(66_000, { troubles: [{ node, from, until }] }))
    assert.deepStrictEqual(trouble("a", 40_000, 50_000), [])
    assert.deepStrictEqual(trouble(undefined, 70_000, 71_000), [])
    assert.deepStrictEqual(trouble("a", 40_000, 49_999), ["the deregistered stay away"])
    assert.deepStrictEqual(trouble(undefined, 70_001, 71_000), ["the deregistered stay away"])
    assert.deepStrictEqual(trouble("b", 55_000, 65_000), ["the deregistered stay away"])
  })
})

describe("the deregistered stay away: a bucket that is lost", () => {
  it("takes the tombstone with it, and nobody is held to what nobody can know", () => {
    const history = { lives: [life(50_000, 60_000)], beats: beats(58_000, 76_000) }
    assert.deepStrictEqual(rules(check(history)), ["the deregistered stay away"])
    assert.deepStrictEqual(rules(check({ ...history, removals: [removal(60_000, "lost")] })), [])
    assert.deepStrictEqual(
      rules(check({ ...history, removals: [removal(59_999, "lost")] })),
      ["the deregistered stay away"]
    )
  })

  it("lets a process live on that was never told, whoever ends beside it", () => {
    const beside = (lost: Checks.Life["lost"], ...removals: ReadonlyArray<Checks.Removal>) =>
      rules(check({
        lives: [life(10_000, 20_000, { node: "b", lost }), life(50_000, 60_000)],
        beats: beats(58_000, 76_000),
        removals
      }))
    assert.deepStrictEqual(beside(undefined, removal(20_000), removal(21_000, "lost")), [])
    assert.deepStrictEqual(beside(undefined, removal(19_998), removal(19_999, "lost")), [], "lost before the answer")
    const told = { as: "Deregistered", at: 40_000 } as const
    assert.deepStrictEqual(beside(undefined, removal(20_000)), ["the deregistered stay away"])
    assert.deepStrictEqual(
      beside(undefined, removal(19_000, "lost"), removal(20_000)),
      ["the deregistered stay away"],
      "the tombstone outlived the loss"
    )
    assert.deepStrictEqual(
      beside(told, removal(20_000), removal(21_000, "lost")),
      ["the deregistered stay away"],
      "once told, it is over"
    )
  })
})

describe("the deregistered stay away: a process in trouble", () => {
  const beside = (trouble: Partial<Checks.Trouble>, lost?: Checks.Life["lost"]) =>
    rules(check({
      lives: [life(10_000, 20_000, { node: "b", lost }), life(50_000, 60_000)],
      beats: beats(58_000, 76_000),
      removals: [removal(20_000)],
      troubles: [{ node: "b", from: 19_000, until: 70_000, ...trouble }]
    }))

  it("is not told that others deregistered it, and may outlive its tombstone, whoever ends beside it", () => {
    assert.deepStrictEqual(beside({}), [])
    assert.deepStrictEqual(beside({ from: 30_000, until: 30_001 }), [])
    assert.deepStrictEqual(beside({ from: 30_001, until: 40_000 }), ["the deregistered stay away"])
    assert.deepStrictEqual(beside({ node: "c" }), ["the deregistered stay away"])
  })

  it("is over once it has been told", () => {
    assert.deepStrictEqual(beside({ until: 30_000 }, { as: "Deregistered", at: 40_000 }), [
      "the deregistered stay away"
    ])
  })
})

describe("the deregistered stay away: a process that ended otherwise", () => {
  const end = life(50_000, 60_000, { ended: "left" })
  const beside = (first: Partial<Checks.Life>, ...troubles: ReadonlyArray<Checks.Trouble>) =>
    check({
      lives: [life(10_000, 40_000, { node: "b", ended: "left", ...first }), end],
      beats: beats(58_000, 76_000),
      removals: [removal(40_000), removal(41_000, "lost")],
      troubles
    }).filter(({ message }) => message.includes("on a,")).map(({ rule }) => rule)
  const trouble = (from: number, until: number) => ({ node: "b", from, until })

  it("has left by itself, whatever trouble there was, but for a write of its own that lands late", () => {
    assert.deepStrictEqual(beside({}), ["the deregistered stay away"])
    assert.deepStrictEqual(beside({ until: 52_000 }), ["the deregistered stay away"])
    assert.deepStrictEqual(beside({ until: 30_000 }, trouble(30_000, 31_000)), ["the deregistered stay away"])
    assert.deepStrictEqual(beside({ until: 52_000 }, trouble(52_000, 52_999)), ["the deregistered stay away"])
    assert.deepStrictEqual(beside({ until: 52_000 }, trouble(52_000, 53_000)), [], "when its link is well again")
  })

  it("has crashed, or was told that another has its id: it does not live on either", () => {
    assert.deepStrictEqual(beside({ until: 62_999, ended: "crashed" }), ["the deregistered stay away"])
    assert.deepStrictEqual(beside({ until: 63_000, ended: "crashed" }), [])
    assert.deepStrictEqual(beside({ until: 62_999, ended: undefined }), ["the deregistered stay away"])
  })

  it("left after the stream was lost that had another tombstone: it is held to its own", () => {
    const again = (ended: Checks.Life["ended"]) =>
      rules(check({
        lives: [life(10_000, 60_000, { ended })],
        beats: beats(58_000, 76_000),
        removals: [removal(20_000), removal(30_000, "lost")]
      }))
    assert.deepStrictEqual(again("left"), ["the deregistered stay away"])
    assert.deepStrictEqual(again("deregistered"), [])
  })

  it("left beside another at the same time: neither lives on", () => {
    const both = check({
      lives: [end, life(20_000, 60_000, { node: "b", ended: "left" })],
      beats: beats(58_000, 97_000),
      troubles: [trouble(56_000, 57_000)]
    })
    assert.include(rules(both), "the deregistered stay away")
  })
})

describe("a history with what is no number", () => {
  it("is told as such, and nothing else is said of it", () => {
    const [violation, ...more] = check({ beats: [{ instance: "orders/1", at: Number.NaN }], looks: [look(1, 2, true)] })
    assert.deepStrictEqual(more, [])
    assert.strictEqual(violation?.rule, "the history is well formed")
    assert.strictEqual(violation.message, "history.beats[0].at: expected a number, got NaN")
    const wrong = (given: object) => check({}, { ...times, ...given }).map(({ message }) => message)
    assert.deepStrictEqual(wrong({ maxAge: Number.NaN }), ["times.maxAge: expected a number, got NaN"])
    assert.deepStrictEqual(wrong({ lateness: undefined }), ["times.lateness: expected a number, got undefined"])
    assert.deepStrictEqual(wrong({ heartbeat: "1 second" }), ["times.heartbeat: expected a number, got 1 second"])
    assert.deepStrictEqual(check({ looks: [look(5, 4, true)] }).map(({ message }) => message), [
      "history.looks[0].until: expected a time from 5 on, got 4"
    ])
  })
})

describe("a sweeper", () => {
  const swept = (at: number, ...beatenAt: ReadonlyArray<number>) =>
    rules(check({ beats: beats(...beatenAt), removals: [removal(at, "swept")] }))

  it("may remove whoever has not beaten for maxAge, give or take its clock", () => {
    assert.deepStrictEqual(swept(60_000, 10_000, 40_000), [])
    assert.deepStrictEqual(swept(60_000, 10_000, 40_001), ["only the dead are swept"])
    assert.deepStrictEqual(swept(60_000, 10_000, 60_001), [], "what comes later does not count")
  })

  it("is shown with the beat that it did not see", () => {
    const [violation] = check({ beats: beats(10_000, 59_500), removals: [removal(60_000, "swept")] })
    assert.strictEqual(violation?.message, "orders/1 was swept, and had beaten 0.500 s before")
    assert.deepStrictEqual(violation.history, ["   59.500 s  orders/1  beats", "   60.000 s  orders/1  is swept"])
  })
})

describe("a sweeper that looks twice", () => {
  const twice = { ...times, confirmation: 10_000 }
  const swept = (at: number) => rules(check({ beats: beats(10_000), removals: [removal(at, "swept")] }, twice))

  it("removes nobody sooner than a confirmation after it can have been seen dead", () => {
    assert.deepStrictEqual(swept(40_000), [])
    assert.deepStrictEqual(swept(39_999), ["only the dead are swept"])
  })

  it("is shown with since when it can have known", () => {
    const [violation] = check({ beats: beats(10_000), removals: [removal(39_000, "swept")] }, twice)
    assert.deepStrictEqual(violation, {
      rule: "only the dead are swept",
      at: 39_000,
      message: "orders/1 was swept, and cannot have been seen dead for more than 9.000 s",
      history: [
        "   10.000 s  orders/1  beats",
        "   30.000 s  orders/1  can be seen dead",
        "   39.000 s  orders/1  is swept"
      ]
    })
  })

  it("is not judged where the last beat may have been rolled back", () => {
    const rolledBack = (at: number) =>
      rules(check({ beats: beats(10_000), removals: [removal(at, "lost"), removal(20_000, "swept")] }, twice))
    assert.deepStrictEqual(rolledBack(15_000), [])
    assert.deepStrictEqual(rolledBack(9_999), ["only the dead are swept"])
  })
})

describe("who is told that it is over", () => {
  const told = (as: NonNullable<Checks.Life["lost"]>["as"], history: Partial<Checks.RosterHistory> = {}) =>
    rules(check({
      beats: beats(1000, 11_000),
      ...history,
      lives: [life(1000, 15_000, { ended: undefined, lost: { as, at: 15_000 } }), ...history.lives ?? []]
    }))

  it("was deregistered by somebody, in this life", () => {
    assert.deepStrictEqual(told("Deregistered", { removals: [removal(14_000)] }), [])
    assert.deepStrictEqual(told("Deregistered"), ["endings are true"])
    assert.deepStrictEqual(told("Deregistered", { removals: [removal(14_000, "expired")] }), ["endings are true"])
    assert.deepStrictEqual(told("Deregistered", { removals: [removal(15_001)] }), ["endings are true"])
    assert.deepStrictEqual(told("Deregistered", { removals: [removal(12_000, "lost")] }), [], "rolled back")
  })

  it("shares its id with another life", () => {
    const other = life(12_000, 14_000, { node: "b" })
    assert.deepStrictEqual(told("DuplicateInstance", { lives: [other] }), [])
    assert.deepStrictEqual(told("DuplicateInstance"), ["endings are true"])
    // Its first write lands up to 3 s before its life begins.
    const later = (from: number) => told("DuplicateInstance", { lives: [life(from, 19_000, { node: "b" })] })
    assert.deepStrictEqual(later(18_000), [])
    assert.deepStrictEqual(later(18_001), ["endings are true"], "it came when this one had been told already")
  })

  it("shares its id with a life whose tombstone was lost with the stream before it was told: it rightly lives on", () => {
    const beside = (first: Partial<Checks.Life>, ...removals: ReadonlyArray<Checks.Removal>) =>
      rules(check({
        lives: [
          life(10_000, 20_000, { node: "b", ...first }),
          life(50_000, 70_000, { ended: undefined, lost: { as: "DuplicateInstance", at: 70_000 } })
        ],
        beats: beats(18_000, 28_000, 38_000, 48_000, 58_000, 68_000),
        removals
      })).filter((rule) => rule === "endings are true")
    const [deregistered, lost] = [removal(20_000), removal(30_000, "lost")]
    assert.deepStrictEqual(beside({}, deregistered, lost), [])
    assert.deepStrictEqual(beside({}, deregistered), ["endings are true"], "it was told by its tombstone")
    assert.deepStrictEqual(beside({}, removal(10_000, "lost"), deregistered), ["endings are true"])
    assert.deepStrictEqual(beside({ ended: "left" }, deregistered, lost), ["endings are true"])
    assert.deepStrictEqual(beside({ ended: "crashed" }, deregistered, lost), ["endings are true"])
    const left = (until: number) => beside({ ended: "left", until }, deregistered, lost)
    const told = (at: number) => beside({ lost: { as: "DuplicateInstance", at } }, deregistered, lost)
    // The other has begun at 47 s, and what is sent before an end may land for 10 s.
    for (const until of [told, left]) {
      assert.deepStrictEqual(until(37_000), [])
      assert.deepStrictEqual(until(36_999), ["endings are true"])
    }
  })
})

describe("two processes with one id", () => {
  /** A heartbeat, twice lateness and 3 s: 33 s. */
  const together = (one: Checks.Life, two: Checks.Life, troubles: ReadonlyArray<Checks.Trouble> = []) =>
    rules(check({
      lives: [one, two],
      beats: beats(...Array.from({ length: 20 }, (_, index) => index * 10_000)),
      removals: [removal(one.until ?? 200_000), removal(two.until ?? 200_000)],
      troubles
    }))

  it("do not both go on", () => {
    const first = life(1_000, 60_000)
    assert.deepStrictEqual(together(first, life(27_000, undefined, { node: "b" })), [])
    assert.deepStrictEqual(together(first, life(26_999, undefined, { node: "b" })), ["an id is one process's"])
    assert.deepStrictEqual(together(first, life(60_000, undefined, { node: "b" })), [])
  })

  it("may do so while either is in trouble", () => {
    const other = life(20_000, undefined, { node: "b" })
    for (const node of ["a", "b", undefined]) {
      assert.deepStrictEqual(together(life(1_000, 60_000), other, [{ node, from: 40_000, until: 40_001 }]), [])
      const early = [{ node, from: 21_000, until: 22_000 }]
      assert.deepStrictEqual(together(life(1_000, 60_000), other, early), ["an id is one process's"])
    }
    const elsewhere = [{ node: "c", from: 40_000, until: 40_001 }]
    assert.deepStrictEqual(together(life(1_000, 60_000), other, elsewhere), ["an id is one process's"])
  })

  it("have as long again when the stream was lost: both register anew, and one is told then", () => {
    const lives = [life(1_000, 60_000), life(20_000, undefined, { node: "b" })]
    const lost = (at: number) =>
      rules(check({
        lives,
        beats: beats(...Array.from({ length: 20 }, (_, index) => index * 10_000)),
        removals: [removal(60_000), removal(at, "lost")]
      }))
    assert.deepStrictEqual(lost(40_000), [])
    assert.deepStrictEqual(lost(53_001), ["an id is one process's"])
  })

  it("are shown with since when they are two", () => {
    const [violation] = check({
      lives: [life(1_000, undefined), life(2_000, undefined, { node: "b" })],
      beats: beats(...Array.from({ length: 20 }, (_, index) => index * 10_000))
    })
    assert.deepStrictEqual(violation, {
      rule: "an id is one process's",
      at: 35_000,
      message: "orders/1 lives on a and on b for more than 33.000 s, and neither was told",
      history: [
        "    1.000 s  orders/1  is registered on a",
        "    2.000 s  orders/1  is registered on b",
        "   35.000 s  orders/1  still lives on both"
      ]
    })
  })
})

describe("a roster", () => {
  it("of a quiet day has nothing to tell", () => {
    const lives = [life(0, 90_000), life(0, undefined, { instance: "mail/1", node: "b" })]
    const own = beats(...Array.from({ length: 9 }, (_, index) => index * 10_000))
    const looks = Array.from(
      { length: 50 },
      (_, index) => look(index * 4_000, index * 4_000 + 5, index * 4_000 <= 90_000)
    )
    const removals = [removal(90_020)]
    assert.deepStrictEqual(check({ lives, beats: [...own, ...others], looks, removals }), [])
  })
})
