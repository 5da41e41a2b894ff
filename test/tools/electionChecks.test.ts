/** The checks of the scenario of elections, on small histories by hand: each passes a good one, and finds its violation. */
import { assert, describe, it } from "@effect/vitest"
import { FencingToken } from "../../src/FencingToken.ts"
import type { StoredWrite } from "../../src/testing/Simulation.ts"
import * as checks from "../../tools/simulation/electionChecks.ts"
import type {
  Call,
  Candidate,
  ElectionHistory,
  HealthCheck,
  Life,
  Line,
  LineKind,
  Work
} from "../../tools/simulation/electionHistory.ts"

const lifeOf = (node: string, number: number): Life => ({ node, number, from: 0, closing: undefined, until: undefined })

const [a, b] = [lifeOf("a", 0), lifeOf("b", 1)]

/** The timings are those of `Election.balanced`. */
const candidateOf = (life: Life, over: Partial<Candidate> = {}): Candidate => ({
  life,
  election: "job",
  leaseDuration: 10_000,
  renewDeadline: 7000,
  renewInterval: 2000,
  stopTimeout: 5000,
  priority: 0,
  healthFailures: 2,
  isHealthy: true,
  ...over
})

const candidates = [candidateOf(a), candidateOf(b)]

const callOf = (life: Life, over: Partial<Call> = {}): Call => ({
  candidate: candidates[life.number]!,
  from: 0,
  until: undefined,
  outcome: undefined,
  ...over
})

const calls = [callOf(a), callOf(b)]

/** A record as it is stored: held by the candidate of a process, or vacant. */
const record = (
  life: Life,
  at: number,
  revision: number,
  over: Readonly<Record<string, unknown>> = {}
): StoredWrite => ({
  bucket: "election",
  key: "election.job",
  revision,
  operation: "put",
  at,
  stampedAt: at,
  value: new TextEncoder().encode(
    JSON.stringify({ nonce: life.node, vacant: false, leaseMillis: 10_000, metadata: { life: life.number }, ...over })
  )
})

const line = (life: Life, at: number, kind: LineKind): Line => ({ life, at, kind, election: "job" })

const work = (life: Life, since: number, revision: number, over: Partial<Work> = {}): Work => ({
  candidate: candidates[life.number]!,
  call: calls[life.number]!,
  election: "job",
  node: life.node,
  candidateId: life.node,
  token: new FencingToken({ epoch: 1, revision }),
  since,
  toldToStop: undefined,
  until: undefined,
  ended: undefined,
  validAt: [],
  ...over
})

/** `a` leads for 4 s and hands over, and `b` leads at once. */
const good = {
  stored: [
    record(a, 100, 1),
    record(a, 2100, 2),
    record(a, 4100, 3, { vacant: true, metadata: {} }),
    record(b, 4200, 4),
    record(b, 6200, 5)
  ],
  works: [
    work(a, 110, 1, { until: 4050, ended: "interrupted", validAt: [200, 3900] }),
    work(b, 4210, 4, { validAt: [4300, 6900] })
  ],
  lines: [
    line(a, 0, "campaigning"),
    line(b, 0, "campaigning"),
    line(a, 110, "elected"),
    line(a, 4100, "handedOver"),
    line(a, 4150, "campaigning"),
    line(b, 4210, "elected")
  ],
  healthChecks: [] as ReadonlyArray<HealthCheck>,
  candidates: candidates as ReadonlyArray<Candidate>,
  calls: calls as ReadonlyArray<Call>,
  end: 7000
}

const historyOf = (over: Partial<typeof good> = {}): ElectionHistory => {
  const { stored, ...rest } = { ...good, ...over }
  return {
    ...rest,
    bucket: "election",
    elections: ["job"],
    lives: [a, b],
    drift: 0.01,
    facts: {
      stops: [],
      crashes: [],
      disruptions: [],
      connected: ["a", "b"],
      buckets: ["election"],
      stored,
      losses: [],
      consumerLosses: []
    }
  }
}

const texts = (found: ReturnType<typeof checks.all>) => found.map((one) => typeof one === "string" ? one : one.message)

/** The history in which `a` does not hand over. */
const held = good.stored.slice(0, 2)

const checkOf = (from: number, over: Partial<HealthCheck>): HealthCheck => ({
  call: calls[0]!,
  from,
  until: from,
  isInterruptible: true,
  answer: false,
  ...over
})

