/** A process asks the leader of an election to hand over (E30), and the status of this process's part. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import { keyOf, stepDownKeyOf } from "../../src/internal/election/record.ts"
import { decode } from "../../src/internal/election/stepDownRequests.ts"
import { away, denied, on, silent } from "../support/links.ts"
import { logged, openBucket } from "../support/suite.ts"
import { leaseDuration, now, renewDeadline, renewInterval } from "./suite/fixture.ts"
import { finish, settled, test, two } from "./suite/inMemory.ts"
import { employ, only, reasonOf, recordIn, stand, startProcess, tagIn, usurp } from "./suite/processes.ts"

const utf8 = (text: string) => new TextEncoder().encode(text)

describe("Election in memory: stepDown", () => {
  test("the leader hands over, another candidate leads, and both are named in the log", () =>
    Effect.gen(function*() {
      const log = logged()
      yield* Effect.gen(function*() {
        const { one, store, two: other } = yield* two()
        const operator = yield* startProcess(store)
        yield* TestClock.adjust(1000)
        const asked = yield* Effect.forkChild(operator.election.stepDown(only))
        yield* TestClock.adjust(200)
        assert.isTrue(yield* Fiber.join(asked))
        assert.isTrue(yield* other.hasWon)
        assert.strictEqual(yield* one.whyLost, "resigned")
      }).pipe(Effect.provide(log.layer))
      assert.isTrue(log.lines.some((line) => /stepping down as the leader of "orders": .* has asked for it/.test(line)))
    }))

  test("the work of the leader is stopped first, and the leader does not come straight back", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const log: Array<string> = []
      const work = (name: string) => () =>
        Effect.gen(function*() {
          log.push(`${name} began`)
          yield* Effect.addFinalizer(() =>
            Effect.andThen(Effect.sleep(100), Effect.sync(() => log.push(`${name} ended`)))
          )
          return yield* Effect.never
        })
      const process = yield* startProcess(store)
      yield* employ(process, finish, "one", work("one"))
      yield* settled
      // A candidate with the largest priority value leads before the former leader.
      yield* employ(yield* startProcess(store), finish, "two", work("two"), { priority: 10 })
      yield* TestClock.adjust(1000)
      const asked = yield* Effect.forkChild(process.election.stepDown(only))
      yield* TestClock.adjust(11 * renewInterval)
      assert.isTrue(yield* Fiber.join(asked))
      assert.deepStrictEqual(log, ["one began", "one ended", "two began"])
    }))

  test("is false, and writes nothing, if nobody leads", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      assert.isFalse(yield* process.election.stepDown(only))
      const one = yield* stand(yield* startProcess(store), finish, "one")
      yield* settled
      yield* one.close
      assert.isFalse(yield* process.election.stepDown(only))
      assert.isTrue(Option.isNone(yield* store.get(stepDownKeyOf(only))))
    }))

  test("the next leader does not honour the request", () =>
    Effect.gen(function*() {
      const { store, two: other } = yield* two()
      const operator = yield* startProcess(store)
      yield* Effect.forkChild(operator.election.stepDown(only))
      yield* TestClock.adjust(200)
      assert.isTrue(yield* other.isValid)
      yield* TestClock.adjust(4 * leaseDuration)
      assert.isTrue(yield* other.isValid)
      const request = Option.flatMap(yield* store.get(stepDownKeyOf(only)), ({ value }) => decode(value))
      assert.notStrictEqual(Option.getOrThrow(request).nonce, (yield* recordIn(store)).nonce)
    }))

  test("a leader whose watch is silent reads the request within 1.2 leases", () =>
    Effect.gen(function*() {
      const { link, store, two: other } = yield* two()
      yield* link.lag(Effect.never)
      const operator = yield* startProcess(store)
      const asked = yield* Effect.forkChild(operator.election.stepDown(only, { timeout: "10 seconds" }))
      yield* TestClock.adjust(1.2 * leaseDuration + 300)
      assert.isTrue(yield* Fiber.join(asked))
      assert.isTrue(yield* other.hasWon)
    }))

  test("frees an election whose leader does not renew, once this process has observed that for the whole lease", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const one = yield* stand(process, finish, "one")
      yield* TestClock.adjust(1000)
      yield* process.link.set(silent)
      const { sentAt } = process.link.landed.at(-1)!
      const operator = yield* startProcess(store)
      const asked = yield* Effect.forkChild(operator.election.stepDown(only))
      const from = yield* now
      yield* TestClock.adjust(leaseDuration - 10)
      assert.strictEqual(yield* tagIn(store), "Held")
      yield* TestClock.adjust(20)
      assert.isTrue(yield* Fiber.join(asked))
      assert.strictEqual(yield* tagIn(store), "Vacant")
      assert.isAbove(from + leaseDuration, sentAt + renewDeadline)
      assert.isFalse(yield* one.isValid)
    }))

  test("fails with what it has seen if the leader does not hand over in time, and does not ask the next one", () =>
    Effect.gen(function*() {
      const { one, store } = yield* two()
      // The leader neither observes nor reads the request.
      yield* one.process.link.lag(Effect.never)
      yield* one.process.link.set(on("get", denied))
      const operator = yield* startProcess(store)
      const asked = yield* Effect.forkChild(
        reasonOf(operator.election.stepDown(only, { timeout: leaseDuration }), "StepDownTimeout")
      )
      yield* TestClock.adjust(leaseDuration)
      const reason = yield* Fiber.join(asked)
      assert.strictEqual(reason.candidateId, "one")
      assert.isAtMost(reason.unchangedMillis, renewInterval)
      assert.isTrue(yield* one.isValid)
    }))

  test("a record that another candidate writes meanwhile ends the wait", () =>
    Effect.gen(function*() {
      const { one, store } = yield* two()
      yield* one.process.link.lag(Effect.never)
      yield* one.process.link.set(on("get", denied))
      const operator = yield* startProcess(store)
      const asked = yield* Effect.forkChild(operator.election.stepDown(only))
      yield* TestClock.adjust(100)
      yield* usurp(store)
      yield* TestClock.adjust(100)
      assert.isTrue(yield* Fiber.join(asked))
      assert.strictEqual((yield* recordIn(store)).candidateId, "usurper")
    }))

  test("a record that cannot be decoded is freed after its wait", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      yield* store.put(keyOf(only), utf8("{}"))
      const operator = yield* startProcess(store)
      const asked = yield* Effect.forkChild(operator.election.stepDown(only))
      yield* TestClock.adjust("19 seconds")
      assert.strictEqual(yield* tagIn(store), "Undecodable")
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(yield* Fiber.join(asked))
      assert.strictEqual(yield* tagIn(store), "Vacant")
    }))

  test("a value that is no request asks nobody", () =>
    Effect.gen(function*() {
      const { one, store } = yield* two()
      const { nonce } = yield* recordIn(store)
      for (const text of ["", "{}", "x".repeat(100), JSON.stringify({ nonce }), "[".repeat(9999)]) {
        yield* store.put(stepDownKeyOf(only), utf8(text))
        yield* TestClock.adjust(1.2 * leaseDuration)
        assert.isTrue(yield* one.isValid, text.slice(0, 20))
      }
    }))

  test("does not wait for longer than its timeout, and a second, for a store that does not answer", () =>
    Effect.gen(function*() {
      for (const operation of ["get", "put"] as const) {
        for (const timeout of [0, 500, 3000]) {
          const { store } = yield* two()
          const process = yield* startProcess(store)
          yield* process.link.set(on(operation, silent))
          const asking = yield* Effect.forkScoped(Effect.exit(process.election.stepDown(only, { timeout })))
          yield* TestClock.adjust(2 * Math.max(1000, timeout) + 100)
          assert.isDefined(asking.pollUnsafe(), `${operation}, ${timeout}`)
        }
      }
    }))

  test("fails if the store cannot be read or written", () =>
    Effect.gen(function*() {
      const { store } = yield* two()
      const operator = yield* startProcess(store)
      for (const fault of [away, on("put", denied)]) {
        yield* operator.link.set(fault)
        yield* reasonOf(operator.election.stepDown(only), "KVStoreError")
      }
    }))
})

describe("Election in memory: status", () => {
  test("is the part of this service in the election, from the campaign to the end", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      const state = Effect.map(process.election.status(only), (status) => status.state)
      assert.strictEqual(yield* state, "NotCampaigning")
      const first = yield* stand(yield* startProcess(store), finish, "first")
      yield* settled
      const job = yield* employ(process, finish, "one", () => Effect.ensuring(Effect.never, Effect.sleep(100)))
      yield* settled
      assert.strictEqual(yield* state, "Campaigning")
      yield* first.close
      yield* settled
      assert.strictEqual(yield* state, "Leading")
      const ending = yield* Effect.forkChild(Fiber.interrupt(job.fiber))
      yield* settled
      assert.strictEqual(yield* state, "Releasing")
      yield* TestClock.adjust(200)
      yield* Fiber.join(ending)
      assert.strictEqual(yield* state, "NotCampaigning")
      yield* reasonOf(process.election.status("a b"), "InvalidName")
    }))

  test("is that of the candidate that leads, if several campaign", () =>
    Effect.gen(function*() {
      const store = yield* openBucket()
      const process = yield* startProcess(store)
      yield* stand(process, finish, "one")
      yield* settled
      yield* stand(process, finish, "two")
      yield* settled
      const status = yield* process.election.status(only)
      assert.deepStrictEqual("candidateId" in status && [status.candidateId, status.state], ["one", "Leading"])
      assert.lengthOf(yield* process.election.candidates, 2)
    }))
})
