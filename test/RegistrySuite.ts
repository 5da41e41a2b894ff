/**
 * What every backend promises of a `Registry`, as one suite: memory on virtual time and real servers run the same
 * cases with the same short times. A process is a registry of its own, on a link of its own to the bucket that all
 * share; a fault is a layer on that link, so that one can be cut off while the others look on.
 */
import { assert, layer } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { isExpired } from "../src/Expiration.ts"
import * as KVStore from "../src/KVStore.ts"
import type * as Config from "../src/KVStoreConfig.ts"
import * as Registry from "../src/Registry.ts"

// -----------------------------------------------------------------------------
// models
// -----------------------------------------------------------------------------

/** What a test needs of a backend. */
export class Buckets extends Context.Service<Buckets, {
  /** A store on the bucket, which is made where it is not there. */
  readonly layer: (options: Config.Options) => Layer.Layer<KVStore.KVStore, KVStore.KVStoreError>
}>()("effect-aegis/test/registry/Buckets") {}

/** A backend. */
interface Backend {
  /** Whether its time is the TestClock's. */
  readonly virtual: boolean
  readonly buckets: Layer.Layer<Buckets, unknown>
}

type Store = KVStore.KVStore["Service"]

type Test = (title: string, body: () => Effect.Effect<void, unknown, Buckets | Scope.Scope>) => void

/** One request to the store. */
interface Call {
  readonly operation: "get" | "put" | "delete" | "purge" | "history" | "keys" | "entries" | "watch" | "status"
  /** The key, or the filter. */
  readonly key: string
}

/** What is done in place of a request; `run` does it. */
export type Fault = <A>(
  call: Call,
  run: Effect.Effect<A, KVStore.KVStoreError>
) => Effect.Effect<A, KVStore.KVStoreError>

// -----------------------------------------------------------------------------
// times
// -----------------------------------------------------------------------------

/** For those who are to die: short, for the sake of the real clock, and long enough for a busy machine. */
const maxAge = Duration.seconds(2)
const heartbeat = Duration.millis(300)
const brisk = { maxAge, heartbeat }

/** For those who are not to die of an outage, nor of a busy machine. */
const tough = { maxAge: "4 seconds", heartbeat: "500 millis" } as const

/** For those who beat, and are not to die. */
const steady = { maxAge: "30 seconds", heartbeat: "1 second" } as const

/** For those who neither beat nor die while a test runs. */
const calm = { maxAge: "1 minute", heartbeat: "10 seconds" } as const

/** How far an estimate of a server's time may be off. */
const clockError = 25

/** Short enough for a prompt test, long enough not to move past what a test wants to see. */
const virtualStep = Duration.millis(20)
const pollInterval = Duration.millis(5)
/** Of the TestClock, or of the real one: far beyond anything waited for here. */
const patience = Duration.seconds(15)

/**
 * Repeats `effect` until its result is as wanted, and gives that result. Virtual time is moved in small steps; on the
 * real clock it polls. A condition that never comes fails the test, and says what was there instead.
 */
export const eventually = (virtual: boolean) => {
  const wait = virtual ? TestClock.adjust(virtualStep) : Effect.sleep(pollInterval)
  return <A, E, R>(effect: Effect.Effect<A, E, R>, predicate: (value: A) => boolean): Effect.Effect<A, E, R> =>
    Effect.gen(function*() {
      const now = Effect.clockWith((clock) => Effect.sync(() => Number(clock.monotonicTimeNanosUnsafe()) / 1e6))
      const end = (yield* now) + Duration.toMillis(patience)
      while (true) {
        const value = yield* effect
        if (predicate(value)) return value
        if ((yield* now) > end) {
          return assert.fail(`not within ${Duration.format(patience)}; the last was ${JSON.stringify(value)}`)
        }
        yield* wait
      }
    })
}

type Until = ReturnType<typeof eventually>

/** Runs an effect while time goes on, and gives what it gives; one that does not end fails the test. */
export const finisher = (until: Until) => <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.gen(function*() {
    const fiber = yield* Effect.forkChild(effect)
    yield* until(Effect.sync(() => fiber.pollUnsafe() !== undefined), (hasEnded) => hasEnded)
    return yield* Fiber.join(fiber)
  })

// -----------------------------------------------------------------------------
// faults
// -----------------------------------------------------------------------------

const errorOf = (call: Call, reason: KVStore.KVStoreReason) =>
  new KVStore.KVStoreError({ bucket: "faulty", operation: call.operation, key: call.key, reason })

/** The store cannot be reached: nothing is sent. */
export const away: Fault = (call) => Effect.fail(errorOf(call, new KVStore.Unavailable({ problem: "cut off" })))

/** Nothing is sent, and nothing is answered. */
export const silent: Fault = () => Effect.never

/** It is done, and the answer is lost. */
const answerLost: Fault = (call, run) =>
  Effect.andThen(run, Effect.fail(errorOf(call, new KVStore.OutcomeUnknown({ problem: "the answer was lost" }))))

/** It was sent, and lost on the way. */
const lostOnTheWay: Fault = (call) =>
  Effect.fail(errorOf(call, new KVStore.OutcomeUnknown({ problem: "nobody has seen it" })))

/** Only this operation is faulty. */
export const on = (operation: Call["operation"], fault: Fault): Fault => (call, run) =>
  call.operation === operation ? fault(call, run) : run

/** Faulty so many times, and then no more. */
export const times = (count: number, operation: Call["operation"], fault: Fault): Fault => {
  let left = count
  return (call, run) => Effect.suspend(() => call.operation === operation && left-- > 0 ? fault(call, run) : run)
}

/** Something else happens before it is done. */
const after = (what: Effect.Effect<unknown, unknown>): Fault => (_, run) => Effect.andThen(Effect.orDie(what), run)

/** The way of one process to the store, which may be disturbed. */
interface Link {
  readonly layer: Layer.Layer<KVStore.KVStore, never, KVStore.KVStore>
  /** From now on; `undefined`: nothing is wrong any more. */
  readonly set: (fault: Fault | undefined) => Effect.Effect<void>
  /** What has been asked for. */
  readonly calls: Array<Call>
  /** How many puts have been answered well. */
  readonly landed: () => number
}

const makeLink = (): Link => {
  let current: Fault | undefined
  let landed = 0
  const calls: Array<Call> = []
  const through = <A>(call: Call, run: Effect.Effect<A, KVStore.KVStoreError>) =>
    Effect.suspend(() => {
      calls.push(call)
      return current === undefined ? run : current(call, run)
    })
  return {
    calls,
    landed: () => landed,
    set: (fault) =>
      Effect.sync(() => {
        current = fault
      }),
    layer: Layer.effect(
      KVStore.KVStore,
      Effect.map(KVStore.KVStore, (store) => ({
        config: store.config,
        clock: store.clock,
        get: (key) => through({ operation: "get", key }, store.get(key)),
        put: (key, value, options) =>
          Effect.tap(
            through({ operation: "put", key }, store.put(key, value, options)),
            () => Effect.sync(() => landed++)
          ),
        delete: (key, options) => through({ operation: "delete", key }, store.delete(key, options)),
        purge: (key, options) => through({ operation: "purge", key }, store.purge(key, options)),
        history: (key) => through({ operation: "history", key }, store.history(key)),
        keys: (filter = ">") => through({ operation: "keys", key: filter }, store.keys(filter)),
        entries: (filter = ">") => through({ operation: "entries", key: filter }, store.entries(filter)),
        watch: (filter = ">", options) =>
          Stream.unwrap(
            through({ operation: "watch", key: filter }, Effect.sync(() => store.watch(filter, options)))
          ),
        status: through({ operation: "status", key: "" }, store.status)
      }))
    )
  }
}

export const countOf = (link: Link, operation: Call["operation"]): number =>
  link.calls.filter((call) => call.operation === operation).length

/** Requests that are under way until the gate opens, whatever becomes of who waits for them. */
export const delayed = Effect.gen(function*() {
  const scope = yield* Effect.scope
  const gate = Latch.makeUnsafe(false)
  const outcomes: Array<string> = []
  const fault: Fault = (_, run) =>
    Effect.flatMap(
      Effect.forkIn(
        gate.await.pipe(
          Effect.andThen(run),
          Effect.tap(() => Effect.sync(() => outcomes.push("landed"))),
          Effect.tapError((error) => Effect.sync(() => outcomes.push(error.reason._tag)))
        ),
        scope
      ),
      Fiber.join
    )
  return { fault, outcomes, open: gate.open }
})

// -----------------------------------------------------------------------------
// processes
// -----------------------------------------------------------------------------

let buckets = 0

/** A bucket of its own for a test. */
export const openBucket = Effect.fnUntraced(function*(options: Partial<Config.Options> = {}) {
  const bucket = `registry-${++buckets}`
  const context = yield* Layer.build((yield* Buckets).layer({ bucket, storage: "memory", ...options }))
  return Context.get(context, KVStore.KVStore)
})

/** A registry with a link of its own to the store. */
export const startProcess = Effect.fnUntraced(function*(store: Store, options: Registry.RegistryOptions = {}) {
  const link = makeLink()
  const context = yield* Layer.build(
    Registry.layer({ ...brisk, ...options }).pipe(
      Layer.provide(link.layer),
      Layer.provide(Layer.succeed(KVStore.KVStore, store))
    )
  )
  const registry = Context.get(context, Registry.Registry)
  return {
    link,
    registry,
    /** Registers until `close`, or the end of the test, for which the link is mended first. */
    enter: Effect.fnUntraced(function*(instance: Registry.Registerable, options?: Registry.RegisterOptions) {
      const scope = yield* Effect.acquireRelease(
        Scope.make(),
        (scope) => Effect.andThen(link.set(undefined), Scope.close(scope, Exit.void))
      )
      const registration = yield* registry.register(instance, options).pipe(Scope.provide(scope))
      const lost = yield* Effect.forkIn(registration.lost, scope)
      return {
        ...registration,
        close: Scope.close(scope, Exit.void),
        /** Why the registration is over; undefined while it is not. */
        whyLost: Effect.sync(() => {
          const exit = lost.pollUnsafe()
          return exit !== undefined && Exit.isSuccess(exit) ? exit.value.reason._tag : undefined
        })
      }
    })
  }
})

type Process = Effect.Success<ReturnType<typeof startProcess>>

/** A bucket with two processes on it; one that is not asked for anything asks for nothing. */
const world = Effect.fnUntraced(function*(times: Registry.RegistryOptions) {
  const store = yield* openBucket()
  return [store, yield* startProcess(store, times), yield* startProcess(store, times)] as const
})

