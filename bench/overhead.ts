/** Measures writes and reads per second, by the client alone and by the library, without and with a tracer. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import * as Effect from "effect/Effect"
import * as Tracer from "effect/Tracer"
import { startNatsServer } from "../tools/natsServer/server.ts"
import { toTable } from "../tools/table.ts"
import { inTurn, rounded } from "./support/measure.ts"
import { connection, openStore, value } from "./support/store.ts"

const atOnce = [1, 16, 256] as const

const roundMillis = 350
const rounds = 3

/** Keeps no spans: the cost of exporting spans is not part of the measurement. */
const tracer = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })

/** Returns operations per second, with `concurrency` operations in flight. */
const rateOf = <E>(concurrency: number, loop: (goesOn: () => boolean) => Effect.Effect<void, E>) =>
  Effect.suspend(() => {
    const begun = performance.now()
    let count = 0
    const goesOn = () => performance.now() - begun < roundMillis && ++count > 0
    return Effect.map(
      Effect.replicateEffect(loop(goesOn), concurrency, { concurrency, discard: true }),
      () => count * 1000 / (performance.now() - begun)
    )
  })

const byPromise = (run: () => Promise<unknown>) => (goesOn: () => boolean) =>
  Effect.promise(async () => {
    while (goesOn()) await run()
  })

const byEffect = <A, E>(effect: Effect.Effect<A, E>) => (goesOn: () => boolean) =>
  Effect.whileLoop({ while: goesOn, body: () => effect, step: () => undefined })

export const overhead = Effect.gen(function*() {
  const { url, version } = yield* startNatsServer({ line: "2.15" })
  const store = yield* openStore(url, "overhead")
  const other = yield* connection(url)
  const js = jetstream(other)
  const { direct } = yield* Effect.promise(() => jetstreamManager(other))
  const operations = {
    put: {
      ours: store.put("key", value),
      raw: () => js.publish("$KV.overhead.key", value)
    },
    get: {
      ours: store.get("key"),
      raw: () => direct.getMessage("KV_overhead", { last_by_subj: "$KV.overhead.key" })
    }
  } as const
  const rows = yield* Effect.forEach(
    ["put", "get"] as const,
    (name) =>
      Effect.forEach(atOnce, (concurrency) =>
        Effect.gen(function*() {
          const { ours, raw } = operations[name]
          const perSecond = yield* inTurn({
            raw: rateOf(concurrency, byPromise(raw)),
            ours: rateOf(concurrency, byEffect<unknown, unknown>(ours)),
            traced: Effect.withTracer(rateOf(concurrency, byEffect<unknown, unknown>(ours)), tracer)
          }, rounds)
          return {
            operation: name,
            atOnce: concurrency,
            perSecond,
            oursToRaw: rounded(perSecond.ours / perSecond.raw),
            tracedToRaw: rounded(perSecond.traced / perSecond.raw)
          }
        }))
  )
  const all = rows.flat()
  const table = toTable([
    ["operation", "in flight", "client /s", "library /s", "library, traced /s", "library : client", "traced : client"],
    ...all.map(({ atOnce, operation, oursToRaw, perSecond, tracedToRaw }) => [
      operation,
      `${atOnce}`,
      `${perSecond.raw}`,
      `${perSecond.ours}`,
      `${perSecond.traced}`,
      `${oursToRaw}`,
      `${tracedToRaw}`
    ])
  ])
  return { table, numbers: { server: version, overhead: all }, problems: [] }
}).pipe(Effect.scoped)
