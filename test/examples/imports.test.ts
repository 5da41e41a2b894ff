import { assert, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"

const folder = new URL("../../examples/", import.meta.url)

const imported = (file: string): ReadonlyArray<string> =>
  Array.from(
    readFileSync(new URL(file, folder), "utf8").matchAll(/(?:from|import\(?) ?"([^"]+)"/g),
    ([, name = ""]) => name
  )

it("examples import only the package, Effect, modules of Node, and files beside them, so that they can be copied", () => {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"))
  assert.isAtLeast(files.length, 9)
  const others = files.flatMap((file) =>
    imported(file)
      .filter((name) => !/^(?:effect-aegis|effect|@effect\/platform-node)(?:\/|$)|^node:/.test(name))
      .filter((name) => name.startsWith("./") ? name.startsWith("./../") : true)
      .map((name) => `${file}: ${name}`)
  )
  assert.deepStrictEqual(others, [])
})