/** A heartbeat by hand that gets there: on a busy machine one with short times may be cut off. */
const beat = (process: Process, instance: Registry.Registerable) =>
  Effect.retry(process.registry.heartbeat(instance), {
    while: (error) => error.reason._tag === "StoreFailed",
    times: 10
  })

export const named = (
  serviceName: string,
  instanceId: string,
  more?: Partial<Registry.Registerable>
): Registry.Registerable => ({ serviceName, instanceId, version: "1.0.0", ...more })

export const keyOf = (serviceName: string, instanceId: string) => `service-instances.${serviceName}.${instanceId}`

const idsOf = (instances: ReadonlyArray<Registry.ServiceInstance>): ReadonlyArray<string> =>
  instances.map((instance) => instance.instanceId)

/** The ids that a process sees of a service. */
export const listed = (process: Process, serviceName = "orders", options?: Registry.ReadOptions) =>
  Effect.map(process.registry.list(serviceName, options), idsOf)

/** The last message of a key in a word. */
export const lastOf = (store: Store, key: string) =>
  Effect.map(
    store.history(key),
    ([last]) =>
      last === undefined ? "nothing" : last._tag === "Removed" ? last.reason : last._tag === "Put" ? "put" : last._tag
  )

const entryOf = (store: Store, key: string) => Effect.map(store.get(key), Option.getOrThrow)

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const Fields = Schema.Record(Schema.String, Schema.Json)

/** The fields of a record, as they are stored. */
export const fieldsOf = (store: Store, key: string) =>
  Effect.map(
    entryOf(store, key),
    (entry) => Schema.decodeSync(Schema.fromJsonString(Fields))(new TextDecoder().decode(entry.value))
  )

/** Changes the fields of a record underneath whoever wrote it. */
export const underneath = (store: Store, key: string, fields: typeof Fields.Type) =>
  KVStore.typed(Fields).pipe(
    Effect.flatMap((typed) => typed.modify(key, Option.map((known) => ({ ...known, ...fields })))),
    Effect.provideService(KVStore.KVStore, store)
  )

/** An event in a few words. */
const shown = (event: Registry.RegistryEvent): string => {
  if (event._tag === "Ready") return "ready"
  const name = `${event.instance.serviceName}/${event.instance.instanceId}`
  switch (event._tag) {
    case "Up":
      return `up ${name}`
    case "Changed":
      return `changed ${name} from ${event.previous.status} to ${event.instance.status}`
    case "Down":
      return `down ${name} ${event.reason}`
  }
}

/** What a stream has given so far; it is read in the background until the scope closes. */
export const record = Effect.fnUntraced(function*<A, E>(stream: Stream.Stream<A, E>) {
  const seen: Array<A> = []
  const fiber = yield* stream.pipe(
    Stream.runForEach((value) =>
      Effect.sync(() => {
        seen.push(value)
      })
    ),
    Effect.forkScoped
  )
  return { seen, fiber, all: Effect.sync(() => [...seen]) }
})

/** What a watch has told so far, in words. */
export const watched = (process: Process, serviceName?: string) =>
  record(Stream.map(process.registry.watch(serviceName), shown))

type ReasonOf<Tag> = Extract<Registry.RegistryReason, { readonly _tag: Tag }>

/** The reason for which an effect fails: this one, or the test fails. */
export const reasonOf = <A, R, Tag extends Registry.RegistryReason["_tag"]>(
  effect: Effect.Effect<A, Registry.RegistryError, R>,
  tag: Tag
): Effect.Effect<ReasonOf<Tag>, never, R> =>
  Effect.match(effect, {
    onFailure: (error) => {
      assert.strictEqual(error.reason._tag, tag, error.message)
      return error.reason as ReasonOf<Tag>
    },
    onSuccess: (value) => assert.fail(`${tag} was expected, and it succeeded with ${JSON.stringify(value)}`)
  })

const numbers = (count: number) => Array.from({ length: count }, (_, index) => index)

export const contains = (text: string) => (all: ReadonlyArray<string>) => all.includes(text)

/** For `until`: from now on so many of the process's writes have landed. */
export const hasBeaten = (process: Process, beats: number) => {
  const before = process.link.landed()
  return [Effect.sync(() => process.link.landed() - before), (count: number) => count >= beats] as const
}

// -----------------------------------------------------------------------------
// the suite
// -----------------------------------------------------------------------------

interface Tools {
  readonly test: Test
  readonly virtual: boolean
  readonly until: Until
  readonly finish: ReturnType<typeof finisher>
}

/** What the registry says in passing is not what is tested, and a test that fails says enough. */
export const quiet = Logger.layer([])

/** Runs every case against the backend; those on the real clock all at once, as most of their time is waiting. */
export const suite = (name: string, backend: Backend): void =>
  layer(backend.buckets, { excludeTestServices: true, timeout: "30 seconds", concurrent: !backend.virtual })(
    name,
    (it) => {
      const until = eventually(backend.virtual)
      const services = backend.virtual ? Layer.merge(TestClock.layer(), quiet) : quiet
      const tools: Tools = {
        virtual: backend.virtual,
        until,
        finish: finisher(until),
        test: (title, body) => it.effect(title, () => body().pipe(Effect.scoped, Effect.provide(services)))
      }
      registering(tools)
      names(tools)
      cutOff(tools)
      lateWrites(tools)
      leaving(tools)
      duplicates(tools)
      byHand(tools)
      updates(tools)
      draining(tools)
      reading(tools)
      watching(tools)
      sweeping(tools)
      sweepers(tools)
      configuring(tools)
    }
  )

const registering = ({ finish, test, until }: Tools) => {
  test("a registered instance is got, listed and watched, with all that it said of itself", () =>
    Effect.gen(function*() {
      const [, backend, observer] = yield* world(calm)
      const events = yield* watched(observer)
      yield* until(events.all, contains("ready"))
      const { instance } = yield* backend.enter(named("orders", "one", {
        version: "1.2.3-rc.1",
        status: "STANDBY",
        stickyActiveGroup: "eu",
        stickyActiveStatus: "ELECTING",
        metadata: { zone: "a", ports: [80, 443] }
      }))
      const got = Option.getOrThrow(yield* observer.registry.get("orders", "one"))
      assert.deepStrictEqual({ ...got, lastHeartbeat: undefined }, {
        serviceName: "orders",
        instanceId: "one",
        version: "1.2.3-rc.1",
        status: "STANDBY",
        lastHeartbeat: undefined,
        stickyActiveGroup: "eu",
        stickyActiveStatus: "ELECTING",
        metadata: { zone: "a", ports: [80, 443] }
      } as never)
      assert.deepStrictEqual({ ...(yield* instance), lastHeartbeat: undefined }, { ...got, lastHeartbeat: undefined })
      assert.deepStrictEqual(yield* listed(observer), ["one"])
      const all = yield* observer.registry.listAll()
      assert.deepStrictEqual([...all].map(([service, instances]) => [service, idsOf(instances)]), [["orders", ["one"]]])
      assert.deepStrictEqual(yield* until(events.all, contains("up orders/one")), ["ready", "up orders/one"])
    }))

  test("what an instance does not say is ACTIVE, without metadata", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.enter({ serviceName: "orders", instanceId: "one", version: "1.0.0", status: undefined })
      const got = Option.getOrThrow(yield* process.registry.get("orders", "one"))
      assert.strictEqual(got.status, "ACTIVE")
      assert.deepStrictEqual(got.metadata, {})
      assert.isUndefined(got.stickyActiveGroup)
    }))

  test("with the store's clock the last heartbeat is the time at which the store took it", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      const entry = yield* entryOf(store, keyOf("orders", "one"))
      const got = Option.getOrThrow(yield* process.registry.get("orders", "one"))
      assert.strictEqual(got.lastHeartbeat.epochMilliseconds, entry.created.epochMilliseconds)
    }))

  test("an id that is left out is made up of the service and eight characters, and is another each time", () =>
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

  test("beats keep an instance alive for many times maxAge, and nobody hears of them", () =>
    Effect.gen(function*() {
      const [store, backend, observer] = yield* world(brisk)
      const events = yield* watched(observer)
      const { whyLost } = yield* backend.enter(named("orders", "one"))
      const [beaten, enough] = hasBeaten(backend, 24)
      yield* until(
        Effect.tap(beaten, () => Effect.map(listed(observer), (ids) => assert.deepStrictEqual(ids, ["one"]))),
        enough
      )
      // Whatever the watch has told of the beats, it has told it before this.
      yield* finish(underneath(store, keyOf("orders", "one"), { status: "STANDBY" }))
      yield* until(events.all, contains("changed orders/one from ACTIVE to STANDBY"))
      assert.strictEqual(events.seen.filter((event) => event !== "ready").length, 2, events.seen.join())
      assert.isUndefined(yield* whyLost)
    }))

  test("closing the scope deregisters, and the watch says so", () =>
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

  test("a registration that is interrupted half-way leaves nothing behind", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(calm)
      // The write lands, and its answer never comes.
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

  test("who has left can register again at once", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(steady)
      const { close } = yield* process.enter(named("orders", "one"))
      yield* finish(close)
      const { whyLost } = yield* process.enter(named("orders", "one"), { onDuplicate: "fail" })
      yield* until(...hasBeaten(process, 2))
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("a registration that cannot reach the store fails, and can be tried again", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.link.set(away)
      const error = yield* Effect.flip(process.enter(named("orders", "one")))
      assert.strictEqual(error.reason._tag, "StoreFailed")
      assert.isTrue(error.isRetryable)
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "nothing")
      yield* process.link.set(undefined)
      yield* process.enter(named("orders", "one"))
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("a hundred instances that register at once are all listed, in order of their ids", () =>
    Effect.gen(function*() {
      const [, backend, observer] = yield* world(steady)
      const ids = numbers(100).map((n) => `i${String(n).padStart(3, "0")}`)
      yield* finish(
        Effect.forEach(ids.toReversed(), (id) => backend.registry.register(named("orders", id)), {
          concurrency: "unbounded"
        })
      )
      assert.deepStrictEqual(yield* listed(observer), ids)
      yield* until(...hasBeaten(backend, 100))
      assert.deepStrictEqual(yield* listed(observer), ids)
    }))

  test("services and instances whose names begin alike do not mix", () =>
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
        assert.deepStrictEqual(events.seen.toSorted(), ["ready", ...ids.map((id) => `up ${service}/${id}`)])
      }
      const grouped = new Map([...yield* process.registry.listAll()].map(([name, found]) => [name, idsOf(found)]))
      assert.deepStrictEqual(grouped, new Map(expected.filter(([, ids]) => ids.length > 0)))
      assert.isTrue(yield* process.registry.deregister("a", "b"))
      assert.deepStrictEqual(yield* listed(process, "a"), ["b-c"])
      assert.deepStrictEqual(yield* listed(process, "a_"), ["b"])
      assert.deepStrictEqual(yield* listed(process, "A"), ["b"])
    }))
}

