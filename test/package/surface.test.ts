/** The entries of the package: by name, each with a source, and the same for Node, for the compiler and for tests. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"

const root = new URL("../../", import.meta.url)
const json = (path: string) => JSON.parse(readFileSync(new URL(path, root), "utf8"))

/** What can be imported, and nothing else. */
const entries = [
  ".",
  "./Aegis",
  "./KVStore",
  "./NatsKVStore",
  "./NatsClient",
  "./NatsLegacy",
  "./Registry",
  "./Election",
  "./FencingToken",
  "./Expiration",
  "./KVKeyValueStore",
  "./testing"
]

const moduleOf = (entry: string): string => entry === "." ? "index" : entry.slice("./".length)

const nameOf = (entry: string): string => entry === "." ? "effect-aegis" : `effect-aegis/${moduleOf(entry)}`

describe("the entries of the package", () => {
  it("are named one by one, with declarations and code", () => {
    const expected = Object.fromEntries(entries.map((entry) => {
      const path = `./dist/${moduleOf(entry)}`
      return [entry, { types: `${path}.d.ts`, default: `${path}.js` }]
    }))
    assert.deepStrictEqual(json("package.json").exports, { ...expected, "./package.json": "./package.json" })
  })

  it("have a source each", () => {
    for (const entry of entries) assert.isTrue(existsSync(new URL(`src/${moduleOf(entry)}.ts`, root)), entry)
  })

  it("are what the compiler finds under the package's name", () => {
    assert.deepStrictEqual(
      json("tsconfig.json").compilerOptions.paths,
      Object.fromEntries(entries.map((entry) => [nameOf(entry), [`./src/${moduleOf(entry)}.ts`]]))
    )
  })

  it("are what tests can import under the package's name, and nothing else is", async () => {
    for (const entry of entries) assert.isDefined(await import(/* @vite-ignore */ nameOf(entry)), entry)
    const others = readdirSync(new URL("src/", root), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => `./${file.slice(0, -".ts".length)}`)
      .filter((name) => !entries.includes(name))
    assert.include(others, "./KVStoreConfig")
    for (const name of others) {
      const opened = await import(/* @vite-ignore */ `effect-aegis/${name.slice("./".length)}`).then(
        () => true,
        () => false
      )
      assert.isFalse(opened, name)
    }
  })

  it("are built before the package is packed", () => {
    assert.strictEqual(json("package.json").scripts.prepack, "npm run build")
  })
})
