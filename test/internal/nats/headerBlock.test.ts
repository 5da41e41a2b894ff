/** Blocks of headers as servers store them, also those that no client would send. */
import { assert, describe, it } from "@effect/vitest"
import { readHeaderBlock } from "../../../src/internal/nats/headerBlock.ts"
import { bytes } from "../../../tools/values.ts"

const read = (text: string) => readHeaderBlock(bytes(text))

describe("a block of headers", () => {
  it("keeps white space of Unicode at the ends of a value, which can be that of a key", () => {
    for (const key of ["a\u00a0", "\ufeffa", "a\u2003", "\u2028"]) {
      const block = `NATS/1.0\r\nNats-Subject: $KV.b.${key}\r\nNats-Sequence:\t7 \r\n\r\n`
      const { header } = readHeaderBlock(bytes(block))
      assert.deepStrictEqual([header("Nats-Subject"), header("Nats-Sequence")], [`$KV.b.${key}`, "7"])
    }
  })

  for (
    const [line, status, description] of [
      ["NATS/1.0", 0, ""],
      ["NATS/1.0 404", 404, ""],
      ["NATS/1.0 404 No Messages", 404, "No Messages"],
      ["NATS/1.0   100 Idle Heartbeat ", 100, "Idle Heartbeat"],
      ["NATS/1.0 x y", 0, ""],
      ["NATS/1.0 4040", 0, ""]
    ] as const
  ) {
    it(`that begins with "${line}" has status ${status}`, () => {
      const block = read(`${line}\r\nA: 1\r\n\r\n`)
      assert.deepStrictEqual([block.status, block.description, block.header("A")], [status, description, "1"])
    })
  }

  it("has the last value of each name, whatever the characters of names and values", () => {
    const block = read(
      "NATS/1.0\r\nA: 1\r\nBad Name: 2\r\nGröße: 3\r\nno colon\r\n: x\r\nA:4\nfour\r\n\r\nB: 5\r\n\r\n"
    )
    const values = ["A", "Bad Name", "Größe", "B", "no colon", ""].map((name) => block.header(name))
    assert.deepStrictEqual(values, ["4\nfour", "2", "3", "5", "", ""])
  })

  it("does not throw for other bytes", () => {
    for (const text of ["", "N", "HTTP/1.1 200 OK\r\n\r\n", "\r\nNATS/1.0 404 x\r\n", "NATS/2.0 404 x\r\n"]) {
      const block = read(text)
      assert.deepStrictEqual([block.status, block.description, block.header("A")], [0, "", ""], text)
    }
    assert.strictEqual(readHeaderBlock(new Uint8Array([...bytes("NATS/1.0\r\nA: "), 255, 0, 254])).header("B"), "")
  })
})
