/** Planted bugs of elections: of challengers, of leaders, and of observers. */
import { byTest, type Edit, type Mutant } from "./models.ts"

const observations = "src/internal/election/observations.ts"
const candidate = "src/internal/election/candidate.ts"
const campaign = "src/internal/election/campaign.ts"
const stopping = "src/internal/election/stopping.ts"
const lateWrites = "src/internal/election/lateWrites.ts"
const failures = "src/internal/election/campaignFailures.ts"
const requests = "src/internal/election/requests.ts"
const challenger = "src/internal/election/challenger.ts"
const elapsed = "src/internal/election/elapsed.ts"
const health = "src/internal/election/health.ts"
const healthCheck = "src/internal/healthCheck.ts"
const leadership = "src/internal/election/leadership.ts"
const nesting = "src/internal/election/nesting.ts"
const observing = "src/internal/election/observe.ts"
const record = "src/internal/election/record.ts"
const sittingOut = "src/internal/election/sittingOut.ts"
const tenure = "src/internal/election/tenure.ts"
const upkeep = "src/internal/election/upkeep.ts"
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
    find: "const sent = yield* Effect.result(tenure.stand(on, term))",
    replace: "const now = yield* Effect.option(tenure.look)\n" +
      "    const newest = now._tag === \"Some\" && \"revision\" in now.value ? now.value.revision : on\n" +
      "    const sent = yield* Effect.result(tenure.stand(newest, term))",
    scenario: "mixed"
  },
  {
    name: "a challenger waits for half a lease",
    from: "E7",
    file: challenger,
    find: "at: afterLease(leaseFor(seen.record.leaseMillis))",
    replace: "at: afterLease(leaseFor(seen.record.leaseMillis) / 2)",
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
    find: "at: afterLease(leaseFor(seen.record.leaseMillis))",
    replace: "at: seen.created.epochMilliseconds + leaseFor(seen.record.leaseMillis)",
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
    find: "Effect.raceAllFirst([tenure.lost, Deferred.await(asked), services.closing.await])",
    replace: "Effect.raceAllFirst([Deferred.await(asked), services.closing.await])",
    scenario: "mixed"
  },
  {
    name: "a layer that is released leaves the work of its leaders to the fibers that began it",
    from: "E23: forkChild under Effect.provide could not hand over, because the connection was closed",
    file: leadership,
    find: "Effect.raceAllFirst([tenure.lost, Deferred.await(asked), services.closing.await])",
    replace: "Effect.raceAllFirst([tenure.lost, Deferred.await(asked)])",
    ...byTest,
    test: {
      file: "test/Election/released.test.ts",
      name: "stops the work of a leader in a fiber of forkChild, and hands over before the store is closed"
    }
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
    file: stopping,
    find: "Effect.void : Fiber.interrupt(work)",
    replace: "Effect.void : Effect.asVoid(Effect.forkDetach(Fiber.interrupt(work)))",
    also: [{
      file: stopping,
      find: "Fiber.await(work))",
      replace: "Effect.sync((): Exit.Exit<A, E> => work.pollUnsafe() ?? Exit.interrupt()))"
    }],
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
    find: "else if (tenure.announce())",
    replace: "else if (tenure.announce() || confirmation._tag === \"Confirmed\")",
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
    find: "this.answered(\"get\", millis, this.options.store.get(this.key, { fromLeader: true })), fromRead)",
    replace:
      "Effect.orElseSucceed(this.answered(\"get\", millis, this.options.store.get(this.key)), () => Option.none()), " +
      "fromRead)",
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
    find: "new FencingToken({ epoch,",
    replace: "new FencingToken({ epoch: elected.electedAt.epochMilliseconds,",
    scenario: "mixed"
  },
  {
    name: "the revision of the token is that of the record that was read back",
    from: "E25",
    file: campaign,
    find: "revision: elected.revision })",
    replace: "revision: \"revision\" in seen ? seen.revision : 0 })",
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

const late = "test/Election/lateWrites.test.ts"
const stops = "test/Election/stopping.test.ts"
const deadlines = "test/Election/deadlines.test.ts"

/** Leadership that nobody uses, or that nothing reports. */
const liveness: ReadonlyArray<Mutant> = [
  {
    name: "work that hangs while it stops keeps leadership",
    from: "E23: a finalizer that never ends",
    file: term,
    find: "(next._tag === \"Releasing\" && now < next.stopBy)",
    replace: "state._tag === \"Releasing\"",
    scenario: "elections",
    runs: 500,
    test: {
      file: stops,
      name: "does not keep leadership if it is interrupted: another candidate leads after stopTimeout and the lease"
    }
  },
  {
    name: "the result of work that was told to stop is discarded",
    from: "E23: a job runs twice",
    file: leadership,
    find: "endsItself ? exit : ownEnd(exit)",
    replace: "endsItself ? exit : undefined",
    scenario: "elections",
    runs: 500,
    test: { file: stops, name: "work that fails while it is being stopped does not run again" }
  },
  {
    name: "finalizers of work that has ended keep leadership without end",
    from: "E23: work that failed, and whose connection could not be released: no leader for 24 h, valid all the time",
    file: leadership,
    find: "Effect.raceAllFirst([Fiber.await(fiber), hasEnded.await, toldToStop])",
    replace: "Effect.raceAllFirst([Fiber.await(fiber), toldToStop])",
    ...byTest,
    test: { file: stops, name: "that fails, and whose finalizer hangs, does not keep leadership either" }
  },
  {
    name: "work that is told to stop twice is two overruns",
    from: "E23: two reports of one overrun",
    file: leadership,
    find: "return first ? run : Deferred.await(done)",
    replace: "return first ? run : effect",
    ...byTest,
    test: { file: stops, name: "that is told to stop twice is one overrun, with one line at its end" }
  },
  {
    name: "the success of work that is told to stop while the finalizers of its scope run is discarded",
    from: "E23: the job ran again, after a request to step down",
    file: leadership,
    find: "?? (itsEnd !== undefined && Exit.isSuccess(itsEnd) ? itsEnd : undefined)",
    replace: "",
    scenario: "elections",
    runs: 500,
    test: {
      file: stops,
      name: "work that succeeds does not run again if it is told to stop while the finalizers of its scope run"
    }
  },
  {
    name: "a leader renews after its deadline",
    from: "E14: a leader that was suspended for three leases, and kept its term",
    file: term,
    find: "  const [next] = tick(state, now, renewDeadline)\n  return next._tag === \"Leading\" || (",
    replace: "  const [next] = [state]\n  return next._tag === \"Leading\" || (",
    ...byTest,
    test: { file: deadlines, name: "a leader that continues after its deadline sends no renewal and no proclamation" }
  },
  {
    name: "an overrun on a machine that was suspended is reported late",
    from: "E16, E23: by the time of the suspension, up to a lease",
    file: stopping,
    find: "report === \"Overrun\" ? wait : Math.min(wait, longestTick)",
    replace: "Math.max(wait, 0 * longestTick)",
    ...byTest,
    test: {
      file: stops,
      name: "an overrun is reported when the lease has ended, although a clock has stopped meanwhile"
    }
  },
  {
    name: "an overrun of a blocked event loop is not reported",
    from: "E23: the work ran for 2 s beside that of the next leader",
    file: stopping,
    find: "yield* reports.stopped",
    replace: "",
    scenario: "elections",
    runs: 500,
    test: { file: stops, name: "in a blocked event loop is an overrun, which is reported when it has stopped" }
  },
  {
    name: "an overrun after another candidate has won is reported at the end of the lease",
    from: "E23",
    file: tenure,
    find: "this.lossReason === \"superseded\" ? Math.min(0, this.untilLeaseEnds) : this.untilLeaseEnds",
    replace: "this.untilLeaseEnds",
    ...byTest,
    test: {
      file: stops,
      name: "that is still stopping when another candidate has written the record is an overrun at once"
    }
  },
  {
    name: "a refusal ends the campaign",
    from: "E10: a right that was taken away for 6 s ended each campaign in the fleet",
    file: failures,
    find: "return isClosed(error) ||",
    replace: "return isRefusal(error) ||",
    scenario: "elections",
    runs: 500,
    test: {
      file: "test/Election/Election.test.ts",
      name: "a candidate that cannot write, because the store is full goes on, and leads once it can"
    }
  },
  {
    name: "a candidate that is refused pauses for up to a lease, although nobody leads",
    from: "E10",
    file: failures,
    find: "isFree ? Math.min(shortPause, times.leaseDuration) : times.leaseDuration",
    replace: "times.leaseDuration",
    ...byTest,
    test: {
      file: "test/Election/campaignFailures.test.ts",
      name: "while nobody leads, a candidate that is refused tries again within half a second"
    }
  },
  {
    name: "a campaign after a lost term forgets that the bucket existed",
    from: "E10: whileLeader of a leader failed when its bucket was deleted, and that of a standby continued",
    file: campaign,
    find: "const campaigning = { services, candidate, ...state }",
    replace: "const campaigning = { services, candidate, ...state, failures: " +
      "Object.assign(Object.create(Object.getPrototypeOf(state.failures)), state.failures, { hasReached: false }) }",
    ...byTest,
    test: {
      file: "test/Election/failures.test.ts",
      name: "a campaign, leader and observe, if the bucket does not exist later"
    }
  },
  {
    name: "renewals extend the time for the announcement",
    from: "E11: a winner that may write its record, and not read the bucket, held the election in 100 of 100 runs",
    file: term,
    find: "const announceBy = ({ wonAt }: Holding, renewDeadline: number): number => wonAt + renewDeadline",
    replace: "const announceBy = ({ lease }: Holding, renewDeadline: number): number => lease.sentAt + renewDeadline",
    scenario: "elections",
    runs: 500,
    test: { file: late, name: "do not keep others out: a candidate that may not read the bucket lets another one lead" }
  },
  {
    name: "a candidate that could not announce its leadership tries again at once",
    from: "E21",
    file: sittingOut,
    find: "if (tenure.couldNotAnnounce) return 2 * leaseDuration",
    replace: "",
    scenario: "elections",
    runs: 500,
    test: { file: late, name: "wait for two leases before they try again" }
  },
  {
    name: "a candidate that lost its term before a renewal landed waits no longer than others",
    from: "E21: one candidate that is a little too slow kept all others out in 193 of 200 runs",
    file: sittingOut,
    find: "return tenure.ledInVain ? leaseDuration + margin * renewInterval : 0",
    replace: "return 0",
    scenario: "elections",
    runs: 500,
    test: { file: late, name: "wait for a lease and 2 x renewInterval if the term was lost before a renewal landed" }
  },
  {
    name: "a late write is recognised by its nonce alone",
    from: "E28: after a roll-back two candidates lead",
    file: term,
    find: "isUnused || open.attempts.sentAt.has(seen.record.attempt)",
    replace: "isUnused || seen.record.nonce === nonce",
    ...byTest,
    test: { file: late, name: "an old record of the own nonce, as after a roll-back, is not handed back" }
  },
  {
    name: "a late write is not handed back",
    from: "E28: 20 s without a leader after a store that stood still",
    file: lateWrites,
    find: "return yield* tenure.handBack(seen)",
    replace: "return",
    ...byTest,
    test: {
      file: late,
      name: "a renewal that lands after the end of its term is handed back, and another candidate leads at once"
    }
  },
  {
    name: "a win that is observed after its deadline is not handed back",
    from: "E28: a store that stood still for 40 s, and a leader that had crashed",
    file: term,
    find: "holdingOf(state)?.hasLed === false && typeof",
    replace: "holdingOf(state)?.hasLed === true && typeof",
    ...byTest,
    test: {
      file: late,
      name: "an attempt to win that lands after its deadline is handed back, and another candidate leads within 2 s"
    }
  },
  {
    name: "pauses between attempts do not follow renewInterval",
    from: "E13: timings of 300/200/50 ms lost leadership with one failed renewal in 86 of 100 runs",
    file: requests,
    find: "Math.min(100, renewInterval / 20), Math.min(500, renewInterval / 4)",
    replace: "100, 500",
    ...byTest,
    test: { file: stops, name: "a renewal that fails once does not end a term with short timings" }
  }
]

/** A bug that only this test in `test/Election` detects. */
const inTest = (file: string, name: string) => ({ ...byTest, test: { file: `test/Election/${file}.test.ts`, name } })

const records: ReadonlyArray<Mutant> = [
  {
    name: "metadata is not compared with the limit of the connection",
    from: "E1",
    file: candidate,
    find: "Math.min(recordLimit(store.config), valueLimitOf(store))",
    replace: "Math.min(recordLimit(store.config), Math.abs(valueLimitOf(store)) * 9)",
    ...inTest(
      "sizes",
      "campaign and proclaim refuse metadata that a message of the connection cannot carry, and send nothing"
    )
  },
  {
    name: "a vacant record has the metadata of the leader",
    from: "E4",
    file: tenure,
    find: "metadata: vacant ? {} : metadata",
    replace: "metadata",
    ...inTest("sizes", "leadership is handed over, although its renewals no longer fit")
  },
  {
    name: "renewals do not show that the work of the leader stops",
    from: "E23",
    file: tenure,
    find: "this.state._tag === \"Releasing\" && !vacant",
    replace: "this.state._tag === \"Releasing\" && vacant",
    ...inTest(
      "observers",
      "observers see that the work of a leader stops from its next renewal on, and a challenger still waits"
    )
  },
  {
    name: "a lease of any length in a record counts",
    from: "E5, a record with a lease of a year outlived its removal",
    file: record,
    find: "Math.min(leaseMillis, longestLease)",
    replace: "leaseMillis",
    ...inTest("longLeases", "a record with a lease of a year counts for an hour after its removal, and this is logged")
  },
  {
    name: "a wait for a long lease after the removal of its record is not logged",
    from: "E5",
    file: "src/internal/election/longWaits.ts",
    find: "seen._tag === \"Absent\" && lastHeld",
    replace: "seen._tag === \"Vacant\" && lastHeld",
    ...inTest("longLeases", "a record with a lease of a year counts for an hour after its removal, and this is logged")
  },
  {
    name: "a candidate with a short lease waits only for it if a record cannot be decoded",
    from: "E5, a leader with the default timings may be valid for longer",
    file: challenger,
    find: "Math.max(leaseMillis, leaseDuration, shortestGuess)",
    replace: "Math.max(leaseMillis, leaseDuration)",
    ...inTest("hostileRecords", "a candidate waits for 20 seconds if a record does not decode")
  },
  {
    name: "the lease in a record that cannot be decoded is not read",
    from: "E5",
    file: challenger,
    find: "lastHeld: { _tag: \"Guessed\", leaseMillis: seen.leaseMillis }",
    replace: "lastHeld: { _tag: \"Guessed\", leaseMillis: undefined }",
    ...inTest(
      "hostileRecords",
      "a candidate waits for the lease in its text if a record does not decode, and is removed"
    )
  },
  {
    name: "a candidate writes a term that no candidate can decode",
    from: "E4, it was superseded by its own record, again and again",
    file: challenger,
    find: "termOf(known) + 1",
    replace: "known.term + 1",
    ...inTest("hostileRecords", "a candidate wins with the first term if the next one could not be decoded")
  },
  {
    name: "observe waits for a watch that the store refuses",
    from: "E6",
    file: observations,
    find: "if (isRefusal(error)) this.refuse(error)",
    replace: "",
    ...inTest("refusedWatches", "observe fails when the watch is refused while it is open, also beside a candidate")
  },
  {
    name: "a candidate without the right to watch reads once per lease",
    from: "E6",
    file: campaign,
    find: "observations.isRefused ? times.renewInterval : times.leaseDuration",
    replace: "times.leaseDuration",
    ...inTest(
      "refusedWatches",
      "a candidate whose watch is refused from the start of the campaign on wins within 1.2 renewInterval after a hand-over"
    )
  },
  {
    name: "a refused watch does not wake the candidates",
    from: "E6",
    file: observations,
    find: "for (const waiting of Array.from(this.waiting.values())) for (const wake of Array.from(waiting)) wake()",
    replace: "",
    ...inTest(
      "refusedWatches",
      "a candidate whose watch is refused from a later time on wins within 1.2 renewInterval after a hand-over"
    )
  },
  {
    name: "an election is forgotten as soon as its record is removed",
    from: "E29, two candidates led after an operator's purge",
    file: challenger,
    find: "now - since >= longestWaitFor(lastHeld)",
    replace: "now - since >= 0",
    ...inTest(
      "upkeep",
      "an election is not forgotten before the lease of a leader whose record was purged has ended"
    )
  },
  {
    name: "a vacant record is removed although it was written again",
    from: "E29",
    file: upkeep,
    find: "seen._tag !== \"Vacant\" || seen.revision !== observed.revision ||",
    replace: "seen._tag !== \"Vacant\" ||",
    ...inTest("upkeep", "a vacant record is kept if it is written again before it is read")
  },
  {
    name: "a vacant record is removed without a condition",
    from: "E29",
    file: upkeep,
    find: "store.delete(keyOf(election), { revision: seen.revision })",
    replace: "store.delete(keyOf(election))",
    ...inTest("upkeep", "a vacant record is kept if it is written again after it was read")
  },
  {
    name: "the term of a later leader is removed",
    from: "E29",
    file: upkeep,
    find: "store.delete(termKeyOf(election), { revision: term.value.revision })",
    replace: "store.delete(termKeyOf(election))",
    ...inTest("upkeep", "a vacant record is kept if it has a new term before it is removed")
  },
  {
    name: "a vacant record is removed while a candidate of the process campaigns",
    from: "E29",
    file: upkeep,
    find: "seen.revision !== observed.revision || candidacies.standsFor(election)",
    replace: "seen.revision !== observed.revision",
    ...inTest("upkeep", "a vacant record is kept if a candidate of the service begins while the record is read")
  },
  {
    name: "a service without a candidate removes records",
    from: "E29",
    file: upkeep,
    find: "if (candidacies.haveBegun) {",
    replace: "if (candidacies !== undefined) {",
    ...inTest(
      "upkeep",
      "records are removed by a service whose candidates have ended, and by none that had no candidate"
    )
  },
  {
    name: "renewals repeat metadata that is too large",
    from: "E18",
    file: tenure,
    find: "this.metadata = this.storedMetadata",
    replace: "this.storedMetadata = this.metadata",
    ...inTest("sizes", "a proclamation without an answer that turns out to be too large costs no leadership")
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
    scenario: "elections",
    runs: 500,
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
    scenario: "elections",
    runs: 500,
    test: { file: healthTests, name: "a check that hangs is interrupted after a second, and another one is asked" }
  },
  {
    name: "a leader resigns after one failed health check",
    from: "E22",
    file: health,
    find: "if (failures >= this.candidate.healthFailures)",
    replace: "if (failures > 0)",
    scenario: "elections",
    runs: 500,
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
    scenario: "elections",
    runs: 500,
    test: { file: healthTests, name: "a candidate whose healthCheck takes 900 ms wins a vacant record at once" }
  },
  {
    name: "a campaign that ends leaves its health check running",
    from: "E22",
    file: healthCheck,
    find: "() => Effect.sync(() => running?.interruptUnsafe())",
    replace: "() => Effect.void",
    scenario: "elections",
    runs: 500,
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
    scenario: "elections",
    runs: 500,
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
    scenario: "elections",
    runs: 500,
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
    find: "Effect.as(!hadEnded && this.lossReason === \"resigned\" ? this.handedOver : Effect.void, answer)",
    replace: "Effect.as(hadEnded && this.lossReason === undefined ? this.handedOver : Effect.void, answer)",
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

const stepDowns: ReadonlyArray<Mutant> = [
  {
    name: "any leader honours a request to step down",
    from: "E30",
    file: "src/internal/election/stepDownRequests.ts",
    find: "known?.nonce === nonce",
    replace: "known !== undefined",
    ...inTest("stepDown", "the next leader does not honour the request"),
    scenario: "elections",
    runs: 500
  },
  {
    name: "a leader that was asked to step down comes straight back",
    from: "E30",
    file: leadership,
    find: "resignOnce(won, \"steppedDown\", asked, resign)",
    replace: "resignOnce(won, \"resigned\", asked, resign)",
    ...inTest("stepDown", "the work of the leader is stopped first, and the leader does not come straight back")
  },
  {
    name: "a leader whose watch is silent does not learn of a request to step down",
    from: "E30",
    file: "src/internal/election/stepDown.ts",
    find: "yield* Effect.sleep(wholeMillis(factor * times.leaseDuration)) yield* read",
    replace: "yield* Effect.sleep(wholeMillis(factor * times.leaseDuration * 9))\n      yield* read",
    ...inTest("stepDown", "a leader whose watch is silent reads the request within 1.2 leases")
  },
  {
    name: "an election is freed before its lease was observed to end",
    from: "E30",
    file: "src/internal/election/stepDown.ts",
    find: "const left = endOfLease(observation) - monotonicMillis(clock)",
    replace: "const left = endOfLease(observation) - monotonicMillis(clock) - 1000",
    ...inTest(
      "stepDown",
      "frees an election whose leader does not renew, once this process has observed that for the whole lease"
    )
  },
  {
    name: "a request to step down is for the next leader, too",
    from: "E30",
    file: "src/internal/election/stepDown.ts",
    find: "seen._tag === \"Held\" && seen.record.nonce === asked.record.nonce",
    replace: "seen._tag === \"Held\"",
    ...inTest("stepDown", "a record that another candidate writes meanwhile ends the wait")
  }
]

export const elections: ReadonlyArray<Mutant> = [
  ...challengers,
  ...leaders,
  ...healthChecks,
  ...priorities,
  ...nestedCampaigns,
  ...liveness,
  ...records,
  ...stepDowns,
  ...observers
]
