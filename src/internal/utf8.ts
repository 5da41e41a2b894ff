/**
 * Text and its bytes, exactly: what one side cannot hold is undefined, and
 * never replaced by something else.
 */
/** The value of a tombstone and of an empty message. */
export const noBytes = new Uint8Array(0)

const encoder = new TextEncoder()
// A byte order mark is a character of the text, and stays.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Undefined where half of a surrogate pair is without the other. */
export const toUtf8 = (text: string): Uint8Array | undefined => text.isWellFormed() ? encoder.encode(text) : undefined

/** Undefined where the bytes are no UTF-8. */
export const fromUtf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
