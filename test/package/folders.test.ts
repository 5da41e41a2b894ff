/** Every folder of `src` says what it is and what may import it, and the lint holds it to that. */
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

  it.each(folders)("%s has its imports restricted", (folder) => {
    const restricted = overrides.filter(({ rules }) => "no-restricted-imports" in rules).flatMap(({ files }) => files)
    assert.include(restricted, `${folder}/*.ts`)
  })
})
