/** Planted bugs of elections: of challengers, of leaders, and of observers. */
import { byTest, type Edit, type Mutant } from "./models.ts"

const observations = "src/internal/election/observations.ts"
const campaign = "src/internal/election/campaign.ts"
const challenger = "src/internal/election/challenger.ts"
const elapsed = "src/internal/election/elapsed.ts"
const health = "src/internal/election/health.ts"
const healthCheck = "src/internal/healthCheck.ts"
const leadership = "src/internal/election/leadership.ts"
const nesting = "src/internal/election/nesting.ts"
const observing = "src/internal/election/observe.ts"
const sittingOut = "src/internal/election/sittingOut.ts"
const tenure = "src/internal/election/tenure.ts"
const term = "src/internal/election/term.ts"

const put = "store.put(this.key, record, "
const condition = "on === \"nothing\" ? { createOnly: true } : { revision: on }"

/** The next state, with a lease that counts from the answer to its last write. */
const heardNow = "{ ...next, holding: { ...Term.holdingOf(next)!, " +
  "lease: { ...Term.holdingOf(next)!.lease, sentAt: this.elapsed.sample() } } } as Term.Term"

/** The times of a campaign, by the wall clock. */
const campaignByWallClock: ReadonlyArray<Edit> = [
  {
    file: campaign,
    find: "let readAt = monotonicMillis(clock)",
    replace: "let readAt = clock.currentTimeMillisUnsafe()"
  },
  {
    file: campaign,
    find: "const now = monotonicMillis(clock) const readAgainAt",
    replace: "const now = clock.currentTimeMillisUnsafe()\n      const readAgainAt"
  }
]

const challengers: ReadonlyArray<Mutant> = [
  {
    name: "a challenger purges the key and creates it again",
    from: "E9, AegisSDK 1.5: attempt_leadership",
    file: tenure,
    find: `${put}${condition})`,
    replace: "this.state._tag === \"Standing\" && on !== \"nothing\" ? Effect.andThen(store.purge(this.key), " +
      `${put}{ createOnly: true })) : ${put}${condition})`,
    scenario: "mixed"
  },
  {
    name: "a challenger takes over with an unconditional write",
    from: "E9, AegisSDK 1.3: get, then put",
    file: tenure,
    find: condition,
    replace: `this.state._tag === "Standing" && on !== "nothing" ? undefined : ${condition}`,
    scenario: "mixed"
  },
  {
    name: "a challenger writes on the current revision, not on the watched revision",
    from: "E9, AegisTrader: get, then put",
    file: campaign,
    find: "const outcome = yield* tenure.stand(on, term)",
    replace: "const now = yield* Effect.option(tenure.look)\n" +
      "    const newest = now._tag === \"Some\" && \"revision\" in now.value ? now.value.revision : on\n" +
      "    const outcome = yield* tenure.stand(newest, term)",
    scenario: "mixed"
  },
  {
    name: "a challenger waits for half a lease",
    from: "E7",
    file: challenger,
    find: "at: afterLease(seen.record.leaseMillis)",
    replace: "at: afterLease(seen.record.leaseMillis / 2)",
    scenario: "mixed"
  },
  {
    name: "a challenger measures its wait by the wall clock",
    from: "E7, AegisSDK 1.5: time.time()",
    file: observations,
    find: "nextObservation(known, seen, monotonicMillis(this.clock))",
    replace: "nextObservation(known, seen, this.clock.currentTimeMillisUnsafe())",
    also: campaignByWallClock,
    scenario: "mixed"
  },
  {
    name: "a challenger compares the time of the record with its wall clock",
    from: "E7, AegisSDK 1.5: now - last_heartbeat > ttl",
    file: challenger,
    find: "at: afterLease(seen.record.leaseMillis)",
    replace: "at: seen.created.epochMilliseconds + seen.record.leaseMillis",
    also: [
      {
        file: observations,
        find: "nextObservation(known, seen, monotonicMillis(this.clock))",
        replace: "nextObservation(known, seen, this.clock.currentTimeMillisUnsafe())"
      },
      ...campaignByWallClock
    ],
    scenario: "mixed"
  },
  {
    name: "a second observation of the same record restarts the wait",
    from: "E7",
    file: challenger,
    find: "if (known !== undefined && isSame(known.seen, seen)) return known",
    replace: "",
    scenario: "mixed"
  },
  {
    name: "a record that disappears counts as a hand-over",
    from: "E8",
    file: challenger,
    find: "lastHeld: known?.lastHeld",
    replace: "lastHeld: undefined",
    scenario: "bereft"
  },
  {
    name: "the wait for a record that disappeared counts from the observation of the record",
    from: "E8, the leader renewed its lease between that observation and the removal",
    file: challenger,
    find: "lastHeld === undefined ? inTurn : afterLease(",
    replace: "lastHeld === undefined ? inTurn : -1000 + afterLease(",
    scenario: "bereft",
    runs: 50,
    test: {
      file: "test/internal/election/challenger.test.ts",
      name: "tries to win after the lease of a removed live record, from the first observation without it"
    }
  },
  {
    name: "all candidates have the same nonce",
    from: "E2, curator#1211: bind leadership to an incarnation",
    file: campaign,
    find: "const nonce = yield* makeNonce",
    replace: "const nonce = election",
    scenario: "mixed"
  },
  {
    name: "a restarted process takes its former record for its own",
    from: "E2, curator#1211, AegisTrader",
    file: campaign,
    find: "const nonce = yield* makeNonce",
    replace: "const nonce = candidateId",
    // Alone, the edit above is harmless: an attempt that this process did not send moves no deadline.
    also: [{
      file: tenure,
      find: "this.state = next",
      replace: "this.state = Term.holdingOf(next)?.lease.sentAt === Number.NEGATIVE_INFINITY ? " +
        `${heardNow} : next`
    }],
    scenario: "mixed"
  }
]

