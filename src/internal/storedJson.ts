/**
 * Limits of stored JSON text. Code that walks a value uses a stack frame or more for
 * each level, and throws when the stack is full: at 1,000 to 6,000 levels, depending on
 * the code and on its caller. A value that one function accepts can thus make another
 * one throw, so deeper text is neither decoded nor stored. Pure.
 */
import * as Result from "effect/Result"

/** The most levels of objects and arrays in stored JSON text. */
export const mostLevels = 256

/** The levels of the metadata in a record: the record is one. */
export const mostLevelsOfMetadata = mostLevels - 1

/** The largest record of an instance or a leader that is decoded. Parsing a larger one would block the event loop. */
export const largestRecord = 1024 * 1024

/** The largest record that can be stored in a bucket and decoded. */
export const recordLimit = ({ maxValueSize = largestRecord }: { readonly maxValueSize: number | undefined }): number =>
  Math.min(maxValueSize, largestRecord)

const quote = 34
const backslash = 92
const openers = new Set([91, 123])
const closers = new Set([93, 125])

/** The index of the quote that ends the string which begins at `from`, or the end of the text. */
export const endOfString = (text: string, from: number): number => {
  let at = from + 1
  while (at < text.length && text.charCodeAt(at) !== quote) at += text.charCodeAt(at) === backslash ? 2 : 1
  return at
}

/** Whether JSON text has more levels of objects and arrays. */
export const isDeeperThan = (levels: number, text: string): boolean => {
  // Each level has at least two characters.
  if (text.length <= levels * 2) return false
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === quote) at = endOfString(text, at)
    else if (openers.has(code) && ++depth > levels) return true
    else if (closers.has(code)) depth--
  }
  return false
}

const decoder = new TextDecoder("utf-8", { fatal: true })

/** The text of a stored record. Fails if it is too large or too deep, or not UTF-8. */
export const textOfRecord = (bytes: Uint8Array): Result.Result<string, unknown> => {
  if (bytes.length > largestRecord) {
    return Result.fail(`expected a record of at most ${largestRecord} bytes, got ${bytes.length}`)
  }
  return Result.filterOrFail(
    Result.try({ try: () => decoder.decode(bytes), catch: (cause) => cause }),
    (text) => !isDeeperThan(mostLevels, text),
    () => `expected JSON of at most ${mostLevels} levels, got more`
  )
}
