/** All rules of `Log`, checked against a simple model without indexes. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Append, Condition, MessageOperation, StoredMessage } from "../../../src/internal/kv/backend.ts"
import { Log, type LogOptions } from "../../../src/internal/kv/log.ts"
import { put, remove } from "../../support/appends.ts"

const everyKey = () => true

const markerSize = 3

const sizeOf = ({ key, operation, value }: Pick<StoredMessage, "key" | "operation" | "value">): number =>
  key.length + value.length + (operation === "put" ? 0 : markerSize)

/** The rules of the log, implemented on one list. */
class Model {
  readonly options: LogOptions
  kept: ReadonlyArray<StoredMessage> = []
  lastRevision: number

  constructor(options: LogOptions) {
    this.options = options
    this.lastRevision = options.firstRevision - 1
  }

  of(key: string): ReadonlyArray<StoredMessage> {
    return this.kept.filter((message) => message.key === key)
  }

  get bytes(): number {
    return this.kept.reduce((sum, message) => sum + sizeOf(message), 0)
  }

  dueAt({ created, operation }: StoredMessage): number {
    const { markerAge = Infinity, maxAge = Infinity } = this.options
    return created + (operation === "expire" ? Math.min(markerAge, maxAge) : maxAge)
  }

  add(key: string, operation: MessageOperation, value: Uint8Array, now: number): number {
    this.kept = [...this.kept, { key, operation, value, created: now, revision: ++this.lastRevision }]
    const dropped = new Set(this.of(key).slice(0, -this.options.historySize))
    this.kept = this.kept.filter((message) => !dropped.has(message))
    return this.lastRevision
  }

  expire(now: number): void {
    for (const message of this.kept.filter((message) => this.dueAt(message) <= now)) {
      const wasLast = this.of(message.key).at(-1) === message
      this.kept = this.kept.filter((other) => other !== message)
      const leaves = message.operation === "put" || message.operation === "delete"
      if (wasLast && leaves && this.options.markerAge !== undefined) {
        this.add(message.key, "expire", new Uint8Array(0), now)
      }
    }
  }

  append({ condition, key, operation, value }: Append, now: number): number | string {
    if (condition !== undefined && (this.of(condition.key).at(-1)?.revision ?? 0) !== condition.revision) {
      return "RevisionMismatch"
    }
    const { historySize, maxBytes = Infinity } = this.options
    const [oldest] = this.of(key).length >= historySize ? this.of(key) : []
    const size = sizeOf({ key, operation, value })
    if (this.bytes + size > maxBytes && (oldest === undefined || size > sizeOf(oldest))) return "StorageFull"
    if (operation === "purge") this.kept = this.kept.filter((message) => message.key !== key)
    return this.add(key, operation, value, now)
  }

  lastOfEach(): ReadonlyArray<StoredMessage> {
    return this.kept.filter((message) => this.of(message.key).at(-1) === message)
  }
}

const someInt = (minimum: number, maximum: number) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

const someKeys = ["a", "b.c", "dd"] as const

const Step = Schema.Struct({
  wait: someInt(0, 40),
  operation: Schema.Literals(["put", "put", "put", "delete", "purge"]),
  key: Schema.Literals(someKeys),
  size: someInt(0, 8),
  condition: Schema.Literals(["none", "right", "zero", "wrong", "other's", "other's, wrong"]),
  other: Schema.Literals(someKeys)
})

const Options = Schema.Struct({
  firstRevision: someInt(1, 1_000_000),
  historySize: someInt(1, 4),
  maxAge: Schema.UndefinedOr(someInt(20, 120)),
  markerAge: Schema.UndefinedOr(someInt(10, 120)),
  maxBytes: Schema.UndefinedOr(someInt(10, 60))
})

const conditionOf = (step: typeof Step.Type, model: Model): Condition | undefined => {
  const key = step.condition.startsWith("other's") ? step.other : step.key
  const last = model.of(key).at(-1)?.revision ?? 0
  switch (step.condition) {
    case "none":
      return undefined
    case "zero":
      return { key, revision: 0 }
    case "right":
    case "other's":
      return { key, revision: last }
    case "wrong":
    case "other's, wrong":
      return { key, revision: last + 1 }
  }
}

/** The next time that `expire` returns is in the future, and not after the next message expires. */
const checkNextDue = (named: number | undefined, model: Model, now: number) => {
  const due = model.kept.map((message) => model.dueAt(message)).filter(Number.isFinite)
  if (due.length === 0) return
  assert.isDefined(named)
  assert.isAbove(named!, now)
  assert.isAtMost(named!, Math.min(...due))
}

const checkSame = (log: Log, model: Model, from: number) => {
  assert.strictEqual(log.lastRevision, model.lastRevision)
  assert.strictEqual(log.size, model.kept.length)
  assert.strictEqual(log.bytes, model.bytes)
  assert.deepStrictEqual(log.lastOfEach(everyKey), [...model.lastOfEach()])
  assert.deepStrictEqual(log.after(0, everyKey), [...model.kept])
  assert.deepStrictEqual(log.after(from, everyKey), model.kept.filter(({ revision }) => revision > from))
  for (const key of someKeys) {
    assert.deepStrictEqual(log.history(key), model.of(key))
    assert.deepStrictEqual(log.last(key), model.of(key).at(-1))
  }
}

describe("the log and its model", () => {
  it.effect.prop(
    "return the same and have the same content after each step",
    { options: Options, steps: Schema.Array(Step).check(Schema.isMaxLength(60)) },
    ({ options, steps }) =>
      Effect.sync(() => {
        const log = new Log({ ...options, sizeOf })
        const model = new Model({ ...options, sizeOf })
        let now = 1000
        for (const step of steps) {
          now += step.wait
          const next = log.expire(now)
          model.expire(now)
          checkNextDue(next, model, now)
          const message: Append = {
            key: step.key,
            operation: step.operation,
            value: new Uint8Array(step.operation === "put" ? step.size : 0).fill(step.size),
            condition: conditionOf(step, model)
          }
          const outcome = log.append(message, now)
          assert.strictEqual(typeof outcome === "number" ? outcome : outcome._tag, model.append(message, now))
          checkSame(log, model, model.lastRevision - step.size)
        }
      }),
    { arbitrary: { runs: 300 } }
  )

  it("have the same content during thousands of writes and removals", () => {
    const options = { firstRevision: 1, historySize: 2, maxAge: 50, markerAge: 20, maxBytes: undefined, sizeOf }
    const log = new Log(options)
    const model = new Model(options)
    for (let n = 0; n < 3000; n++) {
      const now = n * 3
      log.expire(now)
      model.expire(now)
      const key = someKeys[(n * n) % 3]!
      const message = n % 11 === 0 ? remove("purge", key) : n % 5 === 0 ? remove("delete", key) : put(key, `${n}`)
      assert.strictEqual<unknown>(log.append(message, now), model.append(message, now))
      if (n % 10 === 0) checkSame(log, model, n)
    }
  })
})
