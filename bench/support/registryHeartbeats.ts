/** A process that sends the heartbeats of all instances of a registry, at a steady rate, until it is killed. */
import * as Effect from "effect/Effect"
import type { HeartbeatsTask } from "../registry.ts"
import { recordOf } from "./registryRecords.ts"
import { connection } from "./store.ts"

const task: HeartbeatsTask = JSON.parse(process.argv[2]!)

/** The interval between two groups of heartbeats, in milliseconds. */
const tick = 10

process.once("disconnect", () => process.exit(1))

const { bucket, instances, perSecond, url } = task

const send = Effect.gen(function*() {
  const link = yield* connection(url)
  const begun = performance.now()
  let sent = 0
  while (true) {
    const due = (performance.now() - begun) * perSecond / 1000
    for (; sent < due; sent++) {
      const { bytes, subject } = recordOf(bucket, sent % instances)
      link.publish(subject, bytes)
    }
    yield* Effect.sleep(tick)
  }
})

await Effect.runPromise(Effect.scoped(send))