const badNames = [
  "",
  " ",
  "a.b",
  ".",
  "*",
  ">",
  "a*",
  "orders.>",
  "a b",
  " a",
  "a ",
  "grüße",
  "日本",
  "_a",
  "-a",
  "a/b",
  "a\n"
]

const names = ({ test }: Tools) => {
  type Ask = (registry: Process["registry"]) => Effect.Effect<unknown, Registry.RegistryError, Scope.Scope>

  /** Each is refused for that field, nothing was written, and nothing was asked for. */
  const untouched = Effect.fnUntraced(function*(
    field: string,
    values: ReadonlyArray<string>,
    asked: (value: string) => ReadonlyArray<Ask>
  ) {
    const [store, process] = yield* world(calm)
    yield* process.registry.heartbeat(named("orders", "one"))
    const before = yield* store.status
    const calls = process.link.calls.length
    for (const value of values) {
      for (const ask of asked(value)) {
        const reason = yield* reasonOf(ask(process.registry), "InvalidKey")
        assert.strictEqual(reason.field, field)
        assert.strictEqual(reason.value, value)
        assert.include(reason.message, field)
      }
    }
    assert.strictEqual(process.link.calls.length, calls)
    const after = yield* store.status
    assert.strictEqual(after.lastRevision, before.lastRevision)
    assert.strictEqual(after.values, before.values)
  })

  test("a service name that is no token goes nowhere, whatever is asked", () =>
    untouched("serviceName", [...badNames, "1a"], (name) => [
      (registry) => registry.register(named(name, "one")),
      (registry) => registry.register({ serviceName: name, version: "1.0.0" }),
      (registry) => registry.heartbeat(named(name, "one")),
      (registry) => registry.get(name, "one"),
      (registry) => registry.list(name),
      (registry) => registry.deregister(name, "one"),
      (registry) => Stream.runHead(registry.watch(name))
    ]))

  test("an instance id that is no token goes nowhere, whatever is asked", () =>
    untouched("instanceId", badNames, (name) => [
      (registry) => registry.register(named("orders", name)),
      (registry) => registry.heartbeat(named("orders", name)),
      (registry) => registry.get("orders", name),
      (registry) => registry.deregister("orders", name)
    ]))

  test("a wildcard removes and shows nobody", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      for (const wild of ["*", ">"]) {
        yield* reasonOf(process.registry.deregister("orders", wild), "InvalidKey")
        yield* reasonOf(process.registry.deregister(wild, "one"), "InvalidKey")
        yield* reasonOf(process.registry.list(wild), "InvalidKey")
      }
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("a heartbeat by hand without an instance id is refused as such", () =>
    untouched("instanceId", [""], () => [
      (registry) => registry.heartbeat({ serviceName: "orders", version: "1.0.0" })
    ]))

  const badInstances: ReadonlyArray<readonly [field: string, value: unknown]> = [
    ["version", ""],
    ["version", "1"],
    ["version", "1.2"],
    ["version", "v1.2.3"],
    ["version", "1.2.3 "],
    ["version", undefined],
    ["status", "SHUTDOWN"],
    ["status", "active"],
    ["metadata", { when: new Date(0) }],
    ["metadata", { f: () => 1 }],
    ["metadata", { n: Number.NaN }],
    ["metadata", { big: 1n }],
    ["metadata", 5],
    ["metadata", null],
    ["stickyActiveGroup", 5],
    ["stickyActiveStatus", "LEADER"]
  ]

  test("an instance that is not valid goes nowhere, and the field is named", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      for (const [field, value] of badInstances) {
        const instance = named("orders", "one", { [field]: value as never })
        for (const ask of [process.registry.register(instance), process.registry.heartbeat(instance)]) {
          const reason = yield* reasonOf(ask, "InvalidInstance")
          assert.include(reason.message, field)
        }
      }
      assert.deepStrictEqual(process.link.calls, [])
      assert.strictEqual((yield* store.status).values, 0)
    }))
}

const cutOff = ({ finish, test, until }: Tools) => {
  /** From the next beat on; the one before it has ended, one way or the other. */
  const cut = Effect.fnUntraced(function*({ link }: Process, fault: Fault) {
    const before = countOf(link, "put")
    yield* link.set(fault)
    yield* until(Effect.sync(() => countOf(link, "put")), (count) => count > before)
  })

  for (const [how, fault] of [["cannot reach the store", away], ["is not answered by the store", silent]] as const) {
    test(`an instance that ${how} is expired after maxAge, and not before`, () =>
      Effect.gen(function*() {
        const [store, backend, observer] = yield* world(brisk)
        const events = yield* watched(observer)
        yield* backend.enter(named("orders", "one"))
        yield* until(...hasBeaten(backend, 2))
        yield* until(events.all, contains("up orders/one"))
        yield* cut(backend, fault)
        const { created } = yield* entryOf(store, keyOf("orders", "one"))
        const age = Effect.sync(() => store.clock.currentTimeMillisUnsafe() - created.epochMilliseconds)

        yield* until(listed(observer), (ids) => ids.length === 0)
        assert.isAbove(yield* age, Duration.toMillis(maxAge))
        yield* until(events.all, contains("down orders/one expired"))
        assert.isAbove(yield* age, Duration.toMillis(maxAge) - clockError)
        assert.deepStrictEqual(events.seen.filter((event) => event.startsWith("down")), ["down orders/one expired"])

        assert.isTrue(Option.isNone(yield* observer.registry.get("orders", "one")))
        assert.strictEqual((yield* observer.registry.listAll()).size, 0)
        assert.deepStrictEqual(yield* listed(observer, "orders", { includeExpired: true }), ["one"])
        assert.isTrue(Option.isSome(yield* observer.registry.get("orders", "one", { includeExpired: true })))
        assert.strictEqual((yield* observer.registry.listAll({ includeExpired: true })).size, 1)
        // Nobody has written or removed anything.
        assert.strictEqual(
          (yield* entryOf(store, keyOf("orders", "one"))).created.epochMilliseconds,
          created.epochMilliseconds
        )
      }))
  }

  test("is told when others may no longer see it, and when they do again", () =>
    Effect.gen(function*() {
      const [, backend, observer] = yield* world(brisk)
      const events = yield* watched(observer)
      const { visibility, whyLost } = yield* backend.enter(named("orders", "one"))
      const told = yield* record(visibility)
      yield* until(...hasBeaten(backend, 2))
      yield* backend.link.set(away)
      yield* until(told.all, (all) => all.includes("invisible"))
      yield* until(events.all, contains("down orders/one expired"))
      yield* backend.link.set(undefined)
      yield* until(told.all, (all) => all.length === 3)
      assert.deepStrictEqual(told.seen, ["visible", "invisible", "visible"])
      yield* until(listed(observer), contains("one"))
      yield* until(events.all, (all) => all.filter((event) => event === "up orders/one").length === 2)
      assert.isUndefined(yield* whyLost)
    }))

  test("an outage shorter than maxAge costs nobody its life", () =>
    Effect.gen(function*() {
      const [store, observer] = yield* world(tough)
      const events = yield* watched(observer)
      const ids = ["one", "two", "three"]
      const backends = yield* Effect.forEach(ids, () => startProcess(store, tough))
      const entered = yield* Effect.forEach(backends, ({ enter }, index) => enter(named("orders", ids[index]!)))
      const allListed = Effect.map(listed(observer), (found) => assert.deepStrictEqual(found, ids.toSorted()))
      const puts = Effect.sync(() => backends.map(({ link }) => countOf(link, "put")))
      const landed = Effect.sync(() => backends.map(({ link }) => link.landed()))
      for (const { link } of backends) yield* link.set(away)
      yield* until(Effect.tap(puts, () => allListed), (all) => all.every((count) => count >= 3))
      for (const { link } of backends) yield* link.set(undefined)
      yield* until(Effect.tap(landed, () => allListed), (all) => all.every((count) => count >= 6))
      for (const { whyLost } of entered) assert.isUndefined(yield* whyLost)
      yield* entered[0]!.close
      yield* until(events.all, contains("down orders/one deregistered"))
      assert.deepStrictEqual(events.seen.filter((event) => event.startsWith("down")), ["down orders/one deregistered"])
    }))

  /** What became of the record while its owner could not see it. */
  const afterAnOutage = Effect.fnUntraced(function*(
    whatHappens: (store: Store, observer: Process) => Effect.Effect<unknown, unknown>,
    options?: Partial<Config.Options>
  ) {
    const store = yield* openBucket(options)
    const backend = yield* startProcess(store)
    const observer = yield* startProcess(store)
    const registration = yield* backend.enter(named("orders", "one", { metadata: { zone: "a" } }))
    yield* backend.link.set(away)
    yield* until(listed(observer), (ids) => ids.length === 0)
    yield* whatHappens(store, observer)
    yield* backend.link.set(undefined)
    return { store, backend, observer, registration }
  })

  /** It is there as before, and goes on beating. */
  const isBack = Effect.fnUntraced(function*({ backend, observer, registration, store }: Effect.Success<
    ReturnType<typeof afterAnOutage>
  >) {
    yield* until(listed(observer), contains("one"))
    yield* until(...hasBeaten(backend, 3))
    assert.deepStrictEqual((yield* fieldsOf(store, keyOf("orders", "one")))["metadata"], { zone: "a" })
    assert.isUndefined(yield* registration.whyLost)
    yield* finish(registration.close)
    assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "delete")
  })

  test("after an outage longer than maxAge it goes on where its record is still there", () =>
    Effect.flatMap(
      afterAnOutage((store) =>
        Effect.map(lastOf(store, keyOf("orders", "one")), (last) => assert.strictEqual(last, "put"))
      ),
      isBack
    ))

  test("after an outage in which it was swept it registers again", () =>
    Effect.flatMap(
      afterAnOutage((store, observer) =>
        Effect.gen(function*() {
          const { removed } = yield* observer.registry.cleanup()
          assert.deepStrictEqual(removed.map((one) => one.instance), ["orders/one"])
          assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "purge")
        })
      ),
      isBack
    ))

  test("after an outage in which the bucket has forgotten it, it registers again", () =>
    Effect.flatMap(
      afterAnOutage(
        (store) => until(lastOf(store, keyOf("orders", "one")), (last) => last === "nothing"),
        { streamMaxAge: Duration.times(maxAge, 2) }
      ),
      isBack
    ))

  test("after an outage in which it was deregistered it is told so, and stays gone", () =>
    Effect.gen(function*() {
      const { backend, observer, registration, store } = yield* afterAnOutage((_, observer) =>
        Effect.map(observer.registry.deregister("orders", "one"), assert.isTrue)
      )
      yield* until(registration.whyLost, (why) => why === "Deregistered")
      yield* staysGone(store, backend, observer)
      yield* reasonOf(finish(registration.update((current) => current)), "Deregistered")
    }))

  test("an instance that is deregistered by somebody else is told so, and stays gone", () =>
    Effect.gen(function*() {
      const [store, backend, observer] = yield* world(brisk)
      const { lost, whyLost } = yield* backend.enter(named("orders", "one"))
      assert.isTrue(yield* finish(observer.registry.deregister("orders", "one")))
      yield* until(whyLost, (why) => why === "Deregistered")
      assert.include((yield* lost).message, "orders/one")
      yield* staysGone(store, backend, observer)
    }))

  /** While another one beats several times, this one asks the store for nothing more. */
  const staysGone = Effect.fnUntraced(function*(store: Store, backend: Process, observer: Process) {
    const metronome = yield* startProcess(store)
    yield* metronome.enter(named("clock", "one"))
    const before = backend.link.calls.length
    yield* until(...hasBeaten(metronome, 4))
    assert.strictEqual(backend.link.calls.length, before)
    assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "delete")
    assert.deepStrictEqual(yield* listed(observer, "orders", { includeExpired: true }), [])
  })
}

