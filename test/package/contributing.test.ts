/** The commands and the files exist that the documents for contributors name. */
import { assert, describe, it } from "@effect/vitest"
import { existsSync, readdirSync, readFileSync } from "node:fs"

const root = new URL("../../", import.meta.url)
const read = (path: string): string => readFileSync(new URL(path, root), "utf8")

const { scripts } = JSON.parse(read("package.json"))

const files = ["src", "test", "tools", "bench", "docs", ".changeset"].flatMap((folder) =>
  readdirSync(new URL(folder, root), { recursive: true, encoding: "utf8" }).map((file) => `/${folder}/${file}`)
    .filter((file) => !file.includes("/node_modules/"))
)

describe.each([
  "CONTRIBUTING.md",
  ".changeset/README.md",
  "docs/decisions/README.md",
  "docs/support.md",
  "SECURITY.md",
  "AGENTS.md",
  "tools/README.md"
])(
  "%s",
  (document) => {
    const text = read(document)

    it("names only scripts that package.json has", () => {
      const named = [...text.matchAll(/\bnpm run (?:--\S+ )?([\w:-]+)/g)].map(([, script = ""]) => script)
      // In a list, the later ones are without "npm run".
      const others = [...text.matchAll(/`([a-z]+:[a-z-]+)`/g)].map(([, script = ""]) => script)
      for (const script of [...named, ...others]) assert.property(scripts, script)
    })

    it("names only files and folders that exist", () => {
      const code = [...text.replaceAll(/^```[\s\S]*?^```/gm, "").matchAll(/`([^`\s]+)`/g)].map(([, name = ""]) => name)
      const paths = code.filter((name) => /(?:\.(?:ts|md|json|mjs|conf)|\/)$/.test(name) && !/[*<]/.test(name))
      for (const path of paths) {
        // A path of the repository, or the end of one: "challenger.ts".
        const exists = existsSync(new URL(path, root)) ||
          files.some((file) => `${file}/`.endsWith(`/${path}`.replace(/\/?$/, "/")))
        // The folder is written by `npm run docs`.
        assert.isTrue(exists || path.startsWith("docs/api/"), path)
      }
    })
  }
)
