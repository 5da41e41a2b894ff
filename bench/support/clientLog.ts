/** What a client is told, and what it writes down: a line when an operation begins, and one when it is answered. */
import { existsSync, readFileSync } from "node:fs"
import type { BucketOptions } from "../../src/KVStoreConfig.ts"
import type { Operation } from "../../src/testing/Linearizability.ts"

export interface ClientOptions {
  readonly name: string
  readonly url: string
  readonly bucket: BucketOptions
  readonly keys: number
  /** The file that it adds to. */
  readonly log: string
}

export const toLine = (operation: Operation, place: number): string => `${JSON.stringify([place, operation])}\n`

/** The operations of a client, also of one that was killed: what it was writing then had not begun, or has no answer. */
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