const lateWrites = ({ finish, test, until }: Tools) => {
  const key = keyOf("orders", "one")

  test("a beat that was under way cannot bring back an instance that was deregistered", () =>
    Effect.gen(function*() {
      const [store, backend, other] = yield* world(steady)
      const { fault, open, outcomes } = yield* delayed
      const { whyLost } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(on("put", fault))
      yield* until(Effect.sync(() => countOf(backend.link, "put")), (count) => count >= 2)
      assert.isTrue(yield* other.registry.deregister("orders", "one"))
      yield* open
      yield* until(Effect.sync(() => outcomes.length), (count) => count > 0)
      assert.deepStrictEqual(new Set(outcomes), new Set(["RevisionMismatch"]))
      yield* until(whyLost, (why) => why === "Deregistered")
      assert.strictEqual(yield* lastOf(store, key), "delete")
      assert.isTrue(Option.isNone(yield* other.registry.get("orders", "one")))
    }))

  test("a beat that was under way cannot bring back an instance that has left", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(steady)
      const { fault, open, outcomes } = yield* delayed
      const { close } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(on("put", fault))
      yield* until(Effect.sync(() => countOf(backend.link, "put")), (count) => count >= 2)
      yield* finish(close)
      assert.strictEqual(yield* lastOf(store, key), "delete")
      yield* open
      yield* until(Effect.sync(() => outcomes.length), (count) => count > 0)
      assert.deepStrictEqual(new Set(outcomes), new Set(["RevisionMismatch"]))
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  test("a beat that landed without an answer is taken for what it is, and nothing is lost", () =>
    Effect.gen(function*() {
      const [, backend, observer] = yield* world(steady)
      const events = yield* watched(observer)
      const { instance, whyLost } = yield* backend.enter(named("orders", "one", { metadata: { zone: "a" } }))
      yield* backend.link.set(times(2, "put", answerLost))
      yield* until(...hasBeaten(backend, 3))
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(observer), ["one"])
      assert.deepStrictEqual((yield* instance).metadata, { zone: "a" })
      assert.deepStrictEqual(events.seen.filter((event) => event !== "ready"), ["up orders/one"])
    }))

  test("a beat that lands after it was given up is taken for what it is", () =>
    Effect.gen(function*() {
      const [, backend] = yield* world(steady)
      const { fault, open, outcomes } = yield* delayed
      const { whyLost } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(times(1, "put", fault))
      yield* until(Effect.sync(() => countOf(backend.link, "put")), (count) => count >= 2)
      yield* open
      yield* until(Effect.sync(() => outcomes.length), (count) => count > 0)
      assert.deepStrictEqual(outcomes, ["landed"])
      yield* until(...hasBeaten(backend, 3))
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(backend), ["one"])
    }))

  test("a beat that comes too late loses to the one after it, and does no harm", () =>
    Effect.gen(function*() {
      const [, backend] = yield* world(steady)
      const { fault, open, outcomes } = yield* delayed
      const { whyLost } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(times(1, "put", fault))
      yield* until(...hasBeaten(backend, 2))
      yield* open
      yield* until(Effect.sync(() => outcomes.length), (count) => count > 0)
      assert.deepStrictEqual(outcomes, ["RevisionMismatch"])
      yield* until(...hasBeaten(backend, 2))
      assert.isUndefined(yield* whyLost)
    }))

  const firstWrites = [
    ["landed without an answer", answerLost],
    ["was lost on the way", lostOnTheWay]
  ] as const

  for (const [what, fault] of firstWrites) {
    test(`a first write that ${what} ends in one registration`, () =>
      Effect.gen(function*() {
        const [store, backend] = yield* world(steady)
        yield* backend.link.set(times(1, "put", fault))
        const { close, whyLost } = yield* finish(backend.enter(named("orders", "one"), { onDuplicate: "fail" }))
        assert.deepStrictEqual(yield* listed(backend), ["one"])
        yield* until(...hasBeaten(backend, 3))
        assert.isUndefined(yield* whyLost)
        yield* finish(close)
        assert.strictEqual(yield* lastOf(store, key), "delete")
      }))
  }

  test("a first write that landed without an answer keeps what another writer put there since", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(steady)
      const changedSince: Fault = (call, run) =>
        Effect.andThen(
          run,
          Effect.andThen(Effect.orDie(underneath(store, key, { team: "blue" })), lostOnTheWay(call, run))
        )
      yield* backend.link.set(times(1, "put", changedSince))
      yield* finish(backend.enter(named("orders", "one")))
      yield* until(...hasBeaten(backend, 2))
      assert.strictEqual((yield* fieldsOf(store, key))["team"], "blue")
    }))

  test("a first write that lands after it was given up ends in one registration", () =>
    Effect.gen(function*() {
      const [, backend] = yield* world(steady)
      const { fault, open, outcomes } = yield* delayed
      yield* backend.link.set(times(1, "put", fault))
      const { whyLost } = yield* finish(backend.enter(named("orders", "one"), { onDuplicate: "fail" }))
      yield* open
      yield* until(Effect.sync(() => outcomes.length), (count) => count > 0)
      assert.deepStrictEqual(outcomes, ["RevisionMismatch"])
      yield* until(...hasBeaten(backend, 2))
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(backend), ["one"])
    }))
}

const leaving = ({ finish, test, until }: Tools) => {
  const key = keyOf("orders", "one")

  test("deregistering says whether there was anything, and leaves no trace where there was not", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      assert.isFalse(yield* process.registry.deregister("orders", "one"))
      assert.strictEqual(yield* lastOf(store, key), "nothing")
      yield* process.registry.heartbeat(named("orders", "one"))
      assert.isTrue(yield* process.registry.deregister("orders", "one"))
      assert.strictEqual(yield* lastOf(store, key), "delete")
      assert.isFalse(yield* process.registry.deregister("orders", "one"))
    }))

  test("deregistering removes what has expired, and what is no record", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* beat(process, named("orders", "one"))
      yield* store.put(keyOf("orders", "two"), bytes("nonsense"))
      yield* until(listed(process), (ids) => ids.length === 0)
      assert.isTrue(yield* process.registry.deregister("orders", "one"))
      assert.isTrue(yield* process.registry.deregister("orders", "two"))
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  test("deregistering gets past a beat that comes between its read and its write", () =>
    Effect.gen(function*() {
      const [store, backend, other] = yield* world(calm)
      yield* backend.registry.heartbeat(named("orders", "one"))
      const beaten = backend.registry.heartbeat(named("orders", "one"))
      yield* other.link.set(times(2, "delete", after(beaten)))
      assert.isTrue(yield* finish(other.registry.deregister("orders", "one")))
      assert.strictEqual(countOf(other.link, "delete"), 3)
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  test("closing gets past a late write of its own", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(calm)
      const { close } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(times(1, "delete", after(underneath(store, key, { late: true }))))
      yield* finish(close)
      assert.strictEqual(countOf(backend.link, "delete"), 2)
      assert.strictEqual(yield* lastOf(store, key), "delete")
    }))

  test("closing leaves alone what another process has put there meanwhile", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(calm)
      const { close } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(times(1, "delete", after(underneath(store, key, { nonce: "another" }))))
      yield* finish(close)
      assert.strictEqual((yield* fieldsOf(store, key))["nonce"], "another")
    }))

  for (const [what, fault] of [["landed", answerLost], ["was lost", lostOnTheWay]] as const) {
    test(`closing makes sure of a delete that ${what} without an answer`, () =>
      Effect.gen(function*() {
        const [store, backend] = yield* world(calm)
        const { close } = yield* backend.enter(named("orders", "one"))
        yield* backend.link.set(times(1, "delete", fault))
        yield* finish(close)
        assert.strictEqual(yield* lastOf(store, key), "delete")
      }))
  }

  test("closing without the store leaves the instance to its age", () =>
    Effect.gen(function*() {
      const [store, backend, observer] = yield* world(brisk)
      const { close } = yield* backend.enter(named("orders", "one"))
      yield* backend.link.set(away)
      yield* finish(close)
      assert.strictEqual(yield* lastOf(store, key), "put")
      yield* until(listed(observer), (ids) => ids.length === 0)
    }))
}

