/** Instances that the registry returns: a caller cannot write to them, because it shares them with other callers. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { TestClock } from "effect/testing"
import * as Aegis from "../../src/Aegis.ts"
import * as Registry from "../../src/Registry.ts"
import { logged } from "../support/suite.ts"

const layer = Layer.provideMerge(Aegis.layerMemory(), logged().layer)

const metadata = { zone: "a", nested: { list: [1] } }
const instance = { serviceName: "orders", instanceId: "a", version: "1.0.0", metadata } as const

const writes: ReadonlyArray<readonly [what: string, write: (instance: unknown) => void]> = [
  ["the status", (one) => Object.assign(Object(one), { status: "OTHER" })],
  ["the metadata", (one) => Object.assign(Object(one).metadata, { zone: 1n })],
  ["nested metadata", (one) => Object(one).metadata.nested.list.push(2)]
]

describe("a registered instance", () => {
  for (const [what, write] of writes) {
    it.effect(`cannot be changed by a write to ${what}`, () =>
      Effect.gen(function*() {
        const registry = yield* Registry.Registry
        const registration = yield* registry.register(instance)
        const check = Effect.gen(function*() {
          const own = yield* registration.instance
          assert.throws(() => write(own), TypeError)
          const [listed] = yield* registry.list("orders")
          assert.throws(() => write(listed), TypeError)
        })
        yield* check
        const error = yield* Effect.flip(registration.update((current) => {
          write(current)
          return current
        }))
        assert.strictEqual(error.reason._tag, "InvalidConfig")
        yield* TestClock.adjust("1 minute")
        yield* check
        const listed = yield* registry.list("orders")
        assert.deepStrictEqual(listed.map((one) => [one.metadata, one.status]), [[metadata, "ACTIVE"]])
      }).pipe(Effect.scoped, Effect.provide(layer)))
  }
})
