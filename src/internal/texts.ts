/**
 * Texts of other writers in log lines and messages: on one line, without codes that a
 * terminal obeys, and of limited length. Pure.
 */

/** The characters of a text that are shown. */
const mostShown = 200

/** Control characters, line breaks, changes of the writing direction, and halves of pairs. */
const unprintable = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** A text on one line: a line break becomes `\u{a}`. */
export const escaped = (text: string): string =>
  text.replace(unprintable, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)

const withDots = (text: string, shown: string): string => text.length > mostShown ? `${shown}...` : shown

/** At most 200 characters of a text, on one line. */
export const shortened = (text: string): string => withDots(text, escaped(text.slice(0, mostShown)))

/** At most 200 characters of a text in quotes, on one line: a name that any client can choose. */
export const quoted = (text: string): string =>
  `"${withDots(text, escaped(text.slice(0, mostShown).replace(/["\\]/g, "\\$&")))}"`

/** The reason of a failure to decode: the message of an error, or a text. */
export const reasonOf = (cause: unknown): string =>
  shortened((hasMessage(cause) ? cause.message : String(cause)).replaceAll(/\s+/g, " "))

const hasMessage = (cause: unknown): cause is { readonly message: string } => typeof Object(cause).message === "string"
