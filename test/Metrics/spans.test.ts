/** Spans of registrations, campaigns and terms. Those of stores are in test/KVStore/metrics.test.ts. */
import { assert, describe, it } from "@effect/vitest"
import * as Aegis from "effect-aegis/Aegis"
import * as Buckets from "effect-aegis/Buckets"
import { Election, fast } from "effect-aegis/Election"
import { Registry } from "effect-aegis/Registry"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { TestClock } from "effect/testing"
import type * as Tracer from "effect/Tracer"
import { collectSpans } from "../support/spans.ts"

const isOurs = ({ name }: Tracer.Span) => name.startsWith("registry.") || name.startsWith("election.")

const parentOf = ({ parent }: Tracer.Span) => Option.getOrUndefined(parent)

const shown = (span: Tracer.Span) => ({
  name: span.name,
  attributes: Object.fromEntries(span.attributes),
  exit: span.status._tag === "Ended" ? span.status.exit._tag : "open"
})

const instance = { serviceName: "orders", instanceId: "orders-1", version: "1.0.0" }

const collected = <A, E>(program: Effect.Effect<A, E, Aegis.Services>) =>
  collectSpans(Effect.provide(program, Aegis.layerMemory({ election: { timings: fast } })))

describe("spans", () => {
  it.effect("of a registration last until it is registered, and heartbeats have no parent", () =>
    Effect.gen(function*() {
      const spans = yield* collected(Effect.scoped(Effect.gen(function*() {
        const { register } = yield* Registry
        yield* Effect.withSpan(register(instance), "start")
        yield* TestClock.adjust("1 minute")
      })))
      assert.deepStrictEqual(spans.filter(isOurs).map(shown), [{
        name: "registry.register",
        attributes: { "registry.service": "orders", "registry.instance": "orders-1" },
        exit: "Success"
      }])
      const start = spans.find(({ name }) => name === "start")
      const register = spans.find(({ name }) => name === "registry.register")!
      assert.strictEqual(parentOf(register), start)
      const writes = spans.filter(({ name }) => name === "kv.put")
      assert.isAbove(writes.length, 5)
      assert.strictEqual(parentOf(writes[0]!), register)
      for (const heartbeat of writes.slice(1)) assert.isUndefined(parentOf(heartbeat), "a heartbeat outlives its span")
    }))

  it.effect("of a registration that fails end with the failure", () =>
    Effect.gen(function*() {
      const spans = yield* collected(Effect.scoped(Effect.gen(function*() {
        const { register } = yield* Registry
        yield* register(instance)
        yield* Effect.flip(register(instance, { onDuplicate: "fail" }))
      })))
      assert.deepStrictEqual(spans.filter(isOurs).map(shown).map(({ exit }) => exit), ["Success", "Failure"])
    }))

  it.effect("of a cleanup have its requests as children, and its results", () =>
    Effect.gen(function*() {
      const spans = yield* collected(Effect.gen(function*() {
        const { cleanup, heartbeat } = yield* Registry
        yield* heartbeat(instance)
        yield* TestClock.adjust("31 seconds")
        yield* heartbeat({ ...instance, instanceId: "orders-2" })
        yield* cleanup()
        yield* Effect.flip(cleanup({ maxRemovalRatio: 2 }))
      }))
      const runs = spans.filter(({ name }) => name === "registry.cleanup")
      assert.deepStrictEqual(runs.map(shown), [{
        name: "registry.cleanup",
        attributes: {
          "registry.bucket": "service_registry",
          "registry.scanned": 2,
          "registry.removed": 1,
          "registry.conflicts": 0,
          "registry.failed": 0
        },
        exit: "Success"
      }])
      const children = spans.filter((span) => parentOf(span) === runs[0]).map(({ name }) => name)
      assert.deepStrictEqual(children, ["kv.entries", "kv.purge"])
    }))

  it.effect("of what a health check does have no parent", () =>
    Effect.gen(function*() {
      const spans = yield* collected(Effect.scoped(Effect.gen(function*() {
        const { register } = yield* Registry
        const healthCheck = Effect.withSpan(Effect.succeed(true), "check")
        yield* Effect.withSpan(register(instance, { healthCheck }), "start")
        yield* TestClock.adjust("1 minute")
      })))
      const checks = spans.filter(({ name }) => name === "check")
      assert.isAbove(checks.length, 5)
      for (const check of checks) assert.isUndefined(parentOf(check))
    }))

  it.effect("of a campaign last until the win, those of a term until its end", () =>
    Effect.gen(function*() {
      const spans = yield* collected(Effect.gen(function*() {
        const { campaign } = yield* Election
        yield* Effect.forkChild(Effect.scoped(Effect.andThen(
          campaign("report", { candidateId: "a" }),
          Effect.sleep("10 seconds")
        )))
        yield* TestClock.adjust("1 second")
        const second = yield* Effect.forkChild(Effect.scoped(Effect.andThen(
          campaign("report", { candidateId: "b" }),
          Effect.never
        )))
        yield* TestClock.adjust("30 seconds")
        yield* Fiber.interrupt(second)
      }))
      const names = (candidate: string) => ({ "election.name": "report", "election.candidate": candidate })
      const ours = spans.filter(isOurs)
      assert.deepStrictEqual(ours.map(shown), [
        { name: "election.campaign", attributes: names("a"), exit: "Success" },
        {
          name: "election.term",
          attributes: { ...names("a"), "election.term": 1, "election.loss": "resigned" },
          exit: "Success"
        },
        { name: "election.campaign", attributes: names("b"), exit: "Success" },
        {
          name: "election.term",
          attributes: { ...names("b"), "election.term": 2, "election.loss": "resigned" },
          exit: "Success"
        }
      ])
      assert.strictEqual(parentOf(ours[1]!), ours[0])
      const millis = ({ status }: Tracer.Span) =>
        status._tag === "Ended" ? Number((status.endTime - status.startTime) / 1_000_000n) : -1
      assert.strictEqual(millis(ours[1]!), 10_000)
      assert.isAtLeast(millis(ours[2]!), 9000)
    }))

  it.effect("of a candidate that waits for hours do not collect its reads", () =>
    Effect.gen(function*() {
      const spans = yield* collected(Effect.gen(function*() {
        const { campaign } = yield* Election
        yield* Effect.scoped(Effect.gen(function*() {
          yield* campaign("report", { candidateId: "a" })
          yield* Effect.forkScoped(campaign("report", { candidateId: "b", healthCheck: Effect.succeed(true) }))
          yield* TestClock.adjust("1 hour")
        }))
      }))
      const waiting = spans.find(({ attributes, name }) =>
        name === "election.campaign" && attributes.get("election.candidate") === "b"
      )!
      assert.isBelow(spans.filter((span) => parentOf(span) === waiting).length, 5)
    }))

  it.effect("of a campaign that is interrupted end, and no term is started", () =>
    Effect.gen(function*() {
      const spans = yield* collected(Effect.gen(function*() {
        const { campaign } = yield* Election
        yield* Effect.scoped(Effect.gen(function*() {
          yield* campaign("report", { candidateId: "a" })
          yield* Effect.timeoutOption(campaign("report", { candidateId: "b" }), "5 seconds").pipe(
            Effect.forkChild,
            Effect.tap(() => TestClock.adjust("6 seconds"))
          )
        }))
      }))
      assert.deepStrictEqual(
        spans.filter(isOurs).map(shown).map(({ attributes, exit, name }) => [
          name,
          attributes["election.candidate"],
          exit
        ]),
        [
          ["election.campaign", "a", "Success"],
          ["election.term", "a", "Success"],
          ["election.campaign", "b", "Failure"]
        ]
      )
    }))

  it.effect("of a term that is lost have its reason", () =>
    Effect.gen(function*() {
      const spans = yield* collected(Effect.gen(function*() {
        const { campaign } = yield* Election
        const buckets = yield* Buckets.Buckets
        yield* Effect.scoped(Effect.gen(function*() {
          const { lost } = yield* campaign("report", { candidateId: "a" })
          yield* buckets.destroy("service_election")
          yield* Effect.forkChild(lost)
          yield* TestClock.adjust("1 minute")
        }))
      }))
      const term = spans.find(({ name }) => name === "election.term")
      assert.strictEqual(term!.attributes.get("election.loss"), "removed")
      assert.strictEqual(term!.status._tag, "Ended")
    }))
})
