/**
 * The checks of elections and guarded writes: for each rule, histories without a violation and the shortest ones with
 * it.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { FencingToken } from "../../../src/FencingToken.ts"
import * as Checks from "../../../src/testing/Checks.ts"

const token = (revision: number, epoch = 7) => new FencingToken({ epoch, revision })

const rules = (violations: ReadonlyArray<Checks.Violation>) => violations.map(({ rule }) => rule)

/** The time and the node of each line of a history. */
const outline = (violation: Checks.Violation | undefined) =>
  violation?.history.map((line) => line.trim().split(/ +/).slice(0, 3).join(" "))

const term = (
  node: string,
  since: number,
  until: number | undefined,
  parts: Partial<Checks.Term> = {}
): Checks.Term => ({
  election: "job",
  node,
  candidateId: `${node}-1`,
  token: token(since),
  since,
  toldToStop: undefined,
  until,
  validAt: [],
  ...parts
})

const led = (terms: ReadonlyArray<Checks.Term>, ...stops: ReadonlyArray<readonly [string, number, number]>) =>
  Checks.atMostOneLeader({ terms, stops: stops.map(([node, from, until]) => ({ node, from, until })), end: 100_000 })

describe("one valid leader", () => {
  const valid = (node: string, since: number, ...validAt: ReadonlyArray<number>) =>
    term(node, since, since, { validAt })

  it("accepts terms that are valid one after the other", () => {
    assert.deepStrictEqual(led([valid("a", 1, 10, 11, 20), valid("b", 2, 21, 30), valid("c", 3)]), [])
  })

  it("accepts leaders of different elections that are valid at the same time", () => {
    const other = term("b", 2, 2, { election: "other", validAt: [15] })
    assert.deepStrictEqual(led([valid("a", 1, 10, 20), other]), [])
  })

  it("reports a term that is valid before and after a reading of another term, with the three nearest readings", () => {
    const [violation, ...more] = led([valid("a", 1, 9_000, 3_000, 10_000, 20_000), valid("b", 2, 9_500, 30_000)])
    assert.deepStrictEqual(more, [])
    assert.strictEqual(violation?.rule, "one valid leader")
    assert.strictEqual(
      violation?.message,
      "a (token 7-1) and b (token 7-2) were both valid leaders of \"job\" at the same time"
    )
    assert.deepStrictEqual(violation?.history, [
      "    0.001 s  a  leads \"job\" with token 7-1, as candidate a-1",
      "    0.002 s  b  leads \"job\" with token 7-2, as candidate b-1",
      "    9.000 s  a  reads isValid as true, with token 7-1",
      "    9.500 s  b  reads isValid as true, with token 7-2",
      "   10.000 s  a  reads isValid as true, with token 7-1"
    ])
  })

  it("reports two terms that are valid at the same instant, with these two readings", () => {
    const [violation] = led([valid("a", 1, 1_000, 4_000), valid("b", 2, 4_000, 9_000)])
    assert.deepStrictEqual(outline(violation), ["0.001 s a", "0.002 s b", "4.000 s a", "4.000 s b"])
  })

  it("reports overlapping readings even if the node was stopped between them", () => {
    const terms = [valid("a", 1, 1_000, 60_000), valid("b", 2, 30_000)]
    assert.deepStrictEqual(rules(led(terms, ["a", 2_000, 59_000])), ["one valid leader"])
  })

  it("reports two terms of the same candidate", () => {
    assert.deepStrictEqual(rules(led([valid("a", 1, 5, 9), valid("a", 2, 7)])), ["one valid leader"])
  })

  it("reports each pair of terms once, the earliest first", () => {
    const others = [
      term("c", 3, 3, { election: "other", validAt: [10, 30, 96, 98] }),
      term("d", 4, 4, { election: "other", validAt: [20, 97] })
    ]
    const found = led([valid("a", 1, 50, 80), valid("b", 2, 60), ...others])
    assert.deepStrictEqual(found.map(({ message }) => message.slice(0, 31)), [
      "c (token 7-3) and d (token 7-4)",
      "a (token 7-1) and b (token 7-2)"
    ])
    assert.deepStrictEqual(
      outline(found[0])?.slice(2),
      ["0.096 s c", "0.097 s d", "0.098 s c"],
      "the three nearest readings"
    )
  })
})

