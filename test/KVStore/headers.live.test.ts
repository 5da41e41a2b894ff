/**
 * Messages that another client published with headers or a status that the server uses itself. A stored message keeps its
 * headers, and on nats-server 2.10 its status, so a reader must not take them for the server's.
 */
import { assert, layer } from "@effect/vitest"
import { createInbox, headers } from "@nats-io/transport-node"
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { connect } from "node:net"
import { keyOf } from "../../src/internal/registry/record.ts"
import * as KVStore from "../../src/KVStore.ts"
import * as NatsKVStore from "../../src/NatsKVStore.ts"
import * as Registry from "../../src/Registry.ts"
import { eventually } from "../../tools/eventually.ts"
import { NatsServer } from "../../tools/natsServer/server.ts"
import { bytes, textOf } from "../../tools/values.ts"
import { Raw } from "../support/natsClient.ts"
import { freshName, record } from "../support/suite.ts"
import { layerWorld, nameOf, worlds } from "../support/worlds.ts"

interface Foreign {
  readonly headers?: ReadonlyArray<readonly [name: string, value: string]>
  readonly status?: number
  readonly value?: string
  /** A block of headers in wire format, instead of the others. */
  readonly raw?: string
}

const serverHeaders: ReadonlyArray<readonly [name: string, value: string]> = [
  ["Nats-Stream", "KV_other"],
  ["Nats-Subject", "$KV.other.key"],
  ["Nats-Sequence", "3"],
  ["Nats-Time-Stamp", "2001-01-01T00:00:00Z"],
  ["Nats-Last-Sequence", "77"],
  ["Nats-Num-Pending", "99"],
  ["Nats-UpTo-Sequence", "1"],
  ["Nats-Last-Consumer", "5"],
  ["Nats-Last-Stream", "5"],
  ["Nats-Pending-Messages", "1"],
  ["Nats-Pending-Bytes", "1"],
  ["Nats-Msg-Size", "1"]
]

/** Headers that the clients refuse to read and to send, but that servers store. */
const raw = [
  "Bad Name: x",
  "Größe: 1",
  "Note: line one\nline two",
  "no colon",
  ": no name",
  "KV-Operation",
  "A: \u0000",
  "Two: 1\r\nTwo words: 2",
  "A:b\r\n\r\nB:c"
]

const foreign: ReadonlyArray<readonly [what: string, message: Foreign]> = [
  ...serverHeaders.map((header) => [`the header ${header[0]}`, { headers: [header] }] as const),
  ["all headers of the server", { headers: serverHeaders }],
  ...raw.map((line) => [`the header ${JSON.stringify(line)}`, { raw: `NATS/1.0\r\n${line}\r\n\r\n` }] as const),
  ...["NATS/1.0 x y", "HTTP/1.1 200 OK", "nats/1.0", "NATS/2.0", ""].map((line) =>
    [`the first line "${line}"`, { raw: `${line}\r\nBad Name: 1\r\n\r\n` }] as const
  ),
  ...[100, 204, 404, 408, 413, 503].flatMap((status) => [
    [`status ${status}`, { status }] as const,
    [`status ${status} and no value`, { status, value: "" }] as const
  ])
]

const until = eventually(false)

/** Publishes a message with headers that no client would send. */
const publishRaw = Effect.fnUntraced(function*(subject: string, block: string, value: string) {
  const { url } = yield* NatsServer
  const inbox = createInbox()
  const { connection } = yield* Raw
  const answers = connection.subscribe(inbox, { max: 1 })
  yield* Effect.promise(() => connection.flush())
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const size = Buffer.byteLength(block)
  const line = `HPUB ${subject} ${inbox} ${size} ${size + Buffer.byteLength(value)}`
  socket.on(
    "connect",
    () => socket.write(`CONNECT {"headers":true,"verbose":false}\r\n${line}\r\n${block}${value}\r\n`)
  )
  const answer = yield* Effect.promise(async () => {
    for await (const message of answers) return message.json<{ readonly seq: number }>()
    throw new Error("no answer")
  })
  socket.destroy()
  return answer.seq
})