describe("the checks of elections", () => {
  it("find nothing in a good history", () => {
    assert.deepStrictEqual(texts(checks.all(historyOf())), [])
  })

  const rows: ReadonlyArray<
    readonly [
      what: string,
      check: (history: ElectionHistory) => ReturnType<typeof checks.all>,
      over: Partial<typeof good>,
      text: RegExp
    ]
  > = [
    ["two valid leaders", checks.oneLeader, {
      works: [{ ...good.works[0]!, validAt: [200, 4400, 4500] }, good.works[1]!]
    }, /were both valid leaders/],
    ["work beside that of the next leader", checks.oneLeader, {
      works: [{ ...good.works[0]!, until: 5000 }, good.works[1]!]
    }, /both ran the work/],
    ["a lease that is cut short", checks.leases, {
      stored: [...held, record(b, 11_000, 3)]
    }, /replaced a held one after 8.900 s/],
    ["a candidate that does not wait for its priority", checks.leases, {
      stored: [...held, record(b, 12_100, 3)],
      candidates: [candidates[0]!, candidateOf(b, { priority: 1 })]
    }, /expected 11.879 s/],
    ["a hand-over before the work has stopped", checks.handOvers, {
      works: [{ ...good.works[0]!, until: 4150 }, good.works[1]!]
    }, /while its work was running/],
    ["an overrun that is not reported", checks.overruns, {
      stored: held,
      works: [work(a, 110, 1, { until: 20_000, ended: "interrupted" })],
      end: 21_000
    }, /outlived its lease at 12.201 s: not reported/],
    ["an overrun that is reported within the lease", checks.overruns, {
      stored: held,
      works: [work(a, 110, 1)],
      lines: [line(a, 8000, "overrun")],
      end: 9000
    }, /reported at 8.000 s, within its lease/],
    ["an overrun whose end is not reported", checks.overruns, {
      stored: held,
      works: [work(a, 110, 1, { until: 20_000, ended: "interrupted" })],
      lines: [line(a, 12_150, "overrun")],
      end: 21_000
    }, /ended at 20.000 s: not reported/],
    ["a leader that is not replaced", checks.progress, {
      stored: held,
      lines: good.lines.slice(0, 3),
      end: 13_000
    }, /nobody replaced the held record of 2.100 s/],
    ["a vacant record that nobody replaces", checks.progress, {
      stored: good.stored.slice(0, 3),
      lines: good.lines.slice(0, 5),
      end: 5000
    }, /nobody replaced the vacant record of 4.100 s/],
    ["a release that lasts longer than stopTimeout", checks.releases, {
      stored: [...held, record(a, 4100, 3, { state: "Releasing" }), record(a, 11_000, 4, { state: "Releasing" })],
      works: [work(a, 110, 1)],
      end: 12_000
    }, /has been releasing it since 4.100 s/],
    ["renewals without work", checks.releases, {
      stored: [...held, record(a, 6000, 3)],
      works: [{ ...good.works[0]!, until: 4050 }]
    }, /although its work ended at 4.050 s/],
    ["a winner that does not lead, and renews", checks.releases, {
      stored: [...held, record(a, 9000, 3)],
      works: [],
      end: 9500
    }, /and does not lead/],
    ["work that runs again after it has ended by itself", checks.reruns, {
      works: [{ ...good.works[0]!, ended: "itself" }, work(a, 6000, 4)]
    }, /ran again at 6.000 s/],
    ["a campaign that ends", checks.campaigns, {
      calls: [callOf(a, { until: 3000, outcome: { failure: "refused" } })]
    }, /ended at 3.000 s: refused/],
    ["a candidate that does not campaign again", checks.campaigns, {
      lines: good.lines.slice(0, 4),
      end: 9000
    }, /did not campaign for "job" again/],
    ["work that has ended, and whose call does not end", checks.campaigns, {
      works: [{ ...good.works[0]!, ended: "itself" }],
      end: 9000
    }, /its call did not end/],
    ["a term whose beginning is not reported", checks.reports, {
      lines: good.lines.filter(({ kind }) => kind !== "elected")
    }, /won "job" at 0.100 s, and did not lead at once/],
    ["a term whose end is not reported", checks.reports, {
      lines: good.lines.filter(({ kind }) => kind !== "handedOver"),
      end: 14_000
    }, /a lost "job" after its record of 2.100 s: not reported/],
    ["a health check that is not interrupted", checks.health, {
      healthChecks: [checkOf(1000, { until: undefined, answer: undefined })]
    }, /at 1.000 s was not interrupted/],
    ["two health checks at once", checks.health, {
      healthChecks: [checkOf(1000, { until: 3500, isInterruptible: false }), checkOf(3000, { answer: true })]
    }, /was running when the next one began/],
    ["a leader that resigns after one failure", checks.health, {
      healthChecks: [checkOf(1000, { answer: true }), checkOf(3000, {})],
      lines: [line(a, 3000, "unhealthy")]
    }, /before 2 checks had failed/],
    ["a leader that steps down without a request", checks.requests, {
      lines: [...good.lines, line(b, 5000, "steppingDown")]
    }, /although nobody had asked it/],
    ["a former leader that comes back too early", checks.turns, {
      stored: [...good.stored, record(a, 7000, 6, { nonce: "a2" })]
    }, /a won "job" 2.900 s after the end of its term/],
    ["a run without a leader", checks.happenings, { works: [] }, /nobody has led/]
  ]
  for (const [what, check, over, text] of rows) {
    it(`find ${what}`, () => {
      const found = texts(check(historyOf(over)))
      assert.isTrue(found.some((one) => text.test(one)), found.join("\n"))
    })
  }
})
