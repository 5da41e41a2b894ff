/** Values as tests write them: text for bytes, and what no type allows. */

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

export const textOf = (value: Uint8Array): string => new TextDecoder().decode(value)

/** What no type allows, and JavaScript does. */
export const untyped = (value: unknown) => value as never
