/** docs/support.md names the versions that are tested, and those that package.json accepts. */
import { assert, describe, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { lines } from "../../tools/natsServer/binaries.ts"

const root = new URL("../../", import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, root), "utf8")
const json = (path: string) => JSON.parse(read(path))

const manifest = json("package.json")
const installed = (folder: string, name: string): string =>
  json(`${folder}package-lock.json`).packages[`node_modules/${name}`].version

const support = read("docs/support.md")

/** The cells of the row about a product: the versions that are tested, and those that package.json accepts. */
const rowOf = (product: string): ReadonlyArray<string> => {
  const row = support.split("\n").find((line) => line.startsWith(`| ${product}`)) ?? assert.fail(`no row ${product}`)
  return row.split("|").slice(2, -1).map((cell) => cell.trim().replaceAll("`", ""))
}

describe("docs/support.md", () => {
  it("has the versions of the lockfile, and the ranges of package.json", () => {
    const { dependencies, devDependencies, engines, peerDependencies } = manifest
    assert.deepStrictEqual(rowOf("Effect"), [installed("", "effect"), peerDependencies.effect])
    assert.deepStrictEqual(rowOf("`nats`"), [installed("", "nats"), peerDependencies.nats])
    const client = "@nats-io/transport-node"
    assert.deepStrictEqual(rowOf(`\`${client}\``), [installed("", client), dependencies[client]])
    assert.deepStrictEqual(rowOf("Node"), [installed("", "node"), engines.node])
    assert.deepStrictEqual(rowOf("TypeScript"), [installed("", "typescript"), "any"])
    assert.strictEqual(devDependencies.typescript, installed("", "typescript"))
  })

  it("has the versions of the other client and compiler that the tests use", () => {
    assert.include(support, `TypeScript ${installed("docs/", "typescript")}`)
    assert.include(support, `\`@nats-io/kv\` ${installed("", "@nats-io/kv")}`)
  })

  it("has a version of each line of nats-server that the tests run on, and no other", () => {
    const versions = rowOf("nats-server")[0]!.split(" and ")
    assert.deepStrictEqual(versions.map((version) => version.split(".").slice(0, 2).join(".")), [...lines])
  })
})
