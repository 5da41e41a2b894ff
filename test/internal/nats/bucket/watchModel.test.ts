/** Model test: watches of a stream that is written, recreated and rolled back, while connection and server fail. */
import { assert, describe, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { TestClock } from "effect/testing"
import { one } from "../../../../src/internal/filters.ts"
import type { BackendEvent, Follow } from "../../../../src/internal/kv/backend.ts"
import { Reach } from "../../../../src/internal/nats/bucket/reach.ts"
import { follow } from "../../../../src/internal/nats/bucket/watch.ts"
import * as operations from "../../../../src/internal/nats/jetstream/operations.ts"
import { matcher } from "../../../../src/internal/subjects.ts"
import { Chance } from "../../../../src/testing/internal/world/chance.ts"
import { textOf } from "../../../../tools/values.ts"
import { makeModel, type Model, prefix } from "../../../support/modelServer.ts"

const keys = ["a.1", "a.2", "a.x.y", "b", "c.1"]
const filters = [">", "a.*", "a.>", "*", "b"]

const steps = 40

/** A reader that builds the state of the bucket from the events, and asserts their order. */
const makeReader = (model: Model, from: Follow) => {
  const picture = new Map<string, number>()
  const told: Array<string> = []
  let life = 0
  let last = 0
  const state = { readyIn: 0, pause: 0 }

  const seen = (event: BackendEvent) => {
    if (event._tag === "Ready") {
      told.push("ready")
      state.readyIn = model.life.number
      return
    }
    if (event._tag === "Gone") {
      told.push(`${event.reason} ${event.key}@${event.revision}`)
      assert.strictEqual(picture.get(event.key), event.revision, `${event.key} was not emitted, or is removed already`)
      picture.delete(event.key)
      return
    }
    const { key, operation, revision, value } = event.message
    // In this model every value, also of a tombstone, is the number of the stream that it belongs to.
    const now = Number(textOf(value))
    told.push(`${operation} ${key}@${revision} of ${now}`)
    assert.isAtLeast(now, life, "an event of an earlier stream")
    if (now === life) assert.isAbove(revision, last, "out of order, or emitted twice")
    life = now
    last = revision
    if (operation === "put") {
      picture.set(key, revision)
    } else {
      if (from === "snapshot" && state.readyIn === 0) assert.isTrue(picture.has(key), `${key} was never emitted`)
      picture.delete(key)
    }
  }
  return { picture, seen, state, told }
}

/** Changes the stream, the server, the connection or the reader at random. */
const happen = (model: Model, chance: Chance, reader: ReturnType<typeof makeReader>): string => {
  const key = chance.pick(keys)
  const dice = chance.below(100)
  if (dice < 45) {
    const writes = 1 + chance.below(8)
    for (let n = 0; n < writes; n++) model.put(chance.pick(keys))
    return "puts"
  }
  if (dice < 55) return model.remove(key), "remove"
  if (dice < 61) return model.vanish(key), "vanish"
  if (dice < 64) return model.recreate(chance.is(0.5) ? 1 : model.last() + 1000), "recreated"
  if (dice < 70) return model.dropConsumers(), "consumers lost"
  if (dice < 74) return model.loseOne(), "message lost"
  if (dice < 80) return model.setLink(!model.state.isLinkUp), "link"
  if (dice < 85) return model.state.frozen = !model.state.frozen, "frozen"
  if (dice < 90) return model.state.lagging = !model.state.lagging, "lagging"
  if (dice < 94) return model.state.failing = chance.pick([0, 0, 20, 60]), "failing"
  if (dice < 97) return model.state.slowness = chance.pick([0, 0, 30, 400]), "slow"
  return reader.state.pause = chance.pick([0, 0, 50, 700]), "slow reader"
}

const run = Effect.fnUntraced(function*(seed: number) {
  const chance = new Chance(seed)
  const clock = yield* Clock.Clock
  const now = () => clock.currentTimeMillisUnsafe()
  const model = makeModel(chance, {
    historySize: chance.pick([1, 1, 3]),
    isReplicated: chance.is(0.6),
    waitsForStart: chance.is(0.5)
  })
  for (let n = chance.below(12); n > 0; n--) model.put(chance.pick(keys))
  for (let n = chance.below(4); n > 0; n--) model.remove(chance.pick(keys))
  const filter = chance.pick(filters)
  const from: Follow = chance.pick(["snapshot", "snapshot", "updates", { revision: 1 + chance.below(15) }] as const)
  const reader = makeReader(model, from)
  const begun = { life: model.life.number, after: 0 }
  // Keys that the snapshot must contain: they had a value when the watch began, and have had one since.
  let throughout = [...model.live(matcher(filter)).keys()]
  const missing: Array<string> = []

  const js = model.js(clock)
  const { read } = operations.make(js, "KV_b", 1000)
  const watch = yield* follow({
    js,
    stream: "KV_b",
    prefix,
    filters: one(filter),
    from,
    purpose: "watch",
    timeout: 1000,
    silentRemoval: () => "expire",
    reach: new Reach(clock, true),
    info: read(js.streamInfo("KV_b", 1000)),
    read,
    saw: () => undefined,
    onRestart: () => Effect.void
  }).pipe(
    Stream.runForEach((event) => {
      if (event._tag === "Ready" && reader.state.readyIn === 0) {
        if (from === "snapshot") missing.push(...throughout.filter((key) => !reader.picture.has(key)))
        begun.after = model.last()
        begun.life = model.life.number
      }
      reader.seen(event)
      return reader.state.pause === 0 ? Effect.void : Effect.sleep(reader.state.pause)
    }),
    Random.withSeed(String(seed)),
    Effect.forkChild
  )
  const server = yield* Effect.forkChild(Effect.forever(Effect.suspend(() => {
    model.turn(now())
    return Effect.sleep(20 + chance.below(80))
  })))

  const story: Array<string> = []
  for (let step = 0; step < steps; step++) {
    story.push(happen(model, chance, reader))
    const live = model.live(matcher(filter))
    throughout = throughout.filter((key) => live.has(key))
    yield* TestClock.adjust(chance.below(chance.is(0.2) ? 3000 : 200))
  }

  // All faults end. Then a gap makes the watch look for keys that were removed without a message.
  Object.assign(model.state, { frozen: false, lagging: false, failing: 0, slowness: 0 })
  reader.state.pause = 0
  model.setLink(true)
  model.catchUp()
  yield* TestClock.adjust("3 seconds")
  model.dropConsumers()
  yield* TestClock.adjust("10 seconds")
  return { model, reader, watch, server, story, filter, from, begun, missing }
})

describe("a watch", () => {
  it.effect(
    "reports the final state of the stream, in order, without duplicates, and is ready, under random faults",
    () =>
      Effect.gen(function*() {
        const failures: Array<string> = []
        const count = Number(process.env.SEEDS ?? 300)
        for (let seed = Number(process.env.FIRST ?? 1); seed <= count; seed++) {
          const { begun, filter, from, missing, model, reader, server, story, watch } = yield* run(seed)
          const problem = yield* Effect.try({
            try: () => {
              const ended = watch.pollUnsafe()
              assert.isUndefined(ended, `the watch has ended: ${String(ended)}`)
              assert.deepStrictEqual(missing, [], "keys that lived throughout are missing at Ready")
              const isRequired = (revision: number) =>
                from === "snapshot" || model.life.number > begun.life ||
                revision > (from === "updates" ? begun.after : from.revision - 1)
              const live = model.live(matcher(filter))
              const wrong = [
                ...[...live].filter(([key, revision]) => isRequired(revision) && reader.picture.get(key) !== revision)
                  .map(([key, revision]) => `${key}@${revision} is missing, the reader has ${reader.picture.get(key)}`),
                ...[...reader.picture].filter(([key]) => !live.has(key)).map(([key]) => `${key} does not exist`)
              ]
              assert.deepStrictEqual(wrong, [])
              assert.strictEqual(reader.state.readyIn, model.life.number, "ready")
            },
            catch: (error) => String(error)
          }).pipe(Effect.match({ onFailure: (e) => e, onSuccess: () => undefined }))
          if (problem !== undefined) {
            failures.push(
              `seed ${seed} ${JSON.stringify({ filter, from, begun })}: ${problem}\n  ${story.join(", ")}\n  ${
                reader.told.join(", ")
              }`
            )
          }
          yield* Fiber.interrupt(watch)
          yield* TestClock.adjust("1 second")
          yield* Fiber.interrupt(server)
          const { inboxes, links } = model.left()
          if (inboxes + links > 0) failures.push(`seed ${seed} leaves ${JSON.stringify(model.left())}`)
        }
        assert.strictEqual(failures.length, 0, failures.slice(0, 6).join("\n\n"))
      }),
    60_000
  )
})
