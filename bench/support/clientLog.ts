/** The options of a client process, and its log: one line when an operation begins, and one when it is answered. */
import { existsSync, readFileSync } from "node:fs"
import type { BucketOptions } from "../../src/KVStoreConfig.ts"
import type { Operation } from "../../src/testing/Linearizability.ts"

export interface ClientOptions {
  readonly name: string
  readonly url: string
  readonly bucket: BucketOptions
  readonly keys: number
  /** The file to which the client appends its log. */
  readonly log: string
}

export const toLine = (operation: Operation, place: number): string => `${JSON.stringify([place, operation])}\n`

/**
 * Reads the operations of a client. The last line of a killed client may be incomplete and is ignored: that operation
 * had not begun, or has no answer.
 */
export const readLog = (path: string): ReadonlyArray<Operation> => {
  if (!existsSync(path)) return []
  const lines = readFileSync(path, "utf8").split("\n").slice(0, -1)
  const operations = new Map<number, Operation>()
  for (const line of lines) {
    const [place, operation]: [number, Operation] = JSON.parse(line)
    operations.set(place, operation)
  }
  return [...operations.values()]
}
