/** The faults that a watch must come through. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { NatsServer } from "../natsServer/server.ts"
import * as raw from "./raw.ts"

export interface Scenario {
  readonly title: string
  readonly storage: "file" | "memory"
  /**
   * Values kept of each key. With one, what comes during a gap is superseded; with 64, a gap of some seconds may hide
   * nothing, and what is given twice is there to be given twice.
   */
  readonly history: 1 | 64
  /** Whether the bucket is another one afterwards, and who makes it: somebody else, or the store's own layer only. */
  readonly anew: "no" | "by others" | "by the layer"
  /** Whether nobody watches for a while, for sure, though the server answers. */
  readonly unwatched: boolean
  /** Brings the fault about; what it gives ends it, and takes its time. */
  readonly begin: (
    server: NatsServer,
    bucket: string
  ) => Effect.Effect<Effect.Effect<unknown, unknown>, unknown, Scope.Scope>
}

const usual = { storage: "file", history: 1, anew: "no", unwatched: false } as const

const killed = (down: Duration.Duration): Scenario => ({
  ...usual,
  title: `killed and started again after ${Duration.format(down)}`,
  begin: (server) => Effect.as(server.kill, Effect.andThen(Effect.sleep(down), server.restart))
})

const stopped = (time: Duration.Duration): Scenario => ({
  ...usual,
  title: `stopped for ${Duration.format(time)}`,
  begin: (server) => Effect.as(server.pause, Effect.andThen(Effect.sleep(time), server.resume))
})

const consumerDeleted: Scenario = {
  ...usual,
  title: "consumer deleted",
  unwatched: true,
  begin: (server, bucket) => Effect.as(raw.deleteConsumers(server.url, bucket), Effect.void)
}

const madeAnew = (after: Duration.Duration): Scenario => ({
  ...usual,
  title: `bucket deleted, made anew after ${Duration.format(after)}`,
  anew: "by others",
  begin: (server, bucket) =>
    Effect.map(raw.loseBucket(server.url, bucket), (make) =>
      // Not even a turn of the event loop where there is nothing to wait for.
      Duration.isZero(after) ? make : Effect.andThen(Effect.sleep(after), make))
})

const leftToTheLayer: Scenario = {
  ...usual,
  title: "bucket deleted, left to the layer",
  anew: "by the layer",
  begin: (server, bucket) => Effect.as(raw.loseBucket(server.url, bucket), Effect.void)
}

const withHistory = (scenario: Scenario): Scenario => ({
  ...scenario,
  title: `${scenario.title}, with history`,
  history: 64
})

const shortly = Duration.millis(500)

export const scenarios: ReadonlyArray<Scenario> = [
  killed(shortly),
  withHistory(killed(shortly)),
  killed(Duration.seconds(5)),
  { ...killed(shortly), title: "killed, and its memory with it", storage: "memory", anew: "by the layer" },
  consumerDeleted,
  withHistory(consumerDeleted),
  madeAnew(Duration.zero),
  madeAnew(Duration.seconds(1)),
  leftToTheLayer,
  stopped(Duration.seconds(3)),
  withHistory(stopped(Duration.seconds(3))),
  stopped(Duration.seconds(10))
]
