/**
 * Three ways for values to expire, told in some seconds: the bucket's age limit,
 * heartbeats that readers judge, and the removal of what is too old.
 *
 *   npm run example:kv-expiration               in memory
 *   npm run example:kv-expiration -- --nats     on a server of its own
 *   AEGIS_NATS_URL=… npm run example:kv-expiration    on a server that is there
 *
 * What is not among them: a time to live given to `put`. There is no such option,
 * because a plain write after a timed one would make its key immortal.
 */
import { Console, Context, Effect, Layer, Logger, Option, Schedule, type Scope, Stream } from "effect"
import { Expiration, KVStore, NatsClient, NatsKVStore } from "effect-aegis"
import { startNatsServer } from "../tools/natsServer/server.ts"

type Store = KVStore.KVStore["Service"]
type Open = (
  options: Parameters<typeof KVStore.layerMemory>[0]
) => Effect.Effect<Store, KVStore.KVStoreError, Scope.Scope>

const start = performance.now()
const say = (text: string) => Console.log(`${((performance.now() - start) / 1000).toFixed(2).padStart(6)} s  ${text}`)
const chapter = (title: string) => Console.log(`\n          ${title}`)

const bytes = (text: string) => new TextEncoder().encode(text)
const namesOf = (names: ReadonlyArray<string>) => names.toSorted().join(", ") || "nobody"

/** Far more than anything here takes. */
const longestWait = "5 seconds"

/** Asks again and again; gives what it was told at last. */
const waitFor = <A, E>(what: string, ask: Effect.Effect<A, E>, isSo: (answer: A) => boolean) =>
  ask.pipe(
    Effect.repeat({ until: isSo, schedule: Schedule.spaced("20 millis") }),
    Effect.timeoutOrElse({
      duration: longestWait,
      orElse: () => Effect.fail(new Error(`${what} was not seen within ${longestWait}`))
    })
  )

/** What a watch is told of removals, as it comes. */
const removals = Effect.fnUntraced(function*(store: Store) {
  const told: Array<string> = []
  yield* store.watch().pipe(
    Stream.runForEach((event) =>
      Effect.sync(() => {
        if (event._tag === "Removed") told.push(`${event.key} (${event.reason})`)
      })
    ),
    Effect.forkScoped
  )
  return told
})

/** The limit spares nothing: neither the history of a key nor its latest value. */
const ageLimit = Effect.fnUntraced(function*(open: Open) {
  yield* chapter("1. The bucket's age limit: streamMaxAge")
  const store = yield* open({ bucket: "aegis_example_aging", historySize: 3, streamMaxAge: "1 second" })
  const told = yield* removals(store)
  yield* Effect.forEach(["10", "11", "12"], (price) => store.put("price", bytes(price)))
  yield* say(`price was written three times; its history holds ${(yield* store.history("price")).length}`)
  yield* waitFor("the end of price", store.get("price"), Option.isNone)
  const { length } = yield* store.history("price")
  yield* say(`price is gone: not its history alone, the latest value too; its history holds ${length}`)
  yield* say(`a watch was told of ${told.length} removals: this limit works in silence`)
}, Effect.scoped)

/** Servers before 2.11 cannot leave markers: such a bucket is refused when it is opened. */
const markers = Effect.fnUntraced(function*(open: Open) {
  yield* chapter("   The same, and watches are told: expiryMarkers")
  const opened = yield* open({
    bucket: "aegis_example_marking",
    streamMaxAge: "1 second",
    expiryMarkers: "2 seconds"
  }).pipe(
    Effect.asSome,
    Effect.catchReason(
      "KVStoreError",
      "InvalidConfig",
      ({ problem }) => Effect.as(say(`not on this server: ${problem}`), Option.none<Store>())
    )
  )
  if (Option.isNone(opened)) return
  const told = yield* removals(opened.value)
  yield* opened.value.put("price", bytes("13"))
  yield* say("price was written")
  yield* waitFor("the marker of price", Effect.succeed(told), ({ length }) => length > 0)
  yield* say(`a watch was told: ${told.join(", ")}`)
}, Effect.scoped)

const maxAge = "1 second"

/** Age is the difference of two readings of the STORE's clock: hosts' clocks may be wrong, and are not asked. */
const isTooOld = (store: Store) => {
  const expired = Expiration.isExpired(store.clock, { maxAge })
  return ({ created }: KVStore.KVEntry) => expired({ lastHeartbeat: created })
}