const leaders: ReadonlyArray<Mutant> = [
  {
    name: "the deadline counts from the answer to a renewal",
    from: "E15, kubernetes#65094",
    file: tenure,
    find: "this.state = next",
    replace: `this.state = Term.holdingOf(next)?.lease !== Term.holdingOf(this.state)?.lease ? ${heardNow} : next`,
    scenario: "flapping"
  },
  {
    name: "the deadline is the end of the lease",
    from: "E15, kubernetes#67651",
    file: tenure,
    find: "Term.tick(this.state, this.elapsed.sample(), this.options.times.renewDeadline)",
    replace: "Term.tick(this.state, this.elapsed.sample(), this.options.times.leaseDuration)",
    also: [{
      file: tenure,
      find: "Term.vacate(this.state, this.elapsed.sample(), this.options.times.renewDeadline)",
      replace: "Term.vacate(this.state, this.elapsed.sample(), this.options.times.leaseDuration)"
    }],
    scenario: "mixed"
  },
  {
    name: "isValid is a flag",
    from: "E17, pinniped#800, etcd#11456",
    file: tenure,
    find: "this.state._tag === \"Leading\" && this.tick() > 0",
    replace: "this.state._tag === \"Leading\"",
    scenario: "mixed"
  },
  {
    name: "elapsed time uses only the monotonic clock",
    from: "E16",
    file: elapsed,
    find: "this.elapsed += Math.max(0, missed)",
    replace: "",
    scenario: "mixed"
  },
  {
    name: "elapsed time uses only the wall clock",
    from: "E16, AegisSDK 1.5: time.time()",
    file: elapsed,
    find: "return this.elapsed",
    replace: "return this.clock.currentTimeMillisUnsafe()",
    scenario: "mixed",
    // One in about 1,400 runs sets a leader's wall clock back within a term so that another candidate leads at the same time.
    runs: 500,
    test: {
      file: "test/internal/election/elapsed.test.ts",
      name: "is the sum over samples of the larger difference"
    }
  },
  {
    name: "a leader at its deadline waits for a renewal in flight",
    from: "E17",
    file: term,
    find: "[end(state, \"expired\"), 0]",
    replace: "[state, 0]",
    also: [{
      file: tenure,
      find: "if (left === 0) return yield* Effect.sleep(wholeMillis(Math.min(left, longestTick)))",
      replace: "if (this.state._tag === \"Ended\") return\n" +
        "      yield* Effect.sleep(wholeMillis(left === 0 ? longestTick : Math.min(left, longestTick)))"
    }],
    scenario: "mixed"
  },
  {
    name: "a loss of leadership does not stop the work",
    from: "E23, kubernetes#23731, #44887",
    file: leadership,
    find: "const toldToStop = Effect.raceFirst(tenure.lost, Deferred.await(asked))",
    replace: "const toldToStop = Deferred.await(asked)",
    scenario: "mixed"
  },
  {
    name: "leadership is released while the work is still stopping",
    from: "E23, kubernetes#139991, #139504, kyverno#6048",
    file: leadership,
    find: "return Effect.asVoid(Effect.andThen(Deferred.succeed(asked, undefined), lost))",
    replace: "return Effect.asVoid(Effect.andThen(tenure.release, Deferred.succeed(asked, undefined)))",
    scenario: "mixed"
  },
  {
    name: "the end of the work is not awaited",
    from: "E23, cilium#42920",
    file: leadership,
    find: "yield* Fiber.interrupt(work)",
    replace: "yield* Effect.forkDetach(Fiber.interrupt(work))",
    scenario: "mixed"
  },
  {
    name: "the vacant record is an unconditional write",
    from: "E20, AegisSDK 1.5: an unconditional purge",
    file: tenure,
    find: condition,
    replace: `vacant ? undefined : ${condition}`,
    scenario: "mixed"
  },
  {
    name: "a leader continues on the record of another candidate after a conflict",
    from: "E14, AegisTrader: renews by identity",
    file: term,
    find: "if (seen._tag === \"Undecodable\" || seen.record.nonce !== nonce)",
    replace: "if (seen._tag === \"Undecodable\")",
    scenario: "mixed"
  },
  {
    name: "a renewal is an unconditional write",
    from: "E13",
    file: tenure,
    find: condition,
    replace: `this.state._tag === "Leading" && !vacant ? undefined : ${condition}`,
    scenario: "mixed"
  },
  {
    name: "leadership is announced without a check that it is still valid",
    from: "E11",
    file: campaign,
    find: "if (yield* tenure.isValid) {",
    replace: "yield* tenure.isValid\n        if (told !== undefined) {",
    scenario: "sluggish",
    runs: 500,
    // No plan suspends a machine for seconds within the milliseconds of the last read.
    test: {
      file: "test/Election/requests.test.ts",
      name: "a winner whose deadline passes during its last read is not announced"
    }
  },
  {
    name: "all attempts of a nonce have one number",
    from: "E3",
    file: term,
    find: "last: last + 1, sentAt: new Map(sentAt).set(last + 1, now)",
    replace: "last: 1,\n  sentAt: new Map(sentAt).set(1, now)",
    scenario: "flapping"
  },
  {
    name: "a failed read counts as a removed record",
    from: "E14, AegisSDK 0.4: one failed read ends the term of a healthy leader",
    file: tenure,
    find: "this.bounded(\"get\", this.options.store.get(this.key, { fromLeader: true })), fromRead)",
    replace:
      "Effect.orElseSucceed(this.bounded(\"get\", this.options.store.get(this.key)), () => Option.none()), fromRead)",
    scenario: "flapping"
  },
  {
    name: "a conflict counts as a win of another candidate",
    from: "E14, the server also answers 10164 while a write is in flight",
    file: tenure,
    find: "isConflict(error) ? this.readBack : this.missed(error)",
    replace: "isConflict(error) ? Effect.sync(() => this.step<\"settled\">(" +
      "[{ _tag: \"Ended\", reason: \"superseded\", holding: Term.holdingOf(this.state) }, \"settled\"])) : this.missed(error)",
    scenario: "mixed"
  },
  {
    name: "the epoch of the token is the time of the winner",
    from: "E25, AegisTrader: the sender's timestamp",
    file: campaign,
    find: "new FencingToken({ epoch: told.epoch,",
    replace: "new FencingToken({ epoch: elected.electedAt.epochMilliseconds,",
    scenario: "mixed"
  },
  {
    name: "the revision of the token is that of the record that was read back",
    from: "E25",
    file: campaign,
    find: "revision: elected.revision })",
    replace: "revision: \"revision\" in told.seen ? told.seen.revision : 0 })",
    scenario: "mixed",
    runs: 200,
    // It shows only if a renewal lands before the announcement.
    test: {
      file: "test/Election/requests.test.ts",
      name: "a winner that renews before the announcement has the token of the winning write"
    }
  }
]

