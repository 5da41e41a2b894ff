/**
 * The faults of buckets, as `Simulation.store` and `Simulation.bucket` inject them,
 * with the disruptions and losses that they cause.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { InvalidConfig } from "../../../AegisError.ts"
import { subjectPrefix } from "../../../internal/kv/headers.ts"
import { streamName } from "../../../internal/nats/bucket/streamConfig.ts"
import { integer } from "../../../internal/options.ts"
import type { Disruption, Loss, SimulatedStore } from "../../Simulation.ts"
import type { SimulatedServer, StreamView } from "../server/server.ts"
import { bucketTarget, type Right, right, time, withSetting } from "./settings.ts"
import type { World } from "./world.ts"

/** A store for an invalid bucket name: its faults fail. */
const noStore = (problem: InvalidConfig): SimulatedStore => {
  const refused = Effect.fail(problem)
  return {
    loseLeader: () => refused,
    loseStream: refused,
    recreateStream: refused,
    rollBack: () => refused,
    dropConsumers: refused,
    lag: () => refused,
    fill: () => refused
  }
}

/** The target of a fault that affects all buckets. */
const everyBucket = "*"

/** The prefix of a bucket's number. */
const numbered = "#"

/** The subjects that a user must be allowed to publish for an operation, as in `docs/operations/rights`. */
export const subjectsFor: Record<Right, (bucket: string) => ReadonlyArray<string>> = {
  write: (bucket) => [`${subjectPrefix(bucket)}>`],
  read: (bucket) => {
    const stream = streamName(bucket)
    return [
      `$JS.API.STREAM.INFO.${stream}`,
      `$JS.API.STREAM.MSG.GET.${stream}`,
      `$JS.API.DIRECT.GET.${stream}`,
      `$JS.API.DIRECT.GET.${stream}.>`,
      `$JS.API.CONSUMER.CREATE.${stream}.>`,
      `$JS.API.CONSUMER.INFO.${stream}.*`,
      `$JS.API.CONSUMER.DELETE.${stream}.*`,
      `$JS.API.CONSUMER.MSG.NEXT.${stream}.*`
    ]
  }
}

export const bucketOf = (stream: string): string => stream.slice(streamName("").length)

export class Stores {
  readonly disruptions: Array<Disruption> = []
  readonly losses: Array<Loss> = []
  private readonly world: World
  private readonly server: SimulatedServer

  constructor(world: World, server: SimulatedServer) {
    this.world = world
    this.server = server
    server.onSteppedDown((stream, until) => this.disrupt(stream, until - world.now(), "requests"))
  }

  /** Records a disruption of a bucket from now on. */
  private disrupt(stream: string, millis: number, affects: Disruption["affects"]): void {
    const from = this.world.now()
    this.disruptions.push({ node: undefined, bucket: bucketOf(stream), from, until: from + millis, affects })
  }

  /** The faults of a target: a bucket by name, a bucket by number, or all buckets. */
  of(name: string): SimulatedStore {
    const target = bucketTarget("bucket", name)
    if (Result.isFailure(target)) return noStore(target.failure)
    const { server, world } = this
    const each = (act: (stream: string) => void) => {
      for (const stream of this.streamsOf(name)) act(stream)
    }
    /** Calls `act` for each stream of the target that exists, with its state. */
    const eachExisting = (act: (stream: string, view: StreamView) => void) =>
      each((stream) => {
        const view = server.stream(stream)
        if (view !== undefined) act(stream, view)
      })
    /** Records a loss if `act` removed data. */
    const lose = (stream: string, how: Loss["how"], act: () => void) => {
      const before = server.stream(stream)
      act()
      const after = server.stream(stream)
      const isLost = before !== undefined &&
        (after === undefined || after.created !== before.created || after.lastRevision < before.lastRevision)
      if (isLost) this.losses.push({ bucket: bucketOf(stream), at: world.now(), how })
    }
    const loseEach = (how: Loss["how"], act: (stream: string) => void) =>
      Effect.sync(() => each((stream) => lose(stream, how, () => act(stream))))
    return {
      loseLeader: (gap) =>
        withSetting(time, "loseLeader", gap, (value) =>
          eachExisting((stream, { isReplicated }) => {
            const millis = Duration.toMillis(value)
            this.disrupt(stream, millis, isReplicated ? "requests" : "everything")
            lose(stream, "lost", () => server.loseLeader(stream, millis))
          })),
      loseStream: loseEach("lost", (stream) => server.loseStream(stream)),
      recreateStream: loseEach("recreated", (stream) => server.loseStream(stream, { recreate: true })),
      rollBack: (messages) =>
        withSetting(
          integer(0),
          "rollBack",
          messages,
          (count) => each((stream) => lose(stream, "rolled back", () => server.rollBack(stream, count)))
        ),
      dropConsumers: Effect.sync(() => each((stream) => server.dropConsumers(stream))),
      lag: (duration) =>
        withSetting(time, "lag", duration, (value) => {
          const millis = Duration.toMillis(value)
          each((stream) => server.lag(stream, millis))
        }),
      fill: (duration) =>
        withSetting(time, "fill", duration, (value) =>
          eachExisting((stream) => {
            const millis = Duration.toMillis(value)
            this.disrupt(stream, millis, "writes")
            server.fill(stream, millis)
          }))
    }
  }

  /** Takes a right to a bucket from the user of a machine. The bucket need not exist. */
  revoke(node: string, asked: Right, name: string, duration: Duration.Input): Effect.Effect<void, InvalidConfig> {
    const checked = Result.all([right("right", asked), bucketTarget("bucket", name)])
    if (Result.isFailure(checked)) return Effect.fail(checked.failure)
    const [what, target] = checked.success
    return withSetting(time, "duration", duration, (value) => {
      const millis = Duration.toMillis(value)
      const from = this.world.now()
      for (const bucket of this.streamsOf(target).map(bucketOf)) {
        const affects = what === "write" ? "writes" : "everything"
        this.disruptions.push({ node, bucket, from, until: from + millis, affects })
        this.server.revoke(node, subjectsFor[what](bucket), millis)
      }
    })
  }

  /** The streams of a target: a bucket by name, a bucket by number in the order of creation, or all buckets. */
  private streamsOf(name: string): ReadonlyArray<string> {
    const known = Array.from(this.server.known)
    if (name === everyBucket) return known
    if (!name.startsWith(numbered)) return [streamName(name)]
    const index = Number(name.slice(numbered.length))
    return known.length === 0 ? [] : [known[index % known.length]!]
  }
}
