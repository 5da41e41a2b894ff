import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { basename } from "node:path"

const src = new URL("../../src/", import.meta.url)

/** Modules that are re-exported by another module, mapped to that module. */
const parts = new Map([
  ["AegisError", "KVStoreError"],
  ["AegisHealth", "Aegis"],
  ["KVStoreConfig", "KVStore"],
  ["KVStoreError", "KVStore"],
  ["RegistryError", "Registry"],
  ["ServiceInstance", "Registry"],
  ["ElectionError", "Election"],
  ["LeaderRecord", "Election"]
])

/** Separate entries: they are deprecated, use unstable modules of Effect, or a package that is not installed everywhere. */
const apart = new Set(["Compat", "KVKeyValueStore", "NatsLegacy", "testing"])

const read = (name: string) => readFileSync(new URL(`${name}.ts`, src), "utf8")

describe("the barrel", () => {
  const modules = readdirSync(src).filter((file) => file.endsWith(".ts")).map((file) => basename(file, ".ts"))

  it("exports every public module as a namespace with the name of the module, in alphabetical order", () => {
    const inBarrel = (name: string) => name !== "index" && !parts.has(name) && !apart.has(name)
    const namespaces = modules.filter(inBarrel).toSorted()
    const exported = [...read("index").matchAll(/export \* as (\w+) from "\.\/(\w+)\.ts"/g)]
    assert.deepStrictEqual(exported.map(([, name]) => name), namespaces)
    assert.isTrue(exported.every(([, name, file]) => name === file))
  })

  it("leaves out modules that are re-exported by another module", () => {
    for (const [part, whole] of parts) {
      assert.match(read(whole), new RegExp(`export (?:\\*|\\{[^}]*\\}) from "\\./${part}\\.ts"`), `${part} in ${whole}`)
    }
  })

  it("and its modules import neither the separate entries nor Effect's unstable persistence modules", () => {
    for (const name of apart) assert.include(modules, name)
    const elsewhere = new RegExp(
      `(?:from|import|import\\() ?"(?:effect/persistence/|[./]+/(?:${[...apart].join("|")})\\.ts")`
    )
    const others = readdirSync(src, { recursive: true, encoding: "utf8" }).filter((file) =>
      file.endsWith(".ts") && !apart.has(basename(file, ".ts"))
    )
    assert.deepStrictEqual(others.filter((file) => elsewhere.test(readFileSync(new URL(file, src), "utf8"))), [])
  })

  it("exports only names with doc comments, as do the testing modules", () => {
    const testing = readdirSync(new URL("testing/", src)).filter((file) => file.endsWith(".ts")).map((file) =>
      `testing/${basename(file, ".ts")}`
    )
    assert.include(testing, "testing/Scenario")
    for (const name of [...modules, ...testing]) {
      // A lint directive may follow the doc comment.
      const lines = read(name).split("\n").filter((line) => !line.startsWith("// "))
      const bare = lines.filter((line, index) =>
        /^export (?:const|class|interface|type|declare|function|abstract) \w/.test(line) &&
        !lines[index - 1]?.endsWith("*/")
      )
      assert.deepStrictEqual(bare, [], name)
    }
  })
})
