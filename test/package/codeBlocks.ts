/**
 * The code blocks of the documentation: in doc comments of public modules, in README.md and in docs/. Each is a file of
 * its own in a project that has the packed package; all are compiled together, and those that run by themselves are run.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Check, Run } from "./surface.ts"

const withServer = fileURLToPath(new URL("../../tools/withServer.ts", import.meta.url))

interface CodeBlock {
  readonly where: string
  readonly code: string
}

const fences = /^```ts\b[^\n]*\n([\s\S]*?)^```/gm

const docComments = /\/\*\*[\s\S]*?\*\//g

const blocksOf = (file: string, text: string): ReadonlyArray<CodeBlock> =>
  Array.from(text.matchAll(fences), ([, code = ""], index) => ({ where: `${file}, block ${index + 1}`, code }))

/** The doc comments of a source file, without their stars. */
const documentationOf = (source: string): string =>
  (source.match(docComments) ?? []).map((comment) => comment.replace(/^\s*(?:\/\*\*|\*\/|\* ?)/gm, "")).join("\n")

const filesIn = (folder: string, pattern: RegExp): ReadonlyArray<string> =>
  readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((file) => pattern.test(file)).toSorted()

const isPublic = (file: string): boolean => !/(?:^|[\\/])internal[\\/]/.test(file)

/** The blocks of the package that is installed in `folder`. */
const codeBlocksIn = (folder: string): ReadonlyArray<CodeBlock> => {
  const read = (file: string) => readFileSync(join(folder, file), "utf8")
  const sources = filesIn(join(folder, "src"), /\.ts$/).filter(isPublic).map((file) => `src/${file}`)
  const documents = ["README.md", ...filesIn(join(folder, "docs"), /\.md$/).map((file) => `docs/${file}`)]
  return [
    ...sources.flatMap((file) => blocksOf(file, documentationOf(read(file)))),
    ...documents.flatMap((file) => blocksOf(file, read(file)))
  ]
}

type Kind = "test" | "program" | "definitions"

/** The README's program runs until it gets a signal: `consumer.ts` runs it. Definitions have nothing to run. */
const kindOf = ({ code }: CodeBlock): Kind =>
  /from "@effect\/vitest"/.test(code) ? "test" : /^await /m.test(code) ? "program" : "definitions"

const usesServer = ({ code }: CodeBlock): boolean => /\bnats:\/\/|AEGIS_NATS_URL/.test(code)

/** The server of an example, in place of which the started one is used. */
const exampleServer = /"nats:\/\/127\.0\.0\.1:4222"/g

const programText = (block: CodeBlock): string => block.code.replace(exampleServer, "process.env.AEGIS_NATS_URL!")

const printsOf = ({ code }: CodeBlock): ReadonlyArray<string> =>
  Array.from(code.matchAll(/^\/\/ => (.*)$/gm), ([, printed = ""]) => printed)

const fileOf = (kind: Kind, index: number): string => `${index}${kind === "test" ? ".test" : ""}.ts`

/** `folder` is a project in which the package is installed. */
export const checkCodeBlocks = (check: Check, folder: string, run: Run): void => {
  const blocks = codeBlocksIn(join(folder, "node_modules/effect-aegis")).map((block, index) => {
    const kind = kindOf(block)
    return { ...block, kind, file: `blocks/${fileOf(kind, index)}` }
  })
  const ofKind = (kind: Kind) => blocks.filter((block) => block.kind === kind)
  mkdirSync(join(folder, "blocks"))
  writeFileSync(
    join(folder, "blocks/tsconfig.json"),
    JSON.stringify({ extends: "../tsconfig.json", include: ["*.ts"] })
  )
  for (const block of blocks) {
    writeFileSync(join(folder, block.file), block.kind === "program" ? programText(block) : block.code)
  }

  check(`${blocks.length} code blocks of the documentation compile`, () => {
    if (blocks.length < 20) throw new Error("most code blocks were not found")
    try {
      run("npx", "tsc", "-p", "blocks/tsconfig.json")
    } catch (error) {
      const output = error instanceof Error && "stdout" in error ? String(error.stdout) : ""
      const places = blocks.filter(({ file }) => output.includes(`${file}(`)).map(({ file, where }) =>
        `${file}: ${where}`
      )
      throw new Error([...places, output].join("\n"), { cause: error })
    }
  })
  for (const block of ofKind("program")) {
    check(`${block.where} runs`, () => {
      const server = usesServer(block) ? [withServer, "--", process.execPath] : []
      const printed = run(process.execPath, ...server, block.file)
      for (const line of printsOf(block)) {
        if (!printed.includes(line)) throw new Error(`expected ${line}, got ${printed}`)
      }
    })
  }
  check(`${ofKind("test").length} tests of the documentation pass`, () => {
    run("npx", "vitest", "run", "--root", "blocks")
  })
}