const duplicates = ({ finish, test, until, virtual }: Tools) => {
  const key = keyOf("orders", "one")

  test("a restart under the same id waits until the old one has been silent for maxAge, and takes over", () =>
    Effect.gen(function*() {
      const [store, old, next] = yield* world(brisk)
      yield* beat(old, named("orders", "one", { version: "1.0.0" }))
      const before = yield* entryOf(store, key)
      const { whyLost } = yield* finish(next.enter(named("orders", "one", { version: "2.0.0" })))
      const now = yield* entryOf(store, key)
      const waited = now.created.epochMilliseconds - before.created.epochMilliseconds
      assert.isAbove(waited, Duration.toMillis(maxAge) - (virtual ? 0 : clockError))
      assert.strictEqual(Option.getOrThrow(yield* next.registry.get("orders", "one")).version, "2.0.0")
      yield* until(...hasBeaten(next, 2))
      assert.isUndefined(yield* whyLost)
    }))

  test("a second process under the same id fails as soon as the first one beats", () =>
    Effect.gen(function*() {
      const [, first, second] = yield* world(calm)
      yield* first.registry.heartbeat(named("orders", "one"))
      const entering = yield* Effect.forkChild(second.enter(named("orders", "one")))
      yield* until(Effect.sync(() => countOf(second.link, "watch")), (count) => count > 0)
      yield* first.registry.heartbeat(named("orders", "one"))
      const reason = yield* reasonOf(finish(Fiber.join(entering)), "DuplicateInstance")
      assert.strictEqual(reason.serviceName, "orders")
      assert.strictEqual(reason.instanceId, "one")
      assert.strictEqual(countOf(second.link, "put"), 0)
      assert.deepStrictEqual(yield* listed(first), ["one"])
    }))

  test("a second process under the id of one that beats by itself fails", () =>
    Effect.gen(function*() {
      const [, first, second] = yield* world(steady)
      const { whyLost } = yield* first.enter(named("orders", "one"))
      yield* reasonOf(finish(second.enter(named("orders", "one"))), "DuplicateInstance")
      assert.strictEqual(countOf(second.link, "put"), 0)
      assert.strictEqual(countOf(second.link, "delete"), 0)
      assert.isUndefined(yield* whyLost)
      assert.deepStrictEqual(yield* listed(first), ["one"])
    }))

  test("one process cannot register the same id twice", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(steady)
      const { whyLost } = yield* process.enter(named("orders", "one"))
      yield* reasonOf(process.enter(named("orders", "one"), { onDuplicate: "fail" }), "DuplicateInstance")
      yield* reasonOf(finish(process.enter(named("orders", "one"))), "DuplicateInstance")
      yield* until(...hasBeaten(process, 2))
      assert.isUndefined(yield* whyLost)
    }))

  for (const [how, remove] of [["leaves", "delete"], ["is swept", "purge"]] as const) {
    test(`a restart does not wait any longer once the old one ${how}`, () =>
      Effect.gen(function*() {
        const [store, old, next] = yield* world(calm)
        yield* old.registry.heartbeat(named("orders", "one"))
        const { created } = yield* entryOf(store, key)
        const entering = yield* Effect.forkChild(next.enter(named("orders", "one")))
        yield* until(Effect.sync(() => countOf(next.link, "watch")), (count) => count > 0)
        yield* store[remove](key)
        yield* finish(Fiber.join(entering))
        const waited = (yield* entryOf(store, key)).created.epochMilliseconds - created.epochMilliseconds
        assert.isBelow(waited, Duration.toMillis(calm.maxAge) / 2)
      }))
  }

  test("what has been silent for maxAge is taken over at once, also by one that does not wait", () =>
    Effect.gen(function*() {
      const [, old, next] = yield* world(brisk)
      yield* beat(old, named("orders", "one"))
      yield* until(listed(old), (ids) => ids.length === 0)
      yield* next.enter(named("orders", "one"), { onDuplicate: "fail" })
      assert.strictEqual(countOf(next.link, "watch"), 0)
      assert.deepStrictEqual(yield* listed(old), ["one"])
    }))

  test("onDuplicate fail fails at once, and waits for nothing", () =>
    Effect.gen(function*() {
      const [store, first, second] = yield* world(calm)
      yield* first.registry.heartbeat(named("orders", "one"))
      const { revision } = yield* entryOf(store, key)
      yield* reasonOf(second.enter(named("orders", "one"), { onDuplicate: "fail" }), "DuplicateInstance")
      assert.strictEqual(countOf(second.link, "watch"), 0)
      assert.strictEqual((yield* entryOf(store, key)).revision, revision)
    }))

  test("onDuplicate replace takes over at once, and the other is told, stops, and leaves the record alone", () =>
    Effect.gen(function*() {
      const [, old, next] = yield* world(steady)
      const replaced = yield* old.enter(named("orders", "one", { version: "1.0.0" }))
      const { whyLost } = yield* next.enter(named("orders", "one", { version: "2.0.0" }), { onDuplicate: "replace" })
      assert.strictEqual(countOf(next.link, "watch"), 0)
      yield* until(replaced.whyLost, (why) => why === "DuplicateInstance")
      yield* reasonOf(finish(replaced.update((current) => current)), "DuplicateInstance")
      const calls = countOf(old.link, "put")
      yield* replaced.close
      assert.strictEqual(countOf(old.link, "delete"), 0)
      yield* until(...hasBeaten(next, 4))
      assert.strictEqual(countOf(old.link, "put"), calls)
      assert.isUndefined(yield* whyLost)
      assert.strictEqual(Option.getOrThrow(yield* next.registry.get("orders", "one")).version, "2.0.0")
    }))

  test("onDuplicate replace does not replace whoever comes between", () =>
    Effect.gen(function*() {
      const [store, old, next] = yield* world(calm)
      yield* old.registry.heartbeat(named("orders", "one"))
      yield* next.link.set(times(1, "put", after(underneath(store, key, { nonce: "third" }))))
      yield* reasonOf(finish(next.enter(named("orders", "one"), { onDuplicate: "replace" })), "DuplicateInstance")
      assert.strictEqual((yield* fieldsOf(store, key))["nonce"], "third")
      assert.strictEqual(countOf(next.link, "put"), 1)
    }))

  test("onDuplicate replace makes sure of a write that landed without an answer", () =>
    Effect.gen(function*() {
      const [, old, next] = yield* world(calm)
      yield* old.registry.heartbeat(named("orders", "one", { version: "1.0.0" }))
      yield* next.link.set(times(1, "put", answerLost))
      yield* finish(next.enter(named("orders", "one", { version: "2.0.0" }), { onDuplicate: "replace" }))
      assert.strictEqual(Option.getOrThrow(yield* next.registry.get("orders", "one")).version, "2.0.0")
    }))

  for (const onDuplicate of ["wait", "fail"] as const) {
    test(`of many that register one id at once, one is registered (onDuplicate ${onDuplicate})`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket()
        const contenders = yield* Effect.forEach(numbers(8), () => startProcess(store, steady))
        const exits = yield* finish(
          Effect.forEach(
            contenders,
            ({ enter }, index) => Effect.exit(enter(named("orders", "one", { metadata: { index } }), { onDuplicate })),
            { concurrency: "unbounded" }
          )
        )
        const winners = exits.flatMap((exit, index) => Exit.isSuccess(exit) ? [index] : [])
        assert.strictEqual(winners.length, 1)
        const got = Option.getOrThrow(yield* contenders[0]!.registry.get("orders", "one"))
        assert.deepStrictEqual(got.metadata, { index: winners[0]! })
        for (const exit of exits) {
          if (Exit.isFailure(exit)) yield* reasonOf(exit, "DuplicateInstance")
        }
      }))
  }

  test("who comes back after somebody else has taken over is told, and touches nothing", () =>
    Effect.gen(function*() {
      const [, old, next] = yield* world(brisk)
      const replaced = yield* old.enter(named("orders", "one", { version: "1.0.0" }))
      yield* old.link.set(away)
      const { whyLost } = yield* finish(next.enter(named("orders", "one", { version: "2.0.0" })))
      yield* old.link.set(undefined)
      yield* until(replaced.whyLost, (why) => why === "DuplicateInstance")
      yield* replaced.close
      yield* until(...hasBeaten(next, 2))
      assert.isUndefined(yield* whyLost)
      assert.strictEqual(Option.getOrThrow(yield* next.registry.get("orders", "one")).version, "2.0.0")
    }))

  test("something that is no record holds a name until it is old", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* store.put(key, bytes("nonsense"))
      yield* reasonOf(process.enter(named("orders", "one"), { onDuplicate: "fail" }), "DuplicateInstance")
      yield* finish(process.enter(named("orders", "one")))
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))
}

