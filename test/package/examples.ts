/** Copies the programs of `examples/` from the installed package into a project, compiles and runs them. */
import { cpSync, readdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import type { Check, Run } from "./surface.ts"

const withServer = fileURLToPath(new URL("../../tools/withServer.ts", import.meta.url))

/** The last line that each program prints. */
const lastLines: Readonly<Record<string, RegExp>> = {
  "fleet.ts": /orders-\d +deregistered\n$/,
  "from-aegissdk.ts": /stored: effect-1\n$/,
  "kv-expiration.ts": /getUnexpired has removed it: get returns none\n$/,
  "service.ts": /no live instances\n$/,
  "simulation.ts": /claimThenPay: 150 runs, [^\n]* no order was paid twice\n$/
}

/** It needs processes, and so a server. */
const onServerOnly = "service.ts"

const expectMatch = (printed: string, pattern: RegExp) => {
  if (!pattern.test(printed)) throw new Error(`expected ${pattern}, got ${printed}`)
}

/** `folder` is a project in which the package is installed. */
export const checkExamples = (check: Check, folder: string, run: Run): void => {
  const copied = join(folder, "copied")
  cpSync(join(folder, "node_modules/effect-aegis/examples"), copied, { recursive: true })
  writeFileSync(join(copied, "tsconfig.json"), JSON.stringify({ extends: "../tsconfig.json", include: ["**/*.ts"] }))
  check("the programs of examples/ compile", () => {
    run("npx", "tsc", "-p", "copied/tsconfig.json")
  })
  for (const file of readdirSync(copied).filter((name) => name.endsWith(".ts"))) {
    const isOnServer = file === onServerOnly
    check(`examples/${file} runs ${isOnServer ? "on a server" : "in memory"}`, () => {
      const lastLine = lastLines[file]
      if (lastLine === undefined) throw new Error(`lastLines has no entry for ${file}: add one`)
      const command = [process.execPath, `copied/${file}`] as const
      expectMatch(isOnServer ? run(process.execPath, withServer, "--", ...command) : run(...command), lastLine)
    })
  }
  check("examples/fleet.ts runs on a server", () => {
    const printed = run(process.execPath, withServer, "--", process.execPath, "copied/fleet.ts")
    expectMatch(printed, /on nats-server 2\./)
    expectMatch(printed, lastLines["fleet.ts"]!)
  })
}
