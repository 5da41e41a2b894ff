/**
 * The numbers of `bench:registry` and `bench:registry-fleet`, and the part of `results/summary.md` about them.
 */
import * as Schema from "effect/Schema"
import { type Cell, toMarkdown } from "./markdown.ts"

const Compared = Schema.Struct({ view: Schema.Finite, raw: Schema.Finite, times: Schema.Finite })

const millis = Schema.NullOr(Schema.Finite)

export const registryNumbers = {
  /** Of a view, each beside a raw consumer of the same records. */
  registry: Schema.Struct({
    instances: Schema.Finite,
    heartbeatsPerSecond: Schema.Finite,
    snapshot: Compared,
    observer: Compared,
    lists: Schema.Struct({ without: Schema.Finite, withView: Schema.Finite }),
    bytesPerInstance: Schema.Finite,
    bytesPerRegistration: Schema.Finite
  }),
  registryFleet: Schema.Struct({
    maxAge: Schema.Finite,
    heartbeat: Schema.Finite,
    rows: Schema.Array(Schema.Struct({
      what: Schema.String,
      samples: Schema.Finite,
      /** Of the median and of the worst sample. Null if there is nothing to time. */
      median: millis,
      most: millis,
      bound: Schema.String,
      problems: Schema.Array(Schema.String)
    }))
  })
}

const Numbers = Schema.Struct(registryNumbers)

export type RegistryNumbers = typeof Numbers.Type

const costs = ({ registry }: RegistryNumbers): ReadonlyArray<ReadonlyArray<Cell>> => {
  const { bytesPerInstance, bytesPerRegistration, heartbeatsPerSecond, instances, lists, observer, snapshot } = registry
  const [all, perSecond] = [instances.toLocaleString("en"), heartbeatsPerSecond.toLocaleString("en")]
  return [
    [`ms until a watch of ${all} instances is ready`, snapshot.view, snapshot.raw, snapshot.times],
    [`ms of processor time a second, at ${perSecond} heartbeats a second`, observer.view, observer.raw, observer.times],
    ["ms of `list` without a watch", lists.without, "-", "-"],
    ["ms of `list` beside a watch", lists.withView, "-", "-"],
    ["bytes of heap for each instance of a watch", bytesPerInstance, "-", "-"],
    ["bytes of heap for each registration", bytesPerRegistration, "-", "-"]
  ]
}

export const registryResults = (numbers: RegistryNumbers): string => {
  const { heartbeat, maxAge, rows } = numbers.registryFleet
  return `What processes that watch a registry see of others, with a \`maxAge\` of ${maxAge} ms and a heartbeat every ${heartbeat} ms:

${
    toMarkdown(
      ["measured", "samples", "median ms", "most ms", "bound", "problems"],
      rows.map(({ bound, median, most, problems, samples, what }) => [
        what,
        samples,
        median ?? "-",
        most ?? "-",
        bound,
        problems.length
      ])
    )
  }

Costs of a registry, and those of a raw consumer of the same records:

${toMarkdown(["measured", "this library", "raw consumer", "times"], costs(numbers))}`
}
