/**
 * The service behind `Election`: checks the bucket and the arguments, and runs campaigns. `whileLeader` campaigns
 * again after a loss.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as RcRef from "effect/RcRef"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { CandidateOptions, Election, Leadership, Options, StepDownOptions, Timings } from "../../Election.ts"
import type { ElectionError } from "../../ElectionError.ts"
import type { KVStore } from "../../KVStore.ts"
import type { KVStoreError } from "../../KVStoreError.ts"
import { forkReported } from "../fibers.ts"
import { makeLeaveBudget } from "../leaving.ts"
import { annotate } from "../logs.ts"
import { invalidConfig, kindOf } from "../options.ts"
import {
  campaign as untilElected,
  type CampaignServices,
  type Candidate,
  type CandidateState,
  released
} from "./campaign.ts"
import { CampaignFailures } from "./campaignFailures.ts"
import { Candidacies } from "./candidacies.ts"
import {
  type CandidateDefaults,
  checkName,
  failure,
  makeDefaultId,
  sizeLimit,
  toCandidate,
  toLayerOptions,
  toStepDownOptions
} from "./candidate.ts"
import { makeHealth } from "./health.ts"
import { LateWrites } from "./lateWrites.ts"
import * as leadership from "./leadership.ts"
import { isWithin } from "./nesting.ts"
import { Observations } from "./observations.ts"
import * as leaders from "./observe.ts"
import { singleton, toWork, type Work } from "./singleton.ts"
import { SittingOut } from "./sittingOut.ts"
import * as requests from "./stepDown.ts"
import type { TermTimings } from "./tenure.ts"
import { upkeep } from "./upkeep.ts"

/**
 * 12 s: a NATS cluster that loses a node may reject writes for up to 9 s, and then a reconnect and an attempt follow.
 */
const shortestDeadlineOnCluster = 12_000

const storeFailure = (operation: string, election: string | undefined) => (error: KVStoreError): ElectionError =>
  failure(operation, election)(error)

/** Refuses a bucket in which elections are not safe (E27). */
const checkBucket = Effect.fnUntraced(function*(
  operation: string,
  store: KVStore["Service"],
  times: TermTimings
): Effect.fn.Return<void, ElectionError> {
  const { discard, historySize, replicas, storage, streamMaxAge } = store.config
  const refuse = (problem: string) => Effect.fail(failure(operation, undefined)(invalidConfig(problem)))
  if (historySize !== 1) return yield* refuse(`historySize: expected 1 for elections, got ${historySize}`)
  if (discard === "old") {
    return yield* refuse(
      "discard: expected \"new\" for elections, because a full bucket would remove the record of a valid leader, got " +
        "\"old\": open the bucket with onMismatch: \"update\""
    )
  }
  if (streamMaxAge !== undefined) {
    return yield* refuse(
      `streamMaxAge: expected none for elections, because it can remove the record of a valid leader, got ${
        Duration.format(streamMaxAge)
      }`
    )
  }
  const status = yield* Effect.mapError(store.status, storeFailure(operation, undefined))
  if (status.backend === "nats" && storage === "memory") {
    return yield* refuse(
      "storage: expected \"file\" for elections, because a restart of the server reuses revisions and fencing " +
        "tokens, got \"memory\""
    )
  }
  if (replicas > 1 && times.renewDeadline < shortestDeadlineOnCluster) {
    yield* Effect.logWarning(
      "renewDeadline is below 12 s on a replicated bucket: the leader may lose leadership if a NATS node fails"
    )
  }
})

/** Shared by the campaigns of one service. */
interface Elections {
  readonly services: CampaignServices
  /** Follows the bucket while the scope is open. All users share one watch. */
  readonly followed: Effect.Effect<Observations, never, Scope.Scope>
  readonly defaults: CandidateDefaults
}

/** What `layerSingleton` needs of each service created here. */
const internals = new WeakMap<Election["Service"], {
  readonly check: (
    operation: string,
    election: string,
    options: CandidateOptions | undefined
  ) => Effect.Effect<unknown, ElectionError>
  /** The `candidateId` of candidates that do not set their own. */
  readonly candidateId: Effect.Effect<string>
  /** Ends the wait of a candidate that has resigned (E21). */
  readonly returns: (election: string, candidateId: string) => Effect.Effect<void>
}>()

