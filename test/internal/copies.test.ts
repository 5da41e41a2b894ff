/** Copies of values: equal, apart from their source and from each other. */
import { assert, describe, it } from "@effect/vitest"
import { copyOf } from "../../src/internal/copies.ts"

describe("a copy of a value", () => {
  it("is equal, and shares no byte with its source or with another copy", () => {
    const sizes = [0, 1, 100, 1024, 1025, 5000, ...Array.from({ length: 200 }, (_, n) => n)]
    const sources = sizes.map((size, n) => new Uint8Array(size).fill(n))
    const copies = sources.map(copyOf)
    for (const [n, copy] of copies.entries()) {
      assert.deepStrictEqual(copy, new Uint8Array(sizes[n]!).fill(n))
      assert.strictEqual(Object.getPrototypeOf(copy), Uint8Array.prototype)
      sources[n]!.fill(255)
    }
    for (const [n, copy] of copies.entries()) {
      assert.deepStrictEqual(copy, new Uint8Array(sizes[n]!).fill(n))
      copy.fill(254)
    }
  })

  it("that is small cannot be transferred to another thread, which would take other copies with it", () => {
    const [one, other] = [copyOf(new Uint8Array([1])), copyOf(new Uint8Array([2]))]
    assert.throws(() => structuredClone(one, { transfer: [one.buffer as ArrayBuffer] }))
    assert.deepStrictEqual([one[0], other[0]], [1, 2])
    assert.deepStrictEqual(structuredClone(other), new Uint8Array([2]))
  })

  it("keeps at most 8 KiB in memory if it is small, and its own bytes if it is large", () => {
    assert.isAtMost(copyOf(new Uint8Array(10)).buffer.byteLength, 8192)
    assert.strictEqual(copyOf(new Uint8Array(2000)).buffer.byteLength, 2000)
  })
})
