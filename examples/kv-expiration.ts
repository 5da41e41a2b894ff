/**
 * Three ways for values to expire, in six seconds: the bucket's age limit, heartbeats whose age readers check, and the
 * removal of expired values.
 *
 *   node kv-expiration.ts                        in the memory of this process
 *   AEGIS_NATS_URL=... node kv-expiration.ts     on a NATS server
 *   node kv-expiration.ts --nats                 the same on nats://127.0.0.1:4222, if the variable is not set
 *
 * `put` has no time to live (TTL): a later write without a TTL would silently remove the expiry of its key.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import {
  Array as Arr,
  Clock,
  Config,
  Console,
  Context,
  Data,
  Effect,
  Layer,
  Logger,
  Option,
  Order,
  Schedule,
  Stdio,
  Stream
} from "effect"
import { Expiration, KVStore, NatsClient, NatsKVStore } from "effect-aegis"

type Store = KVStore.KVStore["Service"]

/** Opens buckets: in memory, or on a server. */
class Buckets extends Context.Service<Buckets, {
  readonly open: (options: KVStore.BucketOptions) => Layer.Layer<KVStore.KVStore, KVStore.KVStoreError>
}>()("example/Buckets") {}

const open = Effect.fnUntraced(function*(options: KVStore.BucketOptions) {
  const buckets = yield* Buckets
  return Context.get(yield* Layer.build(buckets.open(options)), KVStore.KVStore)
})

/** Prints a line with the time since the start of the program. */
const print = (text: string) =>
  Effect.flatMap(Clock.monotonicTimeNanos, (now) => {
    const seconds = (Number(now - startedAt) / 1e9).toFixed(2)
    return Console.log(`${seconds.padStart(6)} s  ${text}`)
  })
const startedAt = Effect.runSync(Clock.monotonicTimeNanos)
const printTitle = (title: string) => Console.log(`\n          ${title}`)

const bytes = (text: string) => new TextEncoder().encode(text)
const textOf = Option.match({
  onNone: () => "none",
  onSome: ({ value }: KVStore.KVEntry) => new TextDecoder().decode(value)
})
const namesOf = (names: ReadonlyArray<string>) => Arr.sort(names, Order.String).join(", ") || "none"

class NotSeen extends Data.TaggedError("NotSeen")<{ readonly message: string }> {}

/** Each wait below takes at most 2 s. */
const longestWait = "5 seconds"

/** Reads until the answer is as expected. */
const waitFor = <A, E>(what: string, read: Effect.Effect<A, E>, isExpected: (answer: A) => boolean) =>
  read.pipe(
    Effect.repeat({ until: isExpected, schedule: Schedule.spaced("20 millis") }),
    Effect.timeoutOrElse({
      duration: longestWait,
      orElse: () => new NotSeen({ message: `${what}: not seen within ${longestWait}` })
    })
  )

/** Watches the bucket, and returns an array to which the watch adds each reported removal. */
const watchRemovals = Effect.fnUntraced(function*(store: Store) {
  const removals: Array<string> = []
  yield* store.watch().pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        if (event._tag === "Removed") removals.push(`${event.key} (${event.reason})`)
      })
    ),
    Effect.forkScoped
  )
  return removals
})

/** The limit applies to every value: to the history of a key, and to its latest value. */
const ageLimit = Effect.gen(function*() {
  yield* printTitle("1. The bucket's age limit: streamMaxAge")
  const store = yield* open({ bucket: "aegis_example_aging", historySize: 3, streamMaxAge: "1 second" })
  const removals = yield* watchRemovals(store)
  yield* Effect.forEach(["10", "11", "12"], (price) => store.put("price", bytes(price)))
  yield* print(`price was written three times: its history has ${(yield* store.history("price")).length} values`)
  yield* waitFor("the expiry of price", store.get("price"), Option.isNone)
  const { length } = yield* store.history("price")
  yield* print(`price has expired, its latest value too: its history has ${length} values`)
  yield* print(`a watch has reported ${removals.length} removals: without markers it may take a minute on a server`)
}).pipe(Effect.scoped)

/** Servers before 2.11 have no expiry markers: opening a bucket with them fails with `InvalidConfig`. */
const expiryMarkers = Effect.gen(function*() {
  yield* printTitle("   The age limit with events at once: expiryMarkers")
  const store = yield* open({
    bucket: "aegis_example_marking",
    streamMaxAge: "1 second",
    expiryMarkers: "2 seconds"
  })
  const removals = yield* watchRemovals(store)
  yield* store.put("price", bytes("13"))
  yield* print("price was written")
  yield* waitFor("the expiry marker of price", Effect.succeed(removals), ({ length }) => length > 0)
  yield* print(`a watch has reported: ${removals.join(", ")}`)
}).pipe(
  Effect.catchReason("KVStoreError", "InvalidConfig", ({ problem }) => print(`not on this server: ${problem}`)),
  Effect.scoped
)

const maxAge = "1 second"

/** An age is the difference of two times of the STORE's clock: the clocks of hosts can be wrong and are not used. */
const expiredIn = (store: Store) => {
  const isExpired = Expiration.isExpired(store.clock, { maxAge })
  return ({ created }: KVStore.KVEntry) => isExpired({ lastHeartbeat: created })
}