describe("one running leader", () => {
  it("accepts a term that begins at the instant at which the previous one ends", () => {
    assert.deepStrictEqual(led([term("a", 10, 20), term("b", 20, 30), term("c", 30, undefined)]), [])
  })

  it("reports work that begins while other work runs, with both terms and the first end", () => {
    const [violation, ...more] = led([term("a", 1_000, 9_250, { toldToStop: 8_000 }), term("b", 9_000, undefined)])
    assert.deepStrictEqual(more, [])
    assert.strictEqual(
      violation?.message,
      "a (token 7-1000) and b (token 7-9000) both ran the work of \"job\" for 0.250 s"
    )
    assert.deepStrictEqual(violation?.history, [
      "    1.000 s  a  leads \"job\" with token 7-1000, as candidate a-1",
      "    8.000 s  a  the interruption of its work begins",
      "    9.000 s  b  leads \"job\" with token 7-9000, as candidate b-1",
      "    9.250 s  a  its work has stopped"
    ])
  })

  it("reports two terms that are still running at the end of the history", () => {
    const [violation] = led([term("a", 1_000, undefined), term("b", 2_000, undefined)])
    assert.deepStrictEqual(outline(violation), ["1.000 s a", "2.000 s b", "100.000 s a"])
  })

  it("reports the running term that began last if several terms run", () => {
    const found = led([term("a", 1, 90), term("b", 10, 30), term("c", 20, 25), term("d", 40, 50)])
    assert.deepStrictEqual(found.map(outline).map((lines) => lines?.slice(0, 2)), [
      ["0.001 s a", "0.010 s b"],
      ["0.010 s b", "0.020 s c"],
      ["0.001 s a", "0.040 s d"]
    ])
  })

  it("accepts a term that begins while the node of the previous leader is stopped or has just resumed", () => {
    assert.deepStrictEqual(led([term("a", 10, 60), term("b", 30, 90)], ["a", 20, 50]), [])
    assert.deepStrictEqual(led([term("a", 10, 60), term("b", 55, 90)], ["a", 20, 50]), [])
  })

  it("accepts a term that was recorded during a stop of its node: its work has not run yet", () => {
    assert.deepStrictEqual(led([term("a", 10, 60), term("b", 20, 70)], ["a", 5, 15]), [])
  })

  it("reports overlapping work before a stop", () => {
    const [violation] = led([term("a", 10, 60), term("b", 19, 90)], ["a", 20, 50])
    assert.deepStrictEqual(violation?.history.at(-1), "    0.020 s  a  is paused or suspended")
  })

  it("reports overlapping work if only other nodes were stopped, or the node before or after its term", () => {
    const [violation] = led([term("a", 10, 60), term("b", 30, 90)], ["c", 20, 50], ["a", 5, 10], ["a", 60, 70])
    assert.strictEqual(violation?.history.at(-1), "    0.060 s  a  its work has stopped")
  })

  it("reports overlapping work after a stop once isValid was read as true", () => {
    const stopped = (...validAt: ReadonlyArray<number>) => [term("a", 10, 80, { validAt }), term("b", 70, 90)]
    assert.deepStrictEqual(led(stopped(15, 30), ["a", 20, 50]), [], "isValid was read before and during the stop")
    const [violation] = led(stopped(55), ["a", 20, 50])
    assert.deepStrictEqual(outline(violation), ["0.010 s a", "0.055 s a", "0.070 s b", "0.080 s a"])
    assert.deepStrictEqual(led(stopped(55), ["a", 20, 50], ["a", 60, 65]), [], "the node was stopped again")
    assert.strictEqual(led(stopped(55, 65), ["a", 20, 50], ["a", 60, 65]).length, 1)
  })
})

describe("tokens grow", () => {
  const terms = (...tokens: ReadonlyArray<FencingToken>) =>
    tokens.map((token, index) => term("abcd"[index]!, 1_000 * index, 1_000 * (index + 1), { token }))

  it("accepts tokens that grow from term to term, in any order of recording", () => {
    assert.deepStrictEqual(led(terms(token(9), token(12), token(1, 8)).toReversed()), [])
  })

  it("reports a lower token, with the latest earlier term that has a higher one", () => {
    const [violation, ...more] = led(terms(token(9), token(7), token(8)))
    assert.deepStrictEqual(rules(more), ["tokens grow"])
    assert.deepStrictEqual(outline(violation), ["0.000 s a", "1.000 s b"])
    const [nearest] = led(terms(token(9), token(8, 8), token(3, 8), token(8)).toSpliced(1, 1))
    assert.deepStrictEqual(outline(nearest), ["2.000 s c", "3.000 s d"])
  })

  it("reports an equal token, even if the node was stopped", () => {
    const [violation, ...more] = led(terms(token(9), token(12), token(9)), ["c", 500, 1_900])
    assert.deepStrictEqual(more, [])
    assert.deepStrictEqual(outline(violation), ["0.000 s a", "2.000 s c"])
  })

  it("accepts a lower token if the node was stopped after the term with the higher token began", () => {
    const late = terms(token(12), token(9))
    assert.deepStrictEqual(led(late, ["b", 100, 900]), [])
    assert.deepStrictEqual(rules(led(late, ["a", 100, 900])), ["tokens grow"])
    assert.deepStrictEqual(rules(led(late, ["b", 1_001, 1_002])), ["tokens grow"])
    const later = terms(token(5), token(12), token(9))
    assert.deepStrictEqual(led(later, ["c", 500, 1_000]), [])
    assert.deepStrictEqual(rules(led(later, ["c", 500, 999])), ["tokens grow"])
  })
})

