/** Rows of the results of elections, and the records that leaders store. */
import { DeliverPolicy, jetstream } from "@nats-io/jetstream"
import type { NatsConnection } from "@nats-io/transport-node"
import * as Effect from "effect/Effect"
import { electionOf, keyPrefix } from "../../src/internal/election/record.ts"
import type { ElectionRow } from "../../tools/electionResults.ts"
import { quantile, rounded } from "./measure.ts"

interface Bounds {
  readonly least?: number
  readonly p99?: number
  readonly most?: number
}

const described = ({ least, most, p99 }: Bounds): string =>
  [
    ...least === undefined ? [] : [`at least ${least}`],
    ...p99 === undefined ? [] : [`p99 at most ${p99}`],
    ...most === undefined ? [] : [`at most ${most}`]
  ].join(", ") || "none"

/** A row of measured numbers. An undefined number is one that was not reached in time. */
export const measuredRow = (
  what: string,
  unit: string,
  numbers: ReadonlyArray<number | undefined>,
  bounds: Bounds
): ElectionRow => {
  const reached = numbers.filter((number) => number !== undefined)
  const part = (share: number) => reached.length === 0 ? null : quantile(reached, share)
  const measured = { least: part(0), p99: part(0.99), most: part(1) }
  const missed = numbers.length - reached.length
  const shown = (number: number | null) => number === null ? null : rounded(number)
  const breaks = (["least", "p99", "most"] as const).flatMap((name) => {
    const [bound, number] = [bounds[name], measured[name]]
    if (bound === undefined || number === null) return []
    return (name === "least" ? number < bound : number > bound)
      ? [`${what}: ${name} ${number} ${unit}, expected ${described(bounds)}`]
      : []
  })
  return {
    what,
    unit,
    samples: numbers.length,
    least: shown(measured.least),
    median: shown(part(0.5)),
    p99: shown(measured.p99),
    most: shown(measured.most),
    bound: described(bounds),
    problems: [
      ...numbers.length === 0 ? [`${what}: no sample`] : [],
      ...missed > 0 ? [`${what}: ${missed} of ${numbers.length} not seen`] : [],
      ...breaks
    ]
  }
}

/** A row of a number of mistakes, of which there should be none. */
export const mistakesRow = (what: string, samples: number, mistakes: ReadonlyArray<string>): ElectionRow => ({
  what,
  unit: "mistakes",
  samples,
  least: null,
  median: null,
  p99: null,
  most: mistakes.length,
  bound: "0",
  problems: mistakes.map((mistake) => `${what}: ${mistake}`)
})

/** A row of a measurement that this machine cannot make. */
export const leftOutRow = (what: string, why: string): ElectionRow => ({
  what: `${what}: left out, ${why}`,
  unit: "-",
  samples: 0,
  least: null,
  median: null,
  p99: null,
  most: null,
  bound: "none",
  problems: []
})

/** The part of a stored record that is read here. */
interface Stored {
  readonly election: string
  readonly nonce: string
  readonly vacant: boolean
  /** The server's clock, in milliseconds since 1970. */
  readonly at: number
}

const nanosPerMilli = 1_000_000

/** The records that are stored from now on, until the scope closes. */
export const storedRecords = Effect.fnUntraced(function*(connection: NatsConnection, bucket: string) {
  const prefix = `$KV.${bucket}.`
  const stored: Array<Stored> = []
  yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const consumer = await jetstream(connection).consumers.get(`KV_${bucket}`, {
        filter_subjects: [`${prefix}${keyPrefix}.>`],
        deliver_policy: DeliverPolicy.New
      })
      return consumer.consume({
        callback: ({ data, info, subject }) => {
          const { nonce, vacant }: Stored = JSON.parse(new TextDecoder().decode(data))
          const election = electionOf(subject.slice(prefix.length))
          stored.push({ election, nonce, vacant, at: info.timestampNanos / nanosPerMilli })
        }
      })
    }),
    (messages) => Effect.promise(() => messages.close())
  )
  const records: ReadonlyArray<Stored> = stored
  return records
})

/** Counts the messages to a subject. Returns the number so far. */
export const publishedTo = (connection: NatsConnection, subject: string): () => number => {
  let count = 0
  connection.subscribe(subject, { callback: () => void count++ })
  return () => count
}