/**
 * Checks the arguments of `layerSingleton`, and returns its effect. A service that this library did not create checks those of
 * campaigns itself.
 */
export const toSingleton = /* @__PURE__ */ Effect.fnUntraced(function*<E, R>(
  service: Election["Service"],
  name: string,
  run: Effect.Effect<never, E, R> | Work<E, R>,
  options: CandidateOptions | undefined
): Effect.fn.Return<Effect.Effect<never, E | ElectionError, R>, ElectionError> {
  const operation = "layerSingleton"
  const known = internals.get(service)
  if (known !== undefined) yield* known.check(operation, name, options)
  const work = yield* Effect.mapError(Effect.fromResult(toWork(run)), failure(operation, name))
  const candidateId = options?.candidateId ?? (yield* known?.candidateId ?? makeDefaultId())
  const returns = known === undefined ? Effect.void : known.returns(name, candidateId)
  return singleton(service, { name, work, candidate: { ...options, candidateId }, returns })
})

/** `operation` is the constructor that was called, for errors. */
export const make = Effect.fnUntraced(function*(
  operation: string,
  store: KVStore["Service"],
  options: Options | undefined,
  otherwise: Timings
): Effect.fn.Return<Election["Service"], ElectionError, Scope.Scope> {
  const { leaveTimeout, removeVacantAfter, times } = yield* Effect.mapError(
    toLayerOptions(options, otherwise),
    failure(operation, undefined)
  )
  yield* checkBucket(operation, store, times)
  const clock = yield* Clock.Clock
  const observations = new Observations(store, clock)
  const followed = RcRef.get(yield* RcRef.make({ acquire: Effect.as(observations.follow, observations) }))
  const lateWrites = new LateWrites(followed, yield* Effect.scope)
  const leaving = { budget: yield* makeLeaveBudget, timeout: leaveTimeout }
  const candidacies = new Candidacies()
  const sittingOut = new SittingOut(clock)
  const closing = Latch.makeUnsafe(false)
  const services = { store, clock, observations, candidacies, lateWrites, leaving, sittingOut, closing }
  const defaults: CandidateDefaults = { candidateId: makeDefaultId(), times }
  const elections: Elections = { services, followed, defaults }
  yield* forkReported("Election", "the upkeep of elections", upkeep({ services, followed, removeVacantAfter }))
  // Runs before the other finalizers: a fiber that campaigns may end only after the layers that it uses.
  yield* Effect.addFinalizer(() => Effect.andThen(closing.open, candidacies.workHasEnded))
  const service: Election["Service"] = {
    candidates: candidacies.candidates,
    status: (election) => checked("status", election, candidacies.status(election)),
    stepDown: (election, options) => stepDown(elections, election, options),
    campaign: (election, options) => campaign(elections, election, options),
    whileLeader: (election, work, options) => whileLeader(elections, election, work, options),
    leader: (election) =>
      checked(
        "leader",
        election,
        Effect.mapError(leaders.leader(store, observations, election), storeFailure("leader", election))
      ),
    observe: (election) =>
      Stream.unwrap(checked(
        "observe",
        election,
        Effect.as(
          whileOpen(services, "observe", followed),
          Stream.interruptWhen(
            leaders.observe(store, observations, election),
            Effect.andThen(closing.await, Effect.suspend(() => Effect.fail(released("observe", store))))
          )
        ).pipe(
          Effect.map(Stream.mapError(storeFailure("observe", election))),
          Effect.mapError(storeFailure("observe", election))
        )
      ))
  }
  internals.set(service, {
    candidateId: defaults.candidateId,
    check: (operation, election, options) => enter(elections, operation, election, options),
    returns: (election, candidateId) => services.sittingOut.end({ election, candidateId })
  })
  return service
})

