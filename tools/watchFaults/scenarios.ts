/** The faults that a watch must tolerate. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { NatsServer } from "../natsServer/server.ts"
import * as raw from "./raw.ts"

export interface Scenario {
  readonly title: string
  readonly storage: "file" | "memory"
  /**
   * Values kept per key. With 1, values written during a gap of the watch may be superseded and never emitted. With 64,
   * every value written during a gap of some seconds must be emitted, exactly once.
   */
  readonly history: 1 | 64
  /** Whether the bucket is recreated: by another client, or only by the layer of the store. */
  readonly anew: "no" | "by others" | "by the layer"
  /** Whether the bucket certainly has no consumer for a while, although the server answers. */
  readonly unwatched: boolean
  /** Starts the fault. The result waits and ends the fault. */
  readonly begin: (
    server: NatsServer,
    bucket: string
  ) => Effect.Effect<Effect.Effect<unknown, unknown>, unknown, Scope.Scope>
}

const usual = { storage: "file", history: 1, anew: "no", unwatched: false } as const

const killed = (down: Duration.Duration): Scenario => ({
  ...usual,
  title: `killed and restarted after ${Duration.format(down)}`,
  begin: (server) => Effect.as(server.kill, Effect.andThen(Effect.sleep(down), server.restart))
})

const stopped = (time: Duration.Duration): Scenario => ({
  ...usual,
  title: `paused for ${Duration.format(time)}`,
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
  title: `bucket deleted, recreated after ${Duration.format(after)}`,
  anew: "by others",
  begin: (server, bucket) =>
    Effect.map(raw.loseBucket(server.url, bucket), (make) =>
      // Even a sleep of 0 would let other fibers run between the deletion and the recreation.
      Duration.isZero(after) ? make : Effect.andThen(Effect.sleep(after), make))
})

const leftToTheLayer: Scenario = {
  ...usual,
  title: "bucket deleted, recreated by the layer",
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
  { ...killed(shortly), title: "killed and restarted, memory storage lost", storage: "memory", anew: "by the layer" },
  consumerDeleted,
  withHistory(consumerDeleted),
  madeAnew(Duration.zero),
  madeAnew(Duration.seconds(1)),
  leftToTheLayer,
  stopped(Duration.seconds(3)),
  withHistory(stopped(Duration.seconds(3))),
  stopped(Duration.seconds(10))
]