const observers: ReadonlyArray<Mutant> = [
  {
    name: "observers read the revision of the last renewal in the token",
    from: "E25",
    file: observing,
    find: "revision: electedRevisionOf(seen)",
    replace: "revision: seen.revision",
    scenario: "mixed",
    runs: 200,
    test: {
      file: "test/Election/Election.test.ts",
      name: "leader and observe report the same term, token, candidate and metadata as the leadership"
    }
  },
  {
    name: "leader reports a leader at the very end of its lease",
    from: "E24",
    file: observing,
    find: "return left(store, observations, election, seen) > 0",
    replace: "return left(store, observations, election, seen) >= 0",
    scenario: "mixed",
    runs: 200,
    test: {
      file: "test/Election/observers.test.ts",
      name: "leader and observe report the leader until its lease ends, and none from then on (at 0 ms)"
    }
  },
  {
    name: "observe reports a leader at the very end of its lease",
    from: "E24",
    file: observing,
    find: "remaining = left(store, observations, election, seen)",
    replace: "remaining = left(store, observations, election, seen) + 1",
    scenario: "mixed",
    runs: 200,
    test: {
      file: "test/Election/observers.test.ts",
      name: "leader and observe report the leader until its lease ends, and none from then on (at 0 ms)"
    }
  }
]

