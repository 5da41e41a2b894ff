/**
 * The options that name files: checks a path, reads the file.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { readFile } from "node:fs/promises"
import type { InvalidConfig } from "../../../KVStoreError.ts"
import { invalidConfig, refuse, type Setting, text } from "../../options.ts"

/** A path. If the value is the text of a file by mistake, the error does not show it: it may be a private key. */
export const path = (instead: string): Setting<string> => (name, value) =>
  Result.flatMap(text(name, value), (path) =>
    /[\r\n]|-----/.test(path)
      ? refuse(name, "the path of a file", `the text of a file: pass the text as ${instead}`)
      : Result.succeed(path))

export const fileText = (name: string, path: string): Effect.Effect<string, InvalidConfig> =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => {
      const code: unknown = cause instanceof Error ? Reflect.get(cause, "code") : undefined
      return invalidConfig(`${name}: cannot read ${JSON.stringify(path)} (${String(code ?? "unknown error")})`)
    }
  })