const byHand = ({ finish, test, until }: Tools) => {
  const key = keyOf("orders", "one")
  const one = named("orders", "one")

  test("the first heartbeat by hand registers, and each one after it keeps alive", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* beat(process, one)
      const revisions = [(yield* entryOf(store, key)).revision]
      const first = (yield* entryOf(store, key)).created.epochMilliseconds
      const again = Effect.gen(function*() {
        yield* beat(process, one)
        revisions.push((yield* entryOf(store, key)).revision)
        assert.deepStrictEqual(yield* listed(process), ["one"])
        return (yield* entryOf(store, key)).created.epochMilliseconds
      })
      yield* until(again, (now) => now - first > 2 * Duration.toMillis(maxAge))
      assert.deepStrictEqual(revisions, revisions.toSorted((a, b) => a - b))
      assert.strictEqual(new Set(revisions).size, revisions.length)
    }))

  test("a heartbeat by hand brings the news with it", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      const events = yield* watched(process)
      yield* process.registry.heartbeat({ ...one, stickyActiveGroup: "eu", metadata: { load: 1 } })
      yield* until(events.all, contains("up orders/one"))
      yield* process.registry.heartbeat({ ...one, status: "UNHEALTHY", metadata: { load: 9 } })
      yield* until(events.all, contains("changed orders/one from ACTIVE to UNHEALTHY"))
      const got = Option.getOrThrow(yield* process.registry.get("orders", "one"))
      assert.deepStrictEqual(got.metadata, { load: 9 })
      assert.isUndefined(got.stickyActiveGroup)
    }))

  test("a heartbeat by hand keeps fields that are none of ours", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.registry.heartbeat(one)
      yield* underneath(store, key, { team: "blue" })
      yield* finish(process.registry.heartbeat({ ...one, status: "STANDBY" }))
      const fields = yield* fieldsOf(store, key)
      assert.strictEqual(fields["team"], "blue")
      assert.strictEqual(fields["status"], "STANDBY")
    }))

  test("a heartbeat by hand registers again what was swept", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.registry.heartbeat(one)
      yield* store.purge(key)
      yield* finish(process.registry.heartbeat(one))
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("a heartbeat by hand fails for what was deregistered, and does so for good", () =>
    Effect.gen(function*() {
      const [store, process, other] = yield* world(calm)
      yield* process.registry.heartbeat(one)
      assert.isTrue(yield* other.registry.deregister("orders", "one"))
      yield* reasonOf(finish(process.registry.heartbeat(one)), "Deregistered")
      yield* reasonOf(finish(process.registry.heartbeat(one)), "Deregistered")
      assert.strictEqual(yield* lastOf(store, key), "delete")
      // Another process knows nothing of that, and begins anew.
      yield* other.registry.heartbeat(one)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("a heartbeat by hand over a live other process is a duplicate, until that one has gone", () =>
    Effect.gen(function*() {
      const [, first, second] = yield* world(calm)
      const { close } = yield* first.enter(one)
      yield* reasonOf(second.registry.heartbeat(one), "DuplicateInstance")
      assert.strictEqual(countOf(second.link, "put"), 0)
      yield* close
      yield* second.registry.heartbeat(one)
      assert.deepStrictEqual(yield* listed(second), ["one"])
    }))

  test("a heartbeat by hand takes over what has been silent for maxAge", () =>
    Effect.gen(function*() {
      const [, first, second] = yield* world(brisk)
      yield* beat(first, one)
      yield* until(listed(first), (ids) => ids.length === 0)
      yield* beat(second, { ...one, version: "2.0.0" })
      assert.deepStrictEqual(yield* listed(first), ["one"])
      yield* reasonOf(finish(beat(first, one)), "DuplicateInstance")
      assert.strictEqual(Option.getOrThrow(yield* first.registry.get("orders", "one")).version, "2.0.0")
    }))

  test("a heartbeat by hand whose answer was lost is taken for what it is", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      for (const fault of [answerLost, lostOnTheWay]) {
        yield* process.link.set(times(1, "put", fault))
        const reason = yield* reasonOf(finish(process.registry.heartbeat(one)), "StoreFailed")
        assert.strictEqual(reason.error.reason._tag, "OutcomeUnknown")
        yield* finish(process.registry.heartbeat(one))
        assert.deepStrictEqual(yield* listed(process), ["one"])
      }
    }))

  test("a first heartbeat by hand is not taken for deregistered by what others do meanwhile", () =>
    Effect.gen(function*() {
      const [store, process, other] = yield* world(calm)
      const comeAndGo = Effect.andThen(other.registry.heartbeat(one), other.registry.deregister("orders", "one"))
      yield* process.link.set(times(1, "put", after(comeAndGo)))
      yield* finish(process.registry.heartbeat(one))
      assert.deepStrictEqual(yield* listed(other), ["one"])
      yield* process.registry.heartbeat(one)
      assert.strictEqual(yield* lastOf(store, key), "put")
    }))

  test("a heartbeat by hand that is not answered ends in time", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.link.set(on("put", silent))
      const reason = yield* reasonOf(finish(process.registry.heartbeat(one)), "StoreFailed")
      assert.strictEqual(reason.error.reason._tag, "OutcomeUnknown")
    }))

  test("heartbeats by hand at once are one instance's", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* finish(
        Effect.forEach(numbers(8), () => process.registry.heartbeat(one), { concurrency: "unbounded", discard: true })
      )
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))
}

const updates = ({ finish, test, until }: Tools) => {
  const key = keyOf("orders", "one")

  test("an update is seen at once, by its writer and by others, with what was before", () =>
    Effect.gen(function*() {
      const [, backend, observer] = yield* world(calm)
      const { instance, update } = yield* backend.enter(named("orders", "one", { metadata: { load: 1 } }))
      const events = yield* record(observer.registry.watch())
      yield* until(events.all, (all) => all.some((event) => event._tag === "Ready"))
      yield* finish(update((current) => ({ ...current, status: "UNHEALTHY", metadata: { load: 9 } })))
      assert.strictEqual((yield* instance).status, "UNHEALTHY")
      const got = Option.getOrThrow(yield* observer.registry.get("orders", "one"))
      assert.strictEqual(got.status, "UNHEALTHY")
      assert.deepStrictEqual(got.metadata, { load: 9 })
      const all = yield* until(events.all, (all) => all.some((event) => event._tag === "Changed"))
      const change = all.find((event) => event._tag === "Changed")!
      assert.strictEqual(change.previous.status, "ACTIVE")
      assert.deepStrictEqual(change.previous.metadata, { load: 1 })
      assert.strictEqual(change.instance.status, "UNHEALTHY")
    }))

  test("an update stays through the beats that follow it", () =>
    Effect.gen(function*() {
      const [, backend] = yield* world(steady)
      const { update } = yield* backend.enter(named("orders", "one"))
      yield* finish(update((current) => ({ ...current, status: "UNHEALTHY" })))
      yield* until(...hasBeaten(backend, 3))
      assert.strictEqual(Option.getOrThrow(yield* backend.registry.get("orders", "one")).status, "UNHEALTHY")
    }))

  test("an update keeps what another writer put there", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(steady)
      const { update, whyLost } = yield* backend.enter(named("orders", "one", { metadata: { zone: "a" } }))
      yield* underneath(store, key, { team: { name: "blue", since: null }, metadata: { zone: "b", seen: [1] } })
      yield* finish(
        update((current) => ({ ...current, status: "STANDBY", metadata: { ...current.metadata, load: 5 } }))
      )
      const expected = {
        team: { name: "blue", since: null },
        metadata: { zone: "b", seen: [1], load: 5 },
        status: "STANDBY"
      }
      const written = yield* fieldsOf(store, key)
      assert.deepStrictEqual(
        { team: written["team"], metadata: written["metadata"], status: written["status"] },
        expected as never
      )
      yield* until(...hasBeaten(backend, 3))
      const later = yield* fieldsOf(store, key)
      assert.deepStrictEqual(
        { team: later["team"], metadata: later["metadata"], status: later["status"] },
        expected as never
      )
      assert.isUndefined(yield* whyLost)
    }))

  for (
    const [what, fault, status] of [
      ["landed without an answer is kept", answerLost, "STANDBY"],
      ["was lost on the way is not", lostOnTheWay, "ACTIVE"]
    ] as const
  ) {
    test(`an update is told to be uncertain, and one that ${what}`, () =>
      Effect.gen(function*() {
        const [, backend] = yield* world(steady)
        const { instance, update, whyLost } = yield* backend.enter(named("orders", "one"))
        yield* backend.link.set(times(1, "put", fault))
        const reason = yield* reasonOf(update((current) => ({ ...current, status: "STANDBY" })), "StoreFailed")
        assert.strictEqual(reason.error.reason._tag, "OutcomeUnknown")
        yield* until(...hasBeaten(backend, 2))
        assert.strictEqual((yield* instance).status, status)
        assert.strictEqual(Option.getOrThrow(yield* backend.registry.get("orders", "one")).status, status)
        assert.isUndefined(yield* whyLost)
      }))
  }

  test("a beat keeps what another writer put there", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(steady)
      const { instance } = yield* backend.enter(named("orders", "one"))
      yield* underneath(store, key, { team: "blue", status: "STANDBY" })
      yield* until(...hasBeaten(backend, 2))
      const fields = yield* fieldsOf(store, key)
      assert.strictEqual(fields["team"], "blue")
      assert.strictEqual(fields["status"], "STANDBY")
      assert.strictEqual((yield* instance).status, "STANDBY")
    }))

  test("updates at once all count", () =>
    Effect.gen(function*() {
      const [, backend] = yield* world(calm)
      const { update } = yield* backend.enter(named("orders", "one"))
      yield* finish(
        Effect.forEach(
          numbers(10),
          (n) => update((current) => ({ ...current, metadata: { ...current.metadata, [`n${n}`]: n } })),
          { concurrency: "unbounded", discard: true }
        )
      )
      const got = Option.getOrThrow(yield* backend.registry.get("orders", "one"))
      assert.strictEqual(Object.keys(got.metadata).length, 10)
    }))

  const refused: ReadonlyArray<readonly [what: string, f: (current: Registry.ServiceInstance) => unknown]> = [
    ["another instance id", (current) => ({ ...current, instanceId: "two" })],
    ["another service name", (current) => ({ ...current, serviceName: "payments" })],
    ["a name that is no token", (current) => ({ ...current, instanceId: "a.b" })],
    ["a version that is none", (current) => ({ ...current, version: "one" })],
    ["a status that we do not know", (current) => ({ ...current, status: "GONE" })],
    ["metadata that is no JSON", (current) => ({ ...current, metadata: { f: () => 1 } })],
    ["nothing", () => undefined],
    ["a change that throws", () => {
      throw new Error("no")
    }]
  ]

  for (const [what, f] of refused) {
    test(`an update to ${what} is refused, and nothing is written`, () =>
      Effect.gen(function*() {
        const [store, backend] = yield* world(steady)
        const { instance, update, whyLost } = yield* backend.enter(named("orders", "one"))
        const puts = countOf(backend.link, "put")
        yield* reasonOf(update(f as never), "InvalidInstance")
        assert.strictEqual(countOf(backend.link, "put"), puts)
        const { instanceId, serviceName, status, version } = yield* instance
        assert.deepStrictEqual([serviceName, instanceId, status, version] as ReadonlyArray<string>, [
          "orders",
          "one",
          "ACTIVE",
          "1.0.0"
        ])
        yield* until(...hasBeaten(backend, 1))
        assert.isUndefined(yield* whyLost)
        assert.deepStrictEqual(yield* store.keys(), [key])
      }))
  }
}

const draining = ({ finish, test, until }: Tools) => {
  const key = keyOf("orders", "one")

  test("a draining instance says so at once, lives on until it is done, and then is gone", () =>
    Effect.gen(function*() {
      const [store, backend, observer] = yield* world(steady)
      const events = yield* watched(observer)
      const { drain, whyLost } = yield* backend.enter(named("orders", "one"))
      yield* until(events.all, contains("up orders/one"))
      const done = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(drain(Deferred.await(done), "1 hour"))
      yield* until(events.all, contains("changed orders/one from ACTIVE to DRAINING"))
      yield* until(...hasBeaten(backend, 2))
      const [instance] = yield* observer.registry.list("orders")
      assert.strictEqual(instance?.status, "DRAINING")
      yield* Deferred.succeed(done, undefined)
      yield* finish(Fiber.join(fiber))
      assert.strictEqual(yield* lastOf(store, key), "delete")
      yield* until(events.all, contains("down orders/one deregistered"))
      assert.isUndefined(yield* whyLost)
    }))

  test("a draining instance is gone when its time is up", () =>
    Effect.gen(function*() {
      const [store, backend] = yield* world(calm)
      const { close, drain, update } = yield* backend.enter(named("orders", "one"))
      yield* finish(drain(Effect.never, "200 millis"))
      assert.strictEqual(yield* lastOf(store, key), "delete")
      yield* reasonOf(update((current) => current), "Deregistered")
      // What was registered anew since then is none of its business.
      const next = yield* startProcess(store)
      yield* next.registry.heartbeat(named("orders", "one"))
      yield* close
      assert.deepStrictEqual(yield* listed(next), ["one"])
    }))
}

