/** The entries of the package have sources, and are the same for Node, for the compiler and for tests. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"

const root = new URL("../../", import.meta.url)
const json = (path: string) => JSON.parse(readFileSync(new URL(path, root), "utf8"))

/** All paths that can be imported. */
const entries = [
  ".",
  "./Aegis",
  "./Buckets",
  "./KVStore",
  "./NatsKVStore",
  "./NatsClient",
  "./NatsLegacy",
  "./Registry",
  "./Election",
  "./FencingToken",
  "./Expiration",
  "./Metrics",
  "./KVKeyValueStore",
  "./Compat",
  "./testing"
]

const moduleOf = (entry: string): string => entry === "." ? "index" : entry.slice("./".length)

const nameOf = (entry: string): string => entry === "." ? "effect-aegis" : `effect-aegis/${moduleOf(entry)}`

describe("the entries of the package", () => {
  it("are listed in package.json with declarations and code", () => {
    const expected = Object.fromEntries(entries.map((entry) => {
      const path = `./dist/${moduleOf(entry)}`
      return [entry, { types: `${path}.d.ts`, default: `${path}.js` }]
    }))
    assert.deepStrictEqual(json("package.json").exports, { ...expected, "./package.json": "./package.json" })
  })

  it("each have a source file", () => {
    for (const entry of entries) assert.isTrue(existsSync(new URL(`src/${moduleOf(entry)}.ts`, root)), entry)
  })

  it("are the paths in tsconfig.json", () => {
    assert.deepStrictEqual(
      json("tsconfig.json").compilerOptions.paths,
      Object.fromEntries(entries.map((entry) => [nameOf(entry), [`./src/${moduleOf(entry)}.ts`]]))
    )
  })

  it("are the only paths that tests can import by the package's name", async () => {
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
