/**
 * Files that a client's options name: their paths, and their text.
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { readFile } from "node:fs/promises"
import type { InvalidConfig } from "../../../KVStoreError.ts"
import { invalidConfig, refuse, type Setting, text } from "../../options.ts"

/** A path that is the text of a file by mistake is not shown: it may be that of a key. */
export const path = (instead: string): Setting<string> => (name, value) =>
  Result.flatMap(text(name, value), (path) =>
    /[\r\n]|-----/.test(path)
      ? refuse(name, "the path of a file", `the text of one: give that as ${instead}`)
      : Result.succeed(path))

export const fileText = (name: string, path: string): Effect.Effect<string, InvalidConfig> =>
  Effect.tryPromise({
    try: () => readFile(path, "utf8"),
    catch: (cause) => {
      const code: unknown = cause instanceof Error ? Reflect.get(cause, "code") : undefined
      return invalidConfig(`${name}: cannot read ${JSON.stringify(path)} (${String(code ?? "unknown error")})`)
    }
  })