const healthTests = "test/Election/health.test.ts"

const healthChecks: ReadonlyArray<Mutant> = [
  {
    name: "a health check begins while another one has not come back",
    from: "E22",
    file: healthCheck,
    find: "if (running !== undefined) return tooLong",
    replace: "",
    ...byTest,
    test: {
      file: healthTests,
      name: "a leader whose healthCheck cannot be interrupted resigns, is not asked again, and closes at once"
    }
  },
  {
    name: "a health check that hangs is not interrupted",
    from: "E22",
    file: healthCheck,
    find: "fiber.interruptUnsafe() return tooLong",
    replace: "return tooLong",
    ...byTest,
    test: { file: healthTests, name: "a check that hangs is interrupted after a second, and another one is asked" }
  },
  {
    name: "a leader resigns after one failed health check",
    from: "E22",
    file: health,
    find: "if (failures >= this.candidate.healthFailures)",
    replace: "if (failures > 0)",
    ...byTest,
    test: {
      file: healthTests,
      name: "a leader resigns after 2 failures in a row by default, not earlier"
    }
  },
  {
    name: "a candidate waits for a new answer of its health check before it tries to win",
    from: "E22",
    file: campaign,
    find: "} else if (health.isHealthy()) {",
    replace: "} else if (yield* Effect.delay(Effect.sync(health.isHealthy), times.renewInterval)) {",
    ...byTest,
    test: { file: healthTests, name: "a candidate whose healthCheck takes 900 ms wins a vacant record at once" }
  },
  {
    name: "a campaign that ends leaves its health check running",
    from: "E22",
    file: healthCheck,
    find: "() => Effect.sync(() => running?.interruptUnsafe())",
    replace: "() => Effect.void",
    ...byTest,
    test: {
      file: healthTests,
      name: "a scope that closes interrupts the running check, and does not wait for it"
    }
  }
]