/** Each worker rewrites its record at intervals. A reader ignores the records that are too old. */
const heartbeats = Effect.gen(function*() {
  yield* printTitle("2. Heartbeats, whose age readers check: Expiration.isExpired")
  const store = yield* open({ bucket: "aegis_example_heartbeats", streamMaxAge: "1 minute" })
  const isExpired = expiredIn(store)
  const heartbeat = (worker: string) => store.put(worker, bytes("1.0.0"))
  const every = Schedule.spaced("200 millis")
  yield* Effect.forkScoped(Effect.repeat(heartbeat("worker-1"), every))
  yield* Effect.forkScoped(Effect.repeat(heartbeat("worker-2"), Schedule.upTo(every, { times: 2 })))
  const live = Effect.map(
    store.entries(),
    (entries) => namesOf(entries.filter((entry) => !isExpired(entry)).map(({ key }) => key))
  )
  yield* print(`live: ${yield* waitFor("two live workers", live, (names) => names === "worker-1, worker-2")}`)
  yield* print(`live: ${yield* waitFor("the expiry of worker-2", live, (names) => names === "worker-1")}`)
  yield* print(`stored: ${namesOf(yield* store.keys())}`)
  yield* removeExpired(store, heartbeat("worker-2"))
}).pipe(Effect.scoped)

/** Deletes only the revision that was found expired: a record that was written since is kept. */
const removeExpired = Effect.fnUntraced(function*<A>(store: Store, heartbeat: Effect.Effect<A, KVStore.KVStoreError>) {
  yield* printTitle("3. The removal of expired values: by revision, or by a read")
  const remove = ({ key, revision }: KVStore.KVEntry) =>
    store.delete(key, { revision }).pipe(
      Effect.andThen(print(`${key} was removed`)),
      Effect.catchReason("KVStoreError", "RevisionMismatch", () => print(`${key} was written since, and is kept`))
    )
  const findExpired = Effect.map(store.entries(), (entries) => entries.filter(expiredIn(store)))
  const expired = yield* findExpired
  yield* print(
    `found expired: ${namesOf(expired.map(({ key }) => key))}; its next heartbeat comes before the removal`
  )
  yield* heartbeat
  yield* Effect.forEach(expired, remove)
  yield* Effect.forEach(yield* waitFor("the expiry of worker-2 again", findExpired, ({ length }) => length > 0), remove)
})

const expireOnRead = Effect.gen(function*() {
  const store = yield* open({ bucket: "aegis_example_reading" })
  const getUnexpired = KVStore.getUnexpired(store, "session", { maxAge })
  yield* store.put("session", bytes("Ann's"))
  yield* print(`getUnexpired returns ${textOf(yield* getUnexpired)}`)
  yield* waitFor("the expiry of session", store.get("session"), Option.exists(expiredIn(store)))
  const stored = textOf(yield* store.get("session"))
  yield* print(`session has expired: get returns ${stored}, getUnexpired returns ${textOf(yield* getUnexpired)}`)
  yield* print(`getUnexpired has removed it: get returns ${textOf(yield* store.get("session"))}`)
}).pipe(Effect.scoped)

const chapters = Effect.gen(function*() {
  yield* ageLimit
  yield* expiryMarkers
  yield* heartbeats
  yield* expireOnRead
})

const inMemory = Effect.andThen(Console.log("          in memory"), chapters).pipe(
  Effect.provideService(Buckets, { open: KVStore.layerMemory })
)

const url = Config.String("AEGIS_NATS_URL")

const layerNats = Layer.effect(
  Buckets,
  Effect.map(
    Layer.build(NatsClient.layerConfig({
      servers: Config.withDefault(url, "nats://127.0.0.1:4222"),
      name: Config.succeed("kv-expiration")
    })),
    (client) => ({ open: (options) => Layer.provide(NatsKVStore.layer(options), Layer.succeedContext(client)) })
  )
)

const onNats = Effect.gen(function*() {
  const { serverVersion } = yield* Effect.scoped(
    Effect.flatMap(open({ bucket: "aegis_example_reading" }), (store) => store.status)
  )
  yield* Console.log(`          on nats-server ${serverVersion}`)
  yield* chapters
}).pipe(Effect.provide(layerNats))

const program = Effect.gen(function*() {
  const args = yield* Effect.flatMap(Stdio.Stdio, (stdio) => stdio.args)
  const needsServer = args.includes("--nats") || Option.isSome(yield* Config.option(url))
  yield* needsServer ? onNats : inMemory
})

program.pipe(
  Effect.onInterrupt(() => Console.log("          interrupted")),
  Effect.tapError(({ message }) => Console.error(`kv-expiration: ${message}`)),
  Effect.tapErrorTag(
    "KVStoreError",
    () => Console.error("Start a server (nats-server --jetstream), or set AEGIS_NATS_URL to the URL of your server.")
  ),
  // The example prints what happens; the library's log would repeat it.
  Effect.provide([NodeServices.layer, Logger.layer([])]),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
