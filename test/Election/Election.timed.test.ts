/**
 * `Election` on real servers of both NATS lines: the suite that also runs in memory, candidates with one connection
 * each, and leaders whose server restarts, pauses, or loses the bucket.
 */
import { assert, layer, vi } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Order from "effect/Order"
import { layerNats } from "../../src/Buckets.ts"
import * as FencingToken from "../../src/FencingToken.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsClient from "../../src/NatsClient.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import { type Line, lines } from "../../tools/natsServer/binaries.ts"
import { layerNatsServer, NatsServer, startNatsServer } from "../../tools/natsServer/server.ts"

import { layerClient, layerRaw } from "../support/natsClient.ts"

import { eventually } from "../../tools/eventually.ts"
import { destroyBucket, finisher, freshName, numbers, openBucket, quiet } from "../support/suite.ts"
import { leaseDuration, now } from "./suite/fixture.ts"
import { suite } from "./suite/index.ts"
import { believers, employ, recordIn, type Seat, stand, startProcess } from "./suite/processes.ts"

const until = eventually(false)
const finish = finisher(until)

const layerLine = (line: Line) =>
  layerNats.pipe(
    Layer.provideMerge(Layer.merge(layerClient, layerRaw)),
    Layer.provideMerge(layerNatsServer(line))
  )

/** Opens the store of a process with its own connection. */
const connect = Effect.fnUntraced(function*(url: string, bucket: string) {
  const context = yield* Layer.build(Layer.provide(NatsKVStore.layer({ bucket }), NatsClient.layer({ servers: url })))
  return Context.get(context, KVStore.KVStore)
})

const onServers = (line: Line): void =>
  layer(layerLine(line), { excludeTestServices: true, timeout: "30 seconds", concurrent: true })(
    `${line}: an election on a server`,
    (it) => {
      it.effect("of five candidates on separate connections exactly one leads, also after the leader is disconnected", () =>
        Effect.gen(function*() {
          const { url } = yield* NatsServer
          const bucket = freshName()
          const seats = yield* Effect.forEach(
            numbers(5),
            (index) =>
              Effect.gen(function*() {
                const process = yield* startProcess(yield* connect(url, bucket))
                return yield* stand(process, finish, `${index}`)
              }),
            { concurrency: "unbounded" }
          )
          const standing = new Set<Seat>(seats)
          for (const term of [1, 2]) {
            yield* until(Effect.map(believers(seats), (count) => count === 1), (is) => is)
            const leader = [...standing].find(({ seen }) => seen.leadership !== undefined)!
            assert.strictEqual(leader.leadership().term, term)
            standing.delete(leader)
            yield* leader.process.link.set(() => Effect.never)
            yield* until(Effect.tap(leader.isValid, () => believers(seats)), (isValid) => !isValid)
          }
        }).pipe(Effect.scoped, Effect.provide(quiet)))

      it.effect("a leader stays valid if the server restarts within the deadline", () =>
        Effect.gen(function*() {
          const server = yield* startNatsServer({ line })
          const bucket = freshName()
          const one = yield* stand(yield* startProcess(yield* connect(server.url, bucket)), finish, "one", patient)
          yield* until(one.hasWon, (hasWon) => hasWon)
          const two = yield* stand(yield* startProcess(yield* connect(server.url, bucket)), finish, "two", patient)
          yield* until(Effect.sync(() => two.process.link.reads.length), (reads) => reads > 0)
          const { landed } = one.process.link
          yield* server.restart
          const before = landed.length
          yield* until(Effect.map(believers([one, two]), () => landed.length), (count) => count > before + 1)
          assert.isTrue(yield* one.isValid)
          assert.isFalse(yield* two.hasWon)
        }).pipe(Effect.scoped, Effect.provide(quiet)))

      it.effect("a pause of the server ends leadership within a lease, and afterwards one candidate leads", () =>
        Effect.gen(function*() {
          const server = yield* startNatsServer({ line })
          const bucket = freshName()
          const works: Array<string> = []
          let active = 0
          for (const name of ["one", "two"]) {
            const process = yield* startProcess(yield* connect(server.url, bucket))
            yield* employ(process, finish, name, (leadership) =>
              Effect.gen(function*() {
                yield* Effect.acquireRelease(
                  Effect.sync(() => {
                    works.push(`${leadership.term}${++active > 1 ? " at the same time" : ""}`)
                  }),
                  () => Effect.sync(() => active--)
                )
                return yield* Effect.never
              }))
          }
          yield* until(Effect.sync(() => works.length), (count) => count === 1)
          const pausedAt = yield* now
          yield* server.pause
          yield* until(Effect.sync(() => active), (count) => count === 0)
          const elapsed = (yield* now) - pausedAt
          assert.isAtMost(elapsed, leaseDuration)
          yield* server.resume
          yield* until(Effect.sync(() => works.length), (count) => count === 2)
          assert.deepStrictEqual(works, ["1", "2"])
        }).pipe(Effect.scoped, Effect.provide(quiet)))

      it.effect("after its bucket is lost and recreated an election has one leader again, with a higher token", () =>
        Effect.gen(function*() {
          const store = yield* openBucket()
          const one = yield* stand(yield* startProcess(store), finish, "one")
          yield* until(one.hasWon, (hasWon) => hasWon)
          const two = yield* stand(yield* startProcess(store), finish, "two")
          yield* until(Effect.sync(() => two.process.link.reads.length), (reads) => reads > 0)
          const { bucket } = store.config
          yield* Effect.andThen(destroyBucket(bucket), openBucket({ bucket }))
          yield* until(Effect.tap(two.hasWon, () => believers([one, two])), (hasWon) => hasWon)
          assert.isFalse(yield* one.isValid)
          const isOlder = Order.isLessThan(FencingToken.Order)(one.leadership().token, two.leadership().token)
          assert.isTrue(isOlder)
          assert.isBelow(one.leadership().token.epoch, two.leadership().token.epoch)
          assert.strictEqual((yield* recordIn(store)).candidateId, "two")
        }).pipe(Effect.scoped, Effect.provide(quiet)))
    }
  )

/** For tests in which the server and its clients need a second or two. */
const patient = { timings: { leaseDuration: 8000, renewDeadline: 6000, renewInterval: 500 } }

// The tests mostly wait for a lease.
vi.setConfig({ maxConcurrency: 20 })

for (const line of lines) {
  suite(`Election on nats-server ${line}`, { kind: "nats", virtual: false, buckets: layerLine(line) })
  onServers(line)
}
