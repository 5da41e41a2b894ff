/**
 * Lossless conversion between text and UTF-8. Text or bytes that cannot be
 * converted return undefined; no replacement characters are used.
 */
/** The value of a marker and of an empty message. */
export const noBytes = new Uint8Array(0)

const encoder = new TextEncoder()
// Keeps a byte order mark, which is a character of the text.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** Undefined if the text has an unpaired surrogate. */
export const toUtf8 = (text: string): Uint8Array | undefined => text.isWellFormed() ? encoder.encode(text) : undefined

/** Undefined if the bytes are not valid UTF-8. */
export const fromUtf8 = (bytes: Uint8Array): string | undefined => {
  try {
    return decoder.decode(bytes)
  } catch {
    return undefined
  }
}