/** Publishes a message as a client without this library does, and returns its revision. */
const publish = Effect.fnUntraced(function*(
  subject: string,
  { headers: list = [], raw, status = 0, value = "b" }: Foreign
) {
  if (raw !== undefined) return yield* publishRaw(subject, raw, value)
  const { connection } = yield* Raw
  const all = status === 0 ? headers() : headers(status, "a status")
  for (const [name, text] of list) all.append(name, text)
  const answer = yield* Effect.promise(() => connection.request(subject, value, { headers: all, timeout: 5000 }))
  return answer.json<{ readonly seq: number }>().seq
})

const entryOf = ({ key, revision, value }: KVStore.KVEntry) => [key, revision, textOf(value)]

const open = (bucket: string) => Effect.map(Layer.build(NatsKVStore.layer({ bucket })), Context.get(KVStore.KVStore))

/** Reads through every operation between two ordinary keys. */
const readEverywhere = Effect.fnUntraced(function*(message: Foreign) {
  const bucket = freshName()
  const store = yield* open(bucket)
  const { events: live } = yield* record(store.watch())
  const a = yield* store.put("a", bytes("a"))
  const b = yield* publish(`$KV.${bucket}.b`, message)
  const c = yield* store.put("c", bytes("c"))
  const entries = [["a", a, "a"], ["b", b, message.value ?? "b"], ["c", c, "c"]]

  const entry = Option.getOrThrow(yield* store.get("b"))
  assert.deepStrictEqual(entryOf(entry), entries[1])
  const now = yield* store.clock.currentTimeMillis
  assert.isBelow(Math.abs(now - DateTime.toEpochMillis(entry.created)), 60_000)

  assert.deepStrictEqual((yield* store.entries()).map(entryOf), entries)
  assert.deepStrictEqual((yield* store.keys()).toSorted(), ["a", "b", "c"])
  assert.deepStrictEqual([...(yield* store.getMany(["a", "b", "c"])).values()].map(entryOf), entries)
  const history = yield* store.history("b")
  assert.deepStrictEqual(history.flatMap((one) => one._tag === "Put" ? [entryOf(one.entry)] : []), [entries[1]])

  const { events: snapshot } = yield* record(store.watch())
  for (const events of [live, snapshot]) {
    const puts = () => events.flatMap((event) => event._tag === "Put" ? [entryOf(event.entry)] : [])
    const isReady = () => events.some(({ _tag }) => _tag === "Ready")
    yield* until(Effect.sync(() => puts().length >= 3 && isReady()), (isDone) => isDone)
    assert.deepStrictEqual(puts(), entries)
  }
})

for (const world of worlds) {
  layer(layerWorld(world), { excludeTestServices: true, timeout: "30 seconds" })(
    `${nameOf(world)}: a foreign message`,
    (it) => {
      for (const [what, message] of foreign) {
        it.effect(`with ${what} is read unchanged by every operation`, () => readEverywhere(message))
      }

      it.effect("in the registry's bucket does not hide the instances", () =>
        Effect.gen(function*() {
          const bucket = freshName()
          const store = yield* open(bucket)
          const subjectOf = (instanceId: string) => `$KV.${bucket}.${keyOf({ serviceName: "orders", instanceId })}`
          const registry = yield* Registry.make().pipe(Effect.provideService(KVStore.KVStore, store))
          yield* registry.register({ serviceName: "orders", instanceId: "one", version: "1.0.0" })
          yield* publish(subjectOf("two"), { headers: serverHeaders })
          yield* publish(subjectOf("three"), { status: 404 })
          assert.deepStrictEqual((yield* registry.list("orders")).map(({ instanceId }) => instanceId), ["one"])
          assert.deepStrictEqual([...(yield* registry.listAll()).keys()], ["orders"])
        }))
    }
  )
}