const priorityTests = "test/Election/priorities.test.ts"

const priorities: ReadonlyArray<Mutant> = [
  {
    name: "priority does not count after a crash",
    from: "E7",
    file: challenger,
    find: "since + leaseMillis + candidate.priority * leaseStep(leaseMillis)",
    replace: "since + leaseMillis",
    ...byTest,
    test: {
      file: priorityTests,
      name: "the candidate with priority 0 wins before one with 2, not before the lease has ended, in 20 of 20 runs"
    }
  },
  {
    name: "a leader that was unhealthy sits out as one that has resigned",
    from: "E21",
    file: tenure,
    find: "if (why !== \"resigned\") this.leaving = why",
    replace: "",
    ...byTest,
    test: {
      file: priorityTests,
      name: "a leader that was unhealthy wins only after a candidate with the highest value"
    }
  },
  {
    name: "a former leader sits out two steps, whatever the priorities of others",
    from: "E21",
    file: sittingOut,
    find: "const steps = margin + (why === \"resigned\" ? highest : largestPriority)",
    replace: "const steps = margin + (why === \"resigned\" ? 0 : largestPriority)",
    ...byTest,
    test: {
      file: priorityTests,
      name: "a leader that resigns waits for two steps more than the highest value of the candidates in its process"
    }
  },
  {
    name: "a former leader whose hand-over was not stored does not wait for its lease",
    from: "E21",
    file: sittingOut,
    find: "leavesRecord(tenure) ? tenure.untilLeaseEnds : undefined",
    replace: "undefined",
    ...byTest,
    test: {
      file: priorityTests,
      name: "a leader whose hand-over was not stored waits for the lease and as many fifths of it"
    }
  },
  {
    name: "a hand-over that is stored without an answer counts as not stored",
    from: "E21",
    file: tenure,
    find: "if (!hadEnded && this.lossReason === \"resigned\") this.wasHandedOver = true",
    replace: "",
    ...byTest,
    test: {
      file: priorityTests,
      name: "a leader whose hand-over is stored without an answer waits for twice renewInterval"
    }
  }
]

const nestingTests = "test/Election/nesting.test.ts"

const nestedCampaigns: ReadonlyArray<Mutant> = [
  {
    name: "work can campaign for its own election",
    from: "E23",
    file: nesting,
    find: "one.options.election === election",
    replace: "one.options.election === undefined",
    ...byTest,
    test: {
      file: nestingTests,
      name: "whileLeader for the election of the work fails with InvalidConfig, and the work leads on"
    }
  },
  {
    name: "a nested campaign for another election forgets the terms around it",
    from: "E23",
    file: nesting,
    find: "[...around.filter(isOpen), tenure]",
    replace: "[tenure]",
    ...byTest,
    test: {
      file: nestingTests,
      name: "whileLeader for the election of the work fails with InvalidConfig, and the work leads on"
    }
  },
  {
    name: "a fiber that the work has detached can never campaign for the same election",
    from: "E23",
    file: nesting,
    find: "lossReason === undefined",
    replace: "lossReason !== \"superseded\"",
    ...byTest,
    test: {
      file: nestingTests,
      name: "a fiber that the work has detached can campaign for the same election once the term was handed over"
    }
  },
  {
    name: "each campaign has a candidateId of its own by default",
    from: "E21",
    file: "src/internal/election/candidate.ts",
    find: "given.candidateId ?? (yield* defaults.candidateId)",
    replace: "given.candidateId ?? (yield* makeId)",
    ...byTest,
    test: {
      file: nestingTests,
      name: "a candidate with the default id waits for twice renewInterval after its term"
    }
  }
]

export const elections: ReadonlyArray<Mutant> = [
  ...challengers,
  ...leaders,
  ...healthChecks,
  ...priorities,
  ...nestedCampaigns,
  ...observers
]
