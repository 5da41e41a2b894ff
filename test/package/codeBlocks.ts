/**
 * Checks the code blocks of the documentation: of doc comments of public modules, README.md, AGENTS.md and docs/. Each block becomes a
 * file in a project with the packed package. All files are compiled together; programs and tests among them are run.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Check, Run } from "./surface.ts"

const withServer = fileURLToPath(new URL("../../tools/withServer.ts", import.meta.url))

interface CodeBlock {
  readonly where: string
  readonly code: string
  /** The report of a test that must fail: each line must be printed. Undefined for any other block. */
  readonly report: ReadonlyArray<string> | undefined
}

/** A block of TypeScript. After "```ts failing", the report of the failing test is the next block without a language. */
const fences = /^```ts( failing)?\n([\s\S]*?)^```$/gm

const reportFence = /^```\n([\s\S]*?)^```$/m

const docComments = /\/\*\*[\s\S]*?\*\//g

const reportAfter = (text: string): ReadonlyArray<string> => {
  const lines = reportFence.exec(text)?.[1]?.split("\n").filter((line) => line.trim() !== "")
  if (lines === undefined) throw new Error("a failing block is not followed by its report")
  return lines
}

const anyTypeScript = /^```(?:ts|tsx|typescript|js|javascript)\b/gim

const blocksOf = (file: string, text: string): ReadonlyArray<CodeBlock> => {
  const found = Array.from(text.matchAll(fences), ({ 0: block, 1: failing, 2: code = "", index: at }, index) => ({
    where: `${file}, block ${index + 1}`,
    code,
    report: failing === undefined ? undefined : reportAfter(text.slice(at + block.length))
  }))
  const opened = text.match(anyTypeScript)?.length ?? 0
  if (opened !== found.length) {
    throw new Error(`${file}: ${opened} code blocks, but ${found.length} begin with "\`\`\`ts"`)
  }
  return found
}

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
  const documents = ["README.md", "AGENTS.md", ...filesIn(join(folder, "docs"), /\.md$/).map((file) => `docs/${file}`)]
  return [
    ...sources.flatMap((file) => blocksOf(file, documentationOf(read(file)))),
    ...documents.flatMap((file) => blocksOf(file, read(file)))
  ]
}

type Kind = "test" | "failing" | "program" | "definitions"

/** A program with `runMain` ends with a signal and is only compiled, as definitions are; `consumer.ts` runs the README's. */
const kindOf = ({ code, report }: CodeBlock): Kind =>
  report !== undefined
    ? "failing"
    : /from "@effect\/vitest"/.test(code)
    ? "test"
    : /^(?:await |console\.log\(await )/m.test(code)
    ? "program"
    : "definitions"

const usesServer = ({ code }: CodeBlock): boolean => /\bnats:\/\/|AEGIS_NATS_URL/.test(code)

/** The URL in examples, which is replaced by that of the started server. */
const exampleServer = /"nats:\/\/127\.0\.0\.1:4222"/g

const programText = (block: CodeBlock): string => block.code.replace(exampleServer, "process.env.AEGIS_NATS_URL!")

const printsOf = ({ code }: CodeBlock): ReadonlyArray<string> =>
  Array.from(code.matchAll(/^\/\/ => (.*)$/gm), ([, printed = ""]) => printed)

const fileOf = (kind: Kind, index: number): string =>
  kind === "failing" ? `failing/${index}.test.ts` : `blocks/${index}${kind === "test" ? ".test" : ""}.ts`

/** What a command that must fail has printed. */
const outputOfFailure = (command: () => string): string => {
  let output: string
  try {
    output = command()
  } catch (error) {
    return error instanceof Error && "stdout" in error ? String(error.stdout) : String(error)
  }
  throw new Error(`expected a failure, got ${output}`)
}

const expectLines = (printed: string, lines: ReadonlyArray<string>): void => {
  for (const line of lines) if (!printed.includes(line)) throw new Error(`expected ${line}, got ${printed}`)
}

/** `folder` is a project in which the package is installed. */
export const checkCodeBlocks = (check: Check, folder: string, run: Run): void => {
  const blocks = codeBlocksIn(join(folder, "node_modules/effect-aegis")).map((block, index) => {
    const kind = kindOf(block)
    return { block, kind, file: fileOf(kind, index), where: block.where }
  })
  const ofKind = (kind: Kind) => blocks.filter((block) => block.kind === kind)
  for (const created of ["blocks", "failing"]) mkdirSync(join(folder, created))
  writeFileSync(
    join(folder, "blocks/tsconfig.json"),
    JSON.stringify({ extends: "../tsconfig.json", include: ["*.ts", "../failing/*.ts"] })
  )
  for (const { block, file, kind } of blocks) {
    writeFileSync(join(folder, file), kind === "program" ? programText(block) : block.code)
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
  for (const { block, file, where } of ofKind("program")) {
    check(`${where} runs`, () => {
      const server = usesServer(block) ? [withServer, "--", process.execPath] : []
      expectLines(run(process.execPath, ...server, file), printsOf(block))
    })
  }
  check(`${ofKind("test").length} tests of the documentation pass`, () => {
    run("npx", "vitest", "run", "--root", "blocks")
  })
  for (const { block: { report = [] }, file, where } of ofKind("failing")) {
    check(`${where} fails with the report that follows it`, () => {
      // The failure is expected: its report is compared, and not printed.
      expectLines(outputOfFailure(() => run("sh", "-c", `npx vitest run ${file} 2>&1`)), report)
    })
  }
}
