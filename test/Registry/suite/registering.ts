/** The operation `register`: from the registration until the scope closes. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"

import { answerLost, away, countOf, delayed, on, times } from "../../support/links.ts"
import { numbers } from "../../support/suite.ts"
import { brisk, calm, contains, steady, type Tools } from "./fixture.ts"
import {
  entryOf,
  fieldsOf,
  hasWritten,
  idsOf,
  keyOf,
  lastOf,
  listed,
  named,
  underneath,
  watched,
  world
} from "./processes.ts"

export const registering = ({ finish, test, until }: Tools) => {
  test("get returns a registered instance with all its fields, and list, listAll and watch contain it", () =>
    Effect.gen(function*() {
      const [, backend, observer] = yield* world(calm)
      const events = yield* watched(observer)
      yield* until(events.all, contains("ready"))
      const { instance } = yield* backend.enter(named("orders", "one", {
        version: "1.2.3-rc.1",
        status: "STANDBY",
        group: "eu",
        metadata: { zone: "a", ports: [80, 443] }
      }))
      const got = Option.getOrThrow(yield* observer.registry.get("orders", "one"))
      assert.deepStrictEqual({ ...got, lastHeartbeat: undefined }, {
        serviceName: "orders",
        instanceId: "one",
        version: "1.2.3-rc.1",
        status: "STANDBY",
        lastHeartbeat: undefined,
        group: "eu",
        startedAt: got.startedAt,
        metadata: { zone: "a", ports: [80, 443] }
      } as never)
      assert.isDefined(got.startedAt)
      assert.deepStrictEqual({ ...(yield* instance), lastHeartbeat: undefined }, { ...got, lastHeartbeat: undefined })
      assert.deepStrictEqual(yield* listed(observer), ["one"])
      const all = yield* observer.registry.listAll()
      assert.deepStrictEqual([...all].map(([service, instances]) => [service, idsOf(instances)]), [["orders", ["one"]]])
      assert.deepStrictEqual(yield* until(events.all, contains("up orders/one")), ["ready", "up orders/one"])
    }))

  test("a status, group and metadata that are undefined default to ACTIVE, no group and empty metadata", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      const { instance } = yield* process.enter({
        serviceName: "orders",
        instanceId: "one",
        version: "1.0.0",
        status: undefined,
        group: undefined,
        metadata: undefined
      })
      assert.deepStrictEqual(
        Object.keys(yield* fieldsOf(store, keyOf("orders", "one"))).toSorted(),
        [
          "instanceId",
          "lastHeartbeat",
          "maxAge",
          "metadata",
          "nonce",
          "serviceName",
          "startedAt",
          "status",
          "streakSince",
          "version"
        ]
      )
      assert.notProperty(yield* instance, "group")
      const got = Option.getOrThrow(yield* process.registry.get("orders", "one"))
      assert.strictEqual(got.status, "ACTIVE")
      assert.deepStrictEqual(got.metadata, {})
      assert.isUndefined(got.group)
    }))

  test("with the store's clock lastHeartbeat is the time at which the store stored the heartbeat", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      const entry = yield* entryOf(store, keyOf("orders", "one"))
      const got = Option.getOrThrow(yield* process.registry.get("orders", "one"))
      assert.strictEqual(got.lastHeartbeat.epochMilliseconds, entry.created.epochMilliseconds)
    }))

  test("an omitted id is generated from the service name and eight random characters, and is unique", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      const ids = yield* Effect.forEach(numbers(20), () =>
        Effect.flatMap(
          process.enter({ serviceName: "my_orders-2", version: "1.0.0" }),
          ({ instance }) => Effect.map(instance, ({ instanceId }): string => instanceId)
        ))
      for (const id of ids) assert.match(id, /^my_orders-2-[0-9a-z]{8}$/)
      assert.strictEqual(new Set(ids).size, ids.length)
      assert.deepStrictEqual(yield* listed(process, "my_orders-2"), ids.toSorted())
    }))

  test("heartbeats keep an instance live for several times maxAge and emit no events", () =>
    Effect.gen(function*() {
      const [store, backend, observer] = yield* world(brisk)
      const events = yield* watched(observer)
      const { whyLost } = yield* backend.enter(named("orders", "one"))
      const [written, enough] = hasWritten(backend, 24)
      yield* until(
        Effect.tap(written, () => Effect.map(listed(observer), (ids) => assert.deepStrictEqual(ids, ["one"]))),
        enough
      )
      // An event of a heartbeat would be emitted before the event of this change.
      yield* finish(underneath(store, keyOf("orders", "one"), { status: "STANDBY" }))
      yield* until(events.all, contains("changed orders/one from ACTIVE to STANDBY"))
      assert.strictEqual(events.events.filter((event) => event !== "ready").length, 2, events.events.join())
      assert.isUndefined(yield* whyLost)
    }))

  test("closing the scope deregisters the instance, and watches emit Down", () =>
    Effect.gen(function*() {
      const [store, backend, observer] = yield* world(calm)
      const events = yield* watched(observer)
      const { close, whyLost } = yield* backend.enter(named("orders", "one"))
      yield* until(events.all, contains("up orders/one"))
      yield* close
      assert.isTrue(Option.isNone(yield* observer.registry.get("orders", "one", { includeExpired: true })))
      assert.deepStrictEqual(yield* listed(observer, "orders", { includeExpired: true }), [])
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "delete")
      yield* until(events.all, contains("down orders/one deregistered"))
      assert.isUndefined(yield* whyLost)
    }))

  test("an interrupted registration removes its record", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(calm)
      // The write lands, but its answer is never received.
      yield* backend.link.set(on("put", (_, run) => Effect.andThen(run, Effect.never)))
      const fiber = yield* backend.registry.register(named("orders", "one")).pipe(
        Effect.andThen(Effect.never),
        Effect.scoped,
        Effect.forkScoped
      )
      yield* until(lastOf(store, keyOf("orders", "one")), (last) => last === "put")
      yield* finish(Fiber.interrupt(fiber))
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "delete")
    }))

  test("a registration interrupted before its first write lands removes the record once the write lands", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(calm)
      const { fault, open, outcomes } = yield* delayed
      yield* backend.link.set(times(1, "put", fault))
      const fiber = yield* Effect.forkScoped(Effect.scoped(backend.registry.register(named("orders", "one"))))
      yield* until(Effect.sync(() => countOf(backend.link, "put")), (count) => count === 1)
      const given = yield* Effect.forkScoped(Fiber.interrupt(fiber))
      // The write lands while the interrupted registration still reads the key.
      yield* until(Effect.sync(() => countOf(backend.link, "history")), (count) => count >= 2)
      yield* open
      yield* finish(Fiber.join(given))
      assert.deepStrictEqual(outcomes, ["landed"])
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "delete")
    }))

  test("a failed registration can be repeated in the same scope", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      // The write lands without an answer and cannot be read back: the registration fails and removes its record.
      let reads = 0
      yield* process.link.set((call, run) =>
        call.operation === "put"
          ? answerLost(call, run)
          : call.operation === "history" && reads++ === 1
          ? away(call, run)
          : run
      )
      const register = process.registry.register(named("orders", "one"), { onDuplicate: "fail" })
      assert.strictEqual((yield* finish(Effect.flip(register))).reason._tag, "KVStoreError")
      yield* process.link.set(undefined)
      yield* finish(register)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("an instance can register again at once after its scope has closed", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(steady)
      const { close } = yield* process.enter(named("orders", "one"))
      yield* finish(close)
      const { whyLost } = yield* process.enter(named("orders", "one"), { onDuplicate: "fail" })
      yield* until(...hasWritten(process, 2))
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("a registration fails while the store cannot be reached, and can be retried", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.link.set(away)
      const error = yield* Effect.flip(process.enter(named("orders", "one")))
      assert.strictEqual(error.reason._tag, "KVStoreError")
      assert.isTrue(error.isRetryable)
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "nothing")
      yield* process.link.set(undefined)
      yield* process.enter(named("orders", "one"))
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("a hundred instances that register concurrently are all listed, sorted by id", () =>
    Effect.gen(function*() {
      const [, backend, observer] = yield* world(steady)
      const ids = numbers(100).map((n) => `i${String(n).padStart(3, "0")}`)
      yield* finish(
        Effect.forEach(ids.toReversed(), (id) => backend.registry.register(named("orders", id)), {
          concurrency: "unbounded"
        })
      )
      assert.deepStrictEqual(yield* listed(observer), ids)
      yield* until(...hasWritten(backend, 100))
      assert.deepStrictEqual(yield* listed(observer), ids)
    }))

  test("services and instances whose names have a common prefix are kept apart", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      const all = [["a", "b-c"], ["a", "b"], ["a-b", "c"], ["a__b", "c"], ["a_", "b"], ["A", "b"]] as const
      for (const [service, id] of all) yield* process.registry.heartbeat(named(service, id))
      const expected: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
        ["a", ["b", "b-c"]],
        ["a-b", ["c"]],
        ["a__b", ["c"]],
        ["a_", ["b"]],
        ["A", ["b"]],
        ["b", []]
      ]
      for (const [service, ids] of expected) {
        assert.deepStrictEqual(yield* listed(process, service), ids)
        const events = yield* watched(process, service)
        yield* until(events.all, contains("ready"))
        assert.deepStrictEqual(events.events.toSorted(), ["ready", ...ids.map((id) => `up ${service}/${id}`)])
      }
      const grouped = new Map([...yield* process.registry.listAll()].map(([name, found]) => [name, idsOf(found)]))
      assert.deepStrictEqual(grouped, new Map(expected.filter(([, ids]) => ids.length > 0)))
      assert.isTrue(yield* process.registry.deregister({ serviceName: "a", instanceId: "b" }))
      assert.deepStrictEqual(yield* listed(process, "a"), ["b-c"])
      assert.deepStrictEqual(yield* listed(process, "a_"), ["b"])
      assert.deepStrictEqual(yield* listed(process, "A"), ["b"])
    }))
}