const enter = (
  { defaults, services: { store } }: Elections,
  operation: string,
  election: string,
  options: CandidateOptions | undefined
): Effect.Effect<Candidate, ElectionError> =>
  toCandidate(election, options, defaults, sizeLimit(store)).pipe(
    Effect.tap(Effect.filterOrFail(isWithin({ election, store }), (is) => !is, () => ownElection(election))),
    Effect.mapError(failure(operation, election))
  )

const ownElection = (election: string) =>
  invalidConfig(
    `election: expected another one than "${election}", which the work around this call leads: it would wait for the end of ` +
      "its own term. Use the Leadership that was passed to the work"
  )

/** Leadership is handed over when the scope is closed. */
const win = ({ followed, services }: Elections, operation: string, candidate: Candidate, state: CandidateState) =>
  Effect.mapError(
    Effect.andThen(whileOpen(services, "campaign", followed), untilElected(services, candidate, state)),
    storeFailure(operation, candidate.election)
  )

/**
 * One for all terms of a candidate: a check that has not come back in one term holds the next one back, and a bucket that was
 * there in one term may come back.
 */
const makeState = (candidate: Candidate, runsWork: boolean): Effect.Effect<CandidateState, never, Scope.Scope> =>
  Effect.map(
    makeHealth(candidate),
    (health) => ({ health, failures: new CampaignFailures(candidate.election, candidate.times), runsWork })
  )

const campaign = Effect.fnUntraced(function*(
  elections: Elections,
  election: string,
  options: CandidateOptions | undefined
): Effect.fn.Return<Leadership, ElectionError, Scope.Scope> {
  const candidate = yield* enter(elections, "campaign", election, options)
  const state = yield* makeState(candidate, false)
  const won = yield* win(elections, "campaign", candidate, state)
  return yield* leadership.lead(elections.services, candidate, state.health, won)
})

const whileLeader = <A, E, R>(
  elections: Elections,
  election: string,
  work: (leadership: Leadership) => Effect.Effect<A, E, R>,
  options: CandidateOptions | undefined
): Effect.Effect<A, E | ElectionError, Exclude<R, Scope.Scope>> =>
  Effect.gen(function*() {
    const candidate = yield* enter(elections, "whileLeader", election, options)
    if (typeof work !== "function") {
      const reason = invalidConfig(`work: expected a function that returns an Effect, got ${kindOf(work)}`)
      return yield* failure("whileLeader", election)(reason)
    }
    const terms = Effect.gen(function*() {
      const state = yield* makeState(candidate, true)
      while (true) {
        const term = Effect.flatMap(
          win(elections, "whileLeader", candidate, state),
          (won) => leadership.runWork(elections.services, candidate, state.health, won, work)
        )
        const outcome = yield* Effect.scoped(term)
        if (outcome._tag === "Finished") return outcome.exit
      }
    })
    return yield* yield* Effect.scoped(terms)
  })

/** Fails once the service has been released. Without it, the caller would be interrupted. */
const whileOpen = <A, E, R>({ closing, store }: CampaignServices, operation: string, effect: Effect.Effect<A, E, R>) =>
  Effect.suspend((): Effect.Effect<A, E | KVStoreError, R> =>
    closing.isOpen() ? Effect.fail(released(operation, store)) : effect
  )

const stepDown = Effect.fnUntraced(function*(
  { followed, services }: Elections,
  election: string,
  options: StepDownOptions | undefined
): Effect.fn.Return<boolean, ElectionError> {
  const fail = failure("stepDown", election)
  const { timeout } = yield* Effect.mapError(Effect.fromResult(toStepDownOptions(options)), fail)
  const { clock, store } = services
  const asked = Effect.mapError(
    whileOpen(services, "stepDown", requests.stepDown({ store, clock, followed }, election, timeout)),
    fail
  )
  return yield* checked("stepDown", election, annotate("Election", { election })(asked))
})

const checked = <A, R>(operation: string, election: string, effect: Effect.Effect<A, ElectionError, R>) =>
  Effect.suspend(() => {
    const wrong = checkName(election)
    return wrong === undefined ? effect : Effect.fail(failure(operation, election)(wrong))
  })