describe("at most one leader", () => {
  const Time = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 14 }))
  const Length = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 6 }))
  const Node = Schema.Literals(["a", "b", "c"])
  const Terms = Schema.Array(Schema.Struct({ node: Node, since: Time, length: Length, validAt: Schema.Array(Time) }))
  const Stops = Schema.Array(Schema.Struct({ node: Node, from: Time, length: Length }))

  const pairs = <A>(all: ReadonlyArray<A>) => all.flatMap((one, index) => all.slice(index + 1).map((two) => [one, two]))
  const bothValid = ([one, two]: ReadonlyArray<Checks.Term>) =>
    two!.validAt.some((at) => one!.validAt.some((t) => t <= at) && one!.validAt.some((t) => t >= at)) ||
    one!.validAt.some((at) => two!.validAt.some((t) => t <= at) && two!.validAt.some((t) => t >= at))

  /** Whether the work runs at a time and can be interrupted. */
  const isHeld = ({ node, since, until, validAt }: Checks.Term, all: ReadonlyArray<Checks.Stop>, at: number) => {
    const stops = all.filter((stop) => stop.node === node && stop.from < stop.until)
    const isStopped = (time: number) => stops.some((stop) => stop.from <= time && time < stop.until)
    const woke = Math.max(
      -1,
      ...stops.filter((stop) => stop.until > since && stop.until <= at).map(({ until }) => until)
    )
    const knows = woke < 0 || validAt.some((time) => time >= woke && time <= at)
    return since <= at && at < until! && !isStopped(at) && knows
  }

  it.prop(
    "finds the same violations as a check of every moment",
    { terms: Terms, stops: Stops },
    (drawn) => {
      const terms = drawn.terms.map(({ length, node, since, validAt }, index) =>
        term(node, since, since + length, { validAt, token: token(index) })
      )
      const stops = drawn.stops.map(({ from, length, node }) => ({ node, from, until: from + length }))
      const moments = Array.from({ length: 42 }, (_, index) => index / 2 + 0.25)
      const found = new Set(rules(Checks.atMostOneLeader({ terms, stops, end: 21 })))
      assert.strictEqual(found.has("one valid leader"), pairs(terms).some(bothValid), "valid")
      const bothRun = moments.some((at) => terms.filter((one) => isHeld(one, stops, at)).length > 1)
      assert.strictEqual(found.has("one running leader"), bothRun, "running")
    },
    { arbitrary: { runs: 2_000 } }
  )
})

describe("no stale write", () => {
  const write = (at: number, revision: number, parts: Partial<Checks.GuardedWrite> = {}): Checks.GuardedWrite => ({
    resource: "account",
    node: "a",
    token: token(revision),
    at,
    accepted: true,
    ...parts
  })

  it("accepts equal and growing tokens, and ignores refused writes and writes to other resources", () => {
    const refused = write(4, 1, { accepted: false })
    const elsewhere = write(5, 1, { resource: "other" })
    assert.deepStrictEqual(Checks.noStaleWrite([write(3, 9), write(1, 2), write(2, 2), refused, elsewhere]), [])
  })

  it("orders writes of the same instant as in the history", () => {
    assert.deepStrictEqual(Checks.noStaleWrite([write(1, 2), write(1, 3)]), [])
    assert.deepStrictEqual(rules(Checks.noStaleWrite([write(1, 3), write(1, 2)])), ["no stale write"])
  })

  it("reports a lower token, with the latest earlier write that has a higher one", () => {
    const stale = write(4_000, 8, { node: "b", what: "100" })
    const [violation, ...more] = Checks.noStaleWrite([write(1_000, 12), write(2_000, 9), write(3_000, 3), stale])
    assert.deepStrictEqual(rules(more), ["no stale write", "no stale write"])
    assert.deepStrictEqual(outline(violation), ["1.000 s a", "2.000 s a"])
    assert.deepStrictEqual(more.at(-1)?.history, [
      "    2.000 s  a  writes to \"account\" with token 7-9: accepted",
      "    4.000 s  b  writes 100 to \"account\" with token 7-8: accepted"
    ])
  })
})