/** Each writes its record again and again; who reads leaves out whose record is too old. */
const heartbeats = Effect.fnUntraced(function*(open: Open) {
  yield* chapter("2. Heartbeats, judged by who reads them: Expiration.isExpired")
  const store = yield* open({ bucket: "aegis_example_heartbeats", streamMaxAge: "1 minute" })
  const tooOld = isTooOld(store)
  const heartbeat = (worker: string) => store.put(worker, bytes("1.0.0"))
  const every = Schedule.spaced("200 millis")
  yield* Effect.forkScoped(Effect.repeat(heartbeat("worker-1"), every))
  yield* Effect.forkScoped(Effect.repeat(heartbeat("worker-2"), Schedule.upTo(every, { times: 2 })))
  const live = Effect.map(store.entries(), (all) => namesOf(all.filter((one) => !tooOld(one)).map(({ key }) => key)))
  yield* say(`live: ${yield* waitFor("two workers", live, (names) => names === "worker-1, worker-2")}`)
  yield* say(`live: ${yield* waitFor("the end of worker-2", live, (names) => names === "worker-1")}`)
  yield* say(`stored all the while: ${namesOf(yield* store.keys())}`)
  return { store, tooOld, heartbeat }
})

/** By the revision that was judged: what has been written since is never removed. */
const cleanUp = Effect.fnUntraced(
  function*({ heartbeat, store, tooOld }: Effect.Success<ReturnType<typeof heartbeats>>) {
    yield* chapter("3. Removing what is too old: by hand, or when it is read")
    const remove = ({ key, revision }: KVStore.KVEntry) =>
      store.delete(key, { revision }).pipe(
        Effect.andThen(say(`${key} was removed`)),
        Effect.catchReason("KVStoreError", "RevisionMismatch", () => say(`${key} was written since, and is kept`))
      )
    const judged = Effect.map(store.entries(), (all) => all.filter(tooOld))
    const old = yield* judged
    yield* say(`found too old: ${namesOf(old.map(({ key }) => key))}; but its heartbeat comes before it is removed`)
    yield* heartbeat("worker-2")
    yield* Effect.forEach(old, remove)
    yield* Effect.forEach(yield* waitFor("worker-2 to be too old", judged, ({ length }) => length > 0), remove)
  }
)

const expireOnRead = Effect.fnUntraced(function*(open: Open) {
  const store = yield* open({ bucket: "aegis_example_reading" })
  const read = KVStore.getUnexpired(store, "session", { maxAge })
  const shown = Option.match({
    onNone: () => "none",
    onSome: ({ value }: KVStore.KVEntry) => new TextDecoder().decode(value)
  })
  yield* store.put("session", bytes("Ann's"))
  yield* say(`getUnexpired gives ${shown(yield* read)}`)
  yield* waitFor("session to be too old", store.get("session"), Option.exists(isTooOld(store)))
  yield* say(`it is too old: get gives ${shown(yield* store.get("session"))}, getUnexpired gives ${shown(yield* read)}`)
  yield* say(`and has removed it: get gives ${shown(yield* store.get("session"))}`)
}, Effect.scoped)

const story = (open: Open) =>
  Effect.gen(function*() {
    yield* ageLimit(open)
    yield* markers(open)
    yield* cleanUp(yield* heartbeats(open))
    yield* expireOnRead(open)
  })

const opening =
  (layer: (options: Parameters<Open>[0]) => Layer.Layer<KVStore.KVStore, KVStore.KVStoreError>): Open => (options) =>
    Effect.map(Layer.build(layer(options)), (context) => Context.get(context, KVStore.KVStore))

const inMemory = Effect.andThen(Console.log("          in memory"), story(opening(KVStore.layerMemory)))

const onNats = (url: string) =>
  Effect.gen(function*() {
    const client = Layer.succeedContext(yield* Layer.build(NatsClient.layer({ servers: url, name: "kv-expiration" })))
    const open = opening((options) => Layer.provide(NatsKVStore.layer(options), client))
    const { serverVersion } = yield* (yield* open({ bucket: "aegis_example_reading" })).status
    yield* Console.log(`          on nats-server ${serverVersion}`)
    yield* story(open)
  })

const onOwnServer = Effect.flatMap(startNatsServer({ line: "2.15" }), ({ url }) => onNats(url))

const url = process.env.AEGIS_NATS_URL
const main = url !== undefined ? onNats(url) : process.argv.includes("--nats") ? onOwnServer : inMemory

// Whatever goes wrong is told in one line; the library's own log is left out of the story.
const exitCode = await main.pipe(
  Effect.scoped,
  Effect.as(0),
  Effect.catch((error) =>
    Effect.as(Effect.sync(() => console.error(`kv-expiration: ${error.message.split("\n")[0]}`)), 1)
  ),
  Effect.provide(Logger.layer([])),
  Effect.runPromise
)
process.exit(exitCode)
