/** Every folder of `src` has a README with its purpose and its allowed imports, and lint rules for the imports. */
import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

const folders = [
  ...new Set(
    readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => join("src", dirname(file)))
  )
].toSorted()

interface Override {
  readonly files: ReadonlyArray<string>
  readonly rules: { readonly [rule: string]: unknown }
}

const { overrides }: { readonly overrides: ReadonlyArray<Override> } = JSON.parse(
  readFileSync(join(root, ".oxlintrc.json"), "utf8")
)

describe("the folders of src", () => {
  it.each(folders)("%s has a README of three lines", (folder) => {
    assert.strictEqual(readFileSync(join(root, folder, "README.md"), "utf8").trim().split("\n").length, 3)
  })

  it.each(folders)("%s has a lint rule that restricts its imports", (folder) => {
    const restricted = overrides.filter(({ rules }) => "no-restricted-imports" in rules).flatMap(({ files }) => files)
    assert.include(restricted, `${folder}/*.ts`)
  })
})
