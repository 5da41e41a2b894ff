/** Helpers for values in tests: text to bytes and back, and values of a wrong type. */

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export const textOf = (value: Uint8Array): string => new TextDecoder().decode(value)

/** Passes a value of a wrong type, as a caller in plain JavaScript can. */
export const untyped = (value: unknown) => value as never