const reading = ({ finish, test, until }: Tools) => {
  test("a read that fails is an error, and never an empty answer", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* process.link.set(away)
      const reads = [
        process.registry.get("orders", "one"),
        process.registry.list("orders"),
        process.registry.listAll(),
        process.registry.deregister("orders", "one"),
        process.registry.heartbeat(named("orders", "two")),
        process.registry.cleanup(),
        Stream.runHead(process.registry.watch())
      ]
      for (const read of reads) {
        const error = yield* Effect.flip(finish(read as Effect.Effect<unknown, Registry.RegistryError>))
        assert.strictEqual(error.reason._tag, "StoreFailed")
        assert.isTrue(error.isRetryable)
      }
      yield* process.link.set(undefined)
      assert.deepStrictEqual(yield* listed(process), ["one"])
    }))

  test("a record that does not decode hides nobody, and getting it says so", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      const revision = yield* store.put(keyOf("orders", "bad"), bytes("nonsense"))
      yield* store.put(keyOf("orders", "wrong"), (yield* entryOf(store, keyOf("orders", "one"))).value)
      yield* store.put(keyOf("payments", "bad"), Uint8Array.of(0xff))
      yield* process.registry.heartbeat(named("orders", "two"))
      assert.deepStrictEqual(yield* listed(process), ["one", "two"])
      assert.deepStrictEqual(yield* listed(process, "orders", { includeExpired: true }), ["one", "two"])
      assert.deepStrictEqual(yield* listed(process, "payments"), [])
      assert.deepStrictEqual([...(yield* process.registry.listAll()).keys()], ["orders"])
      const reason = yield* reasonOf(process.registry.get("orders", "bad"), "UndecodableValue")
      assert.strictEqual(reason.revision, revision)
      yield* reasonOf(process.registry.get("orders", "wrong"), "UndecodableValue")
      assert.isTrue(Option.isSome(yield* process.registry.get("orders", "two")))
    }))

  test("a watch goes on past records that do not decode", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* store.put(keyOf("orders", "bad"), bytes("nonsense"))
      const events = yield* watched(process)
      yield* until(events.all, contains("ready"))
      yield* store.put(keyOf("orders", "bad"), Uint8Array.of(0xff))
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* store.delete(keyOf("orders", "bad"))
      yield* process.registry.heartbeat(named("orders", "two"))
      yield* until(events.all, contains("up orders/two"))
      assert.deepStrictEqual(events.seen, ["ready", "up orders/one", "up orders/two"])
    }))

  test("keys that are no instances' are not looked at", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      for (const key of ["other", "service-instances", "service-instances.orders", "service-instances.orders.a.b"]) {
        yield* store.put(key, bytes("nonsense"))
      }
      yield* process.registry.heartbeat(named("orders", "one"))
      assert.deepStrictEqual(yield* listed(process), ["one"])
      assert.strictEqual((yield* process.registry.listAll()).size, 1)
      const report = yield* process.registry.cleanup({ maxAge: 0 })
      assert.deepStrictEqual(report.invalid, [])
      assert.isAtMost(report.scanned, 1)
    }))

  test("isExpired by the store's clock agrees with what is listed", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* beat(process, named("orders", "dead"))
      yield* process.enter(named("orders", "living"))
      const expired = isExpired(store.clock, { maxAge })
      const mine = Effect.map(
        process.registry.list("orders", { includeExpired: true }),
        (all) => idsOf(all.filter((instance) => !expired(instance)))
      )
      yield* until(listed(process), (ids) => ids.length < 2)
      assert.deepStrictEqual(yield* mine, ["living"])
      assert.deepStrictEqual(yield* listed(process), ["living"])
    }))

  test("a reader may have a maxAge of its own", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* until(listed(process, "orders", { maxAge: "100 millis" }), (ids) => ids.length === 0)
      assert.deepStrictEqual(yield* listed(process, "orders", { maxAge: "1 hour" }), ["one"])
      assert.isTrue(Option.isNone(yield* process.registry.get("orders", "one", { maxAge: "100 millis" })))
      assert.isTrue(Option.isSome(yield* process.registry.get("orders", "one", { maxAge: "1 hour" })))
      assert.strictEqual((yield* process.registry.listAll({ maxAge: "100 millis" })).size, 0)
    }))

  test("whom nobody has registered is not there", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      assert.isTrue(Option.isNone(yield* process.registry.get("orders", "one")))
      assert.deepStrictEqual(yield* listed(process), [])
      assert.strictEqual((yield* process.registry.listAll()).size, 0)
    }))
}

const watching = ({ finish, test, until }: Tools) => {
  test("a watch of nothing is ready, and then tells what comes", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      const events = yield* watched(process)
      yield* until(events.all, contains("ready"))
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* until(events.all, contains("up orders/one"))
      assert.deepStrictEqual(events.seen, ["ready", "up orders/one"])
    }))

  test("a watch tells who is alive, then that it is ready, then what changes", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "gone"))
      yield* process.registry.deregister("orders", "gone")
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* process.registry.heartbeat(named("payments", "two"))
      const events = yield* watched(process)
      yield* until(events.all, contains("ready"))
      assert.deepStrictEqual(events.seen, ["up orders/one", "up payments/two", "ready"])
      yield* store.purge(keyOf("orders", "one"))
      yield* process.registry.deregister("payments", "two")
      yield* process.registry.heartbeat(named("orders", "three"))
      yield* until(events.all, contains("up orders/three"))
      assert.deepStrictEqual(events.seen.slice(3), [
        "down orders/one swept",
        "down payments/two deregistered",
        "up orders/three"
      ])
    }))

  test("a watch does not tell of those that have expired, and does when they come back", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(brisk)
      yield* beat(process, named("orders", "one"))
      yield* until(listed(process), (ids) => ids.length === 0)
      const events = yield* watched(process)
      yield* until(events.all, contains("ready"))
      assert.deepStrictEqual(events.seen, ["ready"])
      yield* beat(process, named("orders", "one"))
      yield* until(events.all, contains("up orders/one"))
      yield* until(events.all, contains("down orders/one expired"))
      assert.deepStrictEqual(events.seen, ["ready", "up orders/one", "down orders/one expired"])
    }))

  test("a watch of one service tells of no other", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      yield* process.registry.heartbeat(named("payments", "one"))
      const events = yield* watched(process, "payments")
      yield* until(events.all, contains("ready"))
      yield* process.registry.heartbeat(named("orders", "two"))
      yield* process.registry.deregister("orders", "one")
      yield* process.registry.heartbeat(named("payments", "two"))
      yield* until(events.all, contains("up payments/two"))
      assert.deepStrictEqual(events.seen, ["up payments/one", "ready", "up payments/two"])
    }))

  test("all watches of a process share one watch of the store, and each gets the whole picture", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      yield* process.registry.heartbeat(named("orders", "one"))
      const first = yield* watched(process)
      yield* until(first.all, contains("ready"))
      yield* process.registry.heartbeat(named("payments", "two"))
      yield* until(first.all, contains("up payments/two"))
      const second = yield* watched(process)
      const third = yield* watched(process, "payments")
      yield* until(second.all, contains("ready"))
      yield* until(third.all, contains("ready"))
      assert.deepStrictEqual(second.seen, ["up orders/one", "up payments/two", "ready"])
      assert.deepStrictEqual(third.seen, ["up payments/two", "ready"])
      yield* process.registry.heartbeat(named("payments", "three"))
      for (const { all } of [first, second, third]) yield* until(all, contains("up payments/three"))
      assert.strictEqual(countOf(process.link, "watch"), 1)
      assert.strictEqual(countOf(process.link, "entries"), 0)
      for (const { fiber } of [first, second, third]) yield* finish(Fiber.interrupt(fiber))
      const fourth = yield* watched(process, "orders")
      yield* until(fourth.all, contains("ready"))
      assert.strictEqual(countOf(process.link, "watch"), 2)
    }))

  test("a watch that fails tells all who share it, and the next one begins anew", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      const { fault, open } = yield* delayed
      yield* process.link.set(on("watch", (call, run) => fault(call, Effect.andThen(away(call, run), run))))
      const watches = yield* Effect.forEach(numbers(3), () => watched(process))
      yield* until(Effect.sync(() => countOf(process.link, "watch")), (count) => count === 1)
      yield* open
      for (const { fiber } of watches) {
        const error = yield* Effect.flip(finish(Fiber.join(fiber)))
        assert.strictEqual(error.reason._tag, "StoreFailed")
      }
      yield* process.link.set(undefined)
      const again = yield* Effect.forEach(numbers(2), () => watched(process))
      yield* process.registry.heartbeat(named("orders", "one"))
      for (const { all } of again) yield* until(all, contains("up orders/one"))
      assert.strictEqual(countOf(process.link, "watch"), 2)
    }))
}