describe("elections have a leader", () => {
  const vacant = (terms: ReadonlyArray<Checks.Term>, ...disruptions: ReadonlyArray<readonly [number, number]>) =>
    Checks.leaderWithin({
      terms,
      end: 100_000,
      disruptions: disruptions.map(([from, until]) => ({ node: "a", from, until }))
    }, { elections: ["job"], within: 20_000 })

  it("reports times without a leader longer than `within`, at the beginning, between terms and at the end", () => {
    assert.deepStrictEqual(vacant([term("a", 20_000, 50_000), term("b", 70_000, 80_000)]), [])
    assert.deepStrictEqual(rules(vacant([term("a", 20_001, 100_000)])), ["elections have a leader"])
    assert.deepStrictEqual(rules(vacant([term("a", 0, 79_999)])), ["elections have a leader"])
    assert.deepStrictEqual(rules(vacant([term("a", 0, 50_000), term("b", 70_001, undefined)])), [
      "elections have a leader"
    ])
  })

  it("is checked from the beginning of the recording", () => {
    const since = (begin: number | undefined) =>
      Checks.leaderWithin(
        { terms: [term("a", 1_000_020_000, undefined)], disruptions: [], begin, end: 1_000_090_000 },
        { elections: ["job"], within: 20_000 }
      )
    assert.deepStrictEqual(since(1_000_000_000), [])
    assert.deepStrictEqual(rules(since(999_999_999)), ["elections have a leader"])
    assert.deepStrictEqual(rules(since(undefined)), ["elections have a leader"])
  })

  it("reports invalid options as a history that is not well formed", () => {
    const rows: ReadonlyArray<readonly [unknown, string]> = [
      [{ elections: ["job"], within: Number.NaN }, "options.within: expected a number of milliseconds from 0, got NaN"],
      [{ elections: ["job"], within: "1 second" }, "options.within: expected a number of milliseconds from 0"],
      [{ elections: "job", within: 1 }, "options.elections: expected a list of election names, got a plain string"],
      [
        { elections: [], within: 1, atMost: 2 },
        "options: no option \"options.atMost\": the options are options.elections"
      ],
      [null, "options: expected an object with options.elections, options.within, got null"]
    ]
    for (const [options, problem] of rows) {
      const violations = Checks.leaderWithin(
        { terms: [], disruptions: [], end: 100_000 },
        options as { readonly elections: ReadonlyArray<string>; readonly within: number }
      )
      assert.deepStrictEqual(rules(violations), ["the history is well formed"])
      assert.include(violations[0]?.message, problem)
    }
    const [violation] = Checks.noStaleWrite(null as unknown as [])
    assert.strictEqual(violation?.message, "history: expected a recorded history, got null")
  })

  it("is checked for an election without any term", () => {
    assert.deepStrictEqual(rules(vacant([])), ["elections have a leader"])
    assert.deepStrictEqual(rules(vacant([term("a", 0, undefined, { election: "other" })])), [
      "elections have a leader"
    ])
  })

  it("is checked before and after a disruption, not during it", () => {
    const terms = [term("a", 0, 30_000), term("b", 80_000, undefined)]
    assert.deepStrictEqual(vacant(terms, [40_000, 60_000]), [])
    assert.deepStrictEqual(rules(vacant(terms, [40_000, 59_999])), ["elections have a leader"])
    assert.deepStrictEqual(rules(vacant(terms, [51_000, 60_000])), ["elections have a leader"])
  })

  it("counts a term until its work is told to stop, however long the work goes on", () => {
    const slow = (toldToStop: number) => [
      term("a", 0, 60_000, { toldToStop }),
      term("b", 60_000, undefined)
    ]
    assert.deepStrictEqual(vacant(slow(40_000)), [])
    assert.deepStrictEqual(rules(vacant(slow(39_999))), ["elections have a leader"])
    assert.deepStrictEqual(rules(vacant([term("a", 0, undefined, { toldToStop: 79_999 })])), [
      "elections have a leader"
    ])
    // Work that ends by itself is told to stop afterwards, or never.
    assert.deepStrictEqual(rules(vacant([term("a", 0, 79_999, { toldToStop: 90_000 })])), ["elections have a leader"])
    const [violation] = vacant([term("a", 0, 35_000, { toldToStop: 30_000 }), term("b", 80_000, undefined)])
    assert.deepStrictEqual(violation?.history, [
      "   30.000 s  a    the interruption of its work begins, token 7-0",
      "   30.000 s  all  no leader and no disruption from now on",
      "   80.000 s  b    leads, token 7-80000",
      "   80.000 s  all  no leader and no disruption until now"
    ])
  })

  it("is reported with the terms before and after, and the time without a leader", () => {
    const [violation] = vacant([term("a", 0, 30_000), term("b", 80_000, undefined)])
    assert.strictEqual(violation?.message, "no node led \"job\" for 50.000 s without a disruption")
    assert.deepStrictEqual(outline(violation), ["30.000 s a", "30.000 s all", "80.000 s b", "80.000 s all"])
  })
})
