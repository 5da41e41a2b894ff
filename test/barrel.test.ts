import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { basename } from "node:path"

const src = new URL("../src/", import.meta.url)

/** Modules that others re-export: their names are reached through those. */
const parts = new Map([
  ["KVEntry", "KVStore"],
  ["KVStoreConfig", "KVStore"],
  ["KVStoreError", "KVStore"],
  ["RegistryError", "Registry"],
  ["ServiceInstance", "Registry"],
  ["ElectionError", "Election"]
])

const read = (name: string) => readFileSync(new URL(`${name}.ts`, src), "utf8")

describe("the barrel", () => {
  const modules = readdirSync(src).filter((file) => file.endsWith(".ts")).map((file) => basename(file, ".ts"))

  it("exports every public module as a namespace of its name, in order", () => {
    const namespaces = modules.filter((name) => name !== "index" && !parts.has(name)).toSorted()
    const exported = [...read("index").matchAll(/export \* as (\w+) from "\.\/(\w+)\.ts"/g)]
    assert.deepStrictEqual(exported.map(([, name]) => name), namespaces)
    assert.isTrue(exported.every(([, name, file]) => name === file))
  })

  it("has every other module re-exported by the one that it is part of", () => {
    for (const [part, whole] of parts) {
      assert.match(read(whole), new RegExp(`export (?:\\*|\\{[^}]*\\}) from "\\./${part}\\.ts"`), `${part} in ${whole}`)
    }
  })

  it("documents every export of a public module", () => {
    for (const name of modules) {
      const lines = read(name).split("\n")
      const bare = lines.filter((line, index) =>
        /^export (?:const|class|interface|type|declare) \w/.test(line) && lines[index - 1]?.trim() !== "*/"
      )
      assert.deepStrictEqual(bare, [], name)
    }
  })
})