const sweeping = ({ finish, test, until }: Tools) => {
  /** Instances that were alive once. */
  const dead = Effect.fnUntraced(function*(process: Process, ids: ReadonlyArray<string>, serviceName = "orders") {
    for (const id of ids) yield* beat(process, named(serviceName, id))
    yield* until(listed(process, serviceName), (alive) => !ids.some((id) => alive.includes(id)))
  })

  const nothing = { removed: [], raced: 0, invalid: [], frozen: [] }

  test("a sweep of nothing removes nothing", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      assert.deepStrictEqual(yield* process.registry.cleanup(), { scanned: 0, ...nothing })
    }))

  test("a sweep removes the expired only, and says whom and why", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      const events = yield* watched(process)
      yield* process.enter(named("orders", "living"))
      yield* dead(process, ["one"])
      yield* dead(process, ["two"], "payments")
      const report = yield* process.registry.cleanup()
      assert.strictEqual(report.scanned, 3)
      assert.deepStrictEqual(report.removed.map((one) => one.instance), ["orders/one", "payments/two"])
      for (const { reason } of report.removed) assert.match(reason, /^expired: no heartbeat for \d+(\.\d)?s$/)
      assert.deepStrictEqual({ ...report, scanned: 0, removed: [] }, { scanned: 0, ...nothing })
      assert.deepStrictEqual(yield* store.keys(), [keyOf("orders", "living")])
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "purge")
      assert.deepStrictEqual(yield* process.registry.cleanup(), { scanned: 1, ...nothing })
      assert.notInclude(events.seen, "down orders/living swept")
    }))

  test("a dry run says what it would remove, and removes nothing", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* dead(process, ["one"])
      const report = yield* process.registry.cleanup({ dryRun: true })
      assert.deepStrictEqual(report.removed.map((one) => one.instance), ["orders/one"])
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "put")
      assert.strictEqual(countOf(process.link, "purge"), 0)
    }))

  test("a sweep may have a maxAge of its own", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(brisk)
      yield* dead(process, ["one"])
      assert.deepStrictEqual((yield* process.registry.cleanup({ maxAge: "1 hour" })).removed, [])
      assert.strictEqual((yield* process.registry.cleanup({ maxAge: "100 millis" })).removed.length, 1)
    }))

  test("an instance that beats between the read and the removal is kept, and counted", () =>
    Effect.gen(function*() {
      const [, backend, sweeper] = yield* world(brisk)
      yield* dead(backend, ["one", "two"])
      const beaten = beat(backend, named("orders", "one"))
      yield* sweeper.link.set((call, run) =>
        call.operation === "purge" && call.key === keyOf("orders", "one") ? after(beaten)(call, run) : run
      )
      const report = yield* finish(sweeper.registry.cleanup())
      assert.strictEqual(report.raced, 1)
      assert.deepStrictEqual(report.removed.map((one) => one.instance), ["orders/two"])
      assert.deepStrictEqual(yield* listed(sweeper), ["one"])
    }))

  test("a record that does not decode is told of, and goes only when it is old", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      const key = keyOf("orders", "bad")
      yield* store.put(key, bytes("nonsense"))
      const young = yield* process.registry.cleanup()
      assert.deepStrictEqual(young.invalid, ["orders/bad"])
      assert.deepStrictEqual(young.removed, [])
      yield* dead(process, ["one"])
      const old = yield* process.registry.cleanup()
      assert.deepStrictEqual(old.invalid, ["orders/bad"])
      assert.deepStrictEqual(old.removed.map((one) => one.instance).toSorted(), ["orders/bad", "orders/one"])
      assert.include(old.removed.find((one) => one.instance === "orders/bad")!.reason, "decode")
      assert.deepStrictEqual(yield* store.keys(), [])
    }))

  test("where most of a service looks dead nothing of it is removed, unless that is asked for", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* Effect.forEach(numbers(4), (n) => process.enter(named("orders", `living-${n}`)))
      yield* dead(process, numbers(6).map((n) => `dead-${n}`))
      yield* dead(process, ["one"], "payments")
      const held = yield* process.registry.cleanup()
      assert.deepStrictEqual(held.frozen, ["orders"])
      assert.deepStrictEqual(held.removed.map((one) => one.instance), ["payments/one"])
      assert.strictEqual((yield* store.keys()).length, 10)
      const all = yield* process.registry.cleanup({ atMost: 1 })
      assert.deepStrictEqual(all.frozen, [])
      assert.deepStrictEqual(all.removed.map((one) => one.instance), numbers(6).map((n) => `orders/dead-${n}`))
      assert.deepStrictEqual(yield* listed(process), numbers(4).map((n) => `living-${n}`))
    }))

  test("a small service may be gone as a whole, and half of a large one too", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* Effect.forEach(numbers(5), (n) => process.enter(named("orders", `living-${n}`)))
      for (const n of numbers(5)) yield* beat(process, named("orders", `dead-${n}`))
      yield* dead(process, numbers(9).map(String), "payments")
      const report = yield* process.registry.cleanup()
      assert.deepStrictEqual(report.frozen, [])
      assert.strictEqual(report.removed.length, 14)
      assert.strictEqual((yield* store.keys()).length, 5)
    }))

  test("a sweep that confirms removes only what it saw unchanged a heartbeat before", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(brisk)
      yield* dead(process, ["one"])
      const now = Effect.clockWith((clock) => Effect.sync(() => Number(clock.monotonicTimeNanosUnsafe()) / 1e6))
      const before = yield* now
      assert.deepStrictEqual((yield* process.registry.cleanup({ confirm: true })).removed, [])
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "put")
      const { removed } = yield* until(
        process.registry.cleanup({ confirm: true }),
        (report) => report.removed.length > 0
      )
      assert.isAtLeast((yield* now) - before, Duration.toMillis(heartbeat))
      assert.deepStrictEqual(removed.map((one) => one.instance), ["orders/one"])
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "purge")
    }))

  test("a sweep that confirms does not count what another one saw", () =>
    Effect.gen(function*() {
      const [, process, other] = yield* world(brisk)
      yield* dead(process, ["one"])
      yield* process.registry.cleanup({ confirm: true })
      yield* until(process.registry.cleanup({ confirm: true, dryRun: true }), (report) => report.removed.length > 0)
      assert.deepStrictEqual((yield* other.registry.cleanup({ confirm: true })).removed, [])
    }))

  test("two sweeps at once remove each instance once", () =>
    Effect.gen(function*() {
      const [, one, other] = yield* world(brisk)
      yield* dead(one, numbers(8).map(String))
      const reports = yield* finish(
        Effect.all([one.registry.cleanup(), other.registry.cleanup()], { concurrency: "unbounded" })
      )
      const removed = reports.flatMap((report) => report.removed.map(({ instance }) => instance))
      assert.deepStrictEqual(removed.toSorted(), numbers(8).map((n) => `orders/${n}`))
    }))
}

const sweepers = ({ finish, test, until }: Tools) => {
  test("the sweeper sweeps on its schedule, and a pass that fails does not end it", () =>
    Effect.gen(function*() {
      const [store, backend, sweeper] = yield* world(brisk)
      yield* sweeper.link.set(times(3, "entries", away))
      yield* Layer.build(
        Registry.layerCleanup({ schedule: "100 millis" }).pipe(
          Layer.provide(Layer.succeed(Registry.Registry, sweeper.registry))
        )
      )
      yield* backend.enter(named("orders", "living"))
      yield* beat(backend, named("orders", "one"))
      yield* until(lastOf(store, keyOf("orders", "one")), (last) => last === "purge")
      yield* beat(backend, named("payments", "two"))
      yield* until(lastOf(store, keyOf("payments", "two")), (last) => last === "purge")
      assert.isAtLeast(countOf(sweeper.link, "entries"), 6)
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "living")), "put")
    }))

  test("the sweeper ends with its layer", () =>
    Effect.gen(function*() {
      const [store, sweeper] = yield* world(brisk)
      const scope = yield* Scope.make()
      yield* Registry.layerCleanup({ schedule: "50 millis" }).pipe(
        Layer.provide(Layer.succeed(Registry.Registry, sweeper.registry)),
        Layer.build,
        Scope.provide(scope)
      )
      yield* until(Effect.sync(() => countOf(sweeper.link, "entries")), (count) => count >= 2)
      yield* Scope.close(scope, Exit.void)
      const before = countOf(sweeper.link, "entries")
      const metronome = yield* startProcess(store)
      yield* metronome.enter(named("clock", "one"))
      yield* until(...hasBeaten(metronome, 2))
      assert.strictEqual(countOf(sweeper.link, "entries"), before)
    }))

  test("layerInstance is registered for as long as the layer lives", () =>
    Effect.gen(function*() {
      const [store, process] = yield* world(steady)
      const scope = yield* Scope.make()
      yield* Registry.layerInstance(named("orders", "one", { metadata: { zone: "a" } })).pipe(
        Layer.provide(Layer.succeed(Registry.Registry, process.registry)),
        Layer.build,
        Scope.provide(scope)
      )
      yield* until(...hasBeaten(process, 2))
      const [instance] = yield* process.registry.list("orders")
      assert.deepStrictEqual(instance?.metadata, { zone: "a" })
      yield* finish(Scope.close(scope, Exit.void))
      assert.strictEqual(yield* lastOf(store, keyOf("orders", "one")), "delete")
    }))

  test("layerInstance fails to build where the instance cannot be registered", () =>
    Effect.gen(function*() {
      const [, process] = yield* world(calm)
      const build = (instance: Registry.Registerable, options?: Registry.RegisterOptions) =>
        Registry.layerInstance(instance, options).pipe(
          Layer.provide(Layer.succeed(Registry.Registry, process.registry)),
          Layer.build
        )
      yield* reasonOf(build(named("a.b", "one")), "InvalidKey")
      yield* process.enter(named("orders", "one"))
      yield* reasonOf(build(named("orders", "one"), { onDuplicate: "fail" }), "DuplicateInstance")
    }))
}

const configuring = ({ test }: Tools) => {
  const refused: ReadonlyArray<
    readonly [what: string, options: Registry.RegistryOptions, bucket: Partial<Config.Options>, named: string]
  > = [
    ["maxAge below two heartbeats", { maxAge: "19999 millis", heartbeat: "10 seconds" }, {}, "heartbeat"],
    ["a default heartbeat of more than half of maxAge", { maxAge: "19 seconds" }, {}, "heartbeat"],
    ["a heartbeat of more than half of the default maxAge", { heartbeat: "15001 millis" }, {}, "heartbeat"],
    ["a bucket that forgets before twice maxAge", { maxAge: "30 seconds" }, { streamMaxAge: 59_999 }, "streamMaxAge"],
    ["a maxAge of zero", { maxAge: 0, heartbeat: 0 }, {}, "maxAge"],
    ["a negative maxAge", { maxAge: -1, heartbeat: 1 }, {}, "maxAge"],
    ["a maxAge without end", { maxAge: Number.POSITIVE_INFINITY }, {}, "maxAge"]
  ]

  for (const [what, options, bucket, setting] of refused) {
    test(`the layer refuses ${what}`, () =>
      Effect.gen(function*() {
        const store = yield* openBucket(bucket)
        const reason = yield* reasonOf(
          Layer.build(Registry.layer(options).pipe(Layer.provide(Layer.succeed(KVStore.KVStore, store)))),
          "InvalidConfig"
        )
        assert.include(reason.message, setting)
      }))
  }

  test("the layer takes times that just fit", () =>
    Effect.gen(function*() {
      const store = yield* openBucket({ streamMaxAge: "20 seconds" })
      const build = (options: Registry.RegistryOptions) =>
        Layer.build(Registry.layer(options).pipe(Layer.provide(Layer.succeed(KVStore.KVStore, store))))
      yield* build({ maxAge: "10 seconds", heartbeat: "5 seconds" })
      yield* build({ maxAge: 10_000, heartbeat: Duration.millis(1) })
    }))
}
